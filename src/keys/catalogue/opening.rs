//! Opening a catalogue: with one token, with tokens that are all used, or with those of a
//! configuration that can be.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::hsm::Token;
use crate::keys::act::now;
use crate::keys::cache::Cache;
use crate::keys::catalogue::{Catalogue, CatalogueOptions, Inner};
use crate::keys::error::Error;
use crate::keys::fleet::Fleet;
use crate::keys::flight::Flights;
use crate::keys::recruit;
use crate::keys::root::scan::Progress;
use crate::keys::seal::Custodian;
use crate::keys::standing::Standing;
use crate::limits;
use crate::store::Store;

impl Catalogue {
    /// A catalogue over a store and a token: the whole store is read once and checked against its
    /// root. Without [`Catalogue::spawn_poll`] it goes blind. Blocks.
    ///
    /// # Errors
    /// [`Error::CatalogueRefused`] where nothing in the store can be relied upon; or what store or
    /// token answered. Single rows that are not what the root vouches for are no error: they are
    /// refused when asked for, and named by [`Catalogue::findings`].
    pub fn open(store: Store, token: Token, options: CatalogueOptions) -> Result<Self, Error> {
        Self::open_among(store, (token, Vec::new()), options, &|_| ())
    }

    /// The same, with other tokens that are all used, enrolled already or about to be: what is
    /// written is sealed by each of them too. For commands. Tells now and then how many records were
    /// read.
    ///
    /// # Errors
    /// As [`Catalogue::open`].
    pub fn open_among(
        store: Store,
        (token, others): (Token, Vec<Token>),
        options: CatalogueOptions,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        let standing = Standing::open(&store, &token, progress)?;
        let fleet = Fleet::of(token, others);
        Ok(Self::with(store, fleet, standing, options))
    }

    /// The same with the tokens of a configuration, for a server: each that vouches for this store
    /// and opens it is used, the others are named in the log, and one is enough. Without
    /// [`Catalogue::spawn_recruiting`] it stays at these.
    ///
    /// # Errors
    /// As [`Catalogue::open`], of the first token, where none can be used.
    pub fn open_fleet(
        store: Store,
        fleet: Fleet,
        options: CatalogueOptions,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        let standing = recruit::muster(&store, &fleet, options.environment, progress)?;
        Ok(Self::with(store, fleet, standing, options))
    }

    fn with(store: Store, fleet: Fleet, standing: Standing, options: CatalogueOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                custodian: Custodian::new(fleet, options.environment),
                standing,
                cache: Cache::new(options.open_keys_max.min(limits::OPEN_KEYS_MAX)),
                flights: Flights::new(),
                allow_process_kek: options.allow_process_kek,
                blind_after: options.blind_after.min(limits::GENERATION_BLIND_MAX),
                // After the reading, which may take longer than a catalogue may be blind.
                opened: Instant::now(),
                clock: AtomicU64::new(now()),
                heard: AtomicU64::new(0),
                loads: AtomicU64::new(0),
            }),
        }
    }

    /// Looks after the tokens that are not used, until the catalogue is dropped or the handle is
    /// aborted: each is used once it opens this store. Call it within a runtime.
    pub fn spawn_recruiting(&self) -> JoinHandle<()> {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut ticks = interval(limits::RECRUIT_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                let looked = tokio::task::spawn_blocking(move || {
                    let custodian = &inner.custodian;
                    recruit::look_again(&inner.store, custodian, &inner.standing);
                });
                if looked.await.is_err() {
                    tracing::error!("who looks after absent tokens stumbled");
                }
            }
        })
    }
}
