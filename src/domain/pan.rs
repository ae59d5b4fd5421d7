//! The primary account number (ISO/IEC 7812-1), and the fields that PIN blocks bind it by
//! (ISO 9564-1:2017, 9.3.2.3 and 9.4.2.2.3).
//!
//! The check digit is not verified: a PIN block binds whatever number the terminal saw. How many
//! digits a format asks for is `pin_block::pan_length_allowed`.

use zeroize::ZeroizeOnDrop;

use crate::limits::{PAN_DIGITS_MAX, PAN_DIGITS_MIN_BOUND};

/// Cardholder data: 1 to 19 digits, check digit included. Wiped on drop, without `Debug`.
#[derive(ZeroizeOnDrop)]
pub struct Pan {
    /// Values 0 to 9, left-aligned; zero after the last.
    digits: [u8; PAN_DIGITS_MAX],
    length: usize,
}

impl Pan {
    /// Reads 1 to 19 ASCII digits and nothing else.
    pub fn parse(text: &str) -> Result<Self, PanError> {
        let text = text.as_bytes();
        if text.is_empty() || text.len() > PAN_DIGITS_MAX {
            return Err(PanError::Length);
        }
        if !text.iter().all(u8::is_ascii_digit) {
            return Err(PanError::NotDigits);
        }
        let mut pan = Self {
            digits: [0; PAN_DIGITS_MAX],
            length: text.len(),
        };
        for (digit, &character) in pan.digits.iter_mut().zip(text) {
            *digit = character & 0x0F;
        }
        Ok(pan)
    }

    /// The number of digits, 1 to 19.
    #[expect(clippy::len_without_is_empty, reason = "a PAN is never empty")]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// The digits' values, 0 to 9.
    pub(in crate::domain) fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Shows the digits' values, 0 to 9, to `read`.
    pub fn expose_digits<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self.digits())
    }

    /// The PAN field of formats 0 and 3: four zero digits, then the twelve rightmost digits
    /// without the check digit. Refused below 13 digits.
    pub fn field12(&self) -> Result<[u8; 8], PanError> {
        let first = self
            .length
            .checked_sub(PAN_DIGITS_MIN_BOUND)
            .ok_or(PanError::TooShort)?;
        let mut nibbles = [0u8; 16];
        nibbles[4..].copy_from_slice(&self.digits[first..self.length - 1]);
        Ok(pack(&nibbles))
    }

    /// The PAN field of format 4: M‖PAN‖zeros, where M is the number of digits above 12. A
    /// shorter PAN is right-aligned in twelve digits with M = 0.
    pub fn field_format4(&self) -> [u8; 16] {
        const ALIGNED: usize = PAN_DIGITS_MIN_BOUND - 1;
        let mut nibbles = [0u8; 32];
        let start = 1 + ALIGNED.saturating_sub(self.length);
        nibbles[start..start + self.length].copy_from_slice(&self.digits[..self.length]);
        // 0 to 7: cannot miss.
        nibbles[0] = u8::try_from(self.length.saturating_sub(ALIGNED)).unwrap_or_default();
        pack(&nibbles)
    }
}

impl Pan {
    /// The PAN field of format 4 where only the twelve rightmost digits without the check digit
    /// are bound: zero, those digits, zeros, as if they were a whole PAN of twelve. Refused below
    /// 13 digits.
    pub fn field_format4_of_12(&self) -> Result<[u8; 16], PanError> {
        let twelve = u128::from(u64::from_be_bytes(self.field12()?));
        Ok((twelve << FORMAT_4_SHIFT).to_be_bytes())
    }
}

/// A PAN that will not do: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PanError {
    /// Not 1 to 19 characters.
    #[error("a PAN has 1 to 19 digits")]
    Length,
    /// A character that is not 0 to 9.
    #[error("a PAN has digits only")]
    NotDigits,
    /// Fewer than 13 digits where a format binds twelve and skips the check digit.
    #[error("formats that bind twelve digits need a PAN of at least 13")]
    TooShort,
}

/// From the lower 48 bits to behind the first nibble of sixteen bytes.
const FORMAT_4_SHIFT: u32 = 128 - 4 - 48;

/// Two nibbles to a byte, the first one high.
fn pack<const NIBBLES: usize, const BYTES: usize>(nibbles: &[u8; NIBBLES]) -> [u8; BYTES] {
    const { assert!(NIBBLES == 2 * BYTES) };
    let (pairs, _) = nibbles.as_chunks::<2>();
    let mut bytes = [0u8; BYTES];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (high << 4) | low;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Pan, PanError};

    fn nibbles(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn digits(length: usize) -> String {
        "9876543210".chars().cycle().take(length).collect()
    }

    #[test]
    fn a_pan_is_1_to_19_digits() {
        for length in 0..=25 {
            let parsed = Pan::parse(&digits(length));
            assert_eq!(
                parsed.as_ref().map(Pan::len).ok(),
                (1..=19).contains(&length).then_some(length)
            );
        }
        for text in ["12 4", "123A", "-123", "١٢٣٤", "1234\0", "12\u{1F600}"] {
            assert_eq!(Pan::parse(text).err(), Some(PanError::NotDigits));
        }
    }

    #[test]
    fn formats_0_and_3_bind_the_12_digits_left_of_the_check_digit() {
        for length in 1..=19 {
            let text = digits(length);
            let field = Pan::parse(&text)
                .unwrap()
                .field12()
                .map(|field| nibbles(&field));
            match length {
                0..13 => assert_eq!(field, Err(PanError::TooShort)),
                _ => assert_eq!(field, Ok(format!("0000{}", &text[length - 13..length - 1]))),
            }
        }
    }

    #[test]
    fn the_twelve_digit_form_of_format_4_is_format_4_of_those_digits_alone() {
        for length in 1..=19 {
            let text = digits(length);
            let field = Pan::parse(&text).unwrap().field_format4_of_12();
            let twelve = length.checked_sub(13).map(|start| &text[start..length - 1]);
            let expected = twelve.map(|twelve| Pan::parse(twelve).unwrap().field_format4());
            assert_eq!(field, expected.ok_or(PanError::TooShort));
        }
    }

    #[test]
    fn format_4_binds_the_whole_pan_behind_its_length() {
        for length in 1..=19 {
            let text = digits(length);
            let expected = format!("{}{text:0>12}", length.saturating_sub(12));
            let field = Pan::parse(&text).unwrap().field_format4();
            assert_eq!(nibbles(&field), format!("{expected:0<32}"));
        }
    }
}
