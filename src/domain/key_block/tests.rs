//! What a known answer does not show: who is refused what, how lengths are counted, and that
//! nothing is written that should not be. The known answers are `tests/vectors/key_block/`.

use core::convert::Infallible;

use super::content::{CertificateFormat, CheckValue, Content};
use super::{
    Algorithm, BlockKeys, Exportability, Header, HeaderFault, KbpkAlgorithm, KeyContext, Masking,
    Mode, OptionalBlock, OptionalBlocks, ProtectionKeys, Refused, Unwrapped, Usage, Version,
    WrapError, binding, padding_bytes, strength, unwrap, wrap,
};
use crate::domain::cipher::{Aes, KeyLength, Tdes};
use crate::domain::mac::cmac;
use crate::limits::{KEY_BLOCK_CHARS_MAX, KEY_BLOCK_PADDING_BYTES_MAX};
use crate::secret::Locked;

const RANDOM: [u8; 64] = [0xA5; 64];

fn header(version: Version, algorithm: u8) -> Header {
    Header::new(
        version,
        Usage::new(*b"P0").unwrap(),
        Algorithm::new([algorithm]).unwrap(),
        Mode::new(*b"E").unwrap(),
        Exportability::new(*b"E").unwrap(),
    )
}

fn keys(version: Version) -> ProtectionKeys {
    let length = if version == Version::D { 32 } else { 24 };
    ProtectionKeys::from_kbpk(version, &[0x5A; 32][..length]).unwrap()
}

fn written(version: Version, key: &[u8]) -> String {
    let header = header(version, b'T');
    wrap(&keys(version), &header, key, Masking::NONE, &RANDOM).unwrap()
}

#[test]
fn what_is_written_is_opened() {
    for version in [Version::B, Version::D] {
        let block = written(version, &[7; 24]);
        let Unwrapped { header, key } = unwrap(&keys(version), block.as_bytes()).unwrap();
        assert_eq!(key.expose_secret(), &[7; 24]);
        assert_eq!(header, self::header(version, b'T'));
        assert!(block.starts_with(&header.encode(block.len()).unwrap()));
    }
}

#[test]
fn versions_a_and_c_are_never_written() {
    for version in [Version::A, Version::C] {
        let (header, keys) = (header(version, b'T'), keys(version));
        let written = wrap(&keys, &header, &[7; 16], Masking::NONE, &RANDOM);
        assert_eq!(written, Err(WrapError::Legacy));
        assert_eq!(binding::seal(&keys, &mut [0; 40], 16), None);
    }
}

#[test]
fn keys_open_their_own_version_only() {
    let kbpk = [0x5A; 24];
    let block = written(Version::B, &[7; 16]);
    for version in Version::ALL {
        let keys = ProtectionKeys::from_kbpk(version, &kbpk).unwrap();
        let opened = unwrap(&keys, block.as_bytes()).err();
        assert_eq!(opened.is_none(), version == Version::B);
        let other = header(Version::D, b'T');
        if version != Version::D {
            let written = wrap(&keys, &other, &[7; 16], Masking::NONE, &RANDOM);
            assert_eq!(written, Err(WrapError::Version));
        }
    }
}

#[test]
fn a_kbpk_has_a_length_of_its_cipher() {
    for version in Version::ALL {
        for length in 0..=64 {
            let good = match version {
                Version::A | Version::B | Version::C => [16, 24].contains(&length),
                Version::D => [16, 24, 32].contains(&length),
            };
            let keys = ProtectionKeys::from_kbpk(version, &[1; 64][..length]);
            assert_eq!(keys.is_ok(), good, "{version:?} {length}");
        }
    }
}

#[test]
fn a_kbpk_behind_a_port_gives_the_keys_that_its_value_gives() {
    for (algorithm, length) in [
        (KbpkAlgorithm::Tdes2, 16),
        (KbpkAlgorithm::Tdes3, 24),
        (KbpkAlgorithm::Aes128, 16),
        (KbpkAlgorithm::Aes192, 24),
        (KbpkAlgorithm::Aes256, 32),
    ] {
        let kbpk: Vec<u8> = (0..length).map(|i| 3 * i + 1).collect();
        let mut calls = 0;
        let port = |input: &[u8; 8], output: &mut [u8]| -> Result<(), KeyLength> {
            calls += 1;
            if algorithm.version() == Version::B {
                let tdes = Tdes::new(&kbpk)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&tdes);
                let Ok(tag) = cmac::tag(&tdes, &subkeys, input);
                output.copy_from_slice(&tag);
            } else {
                let aes = Aes::new(&kbpk)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&aes);
                let Ok(tag) = cmac::tag(&aes, &subkeys, input);
                output.copy_from_slice(&tag);
            }
            Ok(())
        };
        let keys = ProtectionKeys::derive(algorithm, port).unwrap();
        assert!((2..=6).contains(&calls), "{calls}");
        let (version, key) = (algorithm.version(), [9; 16]);
        let block = wrap(&keys, &header(version, b'T'), &key, Masking::NONE, &RANDOM);
        let ours = ProtectionKeys::from_kbpk(version, &kbpk).unwrap();
        let opened = unwrap(&ours, block.unwrap().as_bytes()).unwrap();
        assert_eq!(opened.key.expose_secret(), &key);
    }
}

#[test]
fn a_port_that_fails_is_passed_on() {
    let failed = BlockKeys::derive(KbpkAlgorithm::Aes128, |_, _| Err(KeyLength));
    assert_eq!(failed.err(), Some(KeyLength));
    let same = |_: &[u8; 8], output: &mut [u8]| -> Result<(), Infallible> {
        output.fill(1);
        Ok(())
    };
    let Ok(keys) = BlockKeys::derive(KbpkAlgorithm::Aes192, same);
    assert_eq!(keys.expose_kbek(), [1; 24]);
    assert_eq!(keys.expose_kbak(), [1; 24]);
}

#[test]
fn a_weaker_key_never_protects_a_stronger_one() {
    let rows = [
        (Version::B, 16, b'T', 24),
        (Version::B, 24, b'A', 16),
        (Version::D, 16, b'A', 24),
        (Version::D, 24, b'A', 32),
        (Version::D, 16, b'H', 32),
    ];
    for (version, kbpk, algorithm, length) in rows {
        let keys = ProtectionKeys::from_kbpk(version, &[1; 32][..kbpk]).unwrap();
        let key = &[2; 32][..length];
        let header = header(version, algorithm);
        let written = wrap(&keys, &header, key, Masking::NONE, &RANDOM);
        assert_eq!(written, Err(WrapError::Stronger), "{version:?} {kbpk}");
    }
}

#[test]
fn strength_follows_the_algorithm_and_the_length() {
    for (algorithm, bytes, bits) in [
        (b'T', 8, Some(56)),
        (b'T', 16, Some(80)),
        (b'T', 24, Some(112)),
        (b'T', 32, None),
        (b'A', 16, Some(128)),
        (b'A', 32, Some(256)),
        (b'A', 17, None),
        (b'D', 16, None),
        (b'H', 0, None),
        (b'H', 20, Some(160)),
        (b'H', 64, Some(256)),
        (b'4', 16, Some(128)),
        (b'R', 1218, Some(112)),
        (b'R', 2375, Some(152)),
        (b'E', 121, Some(128)),
        (b'E', 185, Some(192)),
        (b'E', 241, Some(256)),
    ] {
        let code = Algorithm::new([algorithm]).unwrap();
        assert_eq!(strength::of(code, bytes), bits, "{code} {bytes}");
    }
}

#[test]
fn masked_keys_of_one_algorithm_have_blocks_of_one_length() {
    let keys = keys(Version::D);
    let length = |algorithm: u8, bytes: usize, masking| {
        let (header, key) = (header(Version::D, algorithm), &[1; 32][..bytes]);
        wrap(&keys, &header, key, masking, &RANDOM).unwrap().len()
    };
    for (algorithm, shortest, longest) in [(b'T', 16, 24), (b'A', 16, 32)] {
        let masking = Masking::of(Algorithm::new([algorithm]).unwrap());
        let masked = length(algorithm, longest, masking);
        assert_eq!(length(algorithm, shortest, masking), masked);
        assert_eq!(length(algorithm, longest, Masking::NONE), masked);
    }
    let (short, long) = (
        length(b'A', 16, Masking::NONE),
        length(b'A', 32, Masking::NONE),
    );
    assert!(short < long);
    let hmac = Algorithm::new(*b"H").unwrap();
    assert_eq!(Masking::of(hmac), Masking::NONE);
}

#[test]
fn the_padding_of_any_key_asks_for_no_more_than_the_limit() {
    for version in Version::ALL {
        for bytes in 1..=512 {
            for algorithm in [*b"T", *b"A", *b"H"] {
                let masking = Masking::of(Algorithm::new(algorithm).unwrap());
                assert!(padding_bytes(version, bytes, masking) <= KEY_BLOCK_PADDING_BYTES_MAX);
            }
        }
    }
    let header = header(Version::B, b'T');
    let written = wrap(&keys(Version::B), &header, &[1; 16], Masking::NONE, &[0; 5]);
    assert_eq!(written, Err(WrapError::Randomness));
}

#[test]
fn a_header_is_filled_up_to_whole_cipher_blocks() {
    for version in [Version::B, Version::D] {
        for length in 0..40 {
            let mut header = header(version, b'T');
            header.blocks.push(*b"LB", &"x".repeat(length)).unwrap();
            let key = [3; 16];
            let block = wrap(&keys(version), &header, &key, Masking::NONE, &RANDOM).unwrap();
            let Unwrapped { header: read, .. } = unwrap(&keys(version), block.as_bytes()).unwrap();
            assert!(read.chars().is_multiple_of(version.block_bytes()));
            let label = read.blocks.find(*b"LB").unwrap();
            assert_eq!(Content::of(label), Content::Label(&"x".repeat(length)));
            let padded = !header.chars().is_multiple_of(version.block_bytes());
            assert_eq!(read.blocks.len(), 1 + usize::from(padded));
            // What was read is written again without another padding block.
            let again = wrap(&keys(version), &read, &key, Masking::NONE, &RANDOM).unwrap();
            assert_eq!(again, block);
            let mut longer = read.clone();
            longer.blocks.push(*b"TS", "20260101000000Z").unwrap();
            let longer = wrap(&keys(version), &longer, &key, Masking::NONE, &RANDOM).unwrap();
            let read = unwrap(&keys(version), longer.as_bytes()).unwrap().header;
            assert!(read.blocks.find(*b"TS").is_some());
        }
    }
}

#[test]
fn a_long_block_has_the_number_of_its_lengths_digits() {
    let mut blocks = OptionalBlocks::default();
    blocks.push(*b"LB", &"x".repeat(251)).unwrap();
    blocks.push(*b"CT", &"y".repeat(252)).unwrap();
    let text = blocks.as_text().to_owned();
    assert!(text.starts_with("LBFFx"));
    assert!(text[255..].starts_with("CT00040106y"));
    let (read, chars) = OptionalBlocks::decode(text.as_bytes(), 2).unwrap();
    assert_eq!((read, chars), (blocks, text.len()));
}

#[test]
fn a_length_of_any_width_comes_out_as_it_went_in() {
    for text in [
        "LB06ab",
        "LB000208",
        "LB0004000Cab",
        "LB000600000Eab",
        "LB00080000000E",
    ] {
        let (blocks, chars) = OptionalBlocks::decode(text.as_bytes(), 1).unwrap();
        assert_eq!((blocks.as_text(), chars), (text, text.len()));
    }
    for text in [
        "LB0000",
        "LB00010",
        "LB0003009",
        "LB000207",
        "LB0004000c",
        "LB000A000000000010",
    ] {
        let read = OptionalBlocks::decode(text.as_bytes(), 1);
        assert_eq!(read.err(), Some(HeaderFault::BlockLength(1)), "{text}");
    }
}

#[test]
fn a_block_is_taken_out_and_the_others_stay_as_they_came() {
    let text = "LB0004000CabKP0A001122KS04";
    let (mut blocks, _) = OptionalBlocks::decode(text.as_bytes(), 3).unwrap();
    blocks.remove(*b"ZZ");
    assert_eq!((blocks.as_text(), blocks.len()), (text, 3));
    blocks.remove(*b"KP");
    assert_eq!((blocks.as_text(), blocks.len()), ("LB0004000CabKS04", 2));
}

#[test]
fn protection_keys_live_in_locked_memory() {
    let locked = Locked::new(keys(Version::D)).unwrap();
    let block = written(Version::D, &[7; 16]);
    assert!(unwrap(locked.expose_secret(), block.as_bytes()).is_ok());
}

#[test]
fn faults_of_a_header_are_named() {
    let decode = |text: &str| Header::decode(text.as_bytes()).err();
    let good = "B0000P0TE00N0200KS04LB05x";
    assert_eq!(decode(good), None);
    for (at, with, fault) in [
        (0, "E", HeaderFault::Version),
        (1, "X", HeaderFault::Length),
        (5, "-", HeaderFault::Usage),
        (7, " ", HeaderFault::Algorithm),
        (8, "_", HeaderFault::Mode),
        (9, "/", HeaderFault::KeyVersion),
        (11, "?", HeaderFault::Exportability),
        (12, "A", HeaderFault::BlockCount),
        (14, "3", HeaderFault::KeyContext),
        (15, "1", HeaderFault::Reserved),
        (16, "?", HeaderFault::BlockId(1)),
        (18, "1", HeaderFault::BlockTwice(2)),
        (22, "f", HeaderFault::BlockLength(2)),
        (23, "6", HeaderFault::BlockLength(2)),
        (24, "\n", HeaderFault::BlockText(2)),
    ] {
        let mut text = good.to_owned();
        text.replace_range(at..=at, with);
        if fault == HeaderFault::BlockTwice(2) {
            text = good.replace("LB", "KS");
        }
        assert_eq!(decode(&text), Some(fault), "{text}");
    }
    assert_eq!(decode("B0000P0TE00N020"), Some(HeaderFault::Short));
    assert_eq!(decode(&good[..20]), Some(HeaderFault::BlockId(2)));
}

#[test]
fn a_block_that_cannot_be_read_again_cannot_be_added() {
    let mut blocks = OptionalBlocks::default();
    let mut push = |id: &[u8; 2], data: &str| blocks.push(*id, data).err();
    assert_eq!(push(b"L ", ""), Some(HeaderFault::BlockId(1)));
    assert_eq!(push(b"LB", "é"), Some(HeaderFault::BlockText(1)));
    let endless = "x".repeat(KEY_BLOCK_CHARS_MAX);
    assert_eq!(push(b"LB", &endless), Some(HeaderFault::BlockLength(1)));
    assert_eq!(push(b"LB", ""), None);
    assert_eq!(push(b"LB", ""), Some(HeaderFault::BlockTwice(2)));
    for number in 1..99u8 {
        assert_eq!(push(&[b'0' + number / 10, b'0' + number % 10], ""), None);
    }
    assert_eq!(push(b"ZZ", ""), Some(HeaderFault::BlockCount));
    let header = header(Version::B, b'T');
    assert_eq!(header.encode(9985), Err(HeaderFault::Length));
}

#[test]
fn a_block_that_would_be_too_long_is_not_written() {
    let mut header = header(Version::D, b'H');
    header.blocks.push(*b"LB", &"x".repeat(9900)).unwrap();
    let written = wrap(&keys(Version::D), &header, &[1; 32], Masking::NONE, &RANDOM);
    assert_eq!(written, Err(WrapError::TooLong));
}

#[test]
fn hexadecimal_has_one_case() {
    let block = written(Version::D, &[7; 16]);
    let (head, body) = block.split_at(16);
    let lower = head.to_owned() + &body.to_lowercase();
    assert!(unwrap(&keys(Version::D), lower.as_bytes()).is_ok());
    let letter = body.find(|c: char| c.is_ascii_uppercase()).unwrap();
    let mut mixed = block.into_bytes();
    mixed[16 + letter].make_ascii_lowercase();
    assert_eq!(unwrap(&keys(Version::D), &mixed).err(), Some(Refused));
}

#[test]
fn a_length_that_is_no_keys_is_refused_though_the_mac_is_right() {
    for version in [Version::B, Version::D] {
        let keys = keys(version);
        for bits in [0u16, 1, 7, 129, 8 * 31, u16::MAX] {
            let head = header(version, b'H').encode(16 + 64 + 2 * version.mac_bytes());
            let mut block = head.unwrap();
            let mut message = [block.as_bytes(), &bits.to_be_bytes(), &[9; 30]].concat();
            let mac = binding::seal(&keys, &mut message, 16).unwrap();
            block += &hex::encode_upper(&message[16..]);
            block += &hex::encode_upper(&mac[..version.mac_bytes()]);
            let opened = unwrap(&keys, block.as_bytes()).err();
            assert_eq!(opened, Some(Refused), "{version:?} {bits}");
        }
    }
}

#[test]
fn defined_blocks_are_read_and_others_are_left_alone() {
    let check = |by_cmac, value| CheckValue { by_cmac, value };
    let kcv = check(true, "08793E");
    for (id, data, content) in [
        (
            b"AL",
            "0101",
            Content::AsymmetricKeyLife { is_static: true },
        ),
        (
            b"BI",
            "0112345678",
            Content::BaseDerivationKeyId {
                aes: true,
                id: "12345678",
            },
        ),
        (
            b"CT",
            "00MIIB",
            Content::Certificate {
                format: CertificateFormat::X509,
                text: "MIIB",
            },
        ),
        (b"FL", "1", Content::Flags("1")),
        (b"HM", "21", Content::HmacHash("21")),
        (
            b"IK",
            "1234567890123456",
            Content::InitialKeyId("1234567890123456"),
        ),
        (b"KC", "0108793E", Content::KeyCheckValue(kcv)),
        (b"KP", "0108793E", Content::ProtectionKeyCheckValue(kcv)),
        (b"PK", "0108793E", Content::ExportKeyCheckValue(kcv)),
        (
            b"KS",
            "00604B120F9292800000",
            Content::KeySerialNumber("00604B120F9292800000"),
        ),
        (b"KS", "BDK OF HOST 7", Content::Other("BDK OF HOST 7")),
        (b"KV", "0100", Content::KeyBlockValues("0100")),
        (b"PB", "0000", Content::Padding),
        (
            b"TC",
            "2020-08-18T22:12:18Z",
            Content::TimeOfCreation("2020-08-18T22:12:18Z"),
        ),
        (
            b"TS",
            "20200818221218Z",
            Content::TimeStamp("20200818221218Z"),
        ),
        (b"WP", "003", Content::WrappingPedigree(3)),
        (b"WP", "009", Content::Other("009")),
        (b"KC", "00cb9dea", Content::Other("00cb9dea")),
        (b"10", "anything", Content::Other("anything")),
    ] {
        assert_eq!(Content::of(OptionalBlock { id: *id, data }), content);
    }
    let Content::DerivationsAllowed(allowed) = Content::of(OptionalBlock {
        id: *b"DA",
        data: "01P0TEEM3TGN",
    }) else {
        panic!("derivations");
    };
    let rows: Vec<String> = allowed
        .iter()
        .map(|(usage, ..)| usage.to_string())
        .collect();
    assert_eq!(rows, ["P0", "M3"]);
}

#[test]
fn the_context_of_a_block_is_kept() {
    let mut header = header(Version::D, b'A');
    header.context = KeyContext::new(*b"2").unwrap();
    let block = wrap(&keys(Version::D), &header, &[1; 16], Masking::NONE, &RANDOM).unwrap();
    assert_eq!(&block[14..16], "20");
    let opened = unwrap(&keys(Version::D), block.as_bytes()).unwrap();
    assert_eq!(opened.header, header);
}
