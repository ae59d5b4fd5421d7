//! DUKPT through the calls: derived keys as source and destination of PINs and for MACs, what a KSN
//! must be; in `keys`, that the call and never the request says which key of a transaction is used; in
//! `replay`, that a KSN comes once where the policy says so; in `verification`, PINs to be verified.
//!
//! The devices are the library's own derivation from the test values; that this is DUKPT is shown by
//! the vector files.

mod keys;
mod replay;
mod verification;

use pintle::domain::cipher::PinCipher;
use pintle::domain::dukpt::{KeyType, Purpose, aes, tdes};
use pintle::domain::mac::{MacKey, Padding, Rule, Scheme, generate};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};
use pintle::service::pb::v1::{
    GenerateMacRequest, KeyRef, PinBlockFormat, Residence, TranslatePinRequest, VerifyMacRequest,
};
use tonic::Code;

use crate::blocks;
use crate::key_block::{block, brought};
use crate::refusal::assert_refused;
use crate::world::{key, world};

const PAN: &str = "4111111111111111";
const MESSAGE: &[u8] = b"0200 message of a device";

/// A KSN of a TDES device, or of an AES one, by the base key's name.
fn ksn(base: &str, device: u8, counter: u32) -> Vec<u8> {
    let counter_bytes = counter.to_be_bytes();
    if is_tdes(base) {
        let mut ksn = vec![0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, device];
        ksn.extend([0xE0 | counter_bytes[1], counter_bytes[2], counter_bytes[3]]);
        return ksn;
    }
    [
        &[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, device][..],
        &counter_bytes,
    ]
    .concat()
}

fn is_tdes(base: &str) -> bool {
    ["bdk-tdes", "bdk-both-ways"].contains(&base)
}

fn derived(base: &str, ksn: &[u8]) -> Option<KeyRef> {
    Some(KeyRef {
        ksn: ksn.to_vec(),
        ..key(base).unwrap()
    })
}

/// What the device with this KSN holds for a purpose.
fn device_key(base: &str, ksn: &[u8], purpose: Purpose, kind: KeyType) -> Vec<u8> {
    let value = blocks::value(base);
    let derived = if is_tdes(base) {
        let ksn = tdes::Ksn::parse(ksn).unwrap();
        let initial = tdes::BaseKey::new(&value).unwrap().initial_key(ksn.id());
        initial.transaction_key(&ksn).working_key(purpose)
    } else {
        let ksn = aes::Ksn::parse(ksn).unwrap();
        let initial = aes::BaseKey::new(&value).unwrap().initial_key(ksn.id());
        let transaction = initial.transaction_key(&ksn);
        transaction.working_key(purpose.into(), kind).unwrap()
    };
    derived.expose_secret().to_vec()
}

/// The PIN keys of the base keys' devices, and a format that goes with them.
const PIN_KEYS: [(&str, KeyType, Format); 4] = [
    ("bdk-tdes", KeyType::Tdes2, Format::Iso0),
    ("bdk-tdes", KeyType::Tdes2, Format::Iso3),
    ("bdk-aes", KeyType::Aes256, Format::Iso4),
    ("bdk-aes-mixed", KeyType::Tdes3, Format::Iso0),
];

fn pin_cipher(base: &str, ksn: &[u8]) -> PinCipher {
    let mut kinds = PIN_KEYS.iter().filter(|(name, _, _)| *name == base);
    let kind = kinds.next().map_or(KeyType::Aes128, |(_, kind, _)| *kind);
    let value = device_key(base, ksn, Purpose::Pin, kind);
    PinCipher::new(kind.block_algorithm().unwrap(), &value).unwrap()
}

fn pin_in(base: &str, ksn: &[u8], format: Format, pin: &str) -> Vec<u8> {
    let cipher = pin_cipher(base, ksn);
    let framing = Framing {
        format,
        cipher: &cipher,
    };
    let (pin, pan) = (Pin::parse(pin).unwrap(), Pan::parse(PAN).unwrap());
    let block = pin_block::encipher(framing, &pin, &pan, &[0x5A; 8]).unwrap();
    block.as_bytes().to_vec()
}

fn pin_out(base: &str, ksn: &[u8], format: Format, block: &[u8]) -> String {
    let cipher = pin_cipher(base, ksn);
    let framing = Framing {
        format,
        cipher: &cipher,
    };
    let pin = pin_block::decipher(framing, &Pan::parse(PAN).unwrap(), block).unwrap();
    pin.expose_digits(|digits| String::from_utf8(digits.to_vec()).unwrap())
}

fn wire(format: Format) -> PinBlockFormat {
    match format {
        Format::Iso0 => PinBlockFormat::Iso0,
        Format::Iso3 => PinBlockFormat::Iso3,
        _ => PinBlockFormat::Iso4,
    }
}

fn translation(
    source: Option<KeyRef>,
    format: Format,
    destination: Option<KeyRef>,
    pin_block: Vec<u8>,
) -> TranslatePinRequest {
    TranslatePinRequest {
        source_key: source,
        destination_key: destination,
        source_format: wire(format).into(),
        pan: PAN.to_owned(),
        pin_block,
    }
}

/// The MAC keys of the base keys' devices, with the rule of their policy.
fn mac_of(base: &str, ksn: &[u8], purpose: Purpose) -> Vec<u8> {
    let (kind, scheme, padding, length) = match base {
        "bdk-tdes" => (
            KeyType::Tdes2,
            Scheme::Iso9797Alg3Des,
            Some(Padding::Method2),
            8,
        ),
        "bdk-both-ways" => (
            KeyType::Tdes2,
            Scheme::Iso9797Alg3Des,
            Some(Padding::Method1),
            4,
        ),
        "bdk-aes" => (KeyType::Aes128, Scheme::CmacAes, None, 16),
        "bdk-aes-mixed" => (KeyType::Hmac128, Scheme::HmacSha256, None, 32),
        "bdk-once" => (KeyType::Aes128, Scheme::CmacAes, None, 8),
        "bdk-window" => (KeyType::Aes192, Scheme::CmacAes, None, 8),
        other => panic!("{other} has no MAC keys"),
    };
    let key = MacKey::new(scheme, &device_key(base, ksn, purpose, kind)).unwrap();
    let rule = Rule::new(scheme, padding, length).unwrap();
    generate(&key, &rule, MESSAGE).unwrap().as_bytes().to_vec()
}

fn check(key: Option<KeyRef>, mac: &[u8]) -> VerifyMacRequest {
    VerifyMacRequest {
        key,
        message: MESSAGE.to_vec(),
        mac: mac.to_vec(),
    }
}

fn make(key: Option<KeyRef>) -> GenerateMacRequest {
    GenerateMacRequest {
        key,
        message: MESSAGE.to_vec(),
    }
}

/// The first counters, one with as many one-bits as there may be, and the last.
fn counters(base: &str) -> Vec<u32> {
    match is_tdes(base) {
        true => vec![1, 2, 3, 0x0003FF, 0x0FF801, 0x1FF800],
        false => vec![1, 2, 3, 0x0000_FFFF, 0x8000_7FFF, 0xFFFF_0000],
    }
}

#[test]
fn translate_pin_accepts_every_device_as_source_to_every_zone() {
    world().run(async |world| {
        let client = world.client().await;
        for (base, _, format) in PIN_KEYS {
            for counter in counters(base) {
                let ksn = ksn(base, 1, counter);
                for (zone, to) in [
                    ("zpk-out-tdes-0", Format::Iso0),
                    ("zpk-out-aes", Format::Iso4),
                ] {
                    let sent = pin_in(base, &ksn, format, "73951");
                    let asked = translation(derived(base, &ksn), format, key(zone), sent);
                    let answer = client.translate_pin(asked).await.unwrap();
                    let pin = blocks::decipher(zone, to, PAN, &answer.pin_block);
                    assert_eq!(pin.as_deref(), Some("73951"), "{base} {counter:X} {zone}");
                    let used = answer.source_key.unwrap();
                    assert_eq!((used.name.as_str(), used.version), (base, 1));
                    assert!(used.residence() == Residence::Process);
                }
            }
        }
    });
}

#[test]
fn translate_pin_accepts_one_device_as_source_and_another_as_destination() {
    world().run(async |world| {
        let client = world.client().await;
        for (base, _, format) in PIN_KEYS {
            for (to, out) in [("bdk-tdes", Format::Iso0), ("bdk-aes", Format::Iso4)] {
                let (from_ksn, to_ksn) = (ksn(base, 2, 9), ksn(to, 3, 77));
                let sent = pin_in(base, &from_ksn, format, "4821");
                let asked =
                    translation(derived(base, &from_ksn), format, derived(to, &to_ksn), sent);
                let answer = client.translate_pin(asked).await.unwrap();
                assert_eq!(pin_out(to, &to_ksn, out, &answer.pin_block), "4821");
            }
        }
    });
}

#[test]
fn translate_pin_refuses_a_device_as_destination_of_any_pin_that_came_from_none() {
    world().run(async |world| {
        let client = world.client().await;
        for (source, format) in [
            ("tpk-tdes", Format::Iso0),
            ("tpk-aes", Format::Iso4),
            ("zpk-in-aes", Format::Iso4),
        ] {
            for to in ["bdk-tdes", "bdk-aes", "bdk-once"] {
                let sent = blocks::encipher(source, format, "1234", PAN);
                let to = derived(to, &ksn(to, 4, 1));
                let asked = translation(key(source), format, to, sent);
                let answer = client.translate_pin(asked).await;
                let (code, field) = (Code::FailedPrecondition, "destination_key");
                assert_refused(answer, code, "KEY_USAGE_REFUSED", field);
            }
        }
        // A base key whose policy names no output is no destination of anything.
        let (from, to) = (ksn("bdk-tdes", 4, 1), ksn("bdk-aes-mixed", 4, 1));
        let sent = pin_in("bdk-tdes", &from, Format::Iso0, "1234");
        let to = derived("bdk-aes-mixed", &to);
        let asked = translation(derived("bdk-tdes", &from), Format::Iso0, to, sent);
        let answer = client.translate_pin(asked).await;
        let (code, field) = (Code::FailedPrecondition, "destination_key");
        assert_refused(answer, code, "KEY_USAGE_REFUSED", field);
    });
}

#[test]
fn translate_pin_refuses_a_block_of_another_transaction_or_device_with_the_one_answer() {
    world().run(async |world| {
        let client = world.client().await;
        for (base, _, format) in PIN_KEYS {
            let sent = pin_in(base, &ksn(base, 1, 5), format, "1234");
            let mut refused = 0;
            for other in [ksn(base, 1, 6), ksn(base, 1, 4), ksn(base, 2, 5)] {
                let asked = translation(
                    derived(base, &other),
                    format,
                    key("zpk-out-aes"),
                    sent.clone(),
                );
                let answer = client.translate_pin(asked).await;
                // Format 0 under a wrong key is sound once in about 2^16 times; these values are not.
                let (code, field) = (Code::InvalidArgument, "pin_block");
                assert_refused(answer, code, "PIN_BLOCK_REJECTED", field);
                refused += 1;
            }
            assert_eq!(refused, 3);
        }
    });
}

#[test]
fn verify_mac_accepts_what_the_device_made_and_generate_mac_makes_what_it_checks() {
    world().run(async |world| {
        let client = world.client().await;
        for base in ["bdk-tdes", "bdk-aes", "bdk-aes-mixed"] {
            for counter in counters(base) {
                let ksn = ksn(base, 1, counter);
                let request = mac_of(base, &ksn, Purpose::MacRequest);
                let response = mac_of(base, &ksn, Purpose::MacResponse);
                let asked = check(derived(base, &ksn), &request);
                let answer = client.verify_mac(asked).await.unwrap();
                assert!(answer.valid, "{base} {counter:X}");
                assert!(answer.key.unwrap().residence() == Residence::Process);
                let made = client
                    .generate_mac(make(derived(base, &ksn)))
                    .await
                    .unwrap();
                assert_eq!(made.mac, response, "{base} {counter:X}");
                // Our own answer sent back to us is no request, nor is that of another transaction.
                for mac in [
                    response,
                    mac_of(base, &self::ksn(base, 1, 7), Purpose::MacRequest),
                ] {
                    let answer = client.verify_mac(check(derived(base, &ksn), &mac)).await;
                    assert!(!answer.unwrap().valid, "{base} {counter:X}");
                }
            }
        }
    });
}

/// The control of the test above: devices that do not tell the two ways apart can be answered with
/// their own messages.
#[test]
fn verify_mac_accepts_our_own_answer_where_both_ways_share_a_key() {
    world().run(async |world| {
        let client = world.client().await;
        let ksn = ksn("bdk-both-ways", 1, 1);
        let made = client
            .generate_mac(make(derived("bdk-both-ways", &ksn)))
            .await;
        let made = made.unwrap().mac;
        assert_eq!(made, mac_of("bdk-both-ways", &ksn, Purpose::MacBothWays));
        let asked = check(derived("bdk-both-ways", &ksn), &made);
        assert!(client.verify_mac(asked).await.unwrap().valid);
    });
}

#[test]
fn verify_mac_refuses_every_ksn_that_no_device_sends() {
    world().run(async |world| {
        let client = world.client().await;
        for base in ["bdk-tdes", "bdk-aes"] {
            let mac = vec![0; if is_tdes(base) { 8 } else { 16 }];
            let good = ksn(base, 1, 1);
            for length in (1..=32).filter(|length| *length != good.len()) {
                let wrong: Vec<u8> = good.iter().copied().cycle().take(length).collect();
                let answer = client.verify_mac(check(derived(base, &wrong), &mac)).await;
                assert_refused(answer, Code::InvalidArgument, "KSN_MALFORMED", "key.ksn");
            }
            let bits = if is_tdes(base) { 21 } else { 32 };
            let most = if is_tdes(base) { 10 } else { 16 };
            for ones in 0..=bits {
                let low = u32::MAX.checked_shr(32 - ones).unwrap_or(0);
                for counter in [low, low << (bits - ones).min(31)] {
                    let sent = derived(base, &ksn(base, 1, counter));
                    let answer = client.verify_mac(check(sent, &mac)).await;
                    if (1..=most).contains(&counter.count_ones()) {
                        assert!(!answer.unwrap().valid, "{base} {counter:X}");
                    } else {
                        let code = Code::InvalidArgument;
                        assert_refused(answer, code, "KSN_COUNTER_REFUSED", "key.ksn");
                    }
                }
            }
        }
    });
}

#[test]
fn generate_mac_refuses_a_base_key_without_a_ksn_and_any_other_key_with_one() {
    world().run(async |world| {
        let client = world.client().await;
        for base in ["bdk-tdes", "bdk-aes", "bdk-aes-mixed", "bdk-once"] {
            let answer = client.generate_mac(make(key(base))).await;
            assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key.ksn");
        }
        for (other, ksn) in [
            ("mac-alg3", ksn("bdk-tdes", 1, 1)),
            ("mac-cmac-aes", ksn("bdk-aes", 1, 1)),
        ] {
            let answer = client.generate_mac(make(derived(other, &ksn))).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "FIELD_SUPERFLUOUS",
                "key.ksn",
            );
        }
        let sent = blocks::encipher("tpk-tdes", Format::Iso0, "1234", PAN);
        for (source, to, field) in [
            (
                derived("tpk-tdes", &ksn("bdk-tdes", 1, 1)),
                key("zpk-out-aes"),
                "source_key.ksn",
            ),
            (
                key("tpk-tdes"),
                derived("zpk-out-aes", &ksn("bdk-tdes", 1, 1)),
                "destination_key.ksn",
            ),
        ] {
            let asked = translation(source, Format::Iso0, to, sent.clone());
            let answer = client.translate_pin(asked).await;
            assert_refused(answer, Code::InvalidArgument, "FIELD_SUPERFLUOUS", field);
        }
        let asked = translation(key("bdk-tdes"), Format::Iso0, key("zpk-out-aes"), sent);
        let answer = client.translate_pin(asked).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MISSING_FIELD",
            "source_key.ksn",
        );
        let nobodys = derived("bdk-nobody-made", &ksn("bdk-aes", 1, 1));
        let answer = client.generate_mac(make(nobodys)).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
    });
}

#[test]
fn translate_pin_refuses_a_family_that_the_base_key_does_not_derive() {
    world().run(async |world| {
        let client = world.client().await;
        let ksn = ksn("bdk-both-ways", 1, 1);
        let source = derived("bdk-both-ways", &ksn);
        let asked = translation(source, Format::Iso0, key("zpk-out-aes"), vec![0; 8]);
        let answer = client.translate_pin(asked).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KEY_USAGE_REFUSED",
            "source_key",
        );
    });
}

#[test]
fn verify_mac_accepts_a_base_key_in_a_block() {
    world().run(async |world| {
        let client = world.client().await;
        let held = block("kbpk-aes", b"B0TXN", "bdk-tdes");
        let by_block = |ksn: &[u8]| {
            Some(KeyRef {
                ksn: ksn.to_vec(),
                ..brought("kbpk-aes", &held).unwrap()
            })
        };
        for counter in counters("bdk-tdes") {
            let ksn = ksn("bdk-tdes", 5, counter);
            let mac = mac_of("bdk-tdes", &ksn, Purpose::MacRequest);
            let answer = client
                .verify_mac(check(by_block(&ksn), &mac))
                .await
                .unwrap();
            assert!(answer.valid, "{counter:X}");
            assert_eq!(answer.key.unwrap().key_block_hash.len(), 8);
            let sent = pin_in("bdk-tdes", &ksn, Format::Iso0, "1234");
            let asked = translation(by_block(&ksn), Format::Iso0, key("zpk-out-aes"), sent);
            client.translate_pin(asked).await.unwrap();
        }
        let answer = client
            .verify_mac(check(brought("kbpk-aes", &held), &[0; 8]))
            .await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key.ksn");
    });
}

#[test]
fn verify_mac_refuses_a_base_key_in_a_block_whose_protection_key_says_nothing_of_what_it_derives() {
    world().run(async |world| {
        let client = world.client().await;
        let held = block("kbpk-tdes", b"B0TXN", "bdk-tdes");
        let key = Some(KeyRef {
            ksn: ksn("bdk-tdes", 5, 1),
            ..brought("kbpk-tdes", &held).unwrap()
        });
        let answer = client.verify_mac(check(key, &[0; 8])).await;
        assert_refused(answer, Code::InvalidArgument, "KEY_SPEC_REFUSED", "dukpt");
    });
}
