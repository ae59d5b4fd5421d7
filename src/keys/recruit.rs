//! How tokens come to be used: each must vouch for the catalogue that the others vouch for, and open
//! a record of it. One that is away when a server starts, or not enrolled yet, is named and looked at
//! again; one whose PIN is refused is not, since tokens lock after a few.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use crate::hsm::{self, Token, TokenId};
use crate::keys::attributes::Environment;
use crate::keys::error::{CatalogueFault, Error};
use crate::keys::fleet::{Fleet, Place};
use crate::keys::root::scan::Progress;
use crate::keys::root::{self, RootKeys};
use crate::keys::seal::Custodian;
use crate::keys::standing::Standing;
use crate::limits;
use crate::store::{self, RecordId, RecordRow, Snapshot, Store, StoredRecord, seals};

/// Opens the tokens of a fleet, reads the store by the first that vouches for it, and uses whichever
/// agree. Blocks.
///
/// # Errors
/// Why the first token is not used, where none is.
pub(in crate::keys) fn muster(
    store: &Store,
    fleet: &Fleet,
    environment: Environment,
    progress: Progress<'_>,
) -> Result<Standing, Error> {
    open_all(fleet);
    // On a thread of its own, which may wait for tokens also where the caller is in a runtime.
    let mustered = thread::scope(|scope| {
        let muster = || join_all(store, fleet, environment, progress);
        scope.spawn(muster).join()
    });
    mustered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Looks at every empty place again. Blocks.
pub(in crate::keys) fn look_again(store: &Store, custodian: &Custodian, standing: &Standing) {
    let empty = |place: &&Place| !place.is_filled();
    for place in custodian.fleet().places().iter().filter(empty) {
        if place.begin_opening() {
            open(place);
        }
        let Some(token) = place.candidate() else {
            continue;
        };
        match examine(store, &token, standing, custodian) {
            Ok(()) => {
                tracing::info!(token = place.label(), "the token is used from now on");
                place.fill(token);
            }
            Err(error) => refuse(place, error),
        }
    }
}

fn join_all(
    store: &Store,
    fleet: &Fleet,
    environment: Environment,
    progress: Progress<'_>,
) -> Result<Standing, Error> {
    let custodian = Custodian::new(fleet.clone(), environment);
    let mut standing: Option<Standing> = None;
    for place in fleet.places() {
        let Some(token) = place.candidate() else {
            continue;
        };
        let joined = match &standing {
            Some(standing) => examine(store, &token, standing, &custodian),
            None => suits(&token, environment)
                .and_then(|()| Standing::open(store, &token, progress))
                .map(|read| standing = Some(read)),
        };
        match joined {
            Ok(()) => place.fill(token),
            // The others would say no better.
            Err(error @ Error::StoreUnavailable(_)) => return Err(error),
            Err(error) => refuse(place, error),
        }
    }
    let why = || {
        let first = fleet.places().first().and_then(Place::why);
        first.unwrap_or_else(|| hsm::Error::Abandoned.into())
    };
    standing.ok_or_else(why)
}

/// Each on a thread of its own, so that one that hangs holds up none.
fn open_all(fleet: &Fleet) {
    let (done, all) = channel();
    for at in 0..fleet.places().len() {
        let (fleet, done): (Fleet, Sender<()>) = (fleet.clone(), done.clone());
        thread::spawn(move || {
            if let Some(place) = fleet.places().get(at)
                && place.begin_opening()
            {
                open(place);
            }
            drop(done);
        });
    }
    drop(done);
    // Nobody sends: it ends when all are done.
    let _ = all.recv_timeout(limits::TOKEN_OPEN_PATIENCE);
}

fn open(place: &Place) {
    let Some(config) = place.config() else { return };
    match Token::open(&config) {
        Ok(token) => place.opened(token),
        Err(error) => refuse(place, error.into()),
    }
}

/// Tells of it, once.
fn refuse(place: &Place, why: Error) {
    let text = why.to_string();
    if place.stays_empty(why) {
        tracing::error!(token = place.label(), cause = text, "the token is not used");
    }
}

fn suits(token: &Token, environment: Environment) -> Result<(), Error> {
    if environment == Environment::Production && token.info().software {
        return Err(Error::SoftwareToken);
    }
    Ok(())
}

/// Whether a token is one of this catalogue's.
fn examine(
    store: &Store,
    token: &Token,
    standing: &Standing,
    custodian: &Custodian,
) -> Result<(), Error> {
    suits(token, custodian.environment())?;
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let snapshot = store.snapshot()?;
    let roots = snapshot.roots()?;
    if roots.is_empty() && snapshot.is_empty()? {
        return Ok(());
    }
    let stored = root::authentic_blocking(&roots, token, deadline)?;
    let keys = RootKeys::of(stored, &root::pad_blocking(token, deadline)?);
    if !standing.agrees(&keys, &keys.open(stored)) {
        return Err(CatalogueFault::RootOfOther.into());
    }
    match sample(&snapshot, token.id(), standing)? {
        Some(record) => custodian
            .open_blocking(token, deadline, &record)
            .map(|_| ()),
        // Nothing but keys that are in other tokens.
        None => Ok(()),
    }
}

/// The first record that the token has sealed and the root vouches for.
fn sample(
    snapshot: &Snapshot,
    token: TokenId,
    standing: &Standing,
) -> Result<Option<StoredRecord>, Error> {
    let visited = snapshot.records(|row| {
        let record = record(&row);
        let own = record.seals.iter().any(|seal| seal.token_id == token.0);
        if own && standing.vouches_for(&record) {
            return Err(Search::Found(record));
        }
        Ok(())
    });
    match visited {
        Ok(()) => Ok(None),
        Err(Search::Found(record)) => Ok(Some(record)),
        Err(Search::Failed(error)) => Err(error.into()),
    }
}

/// How a search through the rows ends early.
enum Search {
    Found(StoredRecord),
    Failed(store::error::Error),
}

impl From<store::error::Error> for Search {
    fn from(error: store::error::Error) -> Self {
        Self::Failed(error)
    }
}

fn record(row: &RecordRow<'_>) -> StoredRecord {
    StoredRecord {
        id: RecordId {
            tenant: row.tenant.to_owned(),
            name: row.name.to_owned(),
            version: row.version,
        },
        header: row.header.to_vec(),
        seals: seals::decode(row.seals).unwrap_or_default(),
    }
}
