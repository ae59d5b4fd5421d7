//! Sealed documents: what the store keeps beside keys (a ceremony's draft, its minutes), so that
//! nobody who can write the store can change a word of it, and with it a secret part.
//!
//! The token's seal binds the text, its kind, its name and the environment as associated data.
//! What hides something is the first token's; what is vouched for is so by every one, and any can
//! tell.
//! Deliberately not here: what a document says. A document put back to an earlier state that was
//! sealed too is not noticed by the seal; each says when it was written.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::hsm::{self, Sealed, Token, TokenId};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::ledger;
use crate::keys::make::deadline;
use crate::keys::seal::Custodian;
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::limits;
use crate::secret::Secret;
use crate::store::change::Document;

/// A document that opened.
pub(in crate::keys) struct Opened {
    /// What it says.
    pub(in crate::keys) text: Vec<u8>,
    /// What it hides.
    pub(in crate::keys) hidden: Secret<Vec<u8>>,
}

/// Which document.
#[derive(Clone, Copy)]
pub(in crate::keys) struct Title<'a> {
    /// What kind of document.
    pub(in crate::keys) kind: &'static str,
    /// Which of them.
    pub(in crate::keys) id: &'a str,
}

/// The bytes that the store keeps.
pub(in crate::keys) async fn seal(
    custodian: &Custodian,
    title: Title<'_>,
    text: &[u8],
    hidden: &Secret<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    if text.len() > limits::SEALED_DOCUMENT_BYTES_MAX {
        return Err(refused(title));
    }
    let hidden = hidden.expose_secret();
    let mut plain = Vec::with_capacity(1 + hidden.len());
    plain.push(KIND_DOCUMENT);
    plain.extend_from_slice(hidden);
    let token = custodian.fleet().first()?;
    let bound = bound(custodian, title, text);
    let sealed = token.seal(deadline(), bound, Secret::new(plain)).await?;
    let mut writer = Writer::after(MAGIC);
    writer.put(tag::TOKEN, &token.id().0);
    writer.put(tag::SEAL_KEY, &sealed.seal_key_id);
    writer.put(tag::IV, &sealed.iv);
    writer.put(tag::SEALED, &sealed.bytes);
    writer.put(tag::TEXT, text);
    Ok(writer.finish())
}

/// Opens what [`seal`] made under the same title; [`Error::DocumentRefused`] for anything else.
pub(in crate::keys) async fn open(
    custodian: &Custodian,
    title: Title<'_>,
    body: &[u8],
) -> Result<Opened, Error> {
    let read = read(body).map_err(|Malformed| refused(title))?;
    let fleet = custodian.fleet();
    let absent = || fleet.vacancy().unwrap_or_else(|| refused(title));
    let token = fleet.at_hand(TokenId(read.token)).ok_or_else(absent)?;
    let bound = bound(custodian, title, read.text);
    let opened = token.unseal(deadline(), bound, read.sealed).await;
    let mut hidden = opened.map_err(|error| match error {
        hsm::Error::NotAuthentic | hsm::Error::TooLong | hsm::Error::SealKeyUnknown => {
            refused(title)
        }
        other => other.into(),
    })?;
    if hidden.expose_secret().first() != Some(&KIND_DOCUMENT) {
        return Err(refused(title));
    }
    hidden.expose_secret_mut().remove(0);
    Ok(Opened {
        text: read.text.to_vec(),
        hidden,
    })
}

/// The bytes that the store keeps of a document that hides nothing and stays: every token vouches
/// for it, by a key that is never rotated.
pub(in crate::keys) async fn vouch(
    catalogue: &Catalogue,
    title: Title<'_>,
    text: &[u8],
) -> Result<Vec<u8>, Error> {
    if text.len() > limits::SEALED_DOCUMENT_BYTES_MAX {
        return Err(refused(title));
    }
    ledger::all_at_hand(catalogue).await?;
    let custodian = catalogue.custodian();
    let mut writer = Writer::after(MAGIC_VOUCHED);
    for token in custodian.fleet().tokens() {
        let mac = token.root_mac(deadline(), bound(custodian, title, text));
        writer.put(tag::TOKEN, &token.id().0);
        writer.put(tag::MAC, &mac.await?);
    }
    writer.put(tag::TEXT, text);
    Ok(writer.finish())
}

/// What [`vouch`] vouched for under the same title; [`Error::DocumentRefused`] for anything else.
pub(in crate::keys) async fn vouched(
    custodian: &Custodian,
    title: Title<'_>,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let fleet = custodian.fleet();
    let known = |token: &Token| read_vouched(body, token.id().0).is_ok();
    let Some(one) = fleet.tokens().find(|token| known(token)) else {
        return Err(fleet.vacancy().unwrap_or_else(|| refused(title)));
    };
    let read = read_vouched(body, one.id().0);
    let (_, text) = read.map_err(|Malformed| refused(title))?;
    let message = bound(custodian, title, text);
    let ask = |token: &Token| {
        let (id, mac) = (token.id(), token.root_mac(deadline(), message.clone()));
        async move { Ok::<_, hsm::Error>((id, mac.await?)) }
    };
    let (id, own) = fleet.any(known, ask).await?;
    let said = read_vouched(body, id.0).map_err(|Malformed| refused(title))?;
    if bool::from(own.as_slice().ct_eq(said.0)) {
        Ok(text.to_vec())
    } else {
        Err(refused(title))
    }
}

/// One token's MAC, and the text.
fn read_vouched(body: &[u8], token: [u8; 16]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = Reader::new(body.strip_prefix(MAGIC_VOUCHED).ok_or(Malformed)?);
    let mut own = None;
    while let Some(id) = reader.take_if(tag::TOKEN)? {
        let mac = reader.take(tag::MAC)?;
        if id == token {
            own = Some(mac);
        }
    }
    let text = reader.take(tag::TEXT)?;
    reader.end()?;
    Ok((own.ok_or(Malformed)?, text))
}

/// The document vouched for by every token at hand; none where this one of them has done so.
pub(in crate::keys) async fn vouched_also_by(
    catalogue: &Catalogue,
    other: TokenId,
    title: Title<'_>,
    body: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    if read_vouched(body, other.0).is_ok() {
        return Ok(None);
    }
    let text = vouched(catalogue.custodian(), title, body).await?;
    vouch(catalogue, title, &text).await.map(Some)
}

/// Every document of a kind.
pub(in crate::keys) async fn all(
    catalogue: &Catalogue,
    kind: &str,
) -> Result<Vec<Document>, Error> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = catalogue
            .store()
            .documents(deadline(), kind, &after)
            .await?;
        let is_last = page.len() < limits::DOCUMENT_PAGE;
        all.extend(page);
        match all.last() {
            Some(last) if !is_last => after.clone_from(&last.id),
            _ => return Ok(all),
        }
    }
}

/// The refusal that names a document.
pub(in crate::keys) fn refused(title: Title<'_>) -> Error {
    Error::DocumentRefused {
        kind: title.kind,
        id: title.id.to_owned(),
    }
}

struct Body<'a> {
    token: [u8; 16],
    sealed: Sealed,
    text: &'a [u8],
}

fn read(body: &[u8]) -> Result<Body<'_>, Malformed> {
    let mut reader = Reader::new(body.strip_prefix(MAGIC).ok_or(Malformed)?);
    let token = reader.take(tag::TOKEN)?.try_into().map_err(|_| Malformed)?;
    let seal_key_id = reader.take(tag::SEAL_KEY)?;
    let seal_key_id = seal_key_id.try_into().map_err(|_| Malformed)?;
    let iv = reader.take(tag::IV)?.try_into().map_err(|_| Malformed)?;
    let bytes = reader.take(tag::SEALED)?.to_vec();
    let text = reader.take(tag::TEXT)?;
    reader.end()?;
    Ok(Body {
        token,
        sealed: Sealed {
            seal_key_id,
            iv,
            bytes,
        },
        text,
    })
}

/// A digest, so that a long text is no long associated data; the magic is no header's.
fn bound(custodian: &Custodian, title: Title<'_>, text: &[u8]) -> Vec<u8> {
    let mut writer = Writer::after(MAGIC);
    writer.put(tag::ENVIRONMENT, &[custodian.environment().code()]);
    writer.put(tag::KIND, title.kind.as_bytes());
    writer.put(tag::ID, title.id.as_bytes());
    writer.put(tag::TEXT, &Sha256::digest(text));
    writer.finish()
}

mod tag {
    pub const TOKEN: u8 = 1;
    pub const SEAL_KEY: u8 = 2;
    pub const IV: u8 = 3;
    pub const SEALED: u8 = 4;
    pub const ENVIRONMENT: u8 = 5;
    pub const KIND: u8 = 6;
    pub const ID: u8 = 7;
    pub const TEXT: u8 = 8;
    pub const MAC: u8 = 9;
}

/// Not a magic of headers, so that neither opens as the other.
const MAGIC: &[u8] = b"PNTLDOC1";
const MAGIC_VOUCHED: &[u8] = b"PNTLDOC2";
/// Records seal kinds 1 and 2.
const KIND_DOCUMENT: u8 = 3;
