//! The five master keys (`seal` may have older ones beside it: `seals`): their templates, their making and the check that they are still what they
//! were made. A key with both uses of `seal` and `wrap` would let a holder of the token's PIN
//! extract anything (Clulow, CHES 2003); so would a key that can be copied or changed.
//! Made by `pintle init` only: nothing here is reached from a running server but the check.
//!
//! What each token makes of these templates, as measured:
//! - kryoptic 1.5.4 accepts and enforces all of them. But C_CopyObject lets a copy of an
//!   unmodifiable key gain any usage (WRAP, UNWRAP, DERIVE), MODIFIABLE, PRIVATE = false and other
//!   ALLOWED_MECHANISMS; only EXTRACTABLE, SENSITIVE and COPYABLE = false hold. So a holder of the
//!   PIN would get a copyable `seal` out byte by byte, by CKM_EXTRACT_KEY_FROM_KEY: no master key
//!   may be copied. The price: a copy in the session opens records in 4 µs, the token object in 33.
//! - SoftHSM 2.6.1 accepts and enforces all of them, ALLOWED_MECHANISMS and UNWRAP_TEMPLATE too; it
//!   refuses every copy of an unmodifiable key anyway (`seal` opens records in 27 µs). Under
//!   a pinned template it wants C_UnwrapKey's caller to say the pinned attributes; kryoptic adds
//!   them itself.

use std::fmt;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_KEY_TYPE, CK_OBJECT_CLASS, CKA_CLASS, CKA_COPYABLE, CKA_DECRYPT,
    CKA_DERIVE, CKA_EXTRACTABLE, CKA_MODIFIABLE, CKA_PRIVATE, CKA_SENSITIVE, CKA_TOKEN, CKA_UNWRAP,
    CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
};

use crate::hsm::error::Error;
use crate::hsm::master::seals::Seals;
use crate::hsm::mechanism::Allowed;
use crate::hsm::module::Loaded;
use crate::hsm::object;
use crate::hsm::profile::Profile;
use crate::hsm::raw::Calls;

/// A master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MasterKey {
    /// Seals records: AES-256, Encrypt and Decrypt, AES-GCM only.
    Seal,
    /// Wraps signing keys: AES-256, Wrap and Unwrap, pinned unwrap template.
    Wrap,
    /// Signs audit checkpoints: EC P-256, Sign.
    Audit,
    /// Authenticates the catalogue root: HMAC-SHA256, Sign and Verify.
    Root,
    /// Hashes PANs: HMAC-SHA256, Sign.
    PanIndex,
}

impl MasterKey {
    /// All of them, in the order they are made.
    pub const ALL: [Self; 5] = [
        Self::Seal,
        Self::Wrap,
        Self::Audit,
        Self::Root,
        Self::PanIndex,
    ];

    /// Its `CKA_LABEL`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Seal => "pintle-seal",
            Self::Wrap => "pintle-wrap",
            Self::Audit => "pintle-audit",
            Self::Root => "pintle-root",
            Self::PanIndex => "pintle-pan-index",
        }
    }

    fn rule(self) -> Rule {
        match self {
            Self::Seal => Rule {
                made_by: Allowed::AesKeyGen,
                usages: &["CKA_ENCRYPT", "CKA_DECRYPT"],
            },
            Self::Wrap => Rule {
                made_by: Allowed::AesKeyGen,
                usages: &["CKA_WRAP", "CKA_UNWRAP"],
            },
            Self::Audit => Rule {
                made_by: Allowed::EcKeyPairGen,
                usages: &["CKA_SIGN"],
            },
            Self::Root => Rule {
                made_by: Allowed::GenericSecretKeyGen,
                usages: &["CKA_SIGN", "CKA_VERIFY"],
            },
            Self::PanIndex => Rule {
                made_by: Allowed::GenericSecretKeyGen,
                usages: &["CKA_SIGN"],
            },
        }
    }

    /// The mechanisms it is bound to; `audit` is bound by its type (EC, Sign).
    fn allowed(self, profile: &Profile) -> Option<Allowed> {
        match self {
            Self::Seal => Some(Allowed::AesGcm),
            Self::Wrap => Some(profile.kwp),
            Self::Audit => None,
            Self::Root | Self::PanIndex => Some(Allowed::Sha256Hmac),
        }
    }

    fn class(self) -> ObjectClass {
        match self {
            Self::Audit => ObjectClass::PRIVATE_KEY,
            _ => ObjectClass::SECRET_KEY,
        }
    }
}

impl fmt::Display for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Where the master keys of an open token are.
pub(in crate::hsm) struct Masters {
    pub seals: Seals,
    pub wrap: ObjectHandle,
    pub audit: ObjectHandle,
    pub root: ObjectHandle,
    pub pan_index: ObjectHandle,
}

/// Refuses a token that has any master key already.
pub(in crate::hsm) fn refuse_existing(session: &Session, calls: &Calls) -> Result<(), Error> {
    for key in MasterKey::ALL {
        if !find(session, calls, key)?.is_empty() {
            return Err(Error::MasterKeyExists(key));
        }
    }
    Ok(())
}

/// Makes all five; when one cannot be made, those made before it are destroyed.
pub(in crate::hsm) fn make_all(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
) -> Result<(), Error> {
    let mut made = Vec::new();
    for key in MasterKey::ALL {
        let label = key.label();
        if let Err(error) = make(session, loaded, profile, key, label, &mut made) {
            for object in made {
                // The first error is the one to report.
                let _ = session.destroy_object(object);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Finds every master key exactly once (of `seal`, every one) and checks every attribute that guards it.
pub(in crate::hsm) fn check_all(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
) -> Result<Masters, Error> {
    let the_one = |key| -> Result<ObjectHandle, Error> {
        let found = find(session, &loaded.calls, key)?;
        let object = match found.as_slice() {
            [] => return Err(Error::MasterKeyMissing(key)),
            [object] => *object,
            _ => return Err(Error::MasterKeyTwice(key)),
        };
        check(session, loaded, profile, key, object)?;
        Ok(object)
    };
    let masters = Masters {
        seals: seals::find_all(session, loaded, profile)?,
        wrap: the_one(MasterKey::Wrap)?,
        audit: the_one(MasterKey::Audit)?,
        root: the_one(MasterKey::Root)?,
        pan_index: the_one(MasterKey::PanIndex)?,
    };
    // Nobody could verify a checkpoint without it.
    audit_public(session)?;
    Ok(masters)
}

/// The public half of `audit`, an object of its own: what it holds is proved by who asks for it.
pub(in crate::hsm) fn audit_public(session: &Session) -> Result<ObjectHandle, Error> {
    let found = session.find_objects(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        Attribute::Label(MasterKey::Audit.label().as_bytes().to_vec()),
    ])?;
    match found.as_slice() {
        [] => Err(Error::MasterKeyMissing(MasterKey::Audit)),
        [object] => Ok(*object),
        _ => Err(Error::MasterKeyTwice(MasterKey::Audit)),
    }
}

/// One key's usages; the rest is the same for all.
struct Rule {
    made_by: Allowed,
    usages: &'static [&'static str],
}

impl Rule {
    /// What each attribute must read.
    fn wanted(&self, name: &str) -> bool {
        match name {
            "CKA_PRIVATE" | "CKA_SENSITIVE" | "CKA_ALWAYS_SENSITIVE" | "CKA_NEVER_EXTRACTABLE" => {
                true
            }
            usage => self.usages.contains(&usage),
        }
    }

    /// What is asked for at its making: everything wanted but what the token itself sets.
    fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Modifiable(false),
            Attribute::Copyable(false),
            Attribute::Decrypt(self.wanted("CKA_DECRYPT")),
            Attribute::Unwrap(self.wanted("CKA_UNWRAP")),
            Attribute::Sign(self.wanted("CKA_SIGN")),
            Attribute::Derive(false),
        ];
        if class == ObjectClass::SECRET_KEY {
            template.push(Attribute::Encrypt(self.wanted("CKA_ENCRYPT")));
            template.push(Attribute::Wrap(self.wanted("CKA_WRAP")));
            template.push(Attribute::Verify(self.wanted("CKA_VERIFY")));
        }
        template
    }
}

/// What a key unwrapped under `wrap` always is, whatever the caller asks: a private key (a blob
/// taken for a generic secret could be derived from), which lives for a session and only signs.
/// CKA_MODIFIABLE stands last: see `rsa`.
pub(in crate::hsm) fn pinned() -> Vec<Attribute> {
    let mut pinned = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    pinned.extend(PINNED.map(|(attribute, _, _)| attribute));
    pinned
}

const PINNED: [(Attribute, CK_ATTRIBUTE_TYPE, bool); 9] = [
    (Attribute::Token(false), CKA_TOKEN, false),
    (Attribute::Private(true), CKA_PRIVATE, true),
    (Attribute::Sensitive(true), CKA_SENSITIVE, true),
    (Attribute::Extractable(false), CKA_EXTRACTABLE, false),
    (Attribute::Copyable(false), CKA_COPYABLE, false),
    (Attribute::Decrypt(false), CKA_DECRYPT, false),
    (Attribute::Unwrap(false), CKA_UNWRAP, false),
    (Attribute::Derive(false), CKA_DERIVE, false),
    (Attribute::Modifiable(false), CKA_MODIFIABLE, false),
];

/// Whether an unwrap template leaves nothing open.
pub(in crate::hsm) fn pins_everything(pinned: &[(CK_ATTRIBUTE_TYPE, Vec<u8>)]) -> bool {
    let class = (CKA_CLASS, CKO_PRIVATE_KEY.to_ne_bytes().to_vec());
    let mut wanted = PINNED
        .iter()
        .map(|(_, number, value)| (*number, vec![u8::from(*value)]));
    pinned.contains(&class) && wanted.all(|row| pinned.contains(&row))
}

/// Whether an object has a master key's label and can't be one (of `audit`, nor its public half).
pub(in crate::hsm) fn is_impostor(
    label: &[u8],
    class: CK_OBJECT_CLASS,
    key_type: Option<CK_KEY_TYPE>,
) -> bool {
    let named = |key: &MasterKey| match key {
        MasterKey::Seal => seals::is_label(label),
        key => label == key.label().as_bytes(),
    };
    MasterKey::ALL
        .iter()
        .find(|key| named(key))
        .is_some_and(|key| {
            let public = *key == MasterKey::Audit && class == CKO_PUBLIC_KEY;
            let wanted: CK_KEY_TYPE = key.rule().made_by.key_type().into();
            key_type != Some(wanted) || !(public || class == CK_OBJECT_CLASS::from(key.class()))
        })
}

/// AES-256 and HMAC-SHA256 keys alike.
const SECRET_KEY_BYTES: u64 = 32;

/// The named curve P-256 (1.2.840.10045.3.1.7), DER.
pub(in crate::hsm) const P256: [u8; 10] =
    [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

fn make(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
    key: MasterKey,
    label: &str,
    made: &mut Vec<ObjectHandle>,
) -> Result<(), Error> {
    let rule = key.rule();
    let mut id = vec![0; 16];
    session.generate_random_slice(&mut id)?;
    let mut template = rule.template(key.class());
    template.push(Attribute::Label(label.as_bytes().to_vec()));
    template.push(Attribute::Id(id.clone()));
    if let Some(allowed) = key.allowed(profile) {
        template.push(Attribute::AllowedMechanisms(vec![allowed.as_type()]));
    }
    if key == MasterKey::Audit {
        let (public, private) = make_audit_pair(session, &template, id)?;
        made.extend([public, private]);
        return check(session, loaded, profile, key, private);
    }
    template.push(Attribute::ValueLen(SECRET_KEY_BYTES.into()));
    let object = if key == MasterKey::Wrap {
        loaded.calls.generate_key_with_unwrap_template(
            session,
            rule.made_by.raw(),
            &template,
            &pinned(),
        )?
    } else {
        session.generate_key(&rule.made_by.plain(), &template)?
    };
    made.push(object);
    check(session, loaded, profile, key, object)
}

fn make_audit_pair(
    session: &Session,
    private: &[Attribute],
    id: Vec<u8>,
) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let public = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::EcParams(P256.to_vec()),
        Attribute::Label(MasterKey::Audit.label().as_bytes().to_vec()),
        Attribute::Id(id),
    ];
    Ok(session.generate_key_pair(&Allowed::EcKeyPairGen.plain(), &public, private)?)
}

fn find(session: &Session, calls: &Calls, key: MasterKey) -> Result<Vec<ObjectHandle>, Error> {
    if key == MasterKey::Seal {
        let numbered = seals::numbered(session, calls)?;
        return Ok(numbered.into_iter().map(|(_, object)| object).collect());
    }
    Ok(session.find_objects(&[
        Attribute::Class(key.class()),
        Attribute::Token(true),
        Attribute::Label(key.label().as_bytes().to_vec()),
    ])?)
}

fn check(
    session: &Session,
    loaded: &Loaded,
    profile: &Profile,
    key: MasterKey,
    object: ObjectHandle,
) -> Result<(), Error> {
    let refuse = |attribute| Err(Error::MasterKeyUnsafe { key, attribute });
    let rule = key.rule();
    for (name, attribute) in object::REPORTED {
        // A private key has no encrypt, wrap or verify to read.
        let read = object::flag(session, object, attribute)?.unwrap_or(false);
        if read != rule.wanted(name) {
            return refuse(name);
        }
    }
    if key_type(session, object)? != Some(rule.made_by.key_type()) {
        return refuse("CKA_KEY_TYPE");
    }
    if let Some(allowed) = key.allowed(profile)
        && loaded.calls.allowed_mechanisms(session, object)? != [allowed.raw()]
    {
        return refuse("CKA_ALLOWED_MECHANISMS");
    }
    if key == MasterKey::Wrap {
        let pinned = loaded.calls.unwrap_template(session, object)?;
        if !pins_everything(&pinned) {
            return refuse("CKA_UNWRAP_TEMPLATE");
        }
    }
    Ok(())
}

impl Allowed {
    /// The type of key a generation mechanism makes.
    fn key_type(self) -> KeyType {
        match self {
            Self::AesKeyGen => KeyType::AES,
            Self::EcKeyPairGen => KeyType::EC,
            Self::RsaKeyPairGen => KeyType::RSA,
            _ => KeyType::GENERIC_SECRET,
        }
    }
}

fn key_type(session: &Session, object: ObjectHandle) -> Result<Option<KeyType>, Error> {
    let read = session.get_attributes(object, &[AttributeType::KeyType])?;
    Ok(read.into_iter().find_map(|attribute| match attribute {
        Attribute::KeyType(key_type) => Some(key_type),
        _ => None,
    }))
}

pub(in crate::hsm) fn id_of(session: &Session, seal: ObjectHandle) -> Result<[u8; 16], Error> {
    let read = session.get_attributes(seal, &[AttributeType::Id])?;
    read.into_iter()
        .find_map(|attribute| match attribute {
            Attribute::Id(id) => <[u8; 16]>::try_from(id).ok(),
            _ => None,
        })
        .ok_or(Error::MasterKeyUnsafe {
            key: MasterKey::Seal,
            attribute: "CKA_ID",
        })
}

pub(in crate::hsm) mod proof;
pub(in crate::hsm) mod seals;
#[cfg(all(test, feature = "embedded-token"))]
mod tests;
