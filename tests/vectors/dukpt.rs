//! DUKPT: every key of the files, and what is done with it (PIN blocks, MACs, data).

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::cipher::{Aes, BlockCipher, Tdes};
use pintle::domain::dukpt::{KeyType, Purpose, aes, tdes};
use pintle::domain::mac::{MacKey, Padding, Rule, Scheme, generate};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{format_0, format_4};
use serde_json::Value;

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("dukpt_tdes_ik", &["bdk", "ksn"], |case| {
        Ok(tdes_initial_key(case)?.map_or(Answer::Refused, |key| {
            Answer::bytes("ik", key.to_derived().expose_secret())
        }))
    }),
    Op::new("dukpt_tdes_transaction_key", &["bdk", "ksn"], |case| {
        Ok(tdes_transaction(case)?.map_or(Answer::Refused, |key| {
            Answer::bytes("transaction_key", key.to_derived().expose_secret())
        }))
    }),
    Op::new("dukpt_tdes_data_key", &["bdk", "ksn"], |case| {
        let Some(transaction) = tdes_transaction(case)? else {
            return Ok(Answer::Refused);
        };
        let variant = case.expected("variant").and_then(Value::as_str);
        let purpose = match variant {
            Some("data_request") => Purpose::DataRequest,
            Some("data_response") => Purpose::DataResponse,
            _ => return Err("variant is data_request or data_response".to_owned()),
        };
        let key = transaction.working_key(purpose);
        Ok(Answer::bytes("data_key", key.expose_secret()))
    })
    .remarks(&["variant"]),
    Op::new("dukpt_tdes_derive", &["bdk", "ksn"], |case| {
        let (Some(initial), Some(transaction)) = (tdes_initial_key(case)?, tdes_transaction(case)?)
        else {
            return Ok(Answer::Refused);
        };
        let mut fields = variants(&transaction);
        fields.push(("ik", hex(initial.to_derived().expose_secret())));
        let key = transaction.to_derived();
        fields.push(("transaction_key", hex(key.expose_secret())));
        Ok(Answer::Gave(fields))
    }),
    Op::new(
        "dukpt_tdes_full_mac",
        &["bdk", "ksn", "data_ascii"],
        |case| {
            let Some(transaction) = tdes_transaction(case)? else {
                return Ok(Answer::Refused);
            };
            let data = case.text("data_ascii")?.as_bytes();
            let key = |purpose| transaction.working_key(purpose);
            let response = key(Purpose::DataResponse);
            let (made, checked) = (key(Purpose::MacRequest), key(Purpose::MacResponse));
            let retail = |key: &[u8]| mac(key, Scheme::Iso9797Alg3Des, data, 8);
            Ok(Answer::Gave(vec![
                (
                    "transaction_key",
                    hex(transaction.to_derived().expose_secret()),
                ),
                (
                    "encrypted_response_data",
                    tdes_cbc(response.expose_secret(), data)?,
                ),
                ("mac_request_full", retail(made.expose_secret())?),
                ("mac_response_full", retail(checked.expose_secret())?),
            ]))
        },
    ),
    Op::new(
        "dukpt_tdes_transaction",
        &[
            "bdk",
            "ksn",
            "clear_pin_block",
            "pin",
            "pan",
            "data_ascii",
            "data_iv",
            "data_padding",
        ],
        tdes_transaction_whole,
    ),
    Op::new("dukpt_aes_ik", &["bdk", "initial_key_id"], |case| {
        Ok(aes_initial_key(case)?.map_or(Answer::Refused, |key| {
            Answer::bytes("ik", key.expose_secret())
        }))
    }),
    Op::new(
        "dukpt_aes_update_key",
        &["bdk", "initial_key_id", "key_type"],
        |case| {
            let key = key_type(case.text("key_type")?)?;
            let derived = aes_initial_key(case)?.and_then(|initial| initial.update_key(key));
            Ok(derived.map_or(Answer::Refused, |key| {
                Answer::bytes("update_key", key.expose_secret())
            }))
        },
    ),
    Op::new("dukpt_aes_derive", &["bdk", "ksn"], |case| {
        let Some((_, transaction)) = aes_transaction(case)? else {
            return Ok(Answer::Refused);
        };
        let mut fields = vec![("derivation_key", hex(transaction.expose_secret()))];
        for (name, usage, key) in WORKING_KEYS {
            if let Some(key) = transaction.working_key(*usage, *key) {
                fields.push((name, hex(key.expose_secret())));
            }
        }
        Ok(Answer::Gave(fields))
    }),
    Op::new(
        "dukpt_aes_derive_all",
        &["bdk", "ksn", "working_key_type"],
        |case| {
            let Some((initial, transaction)) = aes_transaction(case)? else {
                return Ok(Answer::Refused);
            };
            let kind = key_type(case.text("working_key_type")?)?;
            let mut fields = vec![
                ("ik", hex(initial.expose_secret())),
                ("derivation_key", hex(transaction.expose_secret())),
            ];
            let usages = [
                ("key_encryption", aes::KeyUsage::KeyEncryption, kind),
                ("pin_encryption", aes::KeyUsage::PinEncryption, kind),
                ("mac_generation", aes::KeyUsage::MacGeneration, kind),
                ("mac_verification", aes::KeyUsage::MacVerification, kind),
                ("mac_both", aes::KeyUsage::MacBothWays, kind),
                ("data_encrypt", aes::KeyUsage::DataEncrypt, kind),
                ("data_decrypt", aes::KeyUsage::DataDecrypt, kind),
                ("data_both", aes::KeyUsage::DataBothWays, kind),
                (
                    "pin_encryption_TDES2",
                    aes::KeyUsage::PinEncryption,
                    KeyType::Tdes2,
                ),
                (
                    "mac_generation_HMAC128",
                    aes::KeyUsage::MacGeneration,
                    KeyType::Hmac128,
                ),
            ];
            for (name, usage, key) in usages {
                if let Some(key) = transaction.working_key(usage, key) {
                    fields.push((name, hex(key.expose_secret())));
                }
            }
            Ok(Answer::Gave(fields))
        },
    ),
    Op::new("dukpt_aes_pin_key", &["bdk", "ksn", "key_type"], |case| {
        Ok(aes_pin_key(case)?.map_or(Answer::Refused, |key| Answer::bytes("pin_key", &key)))
    }),
    Op::new(
        "dukpt_aes_pin_block_fmt4",
        &["bdk", "ksn", "key_type", "pin", "pan", "pin_field"],
        |case| {
            let Some(key) = aes_pin_key(case)? else {
                return Ok(Answer::Refused);
            };
            let aes = Aes::new(&key).map_err(|error| error.to_string())?;
            let pin = Pin::parse(case.text("pin")?).map_err(|error| error.to_string())?;
            let pan = Pan::parse(case.text("pan")?).map_err(|error| error.to_string())?;
            let field: [u8; 16] = case.array("pin_field")?;
            let [.., a, b, c, d, e, f, g, h] = field;
            let random = [a, b, c, d, e, f, g, h];
            let Ok(block) = format_4::encipher(&aes, &pin, &pan, &random);
            Ok(Answer::bytes("encrypted_pin_block", block.as_bytes()))
        },
    ),
    Op::new(
        "dukpt_aes_use",
        &[
            "bdk",
            "ksn",
            "data_ascii",
            "mac_key",
            "hmac_key",
            "data_key",
            "data_iv",
            "data_padding",
        ],
        aes_use,
    ),
    Op::new("ksn80_to_initial_key_id", &["ksn"], |case| {
        let id = aes::InitialKeyId::of_ksn_of_80_bits(&case.bytes("ksn")?);
        Ok(id.map_or(Answer::Refused, |id| Answer::bytes("initial_key_id", &id.0)))
    }),
];

const WORKING_KEYS: &[(&str, aes::KeyUsage, KeyType)] = &[
    (
        "pin_encryption_AES128",
        aes::KeyUsage::PinEncryption,
        KeyType::Aes128,
    ),
    (
        "pin_encryption_AES192",
        aes::KeyUsage::PinEncryption,
        KeyType::Aes192,
    ),
    (
        "pin_encryption_AES256",
        aes::KeyUsage::PinEncryption,
        KeyType::Aes256,
    ),
    (
        "mac_generation_AES128",
        aes::KeyUsage::MacGeneration,
        KeyType::Aes128,
    ),
    (
        "mac_generation_AES192",
        aes::KeyUsage::MacGeneration,
        KeyType::Aes192,
    ),
    (
        "mac_generation_AES256",
        aes::KeyUsage::MacGeneration,
        KeyType::Aes256,
    ),
    (
        "data_encrypt_AES128",
        aes::KeyUsage::DataEncrypt,
        KeyType::Aes128,
    ),
    (
        "data_encrypt_AES192",
        aes::KeyUsage::DataEncrypt,
        KeyType::Aes192,
    ),
    (
        "data_encrypt_AES256",
        aes::KeyUsage::DataEncrypt,
        KeyType::Aes256,
    ),
];

fn tdes_transaction_whole(case: &Case<'_>) -> Result<Answer, String> {
    let Some(transaction) = tdes_transaction(case)? else {
        return Ok(Answer::Refused);
    };
    if case.bytes("data_iv")? != [0; 8] || case.text("data_padding")? != "00" {
        return Err("data is CBC with a zero IV and zero padding".to_owned());
    }
    let pin = Pin::parse(case.text("pin")?).map_err(|error| error.to_string())?;
    let pan = Pan::parse(case.text("pan")?).map_err(|error| error.to_string())?;
    let clear = format_0::encode(&pin, &pan).map_err(|error| error.to_string())?;
    let mut block = *clear.expose_bytes();
    if block.as_slice() != case.bytes("clear_pin_block")? {
        return Err("clear_pin_block is not format 0 of pin and pan".to_owned());
    }
    let data = case.text("data_ascii")?.as_bytes();
    let key = |purpose| transaction.working_key(purpose);
    let cipher = Tdes::new(key(Purpose::Pin).expose_secret()).map_err(|error| error.to_string())?;
    let Ok(()) = cipher.encrypt_block(&mut block);
    let (made, checked) = (key(Purpose::MacRequest), key(Purpose::MacResponse));
    let (made, checked) = (made.expose_secret(), checked.expose_secret());
    let derived = variants(&transaction).into_iter();
    let derived = derived.map(|(name, key)| (name.to_owned(), key)).collect();
    Ok(Answer::Gave(vec![
        (
            "transaction_key",
            hex(transaction.to_derived().expose_secret()),
        ),
        ("encrypted_pin_block", hex(&block)),
        ("mac_request", mac(made, Scheme::Iso9797Alg3Des, data, 4)?),
        (
            "mac_response",
            mac(checked, Scheme::Iso9797Alg3Des, data, 4)?,
        ),
        (
            "cmac_request_handcrafted",
            mac(made, Scheme::CmacTdes, data, 8)?,
        ),
        (
            "cmac_response_handcrafted",
            mac(checked, Scheme::CmacTdes, data, 8)?,
        ),
        (
            "encrypted_request_data",
            tdes_cbc(key(Purpose::DataRequest).expose_secret(), data)?,
        ),
        ("derived_keys", Value::Object(derived)),
    ]))
}

fn aes_use(case: &Case<'_>) -> Result<Answer, String> {
    let Some((_, transaction)) = aes_transaction(case)? else {
        return Ok(Answer::Refused);
    };
    if case.bytes("data_iv")? != [0; 16] || case.text("data_padding")? != "00" {
        return Err("data is CBC with a zero IV and zero padding".to_owned());
    }
    let data = case.text("data_ascii")?.as_bytes();
    let mut fields = vec![("CurrentKey", hex(transaction.expose_secret()))];
    let (generation, verification) = (aes::KeyUsage::MacGeneration, aes::KeyUsage::MacVerification);
    for (name, usage, key, scheme, length) in [
        ("CMACRequest", generation, "mac_key", Scheme::CmacAes, 16),
        ("CMACResponse", verification, "mac_key", Scheme::CmacAes, 16),
        (
            "HMACRequest",
            generation,
            "hmac_key",
            Scheme::HmacSha256,
            32,
        ),
        (
            "HMACResponse",
            verification,
            "hmac_key",
            Scheme::HmacSha256,
            32,
        ),
    ] {
        let key = transaction.working_key(usage, key_type(case.text(key)?)?);
        let key = key.ok_or("a key stronger than its base key")?;
        fields.push((name, mac(key.expose_secret(), scheme, data, length)?));
    }
    for (name, usage) in [
        ("DataRequest", aes::KeyUsage::DataEncrypt),
        ("DataResponse", aes::KeyUsage::DataDecrypt),
    ] {
        let key = transaction.working_key(usage, key_type(case.text("data_key")?)?);
        let key = key.ok_or("a key stronger than its base key")?;
        let aes = Aes::new(key.expose_secret()).map_err(|error| error.to_string())?;
        fields.push((name, cbc(&aes, data)));
    }
    Ok(Answer::Gave(fields))
}

fn tdes_initial_key(case: &Case<'_>) -> Result<Option<tdes::InitialKey>, String> {
    let base = tdes::BaseKey::new(&case.bytes("bdk")?);
    let device = tdes::DeviceId::of_ksn(&case.bytes("ksn")?);
    Ok(base
        .ok()
        .zip(device.ok())
        .map(|(base, device)| base.initial_key(&device)))
}

fn tdes_transaction(case: &Case<'_>) -> Result<Option<tdes::TransactionKey>, String> {
    let initial = tdes_initial_key(case)?;
    let ksn = tdes::Ksn::parse(&case.bytes("ksn")?).ok();
    Ok(initial
        .zip(ksn)
        .map(|(initial, ksn)| initial.transaction_key(&ksn)))
}

fn variants(transaction: &tdes::TransactionKey) -> Vec<(&'static str, Value)> {
    let of = |(name, purpose)| (name, hex(transaction.working_key(purpose).expose_secret()));
    [
        ("pin", Purpose::Pin),
        ("mac_request", Purpose::MacRequest),
        ("mac_response", Purpose::MacResponse),
        ("data_request", Purpose::DataRequest),
        ("data_response", Purpose::DataResponse),
    ]
    .map(of)
    .to_vec()
}

fn aes_initial_key(case: &Case<'_>) -> Result<Option<aes::InitialKey>, String> {
    let id = aes::InitialKeyId(case.array("initial_key_id")?);
    let base = aes::BaseKey::new(&case.bytes("bdk")?).ok();
    Ok(base.map(|base| base.initial_key(&id)))
}

fn aes_transaction(
    case: &Case<'_>,
) -> Result<Option<(aes::InitialKey, aes::TransactionKey)>, String> {
    let base = aes::BaseKey::new(&case.bytes("bdk")?).ok();
    let ksn = aes::Ksn::parse(&case.bytes("ksn")?).ok();
    Ok(base.zip(ksn).map(|(base, ksn)| {
        let initial = base.initial_key(ksn.id());
        let transaction = initial.transaction_key(&ksn);
        (initial, transaction)
    }))
}

fn aes_pin_key(case: &Case<'_>) -> Result<Option<Vec<u8>>, String> {
    let key = key_type(case.text("key_type")?)?;
    let derived = aes_transaction(case)?
        .and_then(|(_, transaction)| transaction.working_key(aes::KeyUsage::PinEncryption, key));
    Ok(derived.map(|key| key.expose_secret().to_vec()))
}

fn key_type(text: &str) -> Result<KeyType, String> {
    let known = KeyType::ALL.into_iter();
    let mut found = known.filter(|key| format!("{key:?}").to_uppercase() == text);
    found.next().ok_or_else(|| format!("{text} is no key type"))
}

/// Padded with zeros where the scheme pads at all.
fn mac(key: &[u8], scheme: Scheme, data: &[u8], length: u8) -> Result<Value, String> {
    let padding = scheme.needs_padding().then_some(Padding::Method1);
    let rule = Rule::new(scheme, padding, length).map_err(|error| error.to_string())?;
    let key = MacKey::new(scheme, key).map_err(|error| error.to_string())?;
    let tag = generate(&key, &rule, data).map_err(|error| error.to_string())?;
    Ok(hex(tag.as_bytes()))
}

fn tdes_cbc(key: &[u8], data: &[u8]) -> Result<Value, String> {
    let tdes = Tdes::new(key).map_err(|error| error.to_string())?;
    Ok(cbc(&tdes, data))
}

/// CBC with a zero IV and zero padding.
fn cbc<const N: usize, C>(cipher: &C, data: &[u8]) -> Value
where
    C: BlockCipher<N, Error = std::convert::Infallible>,
{
    let mut out = Vec::new();
    let mut state = [0; N];
    for chunk in data.chunks(N) {
        for (state, byte) in state.iter_mut().zip(chunk) {
            *state ^= byte;
        }
        let Ok(()) = cipher.encrypt_block(&mut state);
        out.extend(state);
    }
    hex(&out)
}
