//! A key in the making: who has entered a component, and what is kept of it. Pure: every step is a
//! function of the draft and of what is handed in.
//!
//! open → one sitting per custodian, in any order → ready → closed by an officer who is none of
//! them. No step leads back: a component is never taken out, changed or used for another key, and an
//! abandoned draft is destroyed.

use serde::{Deserialize, Serialize};

use crate::keys::ceremony::CeremonyFault;
use crate::keys::ceremony::file::CeremonyFile;
use crate::keys::component::{self, ComponentFault, Share};
use crate::keys::key_ref::KeyName;
use crate::limits;
use crate::secret::Secret;

/// What the store keeps of a ceremony while it goes on. Each pad is sealed by itself, so that no
/// sitting opens the pad of another.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct Draft {
    /// Which ceremony, for its minutes.
    pub(in crate::keys) id: String,
    /// When it was opened, seconds since 1970.
    pub(in crate::keys) opened: u64,
    /// On which machine.
    pub(in crate::keys) machine: String,
    /// The text of the file that opened it.
    pub(in crate::keys) file: String,
    /// Who has sat, in order.
    pub(in crate::keys) sittings: Vec<Sitting>,
}

/// What is kept of one sitting.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct Sitting {
    /// Who sat.
    pub(in crate::keys) custodian: String,
    /// When, seconds since 1970.
    pub(in crate::keys) at: u64,
    /// On which machine.
    pub(in crate::keys) machine: String,
    /// The serial number of the package that the component came in.
    pub(in crate::keys) package: String,
    /// The component's check value, hex; none for HMAC keys.
    pub(in crate::keys) check_value: Option<String>,
    /// The component under its pad, hex.
    pub(in crate::keys) masked: String,
    /// The pad, sealed to all of the above, hex. Opened when the ceremony closes.
    pub(in crate::keys) pad: String,
}

impl Sitting {
    /// What its pad is sealed to.
    pub(in crate::keys) fn without_pad(&self) -> Self {
        Self {
            pad: String::new(),
            ..self.clone()
        }
    }
}

impl Draft {
    /// Whether this custodian may sit now.
    pub(in crate::keys) fn admit(
        &self,
        file: &CeremonyFile,
        custodian: &KeyName,
    ) -> Result<(), CeremonyFault> {
        if !file.custodians.contains(custodian) {
            return Err(CeremonyFault::NotACustodian);
        }
        if self.sat(custodian) {
            return Err(CeremonyFault::EnteredAlready);
        }
        Ok(())
    }

    /// Takes a sitting in; the draft is unchanged where it is refused.
    pub(in crate::keys) fn enter(
        &mut self,
        file: &CeremonyFile,
        custodian: &KeyName,
        sitting: Sitting,
    ) -> Result<(), CeremonyFault> {
        self.admit(file, custodian)?;
        let sittings = &self.sittings;
        if sittings.iter().any(|one| one.package == sitting.package) {
            return Err(CeremonyFault::PackageTwice);
        }
        // Equal components have equal check values. Nobody's component is opened to find out.
        let same = |one: &Sitting| one.check_value == sitting.check_value;
        if sitting.check_value.is_some() && sittings.iter().any(same) {
            return Err(CeremonyFault::Component(ComponentFault::Equal));
        }
        self.sittings.push(sitting);
        Ok(())
    }

    /// Whether this officer may close it now.
    pub(in crate::keys) fn may_close(
        &self,
        file: &CeremonyFile,
        officer: &KeyName,
    ) -> Result<(), CeremonyFault> {
        if file.custodians.contains(officer) {
            return Err(CeremonyFault::OfficerIsCustodian);
        }
        match file.custodians.iter().filter(|one| !self.sat(one)).count() {
            0 => Ok(()),
            missing => Err(CeremonyFault::Incomplete(missing)),
        }
    }

    /// The key that the components make, with the pads of the sittings in their order.
    pub(in crate::keys) fn combine(
        &self,
        file: &CeremonyFile,
        pads: &[Secret<Vec<u8>>],
    ) -> Result<Secret<Vec<u8>>, CeremonyFault> {
        let masked: Option<Vec<Vec<u8>>> = self
            .sittings
            .iter()
            .map(|sitting| hex::decode(&sitting.masked).ok())
            .collect();
        let masked = masked.ok_or(CeremonyFault::Component(ComponentFault::Length))?;
        if pads.len() != masked.len() {
            return Err(CeremonyFault::Component(ComponentFault::Count));
        }
        let shares: Vec<Share<'_>> = masked
            .iter()
            .zip(pads)
            .map(|(masked, pad)| Share {
                masked,
                pad: pad.expose_secret(),
            })
            .collect();
        component::combine(file.spec.algorithm, &shares).map_err(CeremonyFault::Component)
    }

    /// What the pad of a sitting is called, so that it opens in no other place.
    pub(in crate::keys) fn pad_title(&self, number: usize) -> String {
        format!("{}/{number}", self.id)
    }

    fn sat(&self, custodian: &KeyName) -> bool {
        self.sittings
            .iter()
            .any(|sitting| sitting.custodian == custodian.as_str())
    }
}

/// A package's serial number: printable ASCII without blanks, of bounded length.
pub(in crate::keys) fn is_serial(text: &str) -> bool {
    (1..=limits::KEYBOARD_LINE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
