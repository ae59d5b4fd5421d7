//! Why an operation is not run, in the product's own terms.

/// The reason for an operation that this version does not have.
pub fn reason(op: &str) -> &'static str {
    REASONS
        .iter()
        .find(|(prefix, _)| op.starts_with(prefix))
        .map_or("not an operation of this version", |(_, why)| why)
}

/// By the beginning of the operation's name; the first that fits.
const REASONS: &[(&str, &str)] = &[
    (
        "iso9564_2_",
        "format 2 is for offline PINs on a card, not for translation",
    ),
    ("visa2_", "this PIN block form is not offered"),
    ("visa3_", "this PIN block form is not offered"),
    ("eci", "this PIN block form is not offered"),
    ("diebold", "this PIN block form is not offered"),
    (
        "unionpay_ecb_mac_kaifu",
        "an acquirer's own variant of the UnionPay ECB MAC",
    ),
    ("sm4_emac_alg2", "ISO 9797-1 MAC algorithm 2 is not offered"),
    (
        "sm4_cfb_",
        "CFB authenticates nothing and pads nothing: CTR and GCM are offered",
    ),
    (
        "sm4_ofb_",
        "OFB has no use that CTR has not: CTR and GCM are offered",
    ),
    ("sm4_ccm_", "CCM is not offered: GCM is"),
    (
        "rsa_oaep_sha1_decrypt",
        "RSA private keys are used in the token only",
    ),
    (
        "rsa_pkcs1v15_sign",
        "RSA private keys are used in the token only",
    ),
];
