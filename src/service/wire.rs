//! What every call's messages share: naming a key, and saying which key was used.

use crate::keys::attributes::Residence;

use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::service::pb::v1 as pb;
use crate::service::{Error, Field};

/// The key that `field` names.
pub(in crate::service) fn key_ref(
    message: Option<pb::KeyRef>,
    field: KeyField,
) -> Result<KeyRef, Error> {
    let pb::KeyRef { name, version } = message.ok_or(Error::FieldMissing(field))?;
    if name.is_empty() {
        return Err(Error::FieldMissing(field));
    }
    KeyRef::parse(&name, version).map_err(|_| Error::KeyNameMalformed(field))
}

/// A field that holds a `KeyRef`.
type KeyField = Field;

/// Which key answered, and where it was clear.
pub(in crate::service) fn key_use(used: KeyUse) -> pb::KeyUse {
    let KeyUse {
        name,
        version,
        residence,
    } = used;
    let residence = match residence {
        Residence::Token => pb::Residence::Token,
        Residence::TokenWrapped => pb::Residence::TokenWrapped,
        Residence::Process => pb::Residence::Process,
    };
    pb::KeyUse {
        name,
        version,
        residence: residence.into(),
    }
}
