//! Keys of one transaction of one device: the base derivation key is found like any other key, by its
//! name or in a block, and derives for the KSN that the caller brings.

use std::sync::Arc;
use std::time::Instant;

use crate::domain::dukpt::{Ksn, KsnError};
use crate::keys::attributes::Usage;
use crate::keys::catalogue::Catalogue;
use crate::keys::dukpt::{KsnFault, Transaction};
use crate::keys::error::Error;
use crate::keys::grant::Operation;
use crate::keys::key_ref::{BaseRef, DukptRef};
use crate::keys::material::Material;
use crate::keys::open_key::OpenKey;
use crate::keys::policy::CallerScope;

impl Catalogue {
    /// Finds a base key and derives what a transaction's keys derive from.
    ///
    /// # Errors
    /// As [`Catalogue::resolve`] and [`Catalogue::resolve_block`], and [`Error::Ksn`].
    pub async fn resolve_transaction(
        &self,
        scope: &CallerScope,
        key: &DukptRef,
        deadline: Instant,
    ) -> Result<Arc<OpenKey>, Error> {
        let (found, in_block) = match &key.base {
            BaseRef::Named(named) => (self.resolve(scope, named, deadline).await?, false),
            BaseRef::Block(block) => (self.resolve_block(scope, block, deadline).await?, true),
        };
        let header = found.header();
        if header.usage != Usage::BaseDerivation {
            return Err(KsnFault::Superfluous.into());
        }
        let algorithm = header.algorithm.block_algorithm();
        let ksn = Ksn::parse(algorithm.ok_or(KsnError::Length)?, &key.ksn)?;
        let Material::Base(base) = found.material() else {
            return Err(Error::state_refused(header));
        };
        let transaction_key = base.transaction_key(self, &ksn, deadline).await?;
        let transaction = Transaction::new(self, (header, in_block), transaction_key, ksn);
        let material = Material::Transaction(Box::new(transaction));
        Ok(Arc::new(found.deriving(material)))
    }

    /// Notes that a transaction is used for an operation, where the base key's policy asks whether it
    /// came before; does nothing for any other key. No grant is given on such a key without it.
    ///
    /// # Errors
    /// [`Error::Ksn`] where it was noted before, or what the store answered.
    pub async fn note_ksn<Op: Operation>(
        &self,
        key: &OpenKey,
        deadline: Instant,
    ) -> Result<(), Error> {
        match key.material() {
            Material::Transaction(transaction) => transaction.note(Op::KIND, deadline).await,
            _ => Ok(()),
        }
    }

    /// Forgets open keys that were not used lately: locked memory is short.
    pub(in crate::keys) fn make_room(&self) {
        self.inner.cache.make_room();
    }
}
