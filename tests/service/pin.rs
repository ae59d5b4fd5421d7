//! PinService.

use pintle::client::{Client, Error};
use pintle::config::server::{Acceptance, Environment};
use pintle::domain::pin_block::Format;
use pintle::ops::pin_engine::HostPinEngine;
use pintle::service::pb::v1::pin_service_client::PinServiceClient;
use pintle::service::pb::v1::{KeyRef, Residence, TranslatePinRequest, TranslatePinResponse};
use tonic::Code;

use crate::blocks::{bound, close_8, close_16, close_plain_16, decipher, encipher, open_8, wire};
use crate::refusal::{assert_refused, status};
use crate::world::{key, world};

const PAN: &str = "4012345678909";
const PIN: &str = "8765";

/// Source keys and the format that comes in under each.
const SOURCES: [(&str, Format); 10] = [
    ("tpk-tdes", Format::Iso0),
    ("tpk-tdes", Format::Iso3),
    ("tpk-tdes-iso1", Format::Iso1),
    ("tpk-aes", Format::Iso4),
    ("zpk-in-aes", Format::Iso4),
    ("tpk-sm4", Format::Sm4Fmt4Layout),
    ("tpk-sm4-16", Format::Sm4Unionpay16),
    ("tpk-sm4-8pad", Format::Sm4Unionpay8pad),
    ("tpk-aes-pan12", Format::Iso4Pan12),
    ("tpk-no-pan", Format::X98NoPan),
];

/// Destination keys and the format that goes out under each. The second is an issuer's.
const DESTINATIONS: [(&str, Format); 7] = [
    ("zpk-out-tdes-0", Format::Iso0),
    ("zpk-out-tdes-3", Format::Iso3),
    ("zpk-out-aes", Format::Iso4),
    ("zpk-out-sm4", Format::Sm4Fmt4Layout),
    ("zpk-out-sm4-16", Format::Sm4Unionpay16),
    ("zpk-out-sm4-8pad", Format::Sm4Unionpay8pad),
    ("zpk-out-aes-pan12", Format::Iso4Pan12),
];

/// Where blocks of this format may go: those without PAN not to an issuer's key.
fn destinations_of(format: Format) -> impl Iterator<Item = (&'static str, Format)> {
    DESTINATIONS
        .into_iter()
        .filter(move |(name, _)| format != Format::X98NoPan || *name != "zpk-out-tdes-3")
}

fn ask(source: &str, format: Format, to: &str, pan: &str, block: Vec<u8>) -> TranslatePinRequest {
    TranslatePinRequest {
        source_key: key(source),
        destination_key: key(to),
        source_format: wire(format).into(),
        pan: pan.to_owned(),
        pin_block: block,
    }
}

/// A request that is accepted, to be spoiled.
fn good() -> TranslatePinRequest {
    let block = encipher("tpk-tdes", Format::Iso0, PIN, PAN);
    ask("tpk-tdes", Format::Iso0, "zpk-out-tdes-0", PAN, block)
}

async fn spoiled(
    client: &Client,
    spoil: impl FnOnce(&mut TranslatePinRequest),
) -> Result<TranslatePinResponse, Error> {
    let mut request = good();
    spoil(&mut request);
    client.translate_pin(request).await
}

#[test]
fn translate_pin_accepts_every_pair_the_table_allows_and_the_pin_comes_out() {
    world().run(async |world| {
        let client = world.client().await;
        for pin in ["1234", "987654321098", PIN] {
            for (source, from) in SOURCES {
                for (destination, to) in destinations_of(from) {
                    let block = encipher(source, from, pin, PAN);
                    let request = ask(source, from, destination, PAN, block);
                    let answer = client.translate_pin(request).await.unwrap();
                    assert!(answer.format() == wire(to), "{destination}");
                    let out = decipher(destination, to, PAN, &answer.pin_block);
                    assert_eq!(out.as_deref(), Some(pin), "{source} to {destination}");
                    let used = [answer.source_key, answer.destination_key].map(Option::unwrap);
                    assert_eq!(
                        used.each_ref().map(|used| used.name.as_str()),
                        [source, destination]
                    );
                    assert!(
                        used.iter()
                            .all(|used| used.residence() == Residence::Process)
                    );
                }
            }
        }
    });
}

#[test]
fn translate_pin_accepts_every_pan_length_that_both_formats_bind() {
    world().run(async |world| {
        let client = world.client().await;
        for length in 8..=19 {
            let pan: String = "4929123456789012345".chars().take(length).collect();
            let block = encipher("tpk-aes", Format::Iso4, PIN, &pan);
            let request = ask("tpk-aes", Format::Iso4, "zpk-out-aes", &pan, block.clone());
            let answer = client.translate_pin(request).await.unwrap();
            let out = decipher("zpk-out-aes", Format::Iso4, &pan, &answer.pin_block);
            assert_eq!(out.as_deref(), Some(PIN));
            let request = ask("tpk-aes", Format::Iso4, "zpk-out-tdes-0", &pan, block);
            let answer = client.translate_pin(request).await;
            if length < 13 {
                assert_refused(answer, Code::InvalidArgument, "PAN_LENGTH", "pan");
            } else {
                answer.unwrap();
            }
        }
    });
}

#[test]
fn translate_pin_gives_formats_3_and_4_fresh_fill_every_time() {
    world().run(async |world| {
        let client = world.client().await;
        for destination in ["zpk-out-tdes-3", "zpk-out-aes", "zpk-out-sm4"] {
            let mut seen = std::collections::HashSet::new();
            for _ in 0..32 {
                let request = TranslatePinRequest {
                    destination_key: key(destination),
                    ..good()
                };
                let answer = client.translate_pin(request).await.unwrap();
                assert!(
                    seen.insert(answer.pin_block),
                    "{destination} repeated its fill"
                );
            }
        }
        // Format 0 has no fill: the same PIN and PAN give the same block.
        let first = client.translate_pin(good()).await.unwrap().pin_block;
        assert_eq!(first, client.translate_pin(good()).await.unwrap().pin_block);
    });
}

#[test]
fn translate_pin_carries_digits_it_never_looks_at() {
    world().run(async |world| {
        let client = world.client().await;
        // 4 digits, one of them A: only a verifier may mind.
        let clear = bound("04A234FFFFFFFFFF", PAN);
        let request = ask(
            "tpk-tdes",
            Format::Iso0,
            "zpk-out-tdes-0",
            PAN,
            close_8("tpk-tdes", clear),
        );
        let answer = client.translate_pin(request).await.unwrap();
        assert_eq!(open_8("zpk-out-tdes-0", &answer.pin_block), clear);
        assert_eq!(
            decipher("zpk-out-tdes-0", Format::Iso0, PAN, &answer.pin_block),
            None
        );
    });
}

/// Clear blocks and PIN fields that are wrong in one way each, before the PAN is bound in: control,
/// length, fill, and what stands beside the field.
const UNSOUND: [(Format, &[&str]); 7] = [
    (
        Format::X98NoPan,
        &[
            "141234FFFFFFFFFF",
            "031234FFFFFFFFFF",
            "0D1234567890123F",
            "041234FFFFFFFFFE",
        ],
    ),
    (
        // The digits of PAN stand in these already.
        Format::Sm4Unionpay16,
        &[
            "141234FFFFFFFFFFFFFFBFEDCBA9876F",
            "031234FFFFFFFFFFFFFFBFEDCBA9876F",
            "041234FFFFFFFFFEFFFFBFEDCBA9876F",
            "041234FFFFFFFFFFFFFFFFFFFFFFFFFF",
            "041234FFFFFFFFFFFFFEBFEDCBA9876F",
        ],
    ),
    (
        Format::Sm4Unionpay8pad,
        &[
            "141274EDCBA9876F0000000000000000",
            "031274EDCBA9876F0000000000000000",
            "041274EDCBA9876E0000000000000000",
            "041274EDCBA9876F0000000000000001",
            "041274EDCBA9876F8000000000000000",
        ],
    ),
    (
        Format::Iso0,
        &[
            "141234FFFFFFFFFF",
            "F41234FFFFFFFFFF",
            "031234FFFFFFFFFF",
            "001234FFFFFFFFFF",
            "0D1234567890123F",
            "0F1234FFFFFFFFFF",
            "041234FFFFFFFFFE",
            "0412341FFFFFFFFF",
        ],
    ),
    (
        Format::Iso3,
        &[
            "041234ABCDEFABCD",
            "331234ABCDEFABCD",
            "3D1234ABCDEFABCD",
            "341234ABCDEFABC9",
        ],
    ),
    (
        Format::Iso1,
        &[
            "0412340123456789",
            "131234ABCDEFABCD",
            "1D1234ABCDEFABCD",
            "1F1234ABCDEFABCD",
        ],
    ),
    (
        Format::Iso4,
        &[
            "341234AAAAAAAAAA0123456789ABCDEF",
            "431234AAAAAAAAAA0123456789ABCDEF",
            "4D1234AAAAAAAAAA0123456789ABCDEF",
            "441234AAAAAAAAAB0123456789ABCDEF",
            "441234FAAAAAAAAA0123456789ABCDEF",
        ],
    ),
];

/// Requests with an unsound block: those of [`UNSOUND`], and sound ones of another PAN or key.
fn unsound() -> Vec<TranslatePinRequest> {
    let mut blocks = Vec::new();
    for (format, fields) in UNSOUND {
        for hex in fields {
            let field = hex::decode(hex).unwrap();
            let eight = || <[u8; 8]>::try_from(field.as_slice()).unwrap();
            match format {
                Format::Iso0 | Format::Iso3 => {
                    blocks.push(("tpk-tdes", format, close_8("tpk-tdes", bound(hex, PAN))));
                }
                Format::Iso1 => {
                    blocks.push(("tpk-tdes-iso1", format, close_8("tpk-tdes-iso1", eight())));
                }
                Format::X98NoPan => {
                    blocks.push(("tpk-no-pan", format, close_8("tpk-no-pan", eight())));
                }
                Format::Sm4Unionpay16 => {
                    let clear = field.as_slice().try_into().unwrap();
                    let block = close_plain_16("tpk-sm4-16", clear);
                    blocks.push(("tpk-sm4-16", format, block));
                }
                Format::Sm4Unionpay8pad => {
                    let clear = field.as_slice().try_into().unwrap();
                    let block = close_plain_16("tpk-sm4-8pad", clear);
                    blocks.push(("tpk-sm4-8pad", format, block));
                }
                Format::Iso4 | Format::Sm4Fmt4Layout | Format::Iso4Pan12 => {
                    let field = field.as_slice().try_into().unwrap();
                    blocks.push(("tpk-aes", Format::Iso4, close_16("tpk-aes", field, PAN)));
                    let sm4 = close_16("tpk-sm4", field, PAN);
                    blocks.push(("tpk-sm4", Format::Sm4Fmt4Layout, sm4));
                }
            }
        }
    }
    let other_pan = |key, format| (key, format, encipher(key, format, PIN, "4999999999999"));
    let other_key = |key, format, of| (key, format, encipher(of, format, PIN, PAN));
    blocks.push(other_pan("tpk-tdes", Format::Iso0));
    blocks.push(other_pan("tpk-aes", Format::Iso4));
    blocks.push(other_pan("tpk-sm4-16", Format::Sm4Unionpay16));
    blocks.push(other_pan("tpk-sm4-8pad", Format::Sm4Unionpay8pad));
    blocks.push(other_pan("tpk-aes-pan12", Format::Iso4Pan12));
    blocks.push(other_key("tpk-no-pan", Format::X98NoPan, "tpk-tdes"));
    blocks.push(other_key("tpk-aes", Format::Iso4, "zpk-in-aes"));
    blocks.push(other_key("tpk-tdes", Format::Iso3, "tpk-tdes-iso1"));
    let to_each = |(source, format, block): (&'static str, Format, Vec<u8>)| {
        destinations_of(format)
            .map(move |(destination, _)| ask(source, format, destination, PAN, block.clone()))
    };
    blocks.into_iter().flat_map(to_each).collect()
}

#[test]
fn translate_pin_refuses_every_unsound_block_with_the_same_bytes() {
    world().run(async |world| {
        let mut client = PinServiceClient::new(world.channel().await);
        let mut answers = std::collections::BTreeSet::new();
        for request in unsound() {
            let status = status(client.translate_pin(request).await);
            let code = status.code();
            assert_eq!(code, Code::InvalidArgument);
            answers.insert((
                i32::from(code),
                status.message().to_owned(),
                status.details().to_vec(),
            ));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        let client = world.client().await;
        for request in unsound() {
            let answer = client.translate_pin(request).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "PIN_BLOCK_REJECTED",
                "pin_block",
            );
        }
    });
}

#[test]
fn translate_pin_refuses_a_missing_field_and_names_it() {
    world().run(async |world| {
        let client = world.client().await;
        let missing = |answer, field| {
            assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", field);
        };
        missing(
            spoiled(&client, |it| it.source_key = None).await,
            "source_key",
        );
        missing(
            spoiled(&client, |it| it.source_key = key("")).await,
            "source_key",
        );
        missing(
            spoiled(&client, |it| it.destination_key = None).await,
            "destination_key",
        );
        missing(
            spoiled(&client, |it| it.source_format = 0).await,
            "source_format",
        );
        missing(spoiled(&client, |it| it.pan.clear()).await, "pan");
        missing(
            spoiled(&client, |it| it.pin_block.clear()).await,
            "pin_block",
        );
        let answer = spoiled(&client, |it| it.source_format = 99).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "ENUM_UNKNOWN",
            "source_format",
        );
        let answer = spoiled(&client, |it| it.destination_key = key("ZPK")).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_NAME_MALFORMED",
            "destination_key",
        );
    });
}

#[test]
fn translate_pin_refuses_a_pan_of_the_wrong_length_or_form() {
    world().run(async |world| {
        let client = world.client().await;
        for pan in [
            "1",
            "1234567",
            "401234567890",
            "40123456789012345678",
            &"9".repeat(500),
        ] {
            let answer = spoiled(&client, |it| it.pan = pan.to_owned()).await;
            assert_refused(answer, Code::InvalidArgument, "PAN_LENGTH", "pan");
        }
        for pan in [
            "40123456789O9",
            "4012 34567890",
            "４０１２３",
            "-401234567890",
        ] {
            let answer = spoiled(&client, |it| it.pan = pan.to_owned()).await;
            assert_refused(answer, Code::InvalidArgument, "PAN_MALFORMED", "pan");
        }
    });
}

#[test]
fn translate_pin_refuses_a_block_of_another_length() {
    world().run(async |world| {
        let client = world.client().await;
        for length in [1, 7, 9, 15, 16, 17, 32] {
            let answer = spoiled(&client, |it| it.pin_block = vec![7; length]).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "PIN_BLOCK_LENGTH",
                "pin_block",
            );
        }
        for length in [8, 15, 17] {
            let block = vec![7; length];
            let request = ask("tpk-aes", Format::Iso4, "zpk-out-aes", PAN, block);
            let answer = client.translate_pin(request).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "PIN_BLOCK_LENGTH",
                "pin_block",
            );
        }
    });
}

#[test]
fn translate_pin_refuses_a_format_the_source_key_does_not_list() {
    world().run(async |world| {
        let client = world.client().await;
        // Allowed by the table, off for these keys.
        for (source, format) in [("tpk-tdes", Format::Iso1), ("tpk-tdes-iso1", Format::Iso3)] {
            let request = ask(source, format, "zpk-out-tdes-0", PAN, vec![7; 8]);
            let answer = client.translate_pin(request).await;
            let code = Code::FailedPrecondition;
            assert_refused(answer, code, "PIN_FORMAT_REFUSED", "source_format");
        }
    });
}

#[test]
fn translate_pin_refuses_keys_of_another_usage_mode_or_side() {
    world().run(async |world| {
        let client = world.client().await;
        let code = Code::FailedPrecondition;
        for source in ["zpk-out-tdes-0", "mac-alg3", "sign-sm2"] {
            let answer = spoiled(&client, |it| it.source_key = key(source)).await;
            assert_refused(answer, code, "KEY_USAGE_REFUSED", "source_key");
        }
        // A terminal's key never encrypts: zone to terminal has no way in.
        for destination in ["tpk-tdes", "zpk-in-aes", "mac-alg3"] {
            let answer = spoiled(&client, |it| it.destination_key = key(destination)).await;
            assert_refused(answer, code, "KEY_USAGE_REFUSED", "destination_key");
        }
    });
}

#[test]
fn translate_pin_refuses_an_unknown_key_and_says_which() {
    world().run(async |world| {
        let client = world.client().await;
        let answer = spoiled(&client, |it| it.source_key = key("tpk-nobody")).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "source_key");
        let answer = spoiled(&client, |it| it.destination_key = key("zpk-nobody")).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "destination_key");
        let version = |version| {
            Some(KeyRef {
                name: "tpk-tdes".to_owned(),
                version,
                ..KeyRef::default()
            })
        };
        let answer = spoiled(&client, |it| it.source_key = version(2)).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "source_key");
        spoiled(&client, |it| it.source_key = version(1))
            .await
            .unwrap();
    });
}

#[test]
fn translate_pin_refuses_a_message_larger_than_any_of_its_own() {
    world().run(async |world| {
        let client = world.client().await;
        for length in [4096, 100_000] {
            let answer = spoiled(&client, |it| it.pin_block = vec![7; length]).await;
            assert_refused(answer, Code::InvalidArgument, "MESSAGE_TOO_LARGE", None);
        }
    });
}

#[test]
fn the_host_engine_refuses_production_until_somebody_accepts_it_by_name() {
    world().run(async |world| {
        let engine = |environment, acceptance: Option<&Acceptance>| {
            HostPinEngine::new(environment, acceptance, world.context.fill.clone())
        };
        assert!(engine(Environment::Production, None).is_err());
        assert!(engine(Environment::Test, None).is_ok());
        let sentence = "accepted-by: A. Person, 2026-01-31".to_owned();
        let acceptance = Acceptance::try_from(sentence).unwrap();
        assert!(engine(Environment::Production, Some(&acceptance)).is_ok());
    });
}
