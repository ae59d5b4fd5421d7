//! `pintle doctor`: looks at the token, the master keys, the store, the journal and this machine;
//! prints each operation with where it runs and where its keys are clear; names what is wrong.

use std::time::Instant;

use pintle::config::server::{Environment, Server};
use pintle::domain::cipher::PinCipher;
use pintle::hsm::{MechanismReport, ObjectReport, SmReport, Token, Trial, UnsafeKey};
use pintle::keys::catalogue::Catalogue;
use pintle::keys::rotation;
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
    let config = settings::token_config(&server.token)?;
    let unsafe_keys = Token::unsafe_keys(&config).map_err(settings::token_failure)?;
    if !unsafe_keys.is_empty() {
        return refused(&unsafe_keys, output);
    }
    let token = settings::open_token(&config)?;
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let objects = token
        .key_report(deadline)
        .wait()
        .map_err(settings::token_failure)?;
    let tried = token
        .try_mechanisms(deadline)
        .wait()
        .map_err(settings::token_failure)?;
    let mut findings = machine();
    findings.extend(token_findings(&server, &token, deadline));
    findings.push(make_finding(&server, &token));
    findings.extend(objects.iter().map(object_finding));
    findings.extend(store_findings(&server, &token));
    let wrong = findings.iter().filter(|finding| !finding.good).count();
    match output {
        Output::Json => print_json(&report(&findings, &token, &objects, &tried)),
        Output::Table => print_tables(&findings, &tried),
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
    let configured = server.token.symmetric_workers;
    if let Some(workers) = workers.filter(|workers| *workers != configured) {
        found.push_str(&format!(
            "; symmetric_workers = {workers} would be faster than {configured}"
        ));
    }
    Finding {
        what: "profile".into(),
        found,
        good: true,
    }
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

fn store_findings(server: &Server, token: &Token) -> Vec<Finding> {
    let mut findings = Vec::new();
    let what = format!("store {}", server.store.path.display());
    if !server.store.path.exists() {
        findings.push(Finding {
            what,
            found: "not made yet".into(),
            good: true,
        });
    } else {
        let opened = catalogue::open(&server.store.path, token, server.environment, true);
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
            findings.extend(seal_findings(server, token, opened));
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

/// How many records are under which `seal` key of which token, and what would be lost with one.
fn seal_findings(server: &Server, token: &Token, opened: &Catalogue) -> Vec<Finding> {
    let Ok(Ok(census)) =
        settings::runtime().map(|runtime| runtime.block_on(rotation::census(opened)))
    else {
        return Vec::new();
    };
    let keys = token.seal_keys();
    let mut findings: Vec<Finding> = census
        .iter()
        .map(|((id, key), records)| {
            let standing = match id == &token.id() {
                true if *key == keys.current => "this token, its current key",
                true if keys.older.contains(key) => "this token, an older key",
                true => "this token, a key that is GONE",
                false => "another token",
            };
            Finding {
                what: format!("seals by {id} under {}", hex::encode(key)),
                found: format!("{records} records ({standing})"),
                good: *id != token.id() || *key == keys.current || keys.older.contains(key),
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

fn print_tables(findings: &[Finding], tried: &Tried) {
    print_findings(findings);
    let rows = RESIDENCES
        .iter()
        .map(|row| row.map(String::from).to_vec())
        .collect();
    println!("{}", table(&["operation", "runs in", "clear where"], rows));
    let (standard, sm) = tried;
    let mut rows: Vec<Vec<String>> = standard
        .iter()
        .map(|m| tried_row(m.mechanism.name(), m.mechanism.number(), m.present, m.works))
        .collect();
    rows.extend(
        sm.iter()
            .map(|m| tried_row(m.mechanism.name(), m.number, m.present, m.works)),
    );
    let head = [
        "mechanism this service may use",
        "number",
        "listed",
        "tried",
    ];
    println!("{}", table(&head, rows));
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
        "works": works.map(|outcome| matches!(outcome, Trial::Works)),
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
    token: &Token,
    objects: &[ObjectReport],
    (standard, sm): &Tried,
) -> serde_json::Value {
    let info = token.info();
    json!({
        "token": {
            "label": info.label, "manufacturer": info.manufacturer, "model": info.model,
            "serial": info.serial, "library": info.library, "software": info.software,
        },
        "findings": findings_json(findings),
        "objects": objects.iter().map(|o| json!({
            "class": o.class, "label": o.label, "key_type": o.key_type,
            "attributes": o.attributes.iter().map(|(n, v)| (*n, *v))
                .collect::<std::collections::BTreeMap<_, _>>(),
        })).collect::<Vec<_>>(),
        "residences": RESIDENCES.iter().map(|[operation, runs_in, clear]| json!({
            "operation": operation, "runs_in": runs_in, "clear": clear,
        })).collect::<Vec<_>>(),
        "profile": token.make().0.map(|(name, source)| json!({ "name": name, "source": source })),
        "mechanisms": standard.iter()
            .map(|m| tried_json(m.mechanism.name(), m.mechanism.number(), m.present, m.works))
            .collect::<Vec<_>>(),
        "maker_mechanisms": sm.iter()
            .map(|m| tried_json(m.mechanism.name(), m.number, m.present, m.works))
            .collect::<Vec<_>>(),
    })
}
