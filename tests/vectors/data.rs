//! Data and tracks under a block cipher, each encrypted as the file says and decrypted again.

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::cipher::{Aes, BlockAlgorithm, PinCipher, Sm4};
use pintle::domain::data::{self, DataError, IvRule, Mode, Padding, Rule, gcm_open, gcm_seal};
use pintle::domain::track::{self, Framing, Layout};
use serde_json::Value;

const KEY_IV: &[&str] = &["key", "iv", "plaintext"];
const KEY: &[&str] = &["key", "plaintext"];
const GCM: &[&str] = &["key", "iv", "aad", "plaintext"];
const OPENED: &[&str] = &["key", "iv", "aad", "ciphertext", "tag"];
const TDES: BlockAlgorithm = BlockAlgorithm::Tdes;
const AES: BlockAlgorithm = BlockAlgorithm::Aes;
const SM4: BlockAlgorithm = BlockAlgorithm::Sm4;

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("tdes_ecb_encrypt", KEY, |case| ecb(case, TDES)),
    Op::new("aes_ecb_encrypt", KEY, |case| ecb(case, AES)),
    Op::new("sm4_ecb_encrypt", KEY, |case| ecb(case, SM4)),
    Op::new("tdes_cbc_encrypt", KEY_IV, |case| {
        cbc(case, TDES, Padding::Whole)
    }),
    Op::new("aes_cbc_encrypt", KEY_IV, |case| {
        cbc(case, AES, Padding::Whole)
    }),
    Op::new("sm4_cbc_encrypt", KEY_IV, |case| {
        cbc(case, SM4, Padding::Whole)
    }),
    Op::new("sm4_cbc_encrypt_nopad", KEY_IV, |case| {
        cbc(case, SM4, Padding::Whole)
    }),
    Op::new("tdes_cbc_pkcs7_encrypt", KEY_IV, |case| {
        cbc(case, TDES, Padding::Pkcs7)
    }),
    Op::new("sm4_cbc_pkcs7_encrypt", KEY_IV, |case| {
        cbc(case, SM4, Padding::Pkcs7)
    }),
    Op::new("aes_ctr_encrypt", KEY_IV, |case| ctr(case, AES)),
    Op::new("sm4_ctr_encrypt", KEY_IV, |case| ctr(case, SM4)),
    Op::new("aes_gcm_encrypt", GCM, |case| seal(case, AES)),
    Op::new("sm4_gcm_encrypt", GCM, |case| seal(case, SM4)),
    Op::new("sm4_gcm_decrypt", OPENED, open_sm4),
    Op::new(
        "unionpay_track_encipher",
        &["key", "algorithm", "layout", "digits", "track"],
        encipher_track,
    ),
];

fn ecb(case: &Case<'_>, algorithm: BlockAlgorithm) -> Result<Answer, String> {
    there_and_back(case, algorithm, Mode::Ecb, Padding::Whole, None)
}

fn cbc(case: &Case<'_>, algorithm: BlockAlgorithm, padding: Padding) -> Result<Answer, String> {
    there_and_back(case, algorithm, Mode::Cbc, padding, Some(IvRule::Caller))
}

fn ctr(case: &Case<'_>, algorithm: BlockAlgorithm) -> Result<Answer, String> {
    let caller = Some(IvRule::Caller);
    there_and_back(case, algorithm, Mode::Ctr, Padding::Whole, caller)
}

fn there_and_back(
    case: &Case<'_>,
    algorithm: BlockAlgorithm,
    mode: Mode,
    padding: Padding,
    iv_rule: Option<IvRule>,
) -> Result<Answer, String> {
    let rule = Rule::new(mode, padding, iv_rule, 0).map_err(|error| error.to_string())?;
    let Ok(key) = PinCipher::new(algorithm, &case.bytes("key")?) else {
        return Ok(Answer::Refused);
    };
    let iv = match iv_rule {
        Some(_) => case.bytes("iv")?,
        None => Vec::new(),
    };
    let clear = case.bytes("plaintext")?;
    let Ok(made) = data::encrypt(&key, &rule, &iv, b"", &clear) else {
        return Ok(Answer::Refused);
    };
    let opened = data::decrypt(&key, &rule, &iv, b"", (&made.data, b""));
    if opened.map_err(|error| error.to_string())?.expose_secret() != &clear {
        return Err("it does not decrypt to what was encrypted".to_owned());
    }
    Ok(Answer::bytes("ciphertext", &made.data))
}

fn seal(case: &Case<'_>, algorithm: BlockAlgorithm) -> Result<Answer, String> {
    let (key, iv, aad) = (case.bytes("key")?, case.bytes("iv")?, case.bytes("aad")?);
    let mut data = case.bytes("plaintext")?;
    let clear = data.clone();
    let tag = match algorithm {
        BlockAlgorithm::Tdes => return Ok(Answer::Refused),
        BlockAlgorithm::Aes => {
            let aes = Aes::new(&key).map_err(|error| error.to_string())?;
            gcm_seal(&aes, &iv, &aad, &mut data)
        }
        BlockAlgorithm::Sm4 => {
            let sm4 = Sm4::new(&key).map_err(|error| error.to_string())?;
            gcm_seal(&sm4, &iv, &aad, &mut data)
        }
    };
    let Ok(tag) = tag;
    let rule = Rule::new(Mode::Gcm, Padding::Whole, None, 16).map_err(|error| error.to_string())?;
    let key = PinCipher::new(algorithm, &key).map_err(|error| error.to_string())?;
    let made = data::encrypt(&key, &rule, &iv, &aad, &clear).map_err(|error| error.to_string())?;
    if (&made.data, &made.tag[..]) != (&data, &tag[..]) {
        return Err("under a rule it is another".to_owned());
    }
    Ok(Answer::Gave(vec![
        ("ciphertext", hex(&data)),
        ("tag", hex(&tag)),
    ]))
}

/// Through a rule where the IV is one of a rule's, and through the mode itself.
fn open_sm4(case: &Case<'_>) -> Result<Answer, String> {
    let (key, iv, aad) = (case.bytes("key")?, case.bytes("iv")?, case.bytes("aad")?);
    let (data, tag) = (case.bytes("ciphertext")?, case.bytes("tag")?);
    if iv.is_empty() {
        return Ok(Answer::Refused);
    }
    let sm4 = Sm4::new(&key).map_err(|error| error.to_string())?;
    let mut clear = data.clone();
    let Ok(verdict) = gcm_open(&sm4, &iv, &aad, &mut clear, &tag);
    if iv.len() == 12 {
        let rule = Rule::new(Mode::Gcm, Padding::Whole, None, 16);
        let rule = rule.map_err(|error| error.to_string())?;
        let key = PinCipher::new(SM4, &key).map_err(|error| error.to_string())?;
        let same = match data::decrypt(&key, &rule, &iv, &aad, (&data, &tag)) {
            Ok(opened) => verdict.is_ok() && opened.expose_secret() == &clear,
            Err(DataError::Rejected) => verdict.is_err(),
            Err(_) => false,
        };
        if !same {
            return Err("under a rule it is another".to_owned());
        }
    }
    Ok(match verdict {
        Ok(()) => Answer::Gave(vec![
            ("valid", Value::Bool(true)),
            ("plaintext", hex(&clear)),
        ]),
        Err(_) => Answer::valid(false),
    })
}

fn encipher_track(case: &Case<'_>) -> Result<Answer, String> {
    let algorithm = match case.text("algorithm")? {
        "TDES" => TDES,
        "SM4" => SM4,
        other => return Err(format!("the algorithm {other}")),
    };
    let layout = match case.text("layout")? {
        "UNIONPAY_ONE_BLOCK" => Layout::UnionPayOneBlock,
        "UNIONPAY_WHOLE" => Layout::UnionPayWhole,
        other => return Err(format!("the layout {other}")),
    };
    let cipher =
        PinCipher::new(algorithm, &case.bytes("key")?).map_err(|error| error.to_string())?;
    let framing = Framing {
        layout,
        cipher: &cipher,
    };
    let (digits, clear) = (case.number("digits")?, case.bytes("track")?);
    let Ok(made) = track::encipher(framing, digits, &clear) else {
        return Ok(Answer::Refused);
    };
    let opened = track::decipher(framing, digits, &made).map_err(|error| error.to_string())?;
    if opened.expose_secret() != &clear {
        return Err("it does not decipher to the track".to_owned());
    }
    Ok(Answer::bytes("track", &made))
}
