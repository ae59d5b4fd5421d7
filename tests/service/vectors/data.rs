//! Data and tracks: the vector's key imported with the rule the case needs. Data is encrypted where
//! the IV is the case's to give, and decrypted always; a track comes in under the case's key and is
//! taken under another and back.

use pintle::client::Error;
use pintle::domain::cipher::BlockAlgorithm;
use pintle::domain::data::{IvRule, Mode, Padding, Rule};
use pintle::domain::track::Layout;
use pintle::keys::key_policy::KeyPolicy;
use pintle::service::pb::v1::{
    DecryptDataRequest, EncryptDataRequest, KeyRef, TranslateTrackRequest,
};

use crate::vectors::{Bench, Case, Outcome, Verdict};
use crate::world;

const REFUSED_KEY: &str = "no key policy takes this key: library only";
const IV_LENGTH: &str = "a GCM IV is 12 bytes here: library only";

/// Runs a case of data; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Verdict> {
    let (algorithm, rest) = match case.op().split_once('_')? {
        ("tdes", rest) => (BlockAlgorithm::Tdes, rest),
        ("aes", rest) => (BlockAlgorithm::Aes, rest),
        ("sm4", rest) => (BlockAlgorithm::Sm4, rest),
        ("unionpay", "track_encipher") => return Some(track(bench, case).await),
        _ => return None,
    };
    let (mode, padding) = match rest {
        "ecb_encrypt" => (Mode::Ecb, Padding::Whole),
        "cbc_encrypt" | "cbc_encrypt_nopad" => (Mode::Cbc, Padding::Whole),
        "cbc_pkcs7_encrypt" => (Mode::Cbc, Padding::Pkcs7),
        "ctr_encrypt" => (Mode::Ctr, Padding::Whole),
        "gcm_encrypt" | "gcm_decrypt" => (Mode::Gcm, Padding::Whole),
        _ => return None,
    };
    Some(cipher(bench, case, algorithm, mode, padding).await)
}

async fn cipher(
    bench: &Bench,
    case: &Case<'_>,
    algorithm: BlockAlgorithm,
    mode: Mode,
    padding: Padding,
) -> Verdict {
    let (iv, tag_bytes) = match mode {
        Mode::Ecb => (None, 0),
        Mode::Cbc | Mode::Ctr => (Some(IvRule::Caller), 0),
        Mode::Gcm => (None, 16),
    };
    let rule = Rule::new(mode, padding, iv, tag_bytes).map_err(|error| error.to_string())?;
    let policy = KeyPolicy {
        data: Some(rule),
        weak: rule.is_weak(true),
        ..KeyPolicy::default()
    };
    let key = case.bytes("key")?;
    let Some(key) = bench.keys.data(algorithm, policy, &key).await else {
        return Ok(Outcome::Unsupported(REFUSED_KEY));
    };
    match mode {
        Mode::Ecb => encrypt(bench, case, &key, Vec::new()).await,
        Mode::Cbc | Mode::Ctr => encrypt(bench, case, &key, case.bytes("iv")?).await,
        Mode::Gcm => open(bench, case, &key).await,
    }
}

/// Encrypts, and decrypts what came out.
async fn encrypt(bench: &Bench, case: &Case<'_>, key: &KeyRef, iv: Vec<u8>) -> Verdict {
    let clear = case.bytes("plaintext")?;
    let request = EncryptDataRequest {
        key: Some(key.clone()),
        data: clear.clone(),
        iv,
        ..EncryptDataRequest::default()
    };
    let made = bench.client.encrypt_data(request).await;
    let made = made.map_err(|error| error.to_string())?;
    same(&made.data, &case.expected_bytes("ciphertext")?)?;
    let request = DecryptDataRequest {
        key: Some(key.clone()),
        data: made.data,
        iv: made.iv,
        ..DecryptDataRequest::default()
    };
    let opened = bench.client.decrypt_data(request).await;
    same(&opened.map_err(|error| error.to_string())?.data, &clear)?;
    Ok(Outcome::Ran)
}

/// GCM: the IV of an encryption is made by the service, so every case is one of decryption.
async fn open(bench: &Bench, case: &Case<'_>, key: &KeyRef) -> Verdict {
    let iv = case.bytes("iv")?;
    if iv.len() != 12 {
        return Ok(Outcome::Unsupported(IV_LENGTH));
    }
    let made = case.op().ends_with("encrypt");
    let (data, tag, clear) = if made {
        let made = (
            case.expected_bytes("ciphertext")?,
            case.expected_bytes("tag")?,
        );
        (made.0, made.1, Some(case.bytes("plaintext")?))
    } else {
        let clear = case.is_valid().ok_or("no verdict")?;
        let clear = clear
            .then(|| case.expected_bytes("plaintext"))
            .transpose()?;
        (case.bytes("ciphertext")?, case.bytes("tag")?, clear)
    };
    let request = DecryptDataRequest {
        key: Some(key.clone()),
        data,
        iv,
        associated_data: case.bytes("aad")?,
        tag,
    };
    match (bench.client.decrypt_data(request).await, clear) {
        (Ok(opened), Some(clear)) => same(&opened.data, &clear)?,
        (Err(Error::Refused(refused)), None) if refused.reason == "DATA_REJECTED" => {}
        (Ok(_), None) => return Err("accepted, but should be refused".to_owned()),
        (Err(error), _) => return Err(error.to_string()),
    }
    Ok(Outcome::Ran)
}

async fn track(bench: &Bench, case: &Case<'_>) -> Verdict {
    let algorithm = match case.text("algorithm")? {
        "TDES" => BlockAlgorithm::Tdes,
        _ => BlockAlgorithm::Sm4,
    };
    let layout = match case.text("layout")? {
        "UNIONPAY_ONE_BLOCK" => Layout::UnionPayOneBlock,
        _ => Layout::UnionPayWhole,
    };
    let policy = KeyPolicy {
        track: Some(layout),
        ..KeyPolicy::default()
    };
    let key = bench
        .keys
        .data(algorithm, policy, &case.bytes("key")?)
        .await;
    let Some(key) = key else {
        return Ok(Outcome::Unsupported(REFUSED_KEY));
    };
    let digits = case.number("digits").ok_or("no digits")?;
    let digits = u32::try_from(digits).map_err(|error| error.to_string())?;
    let other = world::key("tdk-whole").ok_or("no key")?;
    let translate = async |from: &KeyRef, to: &KeyRef, track: Vec<u8>| {
        let request = TranslateTrackRequest {
            source_key: Some(from.clone()),
            destination_key: Some(to.clone()),
            digits,
            track,
        };
        let answer = bench.client.translate_track(request).await;
        answer
            .map(|answer| answer.track)
            .map_err(|error| error.to_string())
    };
    let enciphered = case.expected_bytes("track")?;
    let there = translate(&key, &other, enciphered.clone()).await?;
    let clear = crate::track::decipher("tdk-whole", Layout::UnionPayWhole, digits, &there);
    same(&clear, &case.bytes("track")?)?;
    same(&translate(&other, &key, there).await?, &enciphered)?;
    Ok(Outcome::Ran)
}

fn same(given: &[u8], expected: &[u8]) -> Result<(), String> {
    if given == expected {
        return Ok(());
    }
    let (given, expected) = (hex::encode(given), hex::encode(expected));
    Err(format!("expected {expected}, got {given}"))
}
