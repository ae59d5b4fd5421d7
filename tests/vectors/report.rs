//! Counts what ran and prints it, one line per operation.

use std::collections::BTreeMap;

/// What became of a case.
pub enum Outcome {
    /// The library answers as expected.
    Passed,
    /// It does not, or the case cannot be read.
    Failed(String),
    /// This case asks for what its operation does not offer.
    Unsupported(&'static str),
}

/// All that became of all cases.
#[derive(Default)]
pub struct Report {
    ran: BTreeMap<String, usize>,
    unsupported: BTreeMap<(String, &'static str), usize>,
    failures: Vec<String>,
    passed: usize,
}

impl Report {
    /// Counts a case of an operation that is known.
    pub fn outcome(&mut self, op: &str, place: &str, outcome: Outcome) {
        match outcome {
            Outcome::Unsupported(why) => return self.unsupported(op, why),
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(why) => self.failed(&format!("{place} op={op}"), &why),
        }
        *self.ran.entry(op.to_owned()).or_default() += 1;
    }

    /// Counts a case that is not run.
    pub fn unsupported(&mut self, op: &str, why: &'static str) {
        *self.unsupported.entry((op.to_owned(), why)).or_default() += 1;
    }

    /// Counts what went wrong outside any operation.
    pub fn failed(&mut self, place: &str, why: &str) {
        self.failures.push(format!("FAILED {place}: {why}"));
    }

    /// Whether something ran and all of it passed.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.passed > 0
    }

    /// Prints the lines.
    pub fn print(&self) {
        for (op, cases) in &self.ran {
            println!("op={op} ran={cases}");
        }
        for ((op, why), cases) in &self.unsupported {
            println!("op={op} unsupported={cases} why=\"{why}\"");
        }
        for failure in &self.failures {
            println!("{failure}");
        }
        if self.passed == 0 {
            println!("FAILED nothing ran");
        }
        println!("{} passed, {} failed", self.passed, self.failures.len());
    }
}

/// Runs a case so that a panic fails it alone, and by name.
pub fn guarded(run: impl FnOnce() -> Outcome) -> Outcome {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .unwrap_or_else(|_| Outcome::Failed("it panicked".to_owned()))
}
