//! What every call's messages share: naming a key, and saying which key was used.

use prost_types::Timestamp;

use crate::keys::attributes::Residence;

use crate::keys::key_ref::{BaseRef, BlockRef, DukptRef, KeyRef, NamedKey};
use crate::keys::open_key::KeyUse;
use crate::service::pb::v1 as pb;
use crate::service::{Error, Field};

/// The key that `field` names.
pub(in crate::service) fn key_ref(
    message: Option<pb::KeyRef>,
    field: KeyField,
) -> Result<KeyRef, Error> {
    let pb::KeyRef {
        name,
        version,
        key_block,
        ksn,
    } = message.ok_or(Error::FieldMissing(field))?;
    if name.is_empty() {
        return Err(Error::FieldMissing(field));
    }
    let named = NamedKey::parse(&name, version).map_err(|_| Error::KeyNameMalformed(field))?;
    let base = if key_block.is_empty() {
        BaseRef::Named(named)
    } else {
        BaseRef::Block(BlockRef {
            protection_key: named,
            block: key_block,
        })
    };
    Ok(match (base, ksn.is_empty()) {
        (BaseRef::Named(named), true) => KeyRef::Named(named),
        (BaseRef::Block(block), true) => KeyRef::Block(block),
        (base, false) => KeyRef::Dukpt(DukptRef { base, ksn }),
    })
}

/// A field that holds a `KeyRef`.
type KeyField = Field;

/// Which key answered, and where it was clear.
pub(in crate::service) fn key_use(used: KeyUse) -> pb::KeyUse {
    let KeyUse {
        name,
        version,
        residence,
        block,
    } = used;
    pb::KeyUse {
        name,
        version,
        residence: self::residence(residence).into(),
        key_block_hash: block.map(|hash| hash.to_vec()).unwrap_or_default(),
    }
}

/// Where a key is clear.
pub(in crate::service) fn residence(residence: Residence) -> pb::Residence {
    match residence {
        Residence::Token => pb::Residence::Token,
        Residence::TokenWrapped => pb::Residence::TokenWrapped,
        Residence::Process => pb::Residence::Process,
        Residence::Public => pb::Residence::Public,
    }
}

/// A moment, from seconds since 1970.
pub(in crate::service) fn timestamp(seconds: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

/// The key of this name, its active version.
pub(in crate::service) fn named(name: &str, field: Field) -> Result<NamedKey, Error> {
    match name {
        "" => Err(Error::FieldMissing(field)),
        name => NamedKey::parse(name, 0).map_err(|_| Error::KeyNameMalformed(field)),
    }
}
