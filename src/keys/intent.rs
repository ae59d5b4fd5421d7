//! Intents: which object is about to be made in the token, or destroyed there, noted in the store
//! first. The token and the store have no transaction in common; whoever dies between the two
//! leaves an intent, and [`crate::keys::reconcile`] finishes what it began.
//!
//! An intent ends in the transaction that writes the record, by its revision: whoever else took it
//! up meanwhile has raised that, and then the record is not written. So a key is either in the
//! catalogue or taken back, whichever came first, and never both.
//!
//! The token vouches for each: nobody has an object destroyed by writing a row. Nothing secret is
//! kept.

use subtle::ConstantTimeEq;

use crate::failpoint;
use crate::hsm::{self, SecretKind};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::make::deadline;
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::store::RecordId;
use crate::store::change::{Beside, Document, DocumentEnd, DocumentPut};

/// One object that a record is, or was, to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::keys) struct Intent {
    /// The object's `CKA_ID`.
    pub object_id: [u8; 16],
    /// What it is.
    pub kind: ObjectKind,
    /// The record that is to name it.
    pub record: RecordId,
}

/// What an object is, as far as destroying it needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) enum ObjectKind {
    /// An RSA signing key.
    SigningRsa,
    /// A symmetric key.
    Secret(SecretKind),
}

impl Intent {
    /// Writes it; only then may the object be made.
    pub async fn write(&self, catalogue: &Catalogue) -> Result<(), Error> {
        let beside = Beside {
            documents: vec![self.document(catalogue).await?],
            ..Beside::default()
        };
        catalogue.store().write_beside(deadline(), beside).await?;
        failpoint::hit("intent.written");
        Ok(())
    }

    /// What a transaction writes that makes a record one whose object is to go.
    pub async fn document(&self, catalogue: &Catalogue) -> Result<DocumentPut, Error> {
        let payload = self.encode();
        let mac = mac(catalogue, self.object_id, &payload).await?;
        Ok(DocumentPut {
            kind: KIND.to_owned(),
            id: hex::encode(self.object_id),
            expected_revision: 0,
            body: [payload.as_slice(), &mac].concat(),
        })
    }

    /// What a document says, where it is an intent of this token.
    pub async fn read(catalogue: &Catalogue, document: &Document) -> Result<Option<Self>, Error> {
        let Ok(Ok(object_id)) = hex::decode(&document.id).map(<[u8; 16]>::try_from) else {
            return Ok(None);
        };
        let Some((payload, said)) = document.body.split_last_chunk::<32>() else {
            return Ok(None);
        };
        let mac = mac(catalogue, object_id, payload).await?;
        let is_ours = bool::from(mac.ct_eq(said));
        Ok(is_ours
            .then(|| Self::decode(object_id, payload).ok())
            .flatten())
    }

    /// Destroys the object; it may be gone, or never have been made.
    pub async fn destroy_object(&self, catalogue: &Catalogue) -> Result<(), hsm::Error> {
        let (token, id) = (catalogue.custodian().token(), self.object_id);
        let destroyed = match self.kind {
            ObjectKind::SigningRsa => token.destroy_rsa(deadline(), id).await,
            ObjectKind::Secret(kind) => token.destroy_secret(deadline(), id, kind).await,
        };
        match destroyed {
            Err(hsm::Error::NoSuchKey) => Ok(()),
            other => other,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let code = KINDS.iter().find(|row| row.0 == self.kind);
        writer.put(1, &[code.map_or(0, |row| row.1)]);
        writer.put(2, self.record.tenant.as_bytes());
        writer.put(3, self.record.name.as_bytes());
        writer.put(4, &self.record.version.to_be_bytes());
        writer.finish()
    }

    fn decode(object_id: [u8; 16], bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed);
        let code = reader.take(1)?;
        let kind = KINDS.iter().find(|row| [row.1] == code).ok_or(Malformed)?;
        let (tenant, name) = (text(reader.take(2)?)?, text(reader.take(3)?)?);
        let version = reader.take(4)?.try_into().map_err(|_| Malformed)?;
        reader.end()?;
        Ok(Self {
            object_id,
            kind: kind.0,
            record: RecordId {
                tenant,
                name,
                version: u32::from_be_bytes(version),
            },
        })
    }
}

/// What the transaction that writes an object's record ends: the intent as it was first written.
pub(in crate::keys) fn end_of(object_id: [u8; 16]) -> DocumentEnd {
    DocumentEnd {
        kind: KIND.to_owned(),
        id: hex::encode(object_id),
        expected_revision: 1,
    }
}

/// The kind of these documents.
pub(in crate::keys) const KIND: &str = "intent";

/// The token's word for an intent. A second token of the store has other objects and another
/// `root`: it never takes up an intent of this one.
async fn mac(
    catalogue: &Catalogue,
    object_id: [u8; 16],
    payload: &[u8],
) -> Result<[u8; 32], Error> {
    let token = catalogue.custodian().token();
    let message = [LABEL, &object_id, payload].concat();
    Ok(token.root_mac(deadline(), message).await?)
}

/// Differs in its first bytes from everything else that is asked of `root`.
const LABEL: &[u8] = b"pintle intent 1\0";

const KINDS: &[(ObjectKind, u8)] = &[
    (ObjectKind::SigningRsa, 1),
    (ObjectKind::Secret(SecretKind::Aes128), 2),
    (ObjectKind::Secret(SecretKind::Aes192), 3),
    (ObjectKind::Secret(SecretKind::Aes256), 4),
    (ObjectKind::Secret(SecretKind::Tdes2), 5),
    (ObjectKind::Secret(SecretKind::Tdes3), 6),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_read_back_and_nothing_shorter_is() {
        for (kind, _) in KINDS {
            let intent = Intent {
                object_id: [7; 16],
                kind: *kind,
                record: RecordId {
                    tenant: "default".to_owned(),
                    name: "app".to_owned(),
                    version: 3,
                },
            };
            let bytes = intent.encode();
            assert_eq!(Intent::decode([7; 16], &bytes), Ok(intent));
            assert_eq!(
                Intent::decode([7; 16], &bytes[..bytes.len() - 1]),
                Err(Malformed)
            );
        }
    }
}
