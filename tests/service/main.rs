//! Every call, over real gRPC on loopback, on the embedded token and on SoftHSM: what it accepts, what it
//! refuses and with which reason. One accepted and one refused test per RPC at least, named
//! `<metric>_accepts_…` and `<metric>_refuses_…`.
//!
//! One process has one PKCS#11 module, so all tests share one token, one store and one runtime
//! (`world`). Keys are test keys, given as values in `keys.toml`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on stops"
)]

mod alipay;
mod alipay_certificates;
mod alipay_content;
mod alipay_diagnosis;
mod alipay_notification;
mod alipay_page;
mod alipay_v3;
mod alipay_verification;
mod approval;
mod attack_pin;
mod attack_verification;
mod authority;
mod blocks;
mod caller;
mod data;
mod data_dukpt;
mod decimalisation;
mod dukpt;
mod exchange;
mod exposition;
mod key_block;
mod key_life;
mod keys;
mod mac;
mod mac_batch;
mod mac_forger;
mod mac_stream;
mod partner;
mod path;
mod pin;
mod pin_batch;
mod pin_table;
mod pin_verification;
mod random;
mod refusal;
mod sensitive_field;
mod signing;
mod sm2_token;
mod softhsm;
mod terminal;
mod track;
mod union_pay_gateway;
mod vectors;
mod weak_translator;
mod wechat_pay;
mod world;
