//! Alipay's certificate serials, and one chain.

use crate::case::{known, text};
use pintle::domain::alipay::SignType;
use pintle::domain::alipay::certificate_serial;
use pintle::domain::certificate::chain::{self, Fault};
use pintle::domain::certificate::{Certificate, SignatureAlgorithm};
use serde_json::{Map, Value};

/// The serial of a certificate, or of a bundle in both families.
pub fn serial(case: &Map<String, Value>) -> Result<(), String> {
    known(case, SERIAL_FIELDS, "of a certificate serial")?;
    let bundle = read(text(case, "pem")?)?;
    if case.contains_key("root_sn_rsa_java") {
        for (scheme, field) in [
            (SignType::Rsa, "root_sn_rsa_java"),
            (SignType::Rsa2, "root_sn_rsa_java"),
            (SignType::Sm2, "root_sn_sm2_java"),
        ] {
            let ours = certificate_serial::of_roots(&bundle, scheme).unwrap_or_default();
            same(field, &ours, text(case, field)?)?;
        }
        return Ok(());
    }
    let [certificate] = bundle.as_slice() else {
        return Err("not one certificate".to_owned());
    };
    if case.contains_key("issuer_rfc2253") {
        same(
            "issuer",
            certificate.issuer(),
            text(case, "issuer_rfc2253")?,
        )?;
    }
    let serial = certificate.serial_decimal();
    same("serial", &serial, text(case, "serial_dec")?)?;
    same(
        "sn",
        &certificate_serial::of(certificate),
        text(case, "sn")?,
    )
}

/// Both leaves come to the root; not without what stands between, and not at any time.
pub fn chain(case: &Map<String, Value>) -> Result<(), String> {
    known(case, CHAIN_FIELDS, "of a chain")?;
    let all = |name| read(text(case, name)?);
    let (roots, between) = (all("root")?, all("intermediate")?);
    for name in ["app_leaf", "alipay_leaf"] {
        let leaf = all(name)?.pop().ok_or("no leaf")?;
        let at = leaf.not_before() + 1;
        // The intermediate of the file is some minutes younger than its leaves.
        let at = between
            .iter()
            .map(Certificate::not_before)
            .fold(at, u64::max);
        if leaf.signature_algorithm() != Some(SignatureAlgorithm::Sha256Rsa) {
            return Err("not SHA256withRSA".to_owned());
        }
        let found = chain::check(&leaf, &between, &roots, at).map_err(|error| error.to_string())?;
        if found.len() != 3 {
            return Err(format!("{name}: a chain of {}", found.len()));
        }
        let faults = [
            (chain::check(&leaf, &[], &roots, at), Fault::IssuerUnknown),
            (chain::check(&leaf, &between, &[], at), Fault::IssuerUnknown),
            (
                chain::check(&leaf, &between, &roots, leaf.not_after() + 1),
                Fault::Expired,
            ),
            (
                chain::check(&leaf, &between, &roots, leaf.not_before() - 1),
                Fault::NotYetValid,
            ),
        ];
        for (answer, fault) in faults {
            if answer.as_ref().err().map(|broken| broken.fault) != Some(fault) {
                return Err(format!("{name}: expected {fault:?}, got {answer:?}"));
            }
        }
    }
    Ok(())
}

fn read(pem: &str) -> Result<Vec<Certificate>, String> {
    Certificate::read_all(pem.as_bytes()).map_err(|error| error.to_string())
}

fn same(what: &str, given: &str, expected: &str) -> Result<(), String> {
    if given == expected {
        return Ok(());
    }
    Err(format!("{what}: expected {expected}, got {given}"))
}

const SERIAL_FIELDS: &[&str] = &[
    "name",
    "pem",
    "issuer_rfc2253",
    "serial_dec",
    "sn",
    "agree",
    "go",
    "root_sn_rsa_java",
    "root_sn_sm2_java",
    "note",
];

const CHAIN_FIELDS: &[&str] = &["root", "intermediate", "app_leaf", "alipay_leaf"];
