//! How often a PIN may be tried (PCI HSM: exhaustive search of PINs): so many wrong ones per card
//! and verification key in a day, and per caller in a minute, counted in the store, so that three
//! servers admit what one does.
//!
//! A try is taken off before it is made and given back where the PIN was right; whatever happens in
//! between, the count errs on the side of fewer tries. The PAN is kept only as HMACs under the
//! `pan-index` of each token: the highest of their counts holds, and all are raised to it, so that a
//! token that takes over knows what was tried. The PIN of a card may have several keys; each has its
//! own budget.

use std::time::Instant;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::pan::Pan;
use crate::hsm::Token;
use crate::keys::act::now;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::make::deadline;
use crate::limits;
use crate::store::budget::{Budget, Reservation};

/// How many tries there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRules {
    /// Wrong PINs of one PAN under one key in a day (UTC); references made of it, separately.
    pub pan_failures_day: u32,
    /// Wrong PINs of one caller in a minute.
    pub caller_failures_minute: u32,
}

impl Default for BudgetRules {
    fn default() -> Self {
        Self {
            pan_failures_day: limits::PAN_FAILURES_DAY,
            caller_failures_minute: limits::CALLER_FAILURES_MINUTE,
        }
    }
}

/// Whose try it is, and of what.
#[derive(Clone, Copy)]
pub struct Try<'a> {
    /// The caller's tenant.
    pub tenant: &'a str,
    /// The caller.
    pub caller: &'a str,
    /// The verification key's name; of one in a block, the name of the key that opened it, so that
    /// the same key in many blocks has one budget.
    pub key: &'a str,
    /// The card.
    pub pan: &'a Pan,
}

/// A try that is taken off. Dropped, it stays so.
#[must_use = "a try stays taken off until it is given back"]
pub struct Reserved {
    budgets: Vec<Budget>,
}

impl Reserved {
    /// Takes one try off the card's budget and the caller's.
    ///
    /// # Errors
    /// [`Error::BudgetSpent`]; or what store or token answered.
    pub async fn for_verification(
        catalogue: &Catalogue,
        rules: BudgetRules,
        of: Try<'_>,
        until: Instant,
    ) -> Result<Self, Error> {
        let now = now();
        let card = Budget {
            subjects: card(catalogue, VERIFICATION, of, until).await?,
            ends: end_of(DAY, now),
            most: rules.pan_failures_day,
        };
        let caller = Budget {
            subjects: vec![caller(of)],
            ends: end_of(MINUTE, now),
            most: rules.caller_failures_minute,
        };
        Self::of(catalogue, vec![card, caller], now, until).await
    }

    /// Takes one off the card's budget of references: whoever knows a reference and may have one
    /// made of a guess has verified it.
    ///
    /// # Errors
    /// As [`Reserved::for_verification`].
    pub async fn for_reference(
        catalogue: &Catalogue,
        rules: BudgetRules,
        of: Try<'_>,
        until: Instant,
    ) -> Result<Self, Error> {
        let now = now();
        let card = Budget {
            subjects: card(catalogue, REFERENCE, of, until).await?,
            ends: end_of(DAY, now),
            most: rules.pan_failures_day,
        };
        Self::of(catalogue, vec![card], now, until).await
    }

    /// Gives the try back: the PIN was right. It need not be durable before the answer: a crash
    /// leaves one try fewer.
    pub fn give_back(self, catalogue: &Catalogue) {
        let returned = catalogue.store().give_back(deadline(), self.budgets, now());
        drop(returned);
    }

    async fn of(
        catalogue: &Catalogue,
        budgets: Vec<Budget>,
        now: u64,
        until: Instant,
    ) -> Result<Self, Error> {
        let reserved = catalogue.store().reserve(until, budgets.clone(), now);
        match reserved.await? {
            Reservation::Taken => Ok(Self { budgets }),
            Reservation::Refused => Err(Error::BudgetSpent),
        }
    }
}

/// The card's budget: HMACs under every token's `pan-index`, of a digest so that no copy of the PAN is
/// left in a queue. What one token cannot count now, the others do.
async fn card(
    catalogue: &Catalogue,
    purpose: &[u8],
    of: Try<'_>,
    until: Instant,
) -> Result<Vec<[u8; 32]>, Error> {
    let mut digest = Sha256::new();
    for part in [of.tenant.as_bytes(), of.key.as_bytes()] {
        digest.update([u8::try_from(part.len()).unwrap_or(u8::MAX)]);
        digest.update(part);
    }
    of.pan.expose_digits(|digits| digest.update(digits));
    let digest: Zeroizing<[u8; 32]> = Zeroizing::new(digest.finalize().into());
    let message = [purpose, &digest[..]].concat();
    let ask = |token: &Token| token.pan_index(until, message.clone());
    let hashes = catalogue.fleet().every(limits::PAN_INDEX_PATIENCE, ask);
    Ok(hashes.await?.into_iter().map(|(_, hash)| hash).collect())
}

fn caller(of: Try<'_>) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(CALLER);
    digest.update([u8::try_from(of.tenant.len()).unwrap_or(u8::MAX)]);
    digest.update(of.tenant);
    digest.update(of.caller);
    digest.finalize().into()
}

/// When the period around `now` ends.
const fn end_of(period: u64, now: u64) -> u64 {
    (now / period + 1) * period
}

const VERIFICATION: &[u8] = b"pintle pin verification\0";
const REFERENCE: &[u8] = b"pintle pin reference\0";
const CALLER: &[u8] = b"pintle caller of pin verifications\0";
const DAY: u64 = limits::DAY_SECONDS;
const MINUTE: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_after_now_and_within_its_length() {
        for now in [0, 1, 59, 60, 61, 86_399, 86_400, 1_800_000_000] {
            for period in [MINUTE, DAY] {
                let end = end_of(period, now);
                assert!(end > now && end - now <= period && end.is_multiple_of(period));
            }
        }
    }

    #[test]
    fn callers_and_tenants_have_budgets_of_their_own() {
        let pan = Pan::parse("4012345678909").unwrap();
        let of = |tenant, name| {
            caller(Try {
                tenant,
                caller: name,
                key: "pvk",
                pan: &pan,
            })
        };
        assert_ne!(of("a", "bc"), of("ab", "c"));
        assert_ne!(of("a", "b"), of("a", "c"));
        assert_eq!(of("a", "b"), of("a", "b"));
    }
}
