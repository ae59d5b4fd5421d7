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

use crate::failpoint;
use crate::hsm::{self, Token, TokenId};
use crate::keys::attributes::{Algorithm, Usage};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::make::{deadline, destroy_object};
use crate::keys::stamp::{stamp_by, stamped_by_one};
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::store::RecordId;
use crate::store::change::{Beside, Document, DocumentEnd, DocumentPut};

/// One object that a record is, or was, to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::keys) struct Intent {
    /// The token that the object is in.
    pub token: TokenId,
    /// The object's `CKA_ID`.
    pub object_id: [u8; 16],
    /// What it is for, and of what algorithm: it is found by these.
    pub usage: Usage,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// The record that is to name it.
    pub record: RecordId,
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
        Ok(DocumentPut {
            kind: KIND.to_owned(),
            id: hex::encode(self.object_id),
            expected_revision: 0,
            body: stamp_by(
                self.token(catalogue)?,
                &context(self.token, self.object_id),
                self.encode(),
            )
            .await?,
        })
    }

    /// What a document says, where it is an intent of a token at hand.
    pub async fn read(catalogue: &Catalogue, document: &Document) -> Result<Option<Self>, Error> {
        let Ok(Ok(object_id)) = hex::decode(&document.id).map(<[u8; 16]>::try_from) else {
            return Ok(None);
        };
        let context = |token| context(token, object_id);
        let stamped = stamped_by_one(catalogue, context, &document.body).await?;
        Ok(stamped.and_then(|(token, payload)| Self::decode(token, object_id, payload).ok()))
    }

    /// Destroys the object; it may be gone, or never have been made.
    pub async fn destroy_object(&self, catalogue: &Catalogue) -> Result<(), Error> {
        let token = self.token(catalogue)?;
        match destroy_object(token, self.object_id, (self.usage, self.algorithm)).await {
            Err(hsm::Error::NoSuchKey) => Ok(()),
            other => Ok(other?),
        }
    }

    fn token<'a>(&self, catalogue: &'a Catalogue) -> Result<&'a Token, Error> {
        let (token, found) = (self.token, catalogue.fleet().at_hand(self.token));
        found.ok_or(Error::TokenNotAtHand { token })
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.put(1, &self.usage.code());
        writer.put(2, &[self.algorithm.code()]);
        writer.put(3, self.record.tenant.as_bytes());
        writer.put(4, self.record.name.as_bytes());
        writer.put(5, &self.record.version.to_be_bytes());
        writer.finish()
    }

    fn decode(token: TokenId, object_id: [u8; 16], bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed);
        let usage = reader.take(1)?.try_into().ok().and_then(Usage::from_code);
        let algorithm = match reader.take(2)? {
            [code] => Algorithm::from_code(*code),
            _ => None,
        };
        let (tenant, name) = (text(reader.take(3)?)?, text(reader.take(4)?)?);
        let version = reader.take(5)?.try_into().map_err(|_| Malformed)?;
        reader.end()?;
        Ok(Self {
            token,
            object_id,
            usage: usage.ok_or(Malformed)?,
            algorithm: algorithm.ok_or(Malformed)?,
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

/// What the token's stamp is bound to besides what the intent says. Another token of the store has
/// other objects: it never takes up an intent of this one.
fn context(token: TokenId, object_id: [u8; 16]) -> Vec<u8> {
    let mut writer = Writer::after(b"pintle intent");
    writer.put(1, &token.0);
    writer.put(2, &object_id);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_read_back_and_nothing_shorter_is() {
        for algorithm in Algorithm::ALL {
            let token = TokenId([5; 16]);
            let intent = Intent {
                token,
                object_id: [7; 16],
                usage: Usage::Signature,
                algorithm: *algorithm,
                record: RecordId {
                    tenant: "default".to_owned(),
                    name: "app".to_owned(),
                    version: 3,
                },
            };
            let bytes = intent.encode();
            assert_eq!(Intent::decode(token, [7; 16], &bytes), Ok(intent));
            let cut = &bytes[..bytes.len() - 1];
            assert_eq!(Intent::decode(token, [7; 16], cut), Err(Malformed));
        }
    }
}
