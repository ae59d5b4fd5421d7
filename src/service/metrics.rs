//! Counters per RPC and outcome, and a histogram of how long calls took. Text in the Prometheus
//! exposition format.
//!
//! Labels are the two closed tables `RPCS` and `Reason`: no key, caller or PAN can become one.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    buckets: Vec<AtomicU64>,
    micros: AtomicU64,
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
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MICROS.iter().position(|bound| micros <= *bound);
        row.buckets[bucket.unwrap_or(BUCKETS_MICROS.len())].fetch_add(1, Ordering::Relaxed);
        row.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The exposition text. Series that are zero are left out.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::from("# TYPE pintle_calls_total counter\n");
        let names = RPCS.iter().map(|row| row.metric).chain([OTHER]);
        for (name, row) in names.clone().zip(&self.rows) {
            let refused = Reason::ALL.iter().map(|reason| reason.as_str());
            let series = ["OK"].into_iter().chain(refused);
            let counters = [&row.accepted].into_iter().chain(&row.refused);
            for (outcome, counter) in series.zip(counters) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    let _ = writeln!(
                        text,
                        "pintle_calls_total{{call=\"{name}\",outcome=\"{outcome}\"}} {count}"
                    );
                }
            }
        }
        text.push_str("# TYPE pintle_call_seconds histogram\n");
        for (name, row) in names.zip(&self.rows) {
            row.render_histogram(name, &mut text);
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Row {
    fn new() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            accepted: AtomicU64::new(0),
            refused: zeros(Reason::ALL.len()),
            buckets: zeros(BUCKETS_MICROS.len() + 1),
            micros: AtomicU64::new(0),
        }
    }

    fn render_histogram(&self, name: &str, text: &mut String) {
        let mut total = 0;
        let mut lines = String::new();
        let bounds = BUCKETS_MICROS.iter().map(|bound| seconds(*bound));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&self.buckets) {
            total += count.load(Ordering::Relaxed);
            let _ = writeln!(
                lines,
                "pintle_call_seconds_bucket{{call=\"{name}\",le=\"{bound}\"}} {total}"
            );
        }
        if total == 0 {
            return;
        }
        let sum = seconds(self.micros.load(Ordering::Relaxed));
        text.push_str(&lines);
        let _ = writeln!(text, "pintle_call_seconds_sum{{call=\"{name}\"}} {sum}");
        let _ = writeln!(text, "pintle_call_seconds_count{{call=\"{name}\"}} {total}");
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The label of a path that is no RPC.
const OTHER: &str = "other";

/// Upper bounds of the histogram, microseconds.
const BUCKETS_MICROS: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_under_its_name_and_outcome_and_in_one_bucket() {
        let metrics = Metrics::new();
        metrics.record(Some(&RPCS[0]), None, Duration::from_micros(60));
        metrics.record(
            Some(&RPCS[0]),
            Some(Reason::KeyUnknown),
            Duration::from_secs(20),
        );
        metrics.record(None, Some(Reason::CallUnknown), Duration::ZERO);
        let text = metrics.render();
        for line in [
            "pintle_calls_total{call=\"translate_pin\",outcome=\"OK\"} 1",
            "pintle_calls_total{call=\"translate_pin\",outcome=\"KEY_UNKNOWN\"} 1",
            "pintle_calls_total{call=\"other\",outcome=\"CALL_UNKNOWN\"} 1",
            "pintle_call_seconds_bucket{call=\"translate_pin\",le=\"0.000100\"} 1",
            "pintle_call_seconds_bucket{call=\"translate_pin\",le=\"+Inf\"} 2",
            "pintle_call_seconds_count{call=\"other\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("verify_mac"));
    }
}
