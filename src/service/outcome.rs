//! The outcomes of a batch's items: how many there may be, and the refusal of one, in the words
//! that a call of its own would have been refused with.
//!
//! Not here: what the words are, which `status` decides.

use std::error::Error as _;

use crate::limits;
use crate::service::authorize::{Rpc, RpcRow};
use crate::service::pb::v1 as pb;
use crate::service::status::Fault;
use crate::service::{Error, Field};

/// Refuses a batch of no items, and one of too many.
pub(in crate::service) fn counted<T>(items: Vec<T>, field: Field) -> Result<Vec<T>, Error> {
    match items.len() {
        0 => Err(Error::FieldMissing(field)),
        1..=limits::BATCH_ITEMS_MAX => Ok(items),
        _ => Err(Error::ItemsTooMany(field)),
    }
}

/// The refusal of one item. What is ours to mend goes to the log: the call as a whole succeeds and
/// leaves no line there.
pub(in crate::service) fn refusal(rpc: Rpc, error: &Error) -> pb::Refusal {
    let Fault {
        reason,
        field,
        logged,
    } = Fault::of(error);
    if reason.is_ours() && !logged {
        let (rpc, cause) = (RpcRow::of(rpc).name(), error.source());
        tracing::error!(rpc, reason = reason.as_str(), %error, cause, "an item was refused");
    }
    pb::Refusal {
        code: reason.code().into(),
        reason: reason.as_str().to_owned(),
        field: field.unwrap_or_default().to_owned(),
        message: reason.message().to_owned(),
    }
}
