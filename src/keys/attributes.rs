//! The attributes of a key: X9.143 codes under plain names, and what X9.143 has no word for (side,
//! residence, origin, state, environment). Codes are what a sealed header holds, words are what
//! templates and listings say.
//!
//! Which combinations mean anything is not decided here but in `keys::spec` and `keys::policy`.

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::mac::hmac::Hash;

macro_rules! attribute {
    (
        $(#[$about:meta])*
        $name:ident: $code:ty {
            $( $(#[$variant_about:meta])* $variant:ident = $value:expr, $word:literal; )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$variant_about])* $variant, )+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// What the sealed header holds.
            pub const fn code(self) -> $code {
                match self { $( Self::$variant => $value, )+ }
            }

            /// The value of a code; none for a code this build does not know.
            pub fn from_code(code: $code) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.code() == code)
            }

            /// The word of templates and listings.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.word())
            }
        }
    };
}

attribute! {
    /// What a key is for: the two characters of X9.143 (table "key usage").
    Usage: [u8; 2] {
        /// B0: base derivation keys of DUKPT.
        BaseDerivation = *b"B0", "base_derivation";
        /// D0: data encryption.
        DataEncryption = *b"D0", "data_encryption";
        /// D1: a partner's public key, under which data go to it.
        DataEncryptionAsymmetric = *b"D1", "data_encryption_asymmetric";
        /// K0: encryption of other keys.
        KeyEncryption = *b"K0", "key_encryption";
        /// K1: protection of TR-31 key blocks.
        KeyBlockProtection = *b"K1", "key_block_protection";
        /// K3: an RSA key pair under whose public half keys come in.
        KeyTransport = *b"K3", "key_transport";
        /// M0: ISO 16609 MAC, CBC-MAC with TDES.
        MacIso16609 = *b"M0", "mac_iso16609";
        /// M1: ISO 9797-1 MAC algorithm 1, CBC-MAC.
        MacAlgorithm1 = *b"M1", "mac_iso9797_1_alg1";
        /// M3: ISO 9797-1 MAC algorithm 3, the retail MAC.
        MacAlgorithm3 = *b"M3", "mac_iso9797_1_alg3";
        /// M6: ISO 9797-1:2011 MAC algorithm 5, CMAC.
        MacCmac = *b"M6", "mac_cmac";
        /// M7: HMAC.
        MacHmac = *b"M7", "mac_hmac";
        /// P0: PIN encryption.
        PinEncryption = *b"P0", "pin_encryption";
        /// V1: PIN verification, IBM 3624.
        PinVerificationIbm3624 = *b"V1", "pin_verification_ibm3624";
        /// V2: PIN verification, Visa PVV.
        PinVerificationVisaPvv = *b"V2", "pin_verification_visa_pvv";
        /// S0: asymmetric key pair for signatures.
        Signature = *b"S0", "signature";
    }
}

attribute! {
    /// What a key may do of its usage: the character of X9.143 (table "mode of use").
    Mode: u8 {
        /// B: encrypt and decrypt.
        EncryptAndDecrypt = b'B', "encrypt_and_decrypt";
        /// C: generate and verify.
        GenerateAndVerify = b'C', "generate_and_verify";
        /// D: decrypt only.
        Decrypt = b'D', "decrypt";
        /// E: encrypt only.
        Encrypt = b'E', "encrypt";
        /// G: generate only.
        Generate = b'G', "generate";
        /// N: no restriction. No row of the usage table grants it anything.
        NoRestriction = b'N', "no_restriction";
        /// S: sign only.
        Sign = b'S', "sign";
        /// T: sign and decrypt.
        SignAndDecrypt = b'T', "sign_and_decrypt";
        /// V: verify only.
        Verify = b'V', "verify";
        /// X: derive other keys.
        Derive = b'X', "derive";
    }
}

attribute! {
    /// Which way a PIN key or a key-encryption key faces. X9.143 has no such attribute; without it
    /// a terminal's PIN key and a zone's are the same P0, and so are the keys that come under them.
    Side: u8 {
        /// A terminal's key: PINs come in under it and never go out.
        Terminal = 1, "terminal";
        /// A key shared with another acquirer or switch, incoming or outgoing by its mode.
        Zone = 2, "zone";
        /// The issuer's key: PINs go out under it, and come in to be verified and nothing else.
        Issuer = 3, "issuer";
    }
}

attribute! {
    /// Algorithm and key length. SM4 and SM2 have no X9.143 letter; these numbers are ours.
    Algorithm: u8 {
        /// Two-key TDES, 16 bytes (SP 800-67).
        Tdes2 = 1, "TDES-2";
        /// Three-key TDES, 24 bytes (SP 800-67).
        Tdes3 = 2, "TDES-3";
        /// AES, 16 bytes (FIPS 197).
        Aes128 = 3, "AES-128";
        /// AES, 24 bytes (FIPS 197).
        Aes192 = 4, "AES-192";
        /// AES, 32 bytes (FIPS 197).
        Aes256 = 5, "AES-256";
        /// SM4, 16 bytes (GB/T 32907).
        Sm4 = 6, "SM4";
        /// HMAC with SHA-256, 32 bytes (RFC 2104).
        HmacSha256 = 7, "HMAC-SHA256";
        /// RSA with a 2048-bit modulus (RFC 8017).
        Rsa2048 = 8, "RSA-2048";
        /// RSA with a 3072-bit modulus (RFC 8017).
        Rsa3072 = 9, "RSA-3072";
        /// RSA with a 4096-bit modulus (RFC 8017).
        Rsa4096 = 10, "RSA-4096";
        /// SM2 on the recommended curve (GB/T 32918.5).
        Sm2 = 11, "SM2";
        /// Single DES, 8 bytes (FIPS 46-3): weak, for MACs of old terminals alone.
        Des = 12, "DES";
        /// HMAC with SHA-1, 20 bytes (RFC 2104): weak.
        HmacSha1 = 13, "HMAC-SHA1";
        /// HMAC with SHA-224, 28 bytes (RFC 2104).
        HmacSha224 = 14, "HMAC-SHA224";
        /// HMAC with SHA-384, 48 bytes (RFC 2104).
        HmacSha384 = 15, "HMAC-SHA384";
        /// HMAC with SHA-512, 64 bytes (RFC 2104).
        HmacSha512 = 16, "HMAC-SHA512";
        /// HMAC with SM3, 32 bytes (RFC 2104, GB/T 32905).
        HmacSm3 = 17, "HMAC-SM3";
    }
}

attribute! {
    /// Whether a key may leave under another key: the character of X9.143.
    Exportability: u8 {
        /// E: under a trusted key, in a key block.
        Exportable = b'E', "exportable";
        /// N: never.
        NonExportable = b'N', "non_exportable";
        /// S: under a key of any kind; never offered outside key blocks.
        Sensitive = b'S', "sensitive";
    }
}

attribute! {
    /// Where the clear key is when it is used.
    Residence: u8 {
        /// In the token only.
        Token = 1, "TOKEN";
        /// In the token only, kept outside it wrapped.
        TokenWrapped = 2, "TOKEN_WRAPPED";
        /// Sealed at rest, opened into this process's locked memory.
        Process = 3, "PROCESS";
        /// It is no secret: a partner's public key.
        Public = 4, "PUBLIC";
    }
}

attribute! {
    /// Where a key came from.
    Origin: u8 {
        /// Its value was drawn in the token.
        Generated = 1, "generated";
        /// Its value stood in an import file. Test environments only.
        ImportedValue = 2, "imported_value";
        /// Its value came as PKCS #8.
        ImportedPkcs8 = 3, "imported_pkcs8";
        /// Its value was put together from components in this host's memory. Outside PCI only; the
        /// word is loud because it stays for ever.
        HostComponents = 4, "HOST_COMPONENTS";
        /// Custodians entered it at the token's own console or PIN pad.
        TokenComponents = 5, "token_components";
        /// It came in an X9.143 key block.
        KeyBlock = 6, "key_block";
        /// It came under RSA-OAEP from another HSM.
        RsaOaep = 7, "rsa_oaep";
        /// It came as a bare cryptogram under a key-encryption key.
        Cryptogram = 8, "cryptogram";
        /// A partner's public key, as the partner gave it.
        PublicKey = 9, "public_key";
    }
}

attribute! {
    /// Where a key version stands in its life.
    State: u8 {
        /// Known, not yet used.
        Pending = 1, "pending";
        /// Produces and verifies.
        Active = 2, "active";
        /// Verifies and decrypts only.
        Retiring = 3, "retiring";
        /// Does nothing until enabled again.
        Disabled = 4, "disabled";
        /// Gone for good; its header stays as the memory of it.
        Destroyed = 5, "destroyed";
        /// Does nothing, and is destroyed when its waiting period is over.
        Destroying = 6, "destroying";
    }
}

attribute! {
    /// Which kind of catalogue may open a key.
    Environment: u8 {
        /// Real keys.
        Production = 1, "production";
        /// Keys whose values somebody may have seen.
        Test = 2, "test";
    }
}

impl Algorithm {
    /// The length of a symmetric key, bytes; none for key pairs.
    pub const fn key_bytes(self) -> Option<usize> {
        match self {
            Self::Des => Some(8),
            Self::Tdes2 | Self::Aes128 | Self::Sm4 => Some(16),
            Self::HmacSha1 => Some(20),
            Self::Tdes3 | Self::Aes192 => Some(24),
            Self::HmacSha224 => Some(28),
            Self::Aes256 | Self::HmacSha256 | Self::HmacSm3 => Some(32),
            Self::HmacSha384 => Some(48),
            Self::HmacSha512 => Some(64),
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 | Self::Sm2 => None,
        }
    }

    /// The bits of an RSA modulus; none for others.
    pub const fn rsa_bits(self) -> Option<u32> {
        match self {
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            _ => None,
        }
    }

    /// The hash of an HMAC key; none for others.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::HmacSha1 => Some(Hash::Sha1),
            Self::HmacSha224 => Some(Hash::Sha224),
            Self::HmacSha256 => Some(Hash::Sha256),
            Self::HmacSha384 => Some(Hash::Sha384),
            Self::HmacSha512 => Some(Hash::Sha512),
            Self::HmacSm3 => Some(Hash::Sm3),
            _ => None,
        }
    }

    /// Whether its keys are made of DES keys, whose parity bits do not count.
    pub const fn is_made_of_des_keys(self) -> bool {
        matches!(self, Self::Des | Self::Tdes2 | Self::Tdes3)
    }

    /// The block cipher; none for HMAC and key pairs. Single DES counts as TDES with one key
    /// thrice: the blocks and the check value are alike, and no cipher but a MAC's takes its keys.
    pub const fn block_algorithm(self) -> Option<BlockAlgorithm> {
        match self {
            Self::Des | Self::Tdes2 | Self::Tdes3 => Some(BlockAlgorithm::Tdes),
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Some(BlockAlgorithm::Aes),
            Self::Sm4 => Some(BlockAlgorithm::Sm4),
            Self::HmacSha1
            | Self::HmacSha224
            | Self::HmacSha256
            | Self::HmacSha384
            | Self::HmacSha512
            | Self::HmacSm3
            | Self::Rsa2048
            | Self::Rsa3072
            | Self::Rsa4096
            | Self::Sm2 => None,
        }
    }

    /// Cryptographic strength, bits (SP 800-57 part 1 rev. 5, tables 2 and 4). A key never leaves
    /// or enters under a weaker one.
    pub const fn strength_bits(self) -> u16 {
        match self {
            Self::Des => 56,
            Self::Tdes2 => 80,
            Self::Tdes3 | Self::Rsa2048 => 112,
            Self::Aes128 | Self::Sm4 | Self::Rsa3072 | Self::Sm2 | Self::HmacSha1 => 128,
            Self::Rsa4096 => 152,
            Self::Aes192 | Self::HmacSha224 => 192,
            // Above 256 bits nothing here is stronger than AES-256.
            Self::Aes256
            | Self::HmacSha256
            | Self::HmacSha384
            | Self::HmacSha512
            | Self::HmacSm3 => 256,
        }
    }
}

impl Mode {
    /// The mode of a word, or of the character of X9.143.
    pub fn of_code_or_word(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [code] => Self::from_code(*code),
            _ => Self::from_word(text),
        }
    }
}

impl Usage {
    /// Whether keys of this usage protect or derive other keys.
    pub const fn protects_keys(self) -> bool {
        matches!(
            self,
            Self::BaseDerivation
                | Self::KeyEncryption
                | Self::KeyBlockProtection
                | Self::KeyTransport
        )
    }

    /// The usage of a word, or of the two characters of X9.143.
    pub fn of_code_or_word(text: &str) -> Option<Self> {
        let code = text.as_bytes().try_into().ok().and_then(Self::from_code);
        code.or_else(|| Self::from_word(text))
    }

    /// Whether keys of this usage make or check MACs.
    pub const fn makes_macs(self) -> bool {
        matches!(
            self,
            Self::MacIso16609
                | Self::MacAlgorithm1
                | Self::MacAlgorithm3
                | Self::MacCmac
                | Self::MacHmac
        )
    }

    /// Whether keys of this usage may come in as bare cryptograms (UnionPay's PIK, MAK and TDK).
    pub const fn comes_as_cryptogram(self) -> bool {
        matches!(self, Self::PinEncryption | Self::DataEncryption) || self.makes_macs()
    }

    /// The same where the mode is known: what only verifies signatures, or only encrypts under one half
    /// of a pair, is a partner's public key.
    pub const fn usual_residence(self, mode: Option<Mode>, algorithm: Algorithm) -> Residence {
        match (self, mode) {
            (Self::Signature, Some(Mode::Verify)) | (Self::DataEncryptionAsymmetric, _) => {
                Residence::Public
            }
            _ => self.residence(algorithm),
        }
    }

    /// Where the clear key is used unless something else is asked for: keys that protect others,
    /// and RSA keys, stay in the token. A TDES base key would need a second object there, of its
    /// masked form, which no token makes of a key it has (decision 0013). An SM2 key in a token is asked for by
    /// name: what a template says is not to depend on the token (decision 0022).
    pub const fn residence(self, algorithm: Algorithm) -> Residence {
        if matches!(
            (self, algorithm),
            (Self::BaseDerivation, Algorithm::Tdes2 | Algorithm::Tdes3)
        ) {
            Residence::Process
        } else if self.protects_keys() || algorithm.rsa_bits().is_some() {
            Residence::Token
        } else {
            Residence::Process
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_are_distinct_and_lead_back() {
        for usage in Usage::ALL {
            assert_eq!(Usage::from_code(usage.code()), Some(*usage));
            assert_eq!(Usage::from_word(usage.word()), Some(*usage));
        }
        for mode in Mode::ALL {
            assert_eq!(Mode::from_code(mode.code()), Some(*mode));
            assert_eq!(Mode::from_word(mode.word()), Some(*mode));
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_code(algorithm.code()), Some(*algorithm));
            assert_eq!(Algorithm::from_word(algorithm.word()), Some(*algorithm));
        }
        for state in State::ALL {
            assert_eq!(State::from_code(state.code()), Some(*state));
        }
        assert_eq!(Usage::from_code(*b"P9"), None);
    }

    #[test]
    fn every_algorithm_is_symmetric_or_rsa_or_sm2() {
        for algorithm in Algorithm::ALL {
            let symmetric = algorithm.key_bytes().is_some();
            let rsa = algorithm.rsa_bits().is_some();
            let sm2 = *algorithm == Algorithm::Sm2;
            assert_eq!(
                [symmetric, rsa, sm2].iter().filter(|kind| **kind).count(),
                1
            );
        }
    }
}
