//! The one place that writes the catalogue: computes the change and the root over what the store
//! holds after it, has every token vouch for the root, commits both in one transaction, and begins
//! again where another writer was quicker.

use std::collections::HashSet;
use std::sync::Arc;

use crate::keys::catalogue::Catalogue;
use crate::keys::enrol;
use crate::keys::error::{Error, Refusal};
use crate::keys::intent;
use crate::keys::make::{Made, deadline};
use crate::keys::root::{Root, RootKeys};
use crate::keys::rotation;
use crate::keys::seal::refusal_of;
use crate::store;
use crate::store::change::{Beside, Change, Delete, DocumentEnd, Put};
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
    let mut entry = entry;
    loop {
        tries += 1;
        catalogue.poll().await?;
        all_at_hand(catalogue).await?;
        let notes = rotation::notes(catalogue).await?;
        for (_, record) in &mut entry.puts {
            if let Some(renewed) = rotation::renewed(catalogue, &notes, record).await? {
                *record = renewed;
            }
        }
        let change = change(catalogue, &entry).await?;
        failpoint::hit("ledger.before-commit");
        match catalogue.store().commit(deadline(), change).await {
            Err(store::error::Error::Moved(_)) if tries < limits::COMMIT_TRIES_MAX => {}
            Err(error) => return Err(error.into()),
            Ok(generation) => {
                failpoint::hit("ledger.after-commit");
                // Written it is, whether or not this catalogue has seen it yet.
                if let Err(error) = catalogue.poll().await {
                    tracing::warn!(%error, "the catalogue does not follow its own change yet");
                }
                return Ok(generation);
            }
        }
    }
}

/// Refuses while a token that vouches for the catalogue would be left behind: one that is used does
/// not serve, or one of the configuration is away.
pub(in crate::keys) async fn all_at_hand(catalogue: &Catalogue) -> Result<(), Error> {
    let fleet = catalogue.fleet();
    fleet.all_serve()?;
    let Some(vacancy) = fleet.vacancy() else {
        return Ok(());
    };
    let vouching = enrol::vouching(catalogue).await?;
    let mut vouching = vouching.iter();
    if vouching.any(|(token, is_newest)| *is_newest && fleet.at_hand(*token).is_none()) {
        return Err(vacancy);
    }
    Ok(())
}

async fn change(catalogue: &Catalogue, entry: &Entry) -> Result<Change, Error> {
    let fleet = catalogue.fleet();
    let (keys, root) = catalogue.standing().basis()?;
    let keys = match keys {
        Some(keys) => keys,
        None => Arc::new(RootKeys::found(fleet, deadline()).await?),
    };
    let mut change = Change {
        expected_generation: root.generation,
        ended: entry.ended.clone(),
        beside: entry.beside.clone(),
        ..Change::default()
    };
    let mut root = Root {
        generation: root.generation + 1,
        ..root
    };
    let mut named = HashSet::new();
    for (expected_header, record) in &entry.puts {
        if !named.insert(&record.id) {
            return Err(store::error::Error::Exists(record.id.clone()).into());
        }
        let is_new = expected_header.is_none();
        change.puts.push(Put {
            expected_header: expected_header.clone(),
            record: record.clone(),
            tag: put(catalogue, &keys, &mut root, record, is_new)?,
        });
    }
    for (id, expected_header) in &entry.deletes {
        if !named.insert(id) {
            return Err(store::error::Error::Changed(id.clone()).into());
        }
        take_away(catalogue, &keys, &mut root, id)?;
        change.deletes.push(Delete {
            id: id.clone(),
            expected_header: expected_header.clone(),
        });
    }
    // A token that is left out refuses the catalogue from now on, until it is enrolled again.
    for token in fleet.tokens() {
        change
            .roots
            .push(keys.close(&root, token, deadline()).await?);
    }
    Ok(change)
}

/// Adds a record to the root, in the place of the one it replaces; answers its tag.
fn put(
    catalogue: &Catalogue,
    keys: &RootKeys,
    root: &mut Root,
    record: &StoredRecord,
    is_new: bool,
) -> Result<[u8; 16], Error> {
    let id = &record.id;
    let name = keys.name(&id.tenant, &id.name);
    let there = catalogue.standing().tag(&name, id.version);
    match (there, is_new) {
        (Some(_), true) => return Err(store::error::Error::Exists(id.clone()).into()),
        (_, false) => take_away(catalogue, keys, root, id)?,
        (None, true) => {}
    }
    let out_of_bounds = || store::error::Error::RecordBounds(id.clone());
    let seals = store::seals::encode(&record.seals).ok_or_else(out_of_bounds)?;
    let row = keys.row(name, id.version, &record.header, &seals);
    root.sum = root.sum.plus(keys.element(&row));
    root.count += 1;
    Ok(row.tag)
}

fn take_away(
    catalogue: &Catalogue,
    keys: &RootKeys,
    root: &mut Root,
    id: &RecordId,
) -> Result<(), Error> {
    let name = keys.name(&id.tenant, &id.name);
    let tag = catalogue.standing().tag(&name, id.version);
    let tag = tag.ok_or_else(|| refusal_of(id, Refusal::RowUnknown))?;
    let old = keys.row_of(name, id.version, tag);
    root.sum = root.sum.minus(keys.element(&old));
    root.count = root
        .count
        .checked_sub(1)
        .ok_or_else(|| refusal_of(id, Refusal::RowUnknown))?;
    Ok(())
}
