//! Crates that must not be in `Cargo.lock`, and those that only the embedded token may bring.
//!
//! Deliberately not here: advisories and licences, which change without a change here.

use std::collections::BTreeMap;

use crate::tree::{Finding, Tree};

/// Never, from anyone.
const BANNED: &[(&str, &str)] = &[
    (
        "rsa",
        "RUSTSEC-2023-0071, a timing leak of private keys; RSA is the token's or aws-lc-rs'",
    ),
    ("pkcs11", "cryptoki is the one PKCS#11 binding"),
    ("openssl", "no second TLS or crypto stack"),
    (
        "bincode",
        "no unstable encoding at rest; it is unmaintained",
    ),
    ("serde_yaml", "it is unmaintained; configuration is TOML"),
    (
        "lru",
        "unsound in the past; the caches are ours and bounded",
    ),
    (
        "rustls-pemfile",
        "it is unmaintained; rustls-pki-types reads PEM",
    ),
];

/// The embedded token's own parts: the only crates that may depend on each.
const ONLY_FOR: &[(&str, &[&str])] = &[
    ("openssl-sys", &["kryoptic-lib", "ossl", "pintle"]),
    ("openssl-src", &["openssl-sys"]),
    ("ossl", &["kryoptic-lib"]),
    ("kryoptic-lib", &["pintle"]),
];

/// Dependencies that a production build leaves out.
const OPTIONAL: &[&str] = &["kryoptic-lib", "openssl-sys"];

/// Holds the three lists.
pub fn has_no_banned_crate(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lock = "Cargo.lock";
    let packages = packages(tree.text(lock).unwrap_or_default());
    if packages.is_empty() {
        findings.push(Finding::new(
            lock,
            0,
            "is missing or not a lock file: no crate was checked",
        ));
    }
    for (name, why) in BANNED {
        if packages.contains_key(*name) {
            findings.push(Finding::new(
                lock,
                0,
                format!("has the banned crate `{name}`: {why}"),
            ));
        }
    }
    for (name, only) in ONLY_FOR {
        for (dependent, dependencies) in &packages {
            if dependencies.iter().any(|d| d == name) && !only.contains(&dependent.as_str()) {
                let says =
                    format!("`{dependent}` brings `{name}`, which is the embedded token's alone");
                findings.push(Finding::new(lock, 0, says));
            }
        }
    }
    let manifest: toml::Table = tree
        .text("Cargo.toml")
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
    for name in OPTIONAL {
        let Some(dependency) = dependencies.and_then(|table| table.get(*name)) else {
            continue;
        };
        if dependency.get("optional").and_then(toml::Value::as_bool) != Some(true) {
            let says =
                format!("`{name}` is not optional: a production build has no software token");
            findings.push(Finding::new("Cargo.toml", 0, says));
        }
    }
    findings
}

/// Names, each with the names it depends on.
fn packages(lock: &str) -> BTreeMap<String, Vec<String>> {
    let lock: toml::Table = lock.parse().unwrap_or_default();
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock
        .get("package")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(name) = package.get("name").and_then(toml::Value::as_str) else {
            continue;
        };
        let dependencies = package.get("dependencies").and_then(toml::Value::as_array);
        let dependencies = dependencies
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str);
        // "name", "name version" or "name version (source)"
        let dependencies = dependencies.filter_map(|text| text.split(' ').next());
        packages
            .entry(name.into())
            .or_default()
            .extend(dependencies.map(str::to_owned));
    }
    packages
}
