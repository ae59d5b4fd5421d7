//! What is going to happen to the keys in use: a pending version that becomes active at its moment, a
//! crypto-period that ends. For whoever watches over them; nothing here makes it happen.

use crate::keys::act::now;
use crate::keys::catalogue::Catalogue;
use crate::keys::open_key::OpenKey;
use crate::limits;

/// One thing to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coming {
    /// Seconds from now; none are left where it is over.
    pub seconds: u64,
    /// The key.
    pub key: String,
    /// The version that is used now.
    pub version: u32,
}

/// When a newer version of a key becomes active by itself, the soonest first: of the keys that this
/// server has open, at most [`limits::COUNTDOWN_SERIES_MAX`].
pub fn activations(catalogue: &Catalogue) -> Vec<Coming> {
    coming(catalogue, |open| {
        Some(open.holds_until()).filter(|until| *until != u64::MAX)
    })
}

/// When crypto-periods end; as [`activations`].
pub fn expiries(catalogue: &Catalogue) -> Vec<Coming> {
    coming(catalogue, |open| open.header().expiry)
}

fn coming(catalogue: &Catalogue, moment: impl Fn(&OpenKey) -> Option<u64>) -> Vec<Coming> {
    let now = now();
    let mut coming = catalogue.each_open(|open| {
        Some(Coming {
            seconds: moment(open)?.saturating_sub(now),
            key: open.header().name.to_string(),
            version: open.header().version,
        })
    });
    coming.sort_unstable();
    coming.truncate(limits::COUNTDOWN_SERIES_MAX);
    coming
}
