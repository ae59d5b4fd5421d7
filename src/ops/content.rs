//! Content encryption for Alipay under a key of its own. How is the key's policy; whatever is wrong
//! with what came is [`Error::ContentRejected`].

use crate::domain::alipay::content::{self, ContentForm, IV_BYTES};
use crate::keys;
use crate::keys::grant::{DecryptData, EncryptData, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// Content under a key.
pub struct Made {
    /// Base64, as it is sent.
    pub content: String,
    /// The key's form.
    pub form: ContentForm,
    /// The key used.
    pub key: KeyUse,
}

/// Clear content.
pub struct Opened {
    /// The content.
    pub data: Secret<Vec<u8>>,
    /// The key's form.
    pub form: ContentForm,
    /// The key used.
    pub key: KeyUse,
}

/// Encrypts content.
///
/// # Errors
/// See [`enum@Error`].
pub async fn encrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    data: &Secret<Vec<u8>>,
) -> Result<Made, Error> {
    if data.expose_secret().len() > limits::MESSAGE_BYTES_MAX {
        return Err(Error::DataTooLong);
    }
    let grant: Grant<EncryptData> = call.key(context, key).await?;
    let form = form(grant.alipay_content(), OperationKind::EncryptData)?;
    let iv: [u8; IV_BYTES] = context.fill.draw()?;
    let content = content::encrypt(grant.cipher(), form, &iv, data.expose_secret());
    Ok(Made {
        content: content.map_err(|_| Error::ContentRejected)?,
        form,
        key: grant.key_use().clone(),
    })
}

/// Decrypts content.
///
/// # Errors
/// See [`enum@Error`].
pub async fn decrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    content: &str,
) -> Result<Opened, Error> {
    if content.len() > limits::CONTENT_CHARACTERS_MAX {
        return Err(Error::ContentTooLong);
    }
    let grant: Grant<DecryptData> = call.key(context, key).await?;
    let form = form(grant.alipay_content(), OperationKind::DecryptData)?;
    let data = content::decrypt(grant.cipher(), form, content);
    Ok(Opened {
        data: data.map_err(|_| Error::ContentRejected)?,
        form,
        key: grant.key_use().clone(),
    })
}

/// A key of any other kind of data is not for these calls.
fn form(form: Option<ContentForm>, what: OperationKind) -> Result<ContentForm, Error> {
    let refused = keys::error::Error::UsageRefused { what };
    form.ok_or(Error::Key(KeyRole::Only, refused))
}
