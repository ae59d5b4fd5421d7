//! Enrolling: a second token is given a seal of its own on every record, so that either can open
//! the store and neither is irreplaceable. And dismissing: a token that is lost is written off, so
//! that what it had sealed can be changed again.
//!
//! A key that is in one token only (`TOKEN`, `TOKEN_WRAPPED`) cannot follow, whatever is sealed:
//! it is left with its own token, and named. Both tokens vouch for the catalogue from then on.

use crate::hsm::{Token, TokenId};
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::minutes;
use crate::keys::decimalisation;
use crate::keys::document::{self, Title};
use crate::keys::error::Error;
use crate::keys::ledger::{self, Entry};
use crate::keys::make::deadline;
use crate::keys::reseal::{self, Walked, Work, walk};
use crate::keys::root::findings::Finding;
use crate::keys::root::scan::Progress;
use crate::limits;
use crate::store::RecordId;
use crate::store::change::{Beside, Document, DocumentPut, StoredRoot};

/// What enrolling a token came to.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Records that it was given a seal of.
    pub sealed: u64,
    /// Records that it opened, in the end: all that it has a seal of.
    pub opened: u64,
    /// Keys that are in another token and cannot follow.
    pub bound: Vec<RecordId>,
    /// Records that could not be opened by the token that was there, or by the one that came.
    pub refused: Vec<Finding>,
}

/// What dismissing a token came to.
#[derive(Clone, Debug)]
pub struct Dismissed {
    /// Records that its seal was taken off.
    pub written: u64,
    /// Records that only it can open: they are as they were.
    pub lost: Vec<RecordId>,
    /// Records that do not open here.
    pub refused: Vec<Finding>,
}

/// Gives a token that is at hand (`Catalogue::open_among`) a seal of every record that can be
/// opened outside its own token, then has it open them all. May be killed and called again: what
/// is done is skipped. `progress` is told how many records were looked at, from 0 again in each
/// round.
///
/// # Errors
/// [`Error::TokenNotAtHand`]; or what store or tokens answered, and then the batches before it
/// stay. A record that does not open is no error: it is named.
pub async fn enroll(
    catalogue: &Catalogue,
    other: TokenId,
    progress: Progress<'_>,
) -> Result<Enrolled, Error> {
    let other = at_hand(catalogue, other)?;
    let _lock = reseal::lock(catalogue).await?;
    other.follow_seal_keys(deadline()).await?;
    let work = Work::Enrol(other.clone());
    let mut sealed = 0;
    let mut rounds = 0;
    let last = loop {
        let walked = walk(catalogue, &work, progress).await?;
        sealed += walked.written;
        rounds += 1;
        // A server that does not have the token at hand may have made keys meanwhile.
        if walked.written == 0 || rounds == limits::ENROL_ROUNDS_MAX {
            break walked;
        }
    };
    for kind in [minutes::KIND, decimalisation::KIND] {
        vouch_for(catalogue, kind, other.id()).await?;
    }
    vouch(catalogue, other).await?;
    let proved = walk(catalogue, &Work::Prove(other.clone()), progress).await?;
    let Walked { left, refused, .. } = last;
    let missing = proved.refused.into_iter();
    Ok(Enrolled {
        sealed,
        opened: proved.kept,
        bound: left,
        refused: refused.into_iter().chain(missing).collect(),
    })
}

/// Takes the seals of a token that is lost off every record that another can open. What only it
/// could open stays as it is, for the day it is found again. May be killed and called again.
///
/// # Errors
/// [`Error::TokenAtHand`]; or what store or token answered.
pub async fn dismiss(
    catalogue: &Catalogue,
    lost: TokenId,
    progress: Progress<'_>,
) -> Result<Dismissed, Error> {
    if catalogue.fleet().at_hand(lost).is_some() {
        return Err(Error::TokenAtHand { token: lost });
    }
    let _lock = reseal::lock(catalogue).await?;
    let walked = walk(catalogue, &Work::Dismiss(lost), progress).await?;
    Ok(Dismissed {
        written: walked.written,
        lost: walked.left,
        refused: walked.refused,
    })
}

/// The minutes of ceremonies, and decimalisation tables, are to be read for as long as their keys
/// live: by the other too.
async fn vouch_for(catalogue: &Catalogue, kind: &'static str, other: TokenId) -> Result<(), Error> {
    for Document {
        kind: stored,
        id,
        revision,
        body,
    } in document::all(catalogue, kind).await?
    {
        let title = Title { kind, id: &id };
        let body = match document::vouched_also_by(catalogue, other, title, &body).await {
            Ok(Some(body)) => body,
            Ok(None) => continue,
            // It is named when it is read; keys come first.
            Err(error @ Error::DocumentRefused { .. }) => {
                tracing::error!(%error, "a document is not vouched for");
                continue;
            }
            Err(error) => return Err(error),
        };
        let put = DocumentPut {
            kind: stored,
            id,
            expected_revision: revision,
            body,
        };
        let beside = Beside {
            documents: vec![put],
            ..Beside::default()
        };
        catalogue.store().write_beside(deadline(), beside).await?;
    }
    Ok(())
}

/// The tokens that have vouched for the store, and whether for what it is now.
///
/// # Errors
/// What the store answered.
pub async fn vouching(catalogue: &Catalogue) -> Result<Vec<(TokenId, bool)>, Error> {
    let roots = catalogue.store().roots(deadline()).await?;
    let newest = roots.iter().map(|root| root.generation).max();
    let of = |root: &StoredRoot| (TokenId(root.token_id), Some(root.generation) == newest);
    Ok(roots.iter().map(of).collect())
}

/// A change of nothing, where the token has not vouched for the newest root: a store without
/// records, or one in which every key stays in its token.
async fn vouch(catalogue: &Catalogue, other: &Token) -> Result<(), Error> {
    if !vouching(catalogue).await?.contains(&(other.id(), true)) {
        ledger::write(catalogue, Entry::default()).await?;
    }
    Ok(())
}

fn at_hand(catalogue: &Catalogue, token: TokenId) -> Result<&Token, Error> {
    let found = catalogue.fleet().at_hand(token);
    found.ok_or(Error::TokenNotAtHand { token })
}
