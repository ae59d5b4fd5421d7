//! A local Alipay for development, on loopback: `gateway.do` (v2: RSA, RSA2 and SM2; utf-8 and GBK;
//! GET and POST) and the v3 paths, for precreate, pay, query, cancel, refund, refund query and close,
//! with Huabei instalments, notifications, scripted outcomes, and a book that can be read.
//!
//! It verifies requests with public keys only and shares no code with Pintle: the string-to-sign is
//! written anew (`string_to_sign`), RSA is aws-lc-rs, SM2 is RustCrypto's. It has never spoken to
//! Alipay: what it answers is what Alipay's SDKs and documents say that Alipay answers. Its private
//! keys are published test keys.

pub mod book;
mod control;
mod encryption;
mod form;
pub mod gateway;
pub mod keys;
pub mod money;
mod notify;
pub mod script;
mod string_to_sign;
pub mod trade;
mod v2;
mod v3;
