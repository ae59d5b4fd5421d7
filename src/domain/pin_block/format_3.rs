//! Format 3 (ISO 9564-1:2017, 9.3.5): format 0 with control 3 and a random fill of A to F.

use core::ops::RangeInclusive;

use crate::domain::pan::{Pan, PanError};
use crate::domain::pin::Pin;
use crate::domain::pin_block::field::{Content, Fill, Layout, PinField};
use crate::domain::pin_block::{ClearPinBlock, EncodeError, Rejected};

pub(super) const LAYOUT: Layout = Layout {
    control: 3,
    fill: Fill::AToF,
};

/// The clear block of a PIN; `random` is fresh for every block.
pub fn encode(pin: &Pin, pan: &Pan, random: &[u8; 8]) -> Result<ClearPinBlock<8>, PanError> {
    let field = PinField::compose(LAYOUT, &Content::of(pin), LAYOUT.fill_digits(random));
    Ok(field.bind(&pan.field12()?))
}

/// The clear block of a PIN with the `14 − length` fill nibbles given, one to a byte, each 0xA to
/// 0xF. For known answers.
pub fn encode_given_fill(
    pin: &Pin,
    pan: &Pan,
    fill: &[u8],
) -> Result<ClearPinBlock<8>, EncodeError> {
    let fill = place_fill(pin, fill, 0xA..=0xF)?;
    Ok(PinField::compose(LAYOUT, &Content::of(pin), fill).bind(&pan.field12()?))
}

/// The PIN of a clear block of 8 bytes; digits are checked. Not for translation.
pub fn decode(block: &[u8], pan: &Pan) -> Result<Pin, Rejected> {
    let pan_field = pan.field12().map_err(|_| Rejected)?;
    PinField::unbind(&ClearPinBlock::holding(block)?, &pan_field).decode(LAYOUT)
}

/// Given fill nibbles at their places behind the digits.
pub(super) fn place_fill(
    pin: &Pin,
    fill: &[u8],
    allowed: RangeInclusive<u8>,
) -> Result<u64, EncodeError> {
    if fill.len() + pin.len() != 14 || !fill.iter().all(|digit| allowed.contains(digit)) {
        return Err(EncodeError::Fill);
    }
    Ok(fill
        .iter()
        .fold(0, |placed, &digit| (placed << 4) | u64::from(digit)))
}
