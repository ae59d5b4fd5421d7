//! What holds of the domain for any input: decoding takes back what encoding made, decoders never
//! panic, translation keeps the PIN and does not see its digits, a MAC answers for every bit, a
//! key block gives back what went in.
//!
//! No known answers here: they are files under `tests/vectors`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use pintle::domain::cipher::{BlockAlgorithm, PinCipher};
use pintle::domain::data::{self, IvRule, Rule as DataRule};
use pintle::domain::key_block::{
    self, Algorithm, Exportability, Header, KeyVersion, Masking, Mode, ProtectionKeys, Usage,
    Version,
};
use pintle::domain::mac::{self, MacKey, Padding, Rule, Scheme, VerifyError};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{
    self, Binding, EncryptedPinBlock, Format, Framing, Rejected, format_0, format_1, format_3,
    format_4,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// 4 to 12 digits, every length as likely.
fn pins() -> impl Strategy<Value = String> {
    (4..=12usize)
        .prop_flat_map(|length| vec(0..=9u8, length))
        .prop_map(text)
}

/// 13 to 19 digits, as every format can bind.
fn pans() -> impl Strategy<Value = String> {
    (13..=19usize)
        .prop_flat_map(|length| vec(0..=9u8, length))
        .prop_map(text)
}

fn text(digits: Vec<u8>) -> String {
    digits
        .into_iter()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

fn formats() -> impl Strategy<Value = Format> {
    select(&Format::ALL[..])
}

/// Input, output: any pair the table allows.
fn translations() -> impl Strategy<Value = (Format, Format)> {
    (formats(), formats()).prop_filter("what binds no PAN never comes out", |(_, to)| {
        to.binding() != Binding::None
    })
}

/// A header with any codes and up to three optional blocks, some of them long.
fn headers(version: Version) -> impl Strategy<Value = Header> {
    let printable = vec((0x20..=0x7Eu8).prop_map(char::from), 0..300);
    (
        "[A-Z0-9]{2}[A-Z0-9][a-z0-9]{2}[A-Z]",
        select(&[b'T', b'A', b'H', b'7'][..]),
        vec(printable, 0..=3),
    )
        .prop_map(move |(codes, algorithm, texts)| {
            let c = codes.as_bytes();
            let mut header = Header::new(
                version,
                Usage::new([c[0], c[1]]).unwrap(),
                Algorithm::new([algorithm]).unwrap(),
                Mode::new([c[2]]).unwrap(),
                Exportability::new([c[5]]).unwrap(),
            );
            header.key_version = KeyVersion::new([c[3], c[4]]).unwrap();
            for (id, text) in [*b"LB", *b"KS", *b"99"].into_iter().zip(texts) {
                header
                    .blocks
                    .push(id, &text.iter().collect::<String>())
                    .unwrap();
            }
            header
        })
}

/// A protection key of a version, made from 32 bytes.
fn protection_keys(version: Version, kbpk: &[u8]) -> ProtectionKeys {
    let length = if version == Version::D { 32 } else { 24 };
    ProtectionKeys::from_kbpk(version, &kbpk[..length]).unwrap()
}

/// A scheme with a rule of any length and padding that it allows, and a key for it.
fn mac_rules() -> impl Strategy<Value = (Scheme, Option<Padding>, u8, Vec<u8>)> {
    let paddings = select(&[Padding::Method1, Padding::Method2, Padding::Method3][..]);
    (
        select(&Scheme::ALL[..]),
        paddings,
        any::<Index>(),
        vec(any::<u8>(), 32),
    )
        .prop_map(|(scheme, padding, length, key)| {
            let (shortest, longest) = scheme.lengths();
            let length = shortest + length.index(longest - shortest + 1);
            let padding = scheme.needs_padding().then_some(padding);
            let key_bytes = match scheme {
                Scheme::Iso9797Alg1Des => 8,
                Scheme::UnionPayGatewaySha256 | Scheme::UnionPayGatewaySm3 => 32,
                _ => 16,
            };
            (
                scheme,
                padding,
                u8::try_from(length).unwrap_or(u8::MAX),
                key[..key_bytes].to_vec(),
            )
        })
}

fn same(pin: &Pin, text: &str) -> bool {
    pin.expose_digits(|digits| digits == text.as_bytes())
}

fn key(format: Format, bytes: &[u8; 16]) -> PinCipher {
    PinCipher::new(format.algorithm(), bytes).unwrap_or_else(|_| panic!("16 bytes are a key"))
}

/// Format 0 through format 4's AES, as bytes of a comparable type.
fn answer(result: Result<EncryptedPinBlock, Rejected>) -> Result<Vec<u8>, Rejected> {
    result.map(|block| block.as_bytes().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decoding_takes_back_what_encoding_made(
        pin_text in pins(),
        pan_text in pans(),
        random: [u8; 8],
        nibbles in vec(0..=15u8, 14),
    ) {
        let (pin, pan) = (Pin::parse(&pin_text).unwrap(), Pan::parse(&pan_text).unwrap());
        let zero = format_0::encode(&pin, &pan).unwrap();
        prop_assert!(same(&format_0::decode(zero.expose_bytes(), &pan).unwrap(), &pin_text));

        let three = format_3::encode(&pin, &pan, &random).unwrap();
        prop_assert!(same(&format_3::decode(three.expose_bytes(), &pan).unwrap(), &pin_text));

        let fill = &nibbles[pin.len()..];
        let one = format_1::encode_given_fill(&pin, fill).unwrap();
        prop_assert!(same(&format_1::decode(one.expose_bytes()).unwrap(), &pin_text));

        let fill: Vec<u8> = fill.iter().map(|nibble| 10 + nibble % 6).collect();
        let given = format_3::encode_given_fill(&pin, &pan, &fill).unwrap();
        prop_assert!(same(&format_3::decode(given.expose_bytes(), &pan).unwrap(), &pin_text));

        let four = format_4::encode_pin_field(&pin, &random);
        prop_assert!(same(&format_4::decode_pin_field(four.expose_bytes()).unwrap(), &pin_text));
        prop_assert_eq!(&four.expose_bytes()[8..], &random[..]);
    }

    #[test]
    fn deciphering_takes_back_what_enciphering_made(
        format in formats(),
        bytes: [u8; 16],
        pin_text in pins(),
        pan_text in pans(),
        random: [u8; 8],
    ) {
        let (pin, pan) = (Pin::parse(&pin_text).unwrap(), Pan::parse(&pan_text).unwrap());
        let cipher = key(format, &bytes);
        let framing = Framing { format, cipher: &cipher };
        let block = pin_block::encipher(framing, &pin, &pan, &random).unwrap();
        prop_assert_eq!(block.as_bytes().len(), format.block_bytes());
        let read = pin_block::decipher(framing, &pan, block.as_bytes()).unwrap();
        prop_assert!(same(&read, &pin_text));
    }

    #[test]
    fn format_4_binds_any_pan_of_1_to_19_digits(
        bytes: [u8; 16],
        pin_text in pins(),
        pan_text in (1..=19usize).prop_flat_map(|length| vec(0..=9u8, length)).prop_map(text),
        random: [u8; 8],
    ) {
        let (pin, pan) = (Pin::parse(&pin_text).unwrap(), Pan::parse(&pan_text).unwrap());
        for format in [Format::Iso4, Format::Sm4Fmt4Layout] {
            let cipher = key(format, &bytes);
            let framing = Framing { format, cipher: &cipher };
            let block = pin_block::encipher(framing, &pin, &pan, &random).unwrap();
            let block = pin_block::translate(framing, framing, &pan, block.as_bytes(), &random);
            let read = pin_block::decipher(framing, &pan, block.unwrap().as_bytes());
            prop_assert!(same(&read.unwrap(), &pin_text));
        }
    }

    #[test]
    fn no_bytes_and_no_text_make_a_decoder_panic(
        bytes in vec(any::<u8>(), 0..40),
        any_text in ".{0,24}",
        pan_text in pans(),
        cipher_key: [u8; 16],
        fill: [u8; 8],
    ) {
        let _ = (Pan::parse(&any_text), Pin::parse(&any_text));
        let pan = Pan::parse(&pan_text).unwrap();
        let _ = format_0::decode(&bytes, &pan);
        let _ = format_1::decode(&bytes);
        let _ = format_3::decode(&bytes, &pan);
        let _ = format_4::decode_pin_field(&bytes);
        for from in Format::ALL {
            for algorithm in [BlockAlgorithm::Tdes, BlockAlgorithm::Aes, BlockAlgorithm::Sm4] {
                let cipher = PinCipher::new(algorithm, &cipher_key).unwrap();
                let framing = Framing { format: from, cipher: &cipher };
                let _ = pin_block::decipher(framing, &pan, &bytes);
                let _ = pin_block::translate(framing, framing, &pan, &bytes, &fill);
            }
        }
    }

    /// Blocks of the right length: what a wrong key or a broken line brings.
    #[test]
    fn any_block_of_the_right_length_decodes_to_a_pin_or_to_nothing(
        block: [u8; 16],
        pan_text in pans(),
    ) {
        let pan = Pan::parse(&pan_text).unwrap();
        let eight = &block[..8];
        let decoded = [
            format_0::decode(eight, &pan),
            format_1::decode(eight),
            format_3::decode(eight, &pan),
            format_4::decode_pin_field(&block),
        ];
        for pin in decoded.into_iter().flatten() {
            prop_assert!((4..=12).contains(&pin.len()));
            prop_assert!(pin.expose_digits(|digits| digits.iter().all(u8::is_ascii_digit)));
        }
    }

    #[test]
    fn translation_keeps_the_pin(
        (from, to) in translations(),
        keys: [[u8; 16]; 2],
        pin_text in pins(),
        pan_text in pans(),
        random: [[u8; 8]; 2],
    ) {
        let (pin, pan) = (Pin::parse(&pin_text).unwrap(), Pan::parse(&pan_text).unwrap());
        let (a, b) = (key(from, &keys[0]), key(to, &keys[1]));
        let (from, to) =
            (Framing { format: from, cipher: &a }, Framing { format: to, cipher: &b });
        let block = pin_block::encipher(from, &pin, &pan, &random[0]).unwrap();
        let out = pin_block::translate(from, to, &pan, block.as_bytes(), &random[1]).unwrap();
        prop_assert_eq!(out.as_bytes().len(), to.format.block_bytes());
        prop_assert!(same(&pin_block::decipher(to, &pan, out.as_bytes()).unwrap(), &pin_text));
    }

    /// Clulow's oracle: blocks of a known PIN are submitted under other PANs. Where the PANs agree
    /// behind the digits, every answer must be a block, whatever the digits became.
    #[test]
    fn translation_answers_alike_for_every_change_of_a_digit(
        (from, (_, to)) in (
            select(&[Format::Iso0, Format::Iso3, Format::Sm4Unionpay8pad][..]),
            translations(),
        ),
        keys: [[u8; 16]; 2],
        pin_text in vec(0..=9u8, 12).prop_map(text),
        pan_text in vec(0..=9u8, 13).prop_map(text),
        changes in vec(0..=9u8, 10).prop_map(text),
        random: [[u8; 8]; 2],
    ) {
        // The first ten of the bound PAN digits stand under digits 3 to 12 of the PIN.
        let other = format!("{changes}{}", &pan_text[10..]);
        let pin = Pin::parse(&pin_text).unwrap();
        let (pan, other) = (Pan::parse(&pan_text).unwrap(), Pan::parse(&other).unwrap());
        let (a, b) = (key(from, &keys[0]), key(to, &keys[1]));
        let (from, to) =
            (Framing { format: from, cipher: &a }, Framing { format: to, cipher: &b });
        let block = pin_block::encipher(from, &pin, &pan, &random[0]).unwrap();
        let out = pin_block::translate(from, to, &other, block.as_bytes(), &random[1]);
        prop_assert!(answer(out).is_ok());
    }

    #[test]
    fn format_3_and_4_blocks_of_one_pin_differ_with_the_random(
        to in select(&[Format::Iso4, Format::Sm4Fmt4Layout, Format::Iso4Pan12][..]),
        bytes: [u8; 16],
        pin_text in pins(),
        pan_text in pans(),
        random: [[u8; 8]; 2],
    ) {
        prop_assume!(random[0] != random[1]);
        let (pin, pan) = (Pin::parse(&pin_text).unwrap(), Pan::parse(&pan_text).unwrap());
        let cipher = key(to, &bytes);
        let framing = Framing { format: to, cipher: &cipher };
        let one = pin_block::encipher(framing, &pin, &pan, &random[0]).unwrap();
        let two = pin_block::encipher(framing, &pin, &pan, &random[1]).unwrap();
        prop_assert_ne!(one.as_bytes(), two.as_bytes());
    }

    #[test]
    fn a_mac_is_verified_and_no_other_is(
        (scheme, padding, length, bytes) in mac_rules(),
        message in vec(any::<u8>(), 1..200),
        flipped: Index,
    ) {
        let rule = Rule::new(scheme, padding, length).unwrap();
        let key = MacKey::new(scheme, &bytes).unwrap();
        let tag = mac::generate(&key, &rule, &message).unwrap();
        prop_assert_eq!(tag.as_bytes().len(), usize::from(length));
        prop_assert_eq!(mac::verify(&key, &rule, &message, tag.as_bytes()), Ok(()));

        let mut tampered = tag.as_bytes().to_vec();
        for bit in 0..8 * tampered.len() {
            tampered[bit / 8] ^= 1 << (bit % 8);
            let verified = mac::verify(&key, &rule, &message, &tampered);
            prop_assert_eq!(verified, Err(VerifyError::Mismatch));
            tampered[bit / 8] ^= 1 << (bit % 8);
        }

        let mut other = message.clone();
        let bit = flipped.index(8 * other.len());
        other[bit / 8] ^= 1 << (bit % 8);
        let verified = mac::verify(&key, &rule, &other, tag.as_bytes());
        prop_assert_eq!(verified, Err(VerifyError::Mismatch));

        other.truncate(message.len() - 1);
        // Filled with zeros, a message ends where its last zero may be taken off unnoticed.
        let by_sums = matches!(
            scheme,
            Scheme::UnionPayEcbHex8
                | Scheme::UnionPayEcbRaw8
                | Scheme::Sm4PosHex8
                | Scheme::Sm4PosHex8Lower
                | Scheme::Sm4PosRaw8
                | Scheme::Sm4PosRaw8Lower
        );
        if padding != Some(Padding::Method1) && !by_sums {
            let verified = mac::verify(&key, &rule, &other, tag.as_bytes());
            prop_assert_eq!(verified, Err(VerifyError::Mismatch));
        }
    }

    #[test]
    fn padding_methods_2_and_3_can_be_taken_off(
        block in 2..=16usize,
        message in vec(any::<u8>(), 0..200),
    ) {
        let two = mac::pad(Padding::Method2, block, &message).unwrap();
        let end = two.iter().rposition(|&byte| byte != 0).unwrap();
        prop_assert_eq!(two[end], 0x80);
        prop_assert_eq!(&two[..end], &message[..]);

        let three = mac::pad(Padding::Method3, block, &message).unwrap();
        let bits = three[..block].iter().fold(0, |bits, &byte| (bits << 8) | usize::from(byte));
        prop_assert_eq!(&three[block..block + bits / 8], &message[..]);
    }

    #[test]
    fn a_key_block_gives_back_the_header_and_the_key(
        header in select(&[Version::B, Version::D][..]).prop_flat_map(headers),
        kbpk in vec(any::<u8>(), 32),
        key in vec(any::<u8>(), 16),
        masked in 0..64usize,
        random in vec(any::<u8>(), 80),
    ) {
        let (mut header, keys) = (header.clone(), protection_keys(header.version, &kbpk));
        if keys.strength() < 128 {
            header.algorithm = Algorithm::new(*b"T").unwrap();
        }
        let masking = Masking::to_bytes(masked);
        let block = key_block::wrap(&keys, &header, &key, masking, &random).unwrap();
        let opened = key_block::unwrap(&keys, block.as_bytes()).unwrap();
        prop_assert_eq!(opened.key.expose_secret(), &key);
        prop_assert!(block.starts_with(&opened.header.encode(block.len()).unwrap()));
        let mut read = opened.header;
        if read != header {
            // But for the padding block.
            prop_assert_eq!(read.blocks.len(), header.blocks.len() + 1);
            prop_assert!(read.blocks.find(*b"PB").is_some());
            read.blocks = header.blocks.clone();
        }
        prop_assert_eq!(read, header);
    }

    #[test]
    fn a_header_is_written_as_it_is_read(
        header in select(&Version::ALL[..]).prop_flat_map(headers),
        chars in 0..=9984usize,
        after in "[0-9A-F]{0,64}",
    ) {
        let text = header.encode(chars).unwrap();
        let decoded = Header::decode((text.clone() + &after).as_bytes()).unwrap();
        prop_assert_eq!(decoded.header_chars, text.len());
        prop_assert_eq!(decoded.block_chars, chars);
        prop_assert_eq!(decoded.header.encode(chars).unwrap(), text);
        prop_assert_eq!(decoded.header, header);
    }

    #[test]
    fn no_bytes_make_a_key_block_decoder_panic(
        bytes in vec(any::<u8>(), 0..200),
        near in "[ABCD][0-9]{4}[0-9A-Z]{7}0[0-3]00([A-Z]{2}0[0-9A-F]){0,3}[0-9A-Fa-f]{0,120}",
        value in vec(any::<u8>(), 32),
    ) {
        for version in Version::ALL {
            let keys = protection_keys(version, &value);
            for text in [&bytes[..], near.as_bytes()] {
                prop_assert!(key_block::unwrap(&keys, text).is_err());
                let mut right = text.to_vec();
                if let Some(field) = right.get_mut(1..5) {
                    field.copy_from_slice(format!("{:04}", text.len()).as_bytes());
                }
                prop_assert!(key_block::unwrap(&keys, &right).is_err());
                if let Ok(decoded) = Header::decode(&right) {
                    for block in decoded.header.blocks.iter() {
                        key_block::content::Content::of(block);
                    }
                }
            }
        }
    }
}

/// Any rule whose parts go together.
fn data_rules() -> impl Strategy<Value = DataRule> {
    let modes = [
        data::Mode::Ecb,
        data::Mode::Cbc,
        data::Mode::Ctr,
        data::Mode::Gcm,
    ];
    let ivs = [
        None,
        Some(IvRule::Random),
        Some(IvRule::Caller),
        Some(IvRule::Zero),
    ];
    let paddings = [data::Padding::Whole, data::Padding::Pkcs7];
    let tags = select(&[0u8, 12, 13, 14, 15, 16][..]);
    (
        select(modes.to_vec()),
        select(paddings.to_vec()),
        select(ivs.to_vec()),
        tags,
    )
        .prop_filter_map("not a rule", |(mode, padding, iv, tag)| {
            DataRule::new(mode, padding, iv, tag).ok()
        })
}

proptest! {
    #[test]
    fn data_decrypts_to_what_was_encrypted_and_decrypting_never_panics(
        rule in data_rules(),
        algorithm in select(&[BlockAlgorithm::Tdes, BlockAlgorithm::Aes, BlockAlgorithm::Sm4][..]),
        value: [u8; 16],
        iv: [u8; 16],
        associated in vec(any::<u8>(), 0..40),
        clear in vec(any::<u8>(), 0..600),
        tag in vec(any::<u8>(), 0..20),
    ) {
        let key = PinCipher::new(algorithm, &value).unwrap();
        let iv = &iv[..rule.iv_bytes(algorithm)];
        let associated = if rule.mode() == data::Mode::Gcm { &associated[..] } else { &[] };
        if let Ok(made) = data::encrypt(&key, &rule, iv, associated, &clear) {
            let opened = data::decrypt(&key, &rule, iv, associated, (&made.data, &made.tag));
            let opened = opened.unwrap();
            prop_assert_eq!(opened.expose_secret(), &clear);
        } else {
            let block = algorithm.block_bytes();
            prop_assert!(!rule.fits(algorithm) || !clear.len().is_multiple_of(block));
        }
        let _ = data::decrypt(&key, &rule, iv, associated, (&clear, &tag));
    }
}
