//! Base derivation keys that are open, the initial keys that they have derived, and the keys of one
//! transaction (DUKPT; `domain::dukpt`).
//!
//! A base key in the token encrypts there what an initial key is made of; one in this process does it
//! here. Initial keys are remembered with their base key, in locked memory, and go with it when it is
//! evicted. Keys of a transaction live for one call. **Which of them a call gets is decided by its
//! operation alone** (`keys::grant`): a request has no word for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use crate::domain::cipher::PinCipher;
use crate::domain::dukpt::{
    InitialKey, KeyType, Ksn, KsnError, Purpose, TransactionKey, aes, tdes,
};
use crate::domain::mac::{MacKey, Scheme};
use crate::hsm::{Direction, SecretKind};
use crate::keys::attributes::Algorithm;
use crate::keys::cache::Cache;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::grant::OperationKind;
use crate::keys::key_policy::DukptPolicy;
use crate::keys::make::secret_kind;
use crate::keys::material::MaterialError;
use crate::keys::record::Header;
use crate::keys::resident::Resident;
use crate::limits;
use crate::secret::{Locked, Secret, SlabFull};
use crate::store::change::KsnNote;

/// What is wrong with a KSN, or with its absence. All of it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KsnFault {
    /// The caller's: a base key without a KSN is no key of anything.
    #[error("a base derivation key is used with a KSN only")]
    Missing,
    /// The caller's: the key derives nothing.
    #[error("a KSN goes with base derivation keys only")]
    Superfluous,
    /// The caller's: not the KSN of any transaction.
    #[error(transparent)]
    Refused(#[from] KsnError),
    /// The caller's, or an attacker's: it came before, or is too old to tell.
    #[error("the KSN came before")]
    Replayed,
    /// Ours: an operation did not note the KSN of a key whose policy asks for it.
    #[error("the KSN was not noted")]
    NotNoted,
}

impl From<KsnError> for Error {
    fn from(error: KsnError) -> Self {
        KsnFault::Refused(error).into()
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) enum Way {
    /// From the device to us.
    Request,
    /// From us to the device.
    Response,
}

/// A base derivation key that is open.
pub(in crate::keys) struct Base {
    source: Source,
    initial_keys: Cache<Locked<InitialKey>>,
}

enum Source {
    Tdes(Locked<tdes::BaseKey>),
    Aes(Locked<aes::BaseKey>),
    Token {
        key: Resident,
        kind: SecretKind,
        size: aes::Size,
    },
}

impl Base {
    /// A base key in this process.
    pub(in crate::keys) fn of_value(
        algorithm: Algorithm,
        value: &[u8],
    ) -> Result<Self, MaterialError> {
        let full = |SlabFull| MaterialError::SlabFull;
        let source = match algorithm {
            Algorithm::Tdes2 => {
                let key = tdes::BaseKey::new(value).map_err(|_| MaterialError::Mismatch)?;
                Source::Tdes(Locked::new(key).map_err(full)?)
            }
            _ => {
                size(algorithm).ok_or(MaterialError::Mismatch)?;
                let key = aes::BaseKey::new(value).map_err(|_| MaterialError::Mismatch)?;
                Source::Aes(Locked::new(key).map_err(full)?)
            }
        };
        Ok(Self::of(source))
    }

    /// A base key in its token; none of an algorithm that does not live there.
    pub(in crate::keys) fn resident(algorithm: Algorithm, key: Resident) -> Option<Self> {
        Some(Self::of(Source::Token {
            key,
            kind: secret_kind(algorithm)?,
            size: size(algorithm)?,
        }))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            initial_keys: Cache::new(limits::DUKPT_INITIAL_KEYS_MAX),
        }
    }

    /// The key of one transaction: the device's initial key as remembered, or derived anew.
    pub(in crate::keys) async fn transaction_key(
        &self,
        catalogue: &Catalogue,
        ksn: &Ksn,
        deadline: Instant,
    ) -> Result<Locked<TransactionKey>, Error> {
        let mut name = [0; 16];
        let name = device_name(ksn, &mut name);
        let known = self.initial_keys.find("", name, Some(VERSION));
        let initial = match known {
            Some(initial) => initial,
            None => {
                let epoch = self.initial_keys.epoch();
                let derived = self.derive(ksn, deadline).await?;
                let derived = Arc::new(self.lock(catalogue, derived)?);
                let place = ("", name, VERSION);
                self.initial_keys.insert(epoch, place, false, &derived);
                derived
            }
        };
        let key = initial.expose_secret().transaction_key(ksn);
        // The algorithm of both is the base key's.
        self.lock(catalogue, key.ok_or(KsnError::Length)?)
    }

    async fn derive(&self, ksn: &Ksn, deadline: Instant) -> Result<InitialKey, Error> {
        match (&self.source, ksn) {
            (Source::Tdes(base), Ksn::Tdes(ksn)) => {
                Ok(InitialKey::Tdes(base.expose_secret().initial_key(ksn.id())))
            }
            (Source::Aes(base), Ksn::Aes(ksn)) => {
                Ok(InitialKey::Aes(base.expose_secret().initial_key(ksn.id())))
            }
            (Source::Token { key, kind, size }, Ksn::Aes(ksn)) => {
                let blocks = aes::initial_key_blocks(*size, ksn.id());
                let blocks = Secret::new(blocks.as_flattened().to_vec());
                let (token, object_id) = (key.token(), key.object_id());
                let encrypted = token
                    .ecb(deadline, object_id, *kind, Direction::Encrypt, blocks)
                    .await?;
                let encrypted = encrypted.expose_secret();
                Ok(InitialKey::Aes(aes::InitialKey::of_blocks(
                    *size,
                    encrypted,
                    ksn.id(),
                )))
            }
            (Source::Tdes(_), Ksn::Aes(_))
            | (Source::Aes(_) | Source::Token { .. }, Ksn::Tdes(_)) => Err(KsnError::Length.into()),
        }
    }

    /// Moves a key into locked memory, for which open keys and remembered ones make room.
    fn lock<T: Send + Sync>(&self, catalogue: &Catalogue, value: T) -> Result<Locked<T>, Error> {
        if !has_room::<T>() {
            self.initial_keys.make_room();
            catalogue.make_room();
        }
        Locked::new(value).map_err(|SlabFull| Error::SlabFull)
    }
}

/// What one transaction of one device derives, for one call.
pub(in crate::keys) struct Transaction {
    key: Locked<TransactionKey>,
    policy: DukptPolicy,
    catalogue: Catalogue,
    /// Of which transaction, where the policy asks whether it came before.
    mark: Option<Mark>,
    /// One bit per operation that noted it.
    noted: AtomicU32,
    /// A key was not derived for want of locked memory.
    is_full: AtomicBool,
}

struct Mark {
    tenant: String,
    base: String,
    ksn: Ksn,
    window: u32,
}

impl Transaction {
    pub(in crate::keys) fn new(
        catalogue: &Catalogue,
        (header, in_block): (&Header, bool),
        key: Locked<TransactionKey>,
        ksn: Ksn,
    ) -> Self {
        let policy = header.policy.dukpt.unwrap_or_default();
        let mark = policy.replay_window.map(|window| Mark {
            tenant: header.tenant.to_string(),
            base: base_name(header, in_block),
            ksn,
            window,
        });
        Self {
            key,
            policy,
            catalogue: catalogue.clone(),
            mark,
            noted: AtomicU32::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// The cipher of PIN blocks; none where the base key's policy names none.
    pub(in crate::keys) fn pin_cipher(&self) -> Option<Arc<Locked<PinCipher>>> {
        self.cipher(Purpose::Pin, self.policy.pin_key)
    }

    /// The cipher of data that goes this way; none where the base key's policy names none.
    pub(in crate::keys) fn data_cipher(&self, way: Way) -> Option<Arc<Locked<PinCipher>>> {
        let purpose = match (self.policy.both_ways, way) {
            (true, _) => Purpose::DataBothWays,
            (false, Way::Request) => Purpose::DataRequest,
            (false, Way::Response) => Purpose::DataResponse,
        };
        self.cipher(purpose, self.policy.data_key)
    }

    /// The key of MACs that go this way; none where the base key's policy names none.
    pub(in crate::keys) fn mac_key(&self, way: Way, scheme: Scheme) -> Option<Arc<Locked<MacKey>>> {
        let purpose = match (self.policy.both_ways, way) {
            (true, _) => Purpose::MacBothWays,
            (false, Way::Request) => Purpose::MacRequest,
            (false, Way::Response) => Purpose::MacResponse,
        };
        let key = self.key.expose_secret();
        let derived = key.working_key(purpose, self.policy.mac_key?)?;
        let key = MacKey::new(scheme, derived.expose_secret()).ok()?;
        self.lock(key)
    }

    /// Whether a key was not derived for want of locked memory.
    pub(in crate::keys) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Whether the operation may use the transaction: the policy does not ask, or it was noted.
    pub(in crate::keys) fn is_noted(&self, operation: OperationKind) -> bool {
        self.mark.is_none() || self.noted.load(Ordering::Acquire) & bit(operation) != 0
    }

    /// Notes in the store that the transaction was used for an operation, where the policy asks.
    ///
    /// # Errors
    /// [`KsnFault::Replayed`] where it was before; or what the store answered.
    pub(in crate::keys) async fn note(
        &self,
        operation: OperationKind,
        deadline: Instant,
    ) -> Result<(), Error> {
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        let code = NOTED.iter().find(|(kind, _)| *kind == operation);
        // What is not listed is granted on no derived key.
        let Some((_, code)) = code else {
            return Ok(());
        };
        let note = KsnNote {
            tenant: mark.tenant.clone(),
            base: mark.base.clone(),
            device: mark.ksn.device(),
            operation: *code,
            counter: mark.ksn.counter(),
            window: mark.window,
        };
        if !self.catalogue.store().note_ksn(deadline, note).await? {
            return Err(KsnFault::Replayed.into());
        }
        self.noted.fetch_or(bit(operation), Ordering::Release);
        Ok(())
    }

    fn cipher(&self, purpose: Purpose, key: Option<KeyType>) -> Option<Arc<Locked<PinCipher>>> {
        let derived = self.key.expose_secret().working_key(purpose, key?)?;
        let cipher = PinCipher::new(key?.block_algorithm()?, derived.expose_secret()).ok()?;
        self.lock(cipher)
    }

    fn lock<T: Send + Sync>(&self, value: T) -> Option<Arc<Locked<T>>> {
        if !has_room::<T>() {
            self.catalogue.make_room();
        }
        let locked = Locked::new(value).ok();
        if locked.is_none() {
            self.is_full.store(true, Ordering::Relaxed);
        }
        locked.map(Arc::new)
    }
}

/// What a base key is called where KSNs are noted: its name and version, and in a block, which has
/// neither, the protection key's and the check value.
fn base_name(header: &Header, in_block: bool) -> String {
    let (name, version) = (&header.name, header.version);
    match (&header.check_value, in_block) {
        (Some(value), true) => format!("{name}/{version}/{}", hex::encode(&value.bytes)),
        _ => format!("{name}/{version}"),
    }
}

/// The device in hexadecimal.
fn device_name<'a>(ksn: &Ksn, name: &'a mut [u8; 16]) -> &'a str {
    let written = hex::encode_to_slice(ksn.device(), name);
    let text = written.ok().and_then(|()| std::str::from_utf8(name).ok());
    text.unwrap_or_default()
}

fn has_room<T>() -> bool {
    crate::secret::slab().room_for::<T>() > 0
}

const fn size(algorithm: Algorithm) -> Option<aes::Size> {
    match algorithm {
        Algorithm::Aes128 => Some(aes::Size::Aes128),
        Algorithm::Aes192 => Some(aes::Size::Aes192),
        Algorithm::Aes256 => Some(aes::Size::Aes256),
        _ => None,
    }
}

const fn bit(operation: OperationKind) -> u32 {
    1 << operation as u32
}

/// The operations on derived keys, and their codes in the store.
const NOTED: &[(OperationKind, u8)] = &[
    (OperationKind::DecryptPin, 1),
    (OperationKind::EncryptPin, 2),
    (OperationKind::GenerateMac, 3),
    (OperationKind::VerifyMac, 4),
    (OperationKind::DecryptData, 5),
    (OperationKind::EncryptData, 6),
    (OperationKind::DecryptPinToVerify, 7),
];
/// The cache of open keys wants one.
const VERSION: u32 = 1;
