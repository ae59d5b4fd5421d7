//! What this token has of the allow-list, and its maker's peculiarities, read once when it is
//! opened. A list says what a token claims; the trial, where one was made, says what it does.

mod vendor;

use std::sync::Arc;

use cryptoki::slot::Slot;

use crate::hsm::error::Error;
use crate::hsm::mechanism::{Allowed, MechanismReport, SmMechanism, SmReport, Use};
use crate::hsm::module::Loaded;
use crate::hsm::slot;
use crate::hsm::trial::Trial;

pub use vendor::ProfileChoice;
pub(in crate::hsm) use vendor::Vendor;

/// The token's peculiarities.
#[derive(Clone)]
pub(in crate::hsm) struct Profile {
    /// RFC 5649 key wrap by this token's number for it.
    pub kwp: Allowed,
    /// The allow-list, row by row.
    pub mechanisms: Vec<MechanismReport>,
    /// What its make has numbers for.
    pub sm: Vec<SmReport>,
    vendor: Option<Arc<Vendor>>,
}

impl Profile {
    /// Asks the token for its mechanism list (raw: cryptoki hides those it does not know).
    pub fn read(
        loaded: &Loaded,
        slot: Slot,
        choice: Option<&ProfileChoice>,
    ) -> Result<Self, Error> {
        let info = slot::describe(loaded, slot)?;
        let vendor = Vendor::find(choice, &info.manufacturer, &info.model)?;
        let listed = loaded.calls.mechanism_list(slot)?;
        let mechanisms: Vec<MechanismReport> = Allowed::ALL
            .into_iter()
            .map(|mechanism| MechanismReport {
                mechanism,
                present: listed.contains(&mechanism.raw()),
                works: None,
            })
            .collect();
        let numbers = vendor.iter().flat_map(|vendor| vendor.sm.mechanisms());
        let sm = numbers.map(|(mechanism, number)| SmReport {
            mechanism,
            number,
            present: listed.contains(&number),
            works: None,
        });
        // 0x210A is ambiguous between tokens, so the standard number wins where it exists. A token
        // that means PKCS #7 by 0x210A refuses our wrapped keys: RFC 5649 authenticates.
        let standard = if listed.contains(&Allowed::AesKwp.raw()) {
            Allowed::AesKwp
        } else {
            Allowed::AesKwpAt210A
        };
        let kwp = vendor.as_ref().and_then(|vendor| vendor.kwp());
        Ok(Self {
            kwp: kwp.unwrap_or(standard),
            mechanisms,
            sm: sm.collect(),
            vendor,
        })
    }

    /// Refuses a mechanism that the token does not list, or that it was tried with and failed.
    pub fn offers(&self, mechanism: Allowed) -> Result<(), Error> {
        let row = self
            .mechanisms
            .iter()
            .find(|row| row.mechanism == mechanism);
        let offered =
            row.is_some_and(|row| row.present && matches!(row.works, None | Some(Trial::Works)));
        if offered {
            Ok(())
        } else {
            Err(Error::NotOffered(mechanism))
        }
    }

    /// The make's number for a mechanism that the token lists; tried in vain, it is not offered.
    pub fn offers_sm(&self, mechanism: SmMechanism) -> Result<u64, Error> {
        let row = self.sm.iter().find(|row| row.mechanism == mechanism);
        let row = row.ok_or(Error::NoSmNumber(mechanism.name()))?;
        if row.present && matches!(row.works, None | Some(Trial::Works)) {
            Ok(row.number)
        } else {
            Err(Error::SmNotOffered(mechanism))
        }
    }

    /// Its make, where it is known, as (name, source).
    pub fn make(&self) -> Option<(&str, &str)> {
        let vendor = self.vendor.as_ref()?;
        Some((&vendor.name, &vendor.source))
    }

    /// Sessions for symmetric work that its make is fastest with.
    pub fn symmetric_workers(&self) -> Option<usize> {
        self.vendor.as_ref()?.quirks.symmetric_workers
    }

    /// Whether C_UnwrapKey wants the length of a secret key.
    pub fn wants_value_len(&self) -> bool {
        let quirks = self.vendor.as_ref().map(|vendor| &vendor.quirks);
        quirks.is_some_and(|quirks| quirks.value_len_on_unwrap)
    }

    /// The make's number for the type of SM2 keys, and of SM4 keys.
    pub fn sm_key_types(&self) -> [Option<u64>; 2] {
        let numbers = self.vendor.as_ref().map(|vendor| &vendor.sm);
        numbers.map_or([None, None], |sm| [sm.ckk_sm2, sm.ckk_sm4])
    }

    /// The make's number for a mechanism.
    pub fn sm_number(&self, mechanism: SmMechanism) -> Option<u64> {
        let row = self.sm.iter().find(|row| row.mechanism == mechanism);
        row.map(|row| row.number)
    }

    /// What a mechanism is for, if this service may name it to this token.
    pub fn use_of(&self, number: u64) -> Option<Use> {
        let standard = Allowed::ALL.into_iter().find(|row| row.number() == number);
        let sm = self.sm.iter().find(|row| row.number == number);
        match (standard, sm) {
            (Some(allowed), _) => allowed.usage(),
            (None, Some(row)) => row.mechanism.usage(),
            (None, None) => None,
        }
    }
}
