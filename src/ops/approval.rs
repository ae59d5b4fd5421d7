//! The second person: what waits, and deciding it.

use crate::keys::approval::{self, Approval};
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};

/// What waits in the caller's tenant, and what came of what waited, newest first.
///
/// # Errors
/// What store or token answered.
pub async fn list(context: &Context, call: &Call) -> Result<Vec<Approval>, Error> {
    let listed = approval::list(&context.catalogue, call.scope().tenant()).await;
    listed.map_err(|error| Error::Key(KeyRole::Only, error))
}

/// Approves or rejects the request of this hash.
///
/// # Errors
/// [`Error::Key`] where none waits, or the caller asked for it.
pub async fn decide(
    context: &Context,
    call: &Call,
    id: &str,
    hash: &[u8],
    approve: bool,
) -> Result<Approval, Error> {
    let tenant = call.scope().tenant();
    let decided = approval::decide(
        &context.catalogue,
        tenant,
        call.caller(),
        (id, hash),
        approve,
    )
    .await;
    decided.map_err(|error| Error::Key(KeyRole::Only, error))
}
