//! The versions of a key by which something that came may be right: while a key is being replaced, more
//! than one counts.

use crate::keys::error::Error as KeyError;
use crate::keys::grant::{Grant, Operation};
use crate::keys::key_ref::{KeyRef, NamedKey};
use crate::keys::open_key::KeyUse;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};

/// The active version, or the one that was named, and the others that count.
pub(in crate::ops) struct Versions<O: Operation> {
    active: Grant<O>,
    others: Vec<Grant<O>>,
    /// Why one more could not be asked.
    away: Option<Error>,
}

impl<O: Operation> Versions<O> {
    /// Those of one key. A version that no token can open now is told only where nothing else is right.
    pub async fn of(context: &Context, call: &Call, key: &KeyRef) -> Result<Self, Error> {
        let mut versions = Self {
            active: call.key(context, key).await?,
            others: Vec::new(),
            away: None,
        };
        if let KeyRef::Named(NamedKey {
            name,
            version: None,
        }) = key
        {
            let own = versions.active.key_use().version;
            let all = context.catalogue.versions_of(call.scope(), name);
            let all = all.map_err(|error| Error::Key(KeyRole::Named, error))?;
            for version in all.into_iter().filter(|version| *version != own) {
                let key = KeyRef::Named(NamedKey {
                    name: name.clone(),
                    version: Some(version),
                });
                versions.add(call.key(context, &key).await)?;
            }
        }
        Ok(versions)
    }

    fn add(&mut self, other: Result<Grant<O>, Error>) -> Result<(), Error> {
        match other {
            Ok(other) => self.others.push(other),
            Err(Error::Key(_, KeyError::StateRefused { .. })) => {}
            Err(
                away @ Error::Key(
                    _,
                    KeyError::TokenUnavailable(_)
                    | KeyError::TokenAway { .. }
                    | KeyError::TokenNotAtHand { .. }
                    | KeyError::NoTokenServes { .. },
                ),
            ) => self.away = Some(away),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What is used where one is enough.
    pub fn active(&self) -> &Grant<O> {
        &self.active
    }

    /// All that can be asked.
    pub fn all(&self) -> impl Iterator<Item = &Grant<O>> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// The one that is right, and whether there is one: where there is none, the active one is named.
    pub fn find(&self, is_right: impl FnMut(&&Grant<O>) -> bool) -> (bool, KeyUse) {
        let right = self.all().find(is_right);
        let key = right.unwrap_or(&self.active).key_use().clone();
        (right.is_some(), key)
    }

    /// Nothing more will be asked. That nothing is right is no answer while a version was not asked.
    ///
    /// # Errors
    /// Why it was not.
    pub fn settle(&mut self, valid: bool) -> Result<(), Error> {
        match self.away.take() {
            Some(away) if !valid => Err(away),
            _ => Ok(()),
        }
    }
}
