//! Keys that a call brings in a key block instead of naming one.

use pintle::domain::key_block::{
    Algorithm, Exportability, Header, Masking, Mode, OptionalBlocks, ProtectionKeys, Usage,
    Version, padding_bytes, wrap,
};
use pintle::domain::pin_block::Format;
use pintle::limits::KEY_REF_BLOCK_CHARS_MAX;
use pintle::service::pb::v1::{
    GenerateMacRequest, KeyRef, PinBlockFormat, Residence, TranslatePinRequest, VerifyMacRequest,
};
use tonic::Code;

use crate::blocks;
use crate::refusal::assert_refused;
use crate::world::{key, world};

/// A block under one of the protection keys of `keys.toml`, of a key of `keys.toml`.
pub fn block(protection: &str, codes: &[u8; 5], value: &str) -> String {
    block_of(protection, codes, &blocks::value(value))
}

/// The same of any key.
pub fn block_of(protection: &str, codes: &[u8; 5], value: &[u8]) -> String {
    let [u0, u1, algorithm, mode, exportability] = *codes;
    let version = match protection {
        "kbpk-tdes" => Version::B,
        _ => Version::D,
    };
    let keys = ProtectionKeys::from_kbpk(version, &blocks::value(protection)).unwrap();
    let header = Header {
        blocks: OptionalBlocks::default(),
        ..Header::new(
            version,
            Usage::new([u0, u1]).unwrap(),
            Algorithm::new([algorithm]).unwrap(),
            Mode::new([mode]).unwrap(),
            Exportability::new([exportability]).unwrap(),
        )
    };
    let random = vec![0x5A; padding_bytes(version, value.len(), Masking::NONE)];
    wrap(&keys, &header, value, Masking::NONE, &random).unwrap()
}
pub fn brought(protection: &str, block: &str) -> Option<KeyRef> {
    Some(KeyRef {
        name: protection.to_owned(),
        key_block: block.to_owned(),
        ..KeyRef::default()
    })
}

const PAN: &str = "4111111111111111";
const MAC_KEY: &[u8; 5] = b"M3TCN";
const PIN_KEY: &[u8; 5] = b"P0TDN";

fn generate(key: Option<KeyRef>) -> GenerateMacRequest {
    GenerateMacRequest {
        key,
        message: b"0200 message".to_vec(),
    }
}

#[test]
fn generate_mac_accepts_a_key_in_a_block_and_answers_what_the_named_key_does() {
    world().run(async |world| {
        let client = world.client().await;
        let named = client
            .generate_mac(generate(key("mac-alg3")))
            .await
            .unwrap();
        let block = block("kbpk-aes", MAC_KEY, "mac-alg3");
        // Twice: opened, then remembered.
        for _ in 0..2 {
            let answer = client
                .generate_mac(generate(brought("kbpk-aes", &block)))
                .await
                .unwrap();
            assert_eq!(answer.mac, named.mac);
            let used = answer.key.unwrap();
            assert_eq!((used.name.as_str(), used.version), ("kbpk-aes", 1));
            assert_eq!(used.key_block_hash.len(), 8);
            assert!(used.residence() == Residence::Process);
        }
        let check = VerifyMacRequest {
            key: brought("kbpk-aes", &block),
            message: b"0200 message".to_vec(),
            mac: named.mac,
        };
        assert!(client.verify_mac(check).await.unwrap().valid);
        let journal = std::fs::read_to_string(&world.journal).unwrap();
        assert!(
            journal.contains("kbpk-aes/"),
            "the journal names the block by its hash"
        );
        assert!(!journal.contains(&block[40..]), "and does not hold it");
    });
}

#[test]
fn translate_pin_accepts_a_terminal_key_in_a_block_under_either_version() {
    world().run(async |world| {
        let client = world.client().await;
        for protection in ["kbpk-aes", "kbpk-tdes"] {
            let block = block(protection, PIN_KEY, "tpk-tdes");
            let pin_block = blocks::encipher("tpk-tdes", Format::Iso0, "1234", PAN);
            let request = |source| TranslatePinRequest {
                source_key: source,
                destination_key: key("zpk-out-tdes-0"),
                source_format: PinBlockFormat::Iso0.into(),
                pan: PAN.to_owned(),
                pin_block: pin_block.clone(),
            };
            let named = client
                .translate_pin(request(key("tpk-tdes")))
                .await
                .unwrap();
            let answer = client
                .translate_pin(request(brought(protection, &block)))
                .await;
            assert_eq!(answer.unwrap().pin_block, named.pin_block, "{protection}");
        }
    });
}

#[test]
fn generate_mac_refuses_every_wrong_block_with_one_answer() {
    world().run(async |world| {
        let client = world.client().await;
        let good = block("kbpk-aes", MAC_KEY, "mac-alg3");
        let mut flipped = good.clone().into_bytes();
        let last = flipped.len() - 1;
        flipped[last] = if flipped[last] == b'0' { b'1' } else { b'0' };
        for wrong in [
            "x".to_owned(),
            good[..good.len() - 1].to_owned(),
            good.replace("M3", "M1"),
            String::from_utf8(flipped).unwrap(),
            format!("B{}", &good[1..]),
            block("kbpk-out", MAC_KEY, "mac-alg3"),
            "D".repeat(KEY_REF_BLOCK_CHARS_MAX + 1),
        ] {
            let answer = client
                .generate_mac(generate(brought("kbpk-aes", &wrong)))
                .await;
            assert_refused(answer, Code::InvalidArgument, "KEY_BLOCK_REJECTED", "key");
        }
    });
}

#[test]
fn generate_mac_refuses_a_thousand_changed_blocks_with_the_same_bytes() {
    use pintle::service::pb::v1::mac_service_client::MacServiceClient;
    world().run(async |world| {
        let good = block("kbpk-aes", MAC_KEY, "mac-alg3");
        let mut client = MacServiceClient::new(world.channel().await);
        let mut answers = std::collections::BTreeSet::new();
        let mut tried = 0;
        for at in 0..good.len() {
            for other in "0123456789ABCDEFGMPRSTX~".chars() {
                let mut changed = good.clone();
                changed.replace_range(at..=at, &other.to_string());
                if changed == good {
                    continue;
                }
                tried += 1;
                let answer = client
                    .generate_mac(generate(brought("kbpk-aes", &changed)))
                    .await;
                let status = crate::refusal::status(answer);
                let message = status.message().to_owned();
                answers.insert((status.code() as i32, message, status.details().to_vec()));
            }
        }
        assert!(tried > 1000);
        assert_eq!(answers.len(), 1, "{answers:?}");
    });
}

#[test]
fn generate_mac_refuses_a_block_whose_key_is_for_something_else() {
    world().run(async |world| {
        let client = world.client().await;
        for (codes, reason) in [
            (b"P0TDN", "KEY_USAGE_REFUSED"),
            (b"M3TVN", "KEY_USAGE_REFUSED"),
            // The protection key's one rule is the retail MAC's.
            (b"M1TCN", "KEY_SPEC_REFUSED"),
            (b"K1TBN", "KEY_NOT_OFFERED"),
            (b"Z9TBN", "KEY_NOT_OFFERED"),
        ] {
            let block = block("kbpk-aes", codes, "mac-alg3");
            let answer = client
                .generate_mac(generate(brought("kbpk-aes", &block)))
                .await;
            let code = match reason {
                "KEY_SPEC_REFUSED" => Code::InvalidArgument,
                _ => Code::FailedPrecondition,
            };
            let field = if reason == "KEY_SPEC_REFUSED" {
                "mac.scheme"
            } else {
                "key"
            };
            assert_refused(answer, code, reason, field);
        }
    });
}

#[test]
fn generate_mac_refuses_a_protection_key_that_only_makes_blocks_or_that_the_caller_may_not_name() {
    world().run(async |world| {
        let client = world.client().await;
        let block = block("kbpk-out", MAC_KEY, "mac-alg3");
        let answer = client
            .generate_mac(generate(brought("kbpk-out", &block)))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = client
            .generate_mac(generate(brought("hidden-kbpk", &block)))
            .await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
        let answer = client
            .generate_mac(generate(brought("mac-alg3", &block)))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}
