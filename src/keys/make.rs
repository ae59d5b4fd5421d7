//! Making a key: its value from the token's generator (or as given), its header, its seal. What
//! comes out is a record that nobody has stored yet.
//!
//! RSA key pairs are made in the token and stay there, and so do SM2 key pairs that are to live there; all
//! other values pass through this process on their way into the seal, and are wiped.

mod sm2;

use std::time::Instant;

use crate::domain::check_value::Method;
use crate::domain::mac::cmac;
use crate::domain::rsa;
use crate::domain::sm2::PrivateKey;
use crate::failpoint;
use crate::hsm::{self, Direction, SecretKind, SecretUse};
use crate::keys::act::now;
use crate::keys::attributes::{Algorithm, Origin, Residence, State, Usage};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::intent::Intent;
use crate::keys::key_ref::KeyName;
use crate::keys::material;
use crate::keys::partner::PartnersKey;
use crate::keys::reconcile;
use crate::keys::record::{Header, KeyCheckValue, Labels};
use crate::keys::seal::{Content, Custodian};
use crate::keys::spec::KeySpec;
use crate::limits;
use crate::secret::Secret;
use crate::store::{RecordId, StoredRecord};

/// Makes keys of one tenant.
pub(in crate::keys) struct Maker<'a> {
    pub(in crate::keys) catalogue: &'a Catalogue,
    pub(in crate::keys) tenant: &'a KeyName,
    pub(in crate::keys) birth: Birth,
}

/// What a header says of how a version came to be, besides its attributes and its value.
#[derive(Clone, Debug)]
pub(in crate::keys) struct Birth {
    pub(in crate::keys) version: u32,
    pub(in crate::keys) state: State,
    pub(in crate::keys) activates: Option<u64>,
    pub(in crate::keys) expiry: Option<u64>,
    pub(in crate::keys) custodians: Vec<KeyName>,
    pub(in crate::keys) parent: Option<KeyName>,
    pub(in crate::keys) legacy: bool,
    pub(in crate::keys) optional_blocks: Option<Vec<u8>>,
    pub(in crate::keys) labels: Labels,
}

impl Default for Birth {
    /// Version 1, active, of no particular origin.
    fn default() -> Self {
        Self {
            version: 1,
            state: State::Active,
            activates: None,
            expiry: None,
            custodians: Vec::new(),
            parent: None,
            legacy: false,
            optional_blocks: None,
            labels: Labels::default(),
        }
    }
}

/// A key that is made but not stored.
pub(in crate::keys) struct Made {
    pub(in crate::keys) header: Header,
    pub(in crate::keys) record: StoredRecord,
}

/// A value that was given, checked already.
pub(in crate::keys) enum Given {
    /// A symmetric key that was admitted, and where it came from.
    Value(Secret<Vec<u8>>, Origin),
    /// An SM2 private key.
    Sm2(PrivateKey),
    /// An RSA private key: PKCS #8, DER.
    Rsa(Secret<Vec<u8>>),
    /// A partner's public key.
    Public(PartnersKey),
}

/// What of a header depends on the value.
#[derive(Default)]
struct Facts {
    check_value: Option<KeyCheckValue>,
    public_key: Option<Vec<u8>>,
    token_object: Option<[u8; 16]>,
}

impl Maker<'_> {
    /// Makes a version of a key with a fresh value.
    pub(in crate::keys) async fn generate(&self, spec: &KeySpec) -> Result<Made, Error> {
        let origin = Origin::Generated;
        if spec.residence == Residence::Public {
            return Err(Error::PartnersKey {
                name: spec.name.to_string(),
            });
        }
        match (spec.algorithm, spec.algorithm.rsa_bits()) {
            (_, Some(bits)) => self.generate_rsa(spec, bits).await,
            (Algorithm::Sm2, _) => self.generate_sm2(spec).await,
            (algorithm, _) => match resident(spec) {
                Some(resident) => {
                    let object_id = self.intend(spec).await?;
                    let token = self.home()?;
                    let (kind, used) = resident;
                    token
                        .generate_secret(deadline(), object_id, kind, used)
                        .await?;
                    self.secret_record(spec, origin, object_id, resident).await
                }
                None => {
                    let value = self.draw(algorithm).await?;
                    self.value_record(spec, origin, value).await
                }
            },
        }
    }

    /// Makes a version of a key with a given value.
    pub(in crate::keys) async fn keep(&self, spec: &KeySpec, given: Given) -> Result<Made, Error> {
        match given {
            Given::Value(value, origin) => match resident(spec) {
                Some(resident) => {
                    let object_id = self.intend(spec).await?;
                    let token = self.home()?;
                    let (kind, used) = resident;
                    token
                        .import_secret(deadline(), object_id, kind, used, value)
                        .await?;
                    self.secret_record(spec, origin, object_id, resident).await
                }
                None => self.value_record(spec, origin, value).await,
            },
            Given::Public(key) => {
                let facts = Facts {
                    public_key: Some(key.info),
                    ..Facts::default()
                };
                self.made(spec, Origin::PublicKey, facts, &Content::Public)
                    .await
            }
            Given::Sm2(key) => self.sm2_record(spec, Origin::ImportedPkcs8, &key).await,
            Given::Rsa(pkcs8) => {
                let (token, origin) = (self.home()?, Origin::ImportedPkcs8);
                if spec.residence == Residence::TokenWrapped {
                    let brought = token.import_wrapped_rsa(deadline(), pkcs8).await?;
                    return self.wrapped_record(spec, origin, brought).await;
                }
                let object_id = self.intend(spec).await?;
                let public = match spec.policy.encryption {
                    None => token.import_rsa(deadline(), object_id, pkcs8).await?,
                    Some(_) => token.import_field_rsa(deadline(), object_id, pkcs8).await?,
                };
                self.rsa_record(spec, origin, object_id, &public).await
            }
        }
    }

    /// An RSA key pair: for signatures, in the token or wrapped; or one under which keys come in.
    async fn generate_rsa(&self, spec: &KeySpec, bits: u32) -> Result<Made, Error> {
        let (token, origin) = (self.home()?, Origin::Generated);
        if spec.residence == Residence::TokenWrapped {
            let made = token.generate_wrapped_rsa(deadline(), bits).await?;
            return self.wrapped_record(spec, origin, made).await;
        }
        let object_id = self.intend(spec).await?;
        if spec.usage == Usage::KeyTransport {
            // The token has tried it: what went in under the public half came out.
            let public = token
                .generate_transport_rsa(deadline(), object_id, bits)
                .await?;
            return self.transport_record(spec, object_id, &public).await;
        }
        let public = match spec.policy.encryption {
            None => token.generate_rsa(deadline(), object_id, bits).await?,
            Some(_) => {
                token
                    .generate_field_rsa(deadline(), object_id, bits)
                    .await?
            }
        };
        self.rsa_record(spec, origin, object_id, &public).await
    }

    async fn transport_record(
        &self,
        spec: &KeySpec,
        object_id: [u8; 16],
        public: &hsm::RsaPublic,
    ) -> Result<Made, Error> {
        failpoint::hit("make.after-object");
        let made = match rsa::PublicKey::new(&public.n, &public.e) {
            Ok(key) => {
                let facts = Facts {
                    public_key: Some(key.to_spki()),
                    token_object: Some(object_id),
                    ..Facts::default()
                };
                self.made_in_token(spec, Origin::Generated, facts, object_id)
                    .await
            }
            Err(_) => Err(Error::KeyPairMismatch),
        };
        if made.is_err() {
            self.take_back(object_id).await;
        }
        made
    }

    /// A wrapped pair leaves nothing in the token. One signature shows that the halves belong
    /// together.
    async fn wrapped_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        (public, wrapped): (hsm::RsaPublic, hsm::Wrapped),
    ) -> Result<Made, Error> {
        let key = rsa::PublicKey::new(&public.n, &public.e).map_err(|_| Error::KeyPairMismatch)?;
        let (token, hash) = (self.home()?, hsm::RsaHash::Sha256);
        let message = PAIR_PROOF.to_vec();
        let signed = token
            .sign_wrapped_rsa(deadline(), wrapped.clone(), hash, message)
            .await?;
        rsa::verify(&key, rsa::Hash::Sha256, PAIR_PROOF, &signed)
            .map_err(|_| Error::KeyPairMismatch)?;
        let facts = Facts {
            public_key: Some(key.to_spki()),
            ..Facts::default()
        };
        let content = Content::Wrapped(token.id(), wrapped.as_bytes().to_vec());
        self.made(spec, origin, facts, &content).await
    }

    /// Destroys what keys that will not be stored have left in the token. A failure leaves an
    /// object that no record names.
    pub(in crate::keys) async fn undo(&self, made: &[Made]) {
        for object_id in made.iter().filter_map(|made| made.header.token_object) {
            self.take_back(object_id).await;
        }
    }

    async fn take_back(&self, object_id: [u8; 16]) {
        if let Err(error) = reconcile::resolve_one(self.catalogue, object_id).await {
            let object = hex::encode(object_id);
            tracing::warn!(object, %error, "an unfinished key stays until the next change");
        }
    }

    /// The token that keys are made in which stay in one.
    fn home(&self) -> Result<&hsm::Token, Error> {
        self.custodian().fleet().first()
    }

    fn custodian(&self) -> &Custodian {
        self.catalogue.custodian()
    }

    /// The record of a symmetric key that is in the token. Its check value is the token's own.
    async fn secret_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        object_id: [u8; 16],
        resident: (SecretKind, SecretUse),
    ) -> Result<Made, Error> {
        failpoint::hit("make.after-object");
        let made = match self.resident_check_value(object_id, resident).await {
            Ok(check_value) => {
                let facts = Facts {
                    check_value: Some(check_value),
                    token_object: Some(object_id),
                    ..Facts::default()
                };
                self.made_in_token(spec, origin, facts, object_id).await
            }
            Err(error) => Err(error),
        };
        if made.is_err() {
            self.take_back(object_id).await;
        }
        made
    }

    /// The record of a symmetric key that somebody else put into the token, if it is as safe as one
    /// that is made here. The object stays where it is not.
    pub(in crate::keys) async fn adopt(
        &self,
        spec: &KeySpec,
        origin: Origin,
        object_id: [u8; 16],
    ) -> Result<Made, Error> {
        let resident = resident(spec).ok_or(Error::UnknownKey)?;
        let (kind, used) = resident;
        let token = self.home()?;
        token
            .check_secret(deadline(), object_id, kind, used)
            .await?;
        let facts = Facts {
            check_value: Some(self.resident_check_value(object_id, resident).await?),
            token_object: Some(object_id),
            ..Facts::default()
        };
        self.made_in_token(spec, origin, facts, object_id).await
    }

    /// By CMAC under AES, and where that is all the key can do (X9.24-1:2017, annex A); by the zero
    /// block else.
    async fn resident_check_value(
        &self,
        object_id: [u8; 16],
        (kind, used): (SecretKind, SecretUse),
    ) -> Result<KeyCheckValue, Error> {
        let token = self.home()?;
        let zero = vec![0; kind.block_bytes()];
        let (whole, method) = match used {
            SecretUse::Cmac => {
                let mut macs = token.cmac(deadline(), object_id, kind, vec![zero]).await?;
                let method = match kind.block_bytes() {
                    16 => Method::AesCmac,
                    _ => Method::TdesCmac,
                };
                (macs.pop().ok_or(Error::RandomRefused)?, method)
            }
            SecretUse::Ecb => {
                let encrypt = |block| {
                    let (block, way) = (Secret::new(block), Direction::Encrypt);
                    token.ecb(deadline(), object_id, kind, way, block)
                };
                let block = encrypt(zero).await?;
                match block.expose_secret().as_slice().try_into() {
                    // AES check values are CMACs, which two encryptions make of a zero block.
                    Ok(block) if kind.block_bytes() == 16 => {
                        let input = cmac::of_zero_block::<16>(block);
                        (encrypt(input.to_vec()).await?, Method::AesCmac)
                    }
                    _ => (block, Method::TdesZero),
                }
            }
        };
        Ok(KeyCheckValue {
            method,
            bytes: whole.expose_secret()[..method.length()].to_vec(),
        })
    }

    async fn value_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        value: Secret<Vec<u8>>,
    ) -> Result<Made, Error> {
        let check_value = material::check_value(spec.algorithm, value.expose_secret());
        let facts = Facts {
            check_value,
            ..Facts::default()
        };
        self.made(spec, origin, facts, &Content::Value(value)).await
    }

    async fn rsa_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        object_id: [u8; 16],
        public: &hsm::RsaPublic,
    ) -> Result<Made, Error> {
        failpoint::hit("make.after-object");
        let made = match self.pair(object_id, public).await {
            Ok(key) => {
                let facts = Facts {
                    public_key: Some(key.to_spki()),
                    token_object: Some(object_id),
                    ..Facts::default()
                };
                self.made_in_token(spec, origin, facts, object_id).await
            }
            Err(error) => Err(error),
        };
        if made.is_err() {
            self.take_back(object_id).await;
        }
        made
    }

    /// The public half of an object in the token, shown by one signature to be its own.
    async fn pair(
        &self,
        object_id: [u8; 16],
        public: &hsm::RsaPublic,
    ) -> Result<rsa::PublicKey, Error> {
        let key = rsa::PublicKey::new(&public.n, &public.e).map_err(|_| Error::KeyPairMismatch)?;
        let message = object_id.to_vec();
        let token = self.home()?;
        let signed = token
            .sign_rsa(deadline(), object_id, hsm::RsaHash::Sha256, message)
            .await?;
        rsa::verify(&key, rsa::Hash::Sha256, &object_id, &signed)
            .map_err(|_| Error::KeyPairMismatch)?;
        Ok(key)
    }

    async fn made_in_token(
        &self,
        spec: &KeySpec,
        origin: Origin,
        facts: Facts,
        object_id: [u8; 16],
    ) -> Result<Made, Error> {
        let content = Content::TokenObject(self.home()?.id(), object_id);
        self.made(spec, origin, facts, &content).await
    }

    async fn made(
        &self,
        spec: &KeySpec,
        origin: Origin,
        facts: Facts,
        content: &Content,
    ) -> Result<Made, Error> {
        let header = self.header(spec, origin, facts);
        failpoint::hit("make.before-seal");
        let record = self.custodian().seal(deadline(), &header, content).await?;
        failpoint::hit("make.after-seal");
        Ok(Made { header, record })
    }

    fn header(&self, spec: &KeySpec, origin: Origin, facts: Facts) -> Header {
        Header {
            environment: self.custodian().environment(),
            tenant: self.tenant.clone(),
            name: spec.name.clone(),
            version: self.birth.version,
            usage: spec.usage,
            mode: spec.mode,
            side: spec.side,
            algorithm: spec.algorithm,
            exportability: spec.exportability,
            residence: spec.residence,
            origin,
            state: self.birth.state,
            state_epoch: 0,
            created: now(),
            expiry: self.birth.expiry,
            check_value: facts.check_value,
            public_key: facts.public_key,
            token_object: facts.token_object,
            policy: spec.policy.clone(),
            activates: self.birth.activates,
            destroys: None,
            custodians: self.birth.custodians.clone(),
            parent: self.birth.parent.clone(),
            legacy: self.birth.legacy,
            optional_blocks: self.birth.optional_blocks.clone(),
            labels: self.birth.labels.clone(),
        }
    }

    /// A symmetric value that may be a key; one that may not is drawn again.
    pub(in crate::keys) async fn draw(
        &self,
        algorithm: Algorithm,
    ) -> Result<Secret<Vec<u8>>, Error> {
        let length = algorithm.key_bytes().ok_or(Error::RandomRefused)?;
        for _ in 0..limits::KEY_DRAWS_MAX {
            let mut value = self.random(length).await?;
            if material::admit(algorithm, value.expose_secret_mut()).is_ok() {
                return Ok(value);
            }
        }
        Err(Error::RandomRefused)
    }

    /// The id of an object that may now be made.
    async fn intend(&self, spec: &KeySpec) -> Result<[u8; 16], Error> {
        let random = self.random(16).await?;
        let object_id = random.expose_secret().as_slice().try_into();
        let intent = Intent {
            token: self.home()?.id(),
            object_id: object_id.map_err(|_| Error::RandomRefused)?,
            usage: spec.usage,
            algorithm: spec.algorithm,
            record: RecordId {
                tenant: self.tenant.to_string(),
                name: spec.name.to_string(),
                version: self.birth.version,
            },
        };
        intent.write(self.catalogue).await?;
        Ok(intent.object_id)
    }

    async fn random(&self, length: usize) -> Result<Secret<Vec<u8>>, Error> {
        let fleet = self.custodian().fleet();
        let bytes = Secret::new(fleet.random(deadline(), length).await?);
        // A generator that answers short, or nothing but zeros, is broken.
        let broken = bytes.expose_secret().len() != length
            || bytes.expose_secret().iter().all(|byte| *byte == 0);
        if broken {
            Err(Error::RandomRefused)
        } else {
            Ok(bytes)
        }
    }
}

/// Destroys a key object of the token.
pub(in crate::keys) async fn destroy_object(
    token: &hsm::Token,
    object_id: [u8; 16],
    (usage, algorithm): (Usage, Algorithm),
) -> Result<(), hsm::Error> {
    match (secret_kind(algorithm), usage) {
        (Some(kind), _) => token.destroy_secret(deadline(), object_id, kind).await,
        (None, Usage::KeyTransport) => token.destroy_transport_rsa(deadline(), object_id).await,
        (None, _) if algorithm == Algorithm::Sm2 => token.destroy_sm2(deadline(), object_id).await,
        (None, _) => token.destroy_rsa(deadline(), object_id).await,
    }
}

/// How a symmetric key lives in the token; none where it does not.
pub(in crate::keys) fn resident(spec: &KeySpec) -> Option<(SecretKind, SecretUse)> {
    if spec.residence != Residence::Token {
        return None;
    }
    let used = match spec.usage {
        Usage::KeyBlockProtection => SecretUse::Cmac,
        _ => SecretUse::Ecb,
    };
    Some((secret_kind(spec.algorithm)?, used))
}

/// The token's word for an algorithm; none where it is no symmetric one that tokens have.
pub(in crate::keys) const fn secret_kind(algorithm: Algorithm) -> Option<SecretKind> {
    match algorithm {
        Algorithm::Tdes2 => Some(SecretKind::Tdes2),
        Algorithm::Tdes3 => Some(SecretKind::Tdes3),
        Algorithm::Aes128 => Some(SecretKind::Aes128),
        Algorithm::Aes192 => Some(SecretKind::Aes192),
        Algorithm::Aes256 => Some(SecretKind::Aes256),
        Algorithm::Sm4
        | Algorithm::Des
        | Algorithm::HmacSha1
        | Algorithm::HmacSha224
        | Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::HmacSm3
        | Algorithm::Rsa2048
        | Algorithm::Rsa3072
        | Algorithm::Rsa4096
        | Algorithm::Sm2 => None,
    }
}

/// Each token call of a command gets this long.
pub(in crate::keys) fn deadline() -> Instant {
    Instant::now() + limits::COMMAND_TOKEN_WAIT
}

/// What a wrapped key signs once, to show that it belongs to its public half.
const PAIR_PROOF: &[u8] = b"pintle key pair";
