//! Keys of the vectors, imported as test values the first time a case asks for one.

use std::collections::HashMap;
use std::sync::Mutex;

use pintle::domain::alipay::SignType;
use pintle::domain::cipher::BlockAlgorithm;
use pintle::domain::mac::{Rule, Scheme};
use pintle::domain::pin_block::Format;
use pintle::domain::sensitive_field::EncryptionScheme;
use pintle::keys::act::Act;
use pintle::keys::attributes::{Algorithm, Exportability, Mode, Side, Usage};
use pintle::keys::key_policy::{KeyPolicy, PinVerification};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::Extras;
use pintle::keys::spec::KeySpec;
use pintle::keys::{exchange, import, partner};
use pintle::secret::Secret;
use pintle::service::pb::v1::KeyRef;

use crate::world::{World, key};

/// The keys imported so far; none for those that were refused.
pub struct Keys {
    world: &'static World,
    imported: Mutex<HashMap<String, Option<String>>>,
}

impl Keys {
    pub fn of(world: &'static World) -> Self {
        Self {
            world,
            imported: Mutex::default(),
        }
    }

    /// A terminal's PIN key; none where this value or length is no key.
    pub async fn pin(&self, format: Format, value: &[u8]) -> Option<KeyRef> {
        let algorithm = match (format.algorithm(), value.len()) {
            (BlockAlgorithm::Aes, 16) => Algorithm::Aes128,
            (BlockAlgorithm::Aes, 24) => Algorithm::Aes192,
            (BlockAlgorithm::Aes, 32) => Algorithm::Aes256,
            (BlockAlgorithm::Sm4, 16) => Algorithm::Sm4,
            (BlockAlgorithm::Tdes, 16) => Algorithm::Tdes2,
            (BlockAlgorithm::Tdes, 24) => Algorithm::Tdes3,
            _ => return None,
        };
        let policy = KeyPolicy {
            pin_inputs: [format].into_iter().collect(),
            weak: format == Format::X98NoPan,
            ..KeyPolicy::default()
        };
        let spec = (
            Usage::PinEncryption,
            Mode::Decrypt,
            Some(Side::Terminal),
            algorithm,
            policy,
        );
        self.value(spec, value).await
    }

    /// A MAC key with this rule; none where this value or length is no key.
    pub async fn mac(&self, rule: Rule, weak: bool, value: &[u8]) -> Option<KeyRef> {
        let (usage, algorithm) = match (rule.scheme, value.len()) {
            (Scheme::Iso9797Alg1Tdes, 16) => (Usage::MacAlgorithm1, Algorithm::Tdes2),
            (Scheme::Iso9797Alg1Tdes, 24) => (Usage::MacAlgorithm1, Algorithm::Tdes3),
            (Scheme::Iso9797Alg1Sm4, 16) => (Usage::MacAlgorithm1, Algorithm::Sm4),
            (Scheme::Iso9797Alg3Des, 16) => (Usage::MacAlgorithm3, Algorithm::Tdes2),
            (Scheme::CmacTdes, 16) => (Usage::MacCmac, Algorithm::Tdes2),
            (Scheme::CmacTdes, 24) => (Usage::MacCmac, Algorithm::Tdes3),
            (Scheme::CmacAes, 16) => (Usage::MacCmac, Algorithm::Aes128),
            (Scheme::CmacAes, 24) => (Usage::MacCmac, Algorithm::Aes192),
            (Scheme::CmacAes, 32) => (Usage::MacCmac, Algorithm::Aes256),
            (Scheme::Iso9797Alg1Des, 8) => (Usage::MacAlgorithm1, Algorithm::Des),
            (Scheme::UnionPayEcbHex8 | Scheme::UnionPayEcbRaw8, 8) => {
                (Usage::MacAlgorithm1, Algorithm::Des)
            }
            (Scheme::UnionPayEcbHex8 | Scheme::UnionPayEcbRaw8, 16) => {
                (Usage::MacAlgorithm1, Algorithm::Tdes2)
            }
            (scheme, 16) if scheme.folds() => (Usage::MacAlgorithm1, Algorithm::Sm4),
            (Scheme::CmacSm4, 16) => (Usage::MacCmac, Algorithm::Sm4),
            (Scheme::HmacSha1, 20) => (Usage::MacHmac, Algorithm::HmacSha1),
            (Scheme::HmacSha224, 28) => (Usage::MacHmac, Algorithm::HmacSha224),
            (Scheme::HmacSha256, 32) => (Usage::MacHmac, Algorithm::HmacSha256),
            (Scheme::HmacSha384, 48) => (Usage::MacHmac, Algorithm::HmacSha384),
            (Scheme::HmacSha512, 64) => (Usage::MacHmac, Algorithm::HmacSha512),
            (Scheme::UnionPayGatewaySha256, 32) => (Usage::MacHmac, Algorithm::HmacSha256),
            (Scheme::HmacSm3, 32) => (Usage::MacHmac, Algorithm::HmacSm3),
            _ => return None,
        };
        let policy = KeyPolicy {
            mac: Some(rule),
            weak,
            ..KeyPolicy::default()
        };
        self.value(
            (usage, Mode::GenerateAndVerify, None, algorithm, policy),
            value,
        )
        .await
    }

    /// A data key with this policy; none where this value is no key.
    pub async fn data(
        &self,
        algorithm: BlockAlgorithm,
        policy: KeyPolicy,
        value: &[u8],
    ) -> Option<KeyRef> {
        let algorithm = match (algorithm, value.len()) {
            (BlockAlgorithm::Tdes, 16) => Algorithm::Tdes2,
            (BlockAlgorithm::Tdes, 24) => Algorithm::Tdes3,
            (BlockAlgorithm::Aes, 16) => Algorithm::Aes128,
            (BlockAlgorithm::Aes, 24) => Algorithm::Aes192,
            (BlockAlgorithm::Aes, 32) => Algorithm::Aes256,
            (BlockAlgorithm::Sm4, 16) => Algorithm::Sm4,
            _ => return None,
        };
        let usage = Usage::DataEncryption;
        let wanted = (usage, Mode::EncryptAndDecrypt, None, algorithm, policy);
        self.value(wanted, value).await
    }

    /// A PIN verification key; none where this value or length is no key.
    pub async fn verification(
        &self,
        (usage, algorithm, rule): (Usage, Algorithm, PinVerification),
        mode: Mode,
        value: &[u8],
    ) -> Option<KeyRef> {
        let policy = KeyPolicy {
            pin_verification: Some(rule),
            ..KeyPolicy::default()
        };
        let wanted = (usage, mode, None, algorithm, policy);
        self.value(wanted, value).await
    }

    /// A base derivation key for an operation's devices; none where this value or length is no key.
    pub async fn base(&self, policy: KeyPolicy, op: &str, value: &[u8]) -> Option<KeyRef> {
        let algorithm = match (op.starts_with("dukpt_tdes"), value.len()) {
            (true, 16) => Algorithm::Tdes2,
            (false, 16) => Algorithm::Aes128,
            (false, 24) => Algorithm::Aes192,
            (false, 32) => Algorithm::Aes256,
            _ => return None,
        };
        let wanted = (Usage::BaseDerivation, Mode::Derive, None, algorithm, policy);
        self.value(wanted, value).await
    }

    /// A signing key from PKCS #8, PEM.
    pub async fn signing(&self, scheme: SignType, pem: &str) -> Result<KeyRef, String> {
        let algorithm = match scheme {
            SignType::Rsa | SignType::Rsa2 => Algorithm::Rsa2048,
            SignType::Sm2 => Algorithm::Sm2,
        };
        let weak = scheme == SignType::Rsa;
        let policy = KeyPolicy {
            signature: Some(scheme),
            weak,
            ..KeyPolicy::default()
        };
        let wanted = (Usage::Signature, Mode::Sign, None, algorithm, policy);
        self.pkcs8(wanted, pem).await
    }

    /// A key that signs and decrypts fields, from PKCS #8, PEM.
    pub async fn fields(&self, scheme: EncryptionScheme, pem: &str) -> Result<KeyRef, String> {
        let (algorithm, signature) = match scheme {
            EncryptionScheme::Sm2 => (Algorithm::Sm2, SignType::Sm2),
            EncryptionScheme::RsaOaepSha1 | EncryptionScheme::RsaPkcs1 => {
                (Algorithm::Rsa2048, SignType::Rsa2)
            }
        };
        let policy = KeyPolicy {
            signature: Some(signature),
            encryption: Some(scheme),
            ..KeyPolicy::default()
        };
        let (usage, mode) = (Usage::Signature, Mode::SignAndDecrypt);
        self.pkcs8((usage, mode, None, algorithm, policy), pem)
            .await
    }

    /// A partner's public key, which verifies.
    pub async fn partner(
        &self,
        scheme: SignType,
        algorithm: Algorithm,
        info: &[u8],
    ) -> Result<KeyRef, String> {
        let policy = KeyPolicy {
            signature: Some(scheme),
            weak: scheme == SignType::Rsa,
            ..KeyPolicy::default()
        };
        let wanted = (Usage::Signature, Mode::Verify, None, algorithm, policy);
        let (identity, spec) = match self.known(&wanted, info) {
            Ok(known) => return known.ok_or_else(|| "the key was refused".to_owned()),
            Err(new) => *new,
        };
        let wanted = exchange::Wanted {
            name: spec.name,
            usage: Some(spec.usage),
            mode: Some(spec.mode),
            side: None,
            algorithm: Some(algorithm),
            exportable: false,
            residence: None,
            policy: spec.policy,
        };
        let (catalogue, act) = (&self.world.context.catalogue, Act::operator());
        let extras = Extras::default();
        let imported = partner::import(catalogue, &tenant(), info, wanted, extras, &act).await;
        self.keep(identity, imported.is_ok());
        imported
            .map(|header| reference(header.name.as_str()))
            .map_err(|error| error.to_string())
    }

    async fn pkcs8(&self, wanted: Wanted, pem: &str) -> Result<KeyRef, String> {
        let (name, spec) = match self.known(&wanted, pem.as_bytes()) {
            Ok(known) => return known.ok_or_else(|| "the key was refused".to_owned()),
            Err(new) => *new,
        };
        let (catalogue, tenant) = (&self.world.context.catalogue, tenant());
        let pem = Secret::new(pem.to_owned());
        let imported = import::import_pkcs8(catalogue, &tenant, spec, &pem).await;
        self.keep(name, imported.is_ok());
        imported
            .map(|header| reference(header.name.as_str()))
            .map_err(|error| error.to_string())
    }

    async fn value(&self, wanted: Wanted, value: &[u8]) -> Option<KeyRef> {
        let (name, spec) = match self.known(&wanted, value) {
            Ok(known) => return known,
            Err(new) => *new,
        };
        let (catalogue, tenant) = (&self.world.context.catalogue, tenant());
        let value = Secret::new(value.to_vec());
        let imported = import::import_test_value(catalogue, &tenant, spec, value).await;
        self.keep(name, imported.is_ok());
        imported.ok().map(|header| reference(header.name.as_str()))
    }

    /// The key, if it was asked for before, or what it will be called and be.
    fn known(
        &self,
        wanted: &Wanted,
        value: &[u8],
    ) -> Result<Option<KeyRef>, Box<(String, KeySpec)>> {
        let (usage, mode, side, algorithm, policy) = wanted.clone();
        let identity = format!(
            "{usage} {mode} {algorithm} {policy:?} {}",
            hex::encode(value)
        );
        let mut imported = self.imported.lock().unwrap();
        if let Some(known) = imported.get(&identity) {
            return Ok(known.as_deref().map(reference));
        }
        let name = format!("v-{}", imported.len());
        let spec = KeySpec {
            name: KeyName::parse(&name).unwrap(),
            usage,
            mode,
            side,
            algorithm,
            exportability: Exportability::NonExportable,
            residence: usage.residence(algorithm),
            policy,
        };
        imported.insert(identity.clone(), Some(name));
        Err(Box::new((identity, spec)))
    }

    fn keep(&self, identity: String, accepted: bool) {
        if !accepted {
            self.imported.lock().unwrap().insert(identity, None);
        }
    }
}

type Wanted = (Usage, Mode, Option<Side>, Algorithm, KeyPolicy);

fn reference(name: &str) -> KeyRef {
    key(name).unwrap()
}

fn tenant() -> KeyName {
    KeyName::parse("default").unwrap()
}
