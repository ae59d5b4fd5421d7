//! PIN blocks: in under one known key, out under another, opened on the other side.

use pintle::client::Error;
use pintle::domain::cipher::{Aes, BlockCipher, Sm4};
use pintle::domain::pan::Pan;
use pintle::domain::pin_block::Format;
use pintle::service::pb::v1::{KeyRef, TranslatePinRequest};

use crate::blocks::{close_8, close_16, decipher, encipher, open_8, wire};
use crate::vectors::{Bench, Case, Outcome, Verdict};
use crate::world::key;

/// A PAN for cases that bring none.
const ANY_PAN: &str = "5555555551234567";
const FORCED_FILL: &str = "needs a forced fill: library only; its block runs as block_in";

/// Runs a PIN case; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Vec<(String, Verdict)>> {
    let op = case.op();
    let verdict = match op {
        "iso9564_0_encode" => encode_0(bench, case).await,
        "iso9564_3_encode" => not_expressible(case),
        "iso9564_3_encode_prefix" => encode_3_prefix(bench, case).await,
        "iso9564_0_decode" => decode_8(bench, case, Format::Iso0).await,
        "iso9564_1_decode" => decode_8(bench, case, Format::Iso1).await,
        "iso9564_3_decode" => decode_8(bench, case, Format::Iso3).await,
        "iso9564_4_pan_field" => pan_field(bench, case).await,
        "iso9564_4_pin_field_decode" => pin_field(bench, case).await,
        "iso9564_4_decipher" => decipher_4(bench, case).await,
        "iso9564_3_encode_given_fill" => {
            return Some(twice(op, decode_8(bench, case, Format::Iso3).await));
        }
        "iso9564_4_encipher" => return Some(twice(op, block_in(bench, case, Format::Iso4).await)),
        "fmt4_layout_sm4_encipher" => {
            return Some(twice(
                op,
                block_in(bench, case, Format::Sm4Fmt4Layout).await,
            ));
        }
        "sm4_unionpay_16_encipher" => block_in(bench, case, Format::Sm4Unionpay16).await,
        "sm4_unionpay_8pad_encipher" => block_in(bench, case, Format::Sm4Unionpay8pad).await,
        "sm4_unionpay_16_decipher" => decipher_sm4(bench, case, Format::Sm4Unionpay16).await,
        "sm4_unionpay_8pad_decipher" => decipher_sm4(bench, case, Format::Sm4Unionpay8pad).await,
        "x98_no_pan_encipher" => block_in(bench, case, Format::X98NoPan).await,
        "iso9564_4_pan12_encipher" => {
            return Some(twice(op, block_in(bench, case, Format::Iso4Pan12).await));
        }
        _ => return None,
    };
    Some(vec![(op.to_owned(), verdict)])
}

/// A case whose output needs a forced fill, and whose block can go in all the same.
fn twice(op: &str, block_in: Verdict) -> Vec<(String, Verdict)> {
    let forced = Ok(Outcome::Unsupported(FORCED_FILL));
    vec![
        (op.to_owned(), forced),
        (format!("{op}.block_in"), block_in),
    ]
}

fn not_expressible(case: &Case<'_>) -> Verdict {
    if case.is_refused() {
        return Ok(Outcome::Unsupported(
            "a PIN never enters in clear: library only",
        ));
    }
    Ok(Outcome::Unsupported(FORCED_FILL))
}

/// What the service answered: the block that came out, or the reason.
async fn translate(
    bench: &Bench,
    source: KeyRef,
    format: Format,
    destination: &str,
    pan: &str,
    block: Vec<u8>,
) -> Result<Vec<u8>, String> {
    let request = TranslatePinRequest {
        source_key: Some(source),
        destination_key: key(destination),
        source_format: wire(format).into(),
        pan: pan.to_owned(),
        pin_block: block,
    };
    match bench.client.translate_pin(request).await {
        Ok(answer) => Ok(answer.pin_block),
        Err(Error::Refused(refused)) => Err(refused.reason),
        Err(Error::Connect(error)) => Err(error.to_string()),
    }
}

/// The clear format 0 block is what comes out; the same PIN goes in under format 4.
async fn encode_0(bench: &Bench, case: &Case<'_>) -> Verdict {
    if case.is_refused() {
        return not_expressible(case);
    }
    let (pin, pan) = (case.text("pin")?, case.text("pan")?);
    let block = encipher("tpk-aes", Format::Iso4, pin, pan);
    let source = key("tpk-aes").unwrap();
    let out = translate(bench, source, Format::Iso4, "zpk-out-tdes-0", pan, block).await?;
    same(
        &open_8("zpk-out-tdes-0", &out),
        &case.expected_bytes("pin_block")?,
    )
}

async fn encode_3_prefix(bench: &Bench, case: &Case<'_>) -> Verdict {
    let (pin, pan) = (case.text("pin")?, case.text("pan")?);
    let block = encipher("tpk-aes", Format::Iso4, pin, pan);
    let source = key("tpk-aes").unwrap();
    let out = translate(bench, source, Format::Iso4, "zpk-out-tdes-3", pan, block).await?;
    let prefix = case
        .expected("pin_block_prefix")
        .ok_or("expects no prefix")?;
    let clear = hex::encode_upper(open_8("zpk-out-tdes-3", &out));
    same(
        clear.get(..prefix.len()).unwrap_or_default().as_bytes(),
        prefix.as_bytes(),
    )
}

/// A clear block of formats 0, 1 and 3: enciphered by the test, opened by the test.
async fn decode_8(bench: &Bench, case: &Case<'_>, format: Format) -> Verdict {
    let clear = match case.bytes("pin_block") {
        Ok(clear) => clear,
        Err(_) => case.expected_bytes("pin_block")?,
    };
    let pan = case.text("pan").unwrap_or(ANY_PAN);
    let name = if format == Format::Iso1 {
        "tpk-tdes-iso1"
    } else {
        "tpk-tdes"
    };
    let source = key(name).unwrap();
    let Ok(block) = <[u8; 8]>::try_from(clear.as_slice()) else {
        let refused = translate(bench, source, format, "zpk-out-aes", pan, clear).await;
        return refused_for(case, refused, "PIN_BLOCK_LENGTH");
    };
    let sent = close_8(name, block);
    let out = translate(bench, source, format, "zpk-out-aes", pan, sent).await;
    let fault = match Pan::parse(pan).and_then(|pan| pan.field12()) {
        Err(_) => Some("PAN_LENGTH"),
        Ok(field) => {
            let bound = if format == Format::Iso1 {
                [0; 8]
            } else {
                field
            };
            let field: Vec<u8> = block.iter().zip(bound).map(|(a, b)| a ^ b).collect();
            (!is_sound(&field, format)).then_some("PIN_BLOCK_REJECTED")
        }
    };
    settled(case, out, fault, |out| {
        decipher("zpk-out-aes", Format::Iso4, pan, out)
    })
}

/// A block under the vector's own key.
async fn block_in(bench: &Bench, case: &Case<'_>, format: Format) -> Verdict {
    let pan = case.text("pan").unwrap_or(ANY_PAN);
    let Some(source) = bench.keys.pin(format, &case.bytes("key")?).await else {
        return Err("the key was refused".to_owned());
    };
    let block = case.expected_bytes("pin_block")?;
    let out = translate(bench, source, format, "zpk-out-aes", pan, block).await;
    if pan.len() < pintle::limits::PAN_DIGITS_MIN {
        return short_pan(out);
    }
    let opened = decipher("zpk-out-aes", Format::Iso4, pan, &out?);
    same(
        opened.unwrap_or_default().as_bytes(),
        case.text("pin")?.as_bytes(),
    )
}

async fn decipher_4(bench: &Bench, case: &Case<'_>) -> Verdict {
    let (key, pan) = (case.bytes("key")?, case.text("pan")?);
    let Some(source) = bench.keys.pin(Format::Iso4, &key).await else {
        return Err("the key was refused".to_owned());
    };
    let block = case.bytes("pin_block")?;
    let out = translate(
        bench,
        source,
        Format::Iso4,
        "zpk-out-aes",
        pan,
        block.clone(),
    )
    .await;
    if pan.len() < pintle::limits::PAN_DIGITS_MIN {
        return short_pan(out);
    }
    let fault = match (Pan::parse(pan), <[u8; 16]>::try_from(block)) {
        (Err(_), _) => Some("PAN_LENGTH"),
        (Ok(_), Err(_)) => Some("PIN_BLOCK_LENGTH"),
        (Ok(pan), Ok(mut block)) => {
            let aes = Aes::new(&key).map_err(|error| error.to_string())?;
            let Ok(()) = aes.decrypt_block(&mut block);
            block
                .iter_mut()
                .zip(pan.field_format4())
                .for_each(|(a, b)| *a ^= b);
            let Ok(()) = aes.decrypt_block(&mut block);
            (!is_sound(&block, Format::Iso4)).then_some("PIN_BLOCK_REJECTED")
        }
    };
    settled(case, out, fault, |out| {
        decipher("zpk-out-aes", Format::Iso4, pan, out)
    })
}

/// UnionPay's blocks under SM4.
async fn decipher_sm4(bench: &Bench, case: &Case<'_>, format: Format) -> Verdict {
    let (key, pan) = (case.bytes("key")?, case.text("pan")?);
    let block: [u8; 16] = case
        .bytes("pin_block")?
        .try_into()
        .map_err(|_| "a block of another length")?;
    let source = bench.keys.pin(format, &key).await.ok_or("no key")?;
    let out = translate(bench, source, format, "zpk-out-aes", pan, block.to_vec()).await;
    let sm4 = Sm4::new(&key).map_err(|error| error.to_string())?;
    let mut clear = block;
    let Ok(()) = sm4.decrypt_block(&mut clear);
    let account = Pan::parse(pan).and_then(|pan| pan.field12());
    let account = account.map_err(|error| error.to_string())?;
    let (beside, bound) = match format {
        Format::Sm4Unionpay16 => (account.map(|byte| !byte), [0; 8]),
        _ => ([0; 8], account),
    };
    let field: Vec<u8> = clear.iter().zip(bound).map(|(a, b)| a ^ b).collect();
    let sound = is_sound(&field, format) && clear[8..] == beside;
    let fault = (!sound).then_some("PIN_BLOCK_REJECTED");
    settled(case, out, fault, |out| {
        decipher("zpk-out-aes", Format::Iso4, pan, out)
    })
}

/// A PIN field of format 4, bound to a PAN and enciphered by the test, under AES and under SM4.
async fn pin_field(bench: &Bench, case: &Case<'_>) -> Verdict {
    let Ok(field) = <[u8; 16]>::try_from(case.bytes("pin_field")?) else {
        return Ok(Outcome::Unsupported(
            "a field of another length cannot be enciphered",
        ));
    };
    for (name, format) in [
        ("tpk-aes", Format::Iso4),
        ("tpk-sm4", Format::Sm4Fmt4Layout),
    ] {
        let block = close_16(name, field, ANY_PAN);
        let source = key(name).unwrap();
        let out = translate(bench, source, format, "zpk-out-aes", ANY_PAN, block).await;
        let fault = (!is_sound(&field, format)).then_some("PIN_BLOCK_REJECTED");
        settled(case, out, fault, |out| {
            decipher("zpk-out-aes", Format::Iso4, ANY_PAN, out)
        })?;
    }
    Ok(Outcome::Ran)
}

/// The service binds the PAN by the expected field: it opens a block that was bound by it.
async fn pan_field(bench: &Bench, case: &Case<'_>) -> Verdict {
    let (pan, expected) = (case.text("pan")?, case.expected_bytes("pan_field")?);
    if !(pintle::limits::PAN_DIGITS_MIN..=19).contains(&pan.len()) {
        return Ok(Outcome::Unsupported(
            "the service takes PANs of 8 to 19 digits",
        ));
    }
    let value = [0x5A; 16];
    let source = bench
        .keys
        .pin(Format::Sm4Fmt4Layout, &value)
        .await
        .ok_or("no key")?;
    let sm4 = Sm4::new(&value).map_err(|error| error.to_string())?;
    let mut block: [u8; 16] = hex::decode("441234AAAAAAAAAA0123456789ABCDEF")
        .unwrap()
        .try_into()
        .unwrap();
    let Ok(()) = sm4.encrypt_block(&mut block);
    block.iter_mut().zip(expected).for_each(|(a, b)| *a ^= b);
    let Ok(()) = sm4.encrypt_block(&mut block);
    let format = Format::Sm4Fmt4Layout;
    let out = translate(bench, source, format, "zpk-out-aes", pan, block.to_vec()).await?;
    let opened = decipher("zpk-out-aes", Format::Iso4, pan, &out);
    same(opened.unwrap_or_default().as_bytes(), b"1234")
}

/// Control nibble, length and fill; never a digit (ISO 9564-1, 9.3 and 9.4).
fn is_sound(field: &[u8], format: Format) -> bool {
    let digits = hex::encode_upper(field);
    let (control, half, fill) = match format {
        Format::Iso0 | Format::X98NoPan | Format::Sm4Unionpay16 | Format::Sm4Unionpay8pad => {
            ('0', 16, "F")
        }
        Format::Iso1 => ('1', 16, "0123456789ABCDEF"),
        Format::Iso3 => ('3', 16, "ABCDEF"),
        Format::Iso4 | Format::Iso4Pan12 | Format::Sm4Fmt4Layout => ('4', 16, "A"),
    };
    let mut nibbles = digits.chars().take(half);
    let (first, length) = (
        nibbles.next(),
        nibbles.next().and_then(|length| length.to_digit(16)),
    );
    let filled = |length: u32| {
        nibbles
            .skip(length as usize)
            .all(|nibble| fill.contains(nibble))
    };
    first == Some(control) && length.is_some_and(|it| (4..=12).contains(&it) && filled(it))
}

/// Holds that the answer is what the block's soundness and the case say: a sound block comes out
/// with its PIN, one whose only fault is a digit comes out and does not decode, every other one is
/// refused for `fault`.
fn settled(
    case: &Case<'_>,
    answer: Result<Vec<u8>, String>,
    fault: Option<&str>,
    open: impl FnOnce(&[u8]) -> Option<String>,
) -> Verdict {
    match (fault, answer) {
        (Some(fault), answer) => refused_for(case, answer, fault),
        (None, Err(reason)) => Err(format!("a sound block was refused: {reason}")),
        (None, Ok(out)) => {
            let pin = case.expected("pin").or_else(|| case.text("pin").ok());
            let opened = open(&out);
            if opened.as_deref() == pin {
                Ok(Outcome::Ran)
            } else {
                Err(format!("expected {pin:?}, got {opened:?}"))
            }
        }
    }
}

fn refused_for(case: &Case<'_>, answer: Result<Vec<u8>, String>, reason: &str) -> Verdict {
    match answer {
        Err(got) if got == reason && case.is_refused() => Ok(Outcome::Ran),
        Err(got) => Err(format!(
            "refused for {got}, not for {reason} as the case says"
        )),
        Ok(_) => Err(format!("accepted, not refused for {reason}")),
    }
}

fn short_pan(answer: Result<Vec<u8>, String>) -> Verdict {
    match answer {
        Err(reason) if reason == "PAN_LENGTH" => Ok(Outcome::Unsupported(
            "the service takes PANs of 8 to 19 digits",
        )),
        Err(reason) => Err(format!("a short PAN was refused for {reason}")),
        Ok(_) => Err("a short PAN was accepted".to_owned()),
    }
}

fn same(given: &[u8], expected: &[u8]) -> Verdict {
    if given == expected {
        return Ok(Outcome::Ran);
    }
    Err(format!(
        "expected {}, got {}",
        hex::encode(expected),
        hex::encode(given)
    ))
}
