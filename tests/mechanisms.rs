//! Every mechanism that Pintle named to a token while its suites ran, as the fault shim recorded it, is on
//! the allow-list. `make test` runs this last, with `PINTLE_MECHANISMS=complete`: then a suite that recorded
//! nothing fails too. Mechanisms that attackers in those suites use go past the shim.
#![cfg(feature = "embedded-token")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pintle::hsm::Allowed;

/// Those that load a module through the shim.
const SUITES: [&str; 6] = ["token", "catalogue", "service", "command", "faults", "kill"];

/// What a profile of a test's own, wrong on purpose, adds to its token's list: there doctor finds out that
/// SHA-256 is no SM3 (`tests/token/trial.rs`). And what one with the shim's SM2 adds. Nowhere else and by no
/// other function.
const OF_A_PROFILE: [(u64, &str); 8] = [
    (0x250, "token C_DigestInit"),
    (0x1055, "token C_GenerateKeyPair"),
    (0x8000_8001, "token C_GenerateKeyPair"),
    (0x8000_8105, "token C_SignInit"),
    (0x8000_8001, "service C_GenerateKeyPair"),
    (0x8000_8105, "service C_SignInit"),
    (0x8000_8001, "kill C_GenerateKeyPair"),
    (0x8000_8105, "kill C_SignInit"),
];

#[test]
fn every_mechanism_that_was_used_is_allowed() {
    let mut used: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut silent = BTreeSet::from(SUITES);
    let folder = recorded();
    for file in std::fs::read_dir(&folder).into_iter().flatten() {
        let file = file.unwrap();
        let suite = file.file_name().into_string().unwrap();
        for line in std::fs::read_to_string(file.path()).unwrap().lines() {
            let (number, function) = line.split_once(' ').unwrap();
            let number = u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap();
            let by = format!("{suite} {function}");
            if !OF_A_PROFILE.contains(&(number, by.as_str())) {
                used.entry(number).or_default().insert(by);
            }
        }
        silent.remove(suite.as_str());
    }
    let name = |number: u64| {
        Allowed::ALL
            .iter()
            .find(|allowed| allowed.number() == number)
    };
    for (number, by) in &used {
        let name = name(*number).map_or("NOT ALLOWED", |allowed| allowed.name());
        println!("{number:#010x} {name}: {} uses", by.len());
    }
    let strange: Vec<_> = used
        .iter()
        .filter(|(number, _)| name(**number).is_none())
        .collect();
    assert!(strange.is_empty(), "not on the allow-list: {strange:#x?}");
    if std::env::var("PINTLE_MECHANISMS").as_deref() == Ok("complete") {
        assert!(silent.is_empty(), "recorded nothing: {silent:?}");
        println!("{} mechanisms, by {} suites", used.len(), SUITES.len());
    }
}

fn recorded() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("mechanisms")
}
