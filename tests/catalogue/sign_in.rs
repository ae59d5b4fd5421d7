//! A terminal's sign-in under a master key that never leaves the token.

use std::path::Path;

use pintle::domain::check_value::{Method, compute_by};
use pintle::hsm;
use pintle::keys::act::Act;
use pintle::keys::attributes::{Algorithm, Environment, Mode, Usage};
use pintle::keys::error::Error;
use pintle::keys::exchange::intake::{Cryptogram, import_cryptogram};
use pintle::keys::exchange::{Wanted, open};
use pintle::keys::grant::{Grant, Operation};
use pintle::keys::key_policy::KeyPolicy;
use pintle::keys::key_ref::KeyName;
use pintle::keys::policy::grant;
use pintle::keys::sign_in::{Terminal, WorkingKey, sign_in};
use pintle::keys::template::Template;

use crate::desk::{Desk, everything};
use crate::place::{Kind, Place};

const KEYS: &str = r#"
[[key]]
name = "tmk"
usage = "key_encryption"
mode = "encrypt_and_decrypt"
side = "terminal"
algorithm = "TDES-2"
pin = { inputs = ["ISO_0"] }
mac = { scheme = "ISO9797_1_ALG3_DES", length = 8, padding = 2 }
cryptogram = { usages = ["pin_encryption", "mac_iso9797_1_alg3", "data_encryption"] }
sign_in = { layout = "UNIONPAY_003_DOUBLE_MAC" }

[[key]]
name = "kbpk"
usage = "key_block_protection"
mode = "encrypt_and_decrypt"
algorithm = "AES-256"
"#;

pub fn a_terminal_signs_in_under_a_master_key_in_the_token(place: &Place) {
    let desk = Desk::set_up(place);
    let applied = desk.apply(&Template::parse(Path::new("keys.toml"), KEYS).unwrap());
    if place.kind == Kind::Embedded {
        // It has no DES, so no TDES master key either.
        assert!(matches!(
            applied,
            Err(Error::TokenUnavailable(hsm::Error::NotOffered(_)))
        ));
        return;
    }
    applied.unwrap();
    let terminal = Terminal::Cryptograms(granted(&desk, "tmk"));
    let protection = granted(&desk, "kbpk");
    let act = Act::operator();
    let signing_in = sign_in(&desk.catalogue, &terminal, &protection, &act);
    let signed_in = desk.runtime.block_on(signing_in).unwrap();
    let usages: Vec<Usage> = signed_in.keys.iter().map(|key| key.usage).collect();
    assert_eq!(usages, [Usage::PinEncryption, Usage::MacAlgorithm3]);
    assert_eq!(signed_in.field_62.len(), 40);
    for key in &signed_in.keys {
        let kept = open(
            &granted(&desk, "kbpk"),
            Environment::Test,
            &key.key_block,
            0,
        );
        let value = kept.unwrap().value;
        let shown = compute_by(Method::TdesZero, value.expose_secret(), 4).unwrap();
        assert_eq!(key.check_value, shown.as_bytes());
        // What the token encrypted, it decrypts to the same key, as the terminal does.
        assert_eq!(
            taken_in(&desk, key, key.usage).unwrap(),
            shown.as_bytes()[..3]
        );
        let other = match key.usage {
            Usage::PinEncryption => Usage::DataEncryption,
            _ => Usage::PinEncryption,
        };
        let error = taken_in(&desk, key, other).unwrap_err();
        assert!(matches!(error, Error::CryptogramReused), "{error}");
    }
}

fn granted<O: Operation>(desk: &Desk, name: &str) -> Grant<O> {
    let key = desk.resolve(&desk.catalogue, name).unwrap();
    grant(&everything(), key).unwrap()
}

/// The check value of a cryptogram that comes in as a key of this usage.
fn taken_in(desk: &Desk, key: &WorkingKey, usage: Usage) -> Result<Vec<u8>, Error> {
    let mode = match usage {
        Usage::MacAlgorithm3 => Mode::GenerateAndVerify,
        _ => Mode::Decrypt,
    };
    let own = granted::<pintle::keys::grant::GiveCryptogram>(desk, "tmk");
    let own = &own.header().policy;
    let policy = KeyPolicy {
        pin_inputs: match usage {
            Usage::PinEncryption => own.pin_inputs,
            _ => KeyPolicy::default().pin_inputs,
        },
        mac: own.mac.filter(|_| usage == Usage::MacAlgorithm3),
        ..KeyPolicy::default()
    };
    let cryptogram = Cryptogram {
        bytes: &key.cryptogram,
        check_value: &key.check_value,
        wanted: Wanted {
            name: KeyName::parse("unnamed").unwrap(),
            usage: Some(usage),
            mode: Some(mode),
            side: None,
            algorithm: Some(Algorithm::Tdes2),
            exportable: false,
            residence: None,
            policy,
        },
    };
    let (parent, protection) = (granted(desk, "tmk"), granted(desk, "kbpk"));
    let act = Act::operator();
    let importing = import_cryptogram(&desk.catalogue, &parent, &protection, cryptogram, &act);
    Ok(desk.runtime.block_on(importing)?.check_value)
}
