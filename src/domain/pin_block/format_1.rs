//! Format 1 (ISO 9564-1:2017, 9.3.3): `1‖length‖PIN‖transaction field`, bound to no PAN.
//!
//! A universal carrier (Berkman and Ostrovsky 2007), so Pintle takes it as input only, from keys
//! whose policy lists it. Encoding is here for terminals in tests.

use crate::domain::pin::Pin;
use crate::domain::pin_block::field::{Content, Fill, Layout, PinField};
use crate::domain::pin_block::{ClearPinBlock, EncodeError, Rejected, format_3};

pub(super) const LAYOUT: Layout = Layout {
    control: 1,
    fill: Fill::Any,
};

/// The clear block of a PIN; `fill` holds the `14 − length` transaction nibbles, one to a byte.
pub fn encode_given_fill(pin: &Pin, fill: &[u8]) -> Result<ClearPinBlock<8>, EncodeError> {
    let fill = format_3::place_fill(pin, fill, 0x0..=0xF)?;
    Ok(PinField::compose(LAYOUT, &Content::of(pin), fill).bind(&[0; 8]))
}

/// The PIN of a clear block of 8 bytes; digits are checked. Not for translation.
pub fn decode(block: &[u8]) -> Result<Pin, Rejected> {
    PinField::unbind(&ClearPinBlock::holding(block)?, &[0; 8]).decode(LAYOUT)
}
