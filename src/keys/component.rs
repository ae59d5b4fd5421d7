//! Components: parts of a key that custodians bring separately, and how they become the key
//! (PCI PIN 6-1 and 8-1: XOR of full-length components; NIST SP 800-57 part 2, 5.3.5).
//!
//! A component is clear in the process of its own sitting only, in locked memory. What is kept of it
//! is masked by a one-time pad, and `combine` goes from masked components and pads to the key
//! without putting a component together again. Deliberately not here: secret sharing with a
//! threshold, and who may enter what (`keys::ceremony`).

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::keys::attributes::Algorithm;
use crate::keys::material::{self, ValueFault};
use crate::keys::record::KeyCheckValue;
use crate::limits;
use crate::secret::{Locked, Secret, SlabFull};

/// One component, as it is typed: digit by digit into locked memory, never as text.
pub struct Component {
    bytes: Locked<[u8; limits::COMPONENT_BYTES_MAX]>,
    digits: usize,
}

/// Why a component, or the key that components make, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComponentFault {
    /// Not as many digits as the key has.
    #[error("a component has exactly as many digits as its key")]
    Length,
    /// All its bits that count are zero: whoever has the others has the key.
    #[error("a component of zeros only is none")]
    Zero,
    /// Two components are the same and cancel each other.
    #[error("two components are the same, and cancel each other")]
    Equal,
    /// Fewer or more components than custodians.
    #[error("a key is made of 2 or 3 components")]
    Count,
    /// What they make is no key.
    #[error("what the components make is refused: {}", .0.why())]
    Key(KeyFault),
}

/// Why what components make is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It is all zeros.
    Zero,
    /// Two of its DES keys are the same.
    Repeated,
    /// One of its DES keys is weak or semi-weak.
    Weak,
    /// Not as long as a key of its algorithm.
    Length,
}

impl KeyFault {
    const fn why(self) -> &'static str {
        match self {
            Self::Zero => "all of it is zero",
            Self::Repeated => ValueFault::Repeated.why(),
            Self::Weak => ValueFault::Weak.why(),
            Self::Length => ValueFault::Length.why(),
        }
    }
}

impl Component {
    /// Nothing yet.
    ///
    /// # Errors
    /// [`SlabFull`] where no locked memory is left.
    pub fn empty() -> Result<Self, SlabFull> {
        Ok(Self {
            bytes: Locked::new([0; limits::COMPONENT_BYTES_MAX])?,
            digits: 0,
        })
    }

    /// Takes one more digit, 0 to 15. One that finds no room is counted, so that the length is wrong.
    pub fn push(&mut self, digit: u8) {
        let at = self.digits / 2;
        let high = self.digits.is_multiple_of(2);
        if let Some(byte) = self.bytes.expose_secret_mut().get_mut(at) {
            let digit = digit & 0x0F;
            *byte = if high { digit << 4 } else { *byte | digit };
        }
        self.digits = self.digits.saturating_add(1);
    }

    /// Takes the last digit back.
    pub fn pop(&mut self) {
        let Some(left) = self.digits.checked_sub(1) else {
            return;
        };
        if let Some(byte) = self.bytes.expose_secret_mut().get_mut(left / 2) {
            *byte = if left.is_multiple_of(2) {
                0
            } else {
                *byte & 0xF0
            };
        }
        self.digits = left;
    }

    /// Takes everything back.
    pub fn clear(&mut self) {
        self.bytes.expose_secret_mut().fill(0);
        self.digits = 0;
    }

    /// How many digits were typed.
    pub fn digits(&self) -> usize {
        self.digits
    }

    /// Whether it is a component of a key of this algorithm.
    ///
    /// # Errors
    /// [`ComponentFault::Length`] or [`ComponentFault::Zero`].
    pub fn check(&self, algorithm: Algorithm) -> Result<(), ComponentFault> {
        let value = self.value(algorithm)?;
        refuse(
            is_zero(algorithm, value.iter().copied()),
            ComponentFault::Zero,
        )
    }

    /// Its check value by the key's own method; none for HMAC keys, or where it is no component.
    pub fn check_value(&self, algorithm: Algorithm) -> Option<KeyCheckValue> {
        let value = self.value(algorithm).ok()?;
        material::check_value(algorithm, value)
    }

    /// Whether both were typed alike.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = self
            .bytes
            .expose_secret()
            .as_slice()
            .ct_eq(other.bytes.expose_secret());
        bool::from(same) && self.digits == other.digits
    }

    /// What is kept of it: itself and a pad that is used this once.
    ///
    /// # Errors
    /// As [`Component::check`]; [`ComponentFault::Length`] for a pad of another length too.
    pub(in crate::keys) fn mask(
        &self,
        algorithm: Algorithm,
        pad: &Secret<Vec<u8>>,
    ) -> Result<Vec<u8>, ComponentFault> {
        self.check(algorithm)?;
        let (value, pad) = (self.value(algorithm)?, pad.expose_secret());
        if value.len() != pad.len() {
            return Err(ComponentFault::Length);
        }
        Ok(value
            .iter()
            .zip(pad)
            .map(|(value, pad)| value ^ pad)
            .collect())
    }

    fn value(&self, algorithm: Algorithm) -> Result<&[u8], ComponentFault> {
        let length = algorithm.key_bytes().ok_or(ComponentFault::Length)?;
        let value = self.bytes.expose_secret().get(..length);
        value
            .filter(|_| self.digits == 2 * length)
            .ok_or(ComponentFault::Length)
    }
}

/// A masked component and its pad.
pub(in crate::keys) struct Share<'a> {
    pub(in crate::keys) masked: &'a [u8],
    pub(in crate::keys) pad: &'a [u8],
}

/// The key that two or three masked components make, fit to be one; every comparison in constant
/// time, and only the kind of the first fault is told.
pub(in crate::keys) fn combine(
    algorithm: Algorithm,
    shares: &[Share<'_>],
) -> Result<Secret<Vec<u8>>, ComponentFault> {
    if !(limits::COMPONENTS_MIN..=limits::COMPONENTS_MAX).contains(&shares.len()) {
        return Err(ComponentFault::Count);
    }
    let length = algorithm.key_bytes().ok_or(ComponentFault::Length)?;
    if shares
        .iter()
        .any(|share| share.masked.len() != length || share.pad.len() != length)
    {
        return Err(ComponentFault::Length);
    }
    let zero = shares
        .iter()
        .map(|one| is_zero(algorithm, xor(one.masked, one.pad)));
    refuse(any(zero), ComponentFault::Zero)?;
    let equal = shares.iter().enumerate().flat_map(|(at, one)| {
        shares[at + 1..].iter().map(move |other| {
            let masked = xor(one.masked, other.masked);
            let difference = masked.zip(xor(one.pad, other.pad)).map(|(a, b)| a ^ b);
            is_zero(algorithm, difference)
        })
    });
    refuse(any(equal), ComponentFault::Equal)?;
    let mut key = Secret::new(vec![0; length]);
    // All masks first: no prefix of this sum is a component.
    let parts = shares.iter().map(|one| one.masked);
    for part in parts.chain(shares.iter().map(|one| one.pad)) {
        let bytes = key.expose_secret_mut().iter_mut().zip(part);
        bytes.for_each(|(byte, part)| *byte ^= part);
    }
    let whole = key.expose_secret().iter().copied();
    refuse(
        is_zero(algorithm, whole),
        ComponentFault::Key(KeyFault::Zero),
    )?;
    material::admit(algorithm, key.expose_secret_mut()).map_err(|fault| {
        ComponentFault::Key(match fault {
            ValueFault::Length => KeyFault::Length,
            ValueFault::Repeated => KeyFault::Repeated,
            ValueFault::Weak => KeyFault::Weak,
        })
    })?;
    Ok(key)
}

/// Zero in every bit that counts: DES does not look at the lowest of a byte.
fn is_zero(algorithm: Algorithm, bytes: impl Iterator<Item = u8>) -> Choice {
    let des = algorithm.is_made_of_des_keys();
    let counts = u8::conditional_select(&0xFF, &0xFE, Choice::from(u8::from(des)));
    bytes.fold(0, |all, byte| all | (byte & counts)).ct_eq(&0)
}

fn xor<'a>(one: &'a [u8], other: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    one.iter().zip(other).map(|(one, other)| one ^ other)
}

fn any(choices: impl Iterator<Item = Choice>) -> Choice {
    choices.fold(Choice::from(0), |any, one| any | one)
}

fn refuse(yes: Choice, fault: ComponentFault) -> Result<(), ComponentFault> {
    if bool::from(yes) { Err(fault) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
