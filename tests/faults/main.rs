//! What the service does when its HSM fails (security.md F2 to F4), shown on the real program: `pintle
//! serve` in a process of its own, over SoftHSM, under an open-loop load of mixed calls over mutual TLS.
//! Latency counts from the scheduled moment, so that a server that stalls is not asked less.
//!
//! `PINTLE_FAULTS=full` runs the campaign at full count; without it each scenario runs once, shortened.
//! The last line has the figures.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod absence;
#[path = "../service/authority.rs"]
#[expect(
    dead_code,
    reason = "shared with the service suite, which uses more of it"
)]
mod authority;
mod device;
mod figures;
mod load;
#[path = "../command/process.rs"]
#[expect(
    dead_code,
    reason = "shared with the command suite, which uses more of it"
)]
mod process;
mod sessions;
#[path = "../support/shim.rs"]
#[expect(
    dead_code,
    reason = "shared with the token suite, which uses more of it"
)]
mod shim;
mod site;
mod two;

use figures::Figures;

/// How much of the campaign is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Each scenario, shortened.
    Short,
    /// The counts and times that were asked for.
    Full,
}

fn main() {
    let extent = match std::env::var("PINTLE_FAULTS").as_deref() {
        Ok("full") => Extent::Full,
        _ => Extent::Short,
    };
    let only = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'));
    let mut figures = Figures::default();
    for (name, scenario) in SCENARIOS {
        if only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
        {
            println!("{name} …");
            scenario(extent, &mut figures);
        }
    }
    println!("faults: {figures}");
}

type Scenario = fn(Extent, &mut Figures);

const SCENARIOS: [(&str, Scenario); 14] = [
    ("one of two tokens hangs", two::one_of_two_hangs),
    ("sessions forgotten under load", sessions::are_forgotten),
    ("a spoiled signature", sessions::a_spoiled_signature_stays),
    ("a bad answer now and then", device::answers_badly_once),
    ("an operation left begun", device::leaves_an_operation_begun),
    ("one kind of call that fails", device::refuses_one_kind),
    ("bad answers for a while", device::answers_badly_for_a_while),
    ("a token that is pulled", device::is_pulled),
    ("a function that hangs", device::hangs),
    (
        "a call that hangs as long as configured",
        device::hangs_as_long_as_configured,
    ),
    ("a PIN that is refused", device::refuses_the_pin),
    (
        "a token that goes away and comes back",
        absence::goes_and_comes,
    ),
    ("a token that is made anew behind us", absence::is_made_anew),
    (
        "the same for another store",
        absence::is_made_anew_for_another_store,
    ),
];
