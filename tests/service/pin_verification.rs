//! PinService, the issuer's half: VerifyPin, GeneratePinReference, GeneratePin.

use pintle::client::{Client, Error};
use pintle::domain::pin_block::Format;
use pintle::service::pb::v1::{
    GeneratePinReferenceRequest, GeneratePinRequest, PinBlockFormat, PinChoice,
    TranslatePinRequest, VerifyPinRequest, VerifyPinResponse,
};
use prost::Message;
use tonic::Code;

use crate::blocks::{bound, close_8, decipher, encipher};
use crate::decimalisation::provide;
use crate::refusal::assert_refused;
use crate::world::{World, key, world};

/// Keys under which PINs come in to be verified, and a format of each.
const SOURCES: [(&str, Format, PinBlockFormat); 7] = [
    ("tpk-tdes", Format::Iso0, PinBlockFormat::Iso0),
    ("tpk-tdes", Format::Iso3, PinBlockFormat::Iso3),
    ("tpk-aes", Format::Iso4, PinBlockFormat::Iso4),
    (
        "tpk-sm4",
        Format::Sm4Fmt4Layout,
        PinBlockFormat::Sm4Fmt4Layout,
    ),
    ("zpk-in-aes", Format::Iso4, PinBlockFormat::Iso4),
    ("zpk-issuer-tdes", Format::Iso0, PinBlockFormat::Iso0),
    ("zpk-issuer-aes", Format::Iso4, PinBlockFormat::Iso4),
];

/// Method, and a PIN of its length, and another.
const METHODS: [(&str, &str, &str); 2] = [("visa", "4821", "4822"), ("ibm", "482193", "482194")];

/// A PAN for one test: each card has its own tries.
pub fn pan(test: u64, card: u64) -> String {
    format!("40123{:05}{:05}9", test, card)
}

/// What VerifyPin is asked.
pub fn verification(method: &str, pan: &str, block: Vec<u8>, reference: &str) -> VerifyPinRequest {
    VerifyPinRequest {
        source_key: key("tpk-tdes"),
        verification_key: key(&format!("pvk-{method}-v")),
        source_format: PinBlockFormat::Iso0.into(),
        pan: pan.to_owned(),
        pin_block: block,
        reference: reference.to_owned(),
    }
}

/// What an issuer keeps of a PIN.
pub async fn reference(client: &Client, method: &str, pin: &str, pan: &str) -> String {
    let request = referencing(method, pin, pan);
    let made = client.generate_pin_reference(request).await;
    made.unwrap().reference
}

fn referencing(method: &str, pin: &str, pan: &str) -> GeneratePinReferenceRequest {
    GeneratePinReferenceRequest {
        source_key: key("zpk-issuer-tdes"),
        verification_key: key(&format!("pvk-{method}-g")),
        source_format: PinBlockFormat::Iso0.into(),
        pan: pan.to_owned(),
        pin_block: encipher("zpk-issuer-tdes", Format::Iso0, pin, pan),
    }
}

async fn client(world: &World) -> Client {
    provide(world).await;
    world.client().await
}

#[test]
fn verify_pin_accepts_the_pin_that_a_reference_was_made_of_and_says_no_to_another() {
    world().run(async |world| {
        let client = client(world).await;
        for (method, right, wrong) in METHODS {
            let pan = pan(1, 1);
            let kept = reference(&client, method, right, &pan).await;
            for (source, format, wire) in SOURCES {
                let ask = async |pin| {
                    let block = encipher(source, format, pin, &pan);
                    let request = VerifyPinRequest {
                        source_key: key(source),
                        source_format: wire.into(),
                        ..verification(method, &pan, block, &kept)
                    };
                    client.verify_pin(request).await.unwrap()
                };
                let answer = ask(right).await;
                assert!(answer.valid, "{method} {source}");
                assert_eq!(answer.source_key.unwrap().name, source);
            }
            let block = encipher("tpk-tdes", Format::Iso0, wrong, &pan);
            let request = verification(method, &pan, block, &kept);
            assert!(!client.verify_pin(request).await.unwrap().valid);
        }
    });
}

/// Blocks that are wrong in one way each.
fn wrong_blocks(pin: &str, wrong: &str, pan: &str) -> Vec<Vec<u8>> {
    let rest = "F".repeat(14 - pin.len());
    let length = pin.len();
    let clear = [
        format!("1{length:X}{pin}{rest}"),
        format!("03{pin}{rest}"),
        format!("0D{pin}{rest}"),
        format!("0{length:X}{pin}{}E", &rest[1..]),
        format!("0{length:X}A{}{rest}", &pin[1..]),
    ];
    let mut blocks: Vec<_> = clear
        .iter()
        .map(|clear| close_8("tpk-tdes", bound(clear, pan)))
        .collect();
    let other_pan = "4999999999999999";
    blocks.push(encipher("tpk-tdes", Format::Iso0, pin, other_pan));
    blocks.push(encipher("zpk-issuer-tdes", Format::Iso0, pin, pan));
    blocks.push(encipher("tpk-tdes", Format::Iso3, pin, pan));
    blocks.push(encipher("tpk-tdes", Format::Iso0, &format!("{pin}0"), pan));
    blocks.push(encipher("tpk-tdes", Format::Iso0, wrong, pan));
    blocks
}

#[test]
fn verify_pin_answers_the_same_bytes_whatever_is_wrong() {
    world().run(async |world| {
        let client = client(world).await;
        for (method, right, wrong) in METHODS {
            let mut answers = std::collections::BTreeSet::new();
            for case in 0..wrong_blocks(right, wrong, &pan(2, 0)).len() {
                // Another card each time, so that none runs out of tries.
                let pan = pan(2, u64::try_from(case).unwrap());
                let block = wrong_blocks(right, wrong, &pan).remove(case);
                let kept = reference(&client, method, right, &pan).await;
                let request = verification(method, &pan, block, &kept);
                let answer: VerifyPinResponse = client.verify_pin(request).await.unwrap();
                assert!(!answer.valid, "{method} {case}");
                answers.insert(answer.encode_to_vec());
            }
            assert_eq!(answers.len(), 1, "{method}");
        }
    });
}

#[test]
fn verify_pin_refuses_what_no_pin_decides_and_counts_no_try_for_it() {
    world().run(async |world| {
        let client = client(world).await;
        let pan = pan(3, 1);
        let kept = reference(&client, "visa", "4821", &pan).await;
        let block = encipher("tpk-tdes", Format::Iso0, "4821", &pan);
        let good = verification("visa", &pan, block, &kept);
        let ask = async |spoil: &dyn Fn(&mut VerifyPinRequest)| {
            let mut request = good.clone();
            spoil(&mut request);
            client.verify_pin(request).await
        };
        let (bad, failed) = (Code::InvalidArgument, Code::FailedPrecondition);
        // More often than there are tries.
        for _ in 0..2 {
            for reference in ["123", "12345", "12A4", "１２３４"] {
                let answer = ask(&|it| it.reference = reference.to_owned()).await;
                assert_refused(answer, bad, "PIN_REFERENCE_MALFORMED", "reference");
            }
            let answer = ask(&|it| it.reference.clear()).await;
            assert_refused(answer, bad, "MISSING_FIELD", "reference");
            let answer = ask(&|it| {
                it.source_key = key("tpk-tdes-iso1");
                it.source_format = PinBlockFormat::Iso1.into();
            })
            .await;
            assert_refused(answer, failed, "PIN_FORMAT_UNBOUND", "source_format");
            let answer = ask(&|it| it.source_format = PinBlockFormat::Iso4.into()).await;
            assert_refused(answer, failed, "PIN_FORMAT_REFUSED", "source_format");
            let answer = ask(&|it| it.pin_block.push(0)).await;
            assert_refused(answer, bad, "PIN_BLOCK_LENGTH", "pin_block");
            let answer = ask(&|it| it.pan = "401234567890".to_owned()).await;
            assert_refused(answer, bad, "PAN_LENGTH", "pan");
            for other in ["pvk-visa-g", "tpk-tdes", "mac-alg3"] {
                let answer = ask(&|it| it.verification_key = key(other)).await;
                assert_refused(answer, failed, "KEY_USAGE_REFUSED", "verification_key");
            }
            for other in ["zpk-out-tdes-0", "pvk-visa-v"] {
                let answer = ask(&|it| it.source_key = key(other)).await;
                assert_refused(answer, failed, "KEY_USAGE_REFUSED", "source_key");
            }
            let reason = "DECIMALISATION_TABLE_UNKNOWN";
            let answer = ask(&|it| it.verification_key = key("pvk-ibm-orphan")).await;
            assert_refused(answer, failed, reason, "verification_key");
        }
        assert!(ask(&|_| ()).await.unwrap().valid);
    });
}

#[test]
fn verify_pin_refuses_after_five_wrong_pins_of_a_card_also_the_right_one() {
    world().run(async |world| {
        let client = client(world).await;
        let (mine, other) = (pan(4, 1), pan(4, 2));
        let spent = |answer: Result<VerifyPinResponse, Error>| {
            assert_refused(answer, Code::ResourceExhausted, "PIN_TRIES_SPENT", None);
        };
        let kept = reference(&client, "visa", "4821", &mine).await;
        let ask = async |pin: &str, pan: &str| {
            let block = encipher("tpk-tdes", Format::Iso0, pin, pan);
            client
                .verify_pin(verification("visa", pan, block, &kept))
                .await
        };
        for _ in 0..12 {
            assert!(
                ask("4821", &mine).await.unwrap().valid,
                "right PINs cost nothing"
            );
        }
        for _ in 0..5 {
            assert!(!ask("4822", &mine).await.unwrap().valid);
        }
        for pin in ["4822", "4821", "0000"] {
            spent(ask(pin, &mine).await);
        }
        // Another card, and the same one under another key, have tries of their own.
        assert!(!ask("1111", &other).await.unwrap().valid);
        let kept = reference(&client, "ibm", "482193", &mine).await;
        let block = encipher("tpk-tdes", Format::Iso0, "482193", &mine);
        let request = verification("ibm", &mine, block, &kept);
        assert!(client.verify_pin(request).await.unwrap().valid);
    });
}

#[test]
fn generate_pin_reference_accepts_blocks_of_every_bound_format_and_makes_one_reference() {
    world().run(async |world| {
        let client = client(world).await;
        for (method, pin, _) in METHODS {
            let pan = pan(5, 1);
            let first = reference(&client, method, pin, &pan).await;
            assert_eq!(first.len(), pin.len());
            for (source, format, wire) in [
                ("zpk-issuer-tdes", Format::Iso3, PinBlockFormat::Iso3),
                ("zpk-issuer-aes", Format::Iso4, PinBlockFormat::Iso4),
            ] {
                let request = GeneratePinReferenceRequest {
                    source_key: key(source),
                    source_format: wire.into(),
                    pin_block: encipher(source, format, pin, &pan),
                    ..referencing(method, pin, &pan)
                };
                let made = client.generate_pin_reference(request).await.unwrap();
                assert_eq!(made.reference, first, "{source}");
            }
        }
    });
}

#[test]
fn generate_pin_reference_refuses_other_keys_unsound_blocks_and_more_than_five_a_day() {
    world().run(async |world| {
        let client = client(world).await;
        let failed = Code::FailedPrecondition;
        let pan = pan(6, 1);
        let ask = async |spoil: &dyn Fn(&mut GeneratePinReferenceRequest)| {
            let mut request = referencing("visa", "4821", &pan);
            spoil(&mut request);
            client.generate_pin_reference(request).await
        };
        // Whoever verifies makes no references, and a key whose PINs may go out again takes none in
        // for one.
        let answer = ask(&|it| it.verification_key = key("pvk-visa-v")).await;
        assert_refused(answer, failed, "KEY_USAGE_REFUSED", "verification_key");
        for other in ["tpk-tdes", "zpk-in-aes", "zpk-out-tdes-0"] {
            let answer = ask(&|it| it.source_key = key(other)).await;
            assert_refused(answer, failed, "KEY_USAGE_REFUSED", "source_key");
        }
        let answer = ask(&|it| it.source_format = PinBlockFormat::Iso1.into()).await;
        assert_refused(answer, failed, "PIN_FORMAT_UNBOUND", "source_format");
        // A PIN of five digits, and a block of another card.
        for block in [
            encipher("zpk-issuer-tdes", Format::Iso0, "48213", &pan),
            encipher("zpk-issuer-tdes", Format::Iso0, "4821", "4999999999999999"),
        ] {
            let answer = ask(&|it| it.pin_block.clone_from(&block)).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "PIN_BLOCK_REJECTED",
                "pin_block",
            );
        }
        for _ in 0..3 {
            ask(&|_| ()).await.unwrap();
        }
        let answer = ask(&|_| ()).await;
        assert_refused(answer, Code::ResourceExhausted, "PIN_TRIES_SPENT", None);
    });
}

fn generation(method: &str, pan: &str, choice: PinChoice) -> GeneratePinRequest {
    GeneratePinRequest {
        destination_key: key("zpk-out-aes"),
        verification_key: key(&format!("pvk-{method}-g")),
        pan: pan.to_owned(),
        choice: choice.into(),
    }
}

#[test]
fn generate_pin_accepts_and_what_it_made_verifies() {
    world().run(async |world| {
        let client = client(world).await;
        let pan = pan(7, 1);
        for (method, pin, _) in METHODS {
            let mut pins = std::collections::BTreeSet::new();
            for _ in 0..20 {
                let request = generation(method, &pan, PinChoice::Random);
                let made = client.generate_pin(request).await.unwrap();
                assert!(made.format() == PinBlockFormat::Iso4);
                let clear = decipher("zpk-out-aes", Format::Iso4, &pan, &made.pin_block);
                let clear = clear.unwrap();
                assert_eq!(clear.len(), pin.len());
                let block = encipher("tpk-tdes", Format::Iso0, &clear, &pan);
                let request = verification(method, &pan, block, &made.reference);
                assert!(client.verify_pin(request).await.unwrap().valid);
                pins.insert(clear);
            }
            assert!(pins.len() > 10, "{pins:?}");
        }
        let request = generation("ibm", &pan, PinChoice::Natural);
        let made = client.generate_pin(request.clone()).await.unwrap();
        let again = client.generate_pin(request).await.unwrap();
        assert_eq!(made.reference, "000000");
        let clear = |block: &[u8]| decipher("zpk-out-aes", Format::Iso4, &pan, block).unwrap();
        assert_eq!(clear(&made.pin_block), clear(&again.pin_block));
        assert_ne!(made.pin_block, again.pin_block, "the fill is fresh");
    });
}

#[test]
fn generate_pin_refuses_other_keys_a_natural_pin_of_a_pvv_and_no_choice() {
    world().run(async |world| {
        let client = client(world).await;
        let pan = pan(8, 1);
        let failed = Code::FailedPrecondition;
        let answer = client
            .generate_pin(generation("visa", &pan, PinChoice::Natural))
            .await;
        assert_refused(answer, failed, "NO_NATURAL_PIN", "choice");
        let answer = client
            .generate_pin(generation("ibm", &pan, PinChoice::Unspecified))
            .await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "choice");
        let mut request = generation("ibm", &pan, PinChoice::Random);
        request.choice = 77;
        let answer = client.generate_pin(request).await;
        assert_refused(answer, Code::InvalidArgument, "ENUM_UNKNOWN", "choice");
        for (destination, field) in [
            ("tpk-tdes", "destination_key"),
            ("pvk-ibm-g", "destination_key"),
        ] {
            let request = GeneratePinRequest {
                destination_key: key(destination),
                ..generation("ibm", &pan, PinChoice::Random)
            };
            let answer = client.generate_pin(request).await;
            assert_refused(answer, failed, "KEY_USAGE_REFUSED", field);
        }
        let request = GeneratePinRequest {
            verification_key: key("pvk-ibm-v"),
            ..generation("ibm", &pan, PinChoice::Random)
        };
        let answer = client.generate_pin(request).await;
        assert_refused(answer, failed, "KEY_USAGE_REFUSED", "verification_key");
    });
}

#[test]
fn what_came_in_for_the_issuer_never_goes_out_again() {
    world().run(async |world| {
        let client = world.client().await;
        let pan = pan(9, 1);
        let answer = client
            .translate_pin(TranslatePinRequest {
                source_key: key("zpk-issuer-tdes"),
                destination_key: key("zpk-out-tdes-0"),
                source_format: PinBlockFormat::Iso0.into(),
                pin_block: encipher("zpk-issuer-tdes", Format::Iso0, "4821", &pan),
                pan,
            })
            .await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KEY_USAGE_REFUSED",
            "source_key",
        );
    });
}
