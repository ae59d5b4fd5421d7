//! PIN blocks (ISO 9564-1:2017): their formats, and translation from one key to another.
//!
//! [`translate`] is the only way through: in goes a block under one key, out comes a block under
//! another for the same PAN, and the clear PIN never has a name outside this module. It checks
//! the control nibble, the length and the fill and **never a digit**: an answer that depends on a
//! digit under a PAN of the caller's choice tells the digit (Clulow 2003; ISO 9564-1 forbids it).
//! Every failure that depends on the clear block takes the same work and gives the same
//! [`Rejected`]. Strict decoding, digits and all, is [`decipher`], for verification alone.
//!
//! Which key may be used with which format is not decided here, nor are PVVs and offsets.

use core::convert::Infallible;

use subtle::Choice;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use crate::domain::pan::{Pan, PanError};
use crate::domain::pin::Pin;
use crate::limits::{PAN_DIGITS_MAX, PAN_DIGITS_MIN_BOUND};

mod field;
pub mod format_0;
pub mod format_1;
pub mod format_3;
pub mod format_4;
mod translation;
mod unionpay;
mod x98;

pub use self::translation::translation_allowed;

use self::field::{Content, Layout, Opened, PinField};

/// Re-enciphers a PIN block for the same PAN, from one framing to another.
///
/// `block` is 8 bytes under TDES, 16 under AES and SM4. `fill` is fresh random for every call;
/// formats 3 and 4 use it. A pair the table forbids, a PAN of a length the formats do not bind
/// and a block of the wrong length are refused before any decryption: none of them is a secret,
/// and a service tells them apart before it calls.
pub fn translate(
    from: Framing<'_>,
    to: Framing<'_>,
    pan: &Pan,
    block: &[u8],
    fill: &[u8; 8],
) -> Result<EncryptedPinBlock, Rejected> {
    let bound = [from.format, to.format]
        .iter()
        .all(|&f| pan_length_allowed(f, pan.len()));
    let (source, destination) = (from.pair(), to.pair());
    if !bound || !translation_allowed(source, destination) {
        return Err(Rejected);
    }
    let (content, valid) = reframe(from, pan, block)?;
    // Both encipherments are done whether or not the block was good.
    let translated = enframe(to, pan, &content, fill).map_err(|_| Rejected)?;
    if bool::from(valid) {
        Ok(translated)
    } else {
        Err(Rejected)
    }
}

/// Frames and enciphers a PIN, as a terminal does.
///
/// `fill` is as for [`translate`]; format 1 uses it too.
pub fn encipher(
    framing: Framing<'_>,
    pin: &Pin,
    pan: &Pan,
    fill: &[u8; 8],
) -> Result<EncryptedPinBlock, EncodeError> {
    enframe(framing, pan, &Content::of(pin), fill)
}

/// Deciphers a block and decodes it strictly: control, length, fill and digits.
pub fn decipher(framing: Framing<'_>, pan: &Pan, block: &[u8]) -> Result<Pin, Rejected> {
    let Opened { field, rest } = open(framing, pan, block)?;
    field.decode_beside(framing.format.layout(), rest)
}

/// The same, with a PIN to go on working with where the block is not sound, so that what follows
/// takes as long. The error is a wrong length or cipher.
pub(in crate::domain) fn decipher_always(
    framing: Framing<'_>,
    pan: &Pan,
    block: &[u8],
) -> Result<(Pin, Choice), Rejected> {
    let Opened { field, rest } = open(framing, pan, block)?;
    Ok(field.decode_always(framing.format.layout(), rest))
}

/// How many digits of PAN a format can bind: 13 to 19 for those that bind twelve and skip the
/// check digit, 1 to 19 for format 4 and its SM4 layout, any number for those that bind none.
pub const fn pan_length_allowed(format: Format, digits: usize) -> bool {
    match format.binding() {
        Binding::Twelve => PAN_DIGITS_MIN_BOUND <= digits && digits <= PAN_DIGITS_MAX,
        Binding::Whole => 1 <= digits && digits <= PAN_DIGITS_MAX,
        Binding::None => true,
    }
}

/// What of the PAN a block is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Every digit, and how many there are.
    Whole,
    /// The twelve rightmost digits without the check digit.
    Twelve,
    /// Nothing: the block goes with any PAN.
    None,
}

/// The layout of a PIN block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Format 0 (ANSI X9.8): bound to the PAN, filled with F.
    Iso0,
    /// Format 1: bound to nothing, filled with anything. Input only.
    Iso1,
    /// Format 3: bound to the PAN, random fill of A to F.
    Iso3,
    /// Format 4: two encipherments of 16 bytes, bound to the whole PAN.
    Iso4,
    /// The layout of format 4 under SM4. No published standard.
    Sm4Fmt4Layout,
    /// UnionPay's sixteen bytes under SM4: the PIN in one half, the PAN over the fill of the other.
    Sm4Unionpay16,
    /// UnionPay's eight bytes under SM4: format 0, then eight zero bytes.
    Sm4Unionpay8pad,
    /// Format 4 bound to twelve digits of the PAN only, as some hosts make it.
    Iso4Pan12,
    /// Format 0 without the PAN (UnionPay's field 53, "without PAN"). Weak, and input only.
    X98NoPan,
}

impl Format {
    /// Every format, in the order of the translation table and of the codes on the wire.
    pub const ALL: [Self; 9] = [
        Self::Iso0,
        Self::Iso1,
        Self::Iso3,
        Self::Iso4,
        Self::Sm4Fmt4Layout,
        Self::Sm4Unionpay16,
        Self::Sm4Unionpay8pad,
        Self::Iso4Pan12,
        Self::X98NoPan,
    ];

    /// The one cipher that a format goes with.
    pub const fn algorithm(self) -> BlockAlgorithm {
        match self {
            Self::Iso0 | Self::Iso1 | Self::Iso3 | Self::X98NoPan => BlockAlgorithm::Tdes,
            Self::Iso4 | Self::Iso4Pan12 => BlockAlgorithm::Aes,
            Self::Sm4Fmt4Layout | Self::Sm4Unionpay16 | Self::Sm4Unionpay8pad => {
                BlockAlgorithm::Sm4
            }
        }
    }

    /// What of the PAN it is bound to.
    pub const fn binding(self) -> Binding {
        match self {
            Self::Iso0
            | Self::Iso3
            | Self::Sm4Unionpay16
            | Self::Sm4Unionpay8pad
            | Self::Iso4Pan12 => Binding::Twelve,
            Self::Iso4 | Self::Sm4Fmt4Layout => Binding::Whole,
            Self::Iso1 | Self::X98NoPan => Binding::None,
        }
    }

    /// Bytes in a block of this format.
    pub const fn block_bytes(self) -> usize {
        self.algorithm().block_bytes()
    }

    const fn layout(self) -> Layout {
        match self {
            Self::Iso0 => format_0::LAYOUT,
            Self::Iso1 => format_1::LAYOUT,
            Self::Iso3 => format_3::LAYOUT,
            Self::Iso4 | Self::Sm4Fmt4Layout | Self::Iso4Pan12 => format_4::LAYOUT,
            Self::Sm4Unionpay16 | Self::Sm4Unionpay8pad => unionpay::LAYOUT,
            Self::X98NoPan => x98::LAYOUT,
        }
    }
}

/// A format and the key it is enciphered under.
#[derive(Clone, Copy)]
pub struct Framing<'a> {
    /// The layout of the clear block.
    pub format: Format,
    /// The key.
    pub cipher: &'a PinCipher,
}

impl Framing<'_> {
    const fn pair(self) -> (Format, BlockAlgorithm) {
        (self.format, self.cipher.algorithm())
    }
}

/// A PIN block under its key: 8 or 16 bytes.
pub struct EncryptedPinBlock {
    bytes: [u8; 16],
    length: usize,
}

impl EncryptedPinBlock {
    /// The ciphertext.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl From<&[u8; 8]> for EncryptedPinBlock {
    fn from(block: &[u8; 8]) -> Self {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(block);
        Self { bytes, length: 8 }
    }
}

impl From<&[u8; 16]> for EncryptedPinBlock {
    fn from(block: &[u8; 16]) -> Self {
        Self {
            bytes: *block,
            length: 16,
        }
    }
}

/// A PIN block in clear, or the PIN field of format 4. Wiped on drop.
#[derive(ZeroizeOnDrop)]
pub struct ClearPinBlock<const N: usize>([u8; N]);

impl<const N: usize> ClearPinBlock<N> {
    /// The clear bytes.
    pub const fn expose_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// Room for a block that is about to be deciphered in place.
    fn holding(bytes: &[u8]) -> Result<Self, Rejected> {
        <[u8; N]>::try_from(bytes).map(Self).map_err(|_| Rejected)
    }
}

/// The PIN block was not what its format, PAN and key say. Tells nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PIN block was rejected")]
pub struct Rejected;

/// A PIN that cannot be framed: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The format does not bind such a PAN.
    #[error(transparent)]
    Pan(#[from] PanError),
    /// The format does not go with the key's cipher.
    #[error("the format does not go with the key's cipher")]
    Cipher,
    /// Too few or too many fill digits, or one that the format does not allow.
    #[error("the fill digits are not the format's")]
    Fill,
}

/// Opens a block and checks all but its digits. The error is a wrong length or cipher; whether
/// the content is good is the [`Choice`].
fn reframe(from: Framing<'_>, pan: &Pan, block: &[u8]) -> Result<(Content, Choice), Rejected> {
    let Opened { field, rest } = open(from, pan, block)?;
    let (content, valid) = field.reframe(from.format.layout());
    Ok((content, valid & rest))
}

/// Deciphers a block down to its PIN field, PAN taken away.
fn open(from: Framing<'_>, pan: &Pan, block: &[u8]) -> Result<Opened, Rejected> {
    let twelve = || pan.field12().map_err(|_| Rejected);
    let Ok(opened): Result<_, Infallible> = match (from.format, from.cipher) {
        (Format::Iso0 | Format::Iso3, PinCipher::Tdes(tdes)) => {
            open_8(tdes, &twelve()?, ClearPinBlock::holding(block)?)
        }
        (Format::Iso1 | Format::X98NoPan, PinCipher::Tdes(tdes)) => {
            open_8(tdes, &[0; 8], ClearPinBlock::holding(block)?)
        }
        (Format::Iso4, PinCipher::Aes(aes)) => {
            let pan_field = Zeroizing::new(pan.field_format4());
            format_4::open(aes, &pan_field, ClearPinBlock::holding(block)?)
        }
        (Format::Iso4Pan12, PinCipher::Aes(aes)) => {
            let pan_field = Zeroizing::new(pan.field_format4_of_12().map_err(|_| Rejected)?);
            format_4::open(aes, &pan_field, ClearPinBlock::holding(block)?)
        }
        (Format::Sm4Fmt4Layout, PinCipher::Sm4(sm4)) => {
            let pan_field = Zeroizing::new(pan.field_format4());
            format_4::open(sm4, &pan_field, ClearPinBlock::holding(block)?)
        }
        (Format::Sm4Unionpay16, PinCipher::Sm4(sm4)) => {
            unionpay::open_16(sm4, &twelve()?, ClearPinBlock::holding(block)?)
        }
        (Format::Sm4Unionpay8pad, PinCipher::Sm4(sm4)) => {
            unionpay::open_8pad(sm4, &twelve()?, ClearPinBlock::holding(block)?)
        }
        _ => return Err(Rejected),
    };
    Ok(opened)
}

/// Lays out and enciphers what [`reframe`] found or a PIN holds.
fn enframe(
    to: Framing<'_>,
    pan: &Pan,
    content: &Content,
    fill: &[u8; 8],
) -> Result<EncryptedPinBlock, EncodeError> {
    let layout = to.format.layout();
    let field = PinField::compose(layout, content, layout.fill_digits(fill));
    let Ok(block): Result<_, Infallible> = match (to.format, to.cipher) {
        (Format::Iso0 | Format::Iso3, PinCipher::Tdes(tdes)) => {
            close_8(tdes, &pan.field12()?, &field)
        }
        (Format::Iso1 | Format::X98NoPan, PinCipher::Tdes(tdes)) => close_8(tdes, &[0; 8], &field),
        (Format::Iso4, PinCipher::Aes(aes)) => {
            format_4::close(aes, &Zeroizing::new(pan.field_format4()), &field, fill)
        }
        (Format::Iso4Pan12, PinCipher::Aes(aes)) => {
            let pan_field = Zeroizing::new(pan.field_format4_of_12()?);
            format_4::close(aes, &pan_field, &field, fill)
        }
        (Format::Sm4Fmt4Layout, PinCipher::Sm4(sm4)) => {
            format_4::close(sm4, &Zeroizing::new(pan.field_format4()), &field, fill)
        }
        (Format::Sm4Unionpay16, PinCipher::Sm4(sm4)) => {
            unionpay::close_16(sm4, &pan.field12()?, &field)
        }
        (Format::Sm4Unionpay8pad, PinCipher::Sm4(sm4)) => {
            unionpay::close_8pad(sm4, &pan.field12()?, &field)
        }
        _ => return Err(EncodeError::Cipher),
    };
    Ok(block)
}

/// One encipherment of the PIN field ⊕ the PAN field (9.3.2.1, 9.3.5.1).
fn close_8<C: BlockCipher<8>>(
    cipher: &C,
    pan_field: &[u8; 8],
    field: &PinField,
) -> Result<EncryptedPinBlock, C::Error> {
    let mut block = field.bind(pan_field);
    cipher.encrypt_block(&mut block.0)?;
    Ok(EncryptedPinBlock::from(&block.0))
}

/// The inverse of [`close_8`].
fn open_8<C: BlockCipher<8>>(
    cipher: &C,
    pan_field: &[u8; 8],
    mut block: ClearPinBlock<8>,
) -> Result<Opened, C::Error> {
    cipher.decrypt_block(&mut block.0)?;
    Ok(Opened::from(PinField::unbind(&block, pan_field)))
}

#[cfg(test)]
mod tests;
