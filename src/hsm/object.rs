//! Finding objects and reading their attributes (PKCS#11 v3.0 §5.7, §4.4). Never reads a value.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::hsm::error::Error;

/// One key on the token, for `doctor`.
#[derive(Clone, Debug)]
pub struct ObjectReport {
    /// `secret key`, `private key`, `public key` or `other`.
    pub class: &'static str,
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `AES`, `RSA`, `EC`, `generic secret` or `other`.
    pub key_type: &'static str,
    /// The PKCS#11 name and value of each attribute that guards a key; `None` where the token does not say.
    pub attributes: Vec<(&'static str, Option<bool>)>,
}

impl ObjectReport {
    /// One attribute by its PKCS#11 name; `None` where the token does not say.
    pub fn attribute(&self, name: &str) -> Option<bool> {
        let row = self.attributes.iter().find(|(known, _)| *known == name)?;
        row.1
    }
}

/// The truth values that decide whether a key can get out.
pub(in crate::hsm) const REPORTED: [(&str, AttributeType); 14] = [
    ("CKA_PRIVATE", AttributeType::Private),
    ("CKA_SENSITIVE", AttributeType::Sensitive),
    ("CKA_EXTRACTABLE", AttributeType::Extractable),
    ("CKA_ALWAYS_SENSITIVE", AttributeType::AlwaysSensitive),
    ("CKA_NEVER_EXTRACTABLE", AttributeType::NeverExtractable),
    ("CKA_MODIFIABLE", AttributeType::Modifiable),
    ("CKA_COPYABLE", AttributeType::Copyable),
    ("CKA_ENCRYPT", AttributeType::Encrypt),
    ("CKA_DECRYPT", AttributeType::Decrypt),
    ("CKA_WRAP", AttributeType::Wrap),
    ("CKA_UNWRAP", AttributeType::Unwrap),
    ("CKA_SIGN", AttributeType::Sign),
    ("CKA_VERIFY", AttributeType::Verify),
    ("CKA_DERIVE", AttributeType::Derive),
];

/// The truth value of one attribute; `None` where the token has it not for this object.
pub(in crate::hsm) fn flag(
    session: &Session,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Option<bool>, Error> {
    let read = session.get_attributes(object, &[attribute])?;
    Ok(read.first().and_then(as_flag))
}

/// An attribute by its name, and what it must read.
pub(in crate::hsm) type Wanted = (&'static str, AttributeType, bool);

/// Refuses a key of which one of these reads otherwise, or not at all: [`Error::KeyUnsafe`].
pub(in crate::hsm) fn require(
    session: &Session,
    key: ObjectHandle,
    wanted: &[Wanted],
) -> Result<(), Error> {
    for (name, attribute, wanted) in wanted {
        if flag(session, key, *attribute)? != Some(*wanted) {
            return Err(Error::KeyUnsafe(name));
        }
    }
    Ok(())
}

/// Every key that the token keeps.
pub(in crate::hsm) fn report(session: &Session) -> Result<Vec<ObjectReport>, Error> {
    let mut reports = Vec::new();
    for class in [
        ObjectClass::SECRET_KEY,
        ObjectClass::PRIVATE_KEY,
        ObjectClass::PUBLIC_KEY,
    ] {
        let kept = [Attribute::Class(class), Attribute::Token(true)];
        for object in session.find_objects(&kept)? {
            reports.push(describe(session, object, class)?);
        }
    }
    Ok(reports)
}

fn describe(
    session: &Session,
    object: ObjectHandle,
    class: ObjectClass,
) -> Result<ObjectReport, Error> {
    let mut report = ObjectReport {
        class: class_name(class),
        label: String::new(),
        id: Vec::new(),
        key_type: "other",
        attributes: Vec::with_capacity(REPORTED.len()),
    };
    let named = [
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::KeyType,
    ];
    for attribute in session.get_attributes(object, &named)? {
        match attribute {
            Attribute::Label(label) => report.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::Id(id) => report.id = id,
            Attribute::KeyType(key_type) => report.key_type = key_type_name(key_type),
            _ => {}
        }
    }
    for (name, attribute) in REPORTED {
        report
            .attributes
            .push((name, flag(session, object, attribute)?));
    }
    Ok(report)
}

fn class_name(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::SECRET_KEY => "secret key",
        ObjectClass::PRIVATE_KEY => "private key",
        ObjectClass::PUBLIC_KEY => "public key",
        _ => "other",
    }
}

fn key_type_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::AES => "AES",
        KeyType::RSA => "RSA",
        KeyType::EC => "EC",
        KeyType::GENERIC_SECRET => "generic secret",
        _ => "other",
    }
}

fn as_flag(attribute: &Attribute) -> Option<bool> {
    match attribute {
        Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::Extractable(value)
        | Attribute::AlwaysSensitive(value)
        | Attribute::NeverExtractable(value)
        | Attribute::Modifiable(value)
        | Attribute::Copyable(value)
        | Attribute::Encrypt(value)
        | Attribute::Decrypt(value)
        | Attribute::Wrap(value)
        | Attribute::Unwrap(value)
        | Attribute::Sign(value)
        | Attribute::Verify(value)
        | Attribute::Derive(value) => Some(*value),
        _ => None,
    }
}
