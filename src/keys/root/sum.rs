//! Sums modulo 2^256, by which the multiset hash adds and takes away elements in any order
//! (Clarke, Devadas, van Dijk, Gassend, Suh: Incremental Multiset Hash Functions, ASIACRYPT 2003,
//! MSet-Add-Hash).

/// A number modulo 2^256; limbs from the least significant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::keys) struct Sum([u64; 4]);

impl Sum {
    /// Big-endian, as it is stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        let (words, _) = bytes.as_chunks::<8>();
        for (limb, word) in limbs.iter_mut().zip(words.iter().rev()) {
            *limb = u64::from_be_bytes(*word);
        }
        Self(limbs)
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (word, limb) in words.iter_mut().rev().zip(self.0) {
            *word = limb.to_be_bytes();
        }
        bytes
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut carry = false;
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first | second;
        }
        Self(limbs)
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        // −x = ¬x + 1.
        self.plus(Self(other.0.map(|limb| !limb)))
            .plus(Self([1, 0, 0, 0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_carry_runs_through_every_limb_and_out_at_the_top() {
        let all = Sum::from_bytes([0xFF; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(all.plus(Sum::from_bytes(one)), Sum::default());
        assert_eq!(Sum::default().minus(Sum::from_bytes(one)), all);
    }

    proptest! {
        #[test]
        fn order_is_nothing_and_what_was_added_can_be_taken_away(
            a: [u8; 32], b: [u8; 32], c: [u8; 32],
        ) {
            prop_assert_eq!(Sum::from_bytes(a).to_bytes(), a);
            let [a, b, c] = [a, b, c].map(Sum::from_bytes);
            prop_assert_eq!(a.plus(b).plus(c), c.plus(a).plus(b));
            prop_assert_eq!(a.plus(b).minus(b), a);
            prop_assert_eq!(a.minus(b).plus(b), a);
        }
    }
}
