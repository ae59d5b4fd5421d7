//! MACs: psec for the retail MAC and CBC-MACs, OpenSSL for CMAC, HMAC and SM4.

use pintle::domain::mac::{MacKey, Padding, Rule, Scheme, generate, pad};

use crate::inputs::Inputs;
use crate::oracle::{Asked, agree, asked, word};

const PADDINGS: [(usize, Padding); 3] = [
    (1, Padding::Method1),
    (2, Padding::Method2),
    (3, Padding::Method3),
];

fn ours(scheme: Scheme, padding: Option<Padding>, key: &[u8], data: &[u8]) -> Vec<u8> {
    let (_, longest) = scheme.lengths();
    let rule = Rule::new(scheme, padding, u8::try_from(longest).unwrap()).unwrap();
    let key = MacKey::new(scheme, key).unwrap();
    generate(&key, &rule, data).unwrap().as_bytes().to_vec()
}

/// With padding; `lengths` are the key's.
fn padded(inputs: &mut Inputs, family: &str, scheme: Scheme, lengths: &[usize]) -> Asked {
    let length = inputs.one(lengths);
    let (key, data) = (inputs.bytes(length), inputs.message(1));
    let (number, padding) = inputs.one(&PADDINGS);
    let question = format!("{family} {} {number} {}", word(&key), word(&data));
    asked(question, &ours(scheme, Some(padding), &key, &data))
}

/// Without; `least` is the shortest message.
fn plain(
    inputs: &mut Inputs,
    family: &str,
    (scheme, least): (Scheme, usize),
    lengths: &[usize],
) -> Asked {
    let length = inputs.one(lengths);
    let (key, data) = (inputs.bytes(length), inputs.message(least));
    let question = format!("{family} {} {}", word(&key), word(&data));
    asked(question, &ours(scheme, None, &key, &data))
}

#[test]
fn retail_macs_agree_with_psec() {
    agree("retail_mac", |inputs| {
        padded(inputs, "retail_mac", Scheme::Iso9797Alg3Des, &[16])
    });
}

#[test]
fn cbc_macs_agree_with_psec() {
    agree("cbc_mac_tdes", |inputs| {
        padded(inputs, "cbc_mac_tdes", Scheme::Iso9797Alg1Tdes, &[16, 24])
    });
    agree("cbc_mac_aes", |inputs| {
        padded(inputs, "cbc_mac_aes", Scheme::Iso9797Alg1Aes, &[16, 24, 32])
    });
}

#[test]
fn cmacs_agree_with_openssl() {
    agree("cmac_aes", |inputs| {
        plain(inputs, "cmac_aes", (Scheme::CmacAes, 0), &[16, 24, 32])
    });
    agree("cmac_tdes", |inputs| {
        plain(inputs, "cmac_tdes", (Scheme::CmacTdes, 0), &[16, 24])
    });
    agree("cmac_sm4", |inputs| {
        plain(inputs, "cmac_sm4", (Scheme::CmacSm4, 0), &[16])
    });
}

#[test]
fn hmacs_agree_with_openssl() {
    let hashes = [
        ("sha1", Scheme::HmacSha1),
        ("sha224", Scheme::HmacSha224),
        ("sha256", Scheme::HmacSha256),
        ("sha384", Scheme::HmacSha384),
        ("sha512", Scheme::HmacSha512),
        ("sm3", Scheme::HmacSm3),
    ];
    agree("hmac_of", |inputs| {
        let (name, scheme) = inputs.one(&hashes);
        let lengths: Vec<usize> = (16..=64).collect();
        plain(inputs, &format!("hmac_of {name}"), (scheme, 0), &lengths)
    });
}

#[test]
fn gateway_macs_agree_with_openssl() {
    let hashes = [
        ("sha256", Scheme::UnionPayGatewaySha256),
        ("sm3", Scheme::UnionPayGatewaySm3),
    ];
    agree("gateway_mac", |inputs| {
        let (name, scheme) = inputs.one(&hashes);
        plain(inputs, &format!("gateway_mac {name}"), (scheme, 0), &[32])
    });
}

#[test]
fn sm4_cbc_macs_agree_with_openssl() {
    agree("sm4_cbc_mac", |inputs| {
        let (key, data) = (inputs.bytes(16), inputs.message(1));
        let (_, padding) = inputs.one(&PADDINGS);
        let filled = pad(padding, 16, &data).unwrap();
        let question = format!("sm4_cbc_mac {} {}", word(&key), word(&filled));
        let ours = ours(Scheme::Iso9797Alg1Sm4, Some(padding), &key, &data);
        asked(question, &ours)
    });
}

#[test]
fn terminal_macs_agree_with_a_second_coding_over_openssl() {
    agree("unionpay_ecb_mac", |inputs| {
        let scheme = (Scheme::UnionPayEcbHex8, 1);
        plain(inputs, "unionpay_ecb_mac", scheme, &[8, 16])
    });
    agree("sm4_pos_mac", |inputs| {
        let (case, scheme) = inputs.one(&[
            ("upper", Scheme::Sm4PosRaw8),
            ("lower", Scheme::Sm4PosRaw8Lower),
        ]);
        plain(inputs, &format!("sm4_pos_mac {case}"), (scheme, 1), &[16])
    });
}
