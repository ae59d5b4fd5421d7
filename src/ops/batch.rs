//! What the items of a batch call share: the keys they name, each found and granted once, and the
//! worker, which other calls get in between.
//!
//! Not here: what is done with an item, which is the noun's own file, and how many items a call may
//! have, which the service asks first.

use std::collections::HashMap;
use std::sync::Arc;

use crate::keys::grant::{Grant, Operation};
use crate::keys::key_ref::KeyRef;
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};

/// The keys of one batch that are used for the same operation in the same role.
pub struct Keys<O: Operation> {
    role: KeyRole,
    found: HashMap<KeyRef, Result<Grant<O>, Arc<Error>>>,
}

impl<O: Operation> Keys<O> {
    /// None found yet.
    #[must_use]
    pub fn new(role: KeyRole) -> Self {
        Self {
            role,
            found: HashMap::new(),
        }
    }

    /// The grant of a key; the first item that names it finds it, for all of them.
    ///
    /// # Errors
    /// [`Error::Shared`] around [`Error::Key`].
    pub async fn grant(
        &mut self,
        context: &Context,
        call: &Call,
        key: &KeyRef,
    ) -> Result<&Grant<O>, Error> {
        // A transaction's key is found for each item, so that each use of its KSN is noted.
        if matches!(key, KeyRef::Dukpt(_)) || !self.found.contains_key(key) {
            let granted = call.granted(context, self.role, key).await;
            self.found.insert(key.clone(), granted.map_err(Arc::new));
        }
        match self.found.get(key) {
            Some(Ok(grant)) => Ok(grant),
            Some(Err(error)) => Err(Error::Shared(Arc::clone(error))),
            None => Err(Error::Key(self.role, crate::keys::error::Error::UnknownKey)),
        }
    }
}

/// How long a batch has held its worker, counted in bytes of its items.
#[derive(Default)]
pub struct Turn {
    bytes: usize,
}

impl Turn {
    /// Counts an item, and lets other calls run when it has been long enough.
    pub async fn count(&mut self, item_bytes: usize) {
        // An item costs something however short it is.
        self.bytes = self.bytes.saturating_add(item_bytes).saturating_add(256);
        if self.bytes >= limits::BATCH_TURN_BYTES {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}
