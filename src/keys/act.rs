//! Who asks for a change, and what makes a repetition of it one: the caller's own name for the
//! request and a hash of it. The answer is kept with the change, in its transaction, so that a
//! repetition changes nothing and gets the same answer.
//!
//! What is kept is stamped by the token: a row that somebody edited is as good as none.
//! Nothing secret is kept: names, versions, key blocks.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::keys::approval::Used;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::make::deadline;
use crate::keys::stamp::{stamp, stamped};
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::limits;
use crate::store::change::{Answer, Beside, RequestId};

/// A change that somebody asked for.
pub struct Act(Option<Request>);

struct Request {
    id: RequestId,
    hash: [u8; 32],
    approval: Option<Used>,
}

/// What a change came to, as far as its answer needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The key.
    pub name: KeyName,
    /// Its version.
    pub version: u32,
    /// A key block, and the check value of the key inside, where the answer is one.
    pub block: Option<(String, Vec<u8>)>,
    /// The rest of the answer, where there is more of it.
    pub content: Option<Vec<u8>>,
}

impl Act {
    /// An operator's, at this machine: never repeated.
    pub const fn operator() -> Self {
        Self(None)
    }

    /// A caller's. `call` and `message` are what the hash is made of.
    ///
    /// # Errors
    /// [`Error::RequestIdMalformed`].
    pub fn requested(
        tenant: &str,
        caller: &str,
        request_id: &str,
        call: &str,
        message: &[u8],
    ) -> Result<Self, Error> {
        let sound = (1..=limits::REQUEST_ID_BYTES_MAX).contains(&request_id.len())
            && request_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound {
            return Err(Error::RequestIdMalformed);
        }
        Ok(Self(Some(Request {
            id: RequestId {
                tenant: tenant.to_owned(),
                caller: caller.to_owned(),
                id: request_id.to_owned(),
            },
            hash: request_hash(call, message),
            approval: None,
        })))
    }

    /// What the same request came to before.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`] where another request has this id.
    pub async fn repeated(&self, catalogue: &Catalogue) -> Result<Option<Outcome>, Error> {
        let Some(request) = &self.0 else {
            return Ok(None);
        };
        let kept = catalogue
            .store()
            .answer(deadline(), request.id.clone(), now());
        let Some(body) = kept.await? else {
            return Ok(None);
        };
        let Some(payload) = stamped(catalogue, &request.context(), &body).await? else {
            tracing::warn!("an answer kept for repetitions is not what was written; ignored");
            return Ok(None);
        };
        let Ok((hash, outcome)) = decode(payload) else {
            return Ok(None);
        };
        if hash == request.hash {
            Ok(Some(outcome))
        } else {
            Err(Error::RequestIdReused)
        }
    }

    /// Notes the approval that this change uses up.
    pub fn approved_by(&mut self, used: Used) {
        if let Some(request) = &mut self.0 {
            request.approval = Some(used);
        }
    }

    /// The hash of the request, with whose it is; none of an operator's.
    pub fn request(&self) -> Option<(&str, &str, [u8; 32])> {
        let request = self.0.as_ref()?;
        Some((&request.id.tenant, &request.id.caller, request.hash))
    }

    /// What is written in the transaction of the change.
    pub(in crate::keys) async fn beside(
        &self,
        catalogue: &Catalogue,
        outcome: &Outcome,
    ) -> Result<Beside, Error> {
        let Some(request) = &self.0 else {
            return Ok(Beside::default());
        };
        let body = encode(request.hash, outcome);
        let now = now();
        Ok(Beside {
            documents: request.approval.iter().map(Used::document).collect(),
            answer: Some(Answer {
                request: request.id.clone(),
                body: stamp(catalogue, &request.context(), body).await?,
                now,
                expires: now + limits::ANSWER_KEPT.as_secs(),
            }),
        })
    }
}

impl Request {
    fn context(&self) -> Vec<u8> {
        let mut writer = Writer::after(b"pintle answer");
        writer.put(1, self.id.tenant.as_bytes());
        writer.put(2, self.id.caller.as_bytes());
        writer.put(3, self.id.id.as_bytes());
        writer.finish()
    }
}

/// The hash of a request: of the call's name and the message's bytes.
pub fn request_hash(call: &str, message: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(call);
    hash.update([0]);
    hash.update(message);
    hash.finalize().into()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs())
}

fn encode(hash: [u8; 32], outcome: &Outcome) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.put(1, &hash);
    writer.put(2, outcome.name.as_str().as_bytes());
    writer.put(3, &outcome.version.to_be_bytes());
    if let Some((block, check_value)) = &outcome.block {
        writer.put(4, block.as_bytes());
        writer.put(5, check_value);
    }
    writer.put_some(6, outcome.content.as_deref());
    writer.finish()
}

fn decode(bytes: &[u8]) -> Result<([u8; 32], Outcome), Malformed> {
    let mut reader = Reader::new(bytes);
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
    let hash = reader.take(1)?.try_into().map_err(|_| Malformed)?;
    let name = text(reader.take(2)?).map_err(|_| Malformed)?;
    let version = reader.take(3)?.try_into().map_err(|_| Malformed)?;
    let block = match reader.take_if(4)? {
        Some(block) => {
            let block = text(block).map_err(|_| Malformed)?;
            Some((block, reader.take(5)?.to_vec()))
        }
        None => None,
    };
    let content = reader.take_if(6)?.map(<[u8]>::to_vec);
    reader.end()?;
    let outcome = Outcome {
        name: KeyName::parse(&name).map_err(|_| Malformed)?,
        version: u32::from_be_bytes(version),
        block,
        content,
    };
    Ok((hash, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_back() {
        let block = || Some(("D0112P0AE00E0000".to_owned(), vec![1, 2, 3]));
        for (block, content) in [(None, None), (block(), None), (block(), Some(vec![0; 300]))] {
            let outcome = Outcome {
                name: KeyName::parse("zpk").unwrap(),
                version: 7,
                block,
                content,
            };
            let bytes = encode([9; 32], &outcome);
            assert_eq!(decode(&bytes), Ok(([9; 32], outcome)));
            assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(Malformed));
        }
    }

    #[test]
    fn a_request_id_is_short_printable_and_has_no_spaces() {
        let act = |id: &str| Act::requested("default", "spiffe://a/b", id, "x", b"");
        assert!(act("0b6f6d2e-7c0e-4b7e-9f0e-0d8f2f0e8f11").is_ok());
        let long = "x".repeat(limits::REQUEST_ID_BYTES_MAX + 1);
        for bad in ["", "a b", "键", "a\n", long.as_str()] {
            assert!(
                matches!(act(bad), Err(Error::RequestIdMalformed)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn other_calls_and_other_messages_have_other_hashes() {
        assert_ne!(request_hash("a", b"bc"), request_hash("ab", b"c"));
        assert_ne!(request_hash("a", b"b"), request_hash("a", b"c"));
    }
}
