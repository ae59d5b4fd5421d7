//! The Visa PIN verification value (Visa PIN Security Program; also ICSF's "Visa-PVV"): eleven
//! digits of PAN, the key's index and the first four digits of the PIN, enciphered; of the result
//! the first four decimal digits, and only where there are too few, letters less ten.
//!
//! The second pass begins again on the left: taking letters on the way is a known mistake. A PVV
//! sees four digits, so a key of this kind takes PINs of four digits only: more of them would look
//! verified and not be.

use core::convert::Infallible;

use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::domain::cipher::{BlockCipher, Tdes};
use crate::domain::pan::Pan;
use crate::domain::pin::Pin;
use crate::domain::pin_verification::{PanTooShort, Reference};
use crate::limits;

/// Digits of a PVV, and of the PINs it verifies.
pub const DIGITS: usize = limits::PVV_DIGITS;
/// Digits of the shortest PAN: eleven and the check digit.
pub const PAN_DIGITS_MIN: usize = PAN_DIGITS + 1;

/// Which of an issuer's key pairs: one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pvki(u8);

impl Pvki {
    /// A digit; none for anything else.
    pub const fn new(digit: u8) -> Option<Self> {
        match digit {
            0..=9 => Some(Self(digit)),
            _ => None,
        }
    }

    /// The digit.
    pub const fn digit(self) -> u8 {
        self.0
    }
}

/// The PVV of the first four digits of a PIN.
///
/// # Errors
/// [`PanTooShort`] below 12 digits.
pub fn generate(key: &Tdes, pvki: Pvki, pan: &Pan, pin: &Pin) -> Result<Reference, PanTooShort> {
    let digits = pan.digits();
    let first = digits
        .len()
        .checked_sub(PAN_DIGITS_MIN)
        .ok_or(PanTooShort)?;
    let account = digits[first..digits.len() - 1]
        .iter()
        .fold(0, |account, digit| (account << 4) | u64::from(*digit));
    let four = (pin.nibbles() >> PIN_SHIFT) & 0xFFFF;
    let input = (account << 20) | (u64::from(pvki.digit()) << 16) | four;
    let mut block = Zeroizing::new(input.to_be_bytes());
    let Ok::<(), Infallible>(()) = key.encrypt_block(&mut block);
    let four = decimalised(u64::from_be_bytes(*block));
    Ok(Reference::of_digits(DIGITS as u64, four << PIN_SHIFT))
}

/// The first four of: the decimal digits in their order, then the letters less ten in theirs.
/// Each nibble's place in that list is computed, not branched on.
fn decimalised(enciphered: u64) -> u64 {
    let nibble = |at: u32| (enciphered >> (60 - 4 * at)) & 0xF;
    let is_letter = |nibble: u64| (nibble >> 3) & ((nibble >> 2) | (nibble >> 1)) & 1;
    let decimals = 16 - (0..16).map(|at| is_letter(nibble(at))).sum::<u64>();
    let (mut decimals_seen, mut letters_seen, mut picked) = (0, 0, 0);
    for at in 0..16 {
        let nibble = nibble(at);
        let letter = is_letter(nibble);
        let place = decimals_seen * (1 - letter) + (decimals + letters_seen) * letter;
        let digit = nibble - 10 * letter;
        for (wanted, shift) in (0u64..).zip([12, 8, 4, 0]) {
            let here = place.ct_eq(&wanted);
            picked |= u64::conditional_select(&0, &(digit << shift), here);
        }
        decimals_seen += 1 - letter;
        letters_seen += letter;
    }
    picked
}

/// Digits of PAN that a PVV binds.
const PAN_DIGITS: usize = 11;
/// Where the first four digits of a PIN end.
const PIN_SHIFT: u32 = 40;

#[cfg(test)]
mod tests {
    use super::decimalised;

    /// As the definition has it: two passes over the digits.
    fn by_two_passes(enciphered: u64) -> u64 {
        let text = format!("{enciphered:016X}");
        let decimals = text.bytes().filter(u8::is_ascii_digit).map(|it| it - b'0');
        let letters = text.bytes().filter(|it| !it.is_ascii_digit());
        let letters = letters.map(|it| it - b'A');
        decimals
            .chain(letters)
            .take(4)
            .fold(0, |four, digit| (four << 4) | u64::from(digit))
    }

    #[test]
    fn letters_count_only_where_decimals_are_too_few_whatever_their_places() {
        for (enciphered, four) in [
            (0x6A77_E65C_FE34_9D60, 0x6776),
            (0xABCD_EFAB_CDEF_ABCD, 0x0123),
            (0xABCD_EF1B_2DEF_A3CD, 0x1230),
            (0xFFFF_FFFF_FFFF_FFF9, 0x9555),
            (0x0123_4567_89AB_CDEF, 0x0123),
        ] {
            assert_eq!(decimalised(enciphered), four, "{enciphered:016X}");
        }
        // A full-period sequence (Knuth's MMIX constants).
        let mut random = 1u64;
        for _ in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mixed = random ^ (random >> 29);
            assert_eq!(decimalised(mixed), by_two_passes(mixed));
            let letters = mixed | 0xAAAA_AAAA_AAAA_AAAA;
            assert_eq!(decimalised(letters), by_two_passes(letters));
        }
    }
}
