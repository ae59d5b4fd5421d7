//! One change, as the worker carries it out and as the driver expects it to come out. Written on
//! one line between the two.

use std::fmt;

/// What can be done to a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A new key.
    Create(Sort, String),
    /// A symmetric value brought in.
    Import(String),
    /// An RSA key brought into the token.
    ImportRsa(String),
    /// A file with one of each: all or none.
    ImportFile([String; 3]),
    /// The next version of a key: this one.
    Rotate(String, u32),
    /// A version moved to another state.
    SetState(String, u32, String),
    /// The waiting period of a destruction begun.
    Destroy(String, u32),
    /// A destruction called off.
    Restore(String, u32),
    /// A destruction carried out.
    End(String, u32),
    /// A second token given a seal of every record.
    Enroll,
    /// The token's next seal key made, every record sealed anew, the old key destroyed.
    Reseal,
    /// Another store, made beside this one.
    NewStore(String),
    /// A copy of the store, and another store made of it.
    BackUp(String),
}

/// Keys that are made in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Sealed, opened into the process.
    Sealed,
    /// An RSA key in the token.
    Signing,
    /// An RSA key wrapped by the token.
    Wrapped,
    /// A symmetric key in the token.
    Protecting,
    /// An SM2 key in the token.
    Sm2,
}

const SORTS: [(Sort, &str); 5] = [
    (Sort::Sealed, "sealed"),
    (Sort::Signing, "signing"),
    (Sort::Wrapped, "wrapped"),
    (Sort::Protecting, "protecting"),
    (Sort::Sm2, "sm2"),
];

impl Act {
    /// Whether a repetition of it, should it be carried out, gets the answer of the first.
    pub fn is_answered(&self) -> bool {
        match self {
            Self::Create(..)
            | Self::Rotate(..)
            | Self::SetState(..)
            | Self::Destroy(..)
            | Self::Restore(..) => true,
            // These are an operator's, at the machine.
            Self::Import(_)
            | Self::ImportRsa(_)
            | Self::ImportFile(_)
            | Self::End(..)
            | Self::Enroll
            | Self::Reseal
            | Self::NewStore(_)
            | Self::BackUp(_) => false,
        }
    }

    pub fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let own = |word: &&str| (*word).to_owned();
        let number = |word: &&str| word.parse().unwrap();
        match words.as_slice() {
            ["create", sort, name] => {
                let sort = SORTS.iter().find(|row| row.1 == *sort).unwrap().0;
                Self::Create(sort, own(name))
            }
            ["import", name] => Self::Import(own(name)),
            ["import-rsa", name] => Self::ImportRsa(own(name)),
            ["import-file", a, b, c] => Self::ImportFile([own(a), own(b), own(c)]),
            ["rotate", name, version] => Self::Rotate(own(name), number(version)),
            ["state", name, version, to] => Self::SetState(own(name), number(version), own(to)),
            ["destroy", name, version] => Self::Destroy(own(name), number(version)),
            ["restore", name, version] => Self::Restore(own(name), number(version)),
            ["end", name, version] => Self::End(own(name), number(version)),
            ["enroll"] => Self::Enroll,
            ["reseal"] => Self::Reseal,
            ["new-store", name] => Self::NewStore(own(name)),
            ["back-up", name] => Self::BackUp(own(name)),
            _ => panic!("no act: {line}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(sort, name) => {
                let sort = SORTS.iter().find(|row| row.0 == *sort).unwrap().1;
                write!(f, "create {sort} {name}")
            }
            Self::Import(name) => write!(f, "import {name}"),
            Self::ImportRsa(name) => write!(f, "import-rsa {name}"),
            Self::ImportFile([a, b, c]) => write!(f, "import-file {a} {b} {c}"),
            Self::Rotate(name, version) => write!(f, "rotate {name} {version}"),
            Self::SetState(name, version, to) => write!(f, "state {name} {version} {to}"),
            Self::Destroy(name, version) => write!(f, "destroy {name} {version}"),
            Self::Restore(name, version) => write!(f, "restore {name} {version}"),
            Self::End(name, version) => write!(f, "end {name} {version}"),
            Self::Enroll => write!(f, "enroll"),
            Self::Reseal => write!(f, "reseal"),
            Self::NewStore(name) => write!(f, "new-store {name}"),
            Self::BackUp(name) => write!(f, "back-up {name}"),
        }
    }
}
