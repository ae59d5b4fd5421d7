//! PIN verification: what an issuer keeps of a PIN (a Visa PVV, or the offset of IBM 3624), made
//! and compared.
//!
//! [`verify`] does the same work whatever is wrong, and answers one bit: a block that does not
//! decrypt, a digit that is none, a PIN of another length and a wrong PIN are all "no" (security of
//! PIN verification after Bond and Zieliński 2003, Clulow 2003, Berkman and Ostrovsky 2007). Only
//! formats that are bound to the PAN come in.
//!
//! Deliberately not here: how often somebody may try (`keys::budget`), and IBM's German Bank Pool
//! and Interbank variants.

use subtle::{Choice, ConstantTimeEq};

use crate::domain::cipher::Tdes;
use crate::domain::pan::Pan;
use crate::domain::pin::Pin;
use crate::domain::pin_block::{self, Binding, Format, Framing, Rejected};
use crate::limits::{PIN_DIGITS_MAX, PIN_DIGITS_MIN};

pub mod decimalisation;
pub mod ibm3624;
pub mod visa_pvv;

use self::decimalisation::DecimalisationTable;
use self::visa_pvv::Pvki;

/// How a key verifies: everything of it is fixed by the key's policy, nothing by a caller.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// Visa PVV.
    VisaPvv(Pvki),
    /// IBM 3624 with offset.
    Ibm3624(ibm3624::Rule, DecimalisationTable),
}

impl Method {
    /// The one length of PIN, and of what is kept of it, digits.
    pub const fn pin_digits(self) -> usize {
        match self {
            Self::VisaPvv(_) => visa_pvv::DIGITS,
            Self::Ibm3624(rule, _) => rule.pin_digits(),
        }
    }

    /// Whether a PAN of so many digits can be verified.
    pub const fn pan_length_allowed(self, digits: usize) -> bool {
        match self {
            Self::VisaPvv(_) => visa_pvv::PAN_DIGITS_MIN <= digits,
            Self::Ibm3624(rule, _) => rule.validation().pan_digits_min() <= digits,
        }
    }

    /// Whether there is a PIN that follows from the PAN alone.
    pub const fn has_natural_pin(self) -> bool {
        match self {
            Self::VisaPvv(_) => false,
            Self::Ibm3624(..) => true,
        }
    }
}

/// A PIN verification key and how it verifies.
#[derive(Clone, Copy)]
pub struct Verifier<'a> {
    /// The key.
    pub key: &'a Tdes,
    /// The method.
    pub method: Method,
}

impl Verifier<'_> {
    /// What an issuer keeps of a PIN. A PIN of another length gives digits that mean nothing.
    ///
    /// # Errors
    /// [`PanTooShort`].
    pub fn reference(&self, pan: &Pan, pin: &Pin) -> Result<Reference, PanTooShort> {
        match self.method {
            Method::VisaPvv(pvki) => visa_pvv::generate(self.key, pvki, pan, pin),
            Method::Ibm3624(rule, table) => {
                let natural = ibm3624::natural_pin(self.key, &table, rule, pan)?;
                Ok(ibm3624::offset(&natural, pin))
            }
        }
    }

    /// The PIN whose offset is zeros; none for methods that have no such PIN.
    ///
    /// # Errors
    /// [`PanTooShort`].
    pub fn natural_pin(&self, pan: &Pan) -> Result<Option<Pin>, PanTooShort> {
        match self.method {
            Method::VisaPvv(_) => Ok(None),
            Method::Ibm3624(rule, table) => {
                ibm3624::natural_pin(self.key, &table, rule, pan).map(Some)
            }
        }
    }

    fn pin_fits(&self, pin: &Pin) -> Choice {
        pin.len().ct_eq(&self.method.pin_digits())
    }
}

/// Whether the PIN in `block` is the one that `reference` was made of. Everything that depends on
/// the clear block takes the same work and gives the same answer.
pub fn verify(
    from: Framing<'_>,
    pan: &Pan,
    block: &[u8],
    verifier: &Verifier<'_>,
    reference: &Reference,
) -> bool {
    // What is refused before the work is no secret: a length, a format, a PAN too short.
    if !format_binds_pan(from.format) {
        return false;
    }
    let Ok((pin, sound)) = pin_block::decipher_always(from, pan, block) else {
        return false;
    };
    let Ok(made) = verifier.reference(pan, &pin) else {
        return false;
    };
    (sound & verifier.pin_fits(&pin) & made.ct_eq(reference)).into()
}

/// What an issuer keeps of the PIN in `block`.
///
/// # Errors
/// [`Rejected`] for everything that is wrong with the block, the PIN's length too.
pub fn reference_of(
    from: Framing<'_>,
    pan: &Pan,
    block: &[u8],
    verifier: &Verifier<'_>,
) -> Result<Reference, Rejected> {
    if !format_binds_pan(from.format) {
        return Err(Rejected);
    }
    let (pin, sound) = pin_block::decipher_always(from, pan, block)?;
    let made = verifier.reference(pan, &pin).map_err(|_| Rejected)?;
    if bool::from(sound & verifier.pin_fits(&pin)) {
        Ok(made)
    } else {
        Err(Rejected)
    }
}

/// Whether a format ties the PIN to the PAN. Without that, a block of one card would verify, or
/// give a reference, for every other (Berkman and Ostrovsky 2007).
pub const fn format_binds_pan(format: Format) -> bool {
    match format.binding() {
        Binding::Whole | Binding::Twelve => true,
        Binding::None => false,
    }
}

/// What an issuer keeps of a PIN: the digits of a PVV or of an offset. No secret by itself.
#[derive(Clone, Copy)]
pub struct Reference {
    /// As [`Pin`] has them: zero, the length, the digits, zeros.
    nibbles: u64,
}

impl Reference {
    /// Reads 4 to 12 ASCII digits and nothing else.
    ///
    /// # Errors
    /// [`NotDigits`].
    pub fn parse(text: &str) -> Result<Self, NotDigits> {
        let pin = Pin::parse(text).map_err(|_| NotDigits)?;
        Ok(Self {
            nibbles: pin.nibbles(),
        })
    }

    /// The number of digits.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        usize::try_from((self.nibbles >> LENGTH_SHIFT) & 0xF).unwrap_or_default()
    }

    /// The length, the digits, zeros.
    const fn nibbles(self) -> u64 {
        self.nibbles
    }

    /// Takes digits that stand where those of a [`Pin`] stand.
    const fn of_digits(length: u64, digits: u64) -> Self {
        Self {
            nibbles: (length << LENGTH_SHIFT) | digits,
        }
    }
}

impl ConstantTimeEq for Reference {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.nibbles.ct_eq(&other.nibbles)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (1u32..)
            .take(self.len())
            .try_for_each(|place| write!(formatter, "{}", digit(self.nibbles, place)))
    }
}

/// The caller's: a text that is not 4 to 12 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PVV or an offset has 4 to 12 decimal digits")]
pub struct NotDigits;

/// The caller's: the PAN has fewer digits than the method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PAN has fewer digits than PINs are verified by")]
pub struct PanTooShort;

/// The nibble at a place of a PIN, from 1.
const fn digit(nibbles: u64, place: u32) -> u64 {
    (nibbles >> (LENGTH_SHIFT - 4 * place)) & 0xF
}

/// A digit at its place.
const fn placed(digit: u64, place: u32) -> u64 {
    digit << (LENGTH_SHIFT - 4 * place)
}

/// Where a PIN's length stands.
const LENGTH_SHIFT: u32 = 56;
const _: () = assert!(visa_pvv::DIGITS >= PIN_DIGITS_MIN && visa_pvv::DIGITS <= PIN_DIGITS_MAX);

#[cfg(test)]
mod tests;
