//! Checkpoints: what the catalogue was at some time, signed by every token under `audit`, so that any
//! can tell, and kept where who can put the store back cannot put the checkpoint back. The only thing by which a whole
//! store put back to an earlier state is noticed.
//!
//! A store older than its checkpoint is refused, and one of the same generation with another root.
//! What was changed after the newest checkpoint can be put back unnoticed while no server runs: how
//! often one is made is how long that is.

use std::path::Path;
use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use spki::SubjectPublicKeyInfoRef;

use crate::hsm::{self, Token, TokenId};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::{CatalogueFault, Error};
use crate::keys::fleet::Fleet;
use crate::keys::ledger;
use crate::keys::template::read_text;

/// What the catalogue was at some time.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The form of this file.
    pub checkpoint: u32,
    /// The catalogue's generation.
    pub generation: u64,
    /// How many records it had.
    pub records: u64,
    /// A keyed digest of its root, hex.
    pub root: String,
    /// When it was made, seconds since 1970.
    pub time: u64,
    /// One of each token, over all of the above.
    pub signatures: Vec<TokenSignature>,
}

/// One token's signature.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSignature {
    /// The token that signed, hex.
    pub token: String,
    /// ECDSA on P-256 with SHA-256: r ‖ s, hex.
    pub signature: String,
}

impl Checkpoint {
    /// The catalogue as it is now, signed.
    ///
    /// # Errors
    /// [`Error::CatalogueRefused`], or what store or token answered.
    pub async fn make(catalogue: &Catalogue, time: u64, deadline: Instant) -> Result<Self, Error> {
        catalogue.poll().await?;
        if let Some(fault) = catalogue.fault() {
            return Err(fault.into());
        }
        ledger::all_at_hand(catalogue).await?;
        let root = catalogue.standing().root();
        let mut made = Self {
            checkpoint: FORM,
            generation: root.generation,
            records: root.count,
            root: hex::encode(catalogue.standing().digest()),
            time,
            signatures: Vec::new(),
        };
        let message = made.message();
        for token in catalogue.fleet().tokens() {
            let signature = token.audit_sign(deadline, message.clone()).await?;
            made.signatures.push(TokenSignature {
                token: hex::encode(token.id().0),
                signature: hex::encode(signature),
            });
        }
        Ok(made)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::FileUnreadable`], [`Error::FileSyntax`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_text(path)?;
        let syntax = |line, what| Error::FileSyntax {
            path: path.to_owned(),
            line,
            what,
        };
        let read: Self =
            serde_json::from_str(&text).map_err(|error| syntax(error.line(), error.to_string()))?;
        if read.checkpoint == FORM {
            Ok(read)
        } else {
            Err(syntax(1, format!("a checkpoint of form {FORM}")))
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// None but a serializer's that cannot come.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Refuses a catalogue that is older than this checkpoint, or another of its age.
    ///
    /// # Errors
    /// [`Error::CatalogueRefused`]; or what the token answered.
    pub async fn check(&self, catalogue: &Catalogue, deadline: Instant) -> Result<(), Error> {
        self.verify(catalogue.fleet(), deadline).await?;
        let root = catalogue.standing().root();
        let (checkpoint, found) = (self.generation, root.generation);
        if found < checkpoint {
            return Err(CatalogueFault::BehindCheckpoint { checkpoint, found }.into());
        }
        if found == checkpoint && hex::encode(catalogue.standing().digest()) != self.root {
            return Err(CatalogueFault::NotTheCheckpoints { generation: found }.into());
        }
        Ok(())
    }

    /// By any token at hand that has signed it.
    async fn verify(&self, fleet: &Fleet, deadline: Instant) -> Result<(), Error> {
        if !fleet
            .tokens()
            .any(|token| self.signature_of(token.id()).is_some())
        {
            let other = || CatalogueFault::CheckpointOfOtherToken.into();
            return Err(fleet.vacancy().unwrap_or_else(other));
        }
        let forged = || Error::from(CatalogueFault::CheckpointForged);
        let signed = |token: &Token| self.signature_of(token.id()).is_some();
        let ask = |token: &Token| {
            let (id, info) = (token.id(), token.audit_public_key(deadline));
            async move { Ok::<_, hsm::Error>((id, info.await?)) }
        };
        let (token, info) = fleet.any(signed, ask).await?;
        let signature = self.signature_of(token).ok_or_else(forged)?;
        let info = SubjectPublicKeyInfoRef::try_from(info.as_slice()).map_err(|_| forged())?;
        let point = info.subject_public_key.as_bytes().ok_or_else(forged)?;
        let signature = hex::decode(signature).map_err(|_| forged())?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(&self.message(), &signature)
            .map_err(|_| forged())
    }

    fn signature_of(&self, token: TokenId) -> Option<&str> {
        let id = hex::encode(token.0);
        let own = self.signatures.iter().find(|one| one.token == id);
        own.map(|one| one.signature.as_str())
    }

    /// What is signed: lengths are fixed but for the text, which is preceded by its own.
    fn message(&self) -> Vec<u8> {
        let Self {
            checkpoint,
            generation,
            records,
            root,
            time,
            signatures: _,
        } = self;
        let mut message = LABEL.to_vec();
        message.extend(checkpoint.to_be_bytes());
        message.extend((root.len() as u64).to_be_bytes());
        message.extend(root.as_bytes());
        for number in [generation, records, time] {
            message.extend(number.to_be_bytes());
        }
        message
    }
}

const FORM: u32 = 2;
const LABEL: &[u8] = b"pintle checkpoint\0";
