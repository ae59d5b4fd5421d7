//! One change, as the worker carries it out and as the driver expects it to come out. Written on
//! one line between the two.

use std::fmt;

/// What can be done to a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A symmetric key made here.
    Create(String),
    /// An RSA key made in the token.
    CreateRsa(String),
    /// A symmetric value brought in.
    Import(String),
    /// An RSA key brought into the token.
    ImportRsa(String),
    /// A file with one of each: all or none.
    ImportFile([String; 3]),
    /// A version moved to another state.
    SetState(String, u32, String),
    /// Another store, made beside this one.
    NewStore(String),
}

impl Act {
    pub fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let own = |word: &&str| (*word).to_owned();
        match words.as_slice() {
            ["create", name] => Self::Create(own(name)),
            ["create-rsa", name] => Self::CreateRsa(own(name)),
            ["import", name] => Self::Import(own(name)),
            ["import-rsa", name] => Self::ImportRsa(own(name)),
            ["import-file", a, b, c] => Self::ImportFile([own(a), own(b), own(c)]),
            ["state", name, version, to] => {
                Self::SetState(own(name), version.parse().unwrap(), own(to))
            }
            ["new-store", name] => Self::NewStore(own(name)),
            _ => panic!("no act: {line}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name) => write!(f, "create {name}"),
            Self::CreateRsa(name) => write!(f, "create-rsa {name}"),
            Self::Import(name) => write!(f, "import {name}"),
            Self::ImportRsa(name) => write!(f, "import-rsa {name}"),
            Self::ImportFile([a, b, c]) => write!(f, "import-file {a} {b} {c}"),
            Self::SetState(name, version, to) => write!(f, "state {name} {version} {to}"),
            Self::NewStore(name) => write!(f, "new-store {name}"),
        }
    }
}
