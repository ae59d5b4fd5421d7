//! The second person (security.md G9): a request that the policy file wants approved waits as a
//! document until somebody else has looked at its hash and decided. An approval is of one request,
//! expires, and is used up in the transaction of the change that it allowed.
//!
//! Documents are stamped by the token, so that nobody approves by editing the store. Which calls
//! need a second person is not decided here but in the policy file.

use crate::keys::act::{Act, now};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::make::deadline;
use crate::keys::stamp::{stamp, stamped};
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::limits;
use crate::store::change::{Beside, Document, DocumentPut};

/// One request that waits, or waited, for a second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its name: of who asked, and what.
    pub id: String,
    /// The call.
    pub call: String,
    /// The keys it is about.
    pub keys: Vec<String>,
    /// The hash of the request.
    pub hash: [u8; 32],
    /// Who asked.
    pub requested_by: String,
    /// When, seconds since 1970.
    pub requested: u64,
    /// Until when it can be decided and used, seconds since 1970.
    pub expires: u64,
    /// What came of it.
    pub decision: Decision,
    /// Who decided.
    pub decided_by: Option<String>,
}

/// What came of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet.
    Waiting,
    /// The request may be carried out, once.
    Approved,
    /// It may not.
    Rejected,
    /// It was carried out.
    Used,
}

/// An approval that a change uses up.
pub struct Used(DocumentPut);

impl Used {
    pub(in crate::keys) fn document(&self) -> DocumentPut {
        self.0.clone()
    }
}

/// Lets `act` through if somebody else has approved it, and notes so; leaves a request for
/// approval otherwise.
///
/// # Errors
/// [`Error::ApprovalRequired`] with the approval's id, [`Error::ApprovalRejected`].
pub async fn require(
    catalogue: &Catalogue,
    act: &mut Act,
    call: &str,
    keys: &[&str],
) -> Result<(), Error> {
    let Some((tenant, caller, hash)) = act.request() else {
        return Ok(());
    };
    let (tenant, caller) = (tenant.to_owned(), caller.to_owned());
    let id = id_of(&caller, &hash);
    let found = read(catalogue, &tenant, &id).await?;
    let now = now();
    match found {
        Some((approval, revision)) if approval.expires > now => match approval.decision {
            Decision::Waiting => Err(Error::ApprovalRequired { id }),
            Decision::Rejected => Err(Error::ApprovalRejected),
            Decision::Approved => {
                let used = Approval {
                    decision: Decision::Used,
                    ..approval
                };
                act.approved_by(Used(used.put(catalogue, &tenant, revision).await?));
                Ok(())
            }
            // The request was carried out, and its repetition is answered before this is asked.
            Decision::Used => Err(Error::ApprovalRejected),
        },
        old => {
            let revision = old.map_or(0, |(_, revision)| revision);
            let asked = Approval {
                id: id.clone(),
                call: call.to_owned(),
                keys: keys.iter().map(|key| (*key).to_owned()).collect(),
                hash,
                requested_by: caller,
                requested: now,
                expires: now + limits::APPROVAL_LIFE.as_secs(),
                decision: Decision::Waiting,
                decided_by: None,
            };
            asked.write(catalogue, &tenant, revision).await?;
            Err(Error::ApprovalRequired { id })
        }
    }
}

/// Decides a waiting request.
///
/// # Errors
/// [`Error::ApprovalUnknown`] where there is none that waits, or the hash is another's;
/// [`Error::ApprovalOwn`] where the decider asked for it.
pub async fn decide(
    catalogue: &Catalogue,
    tenant: &str,
    caller: &str,
    (id, hash): (&str, &[u8]),
    approve: bool,
) -> Result<Approval, Error> {
    let found = read(catalogue, tenant, id).await?;
    let (approval, revision) = found.ok_or(Error::ApprovalUnknown)?;
    let waits = approval.decision == Decision::Waiting && approval.expires > now();
    if !waits || approval.hash != hash {
        return Err(Error::ApprovalUnknown);
    }
    if approval.requested_by == caller {
        return Err(Error::ApprovalOwn);
    }
    let decided = Approval {
        decision: match approve {
            true => Decision::Approved,
            false => Decision::Rejected,
        },
        decided_by: Some(caller.to_owned()),
        ..approval
    };
    decided.write(catalogue, tenant, revision).await?;
    Ok(decided)
}

/// The approvals of a tenant, newest first, at most [`limits::APPROVALS_LISTED_MAX`]. One that is
/// not what was written is left out.
///
/// # Errors
/// What store or token answered.
pub async fn list(catalogue: &Catalogue, tenant: &str) -> Result<Vec<Approval>, Error> {
    let mut approvals = Vec::new();
    let mut after = String::new();
    loop {
        let page = catalogue
            .store()
            .documents(deadline(), &kind(tenant), &after)
            .await?;
        for document in &page {
            approvals.extend(open(catalogue, tenant, document).await?);
        }
        match page.last() {
            Some(last) if page.len() == limits::DOCUMENT_PAGE => after.clone_from(&last.id),
            _ => break,
        }
    }
    approvals.sort_by_key(|approval| std::cmp::Reverse(approval.requested));
    approvals.truncate(limits::APPROVALS_LISTED_MAX);
    Ok(approvals)
}

async fn read(
    catalogue: &Catalogue,
    tenant: &str,
    id: &str,
) -> Result<Option<(Approval, u64)>, Error> {
    if id.len() != ID_CHARS {
        return Ok(None);
    }
    let document = catalogue.store().document(deadline(), &kind(tenant), id);
    let Some(document) = document.await? else {
        return Ok(None);
    };
    // A document that was edited waits for nobody: it is asked for anew, over it.
    let open = open(catalogue, tenant, &document).await?;
    Ok(open.map(|approval| (approval, document.revision)))
}

async fn open(
    catalogue: &Catalogue,
    tenant: &str,
    document: &Document,
) -> Result<Option<Approval>, Error> {
    let context = context(tenant, &document.id);
    let payload = stamped(catalogue, &context, &document.body).await?;
    Ok(payload.and_then(|payload| Approval::decode(&document.id, payload).ok()))
}

impl Approval {
    async fn write(
        &self,
        catalogue: &Catalogue,
        tenant: &str,
        expected_revision: u64,
    ) -> Result<(), Error> {
        let beside = Beside {
            documents: vec![self.put(catalogue, tenant, expected_revision).await?],
            answer: None,
        };
        Ok(catalogue.store().write_beside(deadline(), beside).await?)
    }

    async fn put(
        &self,
        catalogue: &Catalogue,
        tenant: &str,
        expected_revision: u64,
    ) -> Result<DocumentPut, Error> {
        Ok(DocumentPut {
            kind: kind(tenant),
            id: self.id.clone(),
            expected_revision,
            body: stamp(catalogue, &context(tenant, &self.id), self.encode()).await?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.put(1, self.call.as_bytes());
        self.keys
            .iter()
            .for_each(|key| writer.put(2, key.as_bytes()));
        writer.put(3, &self.hash);
        writer.put(4, self.requested_by.as_bytes());
        writer.put(5, &self.requested.to_be_bytes());
        writer.put(6, &self.expires.to_be_bytes());
        let decision = DECISIONS.iter().find(|row| row.0 == self.decision);
        writer.put(7, &[decision.map_or(0, |row| row.1)]);
        writer.put_some(8, self.decided_by.as_ref().map(String::as_bytes));
        writer.finish()
    }

    fn decode(id: &str, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
            Ok(text.to_owned())
        };
        let call = text(reader.take(1)?)?;
        let mut keys = Vec::new();
        while let Some(key) = reader.take_if(2)? {
            keys.push(text(key)?);
        }
        let hash = reader.take(3)?.try_into().map_err(|_| Malformed)?;
        let requested_by = text(reader.take(4)?)?;
        let moment = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes);
        let requested = moment(reader.take(5)?).map_err(|_| Malformed)?;
        let expires = moment(reader.take(6)?).map_err(|_| Malformed)?;
        let code = reader.take(7)?;
        let decision = DECISIONS
            .iter()
            .find(|row| [row.1] == code)
            .ok_or(Malformed)?;
        let decided_by = reader.take_if(8)?.map(text).transpose()?;
        reader.end()?;
        Ok(Self {
            id: id.to_owned(),
            call,
            keys,
            hash,
            requested_by,
            requested,
            expires,
            decision: decision.0,
            decided_by,
        })
    }
}

fn kind(tenant: &str) -> String {
    format!("approval.{tenant}")
}

fn context(tenant: &str, id: &str) -> Vec<u8> {
    let mut writer = Writer::after(b"pintle approval");
    writer.put(1, tenant.as_bytes());
    writer.put(2, id.as_bytes());
    writer.finish()
}

/// The same request of the same caller asks for one approval, however often it is made.
fn id_of(caller: &str, hash: &[u8; 32]) -> String {
    let id = crate::keys::act::request_hash(caller, hash);
    hex::encode(&id[..ID_CHARS / 2])
}

const ID_CHARS: usize = 32;
const DECISIONS: &[(Decision, u8)] = &[
    (Decision::Waiting, 1),
    (Decision::Approved, 2),
    (Decision::Rejected, 3),
    (Decision::Used, 4),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_read_back_and_other_bytes_are_malformed() {
        let approval = Approval {
            id: id_of("spiffe://a/b", &[1; 32]),
            call: "pintle.admin.v1.KeyService/ExportKey".to_owned(),
            keys: vec!["zpk".to_owned(), "kbpk".to_owned()],
            hash: [1; 32],
            requested_by: "spiffe://a/b".to_owned(),
            requested: 1,
            expires: 2,
            decision: Decision::Approved,
            decided_by: Some("spiffe://a/c".to_owned()),
        };
        let bytes = approval.encode();
        assert_eq!(Approval::decode(&approval.id, &bytes), Ok(approval.clone()));
        assert_eq!(approval.id.len(), ID_CHARS);
        for length in 0..bytes.len() {
            let short = Approval::decode(&approval.id, &bytes[..length]);
            // Without the last field it is an approval that nobody decided; nothing shorter is one.
            let last = bytes.len() - 3 - "spiffe://a/c".len();
            assert_eq!(short.is_ok(), length == last, "{length}");
        }
    }

    #[test]
    fn an_approval_is_named_by_who_asked_and_what() {
        assert_ne!(id_of("a", &[1; 32]), id_of("b", &[1; 32]));
        assert_ne!(id_of("a", &[1; 32]), id_of("a", &[2; 32]));
    }
}
