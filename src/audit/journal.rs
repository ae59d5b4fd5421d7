//! The journal's file and its one writing thread: what waits is written together, made durable by
//! one fdatasync, and only then answered.
//!
//! Deliberately not here: retries. After a failed write or sync nobody knows what the disk holds
//! (fsync reports an error once), so every later append fails and calls fail with it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::audit::chain::{Head, Tail, read_tail};
use crate::audit::{Error, Record};
use crate::failpoint;
use crate::limits::{AUDIT_BATCH_MAX, AUDIT_QUEUE_MAX};

/// Bounds of a journal; the defaults are the largest that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Records waiting for the disk.
    pub queue: usize,
    /// Records made durable at once.
    pub batch: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            queue: AUDIT_QUEUE_MAX,
            batch: AUDIT_BATCH_MAX,
        }
    }
}

/// An open journal. Clones share it; the last one dropped writes what waits and closes the file.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    queue: Option<SyncSender<Waiting>>,
    failed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Waiting {
    record: Record,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Journal {
    /// Opens or creates the journal at `path`, alone: a second opening anywhere is refused.
    ///
    /// The end of an existing chain is verified. A last line torn by a crash (its call was never
    /// answered) is kept beside the journal as `<name>.torn-<hash>`, and the record that continues
    /// the chain says so.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Broken`] or [`Error::Unreadable`].
    pub fn open(path: &Path, options: JournalOptions) -> Result<Self, Error> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        sync_folder_of(path)?;
        let Tail {
            head,
            sound_bytes,
            torn,
        } = read_tail(&mut file)?;
        file.seek(SeekFrom::Start(sound_bytes))?;
        let mut writer = Writer {
            file,
            head,
            lines: Vec::new(),
        };
        if !torn.is_empty() {
            writer.continue_after_torn(path, &torn)?;
        }
        Ok(Self::start(writer, options)?)
    }

    /// Queues a record and answers a future that resolves once it is on the disk. The record is
    /// written even where the future is dropped.
    ///
    /// The future's error is [`Error::Busy`], [`Error::Failed`] or [`Error::RecordMalformed`].
    pub fn append(&self, record: Record) -> Append {
        Append(self.queue(record))
    }

    /// Whether the journal has failed for good: the server is then not ready.
    pub fn has_failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    fn queue(&self, record: Record) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        record.check()?;
        if self.has_failed() {
            return Err(Error::Failed);
        }
        let queue = self.0.queue.as_ref().ok_or(Error::Failed)?;
        let (answer, answered) = oneshot::channel();
        match queue.try_send(Waiting { record, answer }) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => Err(Error::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Error::Failed),
        }
    }

    fn start(writer: Writer, options: JournalOptions) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(options.queue.clamp(1, AUDIT_QUEUE_MAX));
        let failed = Arc::new(AtomicBool::new(false));
        let batch_max = options.batch.clamp(1, AUDIT_BATCH_MAX);
        let thread = std::thread::Builder::new().name("audit".into()).spawn({
            let failed = Arc::clone(&failed);
            move || commit_all(writer, &waiting, &failed, batch_max)
        })?;
        Ok(Self(Arc::new(Inner {
            queue: Some(queue),
            failed,
            thread: Some(thread),
        })))
    }

    /// A journal on a file that is not one, to see it fail.
    #[cfg(test)]
    pub(super) fn on(file: File) -> Self {
        let writer = Writer {
            file,
            head: Head::START,
            lines: Vec::new(),
        };
        Self::start(writer, JournalOptions::default()).unwrap()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panicked thread has answered nobody with success; there is nothing to add here.
            thread.join().ok();
        }
    }
}

/// Resolves when the record is durable.
#[must_use = "the call may be answered only once its record is durable"]
pub struct Append(Result<oneshot::Receiver<Result<(), Error>>, Error>);

impl Append {
    /// Waits without a runtime; not to be called on a runtime's thread.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn wait(self) -> Result<(), Error> {
        self.0?.blocking_recv().unwrap_or(Err(Error::Failed))
    }
}

impl Future for Append {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(answered) => Pin::new(answered)
                .poll(context)
                .map(|got| got.unwrap_or(Err(Error::Failed))),
            Err(error) => Poll::Ready(Err(std::mem::replace(error, Error::Failed))),
        }
    }
}

fn commit_all(
    mut writer: Writer,
    waiting: &Receiver<Waiting>,
    failed: &AtomicBool,
    batch_max: usize,
) {
    let mut batch = Vec::with_capacity(batch_max);
    while let Ok(first) = waiting.recv() {
        batch.push(first);
        batch.extend(waiting.try_iter().take(batch_max - 1));
        if !failed.load(Ordering::Acquire)
            && let Err(error) = writer.commit(batch.iter().map(|waiting| &waiting.record))
        {
            failed.store(true, Ordering::Release);
            tracing::error!(%error, "the audit journal has failed: no call is answered any more");
        }
        let committed = !failed.load(Ordering::Acquire);
        for Waiting { answer, .. } in batch.drain(..) {
            // A caller that has gone does not undo the record.
            answer
                .send(if committed {
                    Ok(())
                } else {
                    Err(Error::Failed)
                })
                .ok();
        }
    }
}

struct Writer {
    file: File,
    head: Head,
    lines: Vec<u8>,
}

impl Writer {
    /// Writes and syncs all of them or fails; after a failure the writer is not used again.
    fn commit<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> Result<(), Error> {
        let time = Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string();
        self.lines.clear();
        for record in records {
            let body = self.lines.len();
            record.write_body(self.head.seq + 1, &time, &mut self.lines)?;
            self.head.close_line(&mut self.lines, body);
        }
        failpoint::hit("audit.before-write");
        self.file.write_all(&self.lines)?;
        failpoint::hit("audit.after-write");
        self.file.sync_data()?;
        failpoint::hit("audit.after-sync");
        Ok(())
    }

    /// Keeps the torn bytes, then writes over them. A crash at any point leaves a torn line again,
    /// and never a line lost.
    fn continue_after_torn(&mut self, path: &Path, torn: &[u8]) -> Result<(), Error> {
        let hash = hex::encode(Sha256::digest(torn));
        let mut kept = path.as_os_str().to_owned();
        kept.push(format!(".torn-{}", &hash[..16]));
        let kept = PathBuf::from(kept);
        fs::write(&kept, torn)?;
        File::open(&kept)?.sync_all()?;
        sync_folder_of(path)?;
        let record = Record {
            caller: "pintle".into(),
            rpc: "audit.recover",
            request_id: format!("sha256:{hash}"),
            keys: Vec::new(),
            outcome: "DATA_LOSS",
            reason: Some("TORN_LINE_KEPT_ASIDE"),
        };
        self.commit(std::iter::once(&record))?;
        let end = self.file.stream_position()?;
        self.file.set_len(end)?;
        self.file.sync_all()?;
        tracing::warn!(kept = %kept.display(), "the audit journal's last line was torn by a crash");
        Ok(())
    }
}

/// A file's name is durable only once its folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
