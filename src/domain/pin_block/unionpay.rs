//! UnionPay's two layouts of a PIN block under SM4, one encipherment of sixteen bytes each.
//!
//! `SM4_UNIONPAY_16`: `0‖length‖PIN‖F…` to sixteen bytes, ⊕ the twelve digits of the PAN at the
//! right end. The PIN's half meets no digit of the PAN: another PAN is always seen, whatever the
//! PIN is. `SM4_UNIONPAY_8PAD`: the eight bytes of format 0, then eight zero bytes.
//!
//! No public text of UnionPay fixes either; decision 0014 says what they were taken from and what
//! a member bank's answer would change.

use subtle::ConstantTimeEq;

use crate::domain::cipher::BlockCipher;
use crate::domain::pin_block::field::{Layout, Opened, PinField};
use crate::domain::pin_block::{ClearPinBlock, EncryptedPinBlock, format_0};

pub(super) const LAYOUT: Layout = format_0::LAYOUT;

/// `SM4_UNIONPAY_16`.
pub(super) fn close_16<C: BlockCipher<16>>(
    cipher: &C,
    pan_field: &[u8; 8],
    field: &PinField,
) -> Result<EncryptedPinBlock, C::Error> {
    close(cipher, &field.bind(&[0; 8]), &over_fill(pan_field))
}

/// The inverse of [`close_16`]. Beside the field stands the PAN.
pub(super) fn open_16<C: BlockCipher<16>>(
    cipher: &C,
    pan_field: &[u8; 8],
    block: ClearPinBlock<16>,
) -> Result<Opened, C::Error> {
    open(cipher, &[0; 8], &over_fill(pan_field), block)
}

/// `SM4_UNIONPAY_8PAD`.
pub(super) fn close_8pad<C: BlockCipher<16>>(
    cipher: &C,
    pan_field: &[u8; 8],
    field: &PinField,
) -> Result<EncryptedPinBlock, C::Error> {
    close(cipher, &field.bind(pan_field), &[0; 8])
}

/// The inverse of [`close_8pad`]. Beside the field stand zeros.
pub(super) fn open_8pad<C: BlockCipher<16>>(
    cipher: &C,
    pan_field: &[u8; 8],
    block: ClearPinBlock<16>,
) -> Result<Opened, C::Error> {
    open(cipher, pan_field, &[0; 8], block)
}

fn close<C: BlockCipher<16>>(
    cipher: &C,
    first: &ClearPinBlock<8>,
    second: &[u8; 8],
) -> Result<EncryptedPinBlock, C::Error> {
    let mut block = ClearPinBlock([0; 16]);
    block.0[..8].copy_from_slice(first.expose_bytes());
    block.0[8..].copy_from_slice(second);
    cipher.encrypt_block(&mut block.0)?;
    Ok(EncryptedPinBlock::from(&block.0))
}

fn open<C: BlockCipher<16>>(
    cipher: &C,
    bound: &[u8; 8],
    second: &[u8; 8],
    mut block: ClearPinBlock<16>,
) -> Result<Opened, C::Error> {
    cipher.decrypt_block(&mut block.0)?;
    let mut first = ClearPinBlock([0; 8]);
    first.0.copy_from_slice(&block.0[..8]);
    Ok(Opened {
        field: PinField::unbind(&first, bound),
        rest: block.0[8..].ct_eq(second),
    })
}

/// The PAN field over eight bytes of fill.
fn over_fill(pan_field: &[u8; 8]) -> [u8; 8] {
    pan_field.map(|byte| !byte)
}

#[cfg(test)]
mod tests {
    use crate::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher, Sm4};
    use crate::domain::pan::Pan;
    use crate::domain::pin_block::{Format, Framing, Rejected, decipher, translate};

    const KEY: [u8; 16] = [0x3C; 16];
    const PAN: &str = "6230606601007726888";

    /// Translates a clear block of the test's own making, under `format`, to format 0.
    fn translated(format: Format, clear: &[u8; 16], pan: &str) -> Result<(), Rejected> {
        let mut block = *clear;
        let Ok(()) = Sm4::new(&KEY).unwrap().encrypt_block(&mut block);
        let source = PinCipher::new(BlockAlgorithm::Sm4, &KEY).unwrap();
        let destination = PinCipher::new(BlockAlgorithm::Tdes, &[7; 16]);
        let destination = destination.unwrap();
        let from = Framing {
            format,
            cipher: &source,
        };
        let to = Framing {
            format: Format::Iso0,
            cipher: &destination,
        };
        let pan = Pan::parse(pan).unwrap();
        let translated = translate(from, to, &pan, &block, &[0; 8]).map(|_| ());
        if translated.is_err() {
            assert!(decipher(from, &pan, &block).is_err(), "as strict at least");
        }
        translated
    }

    /// Clear blocks of PIN 123654 for [`PAN`].
    const GOOD: [(Format, u128); 2] = [
        (
            Format::Sm4Unionpay16,
            0x0612_3654_FFFF_FFFF_FFFF_99FE_FF88_D977,
        ),
        (
            Format::Sm4Unionpay8pad,
            0x0612_5055_FF88_D977_0000_0000_0000_0000,
        ),
    ];

    #[test]
    fn every_bit_of_what_stands_beside_the_pin_is_checked() {
        for (format, good) in GOOD {
            assert!(translated(format, &good.to_be_bytes(), PAN).is_ok());
            for bit in 0..64 {
                let bad = (good ^ (1 << bit)).to_be_bytes();
                assert_eq!(translated(format, &bad, PAN), Err(Rejected), "bit {bit}");
            }
        }
    }

    #[test]
    fn control_length_and_fill_are_checked_and_no_digit_is() {
        for (format, good) in GOOD {
            for place in 0..16 {
                for flip in 1..16u128 {
                    let other = good ^ (flip << (4 * (31 - place)));
                    let answer = translated(format, &other.to_be_bytes(), PAN);
                    let allowed = match place {
                        0 => false,
                        // A shorter PIN leaves digits where fill must be; a longer one takes fill.
                        1 => (6..=12).contains(&(6 ^ flip)),
                        2..8 => true,
                        _ => false,
                    };
                    assert_eq!(answer.is_ok(), allowed, "{format:?} {other:032X}");
                }
            }
        }
    }

    #[test]
    fn another_pan_is_always_seen_in_the_16_byte_layout_whatever_the_digits_are() {
        let (format, good) = GOOD[0];
        for digits in [0x12_3654, 0x99_9999, 0xAA_AAAA, 0x00_0000, 0xFF_FFFF_u128] {
            let clear = good & !(0xFF_FFFF << 96) | (digits << 96);
            assert!(translated(format, &clear.to_be_bytes(), PAN).is_ok());
            for place in 6..18 {
                let mut other = PAN.as_bytes().to_vec();
                other[place] = b'0' + (other[place] - b'0' + 1) % 10;
                let other = String::from_utf8(other).unwrap();
                assert_eq!(
                    translated(format, &clear.to_be_bytes(), &other),
                    Err(Rejected)
                );
            }
        }
    }
}
