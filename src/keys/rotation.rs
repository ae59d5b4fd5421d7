//! Rotating `seal`: the next key is made in the token, every record is sealed anew under it, and
//! then, by a step of its own, the old key is destroyed. Old and new both open meanwhile, so no
//! server stops; each follows when it meets a record under a key that it does not know.
//!
//! A server that was not yet told may still seal under the old key. So the newest key is written
//! down in the store first, in a change of its own: whoever writes after that compares, and seals
//! anew before it writes (`renewed`). The note is a hint and not trusted: the token decides.

use std::collections::BTreeMap;

use crate::hsm::{SealKeys, Token, TokenConfig, TokenId};
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::held;
use crate::keys::document;
use crate::keys::error::Error;
use crate::keys::ledger::{self, Entry};
use crate::keys::make::deadline;
use crate::keys::provision;
use crate::keys::reseal::{self, Work, walk};
use crate::keys::root::findings::Finding;
use crate::keys::root::scan::Progress;
use crate::keys::seal::seal_by;
use crate::store::change::DocumentPut;
use crate::store::{self, StoredRecord, seals};

/// How many records are sealed by which token under which of its seal keys.
pub type Census = BTreeMap<(TokenId, [u8; 16]), u64>;

/// What a rotation came to.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// Whether a new key was made; else an earlier rotation was gone on with.
    pub made: bool,
    /// The token's seal keys.
    pub keys: SealKeys,
    /// Records that were sealed anew.
    pub written: u64,
    /// Records that do not open: they keep the seal they have, and so its key.
    pub refused: Vec<Finding>,
}

/// Makes the next `seal` key of one of the catalogue's tokens, unless records wait for one already,
/// and seals every record anew under it. `config` is that token's. May be killed and called again.
/// `progress` is told how many records were looked at.
///
/// # Errors
/// What store or token answered; the batches before it stay.
pub async fn rotate_seal(
    catalogue: &Catalogue,
    config: &TokenConfig,
    progress: Progress<'_>,
) -> Result<Rotated, Error> {
    let _lock = reseal::lock(catalogue).await?;
    let token = named(catalogue, config)?;
    let mut keys = token.follow_seal_keys(deadline()).await?;
    let made = under_older(token, &keys, &census(catalogue).await?) == 0;
    if made {
        let config = config.clone();
        in_token(move || Token::make_next_seal(&config)).await?;
        keys = token.follow_seal_keys(deadline()).await?;
    }
    note(catalogue, token, &keys).await?;
    let walked = walk(catalogue, &Work::Renew(token.clone()), progress).await?;
    Ok(Rotated {
        made,
        keys,
        written: walked.written,
        refused: walked.refused,
    })
}

/// Destroys every `seal` key of one of the catalogue's tokens but the current one, if no record is
/// sealed under any of them; answers those that are left, and how many went. What a backup from
/// before holds does not open any more.
///
/// # Errors
/// [`Error::SealKeyInUse`], and then none is destroyed; or what store or token answered.
pub async fn destroy_old_seals(
    catalogue: &Catalogue,
    config: &TokenConfig,
) -> Result<(SealKeys, usize), Error> {
    let _lock = reseal::lock(catalogue).await?;
    // Nobody makes keys until this is over.
    let _keys = provision::lock(catalogue).await?;
    let token = named(catalogue, config)?;
    let mut keys = token.follow_seal_keys(deadline()).await?;
    // Before the records are counted: what is written after this is not under an old key.
    note(catalogue, token, &keys).await?;
    let records = under_older(token, &keys, &census(catalogue).await?);
    let ceremonies = open_ceremonies(catalogue).await?;
    if records > 0 || ceremonies > 0 {
        return Err(Error::SealKeyInUse {
            records,
            ceremonies,
        });
    }
    let older = keys.older.clone();
    for id in &older {
        let (config, id) = (config.clone(), *id);
        keys = in_token(move || Token::destroy_old_seal(&config, id)).await?;
    }
    token.follow_seal_keys(deadline()).await?;
    Ok((keys, older.len()))
}

/// Counts every record of a store by its seals.
///
/// # Errors
/// What the store answered.
pub async fn census(catalogue: &Catalogue) -> Result<Census, Error> {
    let store = catalogue.store().clone();
    let counted = tokio::task::spawn_blocking(move || -> Result<Census, store::error::Error> {
        let mut census = Census::new();
        store.snapshot()?.records(|row| {
            for seal in seals::decode(row.seals).unwrap_or_default() {
                let of = (TokenId(seal.token_id), seal.seal_key_id);
                *census.entry(of).or_default() += 1;
            }
            Ok::<(), store::error::Error>(())
        })?;
        Ok(census)
    });
    Ok(counted.await.map_err(|_| store::error::Error::Stopped)??)
}

/// A token and its newest seal key, as it was written down.
pub(in crate::keys) type Note = (TokenId, [u8; 16]);

/// What is written down of the tokens at hand.
pub(in crate::keys) async fn notes(catalogue: &Catalogue) -> Result<Vec<Note>, Error> {
    let mut notes = Vec::new();
    for token in catalogue.fleet().tokens() {
        let (store, id) = (catalogue.store(), token.id().to_string());
        let noted = store.document(deadline(), KIND, &id).await?;
        if let Some(key) = noted.and_then(|noted| noted.body.try_into().ok()) {
            notes.push((token.id(), key));
        }
    }
    Ok(notes)
}

/// The record with the seals that the tokens at hand would make today: what was sealed under a key
/// that is current no longer is sealed anew before it is written.
pub(in crate::keys) async fn renewed(
    catalogue: &Catalogue,
    notes: &[Note],
    record: &StoredRecord,
) -> Result<Option<StoredRecord>, Error> {
    let mut renewed = None;
    for (at, seal) in record.seals.iter().enumerate() {
        let id = TokenId(seal.token_id);
        let noted = notes.iter().find(|(token, _)| *token == id);
        let (Some(token), Some((_, key))) = (catalogue.fleet().at_hand(id), noted) else {
            continue;
        };
        if *key == seal.seal_key_id {
            continue;
        }
        let keys = token.follow_seal_keys(deadline()).await?;
        if keys.current == seal.seal_key_id {
            continue;
        }
        let custodian = catalogue.custodian();
        let (_, content) = custodian.open_by(token, deadline(), record).await?;
        let header = record.header.clone();
        let new = seal_by(token, deadline(), header, &content).await?;
        renewed.get_or_insert_with(|| record.clone()).seals[at] = new;
    }
    Ok(renewed)
}

async fn open_ceremonies(catalogue: &Catalogue) -> Result<u64, Error> {
    let drafts = document::all(catalogue, held::KIND).await?;
    // One that ended leaves an empty row for a moment.
    Ok(drafts.iter().filter(|draft| !draft.body.is_empty()).count() as u64)
}

/// Writes the current key down, by a change of the catalogue: whoever computed one before it has to
/// compute it again, and will find the note.
async fn note(catalogue: &Catalogue, token: &Token, keys: &SealKeys) -> Result<(), Error> {
    let id = token.id().to_string();
    let noted = catalogue.store().document(deadline(), KIND, &id).await?;
    if noted
        .as_ref()
        .is_some_and(|noted| noted.body == keys.current)
    {
        return Ok(());
    }
    let mut entry = Entry::default();
    entry.beside.documents.push(DocumentPut {
        kind: KIND.to_owned(),
        id,
        expected_revision: noted.map_or(0, |noted| noted.revision),
        body: keys.current.to_vec(),
    });
    ledger::write(catalogue, entry).await?;
    Ok(())
}

fn named<'a>(catalogue: &'a Catalogue, config: &TokenConfig) -> Result<&'a Token, Error> {
    let found = catalogue.fleet().labelled(&config.label);
    let missing = || crate::hsm::Error::TokenMissing {
        label: config.label.clone(),
    };
    Ok(found.ok_or_else(missing)?)
}

fn under_older(token: &Token, keys: &SealKeys, census: &Census) -> u64 {
    let counts = keys
        .older
        .iter()
        .filter_map(|id| census.get(&(token.id(), *id)));
    counts.sum()
}

/// A ceremony of the token's, which blocks.
async fn in_token<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, crate::hsm::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(act).await;
    Ok(done.map_err(|_| crate::hsm::Error::Abandoned)??)
}

/// The documents that name each token's newest seal key.
const KIND: &str = "seal-key";
