//! Keys that callers bring: opened once under their protection key, and remembered by the hash of
//! the block, so that the next call with it costs a hash and a look-up.
//!
//! The protection key is found and granted anew each time: once it is disabled, nothing that came
//! under it works any more.

use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::dukpt::KeyType;
use crate::domain::pin_block::Format;
use crate::keys::act::now;
use crate::keys::attributes::{Exportability, Origin, Residence, State, Usage};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::exchange::{self, ExchangeError, Opened, Wanted};
use crate::keys::grant::{Grant, OperationKind, UnwrapKeyBlock};
use crate::keys::key_policy::KeyPolicy;
use crate::keys::key_ref::BlockRef;
use crate::keys::material::{Material, MaterialError};
use crate::keys::open_key::OpenKey;
use crate::keys::policy::{self, CallerScope, operations};
use crate::keys::record::{Header, Labels};
use crate::keys::spec::{KeySpec, is_weak};
use crate::limits;

impl Catalogue {
    /// Opens a key that a caller brings in a block.
    ///
    /// # Errors
    /// As [`Catalogue::resolve`] and [`policy::grant`] for the protection key, and
    /// [`Error::Exchange`] for the block.
    pub async fn resolve_block(
        &self,
        scope: &CallerScope,
        key: &BlockRef,
        deadline: Instant,
    ) -> Result<Arc<OpenKey>, Error> {
        let protection = self.resolve(scope, &key.protection_key, deadline).await?;
        let grant: Grant<UnwrapKeyBlock> = policy::grant(scope, protection)?;
        if key.block.len() > limits::KEY_REF_BLOCK_CHARS_MAX {
            return Err(ExchangeError::Rejected.into());
        }
        let hash = hash(grant.header(), &key.block);
        let mut name = [0; NAME_BYTES];
        let name = cache_name(&hash, &mut name)?;
        let cache = &self.inner.cache;
        if let Some(open) = cache.find(scope.tenant(), name, Some(VERSION)) {
            return Ok(open);
        }
        let epoch = cache.epoch();
        let open = Arc::new(self.open_block(&grant, &key.block, hash)?);
        // Refused where something was evicted meanwhile: the next call opens it again.
        cache.insert(epoch, (scope.tenant(), name, VERSION), false, &open);
        Ok(open)
    }

    fn open_block(
        &self,
        grant: &Grant<UnwrapKeyBlock>,
        block: &str,
        hash: [u8; 32],
    ) -> Result<OpenKey, Error> {
        let environment = self.inner.custodian.environment();
        let opened = exchange::open(grant, environment, block, now())?;
        let derives = opened.attributes.usage == Usage::BaseDerivation;
        if derives && !self.inner.allow_process_kek {
            return Err(Error::ProcessKekRefused);
        }
        let spec = spec_of(&opened, grant.header())?;
        let header = header_of(&spec, &opened, grant.header());
        let value = opened.value.expose_secret();
        let material = match Material::open(&header, value) {
            Err(MaterialError::SlabFull) => {
                self.inner.cache.make_room();
                Material::open(&header, value)
            }
            other => other,
        };
        let material = material.map_err(|error| match error {
            MaterialError::Mismatch => ExchangeError::NotOffered.into(),
            MaterialError::SlabFull => Error::SlabFull,
        })?;
        let open = OpenKey::new(header, material).ok_or(ExchangeError::NotOffered)?;
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Ok(open.in_block([a, b, c, d, e, f, g, h]))
    }
}

/// What the key may do: what its block says, with the side, formats and MAC rule of the block or,
/// in a partner's, of the protection key's policy.
fn spec_of(opened: &Opened, protection: &Header) -> Result<KeySpec, ExchangeError> {
    let attributes = opened.attributes;
    let derives = attributes.usage == Usage::BaseDerivation;
    if attributes.usage.protects_keys() && !derives {
        // A key that protects others has a record, an owner and a check at start.
        return Err(ExchangeError::NotOffered);
    }
    let wanted = Wanted {
        name: protection.name.clone(),
        usage: None,
        mode: None,
        side: None,
        algorithm: None,
        exportable: false,
        residence: Some(Residence::Process),
        policy: KeyPolicy::default(),
    };
    if opened.profile.is_some() {
        return exchange::narrowed(opened, wanted);
    }
    let side = match attributes.usage {
        Usage::PinEncryption => protection.policy.block_side,
        _ => None,
    };
    let granted = operations(
        attributes.usage,
        attributes.mode,
        side,
        attributes.algorithm,
    );
    let own = |format: &crate::domain::pin_block::Format| {
        attributes.algorithm.block_algorithm() == Some(format.algorithm())
    };
    let theirs = &protection.policy;
    let mut policy = KeyPolicy::default();
    let decrypts = granted.contains(OperationKind::DecryptPin)
        || granted.contains(OperationKind::DecryptPinToVerify);
    if derives {
        policy = of_base_key(theirs);
    } else if decrypts {
        policy.pin_inputs = theirs.pin_inputs.iter().filter(own).collect();
    }
    if !derives && granted.contains(OperationKind::EncryptPin) {
        policy.pin_output = theirs.pin_output.filter(own);
    }
    if attributes.usage.makes_macs() {
        policy.mac = theirs.mac;
    }
    if attributes.usage == Usage::DataEncryption {
        let decrypts = granted.contains(OperationKind::DecryptData);
        let cipher = attributes.algorithm.block_algorithm();
        policy = with_data(policy, theirs, cipher, decrypts);
    }
    // Accepted for the protection key, and only where there is something to accept.
    let known = (attributes.usage, attributes.mode, attributes.algorithm);
    policy.weak = theirs.weak && is_weak(known, &policy);
    exchange::narrowed(
        opened,
        Wanted {
            side,
            policy,
            ..wanted
        },
    )
}

/// Of the protection key's rule and layout, what a data key of this cipher can have.
fn with_data(
    own: KeyPolicy,
    theirs: &KeyPolicy,
    cipher: Option<BlockAlgorithm>,
    decrypts: bool,
) -> KeyPolicy {
    let data = theirs
        .data
        .filter(|rule| cipher.is_some_and(|cipher| rule.fits(cipher)));
    let tracks = matches!(cipher, Some(BlockAlgorithm::Tdes | BlockAlgorithm::Sm4));
    KeyPolicy {
        data,
        track: theirs.track.filter(|_| tracks && data.is_none()),
        translate_only: theirs.translate_only && decrypts && data.is_some(),
        ..own
    }
}

/// The policy of a base derivation key in a partner's block: of the protection key's, what is of the
/// keys that it derives.
fn of_base_key(theirs: &KeyPolicy) -> KeyPolicy {
    let dukpt = theirs.dukpt.unwrap_or_default();
    let cipher = dukpt.pin_key.and_then(KeyType::block_algorithm);
    let own = |format: &Format| cipher == Some(format.algorithm());
    let policy = KeyPolicy {
        pin_inputs: theirs.pin_inputs.iter().filter(own).collect(),
        pin_output: theirs.pin_output.filter(own),
        mac: theirs.mac.filter(|_| dukpt.mac_key.is_some()),
        weak: theirs.weak,
        dukpt: theirs.dukpt,
        ..KeyPolicy::default()
    };
    let cipher = dukpt.data_key.and_then(KeyType::block_algorithm);
    with_data(policy, theirs, cipher, true)
}

/// A header that no record has: the key is named by what opened it.
fn header_of(spec: &KeySpec, opened: &Opened, protection: &Header) -> Header {
    Header {
        environment: protection.environment,
        tenant: protection.tenant.clone(),
        name: protection.name.clone(),
        version: protection.version,
        usage: spec.usage,
        mode: spec.mode,
        side: spec.side,
        algorithm: spec.algorithm,
        exportability: Exportability::NonExportable,
        residence: Residence::Process,
        origin: Origin::KeyBlock,
        // A key under a retiring protection key takes in and produces nothing, like itself.
        state: match protection.state {
            State::Retiring => State::Retiring,
            _ => State::Active,
        },
        state_epoch: protection.state_epoch,
        created: protection.created,
        expiry: protection.expiry,
        check_value: exchange::check_value_of(spec.algorithm, opened.value.expose_secret()),
        public_key: None,
        token_object: None,
        policy: spec.policy.clone(),
        activates: None,
        destroys: None,
        custodians: Vec::new(),
        parent: Some(protection.name.clone()),
        legacy: opened.legacy,
        optional_blocks: None,
        labels: Labels::default(),
    }
}

/// Of the protection key as it stands now, and the block.
fn hash(protection: &Header, block: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(protection.name.as_str());
    hash.update([0]);
    hash.update(protection.version.to_be_bytes());
    hash.update(protection.state_epoch.to_be_bytes());
    hash.update(block);
    hash.finalize().into()
}

/// No key's name has a colon, so that a block and a record never meet in the cache.
fn cache_name<'a>(hash: &[u8; 32], name: &'a mut [u8; NAME_BYTES]) -> Result<&'a str, Error> {
    let (prefix, digits) = name.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    let written = hex::encode_to_slice(hash, digits);
    let text = written.ok().and_then(|()| std::str::from_utf8(name).ok());
    text.ok_or_else(|| ExchangeError::Rejected.into())
}

const PREFIX: &[u8] = b"block:";
const NAME_BYTES: usize = PREFIX.len() + 64;
const VERSION: u32 = 1;
