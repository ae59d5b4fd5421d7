//! The end of a key: a waiting period that can be called off, and then nothing but the header.
//!
//! What is left says that there was a key, of what kind, and when it went. Its value's seals are
//! overwritten (the store wipes what it frees), its objects in the token destroyed. Copies of the
//! store from before hold it until they go too: the manual says so.

use crate::keys::act::{Act, now};
use crate::keys::attributes::State;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::intent::Intent;
use crate::keys::key_ref::KeyName;
use crate::keys::ledger;
use crate::keys::lifecycle::{
    Found, VersionOf, changed, move_to, next_epoch, open_all, open_one, write,
};
use crate::keys::reconcile;
use crate::keys::record::Header;
use crate::limits;

/// Begins the destruction of a disabled version.
///
/// # Errors
/// [`Error::UnknownKey`]; [`Error::StateOrder`] where it is not disabled; [`Error::TimeRefused`]
/// where the waiting period is out of bounds; or what store or token answered.
pub async fn destroy(
    catalogue: &Catalogue,
    version: VersionOf<'_>,
    waiting_days: u32,
    act: &Act,
) -> Result<Header, Error> {
    let days = limits::DESTROY_WAIT_DAYS..=limits::DESTROY_WAIT_DAYS_MAX;
    if !days.contains(&waiting_days) {
        return Err(Error::TimeRefused {
            field: "waiting_days",
            why: "must be 7 to 365",
        });
    }
    let waiting = u64::from(waiting_days) * limits::DAY_SECONDS;
    step(
        catalogue,
        version,
        (State::Disabled, State::Destroying),
        act,
        |header| {
            header.destroys = Some(now() + waiting);
        },
    )
    .await
}

/// Calls a destruction off within its waiting period; the version is disabled then.
///
/// # Errors
/// [`Error::UnknownKey`]; [`Error::StateOrder`] where no destruction is under way; or what store or
/// token answered.
pub async fn restore(
    catalogue: &Catalogue,
    version: VersionOf<'_>,
    act: &Act,
) -> Result<Header, Error> {
    step(
        catalogue,
        version,
        (State::Destroying, State::Disabled),
        act,
        |header| {
            header.destroys = None;
        },
    )
    .await
}

/// Carries out what is due at `now` of one key: destroys the versions whose waiting period is over,
/// and writes down activations whose moment has come. Answers the headers that changed.
///
/// # Errors
/// What store or token answered. What was done is done; the rest is for the next sweep.
pub async fn sweep(
    catalogue: &Catalogue,
    (tenant, name): (&KeyName, &KeyName),
    now: u64,
) -> Result<Vec<Header>, Error> {
    let mut swept = Vec::new();
    let versions = open_all(catalogue, tenant, name).await?;
    let mut headers = versions.iter().map(|found| &found.header);
    let has_come =
        |header: &Header| header.state == State::Pending && header.state_at(now) == State::Active;
    // The newest that is active serves; that the others have retired is written down with it.
    let serving = |found: &&Found| found.header.state_at(now) == State::Active;
    if headers.any(has_come)
        && let Some(newest) = versions.iter().find(serving)
    {
        let act = Act::operator();
        swept.push(move_to(catalogue, &versions, (newest, State::Active), now, &act).await?);
    }
    for header in versions.into_iter().map(|found| found.header) {
        if header.state == State::Destroying && header.destroys.is_some_and(|at| at <= now) {
            let version = VersionOf {
                tenant,
                name,
                version: header.version,
            };
            swept.push(end(catalogue, version).await?);
        }
    }
    Ok(swept)
}

/// Writes that a version is destroyed, with an intent to destroy its object in the token, and then
/// does that: should this process die between the two, the next one finishes it.
async fn end(catalogue: &Catalogue, version: VersionOf<'_>) -> Result<Header, Error> {
    let found = open_one(catalogue, version).await?;
    let object = match (found.header.token_object, found.content.home()) {
        (Some(object_id), Some(token)) => Some((token, object_id)),
        _ => None,
    };
    let new = Header {
        state: State::Destroyed,
        destroys: None,
        ..next_epoch(&found.header)
    };
    let mut entry = changed(catalogue, &found, &new).await?;
    if let Some((token, object_id)) = object {
        let intent = Intent {
            token,
            object_id,
            usage: new.usage,
            algorithm: new.algorithm,
            record: new.id(),
        };
        entry
            .beside
            .documents
            .push(intent.document(catalogue).await?);
    }
    ledger::write(catalogue, entry).await?;
    if let Some((_, object_id)) = object {
        // The record is what counts; what fails here is done by the next who takes the lock.
        if let Err(error) = reconcile::resolve_one(catalogue, object_id).await {
            let object = hex::encode(object_id);
            tracing::warn!(object, %error, "a destroyed key's object stays in the token for now");
        }
    }
    Ok(new)
}

async fn step(
    catalogue: &Catalogue,
    version: VersionOf<'_>,
    (from, to): (State, State),
    act: &Act,
    edit: impl FnOnce(&mut Header),
) -> Result<Header, Error> {
    let found = open_one(catalogue, version).await?;
    if found.header.state != from {
        return Err(Error::StateOrder {
            name: found.header.name.to_string(),
            version: found.header.version,
            from: found.header.state,
            to,
        });
    }
    let mut new = Header {
        state: to,
        ..next_epoch(&found.header)
    };
    edit(&mut new);
    let entry = changed(catalogue, &found, &new).await?;
    write(catalogue, entry, new, act).await
}
