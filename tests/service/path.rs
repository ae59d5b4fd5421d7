//! The request path itself: what every answer carries, what every call leaves in the journal, and
//! what happens when time, room or the journal run out.

use std::collections::BTreeSet;
use std::time::Duration;

use http::uri::PathAndQuery;
use pintle::audit::{Journal, JournalOptions};
use pintle::series::Text;
use pintle::service::authorize::{RPCS, RpcRow};
use pintle::service::metrics::write_series;
use pintle::service::pb;
use pintle::service::pb::v1::mac_service_client::MacServiceClient;
use pintle::service::pb::v1::random_service_client::RandomServiceClient;
use pintle::service::pb::v1::{GenerateMacRequest, GenerateRandomRequest, GenerateRandomResponse};
use pintle::service::stack::Audit;
use prost::Message;
use tokio::runtime::Builder;
use tokio_stream::pending;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use crate::refusal::{assert_refused, status, told};
use crate::world::{channel_to, client_of, key, world};

/// The journal's record of a call; none where it has none.
fn record(journal: &std::path::Path, request_id: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(journal).unwrap();
    let line = text.lines().find(|line| line.contains(request_id))?;
    Some(serde_json::from_str(line).unwrap())
}

fn metadata(of: &tonic::metadata::MetadataMap, name: &str) -> String {
    of.get(name)
        .unwrap_or_else(|| panic!("no {name}"))
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn every_answer_says_development_and_has_its_own_id_also_when_refused() {
    world().run(async |world| {
        let mut client = MacServiceClient::new(world.channel().await);
        let request = |name| GenerateMacRequest {
            key: key(name),
            message: b"m".to_vec(),
        };
        let accepted = client.generate_mac(request("mac-hmac")).await.unwrap();
        let refused = status(client.generate_mac(request("mac-nobody")).await);
        let all = [accepted.metadata(), refused.metadata()];
        for metadata_of in all {
            assert_eq!(metadata(metadata_of, "x-pintle-environment"), "development");
        }
        let [first, second] = all.map(|of| metadata(of, "x-request-id"));
        assert_ne!(first, second);
    });
}

#[test]
fn a_server_that_is_not_for_development_does_not_say_so() {
    world().run(async |world| {
        let address = world.server(|options| options.development = false).await;
        let mut client = RandomServiceClient::new(channel_to(address).await);
        let answer = client
            .generate_random(GenerateRandomRequest { length: 1 })
            .await
            .unwrap();
        assert!(answer.metadata().get("x-pintle-environment").is_none());
        assert!(answer.metadata().get("x-request-id").is_some());
    });
}

#[test]
fn the_record_is_in_the_journal_before_the_answer_is_here() {
    world().run(async |world| {
        let mut client = MacServiceClient::new(world.channel().await);
        let request = GenerateMacRequest {
            key: key("mac-hmac"),
            message: b"m".to_vec(),
        };
        let answer = client.generate_mac(request).await.unwrap();
        let id = metadata(answer.metadata(), "x-request-id");
        let record = record(&world.journal, &id).expect("a record");
        assert_eq!(record["rpc"], "pintle.v1.MacService/GenerateMac");
        assert_eq!(record["caller"], "danger-dev-plaintext");
        assert_eq!(record["outcome"], "OK");
        assert_eq!(record["keys"], serde_json::json!([["mac-hmac", 1]]));
    });
}

#[test]
fn a_refused_call_leaves_a_record_with_its_code_and_reason() {
    world().run(async |world| {
        let mut client = MacServiceClient::new(world.channel().await);
        let huge = vec![7; 200_000];
        for (name, message, code, reason) in [
            ("mac-nobody", b"m".to_vec(), "NOT_FOUND", "KEY_UNKNOWN"),
            (
                "tpk-tdes",
                b"m".to_vec(),
                "FAILED_PRECONDITION",
                "KEY_USAGE_REFUSED",
            ),
            ("mac-hmac", huge, "INVALID_ARGUMENT", "MESSAGE_TOO_LARGE"),
        ] {
            let request = GenerateMacRequest {
                key: key(name),
                message,
            };
            let refused = status(client.generate_mac(request).await);
            let id = metadata(refused.metadata(), "x-request-id");
            let record = record(&world.journal, &id).expect("a record");
            assert_eq!(
                (&record["outcome"], &record["reason"]),
                (&code.into(), &reason.into())
            );
        }
    });
}

#[test]
fn a_caller_that_goes_away_leaves_a_record_too() {
    world().run(async |world| {
        let count = || {
            let text = std::fs::read_to_string(&world.journal).unwrap();
            text.lines()
                .filter(|line| line.contains("\"CANCELLED\""))
                .count()
        };
        let before = count();
        // A connection of its own, cut while the call waits for a message that never comes.
        let address = world.plaintext;
        let gone = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut grpc = tonic::client::Grpc::new(channel_to(address).await);
                grpc.ready().await.unwrap();
                let codec = ProstCodec::<GenerateRandomRequest, GenerateRandomResponse>::default();
                let path = PathAndQuery::from_static("/pintle.v1.RandomService/GenerateRandom");
                let call = grpc.client_streaming(Request::new(pending()), path, codec);
                assert!(
                    tokio::time::timeout(Duration::from_millis(100), call)
                        .await
                        .is_err()
                );
            });
        });
        gone.join().unwrap();
        for _ in 0..100 {
            if count() > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the abandoned call left no record");
    });
}

#[test]
fn a_message_that_is_not_the_calls_is_refused_by_us() {
    world().run(async |world| {
        let mut grpc = tonic::client::Grpc::new(world.channel().await);
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<pb::v1::KeyUse, pb::v1::GenerateMacResponse>::default();
        let path = PathAndQuery::from_static("/pintle.v1.MacService/GenerateMac");
        // Field 1 is a string here and a message there: "zz" is no KeyRef.
        let wrong = pb::v1::KeyUse {
            name: "zz".to_owned(),
            version: 0,
            residence: 0,
            key_block_hash: Vec::new(),
        };
        let answer = grpc.unary(Request::new(wrong), path, codec).await;
        assert_refused(
            told(answer),
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
            None,
        );
    });
}

#[test]
fn a_path_without_a_row_is_refused() {
    world().run(async |world| {
        let mut grpc = tonic::client::Grpc::new(world.channel().await);
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<GenerateMacRequest, pb::v1::GenerateMacResponse>::default();
        let path = PathAndQuery::from_static("/pintle.v1.MacService/DropAllKeys");
        let answer = grpc
            .unary(Request::new(GenerateMacRequest::default()), path, codec)
            .await;
        assert_refused(told(answer), Code::Unimplemented, "CALL_UNKNOWN", None);
    });
}

#[test]
fn a_timeout_that_cannot_be_read_is_refused_and_a_long_one_is_capped() {
    world().run(async |world| {
        let mut client = RandomServiceClient::new(world.channel().await);
        let ask = |timeout: &'static str| {
            let mut request = Request::new(GenerateRandomRequest { length: 1 });
            request
                .metadata_mut()
                .insert("grpc-timeout", timeout.parse().unwrap());
            request
        };
        let refused = told(client.generate_random(ask("soon")).await);
        assert_refused(refused, Code::InvalidArgument, "DEADLINE_MALFORMED", None);
        client.generate_random(ask("99999999H")).await.unwrap();
    });
}

#[test]
fn a_deadline_that_has_passed_does_no_work_in_the_token() {
    world().run(async |world| {
        let short = |options: &mut pintle::service::stack::Options| {
            options.deadline_default = Duration::from_nanos(1);
        };
        let address = world.server(short).await;
        let mut client = RandomServiceClient::new(channel_to(address).await);
        let request = GenerateRandomRequest { length: 8 };
        let refused = told(client.generate_random(request).await);
        assert_refused(refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", None);
    });
}

#[test]
fn a_server_with_no_room_for_another_call_says_so_at_once() {
    world().run(async |world| {
        let address = world.server(|options| options.calls_in_flight = 0).await;
        let client = client_of(address).await;
        let answer = client
            .generate_random(GenerateRandomRequest { length: 8 })
            .await;
        assert_refused(answer, Code::ResourceExhausted, "OVERLOADED", None);
    });
}

#[test]
fn a_journal_that_takes_no_record_gives_no_answer() {
    world().run(async |world| {
        let journal = world.journal.with_file_name("small.jsonl");
        let small = JournalOptions { queue: 1, batch: 1 };
        let records = Journal::open(&journal, small).unwrap();
        let address = world
            .server(|options| options.audit = Audit::Journal(records.into()))
            .await;
        let channel = channel_to(address).await;
        let calls = (0..400).map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let mut client = RandomServiceClient::new(channel);
                client
                    .generate_random(GenerateRandomRequest { length: 8 })
                    .await
            })
        });
        let calls: Vec<_> = calls.collect();
        let mut accepted = 0;
        let mut unavailable = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => accepted += 1,
                Err(status) => {
                    let refused = pintle::client::Refused::from(&status);
                    assert_eq!(
                        (refused.code, refused.reason.as_str()),
                        (Code::Unavailable, "AUDIT_UNAVAILABLE")
                    );
                    unavailable += 1;
                }
            }
        }
        assert!(
            unavailable > 0,
            "{accepted} calls, and the queue of one was never full"
        );
        let recorded = std::fs::read_to_string(&journal).unwrap().lines().count();
        assert!(
            recorded >= accepted,
            "{accepted} answers, {recorded} records"
        );
    });
}

#[test]
fn health_says_serving_once_the_token_has_done_something_real() {
    world().run(async |world| {
        for address in [world.plaintext, world.admin().await] {
            let mut client = HealthClient::new(channel_to(address).await);
            for service in ["", "pintle.v1.PinService", "pintle.v1.RandomService"] {
                let mut serving = false;
                for _ in 0..100 {
                    let request = HealthCheckRequest {
                        service: service.to_owned(),
                    };
                    let answer = client.check(request).await.unwrap().into_inner();
                    serving = answer.status() == ServingStatus::Serving;
                    if serving {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                assert!(serving, "{service}");
            }
        }
    });
}

#[test]
fn the_admin_listener_has_none_of_the_data_plane() {
    world().run(async |world| {
        let address = world.admin().await;
        let mut client = RandomServiceClient::new(channel_to(address).await);
        let answer = client
            .generate_random(GenerateRandomRequest { length: 8 })
            .await;
        assert_eq!(status(answer).code(), Code::Unimplemented);
    });
}

#[test]
fn every_rpc_of_the_descriptors_has_a_row_and_every_row_an_rpc() {
    let descriptors = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
    let mut paths = BTreeSet::new();
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                // An answer is one, whose record is durable before it leaves; requests may be many
                // where the name says so.
                assert!(!method.server_streaming(), "{path}");
                assert_eq!(
                    method.client_streaming(),
                    path.ends_with("Stream"),
                    "{path}"
                );
                paths.insert(path);
            }
        }
    }
    let paths: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let rows: BTreeSet<&str> = RPCS.iter().map(|row| row.path).collect();
    assert_eq!(rows, paths);
    assert!(
        RPCS.iter()
            .all(|row| RpcRow::of_path(row.path).is_some_and(|it| it.rpc == row.rpc))
    );
}

#[test]
fn metrics_count_calls_by_outcome_and_name_no_key() {
    world().run(async |world| {
        let client = world.client().await;
        let request = GenerateMacRequest {
            key: key("mac-hmac"),
            message: b"m".to_vec(),
        };
        client.generate_mac(request).await.unwrap();
        let request = GenerateMacRequest {
            key: key("mac-nobody"),
            message: b"m".to_vec(),
        };
        let _ = client.generate_mac(request).await;
        let mut text = Text::new();
        write_series(&[("data", world.stack.metrics())], &mut text);
        let text = text.as_str();
        for outcome in ["OK", "KEY_UNKNOWN"] {
            let labels = format!("listener=\"data\",call=\"generate_mac\",outcome=\"{outcome}\"");
            assert!(text.contains(&format!("pintle_calls_total{{{labels}}}")));
        }
        assert!(!text.contains("mac-hmac"));
    });
}
