//! Records that a single token can open: with it they would be lost.

use crate::keys::record::Header;
use crate::store::RecordId;

/// The first of each kind that was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alone {
    /// Another token could open it too, once it is enrolled.
    pub enrollable: Option<RecordId>,
    /// It cannot leave its token.
    pub bound: Option<RecordId>,
}

impl Alone {
    /// Takes in a record that one token can open. Its header need not be authentic yet: the root
    /// is compared in the end.
    pub(in crate::keys) fn see(&mut self, header: &[u8], id: impl FnOnce() -> RecordId) {
        // A header costs more to read than all else of its row; one answer is enough.
        if self.enrollable.is_some() {
            return;
        }
        let bound = Header::decode(header).is_ok_and(|header| header.stays_in_its_token());
        let first = if bound {
            &mut self.bound
        } else {
            &mut self.enrollable
        };
        first.get_or_insert_with(id);
    }

    pub(in crate::keys) fn take_in(&mut self, other: Self) {
        self.enrollable = self.enrollable.take().or(other.enrollable);
        self.bound = self.bound.take().or(other.bound);
    }
}
