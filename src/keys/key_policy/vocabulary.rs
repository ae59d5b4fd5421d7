//! The vocabulary of policies: each value with its code in the sealed header and its word in
//! templates and listings, and sets of such values. Codes never change.

use crate::domain::alipay::SignType;
use crate::domain::alipay::content::ContentForm;
use crate::domain::data;
use crate::domain::dukpt::KeyType;
use crate::domain::mac::{Padding, Scheme};
use crate::domain::pin_block::Format;
use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::track;
use crate::domain::unionpay::sign_in::Layout;
use crate::keys::attributes::Usage;
use crate::keys::tlv::Malformed;

/// A set of PIN block formats.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatSet(u16);

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

const fn bit(format: Format) -> u16 {
    1 << format as u16
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
    Named::new(Format::Sm4Unionpay16, 6, "SM4_UNIONPAY_16"),
    Named::new(Format::Sm4Unionpay8pad, 7, "SM4_UNIONPAY_8PAD"),
    Named::new(Format::Iso4Pan12, 8, "ISO_4_PAN12"),
    Named::new(Format::X98NoPan, 9, "X98_NO_PAN"),
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
    Named::new(Scheme::UnionPayGatewaySha256, 21, "UNIONPAY_GATEWAY_SHA256"),
    Named::new(Scheme::UnionPayGatewaySm3, 22, "UNIONPAY_GATEWAY_SM3"),
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
pub(in crate::keys) const DATA_MODES: &[Named<data::Mode>] = &[
    Named::new(data::Mode::Ecb, 1, "ECB"),
    Named::new(data::Mode::Cbc, 2, "CBC"),
    Named::new(data::Mode::Ctr, 3, "CTR"),
    Named::new(data::Mode::Gcm, 4, "GCM"),
];
pub(in crate::keys) const DATA_PADDINGS: &[Named<data::Padding>] = &[
    Named::new(data::Padding::Whole, 0, "NONE"),
    Named::new(data::Padding::Pkcs7, 1, "PKCS7"),
];
pub(in crate::keys) const IV_RULES: &[Named<Option<data::IvRule>>] = &[
    Named::new(None, 0, "NONE"),
    Named::new(Some(data::IvRule::Random), 1, "RANDOM"),
    Named::new(Some(data::IvRule::Caller), 2, "CALLER"),
    Named::new(Some(data::IvRule::Zero), 3, "ZERO"),
];
pub(in crate::keys) const TRACK_LAYOUTS: &[Named<track::Layout>] = &[
    Named::new(track::Layout::UnionPayOneBlock, 1, "UNIONPAY_ONE_BLOCK"),
    Named::new(track::Layout::UnionPayWhole, 2, "UNIONPAY_WHOLE"),
];
pub(in crate::keys) const CONTENT_FORMS: &[Named<ContentForm>] = &[
    Named::new(ContentForm::Aes, 1, "AES"),
    Named::new(ContentForm::AesV2, 2, "AES_V2"),
    Named::new(ContentForm::Sm4, 3, "SM4"),
];
pub(in crate::keys) const SIGNATURES: &[Named<SignType>] = &[
    Named::new(SignType::Rsa, 1, "RSA"),
    Named::new(SignType::Rsa2, 2, "RSA2"),
    Named::new(SignType::Sm2, 3, "SM2"),
];
pub(in crate::keys) const ENCRYPTIONS: &[Named<EncryptionScheme>] = &[
    Named::new(EncryptionScheme::RsaPkcs1, 1, "RSA_PKCS1"),
    Named::new(EncryptionScheme::RsaOaepSha1, 2, "RSA_OAEP_SHA1"),
    Named::new(EncryptionScheme::Sm2, 3, "SM2"),
];
/// Layouts of a sign-in's answer, by their form: the numbers in them stand beside.
pub(in crate::keys) const LAYOUTS: &[Named<Layout>] = &[
    Named::new(Layout::Unionpay001, 1, "UNIONPAY_001"),
    Named::new(Layout::Unionpay003, 2, "UNIONPAY_003"),
    Named::new(Layout::Unionpay004, 3, "UNIONPAY_004"),
    Named::new(Layout::Unionpay003DoubleMac, 4, "UNIONPAY_003_DOUBLE_MAC"),
    Named::new(Layout::Unionpay004DoubleMac, 5, "UNIONPAY_004_DOUBLE_MAC"),
    Named::new(SM4, 6, "SM4"),
    Named::new(KEY_BLOCKS, 7, "KEY_BLOCKS"),
];

const SM4: Layout = Layout::Sm4 {
    check_value_bytes: 0,
    data_key: false,
};
const KEY_BLOCKS: Layout = Layout::KeyBlocks { data_key: false };

/// A layout without its numbers.
pub(in crate::keys) const fn form(layout: Layout) -> Layout {
    match layout {
        Layout::Sm4 { .. } => SM4,
        Layout::KeyBlocks { .. } => KEY_BLOCKS,
        other => other,
    }
}

/// A form with these numbers; none where it has no such numbers.
pub(in crate::keys) fn layout(
    form: Layout,
    check_value_bytes: u8,
    data_key: bool,
) -> Option<Layout> {
    let layout = match (form, check_value_bytes, data_key) {
        (Layout::Sm4 { .. }, check_value_bytes, data_key) => Layout::Sm4 {
            check_value_bytes,
            data_key,
        },
        (Layout::KeyBlocks { .. }, 0, data_key) => Layout::KeyBlocks { data_key },
        (other, 0, false) => other,
        _ => return None,
    };
    layout.is_sound().then_some(layout)
}

/// The numbers of a layout, where it has any of its own.
pub(in crate::keys) const fn numbers(layout: Layout) -> (u8, bool) {
    match layout {
        Layout::Sm4 {
            check_value_bytes,
            data_key,
        } => (check_value_bytes, data_key),
        Layout::KeyBlocks { data_key } => (0, data_key),
        _ => (0, false),
    }
}

pub(in crate::keys) fn layout_bytes(layout: Layout) -> [u8; 3] {
    let (check_value_bytes, data_key) = numbers(layout);
    let code = Named::code_of(LAYOUTS, form(layout));
    [code, check_value_bytes, data_key.into()]
}

pub(in crate::keys) fn layout_of_bytes(bytes: &[u8]) -> Result<Layout, Malformed> {
    let [code, check_value_bytes, data_key @ (0 | 1)] = *bytes else {
        return Err(Malformed);
    };
    let form = Named::of_code(LAYOUTS, code)?;
    layout(form, check_value_bytes, data_key == 1).ok_or(Malformed)
}

pub(in crate::keys) const KEY_TYPES: &[Named<KeyType>] = &[
    Named::new(KeyType::Tdes2, 1, "TDES-2"),
    Named::new(KeyType::Tdes3, 2, "TDES-3"),
    Named::new(KeyType::Aes128, 3, "AES-128"),
    Named::new(KeyType::Aes192, 4, "AES-192"),
    Named::new(KeyType::Aes256, 5, "AES-256"),
    Named::new(KeyType::Hmac128, 6, "HMAC-128"),
    Named::new(KeyType::Hmac192, 7, "HMAC-192"),
    Named::new(KeyType::Hmac256, 8, "HMAC-256"),
];
