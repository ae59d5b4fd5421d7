//! The one place that writes the catalogue: computes the change and its root, commits both in one
//! transaction, and begins again where another writer was quicker.

use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::intent;
use crate::keys::make::{Made, deadline};
use crate::store;
use crate::store::change::{Beside, Change, Delete, DocumentEnd, Put, StoredRoot};
use crate::store::{RecordId, StoredRecord};
use crate::{failpoint, limits};

/// What is to be written together.
#[derive(Clone, Default)]
pub(in crate::keys) struct Entry {
    /// Records, each with the header it replaces; none where it is new.
    pub puts: Vec<(Option<Vec<u8>>, StoredRecord)>,
    /// Records to delete, each with the header it has.
    pub deletes: Vec<(RecordId, Vec<u8>)>,
    /// Documents that end with them.
    pub ended: Vec<DocumentEnd>,
    /// Documents and the answer that go with them.
    pub beside: Beside,
}

impl Entry {
    /// New records, and the end of the intents under which their objects were made.
    pub fn of_made<'a>(made: impl IntoIterator<Item = &'a Made>) -> Self {
        let mut entry = Self::default();
        for made in made {
            entry.puts.push((None, made.record.clone()));
            entry
                .ended
                .extend(made.header.token_object.map(intent::end_of));
        }
        entry
    }

    /// A record in the place of the one with this header.
    pub fn of_changed(expected_header: Vec<u8>, record: StoredRecord) -> Self {
        Self {
            puts: vec![(Some(expected_header), record)],
            ..Self::default()
        }
    }
}

/// Writes all of it or nothing; answers the new generation. This catalogue follows at once, others
/// within two polls.
pub(in crate::keys) async fn write(catalogue: &Catalogue, entry: Entry) -> Result<u64, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let change = change(catalogue, &entry).await?;
        failpoint::hit("ledger.before-commit");
        match catalogue.store().commit(deadline(), change).await {
            Err(store::error::Error::Moved(_)) if tries < limits::COMMIT_TRIES_MAX => {}
            Err(error) => return Err(error.into()),
            Ok(generation) => {
                failpoint::hit("ledger.after-commit");
                catalogue.poll().await?;
                return Ok(generation);
            }
        }
    }
}

async fn change(catalogue: &Catalogue, entry: &Entry) -> Result<Change, Error> {
    let generation = catalogue.store().generation(deadline()).await?;
    let put = |(expected_header, record): &(Option<Vec<u8>>, StoredRecord)| Put {
        expected_header: expected_header.clone(),
        record: record.clone(),
        tag: [0; 16],
    };
    let delete = |(id, expected_header): &(RecordId, Vec<u8>)| Delete {
        id: id.clone(),
        expected_header: expected_header.clone(),
    };
    Ok(Change {
        expected_generation: generation,
        puts: entry.puts.iter().map(put).collect(),
        deletes: entry.deletes.iter().map(delete).collect(),
        roots: vec![StoredRoot {
            token_id: catalogue.custodian().token().id().0,
            generation: generation + 1,
            count: 0,
            sum: [0; 32],
            nonce: [0; 16],
            index_key: [0; 32],
            mac: [0; 32],
        }],
        ended: entry.ended.clone(),
        beside: entry.beside.clone(),
    })
}
