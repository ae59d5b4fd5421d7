//! A clear PIN: 4 to 12 decimal digits (ISO 9564-1:2017, 8.1).
//!
//! It exists inside this process only, between two encipherments. It has no `Debug`, `Clone` or
//! `==`; two of them are compared by [`Pin::ct_eq`]. PIN verification values stand in
//! `domain::pin_verification`.

use subtle::{Choice, ConstantTimeEq};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::limits::{PIN_DIGITS_MAX, PIN_DIGITS_MIN};

/// A clear PIN, wiped on drop.
#[derive(ZeroizeOnDrop)]
pub struct Pin {
    /// Sixteen nibbles, first one high: zero, the length, the digits, zeros.
    nibbles: u64,
}

impl Pin {
    /// Reads 4 to 12 ASCII digits and nothing else.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let text = text.as_bytes();
        if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&text.len()) {
            return Err(PinError::Length);
        }
        if !text.iter().all(u8::is_ascii_digit) {
            return Err(PinError::NotDigits);
        }
        let length = u64::try_from(text.len()).map_err(|_| PinError::Length)?;
        let mut pin = Self {
            nibbles: length << LENGTH_SHIFT,
        };
        for (i, &character) in (1u32..).zip(text) {
            pin.nibbles |= u64::from(character & 0x0F) << (LENGTH_SHIFT - 4 * i);
        }
        Ok(pin)
    }

    /// Draws a PIN of so many digits from random bytes, every PIN as likely: bytes from 250 on are
    /// passed over, because ten does not divide 256. None where the bytes are too few, or the length
    /// is not one of a PIN.
    pub fn draw(digits: usize, random: &[u8]) -> Option<Self> {
        if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&digits) {
            return None;
        }
        let mut pin = Self {
            nibbles: u64::try_from(digits).ok()? << LENGTH_SHIFT,
        };
        let mut fair = random.iter().filter(|byte| **byte < FAIR_BYTES);
        for place in (1u32..).take(digits) {
            let digit = fair.next()? % 10;
            pin.nibbles |= u64::from(digit) << (LENGTH_SHIFT - 4 * place);
        }
        Some(pin)
    }

    /// Takes nibbles that the caller has checked: zero, a length of 4 to 12, that many digits,
    /// zeros.
    pub(in crate::domain) const fn from_checked_nibbles(nibbles: u64) -> Self {
        Self { nibbles }
    }

    /// Zero, the length, the digits, zeros: the beginning of every PIN field.
    pub(in crate::domain) const fn nibbles(&self) -> u64 {
        self.nibbles
    }

    /// The number of digits, 4 to 12.
    #[expect(clippy::len_without_is_empty, reason = "a PIN is never empty")]
    pub fn len(&self) -> usize {
        // A nibble: cannot miss.
        usize::try_from((self.nibbles >> LENGTH_SHIFT) & 0xF).unwrap_or_default()
    }

    /// Shows the digits in ASCII to `read` and wipes them.
    pub fn expose_digits<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        let mut digits = Zeroizing::new([0u8; PIN_DIGITS_MAX]);
        for (i, digit) in (1u32..).zip(digits.iter_mut()) {
            let nibble = self.nibbles >> (LENGTH_SHIFT - 4 * i) & 0xF;
            *digit = b'0' | u8::try_from(nibble).unwrap_or_default();
        }
        read(&digits[..self.len()])
    }
}

impl ConstantTimeEq for Pin {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.nibbles.ct_eq(&other.nibbles)
    }
}

/// A text that is not a PIN: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Not 4 to 12 characters.
    #[error("a PIN has 4 to 12 digits")]
    Length,
    /// A character that is not 0 to 9.
    #[error("a PIN has digits only")]
    NotDigits,
}

/// The length stands in the second nibble.
const LENGTH_SHIFT: u32 = 56;
/// The largest multiple of ten that a byte can count.
const FAIR_BYTES: u8 = 250;

#[cfg(test)]
mod tests {
    use subtle::ConstantTimeEq;

    use super::{Pin, PinError};

    #[test]
    fn a_pin_is_4_to_12_digits() {
        for length in 0..=16 {
            let text: String = "9081726354".chars().cycle().take(length).collect();
            match Pin::parse(&text) {
                Ok(pin) => {
                    assert!((4..=12).contains(&length));
                    assert_eq!(pin.len(), length);
                    assert!(pin.expose_digits(|digits| digits == text.as_bytes()));
                }
                Err(error) => {
                    assert_eq!(error, PinError::Length);
                    assert!(!(4..=12).contains(&length));
                }
            }
        }
        for text in ["123A", "12 4", "123:", "123/", "１２"] {
            assert_eq!(Pin::parse(text).err(), Some(PinError::NotDigits));
        }
    }

    #[test]
    fn a_drawn_pin_passes_over_bytes_that_would_favour_a_digit() {
        let digits = |pin: &Pin| pin.expose_digits(<[u8]>::to_vec);
        let drawn = Pin::draw(4, &[250, 0, 255, 249, 17, 251, 38, 9]).unwrap();
        assert_eq!(digits(&drawn), b"0978");
        assert!(Pin::draw(4, &[1, 2, 3, 250]).is_none(), "too few bytes");
        for length in [0, 3, 13] {
            assert!(Pin::draw(length, &[1; 64]).is_none());
        }
        // Of all bytes there are, every digit comes of as many.
        let mut counts = [0; 10];
        for byte in 0..=u8::MAX {
            if let Some(pin) = Pin::draw(4, &[byte; 4]) {
                counts[usize::from(digits(&pin)[0] - b'0')] += 1;
            }
        }
        assert_eq!(counts, [25; 10]);
    }

    #[test]
    fn two_pins_are_equal_when_length_and_digits_are() {
        let equal =
            |a: &str, b: &str| bool::from(Pin::parse(a).unwrap().ct_eq(&Pin::parse(b).unwrap()));
        assert!(equal("1234", "1234"));
        assert!(!equal("1234", "1235"));
        assert!(!equal("1234", "12340"), "a zero more is another PIN");
    }
}
