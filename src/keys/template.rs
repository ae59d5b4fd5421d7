//! Templates: which keys must exist, in TOML, never with a value.
//!
//! A template says nothing about versions or states; what is there already is compared with it by
//! `keys::provision`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::keys::entry::{Fault, Faults, KeyEntry};
use crate::keys::error::Error;
use crate::keys::spec::KeySpec;
use crate::limits;

/// The keys that one file asks for.
#[derive(Clone, Debug)]
pub struct Template {
    path: PathBuf,
    keys: Vec<KeySpec>,
}

impl Template {
    /// Reads and checks a template file.
    ///
    /// # Errors
    /// [`Error::FileUnreadable`], [`Error::FileSyntax`] with the line, or [`Error::FileRefused`]
    /// with every fault of every key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_text(path)?)
    }

    /// Checks the text of a template; `path` is what errors name.
    ///
    /// # Errors
    /// As [`Template::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let file: File = parse_toml(path, text)?;
        let mut found = Vec::new();
        let mut keys = Vec::new();
        for (number, entry) in (1..).zip(&file.key) {
            let mut faults = Faults::of(number, &entry.name, &mut found);
            if entry.value.is_some() || entry.pkcs8.is_some() || entry.check_value.is_some() {
                faults.add(
                    "value",
                    "a template holds no key values: use `pintle keys import`",
                );
            }
            if !entry.labels.is_empty() {
                faults.add("labels", "a template gives none: use `pintle keys import`");
            }
            keys.extend(entry.spec(&mut faults));
        }
        refuse_repeats(&file.key, &mut found);
        if found.is_empty() {
            Ok(Self {
                path: path.to_owned(),
                keys,
            })
        } else {
            Err(Error::FileRefused {
                path: path.to_owned(),
                faults: found,
            })
        }
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys, in the order of the file.
    pub fn keys(&self) -> &[KeySpec] {
        &self.keys
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

/// Notes every name that stands in a file twice, and a file with more keys than one may have.
pub(in crate::keys) fn refuse_repeats(entries: &[KeyEntry], found: &mut Vec<Fault>) {
    let mut names = HashSet::new();
    for (number, entry) in (1..).zip(entries) {
        if !names.insert(&entry.name) {
            Faults::of(number, &entry.name, found).add("name", "stands in this file twice");
        }
        if number == limits::TEMPLATE_KEYS_MAX + 1 {
            Faults::of(number, &entry.name, found).add("name", "one file has at most 10,000 keys");
        }
    }
}

/// Reads a file of at most [`limits::FILE_BYTES_MAX`] bytes.
pub(in crate::keys) fn read_text(path: &Path) -> Result<String, Error> {
    read_bounded(path).map_err(|source| Error::FileUnreadable {
        path: path.to_owned(),
        source: source.into(),
    })
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(limits::FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= limits::FILE_BYTES_MAX => Ok(text),
        _ => Err(std::io::ErrorKind::FileTooLarge.into()),
    }
}

/// Parses TOML; an error names the line, and shows nothing of it where it may hold a key value.
pub(in crate::keys) fn parse_toml<T: DeserializeOwned>(
    path: &Path,
    text: &str,
) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let secret = text
            .lines()
            .nth(line - 1)
            .is_some_and(|line| line.trim_start().starts_with("value"));
        let what = if secret {
            "not a hex string"
        } else {
            error.message()
        };
        Error::FileSyntax {
            path: path.to_owned(),
            line,
            what: what.to_owned(),
        }
    })
}

#[cfg(test)]
mod tests;
