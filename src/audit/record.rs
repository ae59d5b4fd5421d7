//! What one line of the journal says. The body of a line is canonical JSON: these fields, in this
//! order, without spaces.
//!
//! Deliberately not here: free text. Outcome and reason are words compiled into this program, and
//! every name is checked before it is queued.

use serde::{Deserialize, Serialize};

use crate::audit::Error;
use crate::limits::{AUDIT_KEYS_MAX, AUDIT_NAME_BYTES_MAX, KEY_NAME_BYTES_MAX};

/// One call, as its audit record tells it. The journal adds the sequence number, the time and the
/// chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The caller's URI SAN, or the operator's name.
    pub caller: String,
    /// The method's path.
    pub rpc: &'static str,
    /// The server's own id of the call: never one that the caller chose, which could be a PAN.
    pub request_id: String,
    /// Names and versions of keys that were found: a name that was not may be anything.
    pub keys: Vec<(String, u32)>,
    /// The canonical code.
    pub outcome: &'static str,
    /// The `ErrorInfo` reason, where there is one.
    pub reason: Option<&'static str>,
}

impl Record {
    /// Refuses names that are too long or not of their alphabet.
    pub(super) fn check(&self) -> Result<(), Error> {
        let name = |text: &str| {
            text.len() <= AUDIT_NAME_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
        };
        // A key that came in a block stands as the name of what opened it, and the block's hash.
        let key = |text: &str| {
            let word = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
            let (name, hash) = text.split_once('/').unwrap_or((text, HASH));
            (1..=KEY_NAME_BYTES_MAX).contains(&name.len())
                && name.bytes().all(word)
                && hash.len() == HASH.len()
                && hash
                    .bytes()
                    .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        };
        let sound = name(&self.caller)
            && name(&self.request_id)
            && [self.rpc, self.outcome, self.reason.unwrap_or_default()]
                .into_iter()
                .all(name)
            && self.keys.len() <= AUDIT_KEYS_MAX
            && self.keys.iter().all(|(text, _)| key(text));
        if sound {
            Ok(())
        } else {
            Err(Error::RecordMalformed)
        }
    }

    /// Appends the canonical body.
    pub(super) fn write_body(&self, seq: u64, time: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let body = Body {
            seq,
            time,
            caller: &self.caller,
            rpc: self.rpc,
            request_id: &self.request_id,
            keys: &self.keys,
            outcome: self.outcome,
            reason: self.reason,
        };
        serde_json::to_writer(out, &body).map_err(|_| Error::RecordMalformed)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    seq: u64,
    time: &'a str,
    caller: &'a str,
    rpc: &'a str,
    request_id: &'a str,
    keys: &'a [(String, u32)],
    outcome: &'a str,
    reason: Option<&'a str>,
}

/// A body as it is read back. Unknown, missing and repeated fields are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the fields not used here are parsed to refuse any other form"
)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) time: String,
    caller: String,
    rpc: String,
    request_id: String,
    keys: Vec<(String, u32)>,
    outcome: String,
    reason: Option<String>,
}

/// The form of a block's hash: eight bytes in hexadecimal.
const HASH: &str = "0000000000000000";
