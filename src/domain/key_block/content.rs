//! What the defined optional blocks say (X9.143, 6.3.6 and tables 7 to 23).
//!
//! Reading never refuses a block: data of another form than the standard's are [`Content::Other`],
//! since partners write such (a key serial number in ASCII, say) and the MAC covers it either way.
//! Nothing here checks that what is said is true of the key.

use crate::domain::key_block::{OptionalBlock, Usage};

/// The content of an optional block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// AL: whether an asymmetric key is static; it is ephemeral otherwise.
    AsymmetricKeyLife {
        /// Static.
        is_static: bool,
    },
    /// BI: which DUKPT base derivation key it is, or was derived from.
    BaseDerivationKeyId {
        /// AES DUKPT, 4 bytes in hexadecimal; TDES DUKPT, 5 bytes, otherwise.
        aes: bool,
        /// The identifier.
        id: &'a str,
    },
    /// CT: a certificate, or a chain of them.
    Certificate {
        /// What the text is.
        format: CertificateFormat,
        /// Base64; for a chain, format, length and base64 of each.
        text: &'a str,
    },
    /// DA: what may be derived from the key.
    DerivationsAllowed(Derivations<'a>),
    /// FL: flags.
    Flags(&'a str),
    /// HM: the hash function of an HMAC key, by its code in table 13 (`21` is SHA-256).
    HmacHash(&'a str),
    /// IK: the initial key's identifier of AES DUKPT, 8 bytes in hexadecimal.
    InitialKeyId(&'a str),
    /// KC: check value of the key.
    KeyCheckValue(CheckValue<'a>),
    /// KP: check value of the protection key.
    ProtectionKeyCheckValue(CheckValue<'a>),
    /// PK: check value of the protection key of an export.
    ExportKeyCheckValue(CheckValue<'a>),
    /// KS: the initial key serial number of TDES DUKPT, 10 bytes in hexadecimal.
    KeySerialNumber(&'a str),
    /// KV: a version of the key block's values. Withdrawn.
    KeyBlockValues(&'a str),
    /// LB: whatever the sender calls it.
    Label(&'a str),
    /// PB: nothing.
    Padding,
    /// TC: when the key was made (ISO 8601, UTC).
    TimeOfCreation(&'a str),
    /// TS: when the block was made (ISO 8601, UTC).
    TimeStamp(&'a str),
    /// WP: how weak the keys were that it was under before, 0 to 3 (table 23).
    WrappingPedigree(u8),
    /// A proprietary block, or one of another form than the standard's.
    Other(&'a str),
}

impl<'a> Content<'a> {
    /// Reads a block.
    pub fn of(block: OptionalBlock<'a>) -> Self {
        let data = block.data;
        let content = match &block.id {
            b"AL" => match data {
                "0100" => Some(Self::AsymmetricKeyLife { is_static: false }),
                "0101" => Some(Self::AsymmetricKeyLife { is_static: true }),
                _ => None,
            },
            b"BI" => base_derivation_key_id(data),
            b"CT" => certificate(data),
            b"DA" => Derivations::read(data).map(Self::DerivationsAllowed),
            b"FL" => Some(Self::Flags(data)),
            b"HM" => hexadecimal(data, 2).map(Self::HmacHash),
            b"IK" => hexadecimal(data, 16).map(Self::InitialKeyId),
            b"KC" => CheckValue::read(data).map(Self::KeyCheckValue),
            b"KP" => CheckValue::read(data).map(Self::ProtectionKeyCheckValue),
            b"PK" => CheckValue::read(data).map(Self::ExportKeyCheckValue),
            b"KS" => hexadecimal(data, 20).map(Self::KeySerialNumber),
            b"KV" => (data.len() == 4).then_some(Self::KeyBlockValues(data)),
            b"LB" => Some(Self::Label(data)),
            b"PB" => Some(Self::Padding),
            b"TC" => time(data).map(Self::TimeOfCreation),
            b"TS" => time(data).map(Self::TimeStamp),
            b"WP" => match data.as_bytes() {
                [b'0', b'0', digit @ b'0'..=b'3'] => Some(Self::WrappingPedigree(digit - b'0')),
                _ => None,
            },
            _ => None,
        };
        content.unwrap_or(Self::Other(data))
    }
}

/// What the text of a certificate block is (table 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFormat {
    /// One X.509 certificate.
    X509,
    /// One EMV certificate.
    Emv,
    /// Several, the key's own first.
    Chain,
}

/// A check value that a sender gives (table 15): compare it by `check_value::verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckValue<'a> {
    /// By CMAC; by encryption of the zero block otherwise.
    pub by_cmac: bool,
    /// The value in hexadecimal.
    pub value: &'a str,
}

impl<'a> CheckValue<'a> {
    fn read(data: &'a str) -> Option<Self> {
        let (method, value) = data.split_at_checked(2)?;
        let (by_cmac, longest) = match method {
            "00" => (false, 6),
            "01" => (true, 10),
            _ => return None,
        };
        let good = value.len() <= longest && hexadecimal(value, value.len()).is_some();
        good.then_some(Self { by_cmac, value })
    }
}

/// What may be derived from a key (table 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derivations<'a>(&'a [[u8; 5]]);

impl<'a> Derivations<'a> {
    /// Usage, algorithm, mode and exportability of each.
    pub fn iter(&self) -> impl Iterator<Item = (Usage, u8, u8, u8)> + 'a {
        self.0
            .iter()
            .filter_map(|&[u0, u1, algorithm, mode, export]| {
                let usage = Usage::new([u0, u1]).ok()?;
                Some((usage, algorithm, mode, export))
            })
    }

    fn read(data: &'a str) -> Option<Self> {
        let (rows, rest) = data.strip_prefix("01")?.as_bytes().as_chunks::<5>();
        let good = rest.is_empty() && rows.iter().flatten().all(u8::is_ascii_alphanumeric);
        good.then_some(Self(rows))
    }
}

fn base_derivation_key_id(data: &str) -> Option<Content<'_>> {
    let (kind, id) = data.split_at_checked(2)?;
    let (aes, digits) = match kind {
        "00" => (false, 10),
        "01" => (true, 8),
        _ => return None,
    };
    hexadecimal(id, digits).map(|id| Content::BaseDerivationKeyId { aes, id })
}

fn certificate(data: &str) -> Option<Content<'_>> {
    let (format, text) = data.split_at_checked(2)?;
    let format = match format {
        "00" => CertificateFormat::X509,
        "01" => CertificateFormat::Emv,
        "02" => CertificateFormat::Chain,
        _ => return None,
    };
    Some(Content::Certificate { format, text })
}

fn hexadecimal(data: &str, digits: usize) -> Option<&str> {
    let good = |c: &u8| c.is_ascii_digit() || matches!(c, b'A'..=b'F');
    (data.len() == digits && data.as_bytes().iter().all(good)).then_some(data)
}

/// `20200818221218Z`, with or without separators and hundredths.
fn time(data: &str) -> Option<&str> {
    let good = |c: &u8| c.is_ascii_digit() || matches!(c, b'-' | b':' | b'.' | b'T' | b'Z');
    let ends = data.ends_with('Z') && data.starts_with(|c: char| c.is_ascii_digit());
    (ends && data.as_bytes().iter().all(good)).then_some(data)
}
