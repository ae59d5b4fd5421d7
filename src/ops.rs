//! The operations: one file per noun, one function per RPC. Here keys meet `domain`, and the token
//! where the key lives there.
//!
//! Each function reads the same way: resolve keys, take grants, refuse what the policy refuses,
//! compute. Nothing here knows gRPC, and nothing here keeps a key beyond its call.

pub mod alipay;
pub mod approval;
pub mod batch;
pub mod certificate;
pub mod content;
pub mod context;
pub mod data;
pub mod decimalisation;
pub mod fill;
pub mod keys;
pub mod mac;
pub mod pin;
pub mod pin_engine;
pub mod pin_verification;
pub mod random;
pub mod sensitive_field;
pub mod signing;
pub mod terminal;
pub mod track;
pub mod union_pay_gateway;
mod versions;
pub mod wechat_pay;

use std::sync::Arc;

use thiserror::Error;

use crate::domain::alipay::AlipayError;
use crate::domain::alipay::notification::FormError;
use crate::domain::alipay::response::ResponseError;
use crate::domain::alipay::v3;
use crate::domain::certificate::CertificateError;
use crate::domain::data::DataError;
use crate::domain::pin_block::Rejected;
use crate::domain::sensitive_field::FieldError;
use crate::domain::track::TrackError;
use crate::domain::union_pay_gateway::GatewayError;
use crate::domain::wechat_pay::WechatPayError;
use crate::hsm;
use crate::keys::entry::Fault;

/// Why an operation gave no answer.
#[derive(Debug, Error)]
pub enum Error {
    // The caller's fault.
    /// The PAN has something else than digits in it.
    #[error("the PAN is not digits")]
    PanMalformed,
    /// The PAN's length is not one both formats take.
    #[error("the PAN's length is not one that both formats take")]
    PanLength,
    /// The PIN block does not have its format's length.
    #[error("the PIN block does not have its format's length")]
    PinBlockLength,
    /// Everything that depends on the clear PIN block.
    #[error(transparent)]
    PinBlockRejected(#[from] Rejected),
    /// What is kept of a PIN has other digits than the key's policy says.
    #[error("the PVV or the offset does not have the policy's digits")]
    PinReference,
    /// The message is longer than one may be.
    #[error("the message is too long")]
    MessageTooLong,
    /// The key's scheme cannot authenticate nothing.
    #[error("the message is empty")]
    MessageEmpty,
    /// A PIN block's place is not within the message.
    #[error("the PIN block's place is not within the message")]
    PinPlace,
    /// The key's padding wants the message's length before the message.
    #[error("the message's length must be said first")]
    MessageLengthMissing,
    /// The message is not as long as was said.
    #[error("the message is not as long as was said")]
    MessageLengthMismatch,
    /// The MAC does not have the length that the key's policy names.
    #[error("the MAC does not have the policy's length")]
    MacLength,
    /// The data, to be encrypted or decrypted, is longer than it may be.
    #[error("the data is too long")]
    DataTooLong,
    /// What GCM shall authenticate beside it is longer than it may be.
    #[error("the associated data is too long")]
    AssociatedDataTooLong,
    /// The data, under which of the call's keys.
    #[error("{0:?}: {1}")]
    Data(KeyRole, #[source] DataError),
    /// The track.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// More or fewer random bytes than one answer has.
    #[error("the length is not one of random bytes")]
    RandomLength,
    /// The parameters cannot be signed.
    #[error(transparent)]
    Parameters(#[from] AlipayError),
    /// The certificates, in which field.
    #[error("{0}: {1}")]
    Certificates(&'static str, #[source] CertificateError),
    /// No certificate of a bundle is signed in the family of a scheme.
    #[error("no certificate of the bundle is signed in the family of sign_type")]
    RootsMissing,
    /// Encrypted content is longer than it may be.
    #[error("the content is too long")]
    ContentTooLong,
    /// Everything that depends on the content's clear text, and its base64.
    #[error("the content was rejected")]
    ContentRejected,
    /// The sensitive fields.
    #[error(transparent)]
    Fields(#[from] FieldError),
    /// The response is longer than one may be.
    #[error("the body is too long")]
    BodyTooLong,
    /// The response has no signed bytes.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// The notification is longer than one may be.
    #[error("the form is too long")]
    FormTooLong,
    /// The notification is no form.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A v3 request cannot be signed as it is.
    #[error(transparent)]
    V3(#[from] v3::Malformed),
    /// The v3 protocol has RSA2 only.
    #[error("the key's scheme is not RSA2, which is all that v3 has")]
    V3Scheme,
    /// `sign_type` is not the key's scheme.
    #[error("sign_type is not the key's scheme")]
    SignTypeMismatch,
    /// What is to be signed for WeChat Pay, or came from it, is malformed.
    #[error(transparent)]
    WechatPay(#[from] WechatPayError),
    /// The parameters of UnionPay's gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The key's scheme is not that of the message's version and signMethod.
    #[error("the key's scheme is not that of the parameters version and signMethod")]
    GatewayScheme,
    /// The subject of a certificate request is no distinguished name.
    #[error("the subject is not a distinguished name")]
    Subject,
    /// An RSA signature has one encoding, which has no name.
    #[error("the key's scheme does not have this encoding")]
    SignatureEncoding,

    // Policy.
    /// The source key's policy does not list the format.
    #[error("the source key's policy does not list the format")]
    PinFormatRefused,
    /// What is under the key is translated only, and to keys that cannot decrypt here.
    #[error("{0:?}: clear data would come out of a key that translates only")]
    ClearDataRefused(KeyRole),
    /// A format that is not bound to the PAN.
    #[error("the format is not bound to the PAN")]
    PinFormatUnbound,
    /// The key's method has no natural PIN.
    #[error("the key's method has no natural PIN")]
    NoNaturalPin,
    /// The token gave random bytes of which no PIN can be drawn.
    #[error("the token's random bytes give no PIN")]
    PinDraw,
    /// The table forbids the pair.
    #[error("the translation table forbids the pair")]
    TranslationForbidden,

    // Keys, the token, us.
    /// What was asked of a key in words is none.
    #[error("{0}")]
    Words(Fault),
    /// A page token that is none.
    #[error("the page token is none of ours")]
    PageToken,
    /// A filter that cannot be read.
    #[error("the filter cannot be read")]
    Filter,
    /// The key is not found, not granted, or does not open.
    #[error("{0:?}: {1}")]
    Key(KeyRole, #[source] crate::keys::error::Error),
    /// The catalogue as a whole is refused.
    #[error("the catalogue is refused: {0}")]
    Catalogue(crate::keys::error::CatalogueFault),
    /// A token.
    #[error(transparent)]
    Token(#[from] hsm::Error),
    /// The tokens, all of them.
    #[error(transparent)]
    Tokens(crate::keys::error::Error),
    /// No random fill.
    #[error(transparent)]
    Fill(#[from] fill::Exhausted),
    /// A MAC key was opened for another scheme than its policy's.
    #[error("a MAC key was opened for another scheme than its policy's")]
    MacKeyMismatch,
    /// A PIN key's format is not one of its cipher.
    #[error("a PIN key's format is not one of its cipher")]
    PinKeyMismatch,
    /// A signature just made does not verify. It is not released.
    #[error("a signature just made does not verify")]
    SignatureFault,
    /// The error of several items of one batch: they name the same key.
    #[error(transparent)]
    Shared(Arc<Self>),
}

/// Which of a call's keys is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// The only one.
    Only,
    /// The one the PIN block comes in under.
    Source,
    /// The one it goes out under.
    Destination,
    /// The one that PINs are verified with.
    Verification,
    /// The one that the call is about, by its name.
    Named,
    /// The one that opens or makes the key block.
    Protection,
    /// The one that opens the block of a translation.
    SourceProtection,
    /// The one that makes the block of a translation.
    DestinationProtection,
    /// The one that a cryptogram is under.
    Parent,
    /// The one under whose public half another HSM wrapped.
    Transport,
    /// A terminal's master key.
    Terminal,
    /// The one of the MAC that came.
    IncomingMac,
    /// The one of the MAC that goes.
    OutgoingMac,
    /// One that may have signed instead.
    Other,
    /// An application's own.
    App,
    /// Alipay's.
    Alipay,
}
