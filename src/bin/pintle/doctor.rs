//! `pintle doctor`: looks at the token, the master keys, the store, the journal and this machine;
//! prints each operation with where it runs and where its keys are clear; names what is wrong.

use std::time::Instant;

use pintle::config::server::{Environment, Server};
use pintle::domain::cipher::PinCipher;
use pintle::hsm::{ObjectReport, Token};
use pintle::keys::catalogue::Catalogue;
use pintle::keys::{enrol, rotation};
use pintle::{limits, process, secret};
use serde_json::json;

use crate::cli::Doctor;
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print_json, table};
use crate::{catalogue, settings};

/// One thing looked at.
struct Finding {
    what: String,
    found: String,
    good: bool,
}

/// Examines everything and fails where something is wrong.
pub fn run(arguments: &Doctor, output: Output) -> Outcome {
    let server = settings::load(&arguments.configured.config)?;
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let mut findings = machine();
    let tokens = settings::open_at_hand(&server)?;
    let mut objects = Vec::new();
    for token in &tokens {
        let found = token.key_report(deadline).wait();
        let found = found.map_err(settings::token_failure)?;
        findings.extend(token_findings(&server, token, deadline));
        findings.extend(found.iter().map(object_finding));
        objects.extend(found);
    }
    findings.extend(absent_findings(&server, &tokens));
    findings.extend(store_findings(&server, &tokens));
    let wrong = findings.iter().filter(|finding| !finding.good).count();
    match output {
        Output::Json => print_json(&report(&findings, &tokens, &objects)),
        Output::Table => print_tables(&findings, &tokens),
    }
    if wrong > 0 {
        return Err(Failure::new(
            Kind::Verification,
            format!("{wrong} of these are wrong"),
        ));
    }
    Ok(())
}

fn machine() -> Vec<Finding> {
    let hardening = process::harden();
    let slab = secret::slab().capacity();
    vec![
        Finding {
            what: "core dumps and ptrace".into(),
            found: if hardening.is_complete() {
                "off"
            } else {
                "not all off"
            }
            .into(),
            good: hardening.is_complete(),
        },
        Finding {
            what: "key memory".into(),
            found: format!(
                "{} KiB {}, {} more PIN keys fit",
                slab.bytes / 1024,
                if slab.locked {
                    "locked"
                } else {
                    "NOT locked: raise RLIMIT_MEMLOCK"
                },
                secret::slab().room_for::<PinCipher>()
            ),
            good: slab.locked,
        },
    ]
}

fn token_findings(server: &Server, token: &Token, deadline: Instant) -> Vec<Finding> {
    let info = token.info();
    let probe = token.probe(deadline).wait();
    vec![
        Finding {
            what: format!("token {:?}", info.label),
            found: format!(
                "{} {} {}; {}",
                info.manufacturer, info.model, info.serial, info.library
            ),
            good: !(info.software && server.environment == Environment::Production),
        },
        Finding {
            what: "seal and open under `seal`".into(),
            found: match &probe {
                Ok(()) => "works".into(),
                Err(error) => error.to_string(),
            },
            good: probe.is_ok(),
        },
    ]
}

/// Tokens of the configuration that cannot be opened; why stands in the log.
fn absent_findings(server: &Server, tokens: &[Token]) -> Vec<Finding> {
    let at_hand = |label: &str| tokens.iter().any(|token| token.info().label == label);
    let absent = server.tokens().filter(|token| !at_hand(&token.label));
    absent
        .map(|token| Finding {
            what: format!("token {:?}", token.label),
            found: "not at hand".into(),
            good: false,
        })
        .collect()
}

/// A private or secret key must be sensitive, not extractable, and never both wrap and decrypt.
fn object_finding(object: &ObjectReport) -> Finding {
    let is = |name| object.attribute(name) == Some(true);
    let not = |name| object.attribute(name) == Some(false);
    let public = object.class == "public key";
    let both = is("CKA_WRAP") && is("CKA_DECRYPT") || is("CKA_UNWRAP") && is("CKA_ENCRYPT");
    let good = public || is("CKA_SENSITIVE") && not("CKA_EXTRACTABLE") && !both;
    let on: Vec<&str> = object
        .attributes
        .iter()
        .filter(|(_, value)| *value == Some(true))
        .map(|(name, _)| name.trim_start_matches("CKA_"))
        .collect();
    Finding {
        what: format!("{} {} {:?}", object.key_type, object.class, object.label),
        found: on.join(" "),
        good,
    }
}

fn store_findings(server: &Server, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let what = format!("store {}", server.store.path.display());
    if !server.store.path.exists() {
        findings.push(Finding {
            what,
            found: "not made yet".into(),
            good: true,
        });
    } else {
        // What may live in this process is looked at besides.
        let any = Server {
            allow_process_kek: true,
            ..server.clone()
        };
        let opened = catalogue::open_by_any(&any, tokens);
        let counted = opened.as_ref().map_or_else(
            |failure| Err(failure.text().to_owned()),
            |opened| {
                let counted = catalogue::verify_all(opened);
                counted.map_err(|failure| failure.text().to_owned())
            },
        );
        findings.push(match counted {
            Ok(keys) => Finding {
                what,
                found: format!("{keys} key versions open"),
                good: true,
            },
            Err(found) => Finding {
                what,
                found,
                good: false,
            },
        });
        findings.push(Finding {
            what: "keys that protect others, in this process".into(),
            found: match server.allow_process_kek {
                true => "allowed: allow_process_kek = true; `pintle report keys` names them",
                false => "not allowed",
            }
            .into(),
            good: true,
        });
        if let Ok(opened) = &opened {
            findings.extend(vouching_findings(tokens, opened));
            findings.extend(seal_findings(server, tokens, opened));
        }
    }
    if server.audit.path.exists() {
        let verified = pintle::audit::verify_file(&server.audit.path);
        findings.push(Finding {
            what: format!("journal {}", server.audit.path.display()),
            found: match &verified {
                Ok(summary) => format!("{} records, the chain holds", summary.records),
                Err(broken) => broken.to_string(),
            },
            good: verified.is_ok(),
        });
    }
    findings
}

/// Whether each of several tokens vouches for the store as it is now: a server uses no other.
fn vouching_findings(tokens: &[Token], opened: &Catalogue) -> Vec<Finding> {
    let vouching = settings::runtime().map(|runtime| runtime.block_on(enrol::vouching(opened)));
    let (Ok(Ok(vouching)), true) = (vouching, tokens.len() > 1) else {
        return Vec::new();
    };
    let of = |token: &Token| {
        let good = vouching.is_empty() || vouching.contains(&(token.id(), true));
        Finding {
            what: format!("token {:?} vouches for the store", token.info().label),
            found: match good {
                true => "yes",
                false => "no, and is not used: pintle token enroll",
            }
            .into(),
            good,
        }
    };
    tokens.iter().map(of).collect()
}

/// How many records are under which `seal` key of which token, and what would be lost with one.
fn seal_findings(server: &Server, tokens: &[Token], opened: &Catalogue) -> Vec<Finding> {
    let Ok(Ok(census)) =
        settings::runtime().map(|runtime| runtime.block_on(rotation::census(opened)))
    else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = census
        .iter()
        .map(|((id, key), records)| {
            let token = tokens.iter().find(|token| token.id() == *id);
            let (standing, good) = match token.map(Token::seal_keys) {
                Some(keys) if *key == keys.current => ("its current key", true),
                Some(keys) if keys.older.contains(key) => ("an older key of its", true),
                Some(_) => ("a key of its that is GONE", false),
                None => ("a token that is not at hand", true),
            };
            let name = token.map_or_else(|| id.to_string(), |token| token.info().label.clone());
            Finding {
                what: format!("seals by {name} under {}", hex::encode(key)),
                found: format!("{records} records ({standing})"),
                good,
            }
        })
        .collect();
    let alone = opened.alone();
    let accepted = server.single_token_keys.is_some();
    let production = server.environment == Environment::Production;
    for (id, why, good) in [
        (
            alone.enrollable,
            "no second token is enrolled for it",
            !production,
        ),
        (
            alone.bound,
            "it is in one token only",
            !production || accepted,
        ),
    ] {
        if let Some(id) = id {
            findings.push(Finding {
                what: "one token alone can open".into(),
                found: format!("{id}, perhaps more: {why}"),
                good,
            });
        }
    }
    findings
}

/// Operation × where it runs × where its keys are clear, on a token without payment mechanisms.
const RESIDENCES: [[&str; 3]; 8] = [
    [
        "TranslatePin",
        "this process",
        "PIN block and both keys: this process, microseconds",
    ],
    [
        "GenerateMac, VerifyMac",
        "this process",
        "key: this process, locked memory",
    ],
    [
        "the same, by a KSN (DUKPT)",
        "this process",
        "derived keys: this process; the base key: AES in the token, TDES in this process",
    ],
    [
        "EncryptData, DecryptData, TranslateData, TranslateTrack",
        "this process",
        "data and keys: this process, as long as the call",
    ],
    [
        "SignRequest (SM2)",
        "this process",
        "key: this process, locked memory",
    ],
    [
        "SignRequest (RSA, RSA2)",
        "the token",
        "key: the token only",
    ],
    ["Verify, GetPublicKey", "this process", "public keys only"],
    ["GenerateRandom", "the token", "-"],
];

fn print_tables(findings: &[Finding], tokens: &[Token]) {
    let rows = findings
        .iter()
        .map(|f| {
            vec![
                if f.good { "ok" } else { "WRONG" }.into(),
                f.what.clone(),
                f.found.clone(),
            ]
        })
        .collect();
    println!("{}", table(&["", "what", "found"], rows));
    let rows = RESIDENCES
        .iter()
        .map(|row| row.map(String::from).to_vec())
        .collect();
    println!("{}", table(&["operation", "runs in", "clear where"], rows));
    for token in tokens {
        let rows = token
            .mechanisms()
            .iter()
            .map(|m| {
                let has = if m.present { "yes" } else { "no" };
                vec![m.mechanism.name().to_owned(), has.to_owned()]
            })
            .collect();
        let has = format!("{} has it", token.info().label);
        println!("{}", table(&["mechanism this service may use", &has], rows));
    }
}

fn report(findings: &[Finding], tokens: &[Token], objects: &[ObjectReport]) -> serde_json::Value {
    let token = |token: &Token| {
        let info = token.info();
        json!({
            "label": info.label, "manufacturer": info.manufacturer, "model": info.model,
            "serial": info.serial, "library": info.library, "software": info.software,
            "mechanisms": token.mechanisms().iter().map(|m| json!({
                "mechanism": m.mechanism.name(), "present": m.present,
            })).collect::<Vec<_>>(),
        })
    };
    json!({
        "tokens": tokens.iter().map(token).collect::<Vec<_>>(),
        "findings": findings.iter().map(|f| json!({
            "what": f.what, "found": f.found, "good": f.good,
        })).collect::<Vec<_>>(),
        "objects": objects.iter().map(|o| json!({
            "class": o.class, "label": o.label, "key_type": o.key_type,
            "attributes": o.attributes.iter().map(|(n, v)| (*n, *v))
                .collect::<std::collections::BTreeMap<_, _>>(),
        })).collect::<Vec<_>>(),
        "residences": RESIDENCES.iter().map(|[operation, runs_in, clear]| json!({
            "operation": operation, "runs_in": runs_in, "clear": clear,
        })).collect::<Vec<_>>(),
    })
}
