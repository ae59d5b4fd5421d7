//! What one transaction writes: records, the root over them, and beside them documents and the
//! answer to a call that may be repeated. All of it or nothing.

use crate::limits;
use crate::store::error::Error;
use crate::store::{RecordId, StoredRecord, seals};

/// One change to the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The generation that the change was computed from.
    pub expected_generation: u64,
    /// Records to write, at most [`limits::COMMIT_RECORDS_MAX`] together with `deletes`.
    pub puts: Vec<Put>,
    /// Records to delete.
    pub deletes: Vec<Delete>,
    /// The roots over what the store holds after the change, each of the next generation. Those
    /// of tokens that are not named here become stale.
    pub roots: Vec<StoredRoot>,
    /// Documents that end with it.
    pub ended: Vec<DocumentEnd>,
    /// What else is written with it.
    pub beside: Beside,
}

/// What may be written with a change, or by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Documents to write, at most [`limits::COMMIT_DOCUMENTS_MAX`].
    pub documents: Vec<DocumentPut>,
    /// The answer that a repetition of the same call is to get.
    pub answer: Option<Answer>,
}

/// One record to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The header that the row must still have; none where there must be no row.
    pub expected_header: Option<Vec<u8>>,
    /// The record.
    pub record: StoredRecord,
    /// Its tag in the directory.
    pub tag: RowTag,
}

/// One record to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Which.
    pub id: RecordId,
    /// The header that the row must still have.
    pub expected_header: Vec<u8>,
}

/// What the keys layer computes from a row and a key that the store does not have.
pub type RowTag = [u8; 16];

/// The authenticated state of the whole catalogue, as one token vouches for it. The store keeps
/// it and understands nothing of it but the generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoot {
    /// The token whose key made `mac`.
    pub token_id: [u8; 16],
    /// The generation it is of.
    pub generation: u64,
    /// How many records there are.
    pub count: u64,
    /// The masked sum over all of them.
    pub sum: [u8; 32],
    /// What the mask was made of.
    pub nonce: [u8; 16],
    /// The key of the tags, masked by the token.
    pub index_key: [u8; 32],
    /// The token's MAC over all of the above.
    pub mac: [u8; 32],
}

/// A document: minutes, an approval, a ceremony's state. The store keeps the bytes; the keys
/// layer seals or authenticates them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What kind of document.
    pub kind: String,
    /// Which.
    pub id: String,
    /// How often it was written.
    pub revision: u64,
    /// What it says.
    pub body: Vec<u8>,
}

/// One document to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPut {
    /// What kind of document.
    pub kind: String,
    /// Which.
    pub id: String,
    /// The revision it must still have; 0 where there must be none.
    pub expected_revision: u64,
    /// What it is to say.
    pub body: Vec<u8>,
}

/// One document to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentEnd {
    /// What kind of document.
    pub kind: String,
    /// Which.
    pub id: String,
    /// The revision it must still have.
    pub expected_revision: u64,
}

/// Which call of whom: a repetition has the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// The caller's tenant.
    pub tenant: String,
    /// The caller.
    pub caller: String,
    /// What the caller named the call.
    pub id: String,
}

/// The answer that repetitions of one call get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which call.
    pub request: RequestId,
    /// The answer, or what it can be made of again; also what it answered to.
    pub body: Vec<u8>,
    /// The time now, seconds since 1970.
    pub now: u64,
    /// Until when it is kept, seconds since 1970.
    pub expires: u64,
}

/// One use of a transaction of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KsnNote {
    /// The tenant that owns the base key.
    pub tenant: String,
    /// The base key, as the keys layer calls it.
    pub base: String,
    /// The device.
    pub device: [u8; 8],
    /// What the transaction is used for, as the keys layer numbers it.
    pub operation: u8,
    /// The device's counter, from 1.
    pub counter: u32,
    /// How far below the highest it may be, where it did not come before.
    pub window: u32,
}

impl Change {
    pub(in crate::store) fn check(&self) -> Result<(), Error> {
        if self.puts.len() + self.deletes.len() > limits::COMMIT_RECORDS_MAX {
            return Err(Error::ChangeBounds);
        }
        if self.ended.len() > limits::COMMIT_RECORDS_MAX {
            return Err(Error::ChangeBounds);
        }
        let next = self.expected_generation.checked_add(1);
        let is_next =
            |root: &StoredRoot| Some(root.generation) == next && i64::try_from(root.count).is_ok();
        if self.roots.is_empty() || !self.roots.iter().all(is_next) {
            return Err(Error::ChangeBounds);
        }
        self.beside.check()
    }
}

impl Put {
    /// The row's seals as a blob, where the row is within bounds.
    pub(in crate::store) fn check(&self) -> Result<Vec<u8>, Error> {
        let record = &self.record;
        let fits = record.id.version != 0
            && record.id.tenant.len() <= limits::KEY_NAME_BYTES_MAX
            && record.id.name.len() <= limits::KEY_NAME_BYTES_MAX
            && record.header.len() <= limits::RECORD_HEADER_BYTES_MAX;
        let seals = seals::encode(&record.seals).filter(|_| fits);
        seals.ok_or_else(|| Error::RecordBounds(record.id.clone()))
    }
}

impl Beside {
    pub(in crate::store) fn check(&self) -> Result<(), Error> {
        let name_fits =
            |name: &str| !name.is_empty() && name.len() <= limits::DOCUMENT_NAME_BYTES_MAX;
        let document_fits = |put: &DocumentPut| {
            name_fits(&put.kind)
                && name_fits(&put.id)
                && put.body.len() <= limits::DOCUMENT_BYTES_MAX
                && i64::try_from(put.expected_revision).is_ok()
        };
        let answer_fits = self.answer.as_ref().is_none_or(|answer| {
            answer.request.id.len() <= limits::REQUEST_ID_BYTES_MAX
                && answer.request.caller.len() <= limits::CALLER_URI_BYTES_MAX
                && answer.request.tenant.len() <= limits::KEY_NAME_BYTES_MAX
                && answer.body.len() <= limits::ANSWER_BYTES_MAX
        });
        if answer_fits
            && self.documents.len() <= limits::COMMIT_DOCUMENTS_MAX
            && self.documents.iter().all(document_fits)
        {
            Ok(())
        } else {
            Err(Error::ChangeBounds)
        }
    }
}
