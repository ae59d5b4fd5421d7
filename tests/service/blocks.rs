//! The other side of the keys in `keys.toml`: what a terminal does before a call and an issuer
//! after it, so that a test can say what is in a PIN block.

use std::collections::HashMap;
use std::sync::OnceLock;

use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};
use pintle::service::pb::v1::PinBlockFormat;

/// The test keys, as an import file.
pub const KEYS: &str = include_str!("keys.toml");

/// The key of this name, with its cipher.
pub fn cipher(name: &str) -> PinCipher {
    let (algorithm, value) = &values()[name];
    PinCipher::new(*algorithm, value).unwrap()
}

/// The value of the test key of this name.
pub fn value(name: &str) -> Vec<u8> {
    values()[name].1.clone()
}

/// A PIN block as a terminal makes it.
pub fn encipher(name: &str, format: Format, pin: &str, pan: &str) -> Vec<u8> {
    let cipher = cipher(name);
    let framing = Framing {
        format,
        cipher: &cipher,
    };
    let (pin, pan) = (Pin::parse(pin).unwrap(), Pan::parse(pan).unwrap());
    pin_block::encipher(framing, &pin, &pan, &[0x5A; 8])
        .unwrap()
        .as_bytes()
        .to_vec()
}

/// The PIN in a block, as an issuer reads it; none where it is not a sound block.
pub fn decipher(name: &str, format: Format, pan: &str, block: &[u8]) -> Option<String> {
    let cipher = cipher(name);
    let framing = Framing {
        format,
        cipher: &cipher,
    };
    let pin = pin_block::decipher(framing, &Pan::parse(pan).unwrap(), block).ok()?;
    Some(pin.expose_digits(|digits| String::from_utf8(digits.to_vec()).unwrap()))
}

/// The clear block of formats 0, 1 and 3, PAN still in it.
pub fn open_8(name: &str, block: &[u8]) -> [u8; 8] {
    let mut block = block.try_into().unwrap();
    match cipher(name) {
        PinCipher::Tdes(tdes) => {
            let Ok(()) = tdes.decrypt_block(&mut block);
        }
        PinCipher::Aes(_) | PinCipher::Sm4(_) => panic!("{name} has no 8-byte blocks"),
    }
    block
}

/// Any 8 bytes under a TDES key, sound or not.
pub fn close_8(name: &str, clear: [u8; 8]) -> Vec<u8> {
    let mut block = clear;
    match cipher(name) {
        PinCipher::Tdes(tdes) => {
            let Ok(()) = tdes.encrypt_block(&mut block);
        }
        PinCipher::Aes(_) | PinCipher::Sm4(_) => panic!("{name} has no 8-byte blocks"),
    }
    block.to_vec()
}

/// Any 16 bytes under an AES or SM4 key, sound or not.
pub fn close_plain_16(name: &str, clear: [u8; 16]) -> Vec<u8> {
    let mut block = clear;
    match cipher(name) {
        PinCipher::Aes(aes) => {
            let Ok(()) = aes.encrypt_block(&mut block);
        }
        PinCipher::Sm4(sm4) => {
            let Ok(()) = sm4.encrypt_block(&mut block);
        }
        PinCipher::Tdes(_) => panic!("{name} has no 16-byte blocks"),
    }
    block.to_vec()
}

/// A format on the wire.
pub fn wire(format: Format) -> PinBlockFormat {
    match format {
        Format::Iso0 => PinBlockFormat::Iso0,
        Format::Iso1 => PinBlockFormat::Iso1,
        Format::Iso3 => PinBlockFormat::Iso3,
        Format::Iso4 => PinBlockFormat::Iso4,
        Format::Sm4Fmt4Layout => PinBlockFormat::Sm4Fmt4Layout,
        Format::Sm4Unionpay16 => PinBlockFormat::Sm4Unionpay16,
        Format::Sm4Unionpay8pad => PinBlockFormat::Sm4Unionpay8pad,
        Format::Iso4Pan12 => PinBlockFormat::Iso4Pan12,
        Format::X98NoPan => PinBlockFormat::X98NoPan,
    }
}

/// Any PIN field of format 4 or its SM4 layout, bound to a PAN, sound or not (ISO 9564-1, 9.4.2).
pub fn close_16(name: &str, field: [u8; 16], pan: &str) -> Vec<u8> {
    let pan = Pan::parse(pan).unwrap().field_format4();
    let mut block = field;
    let encrypt = |block: &mut [u8; 16]| match cipher(name) {
        PinCipher::Aes(aes) => {
            let Ok(()) = aes.encrypt_block(block);
        }
        PinCipher::Sm4(sm4) => {
            let Ok(()) = sm4.encrypt_block(block);
        }
        PinCipher::Tdes(_) => panic!("{name} has no 16-byte blocks"),
    };
    encrypt(&mut block);
    block
        .iter_mut()
        .zip(pan)
        .for_each(|(block, pan)| *block ^= pan);
    encrypt(&mut block);
    block.to_vec()
}

/// Eight bytes from sixteen hex digits, ⊕ the PAN field of formats 0 and 3.
pub fn bound(hex: &str, pan: &str) -> [u8; 8] {
    let mut clear: [u8; 8] = hex::decode(hex).unwrap().try_into().unwrap();
    let field = Pan::parse(pan).unwrap().field12().unwrap();
    clear
        .iter_mut()
        .zip(field)
        .for_each(|(clear, pan)| *clear ^= pan);
    clear
}

fn values() -> &'static HashMap<String, (BlockAlgorithm, Vec<u8>)> {
    static VALUES: OnceLock<HashMap<String, (BlockAlgorithm, Vec<u8>)>> = OnceLock::new();
    VALUES.get_or_init(|| {
        let file: toml::Table = KEYS.parse().unwrap();
        let text = |key: &toml::Value, field: &str| key[field].as_str().unwrap().to_owned();
        let algorithm = |key: &toml::Value| match text(key, "algorithm").as_str() {
            "TDES-2" | "TDES-3" => Some(BlockAlgorithm::Tdes),
            "AES-128" | "AES-192" | "AES-256" => Some(BlockAlgorithm::Aes),
            "SM4" => Some(BlockAlgorithm::Sm4),
            _ => None,
        };
        let keys = file["key"].as_array().unwrap().iter();
        keys.filter_map(|key| {
            let value = hex::decode(text(key, "value")).unwrap();
            Some((text(key, "name"), (algorithm(key)?, value)))
        })
        .collect()
    })
}
