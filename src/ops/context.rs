//! What the operations work with ([`Context`], one per server) and what holds for one call
//! ([`Call`]: whose keys, until when, and which were used).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::keys::catalogue::Catalogue;
use crate::keys::grant::{Grant, Operation};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::OpenKey;
use crate::keys::policy::{self, CallerScope};
use crate::ops::fill::Fill;
use crate::ops::pin_engine::PinEngine;
use crate::ops::pin_verification::Issuer;
use crate::ops::{Error, KeyRole};

/// One per server; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The keys.
    pub catalogue: Catalogue,
    /// Where PIN blocks are clear.
    pub pin_engine: Arc<dyn PinEngine>,
    /// Decimalisation tables, and how many tries a PIN has.
    pub issuer: Issuer,
    /// Fill digits and extra entropy.
    pub fill: Fill,
}

impl Context {
    /// Does something real with a token: a seal and its opening; one that serves is enough. A
    /// catalogue that refuses every key is not ready, whatever the tokens do.
    ///
    /// # Errors
    /// [`Error::Tokens`], [`Error::Catalogue`].
    pub async fn probe(&self, deadline: Instant) -> Result<(), Error> {
        if let Some(fault) = self.catalogue.fault() {
            return Err(Error::Catalogue(fault));
        }
        let probed = self.catalogue.fleet().probe(deadline).await;
        probed.map_err(Error::Tokens)
    }
}

/// One call.
pub struct Call {
    scope: Arc<CallerScope>,
    caller: Arc<str>,
    needs_approval: bool,
    deadline: Instant,
    keys: Mutex<Vec<(String, u32)>>,
}

impl Call {
    /// A call by a caller with this name and scope.
    #[must_use]
    pub fn new(caller: Arc<str>, scope: Arc<CallerScope>, deadline: Instant) -> Self {
        Self {
            scope,
            caller,
            needs_approval: false,
            deadline,
            keys: Mutex::default(),
        }
    }

    /// The same, to be carried out when a second person has approved it.
    #[must_use]
    pub fn needing_approval(self, needs_approval: bool) -> Self {
        Self {
            needs_approval,
            ..self
        }
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &str {
        &self.caller
    }

    /// Whose keys, and which of them.
    #[must_use]
    pub fn scope(&self) -> &CallerScope {
        &self.scope
    }

    /// Whether a second person must approve the call.
    #[must_use]
    pub const fn needs_approval(&self) -> bool {
        self.needs_approval
    }

    /// Notes a key for the audit record.
    pub fn note(&self, name: String, version: u32) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.push((name, version));
    }

    /// No work is begun after this.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The keys found so far, each once, for the audit record.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, u32)> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashSet::with_capacity(keys.len());
        keys.iter()
            .filter(|key| seen.insert(*key))
            .cloned()
            .collect()
    }

    /// Finds and opens a key of the caller's. A key outside the caller's scope is not even looked
    /// for, so it answers as an absent one does.
    ///
    /// # Errors
    /// [`Error::Key`] with the key's role.
    pub async fn resolve(
        &self,
        context: &Context,
        role: KeyRole,
        key: &KeyRef,
    ) -> Result<Arc<OpenKey>, Error> {
        let (catalogue, scope) = (&context.catalogue, &self.scope);
        let found = match key {
            KeyRef::Named(key) => catalogue.resolve(scope, key, self.deadline).await,
            KeyRef::Block(key) => catalogue.resolve_block(scope, key, self.deadline).await,
            KeyRef::Dukpt(key) => {
                catalogue
                    .resolve_transaction(scope, key, self.deadline)
                    .await
            }
        };
        let found = found.map_err(|error| Error::Key(role, error))?;
        self.note(found.key_use().audit_name(), found.header().version);
        Ok(found)
    }

    /// Notes that a derived key is used for one operation, where its base key's policy asks whether its
    /// KSN came before; does nothing for any other key. Without it [`Call::grant`] refuses such a key.
    ///
    /// # Errors
    /// [`Error::Key`] with the key's role.
    pub async fn note_ksn<O: Operation>(
        &self,
        context: &Context,
        role: KeyRole,
        key: &OpenKey,
    ) -> Result<(), Error> {
        let noted = context.catalogue.note_ksn::<O>(key, self.deadline).await;
        noted.map_err(|error| Error::Key(role, error))
    }

    /// The proof that this caller may use the key for one operation.
    ///
    /// # Errors
    /// [`Error::Key`] with the key's role.
    pub fn grant<O: Operation>(&self, role: KeyRole, key: Arc<OpenKey>) -> Result<Grant<O>, Error> {
        policy::grant::<O>(&self.scope, key).map_err(|error| Error::Key(role, error))
    }

    /// All of it, where a call has one key.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub async fn key<O: Operation>(
        &self,
        context: &Context,
        key: &KeyRef,
    ) -> Result<Grant<O>, Error> {
        self.granted(context, KeyRole::Only, key).await
    }

    /// All of it: the key found, its KSN noted if it is derived, and the proof.
    ///
    /// # Errors
    /// [`Error::Key`] with the key's role.
    pub async fn granted<O: Operation>(
        &self,
        context: &Context,
        role: KeyRole,
        key: &KeyRef,
    ) -> Result<Grant<O>, Error> {
        let found = self.resolve(context, role, key).await?;
        self.note_ksn::<O>(context, role, &found).await?;
        self.grant(role, found)
    }
}
