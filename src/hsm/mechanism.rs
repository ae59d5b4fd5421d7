//! The allow-list: every mechanism this service may ever name to a token, in this one file.
//! Numbers are those of the PKCS#11 v3.0 header; tokens that use others are noted at the row.
//! No derivation, concatenation, raw RSA or CBC: they shrink or expose keys. ECB for keys that
//! encrypt other keys only, which may neither wrap nor unwrap (see `secret_key`).

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CKM_AES_CMAC, CKM_AES_ECB, CKM_AES_GCM, CKM_AES_KEY_GEN,
    CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD, CKM_DES2_KEY_GEN, CKM_DES3_CMAC, CKM_DES3_ECB,
    CKM_DES3_KEY_GEN, CKM_EC_KEY_PAIR_GEN, CKM_ECDSA, CKM_GENERIC_SECRET_KEY_GEN,
    CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_RSA_PKCS_OAEP, CKM_SHA1_RSA_PKCS, CKM_SHA256_HMAC,
    CKM_SHA256_RSA_PKCS,
};

use crate::hsm::raw;
use crate::hsm::trial::Trial;

/// A mechanism that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Makes `seal`, `wrap` and AES keys that protect others.
    AesKeyGen,
    /// Makes `root` and `pan-index`.
    GenericSecretKeyGen,
    /// Makes `audit`.
    EcKeyPairGen,
    /// Makes RSA signing keys.
    RsaKeyPairGen,
    /// Seals and opens records.
    AesGcm,
    /// RFC 5649 key wrap with padding, by its number in PKCS#11 v3.0.
    AesKwp,
    /// RFC 5649 under 0x210A, as SoftHSM has it. NSS means PKCS #7 padding by this number.
    AesKwpAt210A,
    /// RSASSA-PKCS1-v1_5 with SHA-1 (Alipay's RSA).
    Sha1RsaPkcs,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (Alipay's RSA2).
    Sha256RsaPkcs,
    /// The catalogue root and the PAN index.
    Sha256Hmac,
    /// Audit checkpoints, over a digest made here: SoftHSM has no ECDSA that hashes.
    Ecdsa,
    /// RSAES-OAEP: opens what partners wrapped, with SHA-256 only, and WeChat Pay's sensitive fields, with
    /// SHA-1. A token lists no hashes.
    RsaOaep,
    /// Makes two-key TDES keys.
    Des2KeyGen,
    /// Makes three-key TDES keys.
    Des3KeyGen,
    /// Derives from an AES key-block protection key.
    AesCmac,
    /// Derives from a TDES key-block protection key.
    Des3Cmac,
    /// Encrypts keys under an AES key-encryption key.
    AesEcb,
    /// Encrypts keys under a TDES key-encryption key (UnionPay).
    Des3Ecb,
}

impl Allowed {
    /// The whole list.
    pub const ALL: [Self; 18] = [
        Self::AesKeyGen,
        Self::GenericSecretKeyGen,
        Self::EcKeyPairGen,
        Self::RsaKeyPairGen,
        Self::AesGcm,
        Self::AesKwp,
        Self::AesKwpAt210A,
        Self::Sha1RsaPkcs,
        Self::Sha256RsaPkcs,
        Self::Sha256Hmac,
        Self::Ecdsa,
        Self::RsaOaep,
        Self::Des2KeyGen,
        Self::Des3KeyGen,
        Self::AesCmac,
        Self::Des3Cmac,
        Self::AesEcb,
        Self::Des3Ecb,
    ];

    /// The name in the PKCS#11 header.
    pub fn name(self) -> &'static str {
        match self {
            Self::AesKeyGen => "CKM_AES_KEY_GEN",
            Self::GenericSecretKeyGen => "CKM_GENERIC_SECRET_KEY_GEN",
            Self::EcKeyPairGen => "CKM_EC_KEY_PAIR_GEN",
            Self::RsaKeyPairGen => "CKM_RSA_PKCS_KEY_PAIR_GEN",
            Self::AesGcm => "CKM_AES_GCM",
            Self::AesKwp => "CKM_AES_KEY_WRAP_KWP",
            Self::AesKwpAt210A => "CKM_AES_KEY_WRAP_PAD",
            Self::Sha1RsaPkcs => "CKM_SHA1_RSA_PKCS",
            Self::Sha256RsaPkcs => "CKM_SHA256_RSA_PKCS",
            Self::Sha256Hmac => "CKM_SHA256_HMAC",
            Self::Ecdsa => "CKM_ECDSA",
            Self::RsaOaep => "CKM_RSA_PKCS_OAEP",
            Self::Des2KeyGen => "CKM_DES2_KEY_GEN",
            Self::Des3KeyGen => "CKM_DES3_KEY_GEN",
            Self::AesCmac => "CKM_AES_CMAC",
            Self::Des3Cmac => "CKM_DES3_CMAC",
            Self::AesEcb => "CKM_AES_ECB",
            Self::Des3Ecb => "CKM_DES3_ECB",
        }
    }

    /// The number in the PKCS#11 header.
    pub fn number(self) -> u64 {
        self.raw()
    }

    pub(in crate::hsm) fn raw(self) -> CK_MECHANISM_TYPE {
        match self {
            Self::AesKeyGen => CKM_AES_KEY_GEN,
            Self::GenericSecretKeyGen => CKM_GENERIC_SECRET_KEY_GEN,
            Self::EcKeyPairGen => CKM_EC_KEY_PAIR_GEN,
            Self::RsaKeyPairGen => CKM_RSA_PKCS_KEY_PAIR_GEN,
            Self::AesGcm => CKM_AES_GCM,
            Self::AesKwp => CKM_AES_KEY_WRAP_KWP,
            Self::AesKwpAt210A => CKM_AES_KEY_WRAP_PAD,
            Self::Sha1RsaPkcs => CKM_SHA1_RSA_PKCS,
            Self::Sha256RsaPkcs => CKM_SHA256_RSA_PKCS,
            Self::Sha256Hmac => CKM_SHA256_HMAC,
            Self::Ecdsa => CKM_ECDSA,
            Self::RsaOaep => CKM_RSA_PKCS_OAEP,
            Self::Des2KeyGen => CKM_DES2_KEY_GEN,
            Self::Des3KeyGen => CKM_DES3_KEY_GEN,
            Self::AesCmac => CKM_AES_CMAC,
            Self::Des3Cmac => CKM_DES3_CMAC,
            Self::AesEcb => CKM_AES_ECB,
            Self::Des3Ecb => CKM_DES3_ECB,
        }
    }

    /// As cryptoki names it in `CKA_ALLOWED_MECHANISMS`.
    pub(in crate::hsm) fn as_type(self) -> cryptoki::mechanism::MechanismType {
        raw::mechanism_type(self.raw())
    }

    /// As a mechanism without parameters.
    pub(in crate::hsm) fn plain(self) -> cryptoki::mechanism::Mechanism<'static> {
        raw::plain_mechanism(self.raw())
    }
}

/// What a key is for; a symmetric key is for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hsm) enum Use {
    /// Encrypts and decrypts.
    Cipher,
    /// Wraps and unwraps keys.
    Wrap,
    /// Signs and verifies.
    Authenticate,
}

impl Allowed {
    /// What a key of this mechanism is for; `None` of those that make keys.
    pub(in crate::hsm) fn usage(self) -> Option<Use> {
        match self {
            Self::AesKeyGen
            | Self::GenericSecretKeyGen
            | Self::EcKeyPairGen
            | Self::RsaKeyPairGen
            | Self::Des2KeyGen
            | Self::Des3KeyGen => None,
            Self::AesGcm | Self::RsaOaep | Self::AesEcb | Self::Des3Ecb => Some(Use::Cipher),
            Self::AesKwp | Self::AesKwpAt210A => Some(Use::Wrap),
            Self::Sha1RsaPkcs
            | Self::Sha256RsaPkcs
            | Self::Sha256Hmac
            | Self::Ecdsa
            | Self::AesCmac
            | Self::Des3Cmac => Some(Use::Authenticate),
        }
    }
}

/// A mechanism of the Chinese standards, whose number is the maker's: it joins the list for tokens
/// whose profile has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmMechanism {
    /// Makes SM4 keys.
    Sm4KeyGen,
    /// SM4 in single blocks.
    Sm4Ecb,
    /// SM4 in a chain, its IV the parameter.
    Sm4Cbc,
    /// The MAC of that chain, its IV zero.
    Sm4Mac,
    /// Makes SM2 key pairs.
    Sm2KeyGen,
    /// SM2 over a digest made outside; r and s.
    Sm2Sign,
    /// SM2 with SM3 and ZA of the usual identity; r and s.
    Sm2SignSm3,
    /// The hash.
    Sm3,
}

impl SmMechanism {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Sm4KeyGen,
        Self::Sm4Ecb,
        Self::Sm4Cbc,
        Self::Sm4Mac,
        Self::Sm2KeyGen,
        Self::Sm2Sign,
        Self::Sm2SignSm3,
        Self::Sm3,
    ];

    /// Its word in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sm4KeyGen => "sm4_key_gen",
            Self::Sm4Ecb => "sm4_ecb",
            Self::Sm4Cbc => "sm4_cbc",
            Self::Sm4Mac => "sm4_mac",
            Self::Sm2KeyGen => "sm2_key_gen",
            Self::Sm2Sign => "sm2_sign",
            Self::Sm2SignSm3 => "sm2_sign_sm3",
            Self::Sm3 => "sm3",
        }
    }

    pub(in crate::hsm) fn usage(self) -> Option<Use> {
        match self {
            Self::Sm4KeyGen | Self::Sm2KeyGen | Self::Sm3 => None,
            Self::Sm4Ecb | Self::Sm4Cbc => Some(Use::Cipher),
            Self::Sm4Mac | Self::Sm2Sign | Self::Sm2SignSm3 => Some(Use::Authenticate),
        }
    }
}

/// One row of what `doctor` prints.
#[derive(Clone, Copy, Debug)]
pub struct MechanismReport {
    /// The mechanism.
    pub mechanism: Allowed,
    /// Whether this token lists it.
    pub present: bool,
    /// What came of trying it; `None` where that was not done.
    pub works: Option<Trial>,
}

/// The same of a mechanism whose number is the maker's.
#[derive(Clone, Copy, Debug)]
pub struct SmReport {
    /// The mechanism.
    pub mechanism: SmMechanism,
    /// Its number by the token's profile.
    pub number: u64,
    /// Whether this token lists it.
    pub present: bool,
    /// What came of trying it; `None` where that was not done.
    pub works: Option<Trial>,
}
