//! What a worker is to do once it has told what it found: each kind of change once, in an order in
//! which each is possible, or changes at random.

use std::fmt;

use pintle::keys::attributes::{Origin, State};
use pintle::keys::record::Header;

use crate::act::{Act, Sort};
use crate::random::Random;

/// One life's plan.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Nothing.
    Look { life: u64 },
    /// Every kind of change once.
    Script { life: u64 },
    /// So many changes at random.
    Mix { life: u64, seed: u64, acts: u64 },
}

impl Plan {
    pub fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| words[at].parse().unwrap();
        match words[0] {
            "look" => Self::Look { life: number(1) },
            "script" => Self::Script { life: number(1) },
            _ => Self::Mix {
                life: number(1),
                seed: number(2),
                acts: number(3),
            },
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look { life } => write!(f, "look {life}"),
            Self::Script { life } => write!(f, "script {life}"),
            Self::Mix { life, seed, acts } => write!(f, "mix {life} {seed} {acts}"),
        }
    }
}

/// Every kind of change once; of SM2 keys too where the token has them.
pub fn script(life: u64, has_sm2: bool) -> Vec<Act> {
    let name = |part: &str| format!("k{life}-{part}");
    let signing = name("signing");
    let state = |version, to: &str| Act::SetState(signing.clone(), version, to.to_owned());
    let mut acts = vec![
        Act::Create(Sort::Sealed, name("sealed")),
        Act::Create(Sort::Signing, signing.clone()),
        Act::Create(Sort::Wrapped, name("wrapped")),
        Act::Create(Sort::Protecting, name("protecting")),
        Act::Import(name("value")),
        Act::ImportRsa(name("pkcs8")),
        Act::ImportFile(["file-a", "file-b", "file-c"].map(name)),
        Act::Rotate(signing.clone(), 2),
        state(2, "active"),
        state(1, "disabled"),
        Act::Destroy(signing.clone(), 1),
        Act::Restore(signing.clone(), 1),
        Act::Destroy(signing.clone(), 1),
        Act::End(signing.clone(), 1),
        Act::NewStore(name("new")),
        Act::BackUp(name("copy")),
        Act::Reseal,
    ];
    if has_sm2 {
        let sm2 = name("sm2");
        acts.extend([
            Act::Create(Sort::Sm2, sm2.clone()),
            Act::Rotate(sm2.clone(), 2),
            Act::SetState(sm2.clone(), 1, State::Disabled.to_string()),
            Act::Destroy(sm2.clone(), 1),
            Act::End(sm2, 1),
        ]);
    }
    // The first two lives lay the ground: there are to be records that the second token lacks.
    if life > 1 {
        acts.push(Act::Enroll);
        acts.push(Act::Create(Sort::Sealed, name("of-both")));
        acts.push(Act::Reseal);
    }
    acts
}

/// A change at random. What takes long is asked for less often, so that no kind has most of the
/// time, and so of the kills.
pub fn next(
    (life, number): (u64, u64),
    has_sm2: bool,
    headers: &[Header],
    random: &mut Random,
) -> Act {
    let name = |part: &str| format!("k{life}-{number}{part}");
    match random.below(36) {
        0..4 => Act::Create(Sort::Sealed, name("")),
        4 if has_sm2 && number % 2 == 1 => Act::Create(Sort::Sm2, name("")),
        4 => Act::Create(Sort::Signing, name("")),
        5 => Act::Create(Sort::Wrapped, name("")),
        6..8 => Act::Create(Sort::Protecting, name("")),
        8..10 => Act::Import(name("")),
        10..12 => Act::ImportRsa(name("")),
        12..14 => Act::ImportFile(["-a", "-b", "-c"].map(name)),
        14 => Act::NewStore(name("")),
        15 => Act::BackUp(name("")),
        16..18 => Act::Reseal,
        18 => Act::Enroll,
        _ => {
            let at = random.below(headers.len() as u64);
            let header = headers.get(usize::try_from(at).unwrap());
            let step = header.and_then(|header| step(header, headers, random));
            step.unwrap_or_else(|| Act::Create(Sort::Sealed, name("")))
        }
    }
}

/// A step in the life of a version.
fn step(header: &Header, headers: &[Header], random: &mut Random) -> Option<Act> {
    let (name, version) = (header.name.to_string(), header.version);
    let set = |to: State| Act::SetState(name.clone(), version, to.to_string());
    let of_this = || headers.iter().filter(|other| other.name == header.name);
    let versions = of_this().map(|other| other.version).max().unwrap_or(0);
    let rotates = header.origin == Origin::Generated && versions < 4 && random.below(3) == 0;
    Some(match header.state {
        State::Active if rotates => Act::Rotate(name, versions + 1),
        State::Pending => set(State::Active),
        State::Active | State::Retiring => set(State::Disabled),
        State::Disabled if random.below(3) == 0 => set(State::Active),
        State::Disabled => Act::Destroy(name, version),
        State::Destroying if random.below(3) == 0 => Act::Restore(name, version),
        // One call carries out all that is due of a key, a transaction each.
        State::Destroying => {
            let due = of_this().filter(|other| other.state == State::Destroying);
            return (due.count() == 1).then_some(Act::End(name, version));
        }
        State::Destroyed => return None,
    })
}
