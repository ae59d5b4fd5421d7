//! The embedded token's symbols: exactly two are exported, and they do not disturb a module that is
//! loaded beside it.

use std::collections::BTreeSet;
use std::process::Command;

use pintle::hsm::{Module, Token, TokenConfig};
use pintle::secret::Secret;

use crate::place::{Kind, Place, SO_PIN, softhsm, soon};

/// The only symbols that a program with the embedded token exports.
const EXPORTED: [&str; 2] = ["C_GetFunctionList", "C_GetInterface"];

#[test]
fn a_program_with_the_embedded_token_exports_its_two_entry_points_and_nothing_else() {
    // This very binary: it names the embedded module by opening it.
    let exported = exported_by(&std::env::current_exe().unwrap());
    assert_eq!(exported, EXPORTED.map(str::to_owned).into());
    // The control: what a shared object exports is seen.
    let Module::Library(file) = softhsm() else {
        panic!("SoftHSM is a library");
    };
    assert!(exported_by(&file).len() > 60);
}

fn exported_by(file: &std::path::Path) -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

pub fn both_tokens_work_in_one_process(place: &Place) {
    let (embedded, softhsm) = open_both(place);
    for token in [&embedded, &softhsm, &embedded] {
        token.probe(soon()).wait().unwrap();
    }
    let sealed = embedded
        .seal(soon(), Vec::new(), Secret::new(vec![1; 32]))
        .wait()
        .unwrap();
    assert!(
        softhsm
            .unseal(soon(), Vec::new(), sealed.clone())
            .wait()
            .is_err()
    );
    embedded.unseal(soon(), Vec::new(), sealed).wait().unwrap();
}

pub fn softhsm_keeps_debians_libcrypto(place: &Place) {
    const AGAIN: &str = "PINTLE_TEST_BINDINGS";
    if std::env::var_os(AGAIN).is_some() {
        both_tokens_work_in_one_process(place);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.contains("/libsofthsm2.so") && maps.contains("/libcrypto.so"));
        return;
    }
    // The loader's own word: which object each symbol of SoftHSM was bound to.
    let log = place.folder.join("bindings");
    let again = Place::prepare(place.kind, &place.folder.join("again"));
    let exe = std::env::current_exe().unwrap();
    let status = again
        .command(&exe)
        .args(["child", "--exact", "--nocapture"])
        .env(AGAIN, "1")
        .env("LD_BIND_NOW", "1")
        .env("LD_DEBUG", "bindings")
        .env("LD_DEBUG_OUTPUT", &log)
        .status()
        .unwrap();
    assert!(status.success());

    let (mut to_libcrypto, mut to_us) = (0, BTreeSet::new());
    for entry in std::fs::read_dir(&place.folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().contains("bindings.") {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        for line in text.lines() {
            let Some((_, bound)) = line.split_once("libsofthsm2.so [0] to ") else {
                continue;
            };
            let symbol = bound.split('`').nth(1).unwrap_or_default();
            let symbol = symbol.split('\'').next().unwrap_or_default();
            if bound.contains("libcrypto.so") {
                to_libcrypto += 1;
            } else if bound.starts_with(&exe.to_string_lossy().into_owned()) {
                to_us.insert(symbol.to_owned());
            }
        }
    }
    println!("SoftHSM: {to_libcrypto} symbols from libcrypto.so, from this program: {to_us:?}");
    assert!(to_libcrypto > 100, "only {to_libcrypto}");
    // Its table of functions names its own entry point, which the loader finds here first; nobody
    // calls it through the table.
    assert!(
        to_us
            .iter()
            .all(|symbol| EXPORTED.contains(&symbol.as_str()))
    );
}

fn open_both(place: &Place) -> (Token, Token) {
    let open = |module: Module| {
        let config = TokenConfig {
            module,
            ..place.config()
        };
        let so_pin = Secret::new(SO_PIN.to_owned());
        Token::initialize(&config, Some(&so_pin)).unwrap();
        Token::open(&config).unwrap()
    };
    let softhsm = softhsm();
    let dir = place.folder.join("embedded");
    // Both orders are tried: each token is the first in one of the two runs.
    if place.kind == Kind::Embedded {
        let embedded = open(Module::Embedded { dir });
        (embedded, open(softhsm))
    } else {
        let softhsm = open(softhsm);
        (open(Module::Embedded { dir }), softhsm)
    }
}
