//! Streaming a whole store: every row is tagged and summed, on every core, and the sum compared
//! with the authenticated root.
//!
//! Where the rows are not what the root vouches for, the directory is asked: if its sum is the
//! root's, it says what each row should be, every row that differs is found by name and the others
//! are served. If neither is, nothing is.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::keys::error::{CatalogueFault, Error, Refusal};
use crate::keys::root::alone::Alone;
use crate::keys::root::findings::Findings;
use crate::keys::root::index::{Index, Row};
use crate::keys::root::sum::Sum;
use crate::keys::root::{Root, RootKeys};
use crate::limits;
use crate::store::{RecordId, RecordRow, Snapshot, seals};

/// What a scan came to.
pub(in crate::keys) struct Scanned {
    pub index: Index,
    /// Rows that differ from what the index says.
    pub findings: Findings,
    /// Records that one token alone can open.
    pub alone: Alone,
}

/// Told now and then how many records were read.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// Reads all rows and finds whose sum is the root's.
pub(in crate::keys) fn scan(
    snapshot: &Snapshot,
    keys: &RootKeys,
    root: &Root,
    progress: Progress<'_>,
) -> Result<Scanned, Error> {
    let tally = stream(snapshot, keys, progress)?;
    let rows = Index::of(&tally.parts);
    drop(tally.parts);
    let (index, findings) = if tally.sum == root.sum && rows.count() == root.count {
        (rows, Findings::default())
    } else {
        let (directory, sum) = directory(snapshot, keys)?;
        let findings = differences(snapshot, keys, &rows, &directory)?;
        if sum != root.sum || directory.count() != root.count {
            return Err(CatalogueFault::SumDiffers(findings).into());
        }
        (directory, findings)
    };
    Ok(Scanned {
        index,
        findings,
        alone: tally.alone,
    })
}

/// The rows as they are, summed.
#[derive(Default)]
struct Tally {
    parts: Vec<Vec<Row>>,
    sum: Sum,
    alone: Alone,
}

impl Tally {
    fn take_in(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.sum = self.sum.plus(other.sum);
        self.alone.take_in(other.alone);
    }
}

fn stream(snapshot: &Snapshot, keys: &RootKeys, progress: Progress<'_>) -> Result<Tally, Error> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = workers.min(limits::SCAN_WORKERS_MAX);
    let (send, receive) = sync_channel(2 * workers);
    let receive = Mutex::new(receive);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let work = || {
            tally(&receive, keys, |rows| {
                progress(done.fetch_add(rows, Ordering::Relaxed) + rows);
            })
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let read = read(snapshot, &send);
        drop(send);
        let mut total = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => total.take_in(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        read.map(|()| total)
    })
}

/// Rows on their way to a worker, one after the other in one piece of memory.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    rows: Vec<Lengths>,
}

struct Lengths {
    tenant: usize,
    name: usize,
    version: u32,
    header: usize,
    seals: usize,
}

impl Batch {
    fn push(&mut self, row: &RecordRow<'_>) {
        for part in [
            row.tenant.as_bytes(),
            row.name.as_bytes(),
            row.header,
            row.seals,
        ] {
            self.bytes.extend_from_slice(part);
        }
        self.rows.push(Lengths {
            tenant: row.tenant.len(),
            name: row.name.len(),
            version: row.version,
            header: row.header.len(),
            seals: row.seals.len(),
        });
    }
}

fn read(snapshot: &Snapshot, send: &SyncSender<Batch>) -> Result<(), Error> {
    let mut batch = Batch::default();
    snapshot.records(|row| -> Result<(), Error> {
        batch.push(&row);
        if batch.rows.len() == limits::SCAN_BATCH_ROWS {
            // A worker that panicked is told of when it is joined.
            let _ = send.send(std::mem::take(&mut batch));
        }
        Ok(())
    })?;
    let _ = send.send(batch);
    Ok(())
}

fn tally(receive: &Mutex<Receiver<Batch>>, keys: &RootKeys, progress: impl Fn(u64)) -> Tally {
    let mut total = Tally::default();
    let mut rows = Vec::new();
    let next = || {
        receive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv()
    };
    while let Ok(batch) = next() {
        let mut rest = batch.bytes.as_slice();
        let mut take = |length| {
            let (taken, after) = rest.split_at(length);
            rest = after;
            taken
        };
        for lengths in &batch.rows {
            let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
            let (tenant, name) = (text(take(lengths.tenant)), text(take(lengths.name)));
            let (header, seals) = (take(lengths.header), take(lengths.seals));
            let version = lengths.version;
            let row = keys.row(keys.name(tenant, name), version, header, seals);
            total.sum = total.sum.plus(keys.element(&row));
            if seals::tokens(seals) < 2 {
                total.alone.see(header, || record_id(tenant, name, version));
            }
            rows.push(row);
        }
        progress(batch.rows.len() as u64);
    }
    total.parts.push(rows);
    total
}

fn directory(snapshot: &Snapshot, keys: &RootKeys) -> Result<(Index, Sum), Error> {
    let mut rows = Vec::new();
    let mut sum = Sum::default();
    snapshot.directory(|entry| -> Result<(), Error> {
        let row = Row {
            name: keys.name(entry.tenant, entry.name),
            version: entry.version,
            tag: entry.tag,
        };
        sum = sum.plus(keys.element(&row));
        rows.push(row);
        Ok(())
    })?;
    Ok((Index::of(&[rows]), sum))
}

/// Names every row that is not as the directory says. Slow, and only where something is wrong.
fn differences(
    snapshot: &Snapshot,
    keys: &RootKeys,
    rows: &Index,
    directory: &Index,
) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    snapshot.records(|row| -> Result<(), Error> {
        let name = keys.name(row.tenant, row.name);
        let why = match directory.tag(&name, row.version) {
            None => Refusal::RowUnknown,
            said if said != rows.tag(&name, row.version) => Refusal::RowDiffers,
            Some(_) => return Ok(()),
        };
        findings.add(record_id(row.tenant, row.name, row.version), why);
        Ok(())
    })?;
    snapshot.directory(|entry| -> Result<(), Error> {
        let name = keys.name(entry.tenant, entry.name);
        if rows.tag(&name, entry.version).is_none() {
            let id = record_id(entry.tenant, entry.name, entry.version);
            findings.add(id, Refusal::RowMissing);
        }
        Ok(())
    })?;
    Ok(findings)
}

fn record_id(tenant: &str, name: &str, version: u32) -> RecordId {
    RecordId {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        version,
    }
}
