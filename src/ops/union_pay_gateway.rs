//! UnionPay's gateway: requests signed, answers verified. Under signMethod 01 by key pairs; 11 and 12 are
//! MACs under what both sides know. Sensitive fields encrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::SignType;
use crate::domain::certificate::Certificate;
use crate::domain::certificate::chain::Broken;
use crate::domain::mac::{self, Rule};
use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::union_pay_gateway::StringToSign;
use crate::keys::grant::{GenerateMac, Grant, Sign, VerifyMac};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::{KeyUse, PublicKey};
use crate::ops::certificate::{self, Chain};
use crate::ops::context::{Call, Context};
use crate::ops::sensitive_field::{self, Encrypted};
use crate::ops::signing::{self, Verifiers};
use crate::ops::versions::Versions;
use crate::ops::{Error, mac as macs};
use crate::secret::Secret;

/// By what a message is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// signMethod 01.
    Signature(SignType),
    /// signMethod 11 and 12.
    Mac(mac::Scheme),
}

/// A signed request.
pub struct Signed {
    /// The parameter signature: base64, or hexadecimal for a MAC.
    pub signature: String,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The key used.
    pub key: KeyUse,
    /// The joined parameters, before they are hashed.
    pub string_to_sign: Vec<u8>,
}

/// What an answer was found to be.
pub struct Checked {
    /// UnionPay signed it.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The key that matched, or the active one.
    pub key: KeyUse,
    /// It has a signature.
    pub signed: bool,
    /// Its empty values are signed too.
    pub empty_values_signed: bool,
    /// The certificate that it names, if it does.
    pub certificate: Option<Named>,
}

/// The certificate of the parameter signPubKeyCert.
pub struct Named {
    /// Itself.
    pub certificate: Certificate,
    /// Its key is a version of the key that counts.
    pub known: bool,
    /// Whether it leads to a root, where roots were given.
    pub chain: Option<Result<(), Broken>>,
}

/// What UnionPay's certificates must come from.
pub struct Trusted<'a> {
    /// What may stand between; empty for nothing.
    pub intermediates: &'a [u8],
    /// The roots.
    pub roots: &'a [u8],
}

/// Signs the parameters of a request.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_request<'a>(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Signed, Error> {
    let string = StringToSign::for_request(parameters)?;
    let (signature, scheme, key) = match string.mac_scheme() {
        None => {
            let grant: Grant<Sign> = call.key(context, key).await?;
            fits(&string, grant.scheme())?;
            let signature = signing::signed(context, call, &grant, &string.rsa_message()).await?;
            let scheme = Scheme::Signature(grant.scheme());
            (STANDARD.encode(signature), scheme, grant.key_use().clone())
        }
        Some(scheme) => {
            let grant: Grant<GenerateMac> = call.key(context, key).await?;
            made_by(scheme, grant.rule())?;
            let made = macs::generate_with(&grant, string.as_bytes())?;
            let signature = hex::encode(made.mac.as_bytes());
            (signature, Scheme::Mac(scheme), made.key)
        }
    };
    Ok(Signed {
        signature,
        scheme,
        key,
        string_to_sign: string.as_bytes().to_vec(),
    })
}

/// Encrypts sensitive fields to UnionPay.
///
/// # Errors
/// See [`enum@Error`].
pub async fn encrypt_fields(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    fields: &[Secret<Vec<u8>>],
) -> Result<Encrypted, Error> {
    let schemes = [EncryptionScheme::RsaPkcs1];
    sensitive_field::encrypt(context, call, key, &schemes, fields).await
}

/// Checks an answer: without its empty values, then with them. One that does not match is an answer.
///
/// # Errors
/// See [`enum@Error`].
pub async fn verify_response(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: &[(&str, &str)],
    trusted: Option<&Trusted<'_>>,
) -> Result<Checked, Error> {
    let of = |name: &str| parameters.iter().find(|(other, _)| *other == name);
    let signature = of("signature").map(|(_, value)| *value).unwrap_or_default();
    let mut strings = vec![StringToSign::for_response(
        parameters.iter().copied(),
        false,
    )?];
    if parameters.iter().any(|(_, value)| value.is_empty()) {
        let whole = StringToSign::for_response(parameters.iter().copied(), true)?;
        strings.push(whole);
    }
    let mut judge = Judge::of(context, call, key, &strings[0]).await?;
    let mut found = (false, judge.key_use().clone());
    let mut empty_values_signed = false;
    for (with_empty_values, string) in strings.iter().enumerate() {
        let (valid, by) = judge.check(string, signature);
        if valid {
            found = (true, by);
            empty_values_signed = with_empty_values == 1;
            break;
        }
    }
    let (valid, key) = found;
    judge.settle(valid)?;
    let certificate = match of("signPubKeyCert") {
        Some((_, text)) => named(text, &judge, trusted)?,
        None => None,
    };
    Ok(Checked {
        valid,
        scheme: judge.scheme(),
        key,
        signed: !signature.is_empty(),
        empty_values_signed,
        certificate,
    })
}

/// Who says whether a signature is right.
enum Judge {
    Signature(Verifiers),
    Mac(Versions<VerifyMac>),
}

impl Judge {
    async fn of(
        context: &Context,
        call: &Call,
        key: &KeyRef,
        string: &StringToSign,
    ) -> Result<Self, Error> {
        Ok(match string.mac_scheme() {
            None => {
                let verifiers = Verifiers::of(context, call, key).await?;
                fits(string, verifiers.scheme())?;
                Self::Signature(verifiers)
            }
            Some(scheme) => {
                let versions: Versions<VerifyMac> = Versions::of(context, call, key).await?;
                for grant in versions.all() {
                    made_by(scheme, grant.rule())?;
                }
                Self::Mac(versions)
            }
        })
    }

    fn scheme(&self) -> Scheme {
        match self {
            Self::Signature(verifiers) => Scheme::Signature(verifiers.scheme()),
            Self::Mac(versions) => Scheme::Mac(versions.active().rule().scheme),
        }
    }

    fn key_use(&self) -> &KeyUse {
        match self {
            Self::Signature(verifiers) => verifiers.key_use(),
            Self::Mac(versions) => versions.active().key_use(),
        }
    }

    /// What is no signature at all matches as little as a wrong one.
    fn check(&self, string: &StringToSign, signature: &str) -> (bool, KeyUse) {
        match self {
            Self::Signature(verifiers) => {
                let signature = STANDARD.decode(signature).unwrap_or_default();
                verifiers.check(&string.rsa_message(), &signature)
            }
            Self::Mac(versions) => {
                let mac = hex::decode(signature).unwrap_or_default();
                let right = |grant: &&Grant<VerifyMac>| {
                    mac::verify(grant.key(), grant.rule(), string.as_bytes(), &mac).is_ok()
                };
                versions.find(right)
            }
        }
    }

    fn settle(&mut self, valid: bool) -> Result<(), Error> {
        match self {
            Self::Signature(verifiers) => verifiers.settle(valid),
            Self::Mac(versions) => versions.settle(valid),
        }
    }

    fn knows(&self, key: &PublicKey) -> bool {
        match self {
            Self::Signature(verifiers) => verifiers.are(key),
            Self::Mac(_) => false,
        }
    }
}

/// The certificate in a message, held against the key and the roots. What is no certificate names none.
fn named(text: &str, judge: &Judge, trusted: Option<&Trusted<'_>>) -> Result<Option<Named>, Error> {
    let given = Certificate::read_all(text.as_bytes()).unwrap_or_default();
    let Some(certificate) = given.into_iter().next() else {
        return Ok(None);
    };
    let chain = match trusted {
        Some(Trusted {
            intermediates,
            roots,
        }) => {
            let chain = certificate::check_chain(&Chain {
                leaf: certificate.as_der(),
                intermediates,
                roots,
                at: None,
            });
            Some(chain.map_err(in_trusted)?.map(|_| ()))
        }
        None => None,
    };
    let key = certificate.public_key().map(PublicKey::from);
    Ok(Some(Named {
        known: key.is_some_and(|key| judge.knows(&key)),
        certificate,
        chain,
    }))
}

/// These certificates have another place in this request.
fn in_trusted(error: Error) -> Error {
    match error {
        Error::Certificates("roots", why) => Error::Certificates("trusted.roots", why),
        Error::Certificates(_, why) => Error::Certificates("trusted.intermediates", why),
        other => other,
    }
}

/// The hash is the version's, and must be that of the key's scheme.
fn fits(string: &StringToSign, scheme: SignType) -> Result<(), Error> {
    if scheme.rsa_hash() == Some(string.rsa_hash()) {
        Ok(())
    } else {
        Err(Error::GatewayScheme)
    }
}

/// The MAC is the signMethod's, and must be that of the key's rule.
fn made_by(scheme: mac::Scheme, rule: &Rule) -> Result<(), Error> {
    if rule.scheme == scheme {
        Ok(())
    } else {
        Err(Error::GatewayScheme)
    }
}
