//! A key version's life: pending → active → retiring → disabled → destroying → destroyed. Each step
//! is a new header, sealed again by the token and written in one transaction, with the answer that
//! a repetition of the request gets.
//!
//! Disabling is the stop that can be undone at once. Destroying has a waiting period in which it can
//! be called off; after it only the header is left. New keys and versions are in `creation`.

mod creation;
mod destruction;
mod schedule;

pub use self::creation::{Extras, create, rotate};
pub(in crate::keys) use self::creation::{check_expiry, commit, keep, refuse_process_kek};
pub use self::destruction::{destroy, restore, sweep};
pub use self::schedule::sweep_due;

use crate::keys::act::{Act, Outcome, now};
use crate::keys::attributes::{Exportability, State};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::{Error, Refusal};
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::{self, Entry};
use crate::keys::make::deadline;
use crate::keys::record::{Header, Labels};
use crate::keys::seal::{Content, refusal};
use crate::store::StoredRecord;

/// Which version of which key of whom.
#[derive(Clone, Copy, Debug)]
pub struct VersionOf<'a> {
    /// The tenant.
    pub tenant: &'a KeyName,
    /// The key.
    pub name: &'a KeyName,
    /// The version.
    pub version: u32,
}

/// Moves one version to another state, and answers its new header. Activating one retires the one
/// that was active, in the same transaction. Other processes follow within two polls; this catalogue
/// at once.
///
/// # Errors
/// [`Error::UnknownKey`], [`Error::StateOrder`] where the step is not one of life's,
/// [`Error::RecordRefused`], or what store or token answered.
pub async fn set_state(
    catalogue: &Catalogue,
    version: VersionOf<'_>,
    to: State,
    act: &Act,
) -> Result<Header, Error> {
    let versions = open_all(catalogue, version.tenant, version.name).await?;
    let moved = versions
        .iter()
        .find(|found| found.header.version == version.version)
        .ok_or(Error::UnknownKey)?;
    let old = &moved.header;
    let mut states = states_at(&versions, now()).into_iter();
    let from = states
        .find(|(version, _)| *version == old.version)
        .map_or(old.state, |(_, state)| state);
    if !follows(old.state, to) && !follows(from, to) {
        return Err(Error::StateOrder {
            name: old.name.to_string(),
            version: old.version,
            from,
            to,
        });
    }
    move_to(catalogue, &versions, (moved, to), now(), act).await
}

/// Moves one of `versions`, newest first, to a state that may follow, and with it the others as that
/// makes them: what a moment did that nobody has written down yet is written down too.
async fn move_to(
    catalogue: &Catalogue,
    versions: &[Found],
    (moved, to): (&Found, State),
    now: u64,
    act: &Act,
) -> Result<Header, Error> {
    let new = Header {
        state: to,
        activates: None,
        ..next_epoch(&moved.header)
    };
    let mut entry = changed(catalogue, moved, &new).await?;
    let states = states_at(versions, now);
    for (other, (version, state)) in versions.iter().zip(states) {
        let state = match (to, state) {
            (State::Active, State::Active) => State::Retiring,
            (_, state) => state,
        };
        if version != new.version && state != other.header.state {
            let noted = Header {
                state,
                activates: None,
                ..next_epoch(&other.header)
            };
            entry
                .puts
                .extend(changed(catalogue, other, &noted).await?.puts);
        }
    }
    write(catalogue, entry, new, act).await
}

/// The states that versions, newest first, are in at `now`: where a moment has come that nobody has
/// written down yet, the newest active version has retired the others already. Else a rotation could
/// not be taken back in its first seconds.
fn states_at(versions: &[Found], now: u64) -> Vec<(u32, State)> {
    let mut is_newest = true;
    let state_of = |found: &Found| {
        let state = match found.header.state_at(now) {
            State::Active if std::mem::take(&mut is_newest) => State::Active,
            State::Active => State::Retiring,
            state => state,
        };
        (found.header.version, state)
    };
    versions.iter().map(state_of).collect()
}

/// What may be changed about a version without changing what it is.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// All of its labels.
    pub labels: Labels,
    /// The end of its crypto-period; none leaves it.
    pub expiry: Option<u64>,
    /// It is exportable no longer.
    pub make_non_exportable: bool,
}

/// Changes what is noted about a version. An attribute may get stricter here, never looser.
///
/// # Errors
/// [`Error::UnknownKey`], [`Error::TimeRefused`], or what store or token answered.
pub async fn update_metadata(
    catalogue: &Catalogue,
    version: VersionOf<'_>,
    metadata: Metadata,
    act: &Act,
) -> Result<Header, Error> {
    let found = open_one(catalogue, version).await?;
    let old = &found.header;
    creation::check_expiry(metadata.expiry)?;
    let new = Header {
        labels: metadata.labels,
        expiry: metadata.expiry.or(old.expiry),
        exportability: match metadata.make_non_exportable {
            true => Exportability::NonExportable,
            false => old.exportability,
        },
        ..next_epoch(old)
    };
    let entry = changed(catalogue, &found, &new).await?;
    write(catalogue, entry, new, act).await
}

/// The headers of every version of a key, newest first; empty where there is none.
///
/// # Errors
/// [`Error::RecordRefused`], or what store or token answered.
pub async fn versions(
    catalogue: &Catalogue,
    tenant: &KeyName,
    name: &KeyName,
) -> Result<Vec<Header>, Error> {
    let found = open_all(catalogue, tenant, name).await?;
    Ok(found.into_iter().map(|found| found.header).collect())
}

/// A version as it is in the store, opened.
struct Found {
    record: StoredRecord,
    header: Header,
    content: Content,
}

/// Every version of a key, newest first, each opened.
async fn open_all(
    catalogue: &Catalogue,
    tenant: &KeyName,
    name: &KeyName,
) -> Result<Vec<Found>, Error> {
    // What another process did a moment ago counts.
    catalogue.poll().await?;
    let records = catalogue
        .records(tenant.as_str(), name.as_str(), deadline())
        .await?;
    let mut found = Vec::new();
    for record in records {
        let (header, content) = catalogue.custodian().open(deadline(), &record).await?;
        found.push(Found {
            record,
            header,
            content,
        });
    }
    Ok(found)
}

async fn open_one(catalogue: &Catalogue, version: VersionOf<'_>) -> Result<Found, Error> {
    let found = open_all(catalogue, version.tenant, version.name).await?;
    let mut found = found.into_iter();
    let found = found.find(|found| found.header.version == version.version);
    found.ok_or(Error::UnknownKey)
}

/// The header to change: of the next epoch.
fn next_epoch(old: &Header) -> Header {
    Header {
        state_epoch: old.state_epoch + 1,
        ..old.clone()
    }
}

/// The record of `found` under its new header.
async fn changed(catalogue: &Catalogue, found: &Found, new: &Header) -> Result<Entry, Error> {
    if let Some(token) = catalogue.custodian().missing_token_of(&found.record) {
        // Its seal is over the old header, and only it could renew it; it may be one that is away.
        let lost = || refusal(&found.record, Refusal::SealedForOthers(token));
        return Err(catalogue.fleet().vacancy().unwrap_or_else(lost));
    }
    let content = match new.state {
        State::Destroyed => &Content::Nothing,
        _ => &found.content,
    };
    let sealed = catalogue.custodian().seal(deadline(), new, content).await?;
    Ok(Entry::of_changed(found.record.header.clone(), sealed))
}

/// Writes, with the answer for repetitions.
async fn write(
    catalogue: &Catalogue,
    mut entry: Entry,
    header: Header,
    act: &Act,
) -> Result<Header, Error> {
    let outcome = Outcome {
        name: header.name.clone(),
        version: header.version,
        block: None,
        content: None,
    };
    let beside = act.beside(catalogue, &outcome).await?;
    entry.beside.documents.extend(beside.documents);
    entry.beside.answer = beside.answer;
    let ahead = header.activates.into_iter().chain(header.destroys).min();
    if let Some(at) = ahead {
        let due = schedule::due(catalogue, (&header.tenant, &header.name), at).await?;
        entry.beside.documents.push(due);
    }
    ledger::write(catalogue, entry).await?;
    Ok(header)
}

/// Which states may follow which. Active is never left but for retiring or disabled; a version that
/// retires comes back to producing only when it is activated on purpose, which is the way back from
/// a rotation.
const fn follows(from: State, to: State) -> bool {
    matches!(
        (from, to),
        (State::Pending, State::Active | State::Disabled)
            | (State::Active, State::Retiring | State::Disabled)
            | (State::Retiring, State::Active | State::Disabled)
            | (State::Disabled, State::Active | State::Retiring)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_follows_itself_and_nothing_follows_destroyed() {
        for state in State::ALL {
            assert!(!follows(*state, *state));
            assert!(!follows(State::Destroyed, *state));
            assert!(
                !follows(State::Destroying, *state),
                "restoring is its own call"
            );
            assert!(!follows(*state, State::Pending));
            assert!(
                !follows(*state, State::Destroyed),
                "only the sweep does that"
            );
            assert!(
                !follows(*state, State::Destroying),
                "destroying is its own call"
            );
        }
        assert!(
            follows(State::Retiring, State::Active),
            "the way back from a rotation"
        );
        assert!(follows(State::Active, State::Disabled));
    }
}
