//! Keys that come in and stay: in a key block, under RSA-OAEP, or as a bare cryptogram that leaves
//! again at once as a key block.
//!
//! A cryptogram carries no usage: a PIN key presented as a data key would decrypt PIN blocks. So its
//! usage is one that its parent's policy lists, its check value must be given, and the store
//! remembers under which usage it came in first; under another it is refused from then on
//! (security.md K1, K4).

use std::convert::Infallible;

use sha2::{Digest, Sha256};

use crate::domain::cipher::{BlockCipher, PinCipher};
use crate::hsm::{self, Direction};
use crate::keys::act::{Act, Outcome, now};
use crate::keys::attributes::{Algorithm, Exportability, Origin, Usage};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::exchange::profile::Profile;
use crate::keys::exchange::release::{Released, random};
use crate::keys::exchange::{
    self, BlockAttributes, ExchangeError, Opened, Outgoing, Wanted, compare_check_value, narrowed,
};
use crate::keys::grant::{
    Grant, ImportCryptogram, OpenTransport, Parent, UnwrapKeyBlock, WrapKeyBlock,
};
use crate::keys::key_ref::KeyName;
use crate::keys::lifecycle::{Extras, keep};
use crate::keys::make::{Birth, Given, deadline, secret_kind};
use crate::keys::material;
use crate::keys::record::Header;
use crate::keys::spec::KeySpec;
use crate::keys::stamp::{stamp, stamped};
use crate::secret::Secret;
use crate::store::change::DocumentPut;

/// Brings a key in from a block and stores it as version 1 of `wanted.name`, active.
///
/// # Errors
/// [`Error::Exchange`], [`Error::KeyExists`], or what store or token answered.
pub async fn import_block(
    catalogue: &Catalogue,
    grant: &Grant<UnwrapKeyBlock>,
    block: &str,
    wanted: Wanted,
    (said, extras): (&[u8], Extras),
    act: &Act,
) -> Result<Header, Error> {
    let environment = catalogue.custodian().environment();
    let opened = exchange::open(grant, environment, block, now())?;
    let spec = narrowed(&opened, wanted)?;
    let Opened {
        value,
        legacy,
        optional_blocks,
        ..
    } = opened;
    if !said.is_empty() {
        compare_check_value(spec.algorithm, value.expose_secret(), said)?;
    }
    let birth = Birth {
        parent: Some(grant.header().name.clone()),
        legacy,
        optional_blocks,
        ..Birth::default()
    };
    let given = Given::Value(value, Origin::KeyBlock);
    let tenant = &grant.header().tenant;
    keep(catalogue, tenant, &spec, given, (birth, extras), act).await
}

/// Brings a key in from another HSM, under the public half of one of ours.
///
/// # Errors
/// As [`import_block`].
pub async fn import_oaep(
    catalogue: &Catalogue,
    grant: &Grant<OpenTransport>,
    wrapped: Vec<u8>,
    wanted: Wanted,
    (said, extras): (&[u8], Extras),
    act: &Act,
) -> Result<Header, Error> {
    let spec = complete(wanted)?;
    let rejected = |_| Error::Exchange(ExchangeError::Rejected);
    let key = grant.resident();
    let opened = key.token().open_oaep(deadline(), key.object_id(), wrapped);
    let opened = opened.await;
    let mut value = opened.map_err(|error| match error {
        hsm::Error::NotOpened | hsm::Error::TooLong => ExchangeError::Rejected.into(),
        other => Error::from(other),
    })?;
    material::admit(spec.algorithm, value.expose_secret_mut()).map_err(rejected)?;
    compare_check_value(spec.algorithm, value.expose_secret(), said)
        .map_err(|_| ExchangeError::Rejected)?;
    let birth = Birth {
        parent: Some(grant.header().name.clone()),
        ..Birth::default()
    };
    let given = Given::Value(value, Origin::RsaOaep);
    let tenant = &grant.header().tenant;
    keep(catalogue, tenant, &spec, given, (birth, extras), act).await
}

/// A key that says nothing of itself is what the request says, whole and sound.
pub(in crate::keys) fn complete(wanted: Wanted) -> Result<KeySpec, ExchangeError> {
    let missing = |field| ExchangeError::Attribute(field);
    let usage = wanted.usage.ok_or(missing("usage"))?;
    let mode = wanted.mode.ok_or(missing("mode"))?;
    let algorithm = wanted.algorithm.ok_or(missing("algorithm"))?;
    sound(wanted.complete(usage, mode, algorithm))
}

fn sound(spec: KeySpec) -> Result<KeySpec, ExchangeError> {
    match spec.faults().first() {
        None => Ok(spec),
        Some(fault) => Err(ExchangeError::Spec {
            field: fault.field,
            why: fault.why,
        }),
    }
}

/// A bare cryptogram, and what is said of the key inside.
pub struct Cryptogram<'a> {
    /// The cryptogram: ECB under its parent.
    pub bytes: &'a [u8],
    /// The check value, at least 3 bytes.
    pub check_value: &'a [u8],
    /// Usage, mode, algorithm and policy; its name is not looked at.
    pub wanted: Wanted,
}

/// Takes in a cryptogram and answers it as a block of this service.
///
/// # Errors
/// [`Error::UsageRefused`] where the parent's policy does not list the usage;
/// [`Error::CryptogramReused`]; [`Error::Exchange`], with one answer for a wrong length, a wrong
/// check value and a value that is no key; or what store or token answered.
pub async fn import_cryptogram(
    catalogue: &Catalogue,
    parent: &Grant<ImportCryptogram>,
    protection: &Grant<WrapKeyBlock>,
    cryptogram: Cryptogram<'_>,
    act: &Act,
) -> Result<Released, Error> {
    let spec = spec_under(parent, cryptogram.wanted)?;
    let memory = remembered(catalogue, parent.header(), cryptogram.bytes, spec.usage).await?;
    let rejected = |_| Error::Exchange(ExchangeError::Rejected);
    let mut value = decrypt(parent, cryptogram.bytes).await?;
    material::admit(spec.algorithm, value.expose_secret_mut()).map_err(rejected)?;
    compare_check_value(
        spec.algorithm,
        value.expose_secret(),
        cryptogram.check_value,
    )
    .map_err(|_| ExchangeError::Rejected)?;

    let header = parent.header();
    let outgoing = Outgoing {
        attributes: BlockAttributes {
            usage: spec.usage,
            mode: spec.mode,
            algorithm: spec.algorithm,
            exportability: Exportability::NonExportable,
        },
        value: value.expose_secret(),
        optional_blocks: None,
        profile: Some(Profile {
            environment: header.environment,
            tenant: header.tenant.clone(),
            side: spec.side,
            policy: spec.policy.clone(),
        }),
    };
    let block = exchange::wrap(protection, &outgoing, &random(catalogue).await?)?;
    let check_value = exchange::check_value_of(spec.algorithm, value.expose_secret());
    let released = Released {
        block,
        check_value: check_value.map(|value| value.bytes).unwrap_or_default(),
    };
    let outcome = Outcome {
        name: header.name.clone(),
        version: header.version,
        block: Some((released.block.clone(), released.check_value.clone())),
        content: None,
    };
    let mut beside = act.beside(catalogue, &outcome).await?;
    beside.documents.extend(memory);
    catalogue.store().write_beside(deadline(), beside).await?;
    Ok(released)
}

/// The key that a cryptogram becomes: it faces the way its parent faces, and its usage is one of
/// those that the parent's policy lists.
fn spec_under(parent: &Grant<ImportCryptogram>, wanted: Wanted) -> Result<KeySpec, Error> {
    let header = parent.header();
    let missing = |field| ExchangeError::Attribute(field);
    let usage = wanted.usage.ok_or(missing("usage"))?;
    let mode = wanted.mode.ok_or(missing("mode"))?;
    let algorithm = wanted.algorithm.ok_or(missing("algorithm"))?;
    if !header.policy.cryptograms.contains(usage) {
        return Err(ExchangeError::Attribute("usage").into());
    }
    let side = match usage {
        Usage::PinEncryption => header.side,
        _ => None,
    };
    if wanted.side.is_some() && wanted.side != side {
        return Err(ExchangeError::Attribute("side").into());
    }
    if algorithm.strength_bits() > header.algorithm.strength_bits() {
        return Err(ExchangeError::Stronger.into());
    }
    let mut spec = Wanted { side, ..wanted }.complete(usage, mode, algorithm);
    spec.exportability = Exportability::NonExportable;
    spec.residence = usage.usual_residence(Some(mode), algorithm);
    Ok(sound(spec)?)
}

/// What the store is to remember of a cryptogram; nothing where it knows already.
pub(in crate::keys) async fn remembered(
    catalogue: &Catalogue,
    header: &Header,
    cryptogram: &[u8],
    usage: Usage,
) -> Result<Option<DocumentPut>, Error> {
    let kind = format!("cryptogram.{}", header.tenant);
    let id = memory_id(&header.name, cryptogram);
    let context = [kind.as_bytes(), b"/", id.as_bytes()].concat();
    let known = catalogue.store().document(deadline(), &kind, &id).await?;
    if let Some(known) = known {
        // A memory that was edited is as bad as another usage.
        let same = stamped(catalogue, &context, &known.body).await?;
        return match same.is_some_and(|code| code == usage.code()) {
            true => Ok(None),
            false => Err(Error::CryptogramReused),
        };
    }
    Ok(Some(DocumentPut {
        kind,
        id,
        expected_revision: 0,
        body: stamp(catalogue, &context, usage.code().to_vec()).await?,
    }))
}

fn memory_id(parent: &KeyName, cryptogram: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(parent.as_str());
    hash.update([0]);
    hash.update(cryptogram);
    hex::encode(hash.finalize())
}

async fn decrypt(
    parent: &Grant<ImportCryptogram>,
    cryptogram: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let header = parent.header();
    let block = header
        .algorithm
        .block_algorithm()
        .map_or(8, |cipher| cipher.block_bytes());
    if !matches!(cryptogram.len(), 8 | 16 | 24) || !cryptogram.len().is_multiple_of(block) {
        return Err(ExchangeError::Rejected.into());
    }
    let cryptogram = Secret::new(cryptogram.to_vec());
    let parent = (parent.parent(), header.algorithm);
    under_parent(parent, Direction::Decrypt, cryptogram).await
}

/// ECB under a key-encryption key, of whole blocks.
pub(in crate::keys) async fn under_parent(
    (parent, algorithm): (Parent<'_>, Algorithm),
    direction: Direction,
    data: Secret<Vec<u8>>,
) -> Result<Secret<Vec<u8>>, Error> {
    match parent {
        Parent::Token(key) => {
            let kind = secret_kind(algorithm).ok_or(ExchangeError::NotOffered)?;
            let (token, object_id) = (key.token(), key.object_id());
            Ok(token
                .ecb(deadline(), object_id, kind, direction, data)
                .await?)
        }
        Parent::Process(cipher) => Ok(ecb_here(cipher, direction, data)),
    }
}

fn ecb_here(
    cipher: &PinCipher,
    direction: Direction,
    mut data: Secret<Vec<u8>>,
) -> Secret<Vec<u8>> {
    fn blocks<const N: usize, C: BlockCipher<N, Error = Infallible>>(
        cipher: &C,
        direction: Direction,
        bytes: &mut [u8],
    ) {
        let (blocks, _) = bytes.as_chunks_mut();
        let Ok(()) = match direction {
            Direction::Encrypt => cipher.encrypt_blocks(blocks),
            Direction::Decrypt => cipher.decrypt_blocks(blocks),
        };
    }
    let bytes = data.expose_secret_mut();
    match cipher {
        PinCipher::Tdes(tdes) => blocks(tdes, direction, bytes),
        PinCipher::Aes(aes) => blocks(aes, direction, bytes),
        PinCipher::Sm4(sm4) => blocks(sm4, direction, bytes),
    }
    data
}
