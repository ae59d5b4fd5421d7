//! The catalogue: finds a key for a caller, authenticates and opens its record (cache, else one
//! store read and one token call), and forgets what changed elsewhere.
//!
//! A name outside the caller's scope is not looked up at all, so that the answer, and the time it
//! takes, is the same whether the key exists or not. What a found key may be used for is not
//! decided here but in `keys::policy`.

mod block;
mod dukpt;
mod opening;
mod page;
mod resident;

pub use self::page::Cursor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use crate::hsm::{self, Token, TokenId};
use crate::keys::act::now;
use crate::keys::attributes::{Environment, Residence, State, Usage};
use crate::keys::cache::Cache;
use crate::keys::error::{CatalogueFault, Error, Refusal};
use crate::keys::fleet::Fleet;
use crate::keys::flight::Flights;
use crate::keys::key_ref::{KeyName, NamedKey};
use crate::keys::material::{Material, MaterialError};
use crate::keys::open_key::OpenKey;
use crate::keys::policy::CallerScope;
use crate::keys::record::Header;
use crate::keys::resident::Resident;
use crate::keys::root::alone::Alone;
use crate::keys::root::findings::Findings;
use crate::keys::seal::{Content, Custodian, refusal, refusal_of};
use crate::keys::standing::{Expected, Followed, Standing};
use crate::limits;
use crate::store::{RecordId, Store, StoredRecord};

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
    standing: Standing,
    cache: Cache<OpenKey>,
    flights: Flights<Wanted, Result<Arc<OpenKey>, Error>>,
    allow_process_kek: bool,
    blind_after: Duration,
    opened: Instant,
    /// Seconds since 1970, as of the last poll: whether a moment has come is asked on every call.
    clock: AtomicU64,
    /// When the store was last heard of, milliseconds since `opened`.
    heard: AtomicU64,
    loads: AtomicU64,
}

/// What one load is for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    tenant: String,
    key: NamedKey,
}

/// How the catalogue stands, for metrics and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueStats {
    /// Records that the root vouches for.
    pub records: u64,
    /// Bytes of the index over them.
    pub index_bytes: usize,
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
        if let Some(refusal) = self.fleet().refusal() {
            return Err(refusal);
        }
        let found = self.inner.cache.find(tenant, name, key.version);
        // What was found holds until a pending version's moment comes.
        let clock = self.inner.clock.load(Ordering::Relaxed);
        let open = match found.filter(|open| clock < open.holds_until()) {
            Some(open) => open,
            None => self.load(tenant, key, deadline).await?,
        };
        if key.version.is_none() && open.header().state != State::Active {
            return Err(Error::state_refused(open.header()));
        }
        Ok(open)
    }

    /// The versions that there are of a key that the caller may know of, newest first.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::CatalogueRefused`].
    pub fn versions_of(&self, scope: &CallerScope, name: &KeyName) -> Result<Vec<u32>, Error> {
        let (tenant, name) = (scope.tenant(), name.as_str());
        if !scope.holds(tenant, name) {
            return Err(Error::UnknownKey);
        }
        let expected = self.inner.standing.expected(tenant, name)?;
        let versions = expected.ok_or(Error::UnknownKey)?.versions;
        Ok(versions.into_iter().map(|(version, _)| version).collect())
    }

    pub(in crate::keys) fn each_open<T>(&self, of: impl Fn(&OpenKey) -> Option<T>) -> Vec<T> {
        self.inner.cache.each(of)
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

    /// Why every key is refused, if so: readiness asks.
    pub fn fault(&self) -> Option<CatalogueFault> {
        self.inner.standing.fault().cloned()
    }

    /// Rows that the start found to differ from what the root vouches for.
    pub fn findings(&self) -> Findings {
        self.inner.standing.findings()
    }

    /// Records that one token alone could open at the start.
    pub fn alone(&self) -> Alone {
        self.inner.standing.alone()
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
                let header = match self.inner.authentic(None, record, deadline).await {
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
        let root = self.inner.standing.root();
        CatalogueStats {
            records: root.count,
            index_bytes: self.inner.standing.index_bytes(),
            open_keys: self.inner.cache.len(),
            loads: self.inner.loads.load(Ordering::Relaxed),
            generation: root.generation,
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

    pub(in crate::keys) fn standing(&self) -> &Standing {
        &self.inner.standing
    }

    /// A row of a listing, opened by this token, or by any that has sealed it, if the root vouches
    /// for it.
    pub(in crate::keys) async fn authentic(
        &self,
        by: Option<&Token>,
        record: &StoredRecord,
        deadline: Instant,
    ) -> Result<(Header, Content), Error> {
        self.inner.authentic(by, record, deadline).await
    }

    /// The tokens.
    pub fn fleet(&self) -> &Fleet {
        self.inner.custodian.fleet()
    }

    /// Every version of a key, newest first, each the one that the root vouches for.
    pub(in crate::keys) async fn records(
        &self,
        tenant: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<Vec<StoredRecord>, Error> {
        let Some((expected, records)) = self.inner.vouched(tenant, name, deadline).await? else {
            return Ok(Vec::new());
        };
        let versions = expected.versions.iter().map(|(version, tag)| {
            let found = expected.record(&records, *version, tag);
            found
                .cloned()
                .map_err(|why| named(tenant, name, *version, why))
        });
        versions.collect()
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
            let vouched = self.vouched(tenant, name, deadline).await?;
            let (mut expected, records) = vouched.ok_or(Error::UnknownKey)?;
            if let Some(version) = wanted.key.version {
                expected.versions.retain(|(other, _)| *other == version);
            }
            let open = Arc::new(
                self.open_active(&expected, &records, wanted, deadline)
                    .await?,
            );
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

    /// What the index says of a key, and the rows that are there now; nothing where there is no
    /// such key, and then the store is not read. Where the two differ, the store may have moved on.
    async fn vouched(
        &self,
        tenant: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<(Expected, Vec<StoredRecord>)>, Error> {
        loop {
            let Some(expected) = self.standing.expected(tenant, name)? else {
                return Ok(None);
            };
            let records = self.store.versions(deadline, tenant, name).await?;
            if expected.is_met_by(&records) {
                return Ok(Some((expected, records)));
            }
            let unchanged = matches!(self.follow(deadline).await?, Followed::Unchanged);
            // Unless a poll followed between the two reads above: then both are read again.
            let now = self.standing.expected(tenant, name)?;
            if unchanged && now.is_some_and(|now| now.versions == expected.versions) {
                return Ok(Some((expected, records)));
            }
        }
    }

    /// A row of a listing, opened, if the root vouches for the row and a token for the header: this
    /// one, or any that has sealed it.
    async fn authentic(
        &self,
        by: Option<&Token>,
        record: &StoredRecord,
        deadline: Instant,
    ) -> Result<(Header, Content), Error> {
        let id = &record.id;
        loop {
            let expected = self.standing.expected(&id.tenant, &id.name)?;
            let versions = expected.iter().flat_map(|expected| &expected.versions);
            let tag = versions.clone().find(|(version, _)| *version == id.version);
            let found = match (&expected, tag) {
                (Some(expected), Some((version, tag))) => {
                    expected.record(std::slice::from_ref(record), *version, tag)
                }
                _ => Err(Refusal::RowUnknown),
            };
            match found {
                Ok(_) => {
                    return match by {
                        Some(token) => self.custodian.open_by(token, deadline, record).await,
                        None => self.custodian.open(deadline, record).await,
                    };
                }
                Err(why) if matches!(self.follow(deadline).await?, Followed::Unchanged) => {
                    return Err(refusal(record, why));
                }
                Err(_) => {}
            }
        }
    }

    /// The newest active version; where none is active, the newest. Versions newer than the active
    /// one are opened too: only an authentic header may say that its version is not active.
    async fn open_active(
        &self,
        expected: &Expected,
        records: &[StoredRecord],
        wanted: &Wanted,
        deadline: Instant,
    ) -> Result<OpenKey, Error> {
        let (mut newest, mut until) = (None, u64::MAX);
        for (version, tag) in &expected.versions {
            let record = expected.record(records, *version, tag);
            let record = record
                .map_err(|why| named(&wanted.tenant, wanted.key.name.as_str(), *version, why))?;
            let open = self.open(record, deadline).await?;
            until = until.min(open.holds_until());
            if open.header().state == State::Active || wanted.key.version.is_some() {
                return Ok(open.holding_until(until));
            }
            newest.get_or_insert(open);
        }
        let newest = newest.map(|open: OpenKey| open.holding_until(until));
        newest.ok_or(Error::UnknownKey)
    }

    async fn open(&self, record: &StoredRecord, deadline: Instant) -> Result<OpenKey, Error> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (mut header, content) = self.custodian.open(deadline, record).await?;
        let now = now();
        self.clock.fetch_max(now, Ordering::Relaxed);
        header.state = header.state_at(now);
        let until = match (header.state, header.activates) {
            (State::Pending, Some(moment)) => moment,
            _ => u64::MAX,
        };
        tell_of_the_end(&header, now);
        let mismatch = || refusal(record, Refusal::ContentMismatch);
        let in_process = header.residence == Residence::Process;
        if in_process && header.usage.protects_keys() && !self.allow_process_kek {
            return Err(refusal(record, Refusal::ProcessKek));
        }
        let material = match (header.state, content) {
            (State::Disabled | State::Destroying | State::Destroyed, _) => Material::Shut,
            // One that is to sign asks for its certificate before it is active.
            (State::Pending, _) if header.usage != Usage::Signature => Material::Shut,
            (_, Content::TokenObject(home, object_id)) => {
                let key = Resident::new(self.home(home)?, object_id);
                let resident = self.resident(&header, key, deadline).await?;
                resident.ok_or_else(mismatch)?
            }
            (_, Content::Wrapped(home, blob)) => {
                Material::Wrapped(self.home(home)?.clone(), hsm::Wrapped::new(&blob))
            }
            (_, Content::Public | Content::Nothing) => Material::Shut,
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
        let open = OpenKey::new(header, material).ok_or_else(mismatch)?;
        Ok(open.holding_until(until))
    }

    fn home(&self, token: TokenId) -> Result<&Token, Error> {
        let found = self.custodian.fleet().at_hand(token);
        found.ok_or(Error::TokenNotAtHand { token })
    }

    async fn poll(&self) -> Result<(), Error> {
        let begun = Instant::now();
        self.clock.fetch_max(now(), Ordering::Relaxed);
        self.follow(begun + limits::DEADLINE_DEFAULT).await?;
        let heard = begun.saturating_duration_since(self.opened).as_millis();
        self.heard
            .store(u64::try_from(heard).unwrap_or(u64::MAX), Ordering::SeqCst);
        Ok(())
    }

    /// Brings the index up to the store, and forgets the keys that changed.
    async fn follow(&self, deadline: Instant) -> Result<Followed, Error> {
        let fleet = self.custodian.fleet();
        let followed = self.standing.follow(&self.store, fleet, deadline).await?;
        match &followed {
            Followed::Unchanged => {}
            Followed::Everything => self.cache.clear(),
            Followed::Names(names) => {
                let names = names.iter();
                self.cache
                    .evict(names.map(|(tenant, name)| (tenant.as_str(), name.as_str())));
            }
        }
        Ok(followed)
    }

    fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(heard)
    }
}

fn named(tenant: &str, name: &str, version: u32, why: Refusal) -> Error {
    let id = RecordId {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        version,
    };
    tracing::error!(tenant, key = name, version, %why, "a record is refused");
    refusal_of(&id, why)
}

/// The alarm of a crypto-period: a line in the log each time a key is opened that has 90, 30 or 7 days
/// left, or none.
fn tell_of_the_end(header: &Header, now: u64) {
    let Some(expiry) = header.expiry else { return };
    let days = expiry.saturating_sub(now) / limits::DAY_SECONDS;
    let (name, version) = (header.name.as_str(), header.version);
    if expiry <= now {
        tracing::error!(name, version, "the key's crypto-period is over");
    } else if let Some(alarm) = limits::EXPIRY_ALARM_DAYS
        .iter()
        .find(|alarm| days < **alarm)
    {
        tracing::warn!(name, version, days, alarm, "the key's crypto-period ends");
    }
}
