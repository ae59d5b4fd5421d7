//! Whether an application's key and "Alipay's public key" are what their names say, as far as two
//! public keys tell.

use crate::domain::alipay::SignType;
use crate::domain::rsa;
use crate::keys::act::now;
use crate::keys::grant::{Grant, ReadPublicKey};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits::{PROFILE_EXPIRY_WARNING, RSA_MODULUS_BITS_MIN};
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};

/// What was found.
pub struct Checked {
    /// What should be mended; nothing where all is well.
    pub findings: Vec<Finding>,
    /// The application's key.
    pub app_key: KeyUse,
    /// Alipay's.
    pub alipay_key: KeyUse,
}

/// Something to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The two have one public half.
    SamePublicKey,
    /// The two have different schemes.
    SchemesDiffer,
    /// An RSA key is short for its scheme.
    ShortKey(Owner),
    /// A key's scheme is SHA-1's.
    WeakScheme(Owner),
    /// A key's time is over, or is soon.
    Expiring(Owner),
}

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The application's.
    App,
    /// Alipay's.
    Alipay,
}

/// Looks at the two keys of one application.
///
/// # Errors
/// See [`enum@Error`].
pub async fn check(
    context: &Context,
    call: &Call,
    app_key: &KeyRef,
    alipay_key: &KeyRef,
) -> Result<Checked, Error> {
    let app: Grant<ReadPublicKey> = call.granted(context, KeyRole::App, app_key).await?;
    let alipay: Grant<ReadPublicKey> = call.granted(context, KeyRole::Alipay, alipay_key).await?;
    let mut findings = Vec::new();
    if app.subject_public_key_info() == alipay.subject_public_key_info() {
        findings.push(Finding::SamePublicKey);
    }
    if app.scheme() != alipay.scheme() {
        findings.push(Finding::SchemesDiffer);
    }
    for (owner, grant) in [(Owner::App, &app), (Owner::Alipay, &alipay)] {
        let key = rsa::PublicKey::from_spki(grant.subject_public_key_info());
        if key.is_ok_and(|key| key.modulus_bits() < RSA_MODULUS_BITS_MIN) {
            findings.push(Finding::ShortKey(owner));
        }
        if grant.scheme() == Some(SignType::Rsa) {
            findings.push(Finding::WeakScheme(owner));
        }
        let soon = now().saturating_add(PROFILE_EXPIRY_WARNING.as_secs());
        if grant.expiry().is_some_and(|expiry| expiry <= soon) {
            findings.push(Finding::Expiring(owner));
        }
    }
    Ok(Checked {
        findings,
        app_key: app.key_use().clone(),
        alipay_key: alipay.key_use().clone(),
    })
}
