//! A key version's life: pending → active → retiring → disabled. Each step is a new header, sealed
//! again by the token and written in one transaction.
//!
//! Disabling is the stop that can be undone. Destroying, with its waiting period, and rotation are
//! not here.

use crate::keys::attributes::State;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::{Error, Refusal};
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::{self, Entry};
use crate::keys::make::deadline;
use crate::keys::record::Header;
use crate::keys::seal::refusal;

/// Moves one version to another state, and answers its new header. Other processes follow within
/// two polls; this catalogue at once.
///
/// # Errors
/// [`Error::UnknownKey`], [`Error::StateOrder`] where the step is not one of life's,
/// [`Error::RecordRefused`], or what store or token answered.
pub async fn set_state(
    catalogue: &Catalogue,
    tenant: &KeyName,
    name: &KeyName,
    version: u32,
    to: State,
) -> Result<Header, Error> {
    catalogue.poll().await?;
    let records = catalogue
        .records(tenant.as_str(), name.as_str(), deadline())
        .await?;
    let record = records.iter().find(|record| record.id.version == version);
    let record = record.ok_or(Error::UnknownKey)?;
    let (old, content) = catalogue.custodian().open(deadline(), record).await?;
    if !follows(old.state, to) {
        let name = name.to_string();
        return Err(Error::StateOrder {
            name,
            version,
            from: old.state,
            to,
        });
    }
    if record.seals.len() > 1 {
        // The other tokens' seals are over the old header, and only they could renew them.
        return Err(refusal(record, Refusal::SealedForOthers));
    }
    let new = Header {
        state: to,
        state_epoch: old.state_epoch + 1,
        ..old
    };
    let sealed = catalogue
        .custodian()
        .seal(deadline(), &new, &content)
        .await?;
    ledger::write(catalogue, Entry::of_changed(record.header.clone(), sealed)).await?;
    Ok(new)
}

/// Which states may follow which. Active is never left but for retiring or disabled, and a version
/// that retires does not come back to producing but by way of disabled, on purpose.
const fn follows(from: State, to: State) -> bool {
    matches!(
        (from, to),
        (State::Pending, State::Active | State::Disabled)
            | (State::Active, State::Retiring | State::Disabled)
            | (State::Retiring, State::Disabled)
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
            assert!(!follows(*state, State::Pending));
            assert!(
                !follows(*state, State::Destroyed),
                "destroying is not offered"
            );
        }
        assert!(!follows(State::Retiring, State::Active));
        assert!(follows(State::Active, State::Disabled));
    }
}
