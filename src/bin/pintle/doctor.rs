//! `pintle doctor`: looks at the token, the master keys, the store, the journal and this machine;
//! prints each operation with where it runs and where its keys are clear; names what is wrong.

use std::time::Instant;

use pintle::config::server::{Environment, Server};
use pintle::domain::cipher::PinCipher;
use pintle::hsm::{MechanismReport, ObjectReport, SmReport, Token, Trial, UnsafeKey};
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

/// Every mechanism tried: the standards' and the maker's.
type Tried = (Vec<MechanismReport>, Vec<SmReport>);

/// Examines everything and fails where something is wrong.
pub fn run(arguments: &Doctor, output: Output) -> Outcome {
    let server = settings::load(&arguments.configured.config)?;
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let mut findings = machine();
    let unsafe_keys = unsafe_keys(&server)?;
    if !unsafe_keys.is_empty() {
        return refused(&unsafe_keys, output);
    }
    let tokens = settings::open_at_hand(&server)?;
    let mut objects = Vec::new();
    let mut tried = Vec::new();
    for token in &tokens {
        let found = token.key_report(deadline).wait();
        let found = found.map_err(settings::token_failure)?;
        let outcome = token.try_mechanisms(deadline).wait();
        tried.push(outcome.map_err(settings::token_failure)?);
        findings.extend(token_findings(&server, token, deadline));
        findings.push(make_finding(&server, token));
        findings.extend(found.iter().map(object_finding));
        objects.extend(found);
    }
    findings.extend(absent_findings(&server, &tokens));
    findings.extend(store_findings(&server, &tokens));
    let wrong = findings.iter().filter(|finding| !finding.good).count();
    match output {
        Output::Json => print_json(&report(&findings, &tokens, &objects, &tried)),
        Output::Table => print_tables(&findings, &tokens, &tried),
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

/// The unsafe keys of every token that can be looked at: one that is away has its own finding later.
fn unsafe_keys(server: &Server) -> Result<Vec<UnsafeKey>, Failure> {
    let mut found = Vec::new();
    for token in server.tokens() {
        found.extend(Token::unsafe_keys(&settings::token_config(token)?).unwrap_or_default());
    }
    Ok(found)
}

/// A token with unsafe keys is not opened: they are all there is to say.
fn refused(unsafe_keys: &[UnsafeKey], output: Output) -> Outcome {
    let mut findings = machine();
    findings.extend(unsafe_keys.iter().map(|key| Finding {
        what: format!(
            "{} {:?}, CKA_ID {}",
            key.class,
            key.label,
            hex::encode(&key.id)
        ),
        found: format!("{}: {}", key.rule, key.fault),
        good: false,
    }));
    match output {
        Output::Json => print_json(&json!({
            "findings": findings_json(&findings),
            "unsafe_keys": unsafe_keys.iter().map(|key| json!({
                "class": key.class, "label": key.label, "id": hex::encode(&key.id),
                "rule": key.rule, "fault": key.fault,
            })).collect::<Vec<_>>(),
        })),
        Output::Table => print_findings(&findings),
    }
    let count = findings.iter().filter(|finding| !finding.good).count();
    Err(Failure::new(
        Kind::Verification,
        format!("{count} of these are wrong, and the token is not opened while they are"),
    ))
}

/// Which profile the token has, and what it suggests.
fn make_finding(server: &Server, token: &Token) -> Finding {
    let (make, workers) = token.make();
    let mut found = match make {
        Some((name, source)) => format!("{name}: {source}"),
        None => "none is known for this manufacturer: standard numbers only".into(),
    };
    let label = &token.info().label;
    let configured = server.tokens().find(|entry| entry.label == *label);
    let configured = configured.map(|entry| entry.symmetric_workers);
    if let (Some(workers), Some(configured)) = (workers, configured)
        && workers != configured
    {
        found.push_str(&format!(
            "; symmetric_workers = {workers} would be faster than {configured}"
        ));
    }
    Finding {
        what: format!("profile of {label:?}"),
        found,
        good: true,
    }
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

/// What each key is; that none is unsafe was seen before the token was opened.
fn object_finding(object: &ObjectReport) -> Finding {
    let on: Vec<&str> = object
        .attributes
        .iter()
        .filter(|(_, value)| *value == Some(true))
        .map(|(name, _)| name.trim_start_matches("CKA_"))
        .collect();
    Finding {
        what: format!("{} {} {:?}", object.key_type, object.class, object.label),
        found: on.join(" "),
        good: true,
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
const RESIDENCES: &[[&str; 3]] = &[
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
        "this process; the token, for keys of residence TOKEN",
        "key: this process, locked memory; or the token only",
    ],
    [
        "SignRequest (RSA, RSA2)",
        "the token",
        "key: the token only",
    ],
    [
        "SignPagePay, SignAppPay",
        "as SignRequest",
        "as SignRequest",
    ],
    [
        "EncryptContent, DecryptContent",
        "this process",
        "content and keys: this process, as long as the call",
    ],
    [
        "ComputeCertificateSerial, CheckCertificateChain",
        "this process",
        "no key",
    ],
    ["Verify, GetPublicKey", "this process", "public keys only"],
    ["GenerateRandom", "the token", "-"],
];

fn print_findings(findings: &[Finding]) {
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
}

fn print_tables(findings: &[Finding], tokens: &[Token], tried: &[Tried]) {
    print_findings(findings);
    let rows = RESIDENCES
        .iter()
        .map(|row| row.map(String::from).to_vec())
        .collect();
    println!("{}", table(&["operation", "runs in", "clear where"], rows));
    for (token, (standard, sm)) in tokens.iter().zip(tried) {
        let standard = standard
            .iter()
            .map(|m| tried_row(m.mechanism.name(), m.mechanism.number(), m.present, m.works));
        let sm = sm
            .iter()
            .map(|m| tried_row(m.mechanism.name(), m.number, m.present, m.works));
        let tried = format!("tried on {}", token.info().label);
        let head = ["mechanism this service may use", "number", "listed", &tried];
        println!("{}", table(&head, standard.chain(sm).collect()));
    }
}

fn tried_row(name: &str, number: u64, present: bool, works: Option<Trial>) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("0x{number:x}"),
        if present { "yes" } else { "no" }.to_owned(),
        works.map_or_else(|| "-".to_owned(), |outcome| outcome.to_string()),
    ]
}

fn tried_json(name: &str, number: u64, present: bool, works: Option<Trial>) -> serde_json::Value {
    json!({
        "mechanism": name, "number": number, "present": present,
        "works": works.map(|outcome| matches!(outcome, Trial::Works | Trial::WorksWith(_))),
        "outcome": works.map(|outcome| outcome.to_string()),
    })
}

fn findings_json(findings: &[Finding]) -> Vec<serde_json::Value> {
    let each = findings.iter().map(|f| {
        json!({
            "what": f.what, "found": f.found, "good": f.good,
        })
    });
    each.collect()
}

fn report(
    findings: &[Finding],
    tokens: &[Token],
    objects: &[ObjectReport],
    tried: &[Tried],
) -> serde_json::Value {
    let tokens = tokens.iter().zip(tried).map(|(token, (standard, sm))| {
        let info = token.info();
        let make = token.make().0;
        json!({
            "label": info.label, "manufacturer": info.manufacturer, "model": info.model,
            "serial": info.serial, "library": info.library, "software": info.software,
            "profile": make.map(|(name, source)| json!({ "name": name, "source": source })),
            "mechanisms": standard.iter()
                .map(|m| tried_json(m.mechanism.name(), m.mechanism.number(), m.present, m.works))
                .collect::<Vec<_>>(),
            "maker_mechanisms": sm.iter()
                .map(|m| tried_json(m.mechanism.name(), m.number, m.present, m.works))
                .collect::<Vec<_>>(),
        })
    });
    json!({
        "tokens": tokens.collect::<Vec<_>>(),
        "findings": findings_json(findings),
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
