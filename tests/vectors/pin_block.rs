//! ISO 9564-1 PIN blocks. Formats 0, 1 and 3 are clear blocks here; format 4 is enciphered.

use crate::case::{Answer, Case, Op};
use pintle::domain::cipher::{Aes, Sm4};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{Rejected, format_0, format_1, format_3, format_4};

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("iso9564_0_encode", &["pin", "pan"], |case| {
        let (Ok(pin), Ok(pan)) = (pin(case)?, pan(case)?) else {
            return Ok(Answer::Refused);
        };
        Ok(block(
            format_0::encode(&pin, &pan).map(|clear| *clear.expose_bytes()),
        ))
    }),
    Op::new("iso9564_0_decode", &["pin_block", "pan"], |case| {
        let Ok(pan) = pan(case)? else {
            return Ok(Answer::Refused);
        };
        decoded(format_0::decode(&case.bytes("pin_block")?, &pan))
    }),
    Op::new("iso9564_1_encode", &["pin", "fill_nibbles_used"], |case| {
        let Ok(pin) = pin(case)? else {
            return Ok(Answer::Refused);
        };
        let fill = nibbles(case, "fill_nibbles_used")?;
        Ok(block(
            format_1::encode_given_fill(&pin, &fill).map(|clear| *clear.expose_bytes()),
        ))
    })
    .optional(&["library_nonce"]),
    Op::new("iso9564_1_decode", &["pin_block"], |case| {
        decoded(format_1::decode(&case.bytes("pin_block")?))
    }),
    Op::new("iso9564_3_encode", &["pin", "pan"], |case| {
        let (Ok(pin), Ok(pan)) = (pin(case)?, pan(case)?) else {
            return Ok(Answer::Refused);
        };
        Ok(block(
            format_3::encode(&pin, &pan, &[0; 8]).map(|clear| *clear.expose_bytes()),
        ))
    }),
    Op::new("iso9564_3_encode_prefix", &["pin", "pan"], |case| {
        let (Ok(pin), Ok(pan)) = (pin(case)?, pan(case)?) else {
            return Ok(Answer::Refused);
        };
        let Ok(clear) = format_3::encode(&pin, &pan, &[0; 8]) else {
            return Ok(Answer::Refused);
        };
        // Whole bytes of control, length and digits; the rest is random fill.
        let fixed = (2 + pin.len()) / 2;
        Ok(Answer::bytes(
            "pin_block_prefix",
            &clear.expose_bytes()[..fixed],
        ))
    }),
    Op::new(
        "iso9564_3_encode_given_fill",
        &["pin", "pan", "fill"],
        |case| {
            let (Ok(pin), Ok(pan)) = (pin(case)?, pan(case)?) else {
                return Ok(Answer::Refused);
            };
            let fill = nibbles(case, "fill")?;
            let clear = format_3::encode_given_fill(&pin, &pan, &fill);
            Ok(block(clear.map(|clear| *clear.expose_bytes())))
        },
    ),
    Op::new("iso9564_3_decode", &["pin_block", "pan"], |case| {
        let Ok(pan) = pan(case)? else {
            return Ok(Answer::Refused);
        };
        decoded(format_3::decode(&case.bytes("pin_block")?, &pan))
    }),
    Op::new("iso9564_4_pan_field", &["pan"], |case| {
        Ok(pan(case)?.map_or(Answer::Refused, |pan| {
            Answer::bytes("pan_field", &pan.field_format4())
        }))
    }),
    Op::new("iso9564_4_pin_field_decode", &["pin_field"], |case| {
        decoded(format_4::decode_pin_field(&case.bytes("pin_field")?))
    }),
    Op::new(
        "iso9564_4_encipher",
        &["key", "pin", "pan", "random8"],
        |case| {
            let (Ok(pin), Ok(pan)) = (pin(case)?, pan(case)?) else {
                return Ok(Answer::Refused);
            };
            let Ok(aes) = Aes::new(&case.bytes("key")?) else {
                return Ok(Answer::Refused);
            };
            let Ok(enciphered) = format_4::encipher(&aes, &pin, &pan, &case.array("random8")?);
            Ok(Answer::bytes("pin_block", enciphered.as_bytes()))
        },
    ),
    Op::new("iso9564_4_decipher", &["key", "pin_block", "pan"], |case| {
        let Ok(pan) = pan(case)? else {
            return Ok(Answer::Refused);
        };
        let Ok(aes) = Aes::new(&case.bytes("key")?) else {
            return Ok(Answer::Refused);
        };
        decoded(format_4::decipher(&aes, &case.bytes("pin_block")?, &pan))
    }),
    Op::new(
        "fmt4_layout_sm4_encipher",
        &["key", "pin", "pan", "random8"],
        |case| {
            let (Ok(pin), Ok(pan)) = (pin(case)?, pan(case)?) else {
                return Ok(Answer::Refused);
            };
            let Ok(sm4) = Sm4::new(&case.bytes("key")?) else {
                return Ok(Answer::Refused);
            };
            let Ok(enciphered) = format_4::encipher(&sm4, &pin, &pan, &case.array("random8")?);
            Ok(Answer::bytes("pin_block", enciphered.as_bytes()))
        },
    ),
];

fn pin(case: &Case<'_>) -> Result<Result<Pin, ()>, String> {
    Ok(Pin::parse(case.text("pin")?).map_err(|_| ()))
}

fn pan(case: &Case<'_>) -> Result<Result<Pan, ()>, String> {
    Ok(Pan::parse(case.text("pan")?).map_err(|_| ()))
}

fn nibbles(case: &Case<'_>, name: &str) -> Result<Vec<u8>, String> {
    let digits = case.text(name)?.chars().map(|digit| digit.to_digit(16));
    let nibbles = digits.map(|digit| digit.and_then(|digit| u8::try_from(digit).ok()));
    nibbles
        .collect::<Option<_>>()
        .ok_or_else(|| format!("{name} is not hexadecimal"))
}

fn block<E>(clear: Result<[u8; 8], E>) -> Answer {
    clear.map_or(Answer::Refused, |clear| Answer::bytes("pin_block", &clear))
}

fn decoded(pin: Result<Pin, Rejected>) -> Result<Answer, String> {
    let Ok(pin) = pin else {
        return Ok(Answer::Refused);
    };
    let digits = pin.expose_digits(|digits| String::from_utf8_lossy(digits).into_owned());
    Ok(Answer::text("pin", &digits))
}
