//! The vocabulary of policies: each value with its code in the sealed header and its word in
//! templates and listings, and sets of such values. Codes never change.

use crate::domain::alipay::SignType;
use crate::domain::mac::{Padding, Scheme};
use crate::domain::pin_block::Format;
use crate::keys::attributes::Usage;
use crate::keys::tlv::Malformed;

/// A set of PIN block formats.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatSet(u8);

impl FormatSet {
    /// Whether `format` is in the set.
    pub const fn contains(self, format: Format) -> bool {
        self.0 & bit(format) != 0
    }

    /// Puts `format` into the set.
    pub const fn insert(&mut self, format: Format) {
        self.0 |= bit(format);
    }

    /// The formats, in the order of their codes.
    pub fn iter(self) -> impl Iterator<Item = Format> {
        Format::ALL
            .into_iter()
            .filter(move |format| self.contains(*format))
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

const fn bit(format: Format) -> u8 {
    1 << format as u8
}

impl FromIterator<Format> for FormatSet {
    fn from_iter<I: IntoIterator<Item = Format>>(formats: I) -> Self {
        let mut set = Self::default();
        formats.into_iter().for_each(|format| set.insert(format));
        set
    }
}

impl std::fmt::Debug for FormatSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// A set of usages.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageSet(u32);

impl UsageSet {
    /// Whether `usage` is in the set.
    pub const fn contains(self, usage: Usage) -> bool {
        self.0 & (1 << usage as u32) != 0
    }

    /// Puts `usage` into the set.
    pub const fn insert(&mut self, usage: Usage) {
        self.0 |= 1 << usage as u32;
    }

    /// The usages, in the order of their table.
    pub fn iter(self) -> impl Iterator<Item = Usage> {
        let all = Usage::ALL.iter().copied();
        all.filter(move |usage| self.contains(*usage))
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Usage> for UsageSet {
    fn from_iter<I: IntoIterator<Item = Usage>>(usages: I) -> Self {
        let mut set = Self::default();
        usages.into_iter().for_each(|usage| set.insert(usage));
        set
    }
}

impl std::fmt::Debug for UsageSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// One value with its code in the sealed header, the same number as on the wire, and its word in
/// templates and listings. Codes never change.
pub(in crate::keys) struct Named<T> {
    pub(in crate::keys) value: T,
    code: u8,
    word: &'static str,
}

impl<T: Copy + PartialEq> Named<T> {
    const fn new(value: T, code: u8, word: &'static str) -> Self {
        Self { value, code, word }
    }

    /// The word for `value`.
    pub(in crate::keys) fn word_of(table: &[Self], value: T) -> &'static str {
        table
            .iter()
            .find(|row| row.value == value)
            .map_or("", |row| row.word)
    }

    /// The value that `word` names.
    pub(in crate::keys) fn of_word(table: &[Self], word: &str) -> Option<T> {
        table
            .iter()
            .find(|row| row.word == word)
            .map(|row| row.value)
    }

    /// Every word.
    pub(in crate::keys) fn words(table: &[Self]) -> impl Iterator<Item = &'static str> {
        table.iter().map(|row| row.word)
    }

    pub(in crate::keys) fn code_of(table: &[Self], value: T) -> u8 {
        table
            .iter()
            .find(|row| row.value == value)
            .map_or(0, |row| row.code)
    }

    pub(in crate::keys) fn of_code(table: &[Self], code: u8) -> Result<T, Malformed> {
        table
            .iter()
            .find(|row| row.code == code)
            .map(|row| row.value)
            .ok_or(Malformed)
    }
}

pub(in crate::keys) const FORMATS: &[Named<Format>] = &[
    Named::new(Format::Iso0, 1, "ISO_0"),
    Named::new(Format::Iso1, 2, "ISO_1"),
    Named::new(Format::Iso3, 3, "ISO_3"),
    Named::new(Format::Iso4, 4, "ISO_4"),
    Named::new(Format::Sm4Fmt4Layout, 5, "SM4_FMT4_LAYOUT"),
];
pub(in crate::keys) const SCHEMES: &[Named<Scheme>] = &[
    Named::new(Scheme::Iso9797Alg1Tdes, 1, "ISO9797_1_ALG1_TDES"),
    Named::new(Scheme::Iso9797Alg1Sm4, 2, "ISO9797_1_ALG1_SM4"),
    Named::new(Scheme::Iso9797Alg3Des, 3, "ISO9797_1_ALG3_DES"),
    Named::new(Scheme::CmacTdes, 4, "CMAC_TDES"),
    Named::new(Scheme::CmacAes, 5, "CMAC_AES"),
    Named::new(Scheme::HmacSha256, 6, "HMAC_SHA256"),
    Named::new(Scheme::Iso9797Alg1Des, 7, "ISO9797_1_ALG1_DES"),
    Named::new(Scheme::Iso9797Alg1Aes, 8, "ISO9797_1_ALG1_AES"),
    Named::new(Scheme::CmacSm4, 9, "CMAC_SM4"),
    Named::new(Scheme::HmacSha1, 10, "HMAC_SHA1"),
    Named::new(Scheme::HmacSha224, 11, "HMAC_SHA224"),
    Named::new(Scheme::HmacSha384, 12, "HMAC_SHA384"),
    Named::new(Scheme::HmacSha512, 13, "HMAC_SHA512"),
    Named::new(Scheme::HmacSm3, 14, "HMAC_SM3"),
    Named::new(Scheme::UnionPayEcbHex8, 15, "UNIONPAY_ECB_HEX8"),
    Named::new(Scheme::UnionPayEcbRaw8, 16, "UNIONPAY_ECB_RAW8"),
    Named::new(Scheme::Sm4PosHex8, 17, "SM4_POS_HEX8"),
    Named::new(Scheme::Sm4PosHex8Lower, 18, "SM4_POS_HEX8_LOWER"),
    Named::new(Scheme::Sm4PosRaw8, 19, "SM4_POS_RAW8"),
    Named::new(Scheme::Sm4PosRaw8Lower, 20, "SM4_POS_RAW8_LOWER"),
];
/// MACs by the names of the standards that fix scheme and padding together, for templates and
/// requests; headers and answers say the scheme.
pub(in crate::keys) const MACS_BY_NAME: &[(&str, Scheme, Padding)] = &[
    ("X9_9", Scheme::Iso9797Alg1Des, Padding::Method1),
    ("X9_19", Scheme::Iso9797Alg3Des, Padding::Method1),
    ("SM4_ONLINE", Scheme::Iso9797Alg1Sm4, Padding::Method1),
];
pub(in crate::keys) const PADDINGS: &[Named<Option<Padding>>] = &[
    Named::new(None, 0, "none"),
    Named::new(Some(Padding::Method1), 1, "method 1"),
    Named::new(Some(Padding::Method2), 2, "method 2"),
    Named::new(Some(Padding::Method3), 3, "method 3"),
];
pub(in crate::keys) const SIGNATURES: &[Named<SignType>] = &[
    Named::new(SignType::Rsa, 1, "RSA"),
    Named::new(SignType::Rsa2, 2, "RSA2"),
    Named::new(SignType::Sm2, 3, "SM2"),
];
