//! Keys in X9.143 key blocks: what a block's header means in our attributes, and the other way
//! round; which attributes a key may have after it came in; what is refused on the way out.
//!
//! A block says nothing of which way a PIN key faces, of PIN formats or of MAC schemes. Blocks that
//! this service makes carry that in a proprietary optional block ([`profile`]); for a partner's
//! blocks it is the policy of their protection key, or what an import names. Attributes only ever
//! get stricter. Whatever depends on what is *inside* a block has one answer,
//! [`ExchangeError::Rejected`].
//!
//! Not here: how blocks are bound (`domain::key_block`), who may ask (`keys::policy`), what is stored.

pub mod intake;
pub mod profile;
pub mod release;

use crate::domain::check_value::{self, Method};
use crate::domain::cipher::BlockAlgorithm;
use crate::domain::key_block::{self, KeyContext, Masking, OptionalBlocks, Refused, WrapError};
use crate::domain::mac::hmac::Hash;
use crate::keys::attributes::{
    Algorithm, Environment, Exportability, Mode, Residence, Side, Usage,
};
use crate::keys::exchange::profile::Profile;
use crate::keys::grant::{Grant, UnwrapKeyBlock, WrapKeyBlock};
use crate::keys::key_policy::KeyPolicy;
use crate::keys::key_ref::KeyName;
use crate::keys::material;
use crate::keys::record::{Header, KeyCheckValue};
use crate::keys::spec::KeySpec;
use crate::limits;
use crate::secret::Secret;

/// What a block's header says of its key, in our attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockAttributes {
    /// What it is for.
    pub usage: Usage,
    /// What it may do of that.
    pub mode: Mode,
    /// Algorithm and length; the length is the key's own.
    pub algorithm: Algorithm,
    /// Whether it may leave again.
    pub exportability: Exportability,
}

/// A key that came out of a block.
pub struct Opened {
    /// What the block says of it.
    pub attributes: BlockAttributes,
    /// What a block of this service says besides; none in a partner's.
    pub profile: Option<Profile>,
    /// Its value, fit to be a key: parity set, no weak or repeated DES key.
    pub value: Secret<Vec<u8>>,
    /// The block was of version A or C.
    pub legacy: bool,
    /// The block's optional blocks, to go out with the key again; none if there are none.
    pub optional_blocks: Option<Vec<u8>>,
}

/// Why a key does not go in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The sender's: everything that is wrong with a block or with the key inside.
    #[error("the key block was rejected")]
    Rejected,
    /// The sender's: usage, mode or algorithm are none that this service has. The block was opened.
    #[error("the key's usage, mode or algorithm is not offered")]
    NotOffered,
    /// The caller's: the request says otherwise than the block, or something looser.
    #[error("{0} is not the block's, or looser")]
    Attribute(&'static str),
    /// Policy: the key may not leave.
    #[error("the key is not exportable")]
    NotExportable,
    /// Policy: the protection key is weaker than the key.
    #[error("the protection key is weaker than the key")]
    Stronger,
    /// The caller's: the check value is not the key's, or shorter than 3 bytes.
    #[error("the check value is not the key's")]
    CheckValue,
    /// Policy: blocks of versions A and C are not taken, or no longer.
    #[error("blocks of this version are not taken under this key")]
    LegacyVersion,
    /// The caller's: attributes and policy do not go together, in this field.
    #[error("{field}: {why}")]
    Spec {
        /// The field to mend.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Ours: the block could not be written.
    #[error("the key block could not be written")]
    NotWritten,
}

impl From<Refused> for ExchangeError {
    fn from(Refused: Refused) -> Self {
        Self::Rejected
    }
}

/// Opens a block.
///
/// # Errors
/// [`ExchangeError::Rejected`], [`ExchangeError::NotOffered`], [`ExchangeError::LegacyVersion`].
pub fn open(
    grant: &Grant<UnwrapKeyBlock>,
    environment: Environment,
    block: &str,
    now: u64,
) -> Result<Opened, ExchangeError> {
    let version = block.bytes().next().and_then(key_block::Version::from_code);
    let version = version.ok_or(ExchangeError::Rejected)?;
    let Header { policy, tenant, .. } = grant.header();
    if version.is_legacy() && policy.legacy_blocks_until.is_none_or(|until| until <= now) {
        return Err(ExchangeError::LegacyVersion);
    }
    let keys = grant.keys(version).ok_or(ExchangeError::Rejected)?;
    let key_block::Unwrapped { header, mut key } = key_block::unwrap(keys, block.as_bytes())?;
    let attributes = attributes(&header, key.expose_secret().len(), policy.sm4_block_code)
        .ok_or(ExchangeError::NotOffered)?;
    let profile = match header.blocks.find(profile::BLOCK_ID) {
        Some(found) => {
            let own = Profile::decode(found.data).ok_or(ExchangeError::Rejected)?;
            if own.environment != environment || own.tenant != *tenant {
                return Err(ExchangeError::Rejected);
            }
            Some(own)
        }
        None => None,
    };
    material::admit(attributes.algorithm, key.expose_secret_mut())
        .map_err(|_| ExchangeError::Rejected)?;
    says_its_check_value(&header, attributes.algorithm, key.expose_secret())?;
    Ok(Opened {
        attributes,
        profile,
        value: key,
        legacy: version.is_legacy(),
        optional_blocks: kept(&header.blocks)?,
    })
}

/// The key that a block becomes: what the block says, narrowed by what `wanted` says.
///
/// `wanted` is complete but for usage, mode and algorithm, which may be the block's or be left to
/// it.
///
/// # Errors
/// [`ExchangeError::Attribute`] where it would be looser, [`ExchangeError::Spec`] where it makes
/// no sense.
pub fn narrowed(opened: &Opened, wanted: Wanted) -> Result<KeySpec, ExchangeError> {
    let found = opened.attributes;
    let differs = |field| Err(ExchangeError::Attribute(field));
    if wanted.usage.is_some_and(|usage| usage != found.usage) {
        return differs("usage");
    }
    if wanted
        .algorithm
        .is_some_and(|algorithm| algorithm != found.algorithm)
    {
        return differs("algorithm");
    }
    let mode = wanted.mode.unwrap_or(found.mode);
    if mode != found.mode && !is_stricter(mode, found.mode) {
        return differs("mode");
    }
    if wanted.exportable && found.exportability == Exportability::NonExportable {
        return differs("exportable");
    }
    let (side, policy) = match &opened.profile {
        // What this service wrote holds, whatever is asked.
        Some(own) if wanted.side.is_some_and(|side| own.side != Some(side)) => {
            return differs("side");
        }
        Some(own) => (own.side, own.policy.clone()),
        None => (wanted.side, wanted.policy),
    };
    let spec = KeySpec {
        name: wanted.name,
        usage: found.usage,
        mode,
        side,
        algorithm: found.algorithm,
        exportability: match (wanted.exportable, found.exportability) {
            (true, kept) => kept,
            (false, _) => Exportability::NonExportable,
        },
        residence: wanted
            .residence
            .unwrap_or_else(|| found.usage.usual_residence(Some(mode), found.algorithm)),
        policy,
    };
    match spec.faults().first() {
        None => Ok(spec),
        Some(fault) => Err(ExchangeError::Spec {
            field: fault.field,
            why: fault.why,
        }),
    }
}

/// What an import asks of the key that comes in.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: KeyName,
    /// Its usage; none leaves it to the block.
    pub usage: Option<Usage>,
    /// Its mode; none leaves it to the block.
    pub mode: Option<Mode>,
    /// Which way it faces.
    pub side: Option<Side>,
    /// Its algorithm; none leaves it to the block.
    pub algorithm: Option<Algorithm>,
    /// Whether it may leave again, if the block says so too.
    pub exportable: bool,
    /// Where it is used; none is the usual place.
    pub residence: Option<Residence>,
    /// Formats, MAC rule and so on.
    pub policy: KeyPolicy,
}

impl Wanted {
    /// The key with these attributes, which is not looked at any further.
    pub(in crate::keys) fn complete(
        self,
        usage: Usage,
        mode: Mode,
        algorithm: Algorithm,
    ) -> KeySpec {
        KeySpec {
            name: self.name,
            usage,
            mode,
            side: self.side,
            algorithm,
            exportability: match self.exportable {
                true => Exportability::Exportable,
                false => Exportability::NonExportable,
            },
            residence: self
                .residence
                .unwrap_or_else(|| usage.usual_residence(Some(mode), algorithm)),
            policy: self.policy,
        }
    }
}

/// Writes a key into a block: version B under TDES, D under AES, its length masked.
///
/// `random` is fresh and at least [`limits::KEY_BLOCK_RANDOM_BYTES`] long. With `own`, the block
/// carries side and policy for this service; without, it is as any partner reads it.
///
/// # Errors
/// [`ExchangeError::Stronger`], [`ExchangeError::NotOffered`] where the header has no letter for
/// the algorithm, [`ExchangeError::NotWritten`].
pub fn wrap(
    grant: &Grant<WrapKeyBlock>,
    outgoing: &Outgoing<'_>,
    random: &Secret<Vec<u8>>,
) -> Result<String, ExchangeError> {
    let keys = grant.own_keys();
    let policy = &grant.header().policy;
    let attributes = outgoing.attributes;
    let letter = letter(attributes.algorithm, policy.sm4_block_code);
    let letter = letter.ok_or(ExchangeError::NotOffered)?;
    let codes = (|| {
        let algorithm = key_block::Algorithm::new([letter]).ok()?;
        let mut header = key_block::Header::new(
            keys.version(),
            key_block::Usage::new(attributes.usage.code()).ok()?,
            algorithm,
            key_block::Mode::new([attributes.mode.code()]).ok()?,
            key_block::Exportability::new([attributes.exportability.code()]).ok()?,
        );
        header.context = KeyContext::NONE;
        for (id, data) in outgoing.blocks() {
            header.blocks.push(id, &data).ok()?;
        }
        Some((header, algorithm))
    })();
    let (header, algorithm) = codes.ok_or(ExchangeError::NotWritten)?;
    // SM4 has one length: nothing to hide, and a partner's own letter.
    let masking = Masking::of(algorithm);
    key_block::wrap(
        keys,
        &header,
        outgoing.value,
        masking,
        random.expose_secret(),
    )
    .map_err(|error| match error {
        WrapError::Stronger => ExchangeError::Stronger,
        WrapError::Version
        | WrapError::Legacy
        | WrapError::KeyLength
        | WrapError::TooLong
        | WrapError::Header(_)
        | WrapError::Randomness => ExchangeError::NotWritten,
    })
}

/// A key on its way out.
pub struct Outgoing<'a> {
    /// What the block is to say.
    pub attributes: BlockAttributes,
    /// The key.
    pub value: &'a [u8],
    /// What came with it and goes out with it.
    pub optional_blocks: Option<&'a [u8]>,
    /// Side and policy, for this service's own blocks.
    pub profile: Option<Profile>,
}

impl Outgoing<'_> {
    fn blocks(&self) -> Vec<([u8; 2], String)> {
        let mut blocks = Vec::new();
        if let Some(code) = self.attributes.algorithm.hash().and_then(hash_code) {
            blocks.push((HMAC_HASH, code.to_owned()));
        }
        let kept = self.optional_blocks.and_then(profile::read_blocks);
        for (id, data) in kept.unwrap_or_default() {
            if !MADE_ANEW.contains(&id) {
                blocks.push((id, data));
            }
        }
        if let Some(profile) = &self.profile {
            blocks.push((profile::BLOCK_ID, profile.encode()));
        }
        blocks
    }
}

/// Whether `mode` is less than `than`.
pub const fn is_stricter(mode: Mode, than: Mode) -> bool {
    matches!(
        (than, mode),
        (Mode::EncryptAndDecrypt, Mode::Encrypt | Mode::Decrypt)
            | (Mode::GenerateAndVerify, Mode::Generate | Mode::Verify)
            | (Mode::SignAndDecrypt, Mode::Sign | Mode::Decrypt)
            | (
                Mode::NoRestriction,
                Mode::Encrypt
                    | Mode::Decrypt
                    | Mode::EncryptAndDecrypt
                    | Mode::Generate
                    | Mode::Verify
                    | Mode::GenerateAndVerify
                    | Mode::Derive
            )
    )
}

/// Whether what may leave as `exportability` may leave so when the key itself says `than`.
pub const fn may_leave_as(exportability: Exportability, than: Exportability) -> bool {
    matches!(
        (than, exportability),
        (_, Exportability::NonExportable)
            | (Exportability::Exportable, Exportability::Exportable)
            | (Exportability::Sensitive, Exportability::Sensitive)
    )
}

/// What a key in the store says of itself, as a block would.
pub const fn of_header(header: &Header, exportability: Exportability) -> BlockAttributes {
    BlockAttributes {
        usage: header.usage,
        mode: header.mode,
        algorithm: header.algorithm,
        exportability,
    }
}

fn attributes(
    header: &key_block::Header,
    bytes: usize,
    sm4: Option<u8>,
) -> Option<BlockAttributes> {
    let [mode] = *header.mode.as_bytes();
    let [exportability] = *header.exportability.as_bytes();
    let code = header.algorithm.code();
    let algorithm = match (code, bytes) {
        (b'T', 16) => Algorithm::Tdes2,
        (b'T', 24) => Algorithm::Tdes3,
        (b'A', 16) => Algorithm::Aes128,
        (b'A', 24) => Algorithm::Aes192,
        (b'A', 32) => Algorithm::Aes256,
        (b'D', 8) => Algorithm::Des,
        (b'H', _) => {
            let said = header.blocks.find(HMAC_HASH)?.data;
            let says = |algorithm: &&Algorithm| {
                algorithm.hash().and_then(hash_code) == Some(said)
                    && algorithm.key_bytes() == Some(bytes)
            };
            *Algorithm::ALL.iter().find(says)?
        }
        (_, 16) if Some(code) == sm4 => Algorithm::Sm4,
        _ => return None,
    };
    Some(BlockAttributes {
        usage: Usage::from_code(*header.usage.as_bytes())?,
        mode: Mode::from_code(mode)?,
        algorithm,
        exportability: Exportability::from_code(exportability)?,
    })
}

fn letter(algorithm: Algorithm, sm4: Option<u8>) -> Option<u8> {
    match algorithm {
        Algorithm::Tdes2 | Algorithm::Tdes3 => Some(b'T'),
        Algorithm::Aes128 | Algorithm::Aes192 | Algorithm::Aes256 => Some(b'A'),
        Algorithm::Des => Some(b'D'),
        Algorithm::HmacSha1
        | Algorithm::HmacSha224
        | Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::HmacSm3 => algorithm.hash().and_then(hash_code).map(|_| b'H'),
        Algorithm::Sm4 => sm4,
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 | Algorithm::Sm2 => None,
    }
}

/// A block that says a check value (KC) says the key's. One that does not is rejected like any
/// other: its MAC was good, but its sender meant another key.
fn says_its_check_value(
    header: &key_block::Header,
    algorithm: Algorithm,
    value: &[u8],
) -> Result<(), ExchangeError> {
    use crate::domain::key_block::content::Content;
    let Some(Content::KeyCheckValue(said)) = header.blocks.find(*b"KC").map(Content::of) else {
        return Ok(());
    };
    let method = match (said.by_cmac, algorithm.block_algorithm()) {
        (true, Some(BlockAlgorithm::Aes)) => Method::AesCmac,
        (false, Some(BlockAlgorithm::Aes)) => Method::AesZero,
        (false, Some(BlockAlgorithm::Tdes)) => Method::TdesZero,
        // No method of ours: nothing to compare.
        _ => return Ok(()),
    };
    let said = hex::decode(said.value).map_err(|_| ExchangeError::Rejected)?;
    check_value::verify(method, value, &said).map_err(|_| ExchangeError::Rejected)
}

/// Compares a partner's check value with the key's, at the length that was given.
///
/// # Errors
/// [`ExchangeError::CheckValue`].
pub fn compare_check_value(
    algorithm: Algorithm,
    value: &[u8],
    said: &[u8],
) -> Result<(), ExchangeError> {
    let block = algorithm
        .block_algorithm()
        .ok_or(ExchangeError::CheckValue)?;
    check_value::verify(Method::of(block), value, said).map_err(|_| ExchangeError::CheckValue)
}

/// The check value that a header or an answer shows.
pub fn check_value_of(algorithm: Algorithm, value: &[u8]) -> Option<KeyCheckValue> {
    material::check_value(algorithm, value)
}

/// The optional blocks that stay with a key.
fn kept(blocks: &OptionalBlocks) -> Result<Option<Vec<u8>>, ExchangeError> {
    let kept: Vec<_> = blocks
        .iter()
        .filter(|block| !MADE_ANEW.contains(&block.id) && block.id != profile::BLOCK_ID)
        .map(|block| (block.id, block.data.to_owned()))
        .collect();
    let text = profile::write_blocks(&kept);
    if text.len() > limits::KEPT_OPTIONAL_BLOCKS_MAX {
        return Err(ExchangeError::Spec {
            field: "key_block",
            why: "more optional blocks than a key can keep",
        });
    }
    Ok((!text.is_empty()).then_some(text))
}

/// The code of a hash (X9.143, table 13); it has none for SM3, whose keys go into no block.
const fn hash_code(hash: Hash) -> Option<&'static str> {
    match hash {
        Hash::Sha1 => Some("10"),
        Hash::Sha224 => Some("20"),
        Hash::Sha256 => Some("21"),
        Hash::Sha384 => Some("22"),
        Hash::Sha512 => Some("23"),
        Hash::Sm3 => None,
    }
}

/// Hash of an HMAC key (X9.143, table 13).
const HMAC_HASH: [u8; 2] = *b"HM";
/// Said anew by whoever writes a block: padding, the hash, check values under this protection key,
/// and when the block was made.
const MADE_ANEW: &[[u8; 2]] = &[*b"PB", HMAC_HASH, *b"KC", *b"KP", *b"PK", *b"TS"];

#[cfg(test)]
mod tests;
