//! Format 0 (ISO 9564-1:2017, 9.3.2; ANSI X9.8): `0‖length‖PIN‖F…` ⊕ `0000‖12 digits of PAN`.
//!
//! The same PIN and PAN give the same block under the same key: use per-transaction keys, or
//! format 3 or 4.

use crate::domain::pan::{Pan, PanError};
use crate::domain::pin::Pin;
use crate::domain::pin_block::field::{Content, Fill, Layout, PinField};
use crate::domain::pin_block::{ClearPinBlock, Rejected};

pub(super) const LAYOUT: Layout = Layout {
    control: 0,
    fill: Fill::F,
};

/// The clear block of a PIN.
pub fn encode(pin: &Pin, pan: &Pan) -> Result<ClearPinBlock<8>, PanError> {
    let field = PinField::compose(LAYOUT, &Content::of(pin), LAYOUT.fill_digits(&[0; 8]));
    Ok(field.bind(&pan.field12()?))
}

/// The PIN of a clear block of 8 bytes; digits are checked. Not for translation.
pub fn decode(block: &[u8], pan: &Pan) -> Result<Pin, Rejected> {
    let pan_field = pan.field12().map_err(|_| Rejected)?;
    PinField::unbind(&ClearPinBlock::holding(block)?, &pan_field).decode(LAYOUT)
}
