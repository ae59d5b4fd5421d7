//! What a token's works count, and the series that come of it. Counting takes no lock: it happens
//! beside every call. Labels are closed tables and the token's label, which the configuration gives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::hsm::Token;
use crate::hsm::breaker::BreakerState;
use crate::hsm::error::{Class, Error};
use crate::hsm::function::Function;
use crate::hsm::works::{Standing, Works};
use crate::series::{Histogram, Kind, Text};

/// A class of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolClass {
    /// All but RSA.
    Symmetric,
    /// RSA.
    Asymmetric,
}

/// What became of a job that failed: whose fault it was, or that no token was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hsm) enum Fault {
    /// By the error's class.
    Of(Class),
    /// The breaker is open: answered at once.
    Unavailable,
    /// The call hung and was given up.
    Hung,
}

/// One token's counters.
pub(in crate::hsm) struct Stats {
    waits: [Histogram; 2],
    calls: [Histogram; Function::ALL.len()],
    faults: [AtomicU64; Fault::ALL.len()],
    cured: [AtomicU64; 2],
    openings: AtomicU64,
    abandoned: AtomicU64,
    mended: [AtomicU64; 2],
}

impl Stats {
    /// All at zero.
    pub const fn new() -> Self {
        Self {
            waits: [const { Histogram::new() }; 2],
            calls: [const { Histogram::new() }; Function::ALL.len()],
            faults: [const { AtomicU64::new(0) }; Fault::ALL.len()],
            cured: [const { AtomicU64::new(0) }; 2],
            openings: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            mended: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// A job waited this long for a worker.
    pub fn waited(&self, class: PoolClass, wait: Duration) {
        self.waits[class as usize].count(wait);
    }

    /// A job ran this long, and what became of it where it failed.
    pub fn called(&self, function: Function, took: Duration, failed: Option<Fault>) {
        self.calls[function as usize].count(took);
        if let Some(fault) = failed {
            self.failed(fault, 1);
        }
    }

    /// Jobs that failed beside those a worker ran.
    pub fn failed(&self, fault: Fault, jobs: usize) {
        let at = Fault::ALL.iter().position(|other| *other == fault);
        if let Some(counter) = at.and_then(|at| self.faults.get(at)) {
            add(counter, jobs);
        }
    }

    /// A session, its login or its handles were lost and made again, so that the job could go on.
    pub fn cured(&self, session: bool) {
        add(&self.cured[usize::from(!session)], 1);
    }

    /// The breaker opened.
    pub fn opened(&self) {
        add(&self.openings, 1);
    }

    /// Calls were given up.
    pub fn abandoned(&self, calls: usize) {
        add(&self.abandoned, calls);
    }

    /// The token serves again after a new login.
    pub fn mended_lightly(&self) {
        add(&self.mended[0], 1);
    }

    /// The token serves again after its module was initialised again.
    pub fn mended_heavily(&self) {
        add(&self.mended[1], 1);
    }
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::Of(Class::Request),
        Self::Of(Class::Pool),
        Self::Of(Class::Session),
        Self::Of(Class::Object),
        Self::Of(Class::Token),
        Self::Of(Class::Module),
        Self::Unavailable,
        Self::Hung,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Of(Class::Request) => "request",
            Self::Of(Class::Pool) => "pool",
            Self::Of(Class::Session) => "session",
            Self::Of(Class::Object) => "object",
            Self::Of(Class::Token) => "token",
            Self::Of(Class::Module) => "module",
            Self::Unavailable => "unavailable",
            Self::Hung => "hung",
        }
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable,
            Error::Hung => Self::Hung,
            other => Self::Of(other.class()),
        }
    }
}

/// Writes the series of every token, `pintle_token_…`.
pub fn write_series(tokens: &[Token], text: &mut Text) {
    let tokens: Vec<_> = tokens
        .iter()
        .map(|token| (token.info().label.as_str(), &*token.0.works))
        .collect();
    write_now(&tokens, text);
    write_since_the_start(&tokens, text);
}

type Labelled<'a> = (&'a str, &'a Works);

const CLASSES: [(PoolClass, &str); 2] = [
    (PoolClass::Symmetric, "symmetric"),
    (PoolClass::Asymmetric, "asymmetric"),
];

fn write_now(tokens: &[Labelled<'_>], text: &mut Text) {
    let name = "pintle_token_breaker";
    text.family(
        name,
        Kind::Gauge,
        "1 at the state the token's breaker is in.",
    );
    for (token, works) in tokens {
        let now = breaker(works);
        for state in ["closed", "half_open", "open", "refusing"] {
            let labels = [("token", *token), ("state", state)];
            text.value(name, &labels, u64::from(state == now));
        }
    }
    let name = "pintle_token_queue_depth";
    text.family(name, Kind::Gauge, "Jobs that wait for a worker.");
    for (token, works) in tokens {
        for (class, class_name) in CLASSES {
            let labels = [("token", *token), ("class", class_name)];
            text.value(name, &labels, wide(works.pool(class).depth()));
        }
    }
    let name = "pintle_token_workers_lost";
    text.family(
        name,
        Kind::Gauge,
        "Threads that hang in a call of the module now.",
    );
    for (token, works) in tokens {
        text.value(name, &[("token", *token)], wide(works.lost()));
    }
    let name = "pintle_token_epoch";
    text.family(
        name,
        Kind::Gauge,
        "How often the module was initialised, and logged in to.",
    );
    for (token, works) in tokens {
        let epoch = works.held.epoch();
        for (of, count) in [
            ("initialization", epoch.initialization),
            ("login", epoch.login),
        ] {
            text.value(name, &[("token", *token), ("of", of)], count.into());
        }
    }
}

fn write_since_the_start(tokens: &[Labelled<'_>], text: &mut Text) {
    let name = "pintle_token_breaker_openings_total";
    text.family(name, Kind::Counter, "How often the token stopped serving.");
    for (token, works) in tokens {
        text.value(name, &[("token", *token)], read(&works.stats.openings));
    }
    let name = "pintle_token_recoveries_total";
    text.family(
        name,
        Kind::Counter,
        "How often it came to serve again: light by a login, heavy by C_Initialize.",
    );
    by_two(tokens, text, name, ("by", ["light", "heavy"]), |stats| {
        &stats.mended
    });
    let name = "pintle_token_cured_total";
    text.family(
        name,
        Kind::Counter,
        "Jobs that went on in a new session, or after a new login and search.",
    );
    by_two(tokens, text, name, ("by", ["session", "login"]), |stats| {
        &stats.cured
    });
    let name = "pintle_token_calls_abandoned_total";
    text.family(name, Kind::Counter, "Calls that hung and were given up.");
    for (token, works) in tokens {
        text.value(name, &[("token", *token)], read(&works.stats.abandoned));
    }
    let name = "pintle_token_errors_total";
    text.family(
        name,
        Kind::Counter,
        "Jobs that failed, by whose fault it was.",
    );
    for (token, works) in tokens {
        for (fault, count) in Fault::ALL.iter().zip(&works.stats.faults) {
            text.value(
                name,
                &[("token", *token), ("class", fault.name())],
                read(count),
            );
        }
    }
    let name = "pintle_token_wait_seconds";
    text.family(name, Kind::Histogram, "From a job's arrival to its worker.");
    for (token, works) in tokens {
        for ((_, class), waits) in CLASSES.iter().zip(&works.stats.waits) {
            text.histogram(name, &[("token", *token), ("class", class)], waits);
        }
    }
    let name = "pintle_token_call_seconds";
    text.family(name, Kind::Histogram, "A job's time at the token.");
    for (token, works) in tokens {
        for (function, calls) in Function::ALL.iter().zip(&works.stats.calls) {
            let labels = [("token", *token), ("function", function.name())];
            text.histogram(name, &labels, calls);
        }
    }
}

fn by_two(
    tokens: &[Labelled<'_>],
    text: &mut Text,
    name: &str,
    (label, values): (&str, [&str; 2]),
    counters: impl Fn(&Stats) -> &[AtomicU64; 2],
) {
    for (token, works) in tokens {
        for (value, count) in values.iter().zip(counters(&works.stats)) {
            text.value(name, &[("token", *token), (label, value)], read(count));
        }
    }
}

fn breaker(works: &Works) -> &'static str {
    match (works.standing(), works.breaker.state()) {
        (Standing::Serving, _) | (_, BreakerState::Closed) => "closed",
        (Standing::Refusing(_), _) => "refusing",
        (Standing::Away(_), BreakerState::HalfOpen) => "half_open",
        (Standing::Away(_), BreakerState::Open) => "open",
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(wide(count), Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_class_and_fault_has_a_place_of_its_own() {
        for (at, function) in Function::ALL.iter().enumerate() {
            assert_eq!(*function as usize, at, "{}", function.name());
        }
        for (at, (class, _)) in CLASSES.iter().enumerate() {
            assert_eq!(*class as usize, at);
        }
        let stats = Stats::new();
        for (count, fault) in (1..).zip(Fault::ALL) {
            stats.failed(fault, count);
        }
        let counts: Vec<u64> = stats.faults.iter().map(read).collect();
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8]);
        let mut names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        names.extend(Function::ALL.iter().map(|function| function.name()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len() + Function::ALL.len());
    }

    #[test]
    fn a_failed_call_is_counted_once_with_its_time() {
        let stats = Stats::new();
        let took = Duration::from_micros(20);
        stats.called(
            Function::Unseal,
            took,
            Some(Fault::from(&Error::NotAuthentic)),
        );
        stats.called(Function::Unseal, took, None);
        assert_eq!(stats.calls[Function::Unseal as usize].total(), 2);
        assert_eq!(read(&stats.faults[0]), 1);
        assert_eq!(stats.faults.iter().map(read).sum::<u64>(), 1);
        assert_eq!(Fault::from(&Error::Hung), Fault::Hung);
    }
}
