//! Which counters of one device came before: the highest one, and a window of those just below it
//! (the sliding window of RFC 4303, 3.4.3), so that messages which overtook each other still pass
//! and each passes once.
//!
//! Numbers only. Where they are kept, and whether anybody asks, is decided elsewhere.

use crate::limits::DUKPT_WINDOW_MAX;

/// What is known of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The highest counter so far.
    pub highest: u32,
    /// Bit *i* is set where `highest` − 1 − *i* came too.
    pub below: u64,
}

impl Seen {
    /// After the first counter of a device.
    pub const fn first(counter: u32) -> Self {
        Self {
            highest: counter,
            below: 0,
        }
    }

    /// What is known after `counter` came; none where it came before, or is more than `window` below
    /// the highest: then nobody can tell. With a window of 0 counters only rise.
    pub fn after(self, counter: u32, window: u32) -> Option<Self> {
        if let Some(up) = counter.checked_sub(self.highest).filter(|up| *up > 0) {
            // The old highest becomes one of those below; what is pushed out is forgotten.
            let shifted = self.below.checked_shl(up).unwrap_or(0);
            let old = 1_u64.checked_shl(up - 1).unwrap_or(0);
            return Some(Self {
                highest: counter,
                below: shifted | old,
            });
        }
        let at = (self.highest - counter).checked_sub(1)?;
        if at >= window.min(DUKPT_WINDOW_MAX) {
            return None;
        }
        let bit = 1_u64 << at;
        (self.below & bit == 0).then_some(Self {
            below: self.below | bit,
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    #[test]
    fn without_a_window_counters_only_rise() {
        let mut seen = Seen::first(5);
        assert_eq!(seen.after(5, 0), None);
        assert_eq!(seen.after(4, 0), None);
        seen = seen.after(6, 0).unwrap();
        seen = seen.after(u32::MAX, 0).unwrap();
        assert_eq!(seen.after(u32::MAX, 0), None);
    }

    #[test]
    fn each_counter_within_the_window_passes_once_in_any_order() {
        proptest::proptest!(|(counters in proptest::collection::vec(1_u32..300, 1..200),
                             window in 0_u32..=DUKPT_WINDOW_MAX)| {
            let mut known: Option<Seen> = None;
            let mut passed = BTreeSet::new();
            for counter in counters {
                let highest = passed.last().copied();
                let answer = match known {
                    None => Some(Seen::first(counter)),
                    Some(seen) => seen.after(counter, window),
                };
                // The model keeps every counter that ever passed.
                let expected = highest.is_none_or(|highest| {
                    counter > highest
                        || (highest - counter <= window && !passed.contains(&counter))
                });
                assert_eq!(answer.is_some(), expected, "{counter} after {passed:?}");
                if let Some(seen) = answer {
                    passed.insert(counter);
                    known = Some(seen);
                }
            }
        });
    }
}
