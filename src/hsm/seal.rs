//! Sealing and opening under a `seal` key (the current one seals, all open): AES-256-GCM (SP 800-38D), 96-bit IV from the token's
//! generator, 128-bit tag, the record's header as associated data. One token call to open.

use cryptoki::error::Error as CryptokiError;
use zeroize::Zeroize;

use crate::hsm::error::Error;
use crate::hsm::master;
use crate::hsm::master::seals::SealKey;
use crate::hsm::raw::GCM_TAG_BYTES;
use crate::hsm::session::WorkerSession;
use crate::limits;
use crate::secret::Secret;

/// A sealed value: what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// `CKA_ID` of the `seal` key.
    pub seal_key_id: [u8; 16],
    /// The GCM IV.
    pub iv: [u8; 12],
    /// Ciphertext ‖ tag.
    pub bytes: Vec<u8>,
}

/// Seals under the current key and a fresh IV.
pub(in crate::hsm) fn seal(
    worker: &WorkerSession,
    aad: &[u8],
    clear: &Secret<Vec<u8>>,
) -> Result<Sealed, Error> {
    let key = worker.current_seal();
    let mut iv = [0; 12];
    worker.session().generate_random_slice(&mut iv)?;
    let bytes = worker.loaded().calls.gcm_encrypt(
        worker.session(),
        key.object,
        &iv,
        aad,
        clear.expose_secret(),
    )?;
    Ok(Sealed {
        seal_key_id: key.id,
        iv,
        bytes,
    })
}

/// Opens what was sealed with the same associated data, under the key it names.
pub(in crate::hsm) fn unseal(
    worker: &WorkerSession,
    aad: &[u8],
    sealed: &Sealed,
) -> Result<Secret<Vec<u8>>, Error> {
    let key = worker.seal_of(&sealed.seal_key_id)?;
    match decrypt(worker, key, aad, sealed) {
        Err(Error::Call(fault)) if fault.blames_ciphertext() => Err(Error::NotAuthentic),
        // SoftHSM says GENERAL_ERROR of a tampered blob and of a broken token alike: ask it to
        // open something it has just sealed.
        Err(error) if error.is_vague() && probe(worker).is_ok() => {
            // kryoptic says it also of a key that another process destroyed.
            if master::id_of(worker.session(), key.object).ok() == Some(key.id) {
                return Err(Error::NotAuthentic);
            }
            worker.follow_seals()?;
            Err(Error::SealKeyUnknown)
        }
        other => other,
    }
}

/// Seals and opens a random value: the one proof that the token is at work.
pub(in crate::hsm) fn probe(worker: &WorkerSession) -> Result<(), Error> {
    let mut clear = vec![0; PROBE_BYTES];
    worker.session().generate_random_slice(&mut clear)?;
    let clear = Secret::new(clear);
    let sealed = seal(worker, PROBE_AAD, &clear)?;
    let key = worker.seal_of(&sealed.seal_key_id)?;
    let opened = decrypt(worker, key, PROBE_AAD, &sealed)?;
    // Not a secret: a random number of this very call.
    if opened.expose_secret() == clear.expose_secret() {
        Ok(())
    } else {
        Err(Error::ProbeDiffers)
    }
}

/// Checks the sizes before the token sees them.
pub(in crate::hsm) fn check_sealed(sealed: &Sealed) -> Result<(), Error> {
    if sealed.bytes.len() < GCM_TAG_BYTES {
        return Err(Error::NotAuthentic);
    }
    if sealed.bytes.len() > limits::SEALED_BYTES_MAX + GCM_TAG_BYTES {
        return Err(Error::TooLong);
    }
    Ok(())
}

const PROBE_AAD: &[u8] = b"pintle probe";
const PROBE_BYTES: usize = 32;

fn decrypt(
    worker: &WorkerSession,
    key: SealKey,
    aad: &[u8],
    sealed: &Sealed,
) -> Result<Secret<Vec<u8>>, Error> {
    // As long as the ciphertext, since some tokens ask for that; never grown, so never left behind.
    let mut clear = Secret::new(vec![0; sealed.bytes.len()]);
    let written: Result<usize, CryptokiError> = worker.loaded().calls.gcm_decrypt(
        worker.session(),
        key.object,
        &sealed.iv,
        aad,
        &sealed.bytes,
        clear.expose_secret_mut(),
    );
    let written = written?;
    // What the token may have left behind the value goes too: truncation alone would not wipe it.
    if let Some(rest) = clear.expose_secret_mut().get_mut(written..) {
        rest.zeroize();
    }
    clear.expose_secret_mut().truncate(written);
    Ok(clear)
}
