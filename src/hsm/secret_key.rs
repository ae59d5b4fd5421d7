//! Symmetric keys that stay in the token and protect or derive others: a key block's protection
//! key (CMAC only: X9.143 derives from it), or a UnionPay-style key-encryption key (ECB only).
//!
//! One use a key, held by the token: `CKA_SIGN` with AllowedMechanisms = {CMAC}, or
//! `CKA_ENCRYPT` and `CKA_DECRYPT` with {ECB}; never wrap, unwrap or derive, so that no key of the
//! token can be put under one and read back. What comes out of either is key material.
//! Deliberately knows no key block, variant or parity: those are the domain's. Two-key and
//! three-key TDES are two kinds because PKCS#11 has two types; one-key DES is none.

use std::time::Instant;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use crate::hsm::Function;
use crate::hsm::error::Error;
use crate::hsm::kept::{self, Kept};
use crate::hsm::mechanism::Allowed;
use crate::hsm::pool::{Job, Retry};
use crate::hsm::raw::Direction;
use crate::hsm::session::WorkerSession;
use crate::hsm::{Token, carrier, object};
use crate::limits;
use crate::secret::Secret;

/// Cipher and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// AES, 16 bytes.
    Aes128,
    /// AES, 24 bytes.
    Aes192,
    /// AES, 32 bytes.
    Aes256,
    /// TDES with two keys, 16 bytes.
    Tdes2,
    /// TDES with three keys, 24 bytes.
    Tdes3,
}

impl SecretKind {
    /// Length of a value, bytes.
    pub fn value_bytes(self) -> usize {
        match self {
            Self::Aes128 | Self::Tdes2 => 16,
            Self::Aes192 | Self::Tdes3 => 24,
            Self::Aes256 => 32,
        }
    }

    /// The cipher's block, bytes; also the length of its CMAC.
    pub fn block_bytes(self) -> usize {
        if self.is_aes() { 16 } else { 8 }
    }

    pub(in crate::hsm) fn key_type(self) -> KeyType {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => KeyType::AES,
            Self::Tdes2 => KeyType::DES2,
            Self::Tdes3 => KeyType::DES3,
        }
    }

    fn is_aes(self) -> bool {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => true,
            Self::Tdes2 | Self::Tdes3 => false,
        }
    }

    fn made_by(self) -> Allowed {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Allowed::AesKeyGen,
            Self::Tdes2 => Allowed::Des2KeyGen,
            Self::Tdes3 => Allowed::Des3KeyGen,
        }
    }
}

/// What a key does: one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretUse {
    /// Derives by CMAC (SP 800-38B).
    Cmac,
    /// Encrypts and decrypts other keys in whole blocks (ECB, SP 800-38A §6.1).
    Ecb,
}

impl SecretUse {
    fn mechanism(self, kind: SecretKind) -> Allowed {
        match (self, kind.is_aes()) {
            (Self::Cmac, true) => Allowed::AesCmac,
            (Self::Cmac, false) => Allowed::Des3Cmac,
            (Self::Ecb, true) => Allowed::AesEcb,
            (Self::Ecb, false) => Allowed::Des3Ecb,
        }
    }
}

impl Token {
    /// Makes a key in the token; [`Error::NotOffered`] where the token has not the cipher. Not
    /// retried.
    pub fn generate_secret(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
        usage: SecretUse,
    ) -> Job<()> {
        if let Err(error) = self.offers(&[kind.made_by(), usage.mechanism(kind)]) {
            return Job::refused(error);
        }
        let make = move |worker: &_| generate(worker, object_id, kind, usage);
        self.symmetric(Function::GenerateSecret, deadline, Retry::Never, make)
    }

    /// Brings a key in; [`Error::SecretLength`] where the value is not of this kind. Its parity
    /// and its strength are the caller's to judge. Not retried.
    pub fn import_secret(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
        usage: SecretUse,
        value: Secret<Vec<u8>>,
    ) -> Job<()> {
        if value.expose_secret().len() != kind.value_bytes() {
            return Job::refused(Error::SecretLength);
        }
        if let Err(error) = self.offers(&[usage.mechanism(kind)]) {
            return Job::refused(error);
        }
        let bring = move |worker: &_| import(worker, object_id, kind, usage, &value);
        self.symmetric(Function::ImportSecret, deadline, Retry::Never, bring)
    }

    /// Destroys a key; [`Error::NoSuchKey`] if it is not there. Not retried.
    pub fn destroy_secret(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
    ) -> Job<()> {
        let destroy = move |worker: &_| kept::destroy(worker, Kept::Secret(kind), object_id);
        self.symmetric(Function::DestroySecret, deadline, Retry::Never, destroy)
    }

    /// Whether the token has a key of this id and cipher.
    pub fn has_secret(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
    ) -> Job<bool> {
        self.symmetric(Function::FindSecret, deadline, Retry::Once, move |worker| {
            kept::has(worker, Kept::Secret(kind), object_id)
        })
    }

    /// Whether a key that was not made here is as safe as one that was; [`Error::NoSuchKey`],
    /// [`Error::KeyExists`] where two have this id, [`Error::KeyUnsafe`] with the attribute.
    pub fn check_secret(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
        usage: SecretUse,
    ) -> Job<()> {
        self.symmetric(
            Function::CheckSecret,
            deadline,
            Retry::Once,
            move |worker| {
                let key = kept::only(worker, Kept::Secret(kind), object_id)?;
                inspect(worker, kind, usage, key)
            },
        )
    }

    /// The CMAC of each message, a whole block each, in one job: at most
    /// [`limits::TOKEN_CMACS_MAX`] messages of [`limits::TOKEN_CMAC_BYTES_MAX`] bytes.
    pub fn cmac(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
        messages: Vec<Vec<u8>>,
    ) -> Job<Vec<Secret<Vec<u8>>>> {
        let fits = |message: &Vec<u8>| message.len() <= limits::TOKEN_CMAC_BYTES_MAX;
        if messages.len() > limits::TOKEN_CMACS_MAX || !messages.iter().all(fits) {
            return Job::refused(Error::TooLong);
        }
        if let Err(error) = self.offers(&[SecretUse::Cmac.mechanism(kind)]) {
            return Job::refused(error);
        }
        self.symmetric(Function::Cmac, deadline, Retry::Once, move |worker| {
            cmac(worker, object_id, kind, &messages)
        })
    }

    /// Encrypts or decrypts whole blocks, at most [`limits::TOKEN_ECB_BYTES_MAX`] bytes.
    pub fn ecb(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        kind: SecretKind,
        direction: Direction,
        data: Secret<Vec<u8>>,
    ) -> Job<Secret<Vec<u8>>> {
        let bytes = data.expose_secret().len();
        if bytes > limits::TOKEN_ECB_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        if bytes == 0 || !bytes.is_multiple_of(kind.block_bytes()) {
            return Job::refused(Error::NotWholeBlocks);
        }
        if let Err(error) = self.offers(&[SecretUse::Ecb.mechanism(kind)]) {
            return Job::refused(error);
        }
        self.symmetric(Function::Ecb, deadline, Retry::Once, move |worker| {
            ecb(worker, object_id, kind, direction, &data)
        })
    }
}

fn generate(
    worker: &WorkerSession,
    object_id: [u8; 16],
    kind: SecretKind,
    usage: SecretUse,
) -> Result<(), Error> {
    kept::refuse_existing(worker, Kept::Secret(kind), object_id)?;
    let mut template = template(object_id, kind, usage);
    if kind.is_aes() {
        let bytes = u64::try_from(kind.value_bytes()).map_err(|_| Error::SecretLength)?;
        template.insert(0, Attribute::ValueLen(bytes.into()));
    }
    let made_by = kind.made_by().plain();
    let key = worker.session().generate_key(&made_by, &template)?;
    admit(worker, object_id, kind, usage, key)
}

fn import(
    worker: &WorkerSession,
    object_id: [u8; 16],
    kind: SecretKind,
    usage: SecretUse,
    value: &Secret<Vec<u8>>,
) -> Result<(), Error> {
    kept::refuse_existing(worker, Kept::Secret(kind), object_id)?;
    let mut template_of_it = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind.key_type()),
    ];
    template_of_it.extend(template(object_id, kind, usage));
    let key = carrier::bring(worker, value, &template_of_it)?;
    admit(worker, object_id, kind, usage, key)
}

fn cmac(
    worker: &WorkerSession,
    object_id: [u8; 16],
    kind: SecretKind,
    messages: &[Vec<u8>],
) -> Result<Vec<Secret<Vec<u8>>>, Error> {
    let key = kept::handle(worker, Kept::Secret(kind), object_id)?;
    let mechanism = SecretUse::Cmac.mechanism(kind).raw();
    let mut macs = Vec::with_capacity(messages.len());
    for message in messages {
        let mut mac = Secret::new(vec![0; kind.block_bytes()]);
        let calls = &worker.loaded().calls;
        let out = mac.expose_secret_mut();
        calls.sign_into(worker.session(), key, mechanism, message, out)?;
        macs.push(mac);
    }
    Ok(macs)
}

fn ecb(
    worker: &WorkerSession,
    object_id: [u8; 16],
    kind: SecretKind,
    direction: Direction,
    data: &Secret<Vec<u8>>,
) -> Result<Secret<Vec<u8>>, Error> {
    let key = kept::handle(worker, Kept::Secret(kind), object_id)?;
    let mechanism = SecretUse::Ecb.mechanism(kind).raw();
    let input = data.expose_secret();
    let mut output = Secret::new(vec![0; input.len()]);
    let calls = &worker.loaded().calls;
    let out = output.expose_secret_mut();
    calls.cipher(worker.session(), key, mechanism, direction, input, out)?;
    Ok(output)
}

/// The fixed safe template: one use, ever.
fn template(object_id: [u8; 16], kind: SecretKind, usage: SecretUse) -> Vec<Attribute> {
    let ecb = usage == SecretUse::Ecb;
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Encrypt(ecb),
        Attribute::Decrypt(ecb),
        Attribute::Sign(usage == SecretUse::Cmac),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(Kept::Secret(kind).label()),
        Attribute::Id(object_id.to_vec()),
        Attribute::AllowedMechanisms(vec![usage.mechanism(kind).as_type()]),
        // Last: see `rsa`.
        Attribute::Modifiable(false),
    ]
}

/// A key that is not safe does not stay.
fn admit(
    worker: &WorkerSession,
    object_id: [u8; 16],
    kind: SecretKind,
    usage: SecretUse,
    key: ObjectHandle,
) -> Result<(), Error> {
    if let Err(error) = inspect(worker, kind, usage, key) {
        worker.session().destroy_object(key)?;
        return Err(error);
    }
    worker.cache(Kept::Secret(kind), object_id, key);
    Ok(())
}

fn inspect(
    worker: &WorkerSession,
    kind: SecretKind,
    usage: SecretUse,
    key: ObjectHandle,
) -> Result<(), Error> {
    let ecb = usage == SecretUse::Ecb;
    let wanted = [
        ("CKA_PRIVATE", AttributeType::Private, true),
        ("CKA_SENSITIVE", AttributeType::Sensitive, true),
        ("CKA_EXTRACTABLE", AttributeType::Extractable, false),
        ("CKA_MODIFIABLE", AttributeType::Modifiable, false),
        ("CKA_COPYABLE", AttributeType::Copyable, false),
        ("CKA_ENCRYPT", AttributeType::Encrypt, ecb),
        ("CKA_DECRYPT", AttributeType::Decrypt, ecb),
        ("CKA_SIGN", AttributeType::Sign, !ecb),
        ("CKA_VERIFY", AttributeType::Verify, false),
        ("CKA_WRAP", AttributeType::Wrap, false),
        ("CKA_UNWRAP", AttributeType::Unwrap, false),
        ("CKA_DERIVE", AttributeType::Derive, false),
    ];
    object::require(worker.session(), key, &wanted)?;
    let calls = &worker.loaded().calls;
    let allowed = calls.allowed_mechanisms(worker.session(), key)?;
    if allowed != [usage.mechanism(kind).raw()] {
        return Err(Error::KeyUnsafe("CKA_ALLOWED_MECHANISMS"));
    }
    Ok(())
}
