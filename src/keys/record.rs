//! The header of a sealed record: everything about a key but its value, as canonical TLV behind a
//! magic and a version. The exact header bytes are the associated data of every seal, so a header
//! that differs in one bit opens nothing.
//!
//! Deliberately one encoding per header: tags in ascending order, no unknown tag, and bytes that
//! do not encode back to themselves are refused. Sealing itself is in `keys::seal`.

use std::collections::BTreeMap;

use crate::domain::check_value::{CheckValue, Method};
use crate::keys::attributes::{
    Algorithm, Environment, Exportability, Mode, Origin, Residence, Side, State, Usage,
};
use crate::keys::key_policy::KeyPolicy;
use crate::keys::key_ref::KeyName;
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::limits;
use crate::store::RecordId;

/// What a sealed record says of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which kind of catalogue may open the key.
    pub environment: Environment,
    /// The tenant that owns the key.
    pub tenant: KeyName,
    /// The key's name within the tenant.
    pub name: KeyName,
    /// The key's version, from 1.
    pub version: u32,
    /// What the key is for.
    pub usage: Usage,
    /// What it may do of that.
    pub mode: Mode,
    /// Which way a PIN key faces; none for others.
    pub side: Option<Side>,
    /// Algorithm and length.
    pub algorithm: Algorithm,
    /// Whether it may leave under another key.
    pub exportability: Exportability,
    /// Where the clear key is when it is used.
    pub residence: Residence,
    /// Where the key came from.
    pub origin: Origin,
    /// Where the version stands in its life.
    pub state: State,
    /// How often the header was changed and sealed again.
    pub state_epoch: u64,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// When its crypto-period ends, seconds since 1970. Told, not enforced.
    pub expiry: Option<u64>,
    /// When a pending version becomes active by itself, seconds since 1970.
    pub activates: Option<u64>,
    /// When the waiting period of a destruction is over, seconds since 1970.
    pub destroys: Option<u64>,
    /// Who put the key's value together, by name, in the order of the sittings.
    pub custodians: Vec<KeyName>,
    /// The key under which it came in.
    pub parent: Option<KeyName>,
    /// It came in by a way that is accepted for old partners only: block version A or C, or a bare
    /// cryptogram.
    pub legacy: bool,
    /// The optional blocks of the X9.143 key block it came in, verbatim, to go out with it again.
    pub optional_blocks: Option<Vec<u8>>,
    /// What its owners note about it.
    pub labels: Labels,
    /// The check value of a block cipher key; none for HMAC keys and key pairs.
    pub check_value: Option<KeyCheckValue>,
    /// The public half of a key pair: SubjectPublicKeyInfo, DER.
    pub public_key: Option<Vec<u8>>,
    /// The object (`CKA_ID`) of a key that is in the token.
    pub token_object: Option<[u8; 16]>,
    /// What the key's own policy says.
    pub policy: KeyPolicy,
}

impl Header {
    /// The columns that find this record.
    pub fn id(&self) -> RecordId {
        RecordId {
            tenant: self.tenant.to_string(),
            name: self.name.to_string(),
            version: self.version,
        }
    }

    /// The one encoding of this header.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::after(MAGIC);
        writer.put(tag::ENVIRONMENT, &[self.environment.code()]);
        writer.put(tag::TENANT, self.tenant.as_str().as_bytes());
        writer.put(tag::NAME, self.name.as_str().as_bytes());
        writer.put(tag::VERSION, &self.version.to_be_bytes());
        writer.put(tag::USAGE, &self.usage.code());
        writer.put(tag::MODE, &[self.mode.code()]);
        writer.put_some(
            tag::SIDE,
            self.side
                .map(|side| [side.code()])
                .as_ref()
                .map(<[u8; 1]>::as_slice),
        );
        writer.put(tag::ALGORITHM, &[self.algorithm.code()]);
        writer.put(tag::EXPORTABILITY, &[self.exportability.code()]);
        writer.put(tag::RESIDENCE, &[self.residence.code()]);
        writer.put(tag::ORIGIN, &[self.origin.code()]);
        writer.put(tag::STATE, &[self.state.code()]);
        writer.put(tag::STATE_EPOCH, &self.state_epoch.to_be_bytes());
        writer.put(tag::CREATED, &self.created.to_be_bytes());
        let expiry = self.expiry.map(u64::to_be_bytes);
        writer.put_some(tag::EXPIRY, expiry.as_ref().map(<[u8; 8]>::as_slice));
        let check_value = self.check_value.as_ref().map(encode_check_value);
        writer.put_some(tag::CHECK_VALUE, check_value.as_deref());
        writer.put_some(tag::PUBLIC_KEY, self.public_key.as_deref());
        writer.put_some(
            tag::TOKEN_OBJECT,
            self.token_object.as_ref().map(<[u8; 16]>::as_slice),
        );
        let activates = self.activates.map(u64::to_be_bytes);
        writer.put_some(tag::ACTIVATES, activates.as_ref().map(<[u8; 8]>::as_slice));
        let destroys = self.destroys.map(u64::to_be_bytes);
        writer.put_some(tag::DESTROYS, destroys.as_ref().map(<[u8; 8]>::as_slice));
        for custodian in &self.custodians {
            writer.put(tag::CUSTODIAN, custodian.as_str().as_bytes());
        }
        let parent = self.parent.as_ref().map(KeyName::as_str);
        writer.put_some(tag::PARENT, parent.map(str::as_bytes));
        writer.put_some(tag::LEGACY, self.legacy.then_some(&[]));
        writer.put_some(tag::OPTIONAL_BLOCKS, self.optional_blocks.as_deref());
        writer.put_some(tag::LABELS, self.labels.encode().as_deref());
        // Last, and always there: no shorter text is a header too.
        writer.put(tag::POLICY, &self.policy.encode());
        writer.finish()
    }

    /// Where the version stands at a moment, seconds since 1970: a pending one whose time has come
    /// is active, whether or not anybody has written so.
    pub fn state_at(&self, now: u64) -> State {
        match (self.state, self.activates) {
            (State::Pending, Some(at)) if at <= now => State::Active,
            (state, _) => state,
        }
    }

    /// Whether the key is in one token, and other tokens could make nothing of what is sealed.
    pub fn stays_in_its_token(&self) -> bool {
        let in_token = match self.residence {
            Residence::Token | Residence::TokenWrapped => true,
            Residence::Process | Residence::Public => false,
        };
        in_token && self.state != State::Destroyed
    }

    /// Reads a header. Total: any bytes give a header or [`HeaderError`].
    ///
    /// # Errors
    /// Bytes that are not the encoding of any header this build knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > limits::RECORD_HEADER_BYTES_MAX {
            return Err(HeaderError);
        }
        let fields = bytes.strip_prefix(MAGIC).ok_or(HeaderError)?;
        let header = decode_fields(fields).map_err(|Malformed| HeaderError)?;
        // What is authenticated must be what is meant: one header, one encoding.
        if header.encode() == bytes && header.is_coherent() {
            Ok(header)
        } else {
            Err(HeaderError)
        }
    }

    /// Fields that come together or not at all.
    fn is_coherent(&self) -> bool {
        let block_cipher = self.algorithm.block_algorithm().is_some();
        let symmetric = self.algorithm.key_bytes().is_some();
        let faces = matches!(self.usage, Usage::PinEncryption | Usage::KeyEncryption);
        self.version != 0
            && faces == self.side.is_some()
            && block_cipher == self.check_value.is_some()
            && symmetric != self.public_key.is_some()
            && (self.residence == Residence::Token) == self.token_object.is_some()
            && (self.activates.is_none() || self.state == State::Pending)
            && (self.state == State::Destroying) == self.destroys.is_some()
            && self.custodians.len() <= limits::CUSTODIANS_MAX
    }
}

/// The check value of a key, as it was computed when the key was made.
///
/// HMAC keys have none: whatever we computed would be the beginning of a MAC over a message that a
/// caller may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCheckValue {
    /// How it was made.
    pub method: Method,
    /// Its leading bytes.
    pub bytes: Vec<u8>,
}

impl From<&CheckValue> for KeyCheckValue {
    fn from(value: &CheckValue) -> Self {
        Self {
            method: value.method(),
            bytes: value.as_bytes().to_vec(),
        }
    }
}

/// Notes of a key's owners: names of the key grammar with a line of text each, in the order of the
/// names. They say nothing to the service, but for [`Labels::SERIAL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<KeyName, String>);

impl Labels {
    /// What a partner calls its key, which goes beside what is encrypted to it.
    pub const SERIAL: &str = "serial";

    /// Takes labels within bounds: [`limits::LABELS_MAX`] of them, each text printable and at most
    /// [`limits::LABEL_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`HeaderError`] for anything else.
    pub fn new(labels: BTreeMap<KeyName, String>) -> Result<Self, HeaderError> {
        let fits = |text: &String| {
            text.len() <= limits::LABEL_BYTES_MAX && !text.chars().any(char::is_control)
        };
        if labels.len() <= limits::LABELS_MAX && labels.values().all(fits) {
            Ok(Self(labels))
        } else {
            Err(HeaderError)
        }
    }

    /// The same, and this one where there is none of its name.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn or(self, name: KeyName, text: String) -> Result<Self, HeaderError> {
        let Self(mut labels) = self;
        labels.entry(name).or_insert(text);
        Self::new(labels)
    }

    /// Name and text of each.
    pub fn iter(&self) -> impl Iterator<Item = (&KeyName, &str)> {
        self.0.iter().map(|(name, text)| (name, text.as_str()))
    }

    /// Name and text by turns, each as a field of its own; none where there is no label.
    fn encode(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut writer = Writer::default();
        for (name, text) in &self.0 {
            writer.put(1, name.as_str().as_bytes());
            writer.put(2, text.as_bytes());
        }
        Some(writer.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut labels = BTreeMap::new();
        while let Some(field) = reader.take_if(1)? {
            let text = std::str::from_utf8(reader.take(2)?).map_err(|_| Malformed)?;
            labels.insert(name(field)?, text.to_owned());
        }
        reader.end()?;
        Self::new(labels).map_err(|HeaderError| Malformed)
    }
}

/// The header's bytes are not those of any header this build knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed header is malformed")]
pub struct HeaderError;

fn decode_fields(bytes: &[u8]) -> Result<Header, Malformed> {
    let mut reader = Reader::new(bytes);
    let header = Header {
        environment: code(reader.take(tag::ENVIRONMENT)?, Environment::from_code)?,
        tenant: name(reader.take(tag::TENANT)?)?,
        name: name(reader.take(tag::NAME)?)?,
        version: u32::from_be_bytes(fixed(reader.take(tag::VERSION)?)?),
        usage: Usage::from_code(fixed(reader.take(tag::USAGE)?)?).ok_or(Malformed)?,
        mode: code(reader.take(tag::MODE)?, Mode::from_code)?,
        side: reader
            .take_if(tag::SIDE)?
            .map(|value| code(value, Side::from_code))
            .transpose()?,
        algorithm: code(reader.take(tag::ALGORITHM)?, Algorithm::from_code)?,
        exportability: code(reader.take(tag::EXPORTABILITY)?, Exportability::from_code)?,
        residence: code(reader.take(tag::RESIDENCE)?, Residence::from_code)?,
        origin: code(reader.take(tag::ORIGIN)?, Origin::from_code)?,
        state: code(reader.take(tag::STATE)?, State::from_code)?,
        state_epoch: u64::from_be_bytes(fixed(reader.take(tag::STATE_EPOCH)?)?),
        created: u64::from_be_bytes(fixed(reader.take(tag::CREATED)?)?),
        expiry: moment(reader.take_if(tag::EXPIRY)?)?,
        check_value: reader
            .take_if(tag::CHECK_VALUE)?
            .map(decode_check_value)
            .transpose()?,
        public_key: reader.take_if(tag::PUBLIC_KEY)?.map(<[u8]>::to_vec),
        token_object: reader.take_if(tag::TOKEN_OBJECT)?.map(fixed).transpose()?,
        activates: moment(reader.take_if(tag::ACTIVATES)?)?,
        destroys: moment(reader.take_if(tag::DESTROYS)?)?,
        custodians: {
            let mut custodians = Vec::new();
            while let Some(custodian) = reader.take_if(tag::CUSTODIAN)? {
                custodians.push(name(custodian)?);
            }
            custodians
        },
        parent: reader.take_if(tag::PARENT)?.map(name).transpose()?,
        legacy: reader.take_if(tag::LEGACY)?.is_some(),
        optional_blocks: reader.take_if(tag::OPTIONAL_BLOCKS)?.map(<[u8]>::to_vec),
        labels: reader
            .take_if(tag::LABELS)?
            .map(Labels::decode)
            .transpose()?
            .unwrap_or_default(),
        policy: KeyPolicy::decode(reader.take(tag::POLICY)?)?,
    };
    reader.end()?;
    Ok(header)
}

/// Method, then the bytes; fewer than the cipher's block, or the value would be a whole one.
fn encode_check_value(value: &KeyCheckValue) -> Vec<u8> {
    let code = CHECK_VALUE_METHODS
        .iter()
        .find(|row| row.0 == value.method)
        .map_or(0, |row| row.1);
    [&[code], value.bytes.as_slice()].concat()
}

fn decode_check_value(value: &[u8]) -> Result<KeyCheckValue, Malformed> {
    let [code, bytes @ ..] = value else {
        return Err(Malformed);
    };
    let row = CHECK_VALUE_METHODS
        .iter()
        .find(|row| row.1 == *code)
        .ok_or(Malformed)?;
    if !(limits::CHECK_VALUE_BYTES_MIN..=row.0.length_max()).contains(&bytes.len()) {
        return Err(Malformed);
    }
    Ok(KeyCheckValue {
        method: row.0,
        bytes: bytes.to_vec(),
    })
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed)
}

fn moment(value: Option<&[u8]>) -> Result<Option<u64>, Malformed> {
    Ok(value.map(fixed).transpose()?.map(u64::from_be_bytes))
}

fn code<T>(value: &[u8], of_code: impl Fn(u8) -> Option<T>) -> Result<T, Malformed> {
    let [byte] = fixed(value)?;
    of_code(byte).ok_or(Malformed)
}

fn name(value: &[u8]) -> Result<KeyName, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| Malformed)?;
    KeyName::parse(text).map_err(|_| Malformed)
}

/// "PNTL" and the version of this form. A new field is a new version.
const MAGIC: &[u8] = b"PNTL\x02";

const CHECK_VALUE_METHODS: &[(Method, u8)] = &[
    (Method::TdesZero, 1),
    (Method::AesCmac, 2),
    (Method::AesZero, 3),
    (Method::Sm4Zero, 4),
    (Method::TdesCmac, 5),
];

mod tag {
    pub(super) const ENVIRONMENT: u8 = 1;
    pub(super) const TENANT: u8 = 2;
    pub(super) const NAME: u8 = 3;
    pub(super) const VERSION: u8 = 4;
    pub(super) const USAGE: u8 = 5;
    pub(super) const MODE: u8 = 6;
    pub(super) const SIDE: u8 = 7;
    pub(super) const ALGORITHM: u8 = 8;
    pub(super) const EXPORTABILITY: u8 = 9;
    pub(super) const RESIDENCE: u8 = 10;
    pub(super) const ORIGIN: u8 = 11;
    pub(super) const STATE: u8 = 12;
    pub(super) const STATE_EPOCH: u8 = 13;
    pub(super) const CREATED: u8 = 14;
    pub(super) const EXPIRY: u8 = 15;
    pub(super) const CHECK_VALUE: u8 = 16;
    pub(super) const PUBLIC_KEY: u8 = 17;
    pub(super) const TOKEN_OBJECT: u8 = 18;
    pub(super) const ACTIVATES: u8 = 19;
    pub(super) const DESTROYS: u8 = 20;
    /// Once for each.
    pub(super) const CUSTODIAN: u8 = 21;
    pub(super) const PARENT: u8 = 22;
    pub(super) const LEGACY: u8 = 23;
    pub(super) const OPTIONAL_BLOCKS: u8 = 24;
    pub(super) const LABELS: u8 = 25;
    pub(super) const POLICY: u8 = 26;
}

#[cfg(test)]
mod tests;
