//! The pure core: PIN blocks, key blocks, message authentication codes, data, tracks, check
//! values and signatures, as functions from values to values.
//!
//! No I/O, clock, randomness or async: random digits, nonces and dates come in as arguments. What
//! a key may be used for is not decided here but by `keys::policy`; who may ask, by `service`.

pub mod alipay;
pub mod certificate;
pub mod certificate_request;
pub mod check_value;
pub mod cipher;
pub mod data;
pub mod dukpt;
pub mod key_block;
pub mod mac;
pub mod pan;
pub mod pin;
pub mod pin_block;
pub mod pin_verification;
pub mod rsa;
pub mod sensitive_field;
pub mod sm2;
pub mod track;
pub mod union_pay_gateway;
pub mod unionpay;
pub mod wechat_pay;
