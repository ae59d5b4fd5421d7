//! PIN blocks that no standard has: UnionPay's under SM4 and without PAN, and format 4 bound to
//! twelve digits.

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("sm4_unionpay_16_encipher", &["key", "pin", "pan"], |case| {
        enciphered(case, Format::Sm4Unionpay16)
    }),
    Op::new(
        "sm4_unionpay_8pad_encipher",
        &["key", "pin", "pan"],
        |case| enciphered(case, Format::Sm4Unionpay8pad),
    ),
    Op::new(
        "sm4_unionpay_16_decipher",
        &["key", "pin_block", "pan"],
        |case| deciphered(case, Format::Sm4Unionpay16),
    ),
    Op::new(
        "sm4_unionpay_8pad_decipher",
        &["key", "pin_block", "pan"],
        |case| deciphered(case, Format::Sm4Unionpay8pad),
    ),
    Op::new(
        "iso9564_4_pan12_encipher",
        &["key", "pin", "pan", "random8"],
        |case| enciphered(case, Format::Iso4Pan12),
    ),
    Op::new("x98_no_pan_encipher", &["key", "pin"], |case| {
        enciphered(case, Format::X98NoPan)
    }),
];

fn enciphered(case: &Case<'_>, format: Format) -> Result<Answer, String> {
    let (Ok(pin), Ok(pan)) = (Pin::parse(case.text("pin")?), pan(case)) else {
        return Ok(Answer::Refused);
    };
    let Ok(cipher) = PinCipher::new(format.algorithm(), &case.bytes("key")?) else {
        return Ok(Answer::Refused);
    };
    let random = match format.algorithm() {
        BlockAlgorithm::Aes => case.array("random8")?,
        BlockAlgorithm::Tdes | BlockAlgorithm::Sm4 => [0; 8],
    };
    let framing = Framing {
        format,
        cipher: &cipher,
    };
    let Ok(block) = pin_block::encipher(framing, &pin, &pan, &random) else {
        return Ok(Answer::Refused);
    };
    // It must open again, whatever was expected.
    let opened = pin_block::decipher(framing, &pan, block.as_bytes());
    let opened = opened.map_err(|error| error.to_string())?;
    if !opened.expose_digits(|digits| pin.expose_digits(|pin| pin == digits)) {
        return Err("its own block opens to another PIN".to_owned());
    }
    Ok(Answer::Gave(vec![
        ("clear_block", hex(&clear(&cipher, block.as_bytes())?)),
        ("pin_block", hex(block.as_bytes())),
    ]))
}

fn deciphered(case: &Case<'_>, format: Format) -> Result<Answer, String> {
    let Ok(pan) = pan(case) else {
        return Ok(Answer::Refused);
    };
    let Ok(cipher) = PinCipher::new(format.algorithm(), &case.bytes("key")?) else {
        return Ok(Answer::Refused);
    };
    let framing = Framing {
        format,
        cipher: &cipher,
    };
    let Ok(pin) = pin_block::decipher(framing, &pan, &case.bytes("pin_block")?) else {
        return Ok(Answer::Refused);
    };
    let digits = pin.expose_digits(|digits| String::from_utf8_lossy(digits).into_owned());
    Ok(Answer::text("pin", &digits))
}

/// The PAN; any where the format binds none.
fn pan(case: &Case<'_>) -> Result<Pan, String> {
    let text = if case.has("pan") {
        case.text("pan")?
    } else {
        "0000000000000"
    };
    Pan::parse(text).map_err(|error| error.to_string())
}

/// What one decipherment gives: the clear block, where there is one encipherment.
fn clear(cipher: &PinCipher, block: &[u8]) -> Result<Vec<u8>, String> {
    let length = "a block of the cipher's length";
    match cipher {
        PinCipher::Tdes(tdes) => {
            let mut block: [u8; 8] = block.try_into().map_err(|_| length)?;
            let Ok(()) = tdes.decrypt_block(&mut block);
            Ok(block.to_vec())
        }
        PinCipher::Sm4(sm4) => {
            let mut block: [u8; 16] = block.try_into().map_err(|_| length)?;
            let Ok(()) = sm4.decrypt_block(&mut block);
            Ok(block.to_vec())
        }
        PinCipher::Aes(_) => Ok(Vec::new()),
    }
}
