//! The PIN field that all formats share: control, length, digits, fill; sixteen nibbles in one
//! number (ISO 9564-1:2017, 9.3.2.2, 9.3.3, 9.3.5.2 and 9.4.2.2.2).
//!
//! Everything here is arithmetic on that number, without a branch or a table that depends on it:
//! a bad field costs what a good one costs.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use zeroize::ZeroizeOnDrop;

use crate::domain::pin::Pin;
use crate::domain::pin_block::{ClearPinBlock, Rejected};

/// What a format puts around the digits.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// The first nibble (9.3.1).
    pub(super) control: u64,
    /// What follows the digits.
    pub(super) fill: Fill,
}

impl Layout {
    /// The fill, one nibble for every place where it may stand; `random` is for the formats that
    /// need it.
    pub(super) fn fill_digits(self, random: &[u8; 8]) -> u64 {
        match self.fill {
            Fill::F => u64::MAX,
            Fill::A => TENS,
            Fill::AToF => six_values(u64::from_be_bytes(*random)),
            Fill::Any => u64::from_be_bytes(*random),
        }
    }
}

/// The fill of a format.
#[derive(Clone, Copy)]
pub(super) enum Fill {
    /// Every nibble is F.
    F,
    /// Every nibble is A.
    A,
    /// Every nibble is one of A to F.
    AToF,
    /// Not looked at.
    Any,
}

impl Fill {
    /// Whether the nibbles of `field` that `mask` covers are this fill.
    fn matches(self, field: u64, mask: u64) -> Choice {
        match self {
            Self::F => (!field & mask).ct_eq(&0),
            Self::A => ((field ^ TENS) & mask).ct_eq(&0),
            Self::AToF => (above_nine(field) & mask).ct_eq(&(TOP_BITS & mask)),
            Self::Any => Choice::from(1),
        }
    }
}

/// Control, length, digits and fill of a clear PIN, wiped on drop.
#[derive(ZeroizeOnDrop)]
pub(super) struct PinField(u64);

impl PinField {
    /// Lays digits out; of `fill`, one nibble per place, what stands behind the digits is used.
    pub(super) fn compose(layout: Layout, content: &Content, fill: u64) -> Self {
        let mask = fill_mask(length_of(content.0));
        Self((layout.control << CONTROL_SHIFT) | content.0 | (fill & mask))
    }

    /// Checks control, length (4 to 12) and fill, **not the digits**. What it gives is well-formed
    /// whether or not the field was: a length out of range becomes 4.
    pub(super) fn reframe(&self, layout: Layout) -> (Content, Choice) {
        let length = length_of(self.0);
        let in_range = !length.ct_gt(&LENGTH_MAX) & !LENGTH_MIN.ct_gt(&length);
        let length = u64::conditional_select(&LENGTH_MIN, &length, in_range);
        let mask = fill_mask(length);
        let valid = (self.0 >> CONTROL_SHIFT).ct_eq(&layout.control)
            & in_range
            & layout.fill.matches(self.0, mask);
        (
            Content((length << LENGTH_SHIFT) | (self.0 & DIGITS & !mask)),
            valid,
        )
    }

    /// Checks what [`reframe`](Self::reframe) checks and that every digit is one.
    pub(super) fn decode(&self, layout: Layout) -> Result<Pin, Rejected> {
        self.decode_beside(layout, Choice::from(1))
    }

    /// The same, of a field whose block is good only if `rest` says so too.
    pub(super) fn decode_beside(&self, layout: Layout, rest: Choice) -> Result<Pin, Rejected> {
        match self.decode_always(layout, rest) {
            (pin, sound) if bool::from(sound) => Ok(pin),
            _ => Err(Rejected),
        }
    }

    /// The same, with a PIN to go on working with where the field is not sound: its digits may then
    /// be none.
    pub(super) fn decode_always(&self, layout: Layout, rest: Choice) -> (Pin, Choice) {
        let (content, valid) = self.reframe(layout);
        let decimal = (above_nine(content.0) & DIGITS).ct_eq(&0);
        (Pin::from_checked_nibbles(content.0), valid & decimal & rest)
    }

    /// The clear block of formats 0 and 3: the PIN field ⊕ the PAN field.
    pub(super) fn bind(&self, pan_field: &[u8; 8]) -> ClearPinBlock<8> {
        ClearPinBlock((self.0 ^ u64::from_be_bytes(*pan_field)).to_be_bytes())
    }

    /// The inverse of [`bind`](Self::bind).
    pub(super) fn unbind(block: &ClearPinBlock<8>, pan_field: &[u8; 8]) -> Self {
        Self(u64::from_be_bytes(block.0) ^ u64::from_be_bytes(*pan_field))
    }
}

/// What a block held: its PIN field, and whether all that stands beside the field is as it must be.
pub(super) struct Opened {
    pub(super) field: PinField,
    pub(super) rest: Choice,
}

impl From<PinField> for Opened {
    /// A field beside which nothing stands, or nothing that says anything.
    fn from(field: PinField) -> Self {
        let rest = Choice::from(1);
        Self { field, rest }
    }
}

/// The length and the digits of a PIN field, digits unchecked, wiped on drop: zero, the length,
/// the digits, zeros.
#[derive(ZeroizeOnDrop)]
pub(super) struct Content(u64);

impl Content {
    pub(super) const fn of(pin: &Pin) -> Self {
        Self(pin.nibbles())
    }
}

/// One nibble of A to F for each of the ten places that fill can take, from 64 random bits.
///
/// The upper 61 bits are read as a fraction of one, whose first ten digits in base six are
/// taken. Each of the 6¹⁰ outcomes comes from ⌊2⁶¹/6¹⁰⌋ or one more of the 2⁶¹ fractions, so its
/// probability is off by less than 6¹⁰/2⁶¹ < 2⁻³⁵ of itself.
fn six_values(random: u64) -> u64 {
    let mut fraction = random >> (64 - FRACTION_BITS);
    let mut digits = 0;
    for _ in 0..FILL_PLACES {
        let product = fraction * 6;
        digits = (digits << 4) | (10 + (product >> FRACTION_BITS));
        fraction = product & ((1 << FRACTION_BITS) - 1);
    }
    digits
}

/// The places behind `length` digits, `length` from 4 to 12.
const fn fill_mask(length: u64) -> u64 {
    u64::MAX >> (8 + 4 * length)
}

const fn length_of(field: u64) -> u64 {
    (field >> LENGTH_SHIFT) & 0xF
}

/// The top bit of every nibble above nine: 8 is set and 4 or 2 is.
const fn above_nine(nibbles: u64) -> u64 {
    nibbles & ((nibbles << 1) | (nibbles << 2)) & TOP_BITS
}

const CONTROL_SHIFT: u32 = 60;
const LENGTH_SHIFT: u32 = 56;
/// ISO 9564-1:2017, 8.1; `limits::PIN_DIGITS_MIN` and `MAX` in the type of this arithmetic.
const LENGTH_MIN: u64 = 4;
const LENGTH_MAX: u64 = 12;
/// All places but control and length.
const DIGITS: u64 = u64::MAX >> 8;
const TENS: u64 = 0xAAAA_AAAA_AAAA_AAAA;
const TOP_BITS: u64 = 0x8888_8888_8888_8888;
/// Places behind the shortest PIN.
const FILL_PLACES: u64 = 14 - LENGTH_MIN;
/// The widest fraction whose sixfold fits 64 bits.
const FRACTION_BITS: u32 = 61;

#[cfg(test)]
mod tests {
    use super::{Fill, Layout, above_nine, six_values};
    use crate::limits::{PIN_DIGITS_MAX, PIN_DIGITS_MIN};

    #[test]
    fn the_lengths_are_those_of_the_limits() {
        assert_eq!(u64::try_from(PIN_DIGITS_MIN), Ok(super::LENGTH_MIN));
        assert_eq!(u64::try_from(PIN_DIGITS_MAX), Ok(super::LENGTH_MAX));
    }

    #[test]
    fn above_nine_marks_exactly_the_nibbles_above_nine() {
        for value in 0..16u64 {
            for neighbour in [0, 9, 15] {
                let nibbles = (neighbour << 8) | (value << 4) | neighbour;
                assert_eq!(above_nine(nibbles) & 0x80 != 0, value > 9, "{nibbles:03X}");
            }
        }
    }

    #[test]
    fn random_fill_is_a_to_f_and_every_value_is_as_likely() {
        let mut seen = [[0u32; 6]; 10];
        let mut random = 1u64;
        let rounds = 60_000u32;
        for _ in 0..rounds {
            // A full-period sequence (Knuth's MMIX constants); its top bits are what is read.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let fill = six_values(random);
            assert_eq!(fill >> 40, 0, "ten places");
            for (place, counts) in seen.iter_mut().enumerate() {
                let nibble = usize::try_from((fill >> (4 * place)) & 0xF).unwrap();
                counts[nibble - 10] += 1;
            }
        }
        for counts in seen.as_flattened() {
            let expected = rounds / 6;
            assert!(counts.abs_diff(expected) < expected / 20, "{seen:?}");
        }
    }

    #[test]
    fn the_ends_of_the_random_numbers_give_the_ends_of_the_fill() {
        assert_eq!(six_values(0), super::TENS & 0xFF_FFFF_FFFF);
        assert_eq!(six_values(u64::MAX), 0xFF_FFFF_FFFF);
    }

    #[test]
    fn each_layout_accepts_the_fill_it_makes() {
        for fill in [Fill::F, Fill::A, Fill::AToF, Fill::Any] {
            let layout = Layout { control: 0, fill };
            for byte in [0x00, 0x5A, 0xC3, 0xFF] {
                let digits = layout.fill_digits(&[byte; 8]);
                for length in super::LENGTH_MIN..=super::LENGTH_MAX {
                    assert!(bool::from(fill.matches(digits, super::fill_mask(length))));
                }
            }
        }
    }
}
