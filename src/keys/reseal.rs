//! Every record of a store looked at once, and the seals of those that want it made anew under the
//! header they have: the walk that enrolling, rotating `seal` and dismissing a token share.
//!
//! A batch is one transaction with the roots of every token at hand, so that whoever is killed in
//! between leaves each record as it was or as it is to be, and the next walk skips what is done.
//! Headers do not change, and what changes a header meanwhile wins: its record is read again.
//! Who walks holds `Store::seals_lock`; keys are made, moved and used all the while.

use tokio::task::JoinSet;

use crate::hsm::{Token, TokenId};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::{Error, Refusal};
use crate::keys::ledger::{self, Entry};
use crate::keys::make::deadline;
use crate::keys::root::findings::Finding;
use crate::keys::root::scan::Progress;
use crate::keys::seal::{seal_by, seal_of};
use crate::limits;
use crate::store;
use crate::store::lock::LockGuard;
use crate::store::{RecordId, StoredRecord};

/// What the walk is for.
#[derive(Clone)]
pub(in crate::keys) enum Work {
    /// A token is to open every record that can be opened outside its own token.
    Enrol(Token),
    /// What a token sealed is to be under its current seal key.
    Renew(Token),
    /// The seals of a token are taken off; a record that no other opens keeps its own.
    Dismiss(TokenId),
    /// Nothing is written: what a token has sealed, it must open.
    Prove(Token),
}

/// What a walk came to.
#[derive(Clone, Debug, Default)]
pub(in crate::keys) struct Walked {
    /// Records that were written.
    pub written: u64,
    /// Records that were as they should be.
    pub kept: u64,
    /// Records that cannot be as the walk would have them.
    pub left: Vec<RecordId>,
    /// Records that do not open.
    pub refused: Vec<Finding>,
}

/// What becomes of one record.
enum Step {
    Keep,
    Write(StoredRecord),
    Leave(RecordId),
    Refuse(Finding),
}

/// Walks over the whole store. `progress` is told how many records were looked at.
pub(in crate::keys) async fn walk(
    catalogue: &Catalogue,
    work: &Work,
    progress: Progress<'_>,
) -> Result<Walked, Error> {
    let mut walked = Walked::default();
    let (mut after, mut seen) = (None, 0);
    loop {
        let store = catalogue.store();
        let page = store.list(deadline(), None, after.take()).await?;
        for batch in page.chunks(limits::RESEAL_BATCH_RECORDS) {
            write_batch(catalogue, work, batch, &mut walked).await?;
            seen += batch.len() as u64;
            progress(seen);
        }
        match page.last() {
            Some(last) if page.len() == limits::STORE_PAGE_RECORDS => after = Some(last.id.clone()),
            _ => return Ok(walked),
        }
    }
}

/// Waits for the lock of those who change seals, without holding up the runtime.
pub(in crate::keys) async fn lock(catalogue: &Catalogue) -> Result<LockGuard, Error> {
    let store = catalogue.store().clone();
    let wait = limits::ADVISORY_LOCK_WAIT;
    let locked = tokio::task::spawn_blocking(move || store.seals_lock(wait)).await;
    let locked = locked.map_err(|_| store::error::Error::Stopped)??;
    catalogue.poll().await?;
    Ok(locked)
}

/// One transaction; again with the rows as they are then, where one changed meanwhile.
async fn write_batch(
    catalogue: &Catalogue,
    work: &Work,
    batch: &[StoredRecord],
    walked: &mut Walked,
) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let steps = steps(catalogue, work, batch, tries > 1).await?;
        let mut entry = Entry::default();
        let mut done = Walked::default();
        for step in steps {
            match step {
                Step::Keep => done.kept += 1,
                Step::Leave(id) => done.left.push(id),
                Step::Refuse(finding) => done.refused.push(finding),
                Step::Write(record) => {
                    done.written += 1;
                    entry.puts.push((Some(record.header.clone()), record));
                }
            }
        }
        let written = if entry.puts.is_empty() {
            Ok(0)
        } else {
            ledger::write(catalogue, entry).await
        };
        match written {
            Err(error) if tries < limits::COMMIT_TRIES_MAX && has_moved(&error) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                walked.written += done.written;
                walked.kept += done.kept;
                walked.left.extend(done.left);
                walked.refused.extend(done.refused);
                return Ok(());
            }
        }
    }
}

/// Whether a record is not any more what it was when it was read.
fn has_moved(error: &Error) -> bool {
    match error {
        Error::StoreUnavailable(error) => matches!(**error, store::error::Error::Changed(_)),
        Error::RecordRefused { why, .. } => *why == Refusal::RowUnknown,
        _ => false,
    }
}

/// All at once, so that the tokens' queues are never empty.
async fn steps(
    catalogue: &Catalogue,
    work: &Work,
    batch: &[StoredRecord],
    read_again: bool,
) -> Result<Vec<Step>, Error> {
    let mut running = JoinSet::new();
    for (at, record) in batch.iter().cloned().enumerate() {
        let (catalogue, work) = (catalogue.clone(), work.clone());
        running.spawn(async move {
            let step = if read_again {
                again(&catalogue, &work, &record.id).await
            } else {
                first(&catalogue, &work, record).await
            };
            step.map(|step| (at, step))
        });
    }
    let mut steps = Vec::new();
    while let Some(step) = running.join_next().await {
        steps.push(step.map_err(|_| store::error::Error::Stopped)??);
    }
    // As they were read, so that what is named is named in order.
    steps.sort_unstable_by_key(|(at, _)| *at);
    Ok(steps.into_iter().map(|(_, step)| step).collect())
}

/// A record as it was read; as it is by now, where it is refused.
async fn first(catalogue: &Catalogue, work: &Work, record: StoredRecord) -> Result<Step, Error> {
    match step(catalogue, work, &record).await {
        Err(Error::RecordRefused { .. }) => again(catalogue, work, &record.id).await,
        other => other,
    }
}

async fn again(catalogue: &Catalogue, work: &Work, id: &RecordId) -> Result<Step, Error> {
    let refuse = |why| {
        let id = id.clone();
        Ok(Step::Refuse(Finding { id, why }))
    };
    let records = catalogue.records(&id.tenant, &id.name, deadline()).await;
    let records = match records {
        Err(Error::RecordRefused { why, .. }) => return refuse(why),
        other => other?,
    };
    match records.iter().find(|record| record.id == *id) {
        // Deleted since.
        None => Ok(Step::Keep),
        Some(record) => match step(catalogue, work, record).await {
            Err(Error::RecordRefused { why, .. }) => refuse(why),
            other => other,
        },
    }
}

async fn step(catalogue: &Catalogue, work: &Work, record: &StoredRecord) -> Result<Step, Error> {
    match work {
        Work::Enrol(token) => {
            let keys = token.seal_keys();
            let opens = |key| key == keys.current || keys.older.contains(&key);
            if seal_of(token, record).is_some_and(|seal| opens(seal.seal_key_id)) {
                return Ok(Step::Keep);
            }
            // A third token's own.
            let mut others = catalogue
                .fleet()
                .tokens()
                .filter(|at| at.id() != token.id());
            if !others.any(|other| seal_of(other, record).is_some()) {
                return Ok(Step::Leave(record.id.clone()));
            }
            renewed(catalogue, token, record).await
        }
        Work::Renew(token) => {
            let (id, key) = (token.id().0, token.seal_key_id());
            let mut own = record.seals.iter().filter(|seal| seal.token_id == id);
            if own.all(|seal| seal.seal_key_id == key) {
                return Ok(Step::Keep);
            }
            renewed(catalogue, token, record).await
        }
        Work::Dismiss(id) => {
            let (gone, stay): (Vec<_>, Vec<_>) = record
                .seals
                .iter()
                .cloned()
                .partition(|seal| seal.token_id == id.0);
            if gone.is_empty() {
                return Ok(Step::Keep);
            }
            if stay.is_empty() {
                return Ok(Step::Leave(record.id.clone()));
            }
            catalogue.authentic(None, record, deadline()).await?;
            Ok(Step::Write(StoredRecord {
                seals: stay,
                ..record.clone()
            }))
        }
        Work::Prove(token) if seal_of(token, record).is_some() => {
            catalogue.authentic(Some(token), record, deadline()).await?;
            Ok(Step::Keep)
        }
        Work::Prove(_) => Ok(Step::Leave(record.id.clone())),
    }
}

/// The record with this token's seal made anew over the same header.
async fn renewed(
    catalogue: &Catalogue,
    token: &Token,
    record: &StoredRecord,
) -> Result<Step, Error> {
    let (_, content) = catalogue.authentic(None, record, deadline()).await?;
    if content.home().is_some_and(|home| home != token.id()) {
        return Ok(Step::Leave(record.id.clone()));
    }
    let seal = seal_by(token, deadline(), record.header.clone(), &content).await?;
    let mut seals = record.seals.clone();
    seals.retain(|seal| seal.token_id != token.id().0);
    seals.push(seal);
    Ok(Step::Write(StoredRecord {
        seals,
        ..record.clone()
    }))
}
