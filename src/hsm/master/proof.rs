//! Check values of the master keys: what each made of a known value when the token was opened, held
//! against what it makes after a recovery. A token that was restored from something else, or made anew
//! under the old labels, has other keys; nothing is sealed under those.
//!
//! `wrap` does nothing that could be compared: its `CKA_ID`, which is random, stands for it.

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use crate::hsm::error::Error;
use crate::hsm::master::{self, MasterKey, Masters};
use crate::hsm::mechanism::Allowed;
use crate::hsm::raw::{Calls, GCM_TAG_BYTES};

/// What was made when the token was opened. Nothing of it is secret.
pub(in crate::hsm) struct Proof {
    seal: Canary,
    wrap: Vec<u8>,
    audit: Vec<u8>,
    root: [u8; 32],
    pan_index: [u8; 32],
}

/// [`KNOWN`] as the current `seal` sealed it.
struct Canary {
    key: [u8; 16],
    iv: [u8; 12],
    sealed: Vec<u8>,
}

impl Proof {
    /// Makes it.
    pub fn take(session: &Session, calls: &Calls, masters: &Masters) -> Result<Self, Error> {
        let seal = masters.seals.current();
        let mut iv = [0; 12];
        session.generate_random_slice(&mut iv)?;
        Ok(Self {
            seal: Canary {
                key: seal.id,
                iv,
                sealed: calls.gcm_encrypt(session, seal.object, &iv, KNOWN, KNOWN)?,
            },
            wrap: id_of(session, masters.wrap)?,
            audit: public_point(session)?,
            root: hmac(session, calls, masters.root)?,
            pan_index: hmac(session, calls, masters.pan_index)?,
        })
    }

    /// Holds it against the keys of now.
    ///
    /// # Errors
    /// [`Error::MasterKeyChanged`] with the first that differs, or what the token answered.
    pub fn holds(&self, session: &Session, calls: &Calls, masters: &Masters) -> Result<(), Error> {
        let same = |key, same| match same {
            true => Ok(()),
            false => Err(Error::MasterKeyChanged(key)),
        };
        same(
            MasterKey::Root,
            hmac(session, calls, masters.root)? == self.root,
        )?;
        let pan_index = hmac(session, calls, masters.pan_index)?;
        same(MasterKey::PanIndex, pan_index == self.pan_index)?;
        same(MasterKey::Wrap, id_of(session, masters.wrap)? == self.wrap)?;
        same(MasterKey::Audit, public_point(session)? == self.audit)?;
        // One that was rotated away and destroyed has nothing to show.
        if let Some(seal) = masters.seals.of(&self.seal.key) {
            let Canary { iv, sealed, .. } = &self.seal;
            let mut clear = [0; KNOWN.len() + GCM_TAG_BYTES];
            let written = calls.gcm_decrypt(session, seal.object, iv, KNOWN, sealed, &mut clear);
            let opened = written.ok().and_then(|written| clear.get(..written));
            same(MasterKey::Seal, opened == Some(KNOWN))?;
        }
        Ok(())
    }
}

const KNOWN: &[u8] = b"pintle master key check value";

fn hmac(session: &Session, calls: &Calls, key: ObjectHandle) -> Result<[u8; 32], Error> {
    let mut mac = [0; 32];
    calls.sign_into(session, key, Allowed::Sha256Hmac.raw(), KNOWN, &mut mac)?;
    Ok(mac)
}

fn id_of(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
    let read = session.get_attributes(key, &[AttributeType::Id])?;
    let id = read.into_iter().find_map(|attribute| match attribute {
        Attribute::Id(id) => Some(id),
        _ => None,
    });
    Ok(id.unwrap_or_default())
}

fn public_point(session: &Session) -> Result<Vec<u8>, Error> {
    let public = master::audit_public(session)?;
    let read = session.get_attributes(public, &[AttributeType::EcPoint])?;
    let point = read.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => Some(point),
        _ => None,
    });
    Ok(point.unwrap_or_default())
}
