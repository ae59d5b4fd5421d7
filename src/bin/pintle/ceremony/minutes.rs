//! Minutes as people read and sign them, and as JSON.

use pintle::keys::ceremony::minutes::{MinutedSitting, Minutes, Outcome};
use serde_json::{Value, json};

use crate::catalogue::time;
use crate::output::{Output, print_json, table};

/// Prints the minutes of ceremonies, the oldest first.
pub fn print(minutes: &[Minutes], output: Output) {
    match output {
        Output::Json => print_json(&minutes.iter().map(document).collect::<Vec<_>>()),
        Output::Table => minutes.iter().for_each(|one| println!("{}", page(one))),
    }
}

fn page(minutes: &Minutes) -> String {
    let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let outcome = match minutes.outcome {
        Outcome::Closed => "closed: the key was made".to_owned(),
        Outcome::Abandoned => format!("abandoned: {}", optional(&minutes.reason)),
    };
    let mut rows: Vec<Vec<String>> = [
        ("ceremony", minutes.ceremony.clone()),
        ("outcome", outcome),
        ("tenant", minutes.tenant.clone()),
        ("environment", minutes.environment.clone()),
        (
            "usage, mode",
            format!("{}, {}", minutes.usage, minutes.mode),
        ),
        ("side", optional(&minutes.side)),
        ("algorithm", minutes.algorithm.clone()),
        ("where", minutes.residence.clone()),
        ("origin", minutes.origin.clone()),
        ("check value", optional(&minutes.check_value)),
        ("expected", optional(&minutes.expected_check_value)),
        ("custodians", minutes.custodians.join(", ")),
        (
            "opened",
            format!("{} on {}", time(minutes.opened), minutes.opened_on),
        ),
    ]
    .into_iter()
    .map(|(field, text)| vec![field.to_owned(), text])
    .collect();
    rows.extend(minutes.sittings.iter().map(sitting_row));
    let ended = format!("{} on {}", time(minutes.ended), minutes.ended_on);
    rows.push(vec!["ended".to_owned(), ended]);
    rows.push(vec!["officer".to_owned(), minutes.officer.clone()]);
    let token = format!("{}, serial {}", minutes.token_label, minutes.token_serial);
    rows.push(vec!["token".to_owned(), token]);
    table(&["minutes", &minutes.key], rows)
}

fn sitting_row(sitting: &MinutedSitting) -> Vec<String> {
    let check_value = sitting.check_value.as_deref().unwrap_or("none");
    vec![
        format!("sitting of {}", sitting.custodian),
        format!(
            "{} on {}, package {}, component check value {check_value}",
            time(sitting.at),
            sitting.machine,
            sitting.package
        ),
    ]
}

fn document(minutes: &Minutes) -> Value {
    let sitting = |one: &MinutedSitting| {
        json!({
            "custodian": one.custodian, "at": time(one.at), "machine": one.machine,
            "package": one.package, "check_value": one.check_value,
        })
    };
    json!({
        "ceremony": minutes.ceremony, "outcome": minutes.outcome, "reason": minutes.reason,
        "tenant": minutes.tenant, "key": minutes.key, "version": minutes.version,
        "environment": minutes.environment, "usage": minutes.usage, "mode": minutes.mode,
        "side": minutes.side, "algorithm": minutes.algorithm, "residence": minutes.residence,
        "origin": minutes.origin, "check_value": minutes.check_value,
        "expected_check_value": minutes.expected_check_value, "custodians": minutes.custodians,
        "opened": time(minutes.opened), "opened_on": minutes.opened_on,
        "sittings": minutes.sittings.iter().map(sitting).collect::<Vec<_>>(),
        "ended": time(minutes.ended), "ended_on": minutes.ended_on, "officer": minutes.officer,
        "token_label": minutes.token_label, "token_serial": minutes.token_serial,
    })
}
