//! What this token has of the allow-list, read once when it is opened.
//! Lists only: whether a listed mechanism works is the probe's to say (SoftHSM lists some that
//! do not).

use cryptoki::slot::Slot;

use crate::hsm::error::Error;
use crate::hsm::mechanism::{Allowed, MechanismReport};
use crate::hsm::raw::Calls;

/// The token's peculiarities.
#[derive(Clone)]
pub(in crate::hsm) struct Profile {
    /// RFC 5649 key wrap by this token's number for it.
    pub kwp: Allowed,
    /// The allow-list, row by row.
    pub mechanisms: Vec<MechanismReport>,
}

impl Profile {
    /// Asks the token for its mechanism list (raw: cryptoki hides those it does not know).
    pub fn read(calls: &Calls, slot: Slot) -> Result<Self, Error> {
        let listed = calls.mechanism_list(slot)?;
        let mechanisms: Vec<MechanismReport> = Allowed::ALL
            .into_iter()
            .map(|mechanism| MechanismReport {
                mechanism,
                present: listed.contains(&mechanism.raw()),
            })
            .collect();
        // 0x210A is ambiguous between tokens, so the standard number wins where it exists. A token
        // that means PKCS #7 by 0x210A refuses our wrapped keys: RFC 5649 authenticates.
        let kwp = if listed.contains(&Allowed::AesKwp.raw()) {
            Allowed::AesKwp
        } else {
            Allowed::AesKwpAt210A
        };
        Ok(Self { kwp, mechanisms })
    }

    /// Refuses a mechanism that the token does not list.
    pub fn offers(&self, mechanism: Allowed) -> Result<(), Error> {
        let listed = |row: &MechanismReport| row.mechanism == mechanism && row.present;
        if self.mechanisms.iter().any(listed) {
            Ok(())
        } else {
            Err(Error::NotOffered(mechanism))
        }
    }
}
