//! Where the catalogue stands: the root that was last proved, the index it vouches for, and what
//! became of changes since. Everything a cold load is checked against.
//!
//! A change made elsewhere is followed only if the new root is the old one with the old rows taken
//! away and the new ones added, so that a row put back between two polls is found as one that was
//! put back before the start. What a newer root does not vouch for is refused by name; a newer
//! root that cannot be explained, and a store that went back in time, leave nothing to go by:
//! then every key is refused, until a restart looks at the whole store again.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Instant;

use subtle::ConstantTimeEq;

use crate::hsm::{self, Token};
use crate::keys::error::{CatalogueFault, Error, Refusal};
use crate::keys::fleet::Fleet;
use crate::keys::root::alone::Alone;
use crate::keys::root::findings::Findings;
use crate::keys::root::index::{Index, NameTag, Row};
use crate::keys::root::scan::{Progress, scan};
use crate::keys::root::{self, Root, RootKeys};
use crate::limits;
use crate::store::change::{RowTag, StoredRoot};
use crate::store::{Changed, Changes, Snapshot, Store, StoredRecord};

/// What is known of a catalogue.
pub(in crate::keys) struct Standing {
    state: RwLock<State>,
    /// Why every key is refused.
    condemned: OnceLock<CatalogueFault>,
    /// Held while a change is looked at, so that each is looked at once.
    following: tokio::sync::Mutex<()>,
}

/// What was proved of a store, and what was not.
pub(in crate::keys) struct State {
    /// None in a store that nobody has written yet.
    keys: Option<Arc<RootKeys>>,
    pub root: Root,
    index: Index,
    pub findings: Findings,
    alone: Alone,
    /// Keys that changed without a root to vouch for it.
    doubted: HashMap<NameTag, Refusal>,
    /// The root that did not vouch, so that it is told of once.
    refused: Option<[u8; 32]>,
}

/// What following the store came to.
pub(in crate::keys) enum Followed {
    /// The store is where it was.
    Unchanged,
    /// These keys must be read again.
    Names(Vec<(String, String)>),
    /// All must.
    Everything,
}

/// What the index says of a key.
pub(in crate::keys) struct Expected {
    keys: Arc<RootKeys>,
    /// Version and tag, newest first.
    pub versions: Vec<(u32, RowTag)>,
}

impl Expected {
    /// The record of one version among those that were read, if it is the one that the root
    /// vouches for.
    pub fn record<'a>(
        &self,
        records: &'a [StoredRecord],
        version: u32,
        tag: &RowTag,
    ) -> Result<&'a StoredRecord, Refusal> {
        let record = records.iter().find(|record| record.id.version == version);
        let record = record.ok_or(Refusal::RowMissing)?;
        let read = self.keys.tag_of(record).unwrap_or_default();
        if bool::from(read.ct_eq(tag)) {
            Ok(record)
        } else {
            Err(Refusal::RowDiffers)
        }
    }

    /// Whether the records that were read are exactly those of the index.
    pub fn is_met_by(&self, records: &[StoredRecord]) -> bool {
        records.len() == self.versions.len()
            && self
                .versions
                .iter()
                .all(|(version, tag)| self.record(records, *version, tag).is_ok())
    }
}

impl Standing {
    /// Reads the whole store and checks it against its root. Blocks.
    pub fn open(store: &Store, token: &Token, progress: Progress<'_>) -> Result<Self, Error> {
        // On a thread of its own, which may wait for the token also where the caller is in a runtime.
        let read = thread::scope(|scope| {
            let reader = scope.spawn(|| read_all(&store.snapshot()?, token, progress));
            reader.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        let state = read?;
        state.findings.log();
        Ok(Self {
            state: RwLock::new(state),
            condemned: OnceLock::new(),
            following: tokio::sync::Mutex::default(),
        })
    }

    /// Why every key is refused, if so.
    pub fn fault(&self) -> Option<&CatalogueFault> {
        self.condemned.get()
    }

    /// The last root that was proved.
    pub fn root(&self) -> Root {
        self.read().root
    }

    /// What a checkpoint says of that root; zeros where there is none.
    pub fn digest(&self) -> [u8; 32] {
        let state = self.read();
        let keys = state.keys.as_ref();
        keys.map_or([0; 32], |keys| keys.digest(&state.root))
    }

    /// Rows that were found to differ from what the root vouches for, at the start.
    pub fn findings(&self) -> Findings {
        self.read().findings.clone()
    }

    /// Records that one token alone could open at the start.
    pub fn alone(&self) -> Alone {
        self.read().alone.clone()
    }

    /// Bytes of the index.
    pub fn index_bytes(&self) -> usize {
        self.read().index.bytes()
    }

    /// What the index says of a key; nothing where there is no such key.
    ///
    /// # Errors
    /// Why the key, or every key, is refused.
    pub fn expected(&self, tenant: &str, name: &str) -> Result<Option<Expected>, Error> {
        if let Some(fault) = self.fault() {
            return Err(fault.clone().into());
        }
        let state = self.read();
        let Some(keys) = &state.keys else {
            return Ok(None);
        };
        let name_tag = keys.name(tenant, name);
        let rows = state.index.versions(&name_tag);
        let versions: Vec<_> = rows
            .iter()
            .rev()
            .map(|row| (row.version, row.tag))
            .collect();
        if let Some(why) = state.doubted.get(&name_tag) {
            return Err(Error::RecordRefused {
                name: name.to_owned(),
                version: versions.first().map_or(0, |(version, _)| *version),
                why: *why,
            });
        }
        let keys = Arc::clone(keys);
        Ok((!versions.is_empty()).then_some(Expected { keys, versions }))
    }

    /// The keys and the root that a change begins from.
    pub fn basis(&self) -> Result<(Option<Arc<RootKeys>>, Root), Error> {
        if let Some(fault) = self.fault() {
            return Err(fault.clone().into());
        }
        let state = self.read();
        Ok((state.keys.clone(), state.root))
    }

    /// Whether a token's root is one of this catalogue, and where it is of the same generation, the
    /// same. Of a catalogue that nobody had written when it was read, nothing is known.
    pub fn agrees(&self, keys: &RootKeys, root: &Root) -> bool {
        let state = self.read();
        match &state.keys {
            None => true,
            Some(own) => {
                own.are(keys) && (root.generation != state.root.generation || *root == state.root)
            }
        }
    }

    /// Whether a row is the one that the root vouches for.
    pub fn vouches_for(&self, record: &StoredRecord) -> bool {
        let id = &record.id;
        let expected = self.expected(&id.tenant, &id.name).ok().flatten();
        expected.is_some_and(|expected| {
            let mut versions = expected.versions.iter();
            versions.any(|(version, tag)| {
                let records = std::slice::from_ref(record);
                *version == id.version && expected.record(records, *version, tag).is_ok()
            })
        })
    }

    /// The tag that one version must have.
    pub fn tag(&self, name: &NameTag, version: u32) -> Option<RowTag> {
        self.read().index.tag(name, version)
    }

    /// Looks at what changed in the store since the last root. The caller forgets what it has of
    /// the keys named, before it lets go of the answer.
    pub async fn follow(
        &self,
        store: &Store,
        fleet: &Fleet,
        deadline: Instant,
    ) -> Result<Followed, Error> {
        let _following = self.following.lock().await;
        if self.fault().is_some() {
            store.generation(deadline).await?;
            return Ok(Followed::Everything);
        }
        let (known, founded) = {
            let state = self.read();
            (state.root.generation, state.keys.is_some())
        };
        let changes = store.changed_since(deadline, known).await?;
        if changes.generation == known {
            return Ok(Followed::Unchanged);
        }
        if changes.generation < known {
            let found = changes.generation;
            return Ok(self.condemn(CatalogueFault::WentBack { known, found }));
        }
        if !founded || changes.names == Changed::Everything {
            return self.read_again(store, fleet).await;
        }
        // Many names may have taken the store all the time there was; the token has its own.
        let deadline = deadline.max(Instant::now() + limits::DEADLINE_DEFAULT);
        match root::authentic_by_any(&changes.roots, fleet, deadline).await {
            Ok(root) => Ok(self.step(root, changes.names.clone(), &changes)),
            // Also where the token does not answer: a key that was stopped elsewhere stops.
            Err(error) => Ok(self.doubt(&changes, &error)),
        }
    }

    /// From one proved root to the next.
    fn step(&self, stored: &StoredRoot, names: Changed, changes: &Changes) -> Followed {
        let mut state = self.write();
        let (Some(keys), Changed::Names(names)) = (state.keys.clone(), names) else {
            return Followed::Unchanged;
        };
        let root = keys.open(stored);
        let tags: Vec<NameTag> = names
            .iter()
            .map(|(tenant, name)| keys.name(tenant, name))
            .collect();
        // What the directory says is tried first: where a row was put back since, it says so.
        let said = changes.tags.iter().map(|(id, tag)| Row {
            name: keys.name(&id.tenant, &id.name),
            version: id.version,
            tag: *tag,
        });
        let found = changes.records.iter().filter_map(|record| {
            Some(Row {
                name: keys.name(&record.id.tenant, &record.id.name),
                version: record.id.version,
                tag: keys.tag_of(record)?,
            })
        });
        let (said, found): (Vec<Row>, Vec<Row>) = (said.collect(), found.collect());
        let rows = [said, found]
            .into_iter()
            .find(|rows| leads_to(&state, &keys, &tags, rows, &root));
        let Some(rows) = rows else {
            drop(state);
            let generation = root.generation;
            return self.condemn(CatalogueFault::Unexplained { generation });
        };
        for name in &tags {
            let own = rows.iter().copied().filter(|row| row.name == *name);
            state.index.replace(name, own);
        }
        state.root = root;
        state.doubted.clear();
        state.refused = None;
        Followed::Names(names)
    }

    /// Refuses the keys that changed without an authentic root.
    fn doubt(&self, changes: &Changes, cause: &Error) -> Followed {
        let Changed::Names(names) = &changes.names else {
            return Followed::Unchanged;
        };
        let mut state = self.write();
        let seen = changes.roots.iter().fold([0; 32], |seen, root| {
            std::array::from_fn(|at| seen[at] ^ root.mac[at] ^ root.sum[at])
        });
        let Some(keys) = state.keys.clone() else {
            return Followed::Unchanged;
        };
        let before = state.doubted.len();
        for (tenant, name) in names {
            let name = keys.name(tenant, name);
            state.doubted.insert(name, Refusal::ChangeUnproved);
        }
        if state.refused.replace(seen) == Some(seen) && state.doubted.len() == before {
            return Followed::Unchanged;
        }
        drop(state);
        for (tenant, key) in names.iter().take(limits::FINDINGS_NAMED_MAX) {
            tracing::error!(tenant, key, %cause, "a change is refused, and the key with it");
        }
        if names.is_empty() {
            tracing::error!(%cause, "a change of the catalogue's root is refused");
        }
        Followed::Names(names.clone())
    }

    fn condemn(&self, fault: CatalogueFault) -> Followed {
        tracing::error!(cause = %fault, "every key is refused until a restart");
        // Another fault may have been first; one is enough.
        let _ = self.condemned.set(fault);
        Followed::Everything
    }

    async fn read_again(&self, store: &Store, fleet: &Fleet) -> Result<Followed, Error> {
        let (store, fleet) = (store.clone(), fleet.clone());
        let read = tokio::task::spawn_blocking(move || {
            let snapshot = store.snapshot()?;
            let roots = snapshot.roots()?;
            let mut read = Err(hsm::Error::Abandoned.into());
            for token in root::vouching(&roots, &fleet) {
                read = read_all(&snapshot, token, &|_| ());
                let failed = |error: &hsm::Error| error.may_try_another();
                if !matches!(&read, Err(Error::TokenUnavailable(error)) if failed(error)) {
                    break;
                }
            }
            read
        });
        match read.await {
            Ok(Ok(state)) => {
                state.findings.log();
                *self.write() = state;
                Ok(Followed::Everything)
            }
            Ok(Err(Error::CatalogueRefused(fault))) => Ok(self.condemn(fault)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(crate::store::error::Error::Stopped.into()),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the known root, with these keys' old rows taken away and `rows` added, is `root`.
fn leads_to(state: &State, keys: &RootKeys, names: &[NameTag], rows: &[Row], root: &Root) -> bool {
    let (mut sum, mut count) = (state.root.sum, state.root.count);
    for row in names.iter().flat_map(|name| state.index.versions(name)) {
        sum = sum.minus(keys.element(row));
        count = count.wrapping_sub(1);
    }
    for row in rows {
        sum = sum.plus(keys.element(row));
        count = count.wrapping_add(1);
    }
    sum == root.sum && count == root.count
}

/// Reads a whole store and checks it against this token's root. Blocks, and not within a runtime.
pub(in crate::keys) fn read_all(
    snapshot: &Snapshot,
    token: &Token,
    progress: Progress<'_>,
) -> Result<State, Error> {
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let roots = snapshot.roots()?;
    let mut state = State {
        keys: None,
        root: Root::default(),
        index: Index::new(),
        findings: Findings::default(),
        alone: Alone::default(),
        doubted: HashMap::new(),
        refused: None,
    };
    if roots.is_empty() && snapshot.is_empty()? {
        return Ok(state);
    }
    let stored = root::authentic_blocking(&roots, token, deadline)?;
    let keys = RootKeys::of(stored, &root::pad_blocking(token, deadline)?);
    state.root = keys.open(stored);
    let scanned = scan(snapshot, &keys, &state.root, progress)?;
    state.keys = Some(Arc::new(keys));
    state.index = scanned.index;
    state.findings = scanned.findings;
    state.alone = scanned.alone;
    Ok(state)
}
