//! The two files an operator writes: the server's configuration and the policy file of callers.
//! Both are TOML, both refuse a key they do not know.
//!
//! A leaf: this module reads and checks the form of what was written, and opens nothing it names.
//! What the words mean (which calls exist, what a key pattern matches) is decided by the layers
//! above.

pub mod policy;
pub mod server;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a file was refused. Every variant names the file: the operator must mend it.
#[derive(Debug, Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is larger than any sensible one.
    #[error("{}: larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// Not TOML, a word that is not known, or a value of the wrong kind.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value that is well formed and cannot be meant.
    #[error("{}: {key}: {why}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Reads one file of bounded size and parses it.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let limit = crate::limits::FILE_BYTES_MAX;
    if std::fs::metadata(path).map_err(unreadable)?.len() > limit {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    toml::from_str(&text).map_err(|source| Error::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })
}
