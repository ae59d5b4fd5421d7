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
    away: Away,
}

/// Why a version could not be asked, if one could not.
struct Away(Option<Error>);

impl<O: Operation> Versions<O> {
    /// Those of one key. A version that no token can open now is told only where nothing else is right.
    pub async fn of(context: &Context, call: &Call, key: &KeyRef) -> Result<Self, Error> {
        let mut versions = Self {
            active: call.key(context, key).await?,
            others: Vec::new(),
            away: Away(None),
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
                let other = call.key(context, &key).await;
                versions.others.extend(versions.away.set_aside(other)?);
            }
        }
        Ok(versions)
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
        self.away.settle(valid)
    }
}

impl Away {
    /// A version that was asked; none where it does not count, or may count when its token is back.
    fn set_aside<T>(&mut self, asked: Result<T, Error>) -> Result<Option<T>, Error> {
        match asked {
            Ok(version) => Ok(Some(version)),
            Err(Error::Key(_, KeyError::StateRefused { .. })) => Ok(None),
            Err(
                away @ Error::Key(
                    _,
                    KeyError::TokenUnavailable(_)
                    | KeyError::TokenAway { .. }
                    | KeyError::TokenNotAtHand { .. }
                    | KeyError::NoTokenServes { .. },
                ),
            ) => {
                self.0 = Some(away);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn settle(&mut self, valid: bool) -> Result<(), Error> {
        match self.0.take() {
            Some(away) if !valid => Err(away),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsm;
    use crate::keys::attributes::State;
    use crate::keys::grant::OperationKind;

    fn refused(error: KeyError) -> Result<(), Error> {
        Err(Error::Key(KeyRole::Only, error))
    }

    #[test]
    fn a_version_that_cannot_be_asked_is_told_only_where_nothing_is_right() {
        for right in [true, false] {
            let mut away = Away(None);
            assert!(matches!(away.set_aside(Ok(())), Ok(Some(()))));
            let gone = refused(KeyError::TokenUnavailable(hsm::Error::Abandoned));
            assert!(matches!(away.set_aside(gone), Ok(None)));
            assert_eq!(away.settle(right).is_ok(), right);
        }
    }

    #[test]
    fn a_version_whose_life_is_over_is_passed_over_and_any_other_refusal_stands() {
        let mut away = Away(None);
        let over = refused(KeyError::StateRefused {
            name: "ant".to_owned(),
            version: 1,
            state: State::Disabled,
        });
        assert!(matches!(away.set_aside(over), Ok(None)));
        assert!(away.settle(false).is_ok());
        let what = OperationKind::VerifySignature;
        let other = refused(KeyError::UsageRefused { what });
        assert!(away.set_aside(other).is_err());
    }
}
