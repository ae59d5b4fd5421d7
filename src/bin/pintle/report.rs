//! `pintle report keys`: the inventory as an assessor wants it (PCI PIN 18 and 21, PCI DSS 3.7), what
//! has the same check value as another key, what is weak or came in by a legacy way, and what ends
//! its crypto-period soon.

use std::collections::BTreeMap;

use pintle::keys::act::now;
use pintle::keys::attributes::{Algorithm, Origin, Residence, State};
use pintle::keys::key_ref::KeyName;
use pintle::keys::record::Header;
use pintle::limits;
use serde_json::{Value, json};

use crate::cli::{Report, ReportCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print_json, table};
use crate::{catalogue, settings};

/// Writes the report; fails where two keys have one check value, or a record is refused.
pub fn run(arguments: &Report, output: Output) -> Outcome {
    settings::log(false, "error");
    let ReportCommand::Keys = arguments.command;
    let server = settings::load(&arguments.configured.config)?;
    let opened = catalogue::open_at_hand(&server)?;
    let listed = settings::runtime()?.block_on(catalogue::list(&opened))?;
    let mut refused = Vec::new();
    let mut headers = Vec::new();
    for one in listed {
        match one.header {
            Ok(header) => headers.push(header),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let report = Inventory::of(&headers, now());
    match output {
        Output::Json => print_json(&report.document(&refused)),
        Output::Table => report.print(&refused),
    }
    if report.duplicates.is_empty() && refused.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(
            Kind::Verification,
            format!(
                "{} check values stand twice, {} records are refused",
                report.duplicates.len(),
                refused.len()
            ),
        ))
    }
}

/// What the report says.
struct Inventory {
    rows: Vec<[String; HEAD.len()]>,
    duplicates: Vec<(String, Vec<String>)>,
    noteworthy: Vec<(String, Vec<&'static str>)>,
    alarms: Vec<(String, i64)>,
}

const HEAD: [&str; 13] = [
    "key",
    "ver",
    "usage",
    "algorithm",
    "bits",
    "check value",
    "form",
    "residence",
    "origin",
    "custodians",
    "made",
    "crypto-period ends",
    "state",
];

impl Inventory {
    fn of(headers: &[Header], now: u64) -> Self {
        let living: Vec<_> = headers
            .iter()
            .filter(|header| header.state != State::Destroyed)
            .collect();
        Self {
            rows: headers.iter().map(|header| row(header, now)).collect(),
            duplicates: duplicates(&living),
            noteworthy: living
                .iter()
                .map(|header| (name_of(header), notes(header)))
                .filter(|(_, notes)| !notes.is_empty())
                .collect(),
            alarms: living
                .iter()
                .filter_map(|header| Some((name_of(header), days_left(header, now)?)))
                .filter(|(_, days)| alarms_of(*days) > 0)
                .collect(),
        }
    }

    fn document(&self, refused: &[String]) -> Value {
        let row = |row: &[String; HEAD.len()]| {
            let fields = HEAD.iter().zip(row);
            let fields = fields.map(|(name, value)| ((*name).to_owned(), json!(value)));
            Value::Object(fields.collect())
        };
        json!({
            "keys": self.rows.iter().map(row).collect::<Vec<_>>(),
            "same_check_value": self.duplicates.iter().map(|(value, keys)| json!({
                "check_value": value, "keys": keys,
            })).collect::<Vec<_>>(),
            "weak_and_legacy": self.noteworthy.iter().map(|(key, notes)| json!({
                "key": key, "notes": notes,
            })).collect::<Vec<_>>(),
            "ending": self.alarms.iter().map(|(key, days)| json!({
                "key": key, "days": days,
            })).collect::<Vec<_>>(),
            "refused": refused,
        })
    }

    fn print(&self, refused: &[String]) {
        let rows = self.rows.iter().map(|row| row.to_vec()).collect();
        println!("{}", table(&HEAD, rows));
        section(
            "Keys with the same check value (there must be none)",
            self.duplicates
                .iter()
                .map(|(value, keys)| format!("{value}: {}", keys.join(", "))),
        );
        section(
            "Weak, legacy, or clear where others are not",
            self.noteworthy
                .iter()
                .map(|(key, notes)| format!("{key}: {}", notes.join("; "))),
        );
        section(
            "Crypto-periods that end within 90 days",
            self.alarms.iter().map(|(key, days)| match days {
                ..0 => format!("{key}: ended {} days ago", -days),
                days => {
                    format!("{key}: {days} days{}", "!".repeat(alarms_of(*days)))
                }
            }),
        );
        section("Records that are refused", refused.iter().cloned());
    }
}

fn section(title: &str, lines: impl Iterator<Item = String>) {
    println!("\n{title}");
    let mut none = true;
    for line in lines {
        none = false;
        println!("  {line}");
    }
    if none {
        println!("  none");
    }
}

fn row(header: &Header, now: u64) -> [String; HEAD.len()] {
    let custodians: Vec<_> = header.custodians.iter().map(KeyName::to_string).collect();
    [
        header.name.to_string(),
        header.version.to_string(),
        format!(
            "{} {}",
            String::from_utf8_lossy(&header.usage.code()),
            header.usage
        ),
        header.algorithm.to_string(),
        bits(header.algorithm).to_string(),
        check_value(header).unwrap_or_default(),
        form(header).to_owned(),
        header.residence.to_string(),
        header.origin.to_string(),
        custodians.join(" "),
        catalogue::time(header.created),
        header.expiry.map(catalogue::time).unwrap_or_default(),
        header.state_at(now).to_string(),
    ]
}

fn bits(algorithm: Algorithm) -> usize {
    match (algorithm.key_bytes(), algorithm.rsa_bits()) {
        (Some(bytes), _) => bytes * 8,
        (None, Some(bits)) => usize::try_from(bits).unwrap_or_default(),
        (None, None) => 256,
    }
}

/// In which of PCI's forms the key is kept.
fn form(header: &Header) -> &'static str {
    match (header.state, header.residence) {
        (State::Destroyed, _) => "none left",
        (_, Residence::Token) => "in the token",
        (_, Residence::TokenWrapped) => "wrapped and sealed by the token",
        (_, Residence::Public) => "a public key",
        (_, Residence::Process) => "sealed by the token",
    }
}

fn name_of(header: &Header) -> String {
    format!("{} version {}", header.name, header.version)
}

fn check_value(header: &Header) -> Option<String> {
    let value = header.check_value.as_ref()?;
    Some(hex::encode_upper(&value.bytes))
}

/// Check values that more than one version has. One key under two names is a key whose end of life
/// nobody sees.
fn duplicates(living: &[&Header]) -> Vec<(String, Vec<String>)> {
    let mut by_value: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for header in living {
        if let Some(value) = check_value(header) {
            let method = header.check_value.as_ref().map(|value| value.method);
            let key = (format!("{method:?}"), value);
            by_value.entry(key).or_default().push(name_of(header));
        }
    }
    let twice = by_value.into_iter().filter(|(_, keys)| keys.len() > 1);
    twice.map(|((_, value), keys)| (value, keys)).collect()
}

fn notes(header: &Header) -> Vec<&'static str> {
    let process_kek = header.usage.protects_keys() && header.residence == Residence::Process;
    let told = [
        (header.policy.weak, "weak, as its policy accepts"),
        (
            header.algorithm == Algorithm::Tdes2,
            "two-key TDES: 80 bits (SP 800-57)",
        ),
        (header.legacy, "came in as a block of version A or C"),
        (
            header.policy.legacy_blocks_until.is_some(),
            "takes blocks of versions A and C",
        ),
        (
            header.origin == Origin::HostComponents,
            "HOST_COMPONENTS: put together in this host's memory",
        ),
        (
            header.origin == Origin::ImportedValue,
            "its value stood in a file: test only",
        ),
        (process_kek, "protects keys and is clear in the process"),
    ];
    let told = told.into_iter().filter_map(|(is, note)| is.then_some(note));
    told.collect()
}

/// How many alarms have gone off with so many days left.
fn alarms_of(days: i64) -> usize {
    let alarms = limits::EXPIRY_ALARM_DAYS.iter();
    alarms.filter(|alarm| days <= alarm.cast_signed()).count()
}

fn days_left(header: &Header, now: u64) -> Option<i64> {
    let expiry = i64::try_from(header.expiry?).ok()?;
    let now = i64::try_from(now).ok()?;
    Some((expiry - now).div_euclid(limits::DAY_SECONDS.cast_signed()))
}
