//! Days of a till against a local Alipay, each with a fault of its own: answers that never come or
//! come late, connections that are cut, a till whose power fails between any two steps, forged answers
//! and notifications, a Pintle that goes away. Each day must end with till, gateway and Alipay in
//! agreement to the fen and no trade neither paid nor closed.
//!
//! Everything is real but the shop: `pintle dev` in a process of its own signs and verifies, the
//! gateway of `examples/alipay_gateway` verifies with public keys only, the till is `examples/till`.
//! Prints a table. Two tills that break a rule are run too, and the books must see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cable;
mod day;
#[path = "../command/process.rs"]
#[expect(
    dead_code,
    reason = "shared with the command suite, which uses more of it"
)]
mod process;
mod screen;
mod scripts;
#[path = "../../examples/till/till.rs"]
#[expect(dead_code, reason = "shared with the example, which uses more of it")]
mod till;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use alipay_gateway::gateway::{App, Gateway, Settings};
use alipay_gateway::keys::AppKeys;
use day::{Told, World};
use tokio::task::JoinSet;

use process::{Server, pintle};

/// Stories that run at the same time.
const AT_ONCE: usize = 6;

fn main() -> ExitCode {
    let began = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let mut dev = pintle();
    dev.args([
        "dev",
        "--danger-plaintext-listen",
        "127.0.0.1:0",
        "--folder",
    ])
    .arg(folder.path().join("pintle"));
    let (_server, address) = Server::start(&mut dev, false, |line| {
        let data = line.trim_start().strip_prefix("data ")?;
        data.split_whitespace().next().map(str::to_owned)
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let told = runtime.block_on(async {
        let settings = Settings {
            tricky: true,
            notify_intervals: vec![day::POLL; 20],
            ..Settings::default()
        };
        let gateway = Gateway::start(0, settings).await.unwrap();
        let keys = AppKeys::of_pintle_dev().unwrap();
        gateway.add_app(day::APP_ID, App { keys, aes: None });
        let world = Arc::new(World {
            gateway,
            pintle: address,
            folder: folder.path().to_owned(),
        });
        all(world, filter().as_deref()).await
    });
    print(&told);
    let wrong = told.iter().filter(|told| !told.as_it_should_be()).count();
    let seconds = began.elapsed().as_secs_f32();
    println!(
        "\n{} stories, {wrong} of them wrong, {seconds:.1} s",
        told.len()
    );
    assert!(
        filter().is_some() || told.len() >= 40,
        "there are fewer than 40 stories"
    );
    // Not by exit(): the server is to end with its owner.
    ExitCode::from(u8::from(wrong > 0))
}

/// The stories asked for on the command line, as of any test; all without it.
fn filter() -> Option<String> {
    std::env::args()
        .nth(1)
        .filter(|name| !name.starts_with('-'))
}

async fn all(world: Arc<World>, only: Option<&str>) -> Vec<Told> {
    let mut waiting = scripts::all();
    waiting.retain(|story| only.is_none_or(|only| story.name.contains(only)));
    waiting.reverse();
    let mut running = JoinSet::new();
    let mut told = Vec::new();
    let mut number = 0;
    loop {
        while running.len() < AT_ONCE
            && let Some(story) = waiting.pop()
        {
            number += 1;
            running.spawn(day::tell(Arc::clone(&world), story, number));
        }
        match running.join_next().await {
            Some(done) => told.push(done.unwrap()),
            None => break,
        }
    }
    told.sort_by_key(|told| told.number);
    told
}

fn print(told: &[Told]) {
    println!(
        "{:<64} {:<30} {:>9} {:>9} {:>9}",
        "story", "outcome", "till", "gateway", "Alipay"
    );
    for told in told {
        let [till, gateway, alipay] = told.kept.map(till::alipay::yuan);
        let mark = if told.as_it_should_be() { "" } else { "  ✗" };
        println!(
            "{:<64} {:<30} {till:>9} {gateway:>9} {alipay:>9}{mark}",
            told.name, told.outcome
        );
        for complaint in &told.complaints {
            let planted = if told.planted {
                "seen, as it should be: "
            } else {
                ""
            };
            println!("    {planted}{complaint}");
        }
    }
}
