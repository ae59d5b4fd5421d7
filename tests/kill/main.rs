//! The kill loop (security.md F1): processes that make, bring in and change keys are killed with
//! SIGKILL at random moments and at every failpoint; what the next process then finds is compared
//! with what was acknowledged. Nothing acknowledged is lost, nothing half-made is visible, no
//! object stays in the token without a record, and the restart is quick.
//!
//! This program is both sides: the driver, which knows only what the worker acknowledged, and,
//! started again by it, the worker. `PINTLE_KILLS` kills at random (40), `PINTLE_POINT_TIMES` at
//! each failpoint (1), `PINTLE_SEED` for another sequence. Power cuts are not shown: the kernel
//! lives on, and with it what was written and not yet synced.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod act;
mod campaign;
mod life;
mod model;
#[path = "../token/place.rs"]
#[expect(
    dead_code,
    reason = "shared with the token suite, which uses more of it"
)]
mod place;
mod plan;
mod points;
mod random;
mod worker;

use place::{Kind, Place};

/// What the driver and the worker tell each other through the environment.
const PLAN: &str = "PINTLE_KILL_PLAN";
/// The request that was under way when the process before was killed.
const UNDER_WAY: &str = "PINTLE_KILL_UNDER_WAY";

fn main() {
    if let Ok(plan) = std::env::var(PLAN) {
        return worker::run(&Place::from_environment(), &plan);
    }
    let kills = number("PINTLE_KILLS", 40);
    let times = number("PINTLE_POINT_TIMES", 1);
    let seed = number("PINTLE_SEED", 20_240_229);
    println!("seed {seed}: {kills} kills at random, {times} at each failpoint");
    for (kind, kills) in [(Kind::Embedded, kills), (Kind::SoftHsm, kills / 8)] {
        let folder = tempfile::tempdir().unwrap();
        let figures = campaign::run(kind, folder.path(), kills, times, seed);
        println!("{kind:?}: {figures}");
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}
