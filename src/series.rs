//! Numbers over time, as Prometheus reads them (text exposition format 0.0.4): counters and gauges
//! by name and labels, and histograms of how long things took.
//!
//! Does not decide what may be a label: who writes a series takes its labels from a closed table, or
//! from the configuration, never from a call.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long things took. Counting takes no lock.
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
    micros: AtomicU64,
}

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Counts by duration.
    Histogram,
}

/// The text being written. Every sample of a family stands together, after its head.
#[derive(Default)]
pub struct Text(String);

/// Labels, each a name and a value.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Histogram {
    /// Nothing counted.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BOUNDS_MICROS.len() + 1],
            micros: AtomicU64::new(0),
        }
    }

    /// Counts one that took this long.
    pub fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        let counts = self.buckets.iter();
        counts.map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Text {
    /// Nothing written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family; its samples follow. `help` is one line.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample.
    pub fn value(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        self.sample(name, "", labels, None, value);
    }

    /// One histogram; nothing where nothing was counted.
    pub fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        if histogram.total() == 0 {
            return;
        }
        let mut total = 0;
        let bounds = BOUNDS_MICROS.iter().map(|bound| seconds(*bound));
        let bounds = bounds.chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&histogram.buckets) {
            total += count.load(Ordering::Relaxed);
            self.sample(name, "_bucket", labels, Some(&bound), total);
        }
        let sum = seconds(histogram.micros.load(Ordering::Relaxed));
        self.sample(name, "_sum", labels, None, sum);
        self.sample(name, "_count", labels, None, total);
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All of it, as bytes.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: impl std::fmt::Display,
    ) {
        let text = &mut self.0;
        text.push_str(name);
        text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        let mut opening = '{';
        for (label, value) in labels.iter().copied().chain(bound) {
            let _ = write!(text, "{opening}{label}=\"");
            escape(value, text);
            text.push('"');
            opening = ',';
        }
        if opening == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// A label's value may be any text: three characters are written in two.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Upper bounds of every histogram, microseconds: from one opened record to a key generation.
const BOUNDS_MICROS: [u64; 18] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 10_000_000,
];

const _: () = {
    let mut at = 1;
    while at < BOUNDS_MICROS.len() {
        assert!(BOUNDS_MICROS[at - 1] < BOUNDS_MICROS[at], "bounds grow");
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it_and_is_in_each_after_it() {
        let histogram = Histogram::new();
        for micros in [10, 11, 10_000_000, 10_000_001] {
            histogram.count(Duration::from_micros(micros));
        }
        let mut text = Text::new();
        text.histogram("took_seconds", &[("call", "a")], &histogram);
        for line in [
            "took_seconds_bucket{call=\"a\",le=\"0.000010\"} 1",
            "took_seconds_bucket{call=\"a\",le=\"0.000025\"} 2",
            "took_seconds_bucket{call=\"a\",le=\"2.500000\"} 2",
            "took_seconds_bucket{call=\"a\",le=\"10.000000\"} 3",
            "took_seconds_bucket{call=\"a\",le=\"+Inf\"} 4",
            "took_seconds_sum{call=\"a\"} 20.000022",
            "took_seconds_count{call=\"a\"} 4",
        ] {
            let found = text.as_str().lines().any(|other| other == line);
            assert!(found, "{line}\n{}", text.as_str());
        }
    }

    #[test]
    fn a_label_cannot_end_its_quotes_or_its_line() {
        let mut text = Text::new();
        text.family("depth", Kind::Gauge, "Jobs.");
        text.value("depth", &[("token", "a\"} 1\nb\\")], 7);
        text.value("bare", &[], 1);
        assert_eq!(
            text.into_string(),
            "# HELP depth Jobs.\n# TYPE depth gauge\ndepth{token=\"a\\\"} 1\\nb\\\\\"} 7\nbare 1\n"
        );
    }

    #[test]
    fn nothing_counted_is_nothing_written() {
        let mut text = Text::new();
        text.histogram("took_seconds", &[], &Histogram::new());
        assert_eq!(text.as_str(), "");
    }
}
