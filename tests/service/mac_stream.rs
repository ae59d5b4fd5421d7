//! MacService's streams: messages too long for one request, through the same path as all calls.

use std::time::{Duration, Instant};

use pintle::client::Error;
use pintle::limits::{MESSAGE_BYTES_MAX, STREAM_BYTES_MAX};
use pintle::service::pb::v1::generate_mac_stream_request::Part as Made;
use pintle::service::pb::v1::mac_service_client::MacServiceClient;
use pintle::service::pb::v1::verify_mac_stream_request::Part as Checked;
use pintle::service::pb::v1::{
    GenerateMacRequest, GenerateMacStreamRequest, GenerateMacStreamResponse,
    GenerateMacStreamStart, KeyRef, VerifyMacStreamRequest, VerifyMacStreamResponse,
    VerifyMacStreamStart,
};
use tokio_stream::{Stream, StreamExt};
use tonic::Code;

use crate::mac::KEYS;
use crate::refusal::{assert_refused, told};
use crate::world::{World, channel_to, key, world};

fn to_make(key: Option<KeyRef>, message_length: Option<u64>) -> GenerateMacStreamRequest {
    let start = GenerateMacStreamStart {
        key,
        message_length,
    };
    GenerateMacStreamRequest {
        part: Some(Made::Start(start)),
    }
}

fn piece(chunk: &[u8]) -> GenerateMacStreamRequest {
    GenerateMacStreamRequest {
        part: Some(Made::Chunk(chunk.to_vec())),
    }
}

async fn make(
    world: &World,
    parts: impl Stream<Item = GenerateMacStreamRequest> + Send + 'static,
) -> Result<GenerateMacStreamResponse, Error> {
    world.client().await.generate_mac_stream(parts).await
}

/// The MAC of a message in pieces of this length.
async fn made(
    world: &World,
    name: &str,
    (message, cut): (&[u8], usize),
    length: Option<u64>,
) -> Result<GenerateMacStreamResponse, Error> {
    let mut parts = vec![to_make(key(name), length)];
    parts.extend(message.chunks(cut).map(piece));
    make(world, tokio_stream::iter(parts)).await
}

async fn check(
    world: &World,
    name: &str,
    mac: &[u8],
    chunks: &[&[u8]],
) -> Result<VerifyMacStreamResponse, Error> {
    let start = VerifyMacStreamStart {
        key: key(name),
        mac: mac.to_vec(),
        message_length: None,
    };
    let start = [Checked::Start(start)].into_iter();
    let chunks = chunks.iter().map(|chunk| Checked::Chunk(chunk.to_vec()));
    let parts: Vec<_> = start
        .chain(chunks)
        .map(|part| VerifyMacStreamRequest { part: Some(part) })
        .collect();
    let client = world.client().await;
    client.verify_mac_stream(tokio_stream::iter(parts)).await
}

fn message(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn generate_mac_stream_accepts_every_scheme_and_answers_what_generate_mac_does() {
    world().run(async |world| {
        let (client, message) = (world.client().await, message(5000));
        let length = u64::try_from(message.len()).unwrap();
        for (name, scheme, _) in KEYS {
            let asked = GenerateMacRequest {
                key: key(name),
                message: message.clone(),
            };
            let whole = client.generate_mac(asked).await.unwrap();
            for cut in [700, 4096, 5000] {
                let answer = made(world, name, (&message, cut), Some(length)).await;
                let answer = answer.unwrap();
                assert_eq!(answer.mac, whole.mac, "{name} {cut}");
                assert!(answer.scheme() == scheme && answer.key == whole.key);
            }
        }
    });
}

#[test]
fn generate_mac_stream_accepts_64_mib_and_refuses_more() {
    world().run(async |world| {
        let client = world
            .client()
            .await
            .with_deadline(pintle::limits::DEADLINE_MAX);
        let chunk = vec![0xA5; MESSAGE_BYTES_MAX];
        let count = STREAM_BYTES_MAX / MESSAGE_BYTES_MAX;
        let parts = |count: usize| {
            let chunks = std::iter::repeat_n(piece(&chunk), count);
            let all: Vec<_> = [to_make(key("mac-hmac"), None)]
                .into_iter()
                .chain(chunks)
                .collect();
            tokio_stream::iter(all)
        };
        let longest = client.generate_mac_stream(parts(count)).await.unwrap();
        assert_eq!(longest.mac.len(), 32);
        let longer = parts(count).chain(tokio_stream::iter([piece(b"x")]));
        let answer = client.generate_mac_stream(longer).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MESSAGE_TOO_LARGE",
            "message",
        );
    });
}

#[test]
fn generate_mac_stream_refuses_what_is_no_message_after_a_start() {
    world().run(async |world| {
        let ask = async |parts: Vec<GenerateMacStreamRequest>| {
            make(world, tokio_stream::iter(parts)).await
        };
        let start = || to_make(key("mac-hmac"), None);
        let nothing = || GenerateMacStreamRequest { part: None };
        for parts in [vec![], vec![piece(b"m")], vec![nothing()]] {
            assert_refused(
                ask(parts).await,
                Code::InvalidArgument,
                "MISSING_FIELD",
                "start",
            );
        }
        let answer = ask(vec![start(), piece(b"m"), start()]).await;
        assert_refused(answer, Code::InvalidArgument, "FIELD_SUPERFLUOUS", "start");
        let answer = ask(vec![start(), nothing()]).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "chunk");
        let answer = ask(vec![start(), piece(&[7; MESSAGE_BYTES_MAX + 1])]).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MESSAGE_TOO_LARGE",
            "message",
        );
        let answer = ask(vec![to_make(None, None), piece(b"m")]).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key");
        let answer = ask(vec![to_make(key("mac-nobody"), None), piece(b"m")]).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
        let answer = ask(vec![to_make(key("mac-verify-only"), None), piece(b"m")]).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = ask(vec![to_make(key("mac-padding-1"), None)]).await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_EMPTY", "message");
    });
}

#[test]
fn generate_mac_stream_refuses_a_length_that_is_not_the_messages_or_missing() {
    world().run(async |world| {
        let name = "mac-alg3-padding-3";
        let answer = made(world, name, (b"message", 3), None).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MISSING_FIELD",
            "message_length",
        );
        for name in [name, "mac-hmac"] {
            for wrong in [6, 8] {
                let answer = made(world, name, (b"message", 3), Some(wrong)).await;
                assert_refused(
                    answer,
                    Code::InvalidArgument,
                    "MESSAGE_LENGTH",
                    "message_length",
                );
            }
            for huge in [64 * 1024 * 1024 + 1, u64::MAX] {
                let answer = made(world, name, (b"message", 3), Some(huge)).await;
                assert_refused(
                    answer,
                    Code::InvalidArgument,
                    "MESSAGE_TOO_LARGE",
                    "message",
                );
            }
        }
    });
}

#[test]
fn verify_mac_stream_accepts_what_generate_mac_stream_made_and_answers_false_for_anything_else() {
    world().run(async |world| {
        for name in [
            "mac-alg3",
            "mac-cmac-sm4",
            "mac-unionpay-hex",
            "mac-hmac-sm3",
            "mac-gateway-sm3",
        ] {
            let made = made(world, name, (b"0200 message", 5), None).await.unwrap();
            let chunks: [&[u8]; 2] = [b"0200 ", b"message"];
            let answer = check(world, name, &made.mac, &chunks).await.unwrap();
            assert!(answer.valid && answer.scheme == made.scheme, "{name}");
            let chunks: [&[u8]; 2] = [b"0200 ", b"massage"];
            let answer = check(world, name, &made.mac, &chunks).await.unwrap();
            assert!(!answer.valid, "{name}");
        }
    });
}

#[test]
fn verify_mac_stream_refuses_a_mac_of_another_length_and_a_key_that_only_generates() {
    world().run(async |world| {
        let answer = check(world, "mac-alg3", &[0; 4], &[b"message"]).await;
        assert_refused(answer, Code::InvalidArgument, "MAC_LENGTH", "mac");
        let answer = check(world, "mac-alg3", &[], &[b"message"]).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "mac");
        let answer = check(world, "mac-generate-only", &[0; 8], &[b"message"]).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}

#[test]
fn a_stream_that_stops_coming_ends_at_its_deadline() {
    world().run(async |world| {
        let deadline = Duration::from_millis(300);
        let address = world
            .server(|options| options.deadline_default = deadline)
            .await;
        // A bare client asks for no deadline of its own.
        let mut client = MacServiceClient::new(channel_to(address).await);
        let stalled = tokio_stream::iter([to_make(key("mac-hmac"), None), piece(b"m")])
            .chain(tokio_stream::pending());
        let begun = Instant::now();
        let answer = told(client.generate_mac_stream(stalled).await);
        assert_refused(answer, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", None);
        assert!(begun.elapsed() < 10 * deadline);
    });
}

#[test]
fn the_record_of_a_stream_names_its_key() {
    world().run(async |world| {
        let mut client = MacServiceClient::new(world.channel().await);
        let parts = tokio_stream::iter([to_make(key("mac-hmac"), None), piece(b"m")]);
        let answer = client.generate_mac_stream(parts).await.unwrap();
        let id = answer.metadata().get("x-request-id").unwrap();
        let journal = std::fs::read_to_string(&world.journal).unwrap();
        let line = journal
            .lines()
            .find(|line| line.contains(id.to_str().unwrap()));
        let record: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        assert_eq!(record["rpc"], "pintle.v1.MacService/GenerateMacStream");
        assert_eq!(record["keys"], serde_json::json!([["mac-hmac", 1]]));
    });
}
