//! A key that custodians entered at the HSM's console: its record and minutes, only for the very key
//! that was written down, and only where it is as safe as one that Pintle makes.
//!
//! The console is a process of its own: one PKCS#11 module serves one token folder in a process.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle::domain::check_value;
use pintle::domain::cipher::BlockAlgorithm;
use pintle::hsm::{Module, SecretKind, SecretUse, Token, TokenConfig};
use pintle::secret::Secret;

use crate::hall::{Hall, Kind, ZMK};

const FOLDER: &str = "PINTLE_TEST_CONSOLE";
const OBJECT: [u8; 16] = *b"console's object";
const OTHER_USE: [u8; 16] = *b"another use's ob";

fn value() -> Vec<u8> {
    (0..16).map(|at: u8| at.wrapping_mul(37) ^ 0x5B).collect()
}

/// Not a test by itself: the console, where another of these tests starts it.
#[test]
fn console() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let pin = std::fs::read_to_string(folder.join("user.pin")).unwrap();
    let config = TokenConfig {
        module: Module::softhsm().unwrap(),
        label: "pintle-ceremony".to_owned(),
        pin: Arc::new(Secret::new(pin.trim().to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: pintle::limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    let token = Token::open(&config).unwrap();
    let soon = Instant::now() + Duration::from_secs(30);
    for (object, used) in [(OBJECT, SecretUse::Ecb), (OTHER_USE, SecretUse::Cmac)] {
        let value = Secret::new(value());
        let entered = token.import_secret(soon, object, SecretKind::Tdes2, used, value);
        entered.wait().unwrap();
    }
}

fn hall() -> Hall {
    let hall = Hall::new(Kind::SoftHsm);
    let console = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "adopted::console"])
        .env(FOLDER, hall.path())
        .env("SOFTHSM2_CONF", hall.path().join("softhsm2.conf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&console.stdout).into_owned();
    assert!(console.status.success(), "{said}");
    hall
}

fn plan(hall: &Hall, check_value: &str, sittings: &[(&str, &str)]) {
    let listed: String = sittings
        .iter()
        .map(|(custodian, package)| {
            format!(
                "[[sitting]]\ncustodian = \"{custodian}\"\nat = \"2026-01-31T09:00:00Z\"\n\
                 package = \"{package}\"\n"
            )
        })
        .collect();
    let more = format!("check_value = \"{check_value}\"\n{listed}");
    hall.plan("test", &["alice", "bob"], &ZMK, &more);
}

fn adopt(hall: &Hall, object: &[u8], officer: &str) -> (i32, String, String) {
    let object = hex::encode(object);
    let step = ["ceremony", "adopt", "ceremony.toml", "--object", &object];
    hall.run(&[&step[..], &["--officer", officer]].concat())
}

const BOTH: [(&str, &str); 2] = [("alice", "TE-1"), ("bob", "TE-2")];

#[test]
fn a_key_of_the_console_is_adopted_by_its_check_value_with_its_minutes() {
    let hall = hall();
    let own = check_value::compute(BlockAlgorithm::Tdes, &value()).unwrap();
    let own = hex::encode_upper(own.as_bytes());
    let refused = |object: &[u8], officer: &str, code: i32, why: &str| {
        let (was, _, err) = adopt(&hall, object, officer);
        assert_eq!(was, code, "{err}");
        assert!(err.contains(why), "{err}");
    };
    plan(&hall, "000001", &BOTH);
    refused(&OBJECT, "dora", 6, "another check value");
    plan(&hall, &own, &BOTH[..1]);
    refused(&OBJECT, "dora", 7, "1 of its custodians");
    plan(&hall, &own, &[BOTH[0], ("bob", "TE-1")]);
    refused(&OBJECT, "dora", 7, "this package");
    plan(&hall, &own, &BOTH);
    refused(&OBJECT, "bob", 7, "none of its custodians");
    refused(b"no such object!!", "dora", 5, "");
    refused(&OTHER_USE, "dora", 5, "CKA_ENCRYPT");
    assert_eq!(
        hall.run(&["keys", "show", ZMK.name]).0,
        3,
        "a refused key is there"
    );
    let (code, _, err) = adopt(&hall, &OBJECT, "dora");
    assert_eq!(code, 0, "{err}");
    let shown = hall.json(&["keys", "show", ZMK.name]);
    assert_eq!(shown["origin"], "token_components");
    assert_eq!(shown["residence"], "TOKEN");
    assert_eq!(shown["check_value"], own.as_str());
    assert_eq!(shown["custodians"], serde_json::json!(["alice", "bob"]));
    let minutes = &hall.json(&["ceremony", "minutes", ZMK.name])[0];
    assert_eq!(minutes["origin"], "token_components");
    assert_eq!(minutes["sittings"][1]["package"], "TE-2");
    assert_eq!(minutes["sittings"][1]["at"], "2026-01-31T09:00:00Z");
    let text = std::fs::read_to_string(hall.path().join("ceremony.toml")).unwrap();
    hall.write("ceremony.toml", &text.replace(ZMK.name, "another-name"));
    refused(&OBJECT, "dora", 7, "this object already");
}
