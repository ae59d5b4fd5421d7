//! What a collector of metrics gets, over a plain socket as any HTTP client of 1999 would ask.

use std::net::SocketAddr;

use pintle::service::exposition::Exposition;
use pintle::service::metrics;
use pintle::service::pb::v1::GenerateRandomRequest;
use pintle::service::server::ServeError;
use pintle::{hsm, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, world};

fn exposition(world: &World) -> Exposition {
    let (stack, token) = (
        world.stack.clone(),
        world.context.catalogue.fleet().first().unwrap().clone(),
    );
    Exposition::new(move |text| {
        metrics::write_series(&[("data", stack.metrics())], text);
        hsm::write_series(std::slice::from_ref(&token), text);
    })
}

async fn served(exposition: Exposition) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(exposition.serve(listener, std::future::pending()));
    address
}

async fn answer(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// The value of a sample.
fn value(text: &str, series: &str) -> Option<u64> {
    let mut lines = text.lines();
    let line = lines.find(|line| line.rsplit_once(' ').is_some_and(|(of, _)| of == series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_collector_reads_calls_and_token_and_every_line_is_in_the_format() {
    world().run(async |world| {
        let client = world.client().await;
        let address = served(exposition(world)).await;
        let fleet = world.context.catalogue.fleet();
        let label = &fleet.first().unwrap().info().label;
        let random =
            format!("pintle_token_call_seconds_count{{token=\"{label}\",function=\"random\"}}");
        let before = answer(address, &request("GET", "/metrics")).await;
        let request_random = GenerateRandomRequest { length: 16 };
        client.generate_random(request_random).await.unwrap();
        let after = answer(address, &request("GET", "/metrics")).await;
        let (head, body) = after.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            head.contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        assert!(value(body, &random) > value(&before, &random), "{body}");
        for (series, at_least) in [
            (
                format!("pintle_token_breaker{{token=\"{label}\",state=\"closed\"}}"),
                1,
            ),
            (
                format!("pintle_token_epoch{{token=\"{label}\",of=\"login\"}}"),
                1,
            ),
            (
                format!("pintle_token_queue_depth{{token=\"{label}\",class=\"asymmetric\"}}"),
                0,
            ),
            (
                format!("pintle_token_errors_total{{token=\"{label}\",class=\"hung\"}}"),
                0,
            ),
            (
                "pintle_calls_total{listener=\"data\",call=\"generate_random\",outcome=\"OK\"}"
                    .into(),
                1,
            ),
        ] {
            assert!(
                value(body, &series).is_some_and(|value| value >= at_least),
                "{series}\n{body}"
            );
        }
        well_formed(body);
    });
}

/// Every family has one head, and all its samples follow it.
fn well_formed(text: &str) {
    let mut heads = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let name = head.split(' ').next().unwrap();
            assert!(!heads.contains(&name), "{name} twice");
            heads.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(heads.last().unwrap()), "{line}");
            assert!(
                line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(),
                "{line}"
            );
        }
    }
    assert!(heads.len() > 10);
}

#[test]
fn nothing_else_is_served_and_a_long_or_slow_request_is_cut_off() {
    world().run(async |world| {
        let address = served(exposition(world)).await;
        for (asked, status) in [
            (request("GET", "/"), "404"),
            (request("POST", "/metrics"), "405"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
            (
                format!(
                    "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
                    "x".repeat(limits::METRICS_REQUEST_BYTES_MAX)
                ),
                "431",
            ),
        ] {
            let answer = answer(address, &asked).await;
            assert!(
                answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{status}: {answer}"
            );
        }
        // As many as there are places say nothing; the next one is served when their time is over.
        let mut silent = Vec::new();
        for _ in 0..limits::METRICS_CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let patience = limits::METRICS_CONNECTION_MAX * 2;
        let asked = request("GET", "/metrics");
        let answered = tokio::time::timeout(patience, answer(address, &asked));
        assert!(answered.await.unwrap().starts_with("HTTP/1.1 200"));
        drop(silent);
    });
}

#[test]
fn another_address_than_loopback_is_refused() {
    world().run(async |world| {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let served = exposition(world)
            .serve(listener, std::future::pending())
            .await;
        assert!(matches!(served, Err(ServeError::NotLoopback(_))));
    });
}
