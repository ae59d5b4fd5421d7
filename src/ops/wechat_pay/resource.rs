//! What WeChat Pay encrypts under the APIv3 key, decrypted. That key is a data key as any other, AES-256
//! or, for 商密, SM4; a callback may be under the version before while it is replaced.

use crate::domain::data::{self, DataError, Mode};
use crate::domain::wechat_pay::WechatPayError;
use crate::domain::wechat_pay::resource::{Given, Resource, TAG_BYTES};
use crate::keys;
use crate::keys::grant::{DecryptData, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::ops::context::{Call, Context};
use crate::ops::versions::Versions;
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// Clear, and the key used.
pub struct Opened {
    /// The resource.
    pub data: Secret<Vec<u8>>,
    /// The version that opened it.
    pub key: KeyUse,
}

/// Decrypts a resource under whichever version of the key it is.
///
/// # Errors
/// See [`enum@Error`]; [`Error::ClearDataRefused`] for a key that translates only.
pub async fn decrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    given: &Given<'_>,
) -> Result<Opened, Error> {
    let resource = Resource::read(given)?;
    let mut versions: Versions<DecryptData> = Versions::of(context, call, key).await?;
    for grant in versions.all() {
        if let Some(data) = opened(grant, &resource)? {
            return Ok(Opened {
                data,
                key: grant.key_use().clone(),
            });
        }
    }
    versions.settle(false)?;
    Err(WechatPayError::Rejected.into())
}

/// Nothing where this is not the key.
fn opened(
    grant: &Grant<DecryptData>,
    resource: &Resource,
) -> Result<Option<Secret<Vec<u8>>>, Error> {
    let Resource {
        algorithm,
        nonce,
        associated_data,
        data,
        tag,
    } = resource;
    let fits =
        |rule: &data::Rule| rule.mode() == Mode::Gcm && usize::from(rule.tag_bytes()) == TAG_BYTES;
    let Some(rule) = grant.rule().filter(fits) else {
        let what = OperationKind::DecryptData;
        let refused = keys::error::Error::UsageRefused { what };
        return Err(Error::Key(KeyRole::Only, refused));
    };
    if grant.translates_only() {
        return Err(Error::ClearDataRefused(KeyRole::Only));
    }
    if grant.cipher().algorithm() != *algorithm {
        return Err(WechatPayError::Cipher.into());
    }
    match data::decrypt(grant.cipher(), &rule, nonce, associated_data, (data, tag)) {
        Ok(data) => Ok(Some(data)),
        Err(DataError::Rejected) => Ok(None),
        Err(error) => Err(Error::Data(KeyRole::Only, error)),
    }
}
