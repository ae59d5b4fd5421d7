//! `DecryptWechatResource`: wire to domain and back.

use crate::domain::wechat_pay::resource::Given;
use crate::ops::context::{Call, Context};
use crate::ops::wechat_pay::resource::{self, Opened};
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::wire::{key_ref, key_use};

/// `DecryptWechatResource`.
pub(super) async fn decrypt(
    context: &Context,
    call: &Call,
    message: pb::DecryptWechatResourceRequest,
) -> Result<pb::DecryptWechatResourceResponse, Error> {
    let pb::DecryptWechatResourceRequest {
        key,
        algorithm,
        nonce,
        associated_data,
        ciphertext,
    } = message;
    let key = key_ref(key, "key")?;
    for (field, text) in [
        ("algorithm", &algorithm),
        ("nonce", &nonce),
        ("ciphertext", &ciphertext),
    ] {
        if text.is_empty() {
            return Err(Error::FieldMissing(field));
        }
    }
    let given = Given {
        algorithm: &algorithm,
        nonce: &nonce,
        associated_data: &associated_data,
        ciphertext: &ciphertext,
    };
    let Opened { mut data, key } = resource::decrypt(context, call, &key, &given).await?;
    Ok(pb::DecryptWechatResourceResponse {
        // Clear data is what was asked for; tonic's copies of it are not wiped.
        data: std::mem::take(data.expose_secret_mut()),
        key: Some(key_use(key)),
    })
}
