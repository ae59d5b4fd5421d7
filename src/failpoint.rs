//! Places at which a test has this process die as by a power cut: SIGKILL, nothing flushed, nothing
//! unwound. A leaf, so that every layer may name its own places.
//!
//! Only a build with the feature `failpoints` can die so; in any other a failpoint is no code at
//! all. There the variable `PINTLE_FAILPOINT` arms one: `name`, or `name:3` for the third time it
//! is passed, or `list`, which prints each as it is passed. Deliberately no error is injected
//! here: what a write that fails leads to is shown by making it fail.

/// Passes a failpoint, or dies there.
#[cfg(feature = "failpoints")]
pub fn hit(name: &'static str) {
    match ARMED.get_or_init(Armed::from_environment) {
        Armed::No => {}
        Armed::List => eprintln!("{LISTED}{name}"),
        Armed::At { point, left } => {
            if *point == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                die();
            }
        }
    }
}

/// Passes a failpoint: in this build, nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn hit(_name: &'static str) {}

/// What a line of `list` begins with.
pub const LISTED: &str = "passed failpoint ";

/// The variable that arms one.
pub const VARIABLE: &str = "PINTLE_FAILPOINT";

#[cfg(feature = "failpoints")]
use std::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};

#[cfg(feature = "failpoints")]
static ARMED: OnceLock<Armed> = OnceLock::new();

#[cfg(feature = "failpoints")]
enum Armed {
    No,
    List,
    At { point: String, left: AtomicI64 },
}

#[cfg(feature = "failpoints")]
impl Armed {
    fn from_environment() -> Self {
        let Ok(text) = std::env::var(VARIABLE) else {
            return Self::No;
        };
        if text == "list" {
            return Self::List;
        }
        let (point, time) = text.split_once(':').unwrap_or((&text, "1"));
        Self::At {
            point: point.to_owned(),
            left: AtomicI64::new(time.parse().unwrap_or(1)),
        }
    }
}

#[cfg(feature = "failpoints")]
fn die() -> ! {
    let this = rustix::process::getpid();
    // Nothing is left to report to if it fails; then the process stands still.
    let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
