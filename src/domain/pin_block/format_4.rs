//! Format 4 (ISO 9564-1:2017, 9.4.2): E(E(PIN field) ⊕ PAN field), 16 bytes under AES.
//!
//! PIN field: `4‖length‖PIN‖A…` in eight bytes, then eight random bytes. The same layout under
//! SM4 has no published standard; it is what `SM4_FMT4_LAYOUT` names. `ISO_4_PAN12` is the form of
//! hosts that bind twelve digits only: the same, but for its PAN field.

use core::convert::Infallible;

use zeroize::Zeroizing;

use crate::domain::cipher::BlockCipher;
use crate::domain::pan::Pan;
use crate::domain::pin::Pin;
use crate::domain::pin_block::field::{Content, Fill, Layout, Opened, PinField};
use crate::domain::pin_block::{ClearPinBlock, EncryptedPinBlock, Rejected};

pub(super) const LAYOUT: Layout = Layout {
    control: 4,
    fill: Fill::A,
};

/// Enciphers a PIN; `random` is fresh for every block and used as it is.
pub fn encipher<C: BlockCipher<16>>(
    cipher: &C,
    pin: &Pin,
    pan: &Pan,
    random: &[u8; 8],
) -> Result<EncryptedPinBlock, C::Error> {
    let pan_field = Zeroizing::new(pan.field_format4());
    close(cipher, &pan_field, &compose(pin), random)
}

/// Deciphers a block of 16 bytes and decodes it strictly. Not for translation.
pub fn decipher<C: BlockCipher<16, Error = Infallible>>(
    cipher: &C,
    block: &[u8],
    pan: &Pan,
) -> Result<Pin, Rejected> {
    let pan_field = Zeroizing::new(pan.field_format4());
    let Ok(Opened { field, rest }) = open(cipher, &pan_field, ClearPinBlock::holding(block)?);
    field.decode_beside(LAYOUT, rest)
}

/// The PIN field in clear (9.4.2.2.2).
pub fn encode_pin_field(pin: &Pin, random: &[u8; 8]) -> ClearPinBlock<16> {
    lengthen(&compose(pin), random)
}

/// The PIN of a PIN field of 16 bytes; digits are checked. Not for translation.
pub fn decode_pin_field(field: &[u8]) -> Result<Pin, Rejected> {
    shorten(&ClearPinBlock::holding(field)?).decode(LAYOUT)
}

/// Two encipherments with the PAN field between them (9.4.2.3).
pub(super) fn close<C: BlockCipher<16>>(
    cipher: &C,
    pan_field: &[u8; 16],
    field: &PinField,
    random: &[u8; 8],
) -> Result<EncryptedPinBlock, C::Error> {
    let mut block = lengthen(field, random);
    cipher.encrypt_block(&mut block.0)?;
    add(&mut block, pan_field);
    cipher.encrypt_block(&mut block.0)?;
    Ok(EncryptedPinBlock::from(&block.0))
}

/// The inverse of [`close`].
pub(super) fn open<C: BlockCipher<16>>(
    cipher: &C,
    pan_field: &[u8; 16],
    mut block: ClearPinBlock<16>,
) -> Result<Opened, C::Error> {
    cipher.decrypt_block(&mut block.0)?;
    add(&mut block, pan_field);
    cipher.decrypt_block(&mut block.0)?;
    Ok(Opened::from(shorten(&block)))
}

fn compose(pin: &Pin) -> PinField {
    PinField::compose(LAYOUT, &Content::of(pin), LAYOUT.fill_digits(&[0; 8]))
}

fn lengthen(field: &PinField, random: &[u8; 8]) -> ClearPinBlock<16> {
    let mut block = ClearPinBlock([0; 16]);
    block.0[..8].copy_from_slice(field.bind(&[0; 8]).expose_bytes());
    block.0[8..].copy_from_slice(random);
    block
}

/// The random half says nothing and is not looked at.
fn shorten(block: &ClearPinBlock<16>) -> PinField {
    let mut half = ClearPinBlock([0; 8]);
    half.0.copy_from_slice(&block.0[..8]);
    PinField::unbind(&half, &[0; 8])
}

fn add(block: &mut ClearPinBlock<16>, pan_field: &[u8; 16]) {
    for (byte, pan_byte) in block.0.iter_mut().zip(pan_field) {
        *byte ^= pan_byte;
    }
}
