//! IBM 3624 (ICSF, "3624 PIN generation" and "3624 PIN offset"): validation data of the PAN,
//! enciphered and decimalised, are the natural PIN; the offset is what the cardholder's PIN has
//! more than that, digit by digit modulo ten.
//!
//! PIN length and check length are one number, fixed by the key's policy and never below four: a
//! check of one digit tells a PIN digit by digit.

use core::convert::Infallible;

use zeroize::Zeroizing;

use crate::domain::cipher::{BlockCipher, Tdes};
use crate::domain::pan::Pan;
use crate::domain::pin::Pin;
use crate::domain::pin_verification::decimalisation::DecimalisationTable;
use crate::domain::pin_verification::{PanTooShort, Reference, digit, placed};
use crate::limits::{
    PAN_DIGITS_MAX, PIN_DIGITS_MAX, PIN_DIGITS_MIN, VALIDATION_DIGITS_MAX, VALIDATION_DIGITS_MIN,
};

/// How long PINs are and what of the PAN they depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pin_digits: u8,
    validation: Validation,
}

impl Rule {
    /// PINs, and checks, of so many digits.
    ///
    /// # Errors
    /// [`PinDigits`] outside 4 to 12.
    pub fn new(pin_digits: u8, validation: Validation) -> Result<Self, PinDigits> {
        if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&usize::from(pin_digits)) {
            return Err(PinDigits);
        }
        Ok(Self {
            pin_digits,
            validation,
        })
    }

    /// Digits of a PIN, and of its check.
    pub const fn pin_digits(self) -> usize {
        self.pin_digits as usize
    }

    /// The validation data.
    pub const fn validation(self) -> Validation {
        self.validation
    }
}

/// The caller's: no length of PINs, or of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PINs, and their checks, have 4 to 12 digits")]
pub struct PinDigits;

/// Which digits of the PAN are the validation data, and what fills them up to sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validation {
    first: u8,
    digits: u8,
    pad: u8,
}

impl Validation {
    /// `digits` digits of PAN from the place `first` (1 is the leftmost), then the hexadecimal digit
    /// `pad`.
    ///
    /// # Errors
    /// [`ValidationError`].
    pub fn new(first: u8, digits: u8, pad: u8) -> Result<Self, ValidationError> {
        let (from, count) = (usize::from(first), usize::from(digits));
        if from == 0 || from > PAN_DIGITS_MAX {
            return Err(ValidationError::First);
        }
        // Fewer would verify one card's PIN for many others.
        let fits = (VALIDATION_DIGITS_MIN..=VALIDATION_DIGITS_MAX).contains(&count)
            && from + count - 1 <= PAN_DIGITS_MAX;
        if !fits {
            return Err(ValidationError::Digits);
        }
        if pad > 0xF {
            return Err(ValidationError::Pad);
        }
        Ok(Self { first, digits, pad })
    }

    /// Place, number and filling, as [`Validation::new`] takes them.
    pub const fn parts(self) -> (u8, u8, u8) {
        (self.first, self.digits, self.pad)
    }

    /// Digits of the shortest PAN.
    pub const fn pan_digits_min(self) -> usize {
        // Neither is zero.
        self.first as usize + self.digits as usize - 1
    }

    /// The validation data of a PAN.
    ///
    /// # Errors
    /// [`PanTooShort`].
    pub fn of(self, pan: &Pan) -> Result<Zeroizing<[u8; 8]>, PanTooShort> {
        let first = usize::from(self.first) - 1;
        let taken = pan.digits().get(first..self.pan_digits_min());
        let taken = taken.ok_or(PanTooShort)?.iter().copied();
        let filled = taken.chain(std::iter::repeat(self.pad)).take(16);
        let nibbles = filled.fold(0u64, |nibbles, digit| (nibbles << 4) | u64::from(digit));
        Ok(Zeroizing::new(nibbles.to_be_bytes()))
    }
}

/// The operator's: no validation data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// Not a place of a PAN.
    #[error("the first digit is 1 to 19")]
    First,
    /// Too few digits, too many, or beyond the longest PAN.
    #[error("validation data take 10 to 16 digits that a PAN has")]
    Digits,
    /// No hexadecimal digit.
    #[error("the pad is a hexadecimal digit")]
    Pad,
}

/// The PIN of a PAN whose offset is zeros.
///
/// # Errors
/// [`PanTooShort`].
pub fn natural_pin(
    key: &Tdes,
    table: &DecimalisationTable,
    rule: Rule,
    pan: &Pan,
) -> Result<Pin, PanTooShort> {
    let validation = rule.validation.of(pan)?;
    Ok(natural_pin_of(key, table, &validation, rule.pin_digits))
}

/// The natural PIN of given validation data. A length outside 4 to 12 becomes the nearest.
pub fn natural_pin_of(
    key: &Tdes,
    table: &DecimalisationTable,
    validation: &[u8; 8],
    pin_digits: u8,
) -> Pin {
    let mut block = Zeroizing::new(*validation);
    let Ok::<(), Infallible>(()) = key.encrypt_block(&mut block);
    let enciphered = u64::from_be_bytes(*block);
    let length = u64::from(pin_digits).clamp(PIN_DIGITS_MIN as u64, PIN_DIGITS_MAX as u64);
    let digits = each_place(length, |place| table.of(enciphered >> (64 - 4 * place)));
    Pin::from_checked_nibbles(Reference::of_digits(length, digits).nibbles())
}

/// What `pin` has more than `natural`, for as many digits as `natural` has.
pub fn offset(natural: &Pin, pin: &Pin) -> Reference {
    let length = natural.nibbles() >> 56;
    let digits = each_place(length, |place| {
        (digit(pin.nibbles(), place) + 10 - digit(natural.nibbles(), place)) % 10
    });
    Reference::of_digits(length, digits)
}

/// The PIN that has `offset` more than `natural`, for as many digits as `natural` has.
pub fn pin_of_offset(natural: &Pin, offset: &Reference) -> Pin {
    let length = natural.nibbles() >> 56;
    let digits = each_place(length, |place| {
        (digit(natural.nibbles(), place) + digit(offset.nibbles(), place)) % 10
    });
    Pin::from_checked_nibbles(Reference::of_digits(length, digits).nibbles())
}

/// A digit for each place of a PIN of `length` digits.
fn each_place(length: u64, of: impl Fn(u32) -> u64) -> u64 {
    (1u32..)
        .zip(0..length)
        .fold(0, |digits, (place, _)| digits | placed(of(place), place))
}
