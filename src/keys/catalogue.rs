//! The catalogue: finds a key for a caller, authenticates and opens its record (cache, else one
//! store read and one token call), and forgets what changed elsewhere.
//!
//! A name outside the caller's scope is not looked up at all, so that the answer, and the time it
//! takes, is the same whether the key exists or not. What a found key may be used for is not
//! decided here but in `keys::policy`.

mod block;
mod page;

pub use self::page::Cursor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use crate::hsm::{self, Token};
use crate::keys::attributes::{Environment, Residence, State, Usage};
use crate::keys::cache::Cache;
use crate::keys::error::{Error, Refusal};
use crate::keys::flight::Flights;
use crate::keys::key_ref::NamedKey;
use crate::keys::make::secret_kind;
use crate::keys::material::{self, Material, MaterialError, Protection};
use crate::keys::open_key::OpenKey;
use crate::keys::policy::CallerScope;
use crate::keys::record::Header;
use crate::keys::seal::{Content, Custodian, refusal};
use crate::limits;
use crate::store::{Changed, RecordId, Store, StoredRecord};

/// How a catalogue works.
#[derive(Clone, Copy, Debug)]
pub struct CatalogueOptions {
    /// The one environment whose keys it opens.
    pub environment: Environment,
    /// Whether keys that protect others may live in this process.
    pub allow_process_kek: bool,
    /// Keys open at once; at most [`limits::OPEN_KEYS_MAX`], and as the locked slab allows.
    pub open_keys_max: usize,
    /// Without news of the store for so long, no key is used; at most
    /// [`limits::GENERATION_BLIND_MAX`].
    pub blind_after: Duration,
}

impl CatalogueOptions {
    /// The usual options.
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            allow_process_kek: false,
            open_keys_max: limits::OPEN_KEYS_MAX,
            blind_after: limits::GENERATION_BLIND_MAX,
        }
    }
}

/// The keys of one store that one token can open. Clones share the open keys.
#[derive(Clone)]
pub struct Catalogue {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    custodian: Custodian,
    cache: Cache<OpenKey>,
    flights: Flights<Wanted, Result<Arc<OpenKey>, Error>>,
    allow_process_kek: bool,
    blind_after: Duration,
    opened: Instant,
    /// When the store was last heard of, milliseconds since `opened`.
    heard: AtomicU64,
    /// The generation up to which changes were looked at.
    generation: AtomicU64,
    loads: AtomicU64,
}

/// What one load is for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    tenant: String,
    key: NamedKey,
}

/// How the catalogue stands, for metrics and `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueStats {
    /// Keys open now.
    pub open_keys: usize,
    /// Records opened since the start: each one store read and at least one token call.
    pub loads: u64,
    /// The generation up to which changes are known.
    pub generation: u64,
    /// Since when the store has not been heard of.
    pub silent_for: Duration,
}

/// One record of a listing: its row, and its header if it is authentic.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The row.
    pub id: RecordId,
    /// The authenticated header, or why the record is refused.
    pub header: Result<Header, Error>,
    /// How many tokens can open it: one seal each.
    pub tokens: usize,
}

impl Catalogue {
    /// A catalogue over a store and a token. Without [`Catalogue::spawn_poll`] it goes blind.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] where the store's generation cannot be read.
    pub fn open(store: Store, token: Token, options: CatalogueOptions) -> Result<Self, Error> {
        let opened = Instant::now();
        let generation = store.generation(opened + limits::DEADLINE_MAX).wait()?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                custodian: Custodian::new(token, options.environment),
                cache: Cache::new(options.open_keys_max.min(limits::OPEN_KEYS_MAX)),
                flights: Flights::new(),
                allow_process_kek: options.allow_process_kek,
                blind_after: options.blind_after.min(limits::GENERATION_BLIND_MAX),
                opened,
                heard: AtomicU64::new(0),
                generation: AtomicU64::new(generation),
                loads: AtomicU64::new(0),
            }),
        })
    }

    /// Finds and opens a key that the caller may know of.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] where there is none or the scope does not hold its name;
    /// [`Error::StateRefused`] where no version was named and none is active;
    /// [`Error::RecordRefused`], [`Error::SlabFull`], [`Error::Blind`], [`Error::Deadline`], or
    /// what the store or the token answered.
    pub async fn resolve(
        &self,
        scope: &CallerScope,
        key: &NamedKey,
        deadline: Instant,
    ) -> Result<Arc<OpenKey>, Error> {
        let (tenant, name) = (scope.tenant(), key.name.as_str());
        if !scope.holds(tenant, name) {
            return Err(Error::UnknownKey);
        }
        if self.inner.silent_for() > self.inner.blind_after {
            return Err(Error::Blind);
        }
        let open = match self.inner.cache.find(tenant, name, key.version) {
            Some(open) => open,
            None => self.load(tenant, key, deadline).await?,
        };
        if key.version.is_none() && open.header().state != State::Active {
            return Err(Error::state_refused(open.header()));
        }
        Ok(open)
    }

    /// Looks for changes every [`limits::GENERATION_POLL`] until the catalogue is dropped or the
    /// handle is aborted. Call it within a runtime.
    pub fn spawn_poll(&self) -> JoinHandle<()> {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut ticks = interval(limits::GENERATION_POLL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                if let Err(error) = inner.poll().await {
                    tracing::warn!(%error, "the catalogue was not polled");
                }
            }
        })
    }

    /// Looks for changes once, now.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn poll(&self) -> Result<(), Error> {
        self.inner.poll().await
    }

    /// Every record of a tenant, or of all, each authenticated by the token.
    ///
    /// # Errors
    /// What the store answered, or a token that does not answer. A record that is refused is not an
    /// error: it is listed as such.
    pub async fn list(
        &self,
        tenant: Option<&str>,
        deadline: Instant,
    ) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .inner
                .store
                .list(deadline, tenant, after.take())
                .await?;
            for record in &page {
                let header = match self.inner.custodian.open(deadline, record).await {
                    Ok((header, _)) => Ok(header),
                    Err(error @ Error::RecordRefused { .. }) => Err(error),
                    Err(error) => return Err(error),
                };
                listed.push(Listed {
                    id: record.id.clone(),
                    header,
                    tokens: record.seals.len(),
                });
            }
            match page.last() {
                Some(last) if page.len() == limits::STORE_PAGE_RECORDS => {
                    after = Some(last.id.clone());
                }
                _ => return Ok(listed),
            }
        }
    }

    /// How the catalogue stands.
    pub fn stats(&self) -> CatalogueStats {
        CatalogueStats {
            open_keys: self.inner.cache.len(),
            loads: self.inner.loads.load(Ordering::Relaxed),
            generation: self.inner.generation.load(Ordering::Relaxed),
            silent_for: self.inner.silent_for(),
        }
    }

    /// Whether keys that protect others may live in this process.
    pub fn allows_process_kek(&self) -> bool {
        self.inner.allow_process_kek
    }

    pub(in crate::keys) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(in crate::keys) fn custodian(&self) -> &Custodian {
        &self.inner.custodian
    }

    /// Joins or begins the load of a key, and waits for it until the caller's own deadline.
    async fn load(
        &self,
        tenant: &str,
        key: &NamedKey,
        deadline: Instant,
    ) -> Result<Arc<OpenKey>, Error> {
        let wanted = Wanted {
            tenant: tenant.to_owned(),
            key: key.clone(),
        };
        let begin = || {
            let (inner, wanted) = (Arc::clone(&self.inner), wanted.clone());
            // Others may join, so that it goes on for at least as long as a call may usually take.
            let deadline = deadline.max(Instant::now() + limits::DEADLINE_DEFAULT);
            async move { inner.fetch(&wanted, deadline).await }
        };
        let answer = self.inner.flights.join(wanted.clone(), begin);
        match timeout_at(deadline.into(), answer).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(Error::TokenUnavailable(hsm::Error::Abandoned)),
            Err(_) => Err(Error::Deadline),
        }
    }
}

impl Inner {
    /// Reads, opens and caches a key; again, if something was evicted meanwhile, since it may have
    /// been this key.
    async fn fetch(&self, wanted: &Wanted, deadline: Instant) -> Result<Arc<OpenKey>, Error> {
        let (tenant, name) = (wanted.tenant.as_str(), wanted.key.name.as_str());
        loop {
            let epoch = self.cache.epoch();
            let records = self.store.versions(deadline, tenant, name).await?;
            let open = Arc::new(match wanted.key.version {
                Some(version) => {
                    let record = records.iter().find(|record| record.id.version == version);
                    self.open(record.ok_or(Error::UnknownKey)?, deadline)
                        .await?
                }
                None => self.open_active(&records, deadline).await?,
            });
            let version = open.header().version;
            let is_active = wanted.key.version.is_none();
            if self
                .cache
                .insert(epoch, (tenant, name, version), is_active, &open)
            {
                return Ok(open);
            }
        }
    }

    /// The newest active version; where none is active, the newest. Versions newer than the active
    /// one are opened too: only an authentic header may say that its version is not active.
    async fn open_active(
        &self,
        records: &[StoredRecord],
        deadline: Instant,
    ) -> Result<OpenKey, Error> {
        let mut newest = None;
        for record in records {
            let open = self.open(record, deadline).await?;
            if open.header().state == State::Active {
                return Ok(open);
            }
            newest.get_or_insert(open);
        }
        newest.ok_or(Error::UnknownKey)
    }

    async fn open(&self, record: &StoredRecord, deadline: Instant) -> Result<OpenKey, Error> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (header, content) = self.custodian.open(deadline, record).await?;
        let mismatch = || refusal(record, Refusal::ContentMismatch);
        let in_process = header.residence == Residence::Process;
        if in_process && header.usage.protects_keys() && !self.allow_process_kek {
            return Err(refusal(record, Refusal::ProcessKek));
        }
        let material = match (header.state, content) {
            (State::Pending | State::Disabled | State::Destroying | State::Destroyed, _) => {
                Material::Shut
            }
            (_, Content::TokenObject(object_id)) if header.usage == Usage::KeyBlockProtection => {
                self.derive(&header, object_id, deadline).await?
            }
            (_, Content::TokenObject(object_id)) => Material::Token(object_id),
            (_, Content::Wrapped(_)) => Material::Shut,
            (_, Content::Nothing) => Material::Shut,
            (_, Content::Value(value)) => {
                let value = value.expose_secret();
                let first = Material::open(&header, value);
                let opened = match first {
                    Err(MaterialError::SlabFull) => {
                        self.cache.make_room();
                        Material::open(&header, value)
                    }
                    other => other,
                };
                opened.map_err(|error| match error {
                    MaterialError::Mismatch => mismatch(),
                    MaterialError::SlabFull => Error::SlabFull,
                })?
            }
        };
        OpenKey::new(header, material).ok_or_else(mismatch)
    }

    /// The keys of a protection key that stays in the token: it CMACs what they derive from. The
    /// one stated exception to "token only": what is derived opens blocks here.
    async fn derive(
        &self,
        header: &Header,
        object_id: [u8; 16],
        deadline: Instant,
    ) -> Result<Material, Error> {
        let kind = secret_kind(header.algorithm).ok_or(Error::SlabFull)?;
        let inputs = material::derivation_inputs(header.algorithm);
        let token = self.custodian.token();
        let cmacs = token.cmac(deadline, object_id, kind, inputs).await?;
        let derive = || Protection::of_cmacs(header.algorithm, &cmacs);
        let derived = match derive() {
            Err(MaterialError::SlabFull) => {
                self.cache.make_room();
                derive()
            }
            other => other,
        };
        derived.map_err(|_| Error::SlabFull)
    }

    async fn poll(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let known = self.generation.load(Ordering::SeqCst);
        let changes = self
            .store
            .changed_since(begun + limits::GENERATION_POLL, known)
            .await?;
        match &changes.names {
            Changed::Everything => self.cache.clear(),
            Changed::Names(names) if names.is_empty() => {}
            Changed::Names(names) => {
                self.cache.evict(
                    names
                        .iter()
                        .map(|(tenant, name)| (tenant.as_str(), name.as_str())),
                );
            }
        }
        self.generation.store(changes.generation, Ordering::SeqCst);
        let heard = begun.saturating_duration_since(self.opened).as_millis();
        self.heard
            .store(u64::try_from(heard).unwrap_or(u64::MAX), Ordering::SeqCst);
        Ok(())
    }

    fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(heard)
    }
}
