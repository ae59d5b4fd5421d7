//! The chain: hash = SHA-256(prev ‖ canonical body), and its verification. The first record's
//! `prev` is 32 zero bytes, and record n stands in line n.
//!
//! Deliberately not here: any key. Checkpoints signed by the token are for the holder of another
//! copy.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::audit::record::Entry;
use crate::limits::{AUDIT_LINE_BYTES_MAX, AUDIT_TAIL_BYTES_MAX};

/// What a sound journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many records.
    pub records: u64,
    /// Time of the first, RFC 3339; empty where there is none.
    pub first: String,
    /// Time of the last.
    pub last: String,
    /// Hash of the last record: what a checkpoint signs.
    pub head: [u8; 32],
}

/// Where a journal stops being a chain.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Broken {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: Fault,
}

/// What can be wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file ends within the line: a crash, or a cut.
    #[error("the line is not complete")]
    Torn,
    /// Not the form of a record.
    #[error("not an audit record")]
    Form,
    /// Its number is not the next: records are missing, repeated or moved.
    #[error("not the next sequence number")]
    Sequence,
    /// It does not continue the record before it.
    #[error("does not follow from the record before")]
    Link,
    /// Its content is not what was hashed.
    #[error("the content does not have this hash")]
    Hash,
    /// The disk.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Verifies a whole journal.
///
/// # Errors
/// The first line that is wrong. An incomplete last line is an error too.
pub fn verify_file(path: &Path) -> Result<Summary, Broken> {
    let unreadable = |error: io::Error| Broken {
        line: 0,
        what: error.into(),
    };
    verify(BufReader::new(File::open(path).map_err(unreadable)?))
}

pub(super) fn verify(mut lines: impl BufRead) -> Result<Summary, Broken> {
    let mut walk = Walk::from_the_start();
    let mut summary = Summary {
        records: 0,
        first: String::new(),
        last: String::new(),
        head: GENESIS,
    };
    let mut line = Vec::new();
    loop {
        let number = summary.records + 1;
        let broken = |what| Broken { line: number, what };
        line.clear();
        // One byte more than a line may have shows that it is too long.
        let mut bounded = (&mut lines).take(AUDIT_LINE_BYTES_MAX as u64 + 1);
        bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| broken(error.into()))?;
        if line.is_empty() {
            return Ok(summary);
        }
        let Some(text) = line.strip_suffix(b"\n") else {
            let long = line.len() > AUDIT_LINE_BYTES_MAX;
            return Err(broken(if long { Fault::Form } else { Fault::Torn }));
        };
        summary.last = walk.step(text).map_err(broken)?.time;
        summary.records = number;
        summary.head = walk.head().hash;
        if number == 1 {
            summary.first.clone_from(&summary.last);
        }
    }
}

/// The end of a chain: what the next record continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
}

impl Head {
    pub(super) const START: Self = Self {
        seq: 0,
        hash: GENESIS,
    };

    /// Closes the line whose body, for `self.seq + 1`, starts at `body` in `out`.
    pub(super) fn close_line(&mut self, out: &mut Vec<u8>, body: usize) {
        let hash = link(&self.hash, &out[body..]);
        out.pop();
        out.extend_from_slice(PREV.as_bytes());
        out.extend_from_slice(hex::encode(self.hash).as_bytes());
        out.extend_from_slice(HASH.as_bytes());
        out.extend_from_slice(hex::encode(hash).as_bytes());
        out.extend_from_slice(b"\"}\n");
        *self = Self {
            seq: self.seq + 1,
            hash,
        };
    }
}

/// Walks a chain line by line, from its start or from any line.
#[derive(Clone)]
pub(super) struct Walk(Option<Head>);

impl Walk {
    pub(super) fn from_the_start() -> Self {
        Self(Some(Head::START))
    }

    pub(super) fn head(&self) -> Head {
        self.0.unwrap_or(Head::START)
    }

    /// Checks one line, given without its newline.
    pub(super) fn step(&mut self, line: &[u8]) -> Result<Entry, Fault> {
        let text = std::str::from_utf8(line).map_err(|_| Fault::Form)?;
        let split = text.len().checked_sub(PREV.len() + HASH.len() + 2 * 64 + 2);
        let (front, tail) = split
            .and_then(|at| text.split_at_checked(at))
            .ok_or(Fault::Form)?;
        let (prev, hash) = tail
            .strip_prefix(PREV)
            .and_then(|rest| rest.strip_suffix("\"}"))
            .and_then(|rest| rest.split_once(HASH))
            .ok_or(Fault::Form)?;
        let body = format!("{front}}}");
        let entry: Entry = serde_json::from_str(&body).map_err(|_| Fault::Form)?;
        let (prev, hash) = (unhex(prev)?, unhex(hash)?);
        if let Some(head) = self.0 {
            if entry.seq != head.seq + 1 {
                return Err(Fault::Sequence);
            }
            if prev != head.hash {
                return Err(Fault::Link);
            }
        }
        if hash != link(&prev, body.as_bytes()) {
            return Err(Fault::Hash);
        }
        self.0 = Some(Head {
            seq: entry.seq,
            hash,
        });
        Ok(entry)
    }
}

/// The end of an existing journal.
pub(super) struct Tail {
    pub(super) head: Head,
    /// Length of the file up to its last newline.
    pub(super) sound_bytes: u64,
    /// What follows: a line that a crash tore.
    pub(super) torn: Vec<u8>,
}

/// Reads and checks the last lines, at most [`AUDIT_TAIL_BYTES_MAX`] of them.
pub(super) fn read_tail(file: &mut File) -> Result<Tail, crate::audit::Error> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(AUDIT_TAIL_BYTES_MAX as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut window = Vec::new();
    file.take(AUDIT_TAIL_BYTES_MAX as u64)
        .read_to_end(&mut window)?;
    let mut walk = Walk::from_the_start();
    let mut lines = window.as_slice();
    if from > 0 {
        walk = Walk(None);
        let first = lines.iter().position(|&b| b == b'\n');
        lines = first.map_or(&[][..], |at| &lines[at + 1..]);
    }
    while let Some(end) = lines.iter().position(|&b| b == b'\n') {
        let line = walk.head().seq + 1;
        walk.step(&lines[..end])
            .map_err(|what| Broken { line, what })?;
        lines = &lines[end + 1..];
    }
    if walk.0.is_none() {
        return Err(Broken {
            line: 0,
            what: Fault::Form,
        }
        .into());
    }
    let sound_bytes = length - lines.len() as u64;
    Ok(Tail {
        head: walk.head(),
        sound_bytes,
        torn: lines.to_vec(),
    })
}

fn link(prev: &[u8; 32], body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(prev)
        .chain_update(body)
        .finalize()
        .into()
}

/// Lower case only: two spellings of one hash would be an undetected change.
fn unhex(text: &str) -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Fault::Form)?;
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(Fault::Form);
    }
    Ok(bytes)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = hex::encode(self.head);
        write!(
            f,
            "{} records, {} to {}, head {head}",
            self.records, self.first, self.last
        )
    }
}

const GENESIS: [u8; 32] = [0; 32];
/// What stands between the body (less its closing brace), the two hashes and the end of the line.
const PREV: &str = ",\"prev\":\"";
const HASH: &str = "\",\"hash\":\"";
