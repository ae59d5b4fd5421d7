//! Counters per listener, RPC and outcome, and a histogram of how long calls took.
//!
//! Labels are the two closed tables `RPCS` and `Reason`: no key, caller or PAN can become one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::keys::catalogue::Catalogue;
use crate::keys::countdown::{self, Coming};
use crate::series::{Histogram, Kind, Text};
use crate::service::authorize::{RPCS, RpcRow};
use crate::service::status::Reason;

/// The counters of one listener.
pub struct Metrics {
    /// One row per RPC, and a last one for paths that are none.
    rows: Vec<Row>,
}

struct Row {
    accepted: AtomicU64,
    refused: Vec<AtomicU64>,
    took: Histogram,
}

impl Metrics {
    /// All counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rows: (0..=RPCS.len()).map(|_| Row::new()).collect(),
        }
    }

    /// Counts one answered call.
    pub fn record(&self, row: Option<&RpcRow>, refused: Option<Reason>, took: Duration) {
        let at = row.and_then(|row| RPCS.iter().position(|other| other.rpc == row.rpc));
        let row = &self.rows[at.unwrap_or(RPCS.len())];
        let outcome = refused.map_or(&row.accepted, |reason| &row.refused[reason.index()]);
        outcome.fetch_add(1, Ordering::Relaxed);
        row.took.count(took);
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        let names = RPCS.iter().map(|row| row.metric).chain([OTHER]);
        names.zip(&self.rows)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes the counters of listeners, each under its name. Series that are zero are left out.
pub fn write_series(listeners: &[(&str, &Metrics)], text: &mut Text) {
    let name = "pintle_calls_total";
    text.family(name, Kind::Counter, "Answered calls, by outcome.");
    for (listener, metrics) in listeners {
        for (call, row) in metrics.named() {
            for (outcome, count) in row.outcomes() {
                let labels = [
                    ("listener", *listener),
                    ("call", call),
                    ("outcome", outcome),
                ];
                text.value(name, &labels, count);
            }
        }
    }
    let name = "pintle_call_seconds";
    text.family(
        name,
        Kind::Histogram,
        "From a call's arrival to its answer.",
    );
    for (listener, metrics) in listeners {
        for (call, row) in metrics.named() {
            text.histogram(name, &[("listener", *listener), ("call", call)], &row.took);
        }
    }
}

/// Writes how long it is to what keys in use have before them.
pub fn write_countdowns(catalogue: &Catalogue, text: &mut Text) {
    for (name, help, coming) in [
        (
            "pintle_key_activation_seconds",
            "Until a newer version of the key becomes active by itself.",
            countdown::activations(catalogue),
        ),
        (
            "pintle_key_expiry_seconds",
            "Until the version's crypto-period ends; 0 when it is over.",
            countdown::expiries(catalogue),
        ),
    ] {
        text.family(name, Kind::Gauge, help);
        for Coming {
            seconds,
            key,
            version,
        } in coming
        {
            let version = version.to_string();
            text.value(name, &[("key", &key), ("version", &version)], seconds);
        }
    }
}

impl Row {
    fn new() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            refused: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            took: Histogram::new(),
        }
    }

    fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
        let counters = [&self.accepted].into_iter().chain(&self.refused);
        ["OK"]
            .into_iter()
            .chain(reasons)
            .zip(counters.map(|counter| counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

/// The label of a path that is no RPC.
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_under_its_name_and_outcome_and_in_one_bucket() {
        let (data, admin) = (Metrics::new(), Metrics::new());
        data.record(Some(&RPCS[0]), None, Duration::from_micros(60));
        data.record(
            Some(&RPCS[0]),
            Some(Reason::KeyUnknown),
            Duration::from_secs(20),
        );
        admin.record(None, Some(Reason::CallUnknown), Duration::ZERO);
        let mut text = Text::new();
        write_series(&[("data", &data), ("admin", &admin)], &mut text);
        let call = "listener=\"data\",call=\"translate_pin\"";
        for line in [
            format!("pintle_calls_total{{{call},outcome=\"OK\"}} 1"),
            format!("pintle_calls_total{{{call},outcome=\"KEY_UNKNOWN\"}} 1"),
            format!("pintle_call_seconds_bucket{{{call},le=\"0.000100\"}} 1"),
            format!("pintle_call_seconds_bucket{{{call},le=\"+Inf\"}} 2"),
            "pintle_calls_total{listener=\"admin\",call=\"other\",outcome=\"CALL_UNKNOWN\"} 1"
                .into(),
            "pintle_call_seconds_count{listener=\"admin\",call=\"other\"} 1".into(),
        ] {
            let found = text.as_str().lines().any(|other| other == line);
            assert!(found, "{line}\n{}", text.as_str());
        }
        assert!(!text.as_str().contains("verify_mac"));
    }
}
