//! Content encryption: wire to domain and back.

use crate::domain::alipay::content::ContentForm;
use crate::ops;
use crate::ops::content::{Made, Opened};
use crate::ops::context::{Call, Context};
use crate::secret::Secret;
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::wire::{key_ref, key_use};

/// `EncryptContent`.
pub(super) async fn encrypt(
    context: &Context,
    call: &Call,
    message: pb::EncryptContentRequest,
) -> Result<pb::EncryptContentResponse, Error> {
    let pb::EncryptContentRequest { key, data } = message;
    // Clear data is wiped from here on, also when a field before it is refused.
    let data = Secret::new(data);
    let key = key_ref(key, "key")?;
    let made = ops::content::encrypt(context, call, &key, &data).await?;
    let Made { content, form, key } = made;
    Ok(pb::EncryptContentResponse {
        content,
        form: self::form(form).into(),
        key: Some(key_use(key)),
    })
}

/// `DecryptContent`.
pub(super) async fn decrypt(
    context: &Context,
    call: &Call,
    message: pb::DecryptContentRequest,
) -> Result<pb::DecryptContentResponse, Error> {
    let pb::DecryptContentRequest { key, content } = message;
    let key = key_ref(key, "key")?;
    let opened = ops::content::decrypt(context, call, &key, &content).await?;
    let Opened {
        mut data,
        form,
        key,
    } = opened;
    Ok(pb::DecryptContentResponse {
        // Clear data is what was asked for; tonic's copies of it are not wiped.
        data: std::mem::take(data.expose_secret_mut()),
        form: self::form(form).into(),
        key: Some(key_use(key)),
    })
}

const fn form(form: ContentForm) -> pb::AlipayContentForm {
    match form {
        ContentForm::Aes => pb::AlipayContentForm::Aes,
        ContentForm::AesV2 => pb::AlipayContentForm::AesV2,
        ContentForm::Sm4 => pb::AlipayContentForm::Sm4,
    }
}
