//! The `seal` keys of one token: one that seals, and those before it that still open.
//!
//! A key that cannot be modified cannot be relabelled, so the order stands in the label from its
//! making: `pintle-seal`, `pintle-seal.2`, `pintle-seal.3`; the highest is current. That survives a
//! restart, does not depend on the order of objects, and cannot be moved by a clock.
//! Making and destroying is for commands: a running server only follows.

use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki_sys::CKA_LABEL;

use crate::hsm::error::Error;
use crate::hsm::master::{self, MasterKey};
use crate::hsm::module::Loaded;
use crate::hsm::profile::Profile;
use crate::hsm::raw::Calls;
use crate::limits;

/// The `CKA_ID`s of a token's `seal` keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealKeys {
    /// The one that seals.
    pub current: [u8; 16],
    /// Those that only open, the newest first.
    pub older: Vec<[u8; 16]>,
}

/// One `seal` key.
#[derive(Clone, Copy)]
pub(in crate::hsm) struct SealKey {
    pub id: [u8; 16],
    pub object: ObjectHandle,
    number: u32,
}

/// All of them, the current one first; never empty.
#[derive(Clone)]
pub(in crate::hsm) struct Seals {
    current: SealKey,
    older: Vec<SealKey>,
}

impl Seals {
    /// The one that seals.
    pub fn current(&self) -> SealKey {
        self.current
    }

    /// The one of this id.
    pub fn of(&self, id: &[u8; 16]) -> Option<SealKey> {
        let mut all = std::iter::once(&self.current).chain(&self.older);
        all.find(|key| key.id == *id).copied()
    }

    /// Their ids.
    pub fn ids(&self) -> SealKeys {
        SealKeys {
            current: self.current.id,
            older: self.older.iter().map(|key| key.id).collect(),
        }
    }
}

/// Finds every `seal` and checks each as strictly as the first.
pub(in crate::hsm) fn find_all(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
) -> Result<Seals, Error> {
    let mut keys: Vec<SealKey> = Vec::new();
    for (number, object) in numbered(session, &loaded.calls)? {
        master::check(session, loaded, profile, MasterKey::Seal, object)?;
        let id = master::id_of(session, object)?;
        if keys.iter().any(|key| key.number == number || key.id == id) {
            return Err(Error::MasterKeyTwice(MasterKey::Seal));
        }
        keys.push(SealKey { id, object, number });
    }
    keys.sort_by_key(|key| std::cmp::Reverse(key.number));
    let mut keys = keys.into_iter();
    Ok(Seals {
        current: keys
            .next()
            .ok_or(Error::MasterKeyMissing(MasterKey::Seal))?,
        older: keys.collect(),
    })
}

/// Makes the next one, which is current from now on for whoever looks.
pub(in crate::hsm) fn make_next(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
) -> Result<SealKeys, Error> {
    let seals = find_all(session, loaded, profile)?;
    if seals.older.len() + 1 >= limits::SEAL_KEYS_MAX {
        return Err(Error::SealKeysFull);
    }
    let number = seals.current.number + 1;
    let mut made = Vec::new();
    let label = label(number);
    let done = master::make(session, loaded, profile, MasterKey::Seal, &label, &mut made);
    if let Err(error) = done {
        for object in made {
            // The first error is the one to report.
            let _ = session.destroy_object(object);
        }
        return Err(error);
    }
    Ok(find_all(session, loaded, profile)?.ids())
}

/// Destroys one that only opens.
pub(in crate::hsm) fn destroy_old(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
    id: &[u8; 16],
) -> Result<SealKeys, Error> {
    let seals = find_all(session, loaded, profile)?;
    if seals.current.id == *id {
        return Err(Error::SealKeyCurrent);
    }
    let old = seals.of(id).ok_or(Error::SealKeyUnknown)?;
    session.destroy_object(old.object)?;
    Ok(find_all(session, loaded, profile)?.ids())
}

/// Every token object with a `seal`'s label, and its number. By the label only: one that is not
/// what it should be must be found to be refused.
pub(in crate::hsm) fn numbered(
    session: &Session,
    calls: &Calls,
) -> Result<Vec<(u32, ObjectHandle)>, Error> {
    let mut found = Vec::new();
    // PKCS#11 finds by whole values only.
    for object in session.find_objects(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
    ])? {
        let read = calls.attributes(session, object, &[(CKA_LABEL, limits::SCAN_NAME_BYTES)])?;
        let label = read.first().and_then(Option::as_deref);
        if let Some(number) = label.and_then(number_of) {
            found.push((number, object));
        }
    }
    Ok(found)
}

/// Whether a label is a `seal`'s.
pub(in crate::hsm) fn is_label(label: &[u8]) -> bool {
    number_of(label).is_some()
}

fn label(number: u32) -> String {
    let first = MasterKey::Seal.label();
    if number == FIRST {
        return first.to_owned();
    }
    format!("{first}.{number}")
}

/// The number of a label that [`label`] makes; any other label is another's.
fn number_of(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = text.strip_prefix(MasterKey::Seal.label())?;
    let number = match rest.strip_prefix('.') {
        Some(digits) => digits.parse().ok()?,
        None => FIRST,
    };
    let ours = (FIRST..=limits::SEAL_NUMBER_MAX).contains(&number);
    (ours && label(number) == text).then_some(number)
}

const FIRST: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_its_number_in_one_way_only() {
        for number in [1, 2, 3, 10, limits::SEAL_NUMBER_MAX] {
            assert_eq!(number_of(label(number).as_bytes()), Some(number));
        }
        for other in [
            "pintle-seal.1",
            "pintle-seal.0",
            "pintle-seal.02",
            "pintle-seal.+2",
            "pintle-seal.",
            "pintle-seal2",
            "pintle-seal.x",
            "pintle-seal.4294967296",
            "pintle-wrap",
            "",
        ] {
            assert_eq!(number_of(other.as_bytes()), None, "{other}");
        }
        let beyond = label(limits::SEAL_NUMBER_MAX + 1);
        assert_eq!(number_of(beyond.as_bytes()), None);
    }
}
