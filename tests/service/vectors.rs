//! The vector files of `tests/vectors/` and of `PINTLE_VECTORS`, through the service, wherever a
//! call can express the case: keys are imported, blocks go in under one known key and come out
//! under another, MACs are made and checked, signatures verified.
//!
//! Prints the lines of the library's runner, once per operation. What only the library can be
//! asked (a forced fill, a forced nonce, another signer's id) is listed with that reason.

mod alipay;
mod data;
mod dukpt;
mod keys;
mod mac;
mod pin;
mod pin_verification;
mod sensitive_field;
mod signing;
#[path = "../vectors/unsupported.rs"]
mod unsupported;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use pintle::client::Client;
use pintle::keys::budget::BudgetRules;
use pintle::limits::{CALLER_FAILURES_MINUTE_MAX, PAN_FAILURES_DAY_MAX};
use pintle::ops::context::Context;
use pintle::ops::pin_verification::Issuer;
use serde_json::Value;

use crate::vectors::keys::Keys;
use crate::world::world;

/// What the cases are run with.
struct Bench {
    client: Client,
    keys: Keys,
}

/// What became of a case.
enum Outcome {
    Ran,
    Unsupported(&'static str),
}

type Verdict = Result<Outcome, String>;

/// One case of a list.
struct Case<'a>(&'a Value);

impl<'a> Case<'a> {
    fn op(&self) -> &'a str {
        self.0["op"].as_str().unwrap_or_default()
    }

    fn name(&self) -> &'a str {
        self.0["name"].as_str().unwrap_or_default()
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.0["inputs"][name]
            .as_str()
            .ok_or_else(|| format!("no input {name}"))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        hex::decode(self.text(name)?).map_err(|error| format!("{name}: {error}"))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0["inputs"][name].as_u64()
    }

    fn expected(&self, name: &str) -> Option<&'a str> {
        self.0["expect"][name].as_str()
    }

    fn expected_bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        let text = self
            .expected(name)
            .ok_or_else(|| format!("expects no {name}"))?;
        hex::decode(text).map_err(|error| format!("{name}: {error}"))
    }

    fn is_valid(&self) -> Option<bool> {
        self.0["expect"]["valid"].as_bool()
    }

    fn is_refused(&self) -> bool {
        self.expected("error").is_some()
    }
}

#[derive(Default)]
struct Tally {
    ran: BTreeMap<String, usize>,
    unsupported: BTreeMap<(String, &'static str), usize>,
    failures: Vec<String>,
}

impl Tally {
    fn count(&mut self, op: &str, place: &str, verdict: Verdict) {
        match verdict {
            Ok(Outcome::Unsupported(why)) => {
                *self.unsupported.entry((op.to_owned(), why)).or_default() += 1;
            }
            Ok(Outcome::Ran) => *self.ran.entry(op.to_owned()).or_default() += 1,
            Err(why) => self.failures.push(format!("FAILED {place} op={op}: {why}")),
        }
    }

    /// Straight to the standard output: the lines are wanted also where nothing fails.
    fn print(&self) {
        let mut text = String::from("\nvectors, through the service\n");
        for (op, cases) in &self.ran {
            text += &format!("op={op} ran={cases}\n");
        }
        for ((op, why), cases) in &self.unsupported {
            text += &format!("op={op} unsupported={cases} why=\"{why}\"\n");
        }
        for failure in &self.failures {
            text += &format!("{failure}\n");
        }
        let passed: usize = self.ran.values().sum();
        text += &format!("{passed} passed, {} failed\n", self.failures.len());
        std::io::stdout().write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn the_vector_files_give_the_same_answers_through_the_service() {
    world().run(async |world| {
        // Many cases are of one card: with the usual budget it would be out of tries.
        let context = Context {
            issuer: Issuer {
                budgets: BudgetRules {
                    pan_failures_day: PAN_FAILURES_DAY_MAX,
                    caller_failures_minute: CALLER_FAILURES_MINUTE_MAX,
                },
                ..Issuer::default()
            },
            ..world.context.clone()
        };
        let bench = Bench {
            client: world.client_with(&context).await,
            keys: Keys::of(world),
        };
        let mut tally = Tally::default();
        let mut files = Vec::new();
        collect(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
            &mut files,
        );
        if let Some(folder) = std::env::var_os("PINTLE_VECTORS") {
            collect(Path::new(&folder), &mut files);
        }
        files.sort();
        for file in files {
            let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            match &value {
                Value::Array(cases) => run(&bench, &name, cases, &mut tally).await,
                groups => alipay::run(&bench, &name, groups, &mut tally).await,
            }
        }
        tally.print();
        assert_eq!(tally.failures, [""; 0]);
        for op in EXPRESSIBLE {
            assert!(tally.ran.contains_key(*op), "{op} did not run");
        }
    });
}

/// What a call can express; each must have run.
const EXPRESSIBLE: &[&str] = &[
    "iso9564_0_encode",
    "iso9564_0_decode",
    "iso9564_1_decode",
    "iso9564_3_decode",
    "iso9564_4_decipher",
    "iso9564_4_pan_field",
    "iso9564_4_pin_field_decode",
    "sm4_unionpay_16_encipher",
    "sm4_unionpay_16_decipher",
    "sm4_unionpay_8pad_encipher",
    "sm4_unionpay_8pad_decipher",
    "x98_no_pan_encipher",
    "iso9564_4_pan12_encipher.block_in",
    "visa_pvv",
    "ibm3624",
    "ibm3624_offset",
    "ibm3624_pin",
    "iso9797_1_alg1_tdes",
    "iso9797_1_alg3_des",
    "cmac_tdes",
    "cmac_aes",
    "cmac_aes_verify",
    "hmac_sha256",
    "hmac_sha256_verify",
    "dukpt_tdes_transaction.pin",
    "dukpt_tdes_transaction.mac",
    "dukpt_tdes_transaction.cmac",
    "dukpt_tdes_full_mac.mac",
    "dukpt_aes_pin_block_fmt4",
    "dukpt_aes_use.cmac",
    "dukpt_aes_use.hmac",
    "sm4_cbc_mac",
    "sm4_cmac",
    "sm4_pos_mac",
    "unionpay_ecb_mac",
    "hmac_sha1_verify",
    "hmac_sm3",
    "hmac_sm3_verify",
    "tdes_cbc_pkcs7_encrypt",
    "aes_cbc_encrypt",
    "aes_ctr_encrypt",
    "aes_gcm_encrypt",
    "sm4_ecb_encrypt",
    "sm4_cbc_encrypt",
    "sm4_cbc_encrypt_nopad",
    "sm4_ctr_encrypt",
    "sm4_gcm_encrypt",
    "sm4_gcm_decrypt",
    "unionpay_track_encipher",
    "sm2_verify",
    "rsa_pkcs1v15_sign",
    "rsa_pkcs1v15_verify",
    "sm2_decrypt_asn1",
    "rsa_oaep_sha1_decrypt",
    "alipay.v2_request",
    "alipay.v2_response",
    "alipay.notify",
    "alipay.v3_request",
    "alipay.v3_response",
    "alipay.sm2",
    "alipay.page_pay",
    "alipay.cert_sn",
    "alipay.cert_chain",
    "alipay.content_encryption",
];

async fn run(bench: &Bench, file: &str, cases: &[Value], tally: &mut Tally) {
    for (index, case) in cases.iter().map(Case).enumerate() {
        let place = format!("{file} case {index} «{}»", case.name());
        for (op, verdict) in verdicts(bench, &case).await {
            tally.count(&op, &place, verdict);
        }
    }
}

async fn verdicts(bench: &Bench, case: &Case<'_>) -> Vec<(String, Verdict)> {
    let op = case.op();
    if let Some(verdicts) = pin::run(bench, case).await {
        return verdicts;
    }
    if let Some(verdict) = data::run(bench, case).await {
        return vec![(op.to_owned(), verdict)];
    }
    if let Some(verdict) = pin_verification::run(bench, case).await {
        return vec![(op.to_owned(), verdict)];
    }
    if let Some(verdicts) = dukpt::run(bench, case).await {
        return verdicts;
    }
    let verdict = match mac::run(bench, case).await {
        Some(verdict) => verdict,
        None => match signing::run(bench, case).await {
            Some(verdict) => verdict,
            None => match sensitive_field::run(bench, case).await {
                Some(verdict) => verdict,
                None => Ok(Outcome::Unsupported(reason(op))),
            },
        },
    };
    vec![(op.to_owned(), verdict)]
}

fn reason(op: &str) -> &'static str {
    match op {
        "iso9797_1_pad" => "padding alone is no call: library only",
        "iso9564_1_encode" => "format 1 never comes out",
        "sm3" => "a hash alone is no call: library only",
        _ if op.starts_with("kcv_") => "a check value is no call: library only",
        _ if op.starts_with("tr31_") => "no call takes a key block yet: library only",
        "sm4_retail_alg3" => "no key policy has this scheme: library only",
        "tdes_key_under_tmk" | "sm4_key_under_tmk" => "no call shows a key: library only",
        "sm2_encrypt" => "needs a forced nonce: library only",
        "sm2_decrypt" => "fields are in ASN.1: library only",
        "sm2_verify_digest" => "no call takes a digest: library only",
        _ => unsupported::reason(op),
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
}
