//! Making a key: its value from the token's generator (or as given), its header, its seal. What
//! comes out is a record that nobody has stored yet.
//!
//! RSA key pairs are made in the token and stay there; all other values pass through this process
//! on their way into the seal, and are wiped.

use std::time::{Instant, SystemTime};

use crate::domain::rsa;
use crate::domain::sm2;
use crate::failpoint;
use crate::hsm;
use crate::keys::attributes::{Algorithm, Origin, State};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::intent::{Intent, ObjectKind};
use crate::keys::key_ref::KeyName;
use crate::keys::material::{self, SM2_BYTES};
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
}

/// A key that is made but not stored.
pub(in crate::keys) struct Made {
    pub(in crate::keys) header: Header,
    pub(in crate::keys) record: StoredRecord,
}

/// A value that was given, checked already.
pub(in crate::keys) enum Given {
    /// A symmetric key that was admitted.
    Value(Secret<Vec<u8>>),
    /// An SM2 private key.
    Sm2(sm2::PrivateKey),
    /// An RSA private key: PKCS #8, DER.
    Rsa(Secret<Vec<u8>>),
}

/// What of a header depends on the value.
#[derive(Default)]
struct Facts {
    check_value: Option<KeyCheckValue>,
    public_key: Option<Vec<u8>>,
    token_object: Option<[u8; 16]>,
}

impl Maker<'_> {
    /// Makes version 1 of a key with a fresh value.
    pub(in crate::keys) async fn generate(&self, spec: &KeySpec) -> Result<Made, Error> {
        let origin = Origin::Generated;
        match (spec.algorithm, spec.algorithm.rsa_bits()) {
            (_, Some(bits)) => {
                let object_id = self.intend(spec).await?;
                let token = self.custodian().token();
                let public = token.generate_rsa(deadline(), object_id, bits).await?;
                failpoint::hit("make.after-object");
                self.rsa_record(spec, origin, object_id, &public).await
            }
            (Algorithm::Sm2, _) => {
                let random = self.random(SM2_RANDOM_BYTES).await?;
                let random = random.expose_secret().as_slice().try_into();
                let random = Secret::new(random.map_err(|_| Error::RandomRefused)?);
                self.sm2_record(
                    spec,
                    origin,
                    &sm2::PrivateKey::from_random(random.expose_secret()),
                )
                .await
            }
            (algorithm, _) => {
                let value = self.draw(algorithm).await?;
                self.value_record(spec, origin, value).await
            }
        }
    }

    /// Makes version 1 of a key with a given value.
    pub(in crate::keys) async fn keep(&self, spec: &KeySpec, given: Given) -> Result<Made, Error> {
        match given {
            Given::Value(value) => self.value_record(spec, Origin::ImportedValue, value).await,
            Given::Sm2(key) => self.sm2_record(spec, Origin::ImportedPkcs8, &key).await,
            Given::Rsa(pkcs8) => {
                let object_id = self.intend(spec).await?;
                let token = self.custodian().token();
                let public = token.import_rsa(deadline(), object_id, pkcs8).await?;
                failpoint::hit("make.after-object");
                self.rsa_record(spec, Origin::ImportedPkcs8, object_id, &public)
                    .await
            }
        }
    }

    /// Takes back what keys that were not stored have left in the token; a key that was stored
    /// after all, by a write that answered too late, stays. What fails here is done by the next who
    /// takes the advisory lock.
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

    fn custodian(&self) -> &Custodian {
        self.catalogue.custodian()
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

    async fn sm2_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        key: &sm2::PrivateKey,
    ) -> Result<Made, Error> {
        let scalar = key.to_bytes();
        let mut value = Vec::with_capacity(SM2_BYTES);
        value.extend_from_slice(scalar.expose_secret());
        let facts = Facts {
            public_key: Some(key.public().to_spki()),
            ..Facts::default()
        };
        self.made(spec, origin, facts, &Content::Value(Secret::new(value)))
            .await
    }

    async fn rsa_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        object_id: [u8; 16],
        public: &hsm::RsaPublic,
    ) -> Result<Made, Error> {
        let made = match self.pair(object_id, public).await {
            Ok(key) => {
                let facts = Facts {
                    public_key: Some(key.to_spki()),
                    token_object: Some(object_id),
                    ..Facts::default()
                };
                self.made(spec, origin, facts, &Content::TokenObject(object_id))
                    .await
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
        let token = self.custodian().token();
        let signed = token
            .sign_rsa(deadline(), object_id, hsm::RsaHash::Sha256, message)
            .await?;
        rsa::verify(&key, rsa::Hash::Sha256, &object_id, &signed)
            .map_err(|_| Error::KeyPairMismatch)?;
        Ok(key)
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
            version: FIRST_VERSION,
            usage: spec.usage,
            mode: spec.mode,
            side: spec.side,
            algorithm: spec.algorithm,
            exportability: spec.exportability,
            residence: spec.residence,
            origin,
            state: State::Active,
            state_epoch: 0,
            created: SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| since.as_secs()),
            expiry: None,
            check_value: facts.check_value,
            public_key: facts.public_key,
            token_object: facts.token_object,
            policy: spec.policy.clone(),
            activates: None,
            destroys: None,
            custodians: Vec::new(),
            parent: None,
            legacy: false,
            optional_blocks: None,
            labels: Labels::default(),
        }
    }

    /// A symmetric value that may be a key; one that may not is drawn again.
    async fn draw(&self, algorithm: Algorithm) -> Result<Secret<Vec<u8>>, Error> {
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
            object_id: object_id.map_err(|_| Error::RandomRefused)?,
            kind: ObjectKind::SigningRsa,
            record: RecordId {
                tenant: self.tenant.to_string(),
                name: spec.name.to_string(),
                version: FIRST_VERSION,
            },
        };
        intent.write(self.catalogue).await?;
        Ok(intent.object_id)
    }

    async fn random(&self, length: usize) -> Result<Secret<Vec<u8>>, Error> {
        let bytes = Secret::new(self.custodian().token().random(deadline(), length).await?);
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

/// Each token call of a command gets this long.
pub(in crate::keys) fn deadline() -> Instant {
    Instant::now() + limits::COMMAND_TOKEN_WAIT
}

/// Later ones come by rotation.
const FIRST_VERSION: u32 = 1;
/// What `sm2::PrivateKey::from_random` wants.
const SM2_RANDOM_BYTES: usize = 48;
