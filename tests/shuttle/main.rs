//! The pool's core (`gate`, `queue`, `desk`, `breaker`) under a scheduler that chooses which thread goes
//! next: the same source files as in the crate, with shuttle's locks for the standard library's. A
//! scenario is run some thousand times, in random orders and in such as are known to find bugs of a
//! given depth (PCT); `PINTLE_SHUTTLE` says how often. A deadlock fails too.

#[expect(dead_code, reason = "what only the crate asks")]
mod hsm {
    pub mod sync {
        use shuttle::sync;

        pub type AtomicBool = sync::atomic::AtomicBool;
        pub type Condvar = sync::Condvar;
        pub type Mutex<T> = sync::Mutex<T>;
        pub type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;
        pub type Ordering = sync::atomic::Ordering;
        pub type PoisonError<T> = std::sync::PoisonError<T>;
    }
    #[path = "../../../src/hsm/breaker.rs"]
    pub mod breaker;
    #[path = "../../../src/hsm/desk.rs"]
    pub mod desk;
    #[path = "../../../src/hsm/gate.rs"]
    pub mod gate;
    #[path = "../../../src/hsm/queue.rs"]
    pub mod queue;
    mod scenarios;
}

/// Runs a scenario as often as asked.
fn explore(scenario: fn()) {
    let runs = std::env::var("PINTLE_SHUTTLE").map_or(Ok(20_000), |runs| runs.parse());
    let Ok(runs) = runs else {
        panic!("PINTLE_SHUTTLE is not a number");
    };
    shuttle::check_random(scenario, runs);
    shuttle::check_pct(scenario, runs, 3);
}
