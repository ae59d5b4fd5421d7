//! A device that answers badly, hangs, is pulled or refuses the PIN, by command of the shim.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pintle::client::{Client, Error};
use pintle::limits;
use tonic::Code;

use crate::Extent;
use crate::absence::runtime;
use crate::figures::Figures;
use crate::load::{Kind, Load, Outcome, ask, refused_share};
use crate::shim::Shim;
use crate::site::{Health, Served, Site, reasons};

/// NOT_SERVING within this time of the trouble's beginning.
const NOTICED: Duration = Duration::from_secs(2);
/// Serving within this time of its end.
const BACK: Duration = Duration::from_secs(5);
/// From the moment a call hangs to the first one that is refused at once.
const OPENED: Duration = Duration::from_secs(1);
/// Not the usual call timeout.
const CONFIGURED_MS: u32 = 250;
/// What is meant by "at once".
const AT_ONCE: Duration = Duration::from_millis(100);

/// PKCS#11 v3.0 §6.1 (pkcs11t.h): the return values given here.
mod rv {
    pub const HOST_MEMORY: u64 = 0x02;
    pub const GENERAL_ERROR: u64 = 0x05;
    pub const FUNCTION_FAILED: u64 = 0x06;
    pub const DEVICE_ERROR: u64 = 0x30;
    pub const DEVICE_MEMORY: u64 = 0x31;
    pub const DEVICE_REMOVED: u64 = 0x32;
    pub const KEY_HANDLE_INVALID: u64 = 0x60;
    pub const OBJECT_HANDLE_INVALID: u64 = 0x82;
    pub const OPERATION_ACTIVE: u64 = 0x90;
    pub const OPERATION_NOT_INITIALIZED: u64 = 0x91;
    pub const PIN_INCORRECT: u64 = 0xa0;
    pub const PIN_LOCKED: u64 = 0xa4;
    pub const SESSION_CLOSED: u64 = 0xb0;
    pub const SESSION_COUNT: u64 = 0xb1;
    pub const SESSION_HANDLE_INVALID: u64 = 0xb3;
    pub const TOKEN_NOT_PRESENT: u64 = 0xe0;
    pub const USER_NOT_LOGGED_IN: u64 = 0x101;
    pub const CRYPTOKI_NOT_INITIALIZED: u64 = 0x190;
    pub const VENDOR_DEFINED: u64 = 0x8000_0001;
}

/// Of a session, a login or a handle: cured, and nobody is refused.
const CURED: [(&str, u64); 12] = [
    ("C_DecryptInit", rv::SESSION_HANDLE_INVALID),
    ("C_Decrypt", rv::SESSION_CLOSED),
    ("C_DecryptInit", rv::OPERATION_ACTIVE),
    ("C_Decrypt", rv::OPERATION_NOT_INITIALIZED),
    ("C_DecryptInit", rv::USER_NOT_LOGGED_IN),
    ("C_DecryptInit", rv::KEY_HANDLE_INVALID),
    ("C_DecryptInit", rv::OBJECT_HANDLE_INVALID),
    ("C_SignInit", rv::SESSION_HANDLE_INVALID),
    ("C_SignInit", rv::OPERATION_ACTIVE),
    ("C_SignInit", rv::USER_NOT_LOGGED_IN),
    ("C_SignInit", rv::KEY_HANDLE_INVALID),
    ("C_Sign", rv::SESSION_HANDLE_INVALID),
];

/// Of the device or the module: if it goes on, the token is away.
const OF_DEVICE: [u64; 10] = [
    rv::GENERAL_ERROR,
    rv::DEVICE_ERROR,
    rv::DEVICE_REMOVED,
    rv::TOKEN_NOT_PRESENT,
    rv::FUNCTION_FAILED,
    rv::DEVICE_MEMORY,
    rv::HOST_MEMORY,
    rv::SESSION_COUNT,
    rv::CRYPTOKI_NOT_INITIALIZED,
    rv::VENDOR_DEFINED,
];

/// Called while all is well. C_Encrypt is the probes' alone.
const OF_CALLS: &[&str] = &[
    "C_Decrypt",
    "C_Sign",
    "C_DecryptInit",
    "C_GenerateRandom",
    "C_Encrypt",
];

/// Called when a login or a session was lost.
const OF_CURE: &[&str] = &[
    "C_Login",
    "C_OpenSession",
    "C_GetSessionInfo",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_GetAttributeValue",
    "C_UnwrapKey",
];

/// Called when a token is looked for again.
const OF_START: &[&str] = &[
    "C_Initialize",
    "C_Finalize",
    "C_GetSlotList",
    "C_GetTokenInfo",
];

/// A site, its server and whoever watches it.
struct Trial<'a> {
    shim: &'a Shim,
    served: &'a Served<'a>,
    client: Client,
    health: Health,
    turn: Cell<u32>,
}

fn try_on(run: impl AsyncFnOnce(Trial<'_>)) {
    try_at(&Site::with_shim(), run);
}

fn try_at((site, shim): &(Site, Shim), run: impl AsyncFnOnce(Trial<'_>)) {
    let served = site.serve();
    runtime().block_on(async {
        let mut health = served.health().await;
        health.until(true, BACK).await;
        let trial = Trial {
            shim,
            served: &served,
            client: served.client().await,
            health,
            turn: Cell::new(0),
        };
        run(trial).await;
    });
}

/// A bad answer now and then costs at most the call that got it, and closes nothing.
pub fn answers_badly_once(_: Extent, figures: &mut Figures) {
    try_on(async |trial| {
        trial.each_kind_is_answered().await;
        for (function, answer) in CURED {
            trial
                .shim
                .tell(&format!("fail-after {function} {answer} 1"));
            let refused = trial.refused_of_each_kind().await;
            assert!(refused.is_empty(), "{function} {answer:#x}: {refused:?}");
        }
        let mut cost = 0;
        for answer in OF_DEVICE {
            for function in ["C_Decrypt", "C_Sign", "C_GenerateRandom"] {
                trial
                    .shim
                    .tell(&format!("fail-after {function} {answer} 1"));
                let refused = trial.refused_of_each_kind().await;
                assert!(refused.len() <= 1, "{function} {answer:#x}: {refused:?}");
                cost += refused.len();
            }
        }
        assert!(!trial.went_away(), "{}", trial.served.log());
        figures.note("bad answers", CURED.len() + OF_DEVICE.len() * 3);
        figures.note("calls that they cost", cost);
    });
}

/// The module is not asked, so that what was begun before is never ended.
pub fn leaves_an_operation_begun(_: Extent, figures: &mut Figures) {
    try_on(async |trial| {
        trial.each_kind_is_answered().await;
        let mut cost = 0;
        for function in ["C_Decrypt", "C_Sign"] {
            for answer in [rv::FUNCTION_FAILED, rv::GENERAL_ERROR, rv::DEVICE_ERROR] {
                trial.shim.tell(&format!("fail {function} {answer} 1"));
                let refused = trial.refused_of_each_kind().await;
                assert!(refused.len() <= 1, "{function} {answer:#x}: {refused:?}");
                cost += refused.len();
            }
        }
        assert!(!trial.went_away(), "{}", trial.served.log());
        figures.note("operations left begun, 6: calls that they cost", cost);
    });
}

/// One key's calls fail for ever, as a blob that was tampered with does: the token goes on.
pub fn refuses_one_kind(_: Extent, figures: &mut Figures) {
    try_on(async |trial| {
        trial.each_kind_is_answered().await;
        trial
            .shim
            .tell(&format!("fail-after C_Sign {}", rv::GENERAL_ERROR));
        let signatures = 50;
        for _ in 0..signatures {
            assert!(trial.ask(Kind::Sign).await.is_err());
            trial.ask(Kind::Cold).await.unwrap();
        }
        assert!(!trial.went_away(), "{}", trial.served.log());
        trial.shim.tell("release");
        trial.each_kind_is_answered().await;
        figures.note(
            "failing signatures, none of which stopped the rest",
            signatures,
        );
    });
}

/// Every call fails, for seconds, under load.
pub fn answers_badly_for_a_while(extent: Extent, figures: &mut Figures) {
    let answers = match extent {
        Extent::Short => &OF_DEVICE[..2],
        Extent::Full => &OF_DEVICE[..],
    };
    try_on(async |mut trial| {
        let (mut noticed, mut back) = (Vec::new(), Vec::new());
        for answer in answers {
            let name = format!("any {answer:#x}");
            let fail = format!("fail any {answer}");
            let times = trial.trouble(&name, &[&fail], &["release"]).await;
            noticed.push(times.noticed);
            back.push(times.back);
        }
        figures.worst("device errors, not serving after", &noticed);
        figures.worst("device errors, serving after their end", &back);
    });
}

/// It vanishes and returns, at once good or good only after another C_Initialize.
pub fn is_pulled(extent: Extent, figures: &mut Figures) {
    let times = match extent {
        Extent::Short => 1,
        Extent::Full => 20,
    };
    try_on(async |mut trial| {
        let (mut noticed, mut back) = (Vec::new(), Vec::new());
        for _ in 0..times {
            for vanish in ["vanish", "vanish stale"] {
                let times = trial.trouble(vanish, &[vanish], &["return"]).await;
                noticed.push(times.noticed);
                back.push(times.back);
            }
        }
        figures.note("pulled", times * 2);
        figures.worst("pulled, not serving after", &noticed);
        figures.worst("pulled, serving after its return", &back);
    });
}

/// Every function that is called, hanging: those of the calls, of the cure, and of the initialisation.
pub fn hangs(extent: Extent, figures: &mut Figures) {
    let some = |all: &'static [&'static str], few: usize| match extent {
        Extent::Short => &all[..few],
        Extent::Full => all,
    };
    try_on(async |mut trial| {
        let (mut opened, mut noticed, mut back) = (Vec::new(), Vec::new(), Vec::new());
        for (functions, with) in [
            (some(OF_CALLS, 2), None),
            (some(OF_CURE, 1), Some("forget")),
            (some(OF_START, 1), Some("vanish stale")),
        ] {
            for function in functions {
                let hang = format!("hang {function}");
                let mut begin = vec![hang.as_str()];
                begin.extend(with);
                let end: &[&str] = match with {
                    Some("vanish stale") => &["return", "release"],
                    _ => &["release"],
                };
                println!("  {function}");
                let times = trial.trouble(function, &begin, end).await;
                if with.is_none() && *function != "C_Encrypt" {
                    assert!(times.opened <= OPENED, "{function}: {:?}", times.opened);
                    opened.push(times.opened);
                }
                noticed.push(times.noticed);
                back.push(times.back);
            }
        }
        figures.note("functions that hung", noticed.len());
        figures.worst("hung, refused at once after", &opened);
        figures.worst("hung, not serving after", &noticed);
        figures.worst("hung, serving after their release", &back);
    });
}

/// A call that hangs is given up after the time that the configuration says.
pub fn hangs_as_long_as_configured(_: Extent, figures: &mut Figures) {
    let at = Site::with_shim();
    at.0.set_call_timeout(CONFIGURED_MS);
    try_at(&at, async |trial| {
        let mut given_up = Vec::new();
        for _ in 0..3 {
            // Nobody else asks for random bytes now: the call that hangs is ours.
            trial.shim.tell("hang C_GenerateRandom");
            let begun = Instant::now();
            let refused = ask(&trial.client, Kind::Random, 0).await;
            given_up.push(begun.elapsed());
            assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
            trial.shim.tell("release");
            let released = Instant::now();
            while ask(&trial.client, Kind::Random, 0).await.is_err() {
                assert!(released.elapsed() < BACK);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let (least, most) = (given_up.iter().min(), given_up.iter().max());
        assert!(*least.unwrap() >= Duration::from_millis(CONFIGURED_MS.into()));
        // A busy machine may be late, but not every time.
        assert!(*least.unwrap() < limits::TOKEN_CALL_TIMEOUT, "{given_up:?}");
        figures.worst(
            "hung, given up after 250 ms as configured",
            &[*most.unwrap()],
        );
    });
}

/// The PIN is refused at a new login: there is no second attempt, whatever is called and however often.
pub fn refuses_the_pin(extent: Extent, figures: &mut Figures) {
    let answers = match extent {
        Extent::Short => &[rv::PIN_INCORRECT][..],
        Extent::Full => &[rv::PIN_INCORRECT, rv::PIN_LOCKED],
    };
    for answer in answers {
        try_on(async |mut trial| {
            let before = trial.logins();
            trial.shim.tell(&format!("fail C_Login {answer}"));
            let load = Load::start(&trial.client);
            tokio::time::sleep(Duration::from_millis(500)).await;
            trial.shim.tell("forget");
            let noticed = trial.health.until(false, NOTICED).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            // That it would be taken by now is not tried.
            trial.shim.tell("release");
            tokio::time::sleep(Duration::from_secs(3)).await;
            load.stop().await;
            assert_eq!(trial.logins(), before + 1, "{}", trial.served.log());
            assert!(!trial.health.serves().await);
            assert!(trial.served.said(&["PIN"]), "{}", trial.served.log());
            figures.note("PIN refused, logins tried", 1);
            figures.worst("PIN refused, not serving after", &[noticed]);
        });
    }
}

struct Times {
    /// Until a call was first refused at once.
    opened: Duration,
    noticed: Duration,
    back: Duration,
}

impl Trial<'_> {
    /// A trouble of some seconds under load: what is told begins it, and what is told ends it. Before
    /// it and after it nobody is refused; meanwhile refusals say UNAVAILABLE.
    async fn trouble(&mut self, name: &str, begin: &[&str], end: &[&str]) -> Times {
        let load = Load::start(&self.client);
        tokio::time::sleep(Duration::from_millis(700)).await;
        let begun = Instant::now();
        for command in begin {
            self.shim.tell(command);
        }
        let noticed = self.health.until(false, NOTICED).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!self.health.serves().await, "{name}");
        let ended = Instant::now();
        for command in end {
            self.shim.tell(command);
        }
        self.health.until(true, BACK).await;
        let serving = Instant::now();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let outcomes = load.stop().await;
        let refused = |o: &&Outcome| o.refused.is_some();
        let quiet: Vec<_> = { outcomes.iter() }
            .filter(|o| o.scheduled + o.took < begun || o.scheduled > serving)
            .cloned()
            .collect();
        let share = refused_share(&quiet);
        let log = || self.served.log();
        assert!(share == 0.0, "{name}: {:?}\n{}", reasons(&quiet), log());
        let codes = |o: &Outcome| o.refused.as_ref().is_some_and(|(code, _)| said_well(*code));
        let well = outcomes.iter().filter(refused).all(codes);
        assert!(well, "{name}: {:?}\n{}", reasons(&outcomes), log());
        let first = { outcomes.iter().filter(refused) }
            .filter(|o| o.scheduled > begun && o.took < AT_ONCE)
            .map(|o| o.scheduled + o.took - begun)
            .min();
        assert!(first.is_some(), "{name}: nobody was refused");
        Times {
            opened: first.unwrap_or_default(),
            noticed,
            back: serving - ended,
        }
    }

    async fn each_kind_is_answered(&self) {
        let refused = self.refused_of_each_kind().await;
        assert!(refused.is_empty(), "{refused:?}\n{}", self.served.log());
    }

    /// Four calls of each kind, one after another: what was refused.
    async fn refused_of_each_kind(&self) -> Vec<String> {
        let mut refused = Vec::new();
        for _ in 0..4 {
            for kind in [Kind::Cold, Kind::Sign, Kind::Random] {
                match self.ask(kind).await {
                    Ok(()) => {}
                    Err(Error::Refused(why)) => refused.push(format!("{kind:?}: {why:?}")),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        refused
    }

    /// A call whose key was not asked for lately.
    async fn ask(&self, kind: Kind) -> Result<(), Error> {
        let turn = self.turn.get();
        self.turn.set(turn + 1);
        let number = if kind == Kind::Sign {
            turn * 16
        } else {
            turn * 4
        };
        ask(&self.client, kind, number).await
    }

    fn went_away(&self) -> bool {
        self.served.said(&["does not serve"])
    }

    fn logins(&self) -> u64 {
        let counts = self.shim.tell("counts");
        let of_login = counts
            .split(' ')
            .find_map(|word| word.strip_prefix("C_Login="));
        of_login.map_or(0, |count| count.parse().unwrap())
    }
}

/// A caller may try again elsewhere.
fn said_well(code: Code) -> bool {
    code == Code::Unavailable
}
