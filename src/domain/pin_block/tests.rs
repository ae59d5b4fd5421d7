//! Claims about translation that need no known answer. Known answers are files and are run by
//! `tests/vectors`; random inputs are tried in `tests/properties.rs`.

use subtle::ConstantTimeEq;

use crate::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher, Tdes};
use crate::domain::pan::Pan;
use crate::domain::pin::Pin;
use crate::domain::pin_block::{
    Binding, EncodeError, Format, Framing, Rejected, decipher, encipher, format_0, format_1,
    format_3, pan_length_allowed, translate, translation_allowed,
};

const ALGORITHMS: [BlockAlgorithm; 3] = [
    BlockAlgorithm::Tdes,
    BlockAlgorithm::Aes,
    BlockAlgorithm::Sm4,
];

/// What is expected of every cell, written as rules and not as a table.
fn expected(from: (Format, BlockAlgorithm), to: (Format, BlockAlgorithm)) -> bool {
    let exists = |(format, algorithm)| match format {
        Format::Iso4 | Format::Iso4Pan12 => algorithm == BlockAlgorithm::Aes,
        Format::Sm4Fmt4Layout | Format::Sm4Unionpay16 | Format::Sm4Unionpay8pad => {
            algorithm == BlockAlgorithm::Sm4
        }
        Format::Iso0 | Format::Iso1 | Format::Iso3 | Format::X98NoPan => {
            algorithm == BlockAlgorithm::Tdes
        }
    };
    let bound_to_no_pan = [Format::Iso1, Format::X98NoPan];
    exists(from) && exists(to) && !bound_to_no_pan.contains(&to.0)
}

fn cipher(algorithm: BlockAlgorithm, seed: u8) -> PinCipher {
    let key: Vec<u8> = (1..=16u8).map(|i| i.wrapping_mul(seed)).collect();
    PinCipher::new(algorithm, &key).unwrap()
}

fn pan(text: &str) -> Pan {
    Pan::parse(text).unwrap()
}

const DIGITS: &str = "4929123456789012345";
const FILL: [u8; 8] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x58, 0x97, 0x93];

/// A TDES block over a clear block of the test's own making.
fn tdes_block(clear: u64, key: &PinCipher) -> [u8; 8] {
    let PinCipher::Tdes(tdes) = key else {
        panic!("a TDES key")
    };
    let mut block = clear.to_be_bytes();
    let Ok(()) = tdes.encrypt_block(&mut block);
    block
}

/// Translates a clear TDES PIN field of the test's own making, PAN added, to format 4.
fn translate_field(format: Format, field: u64) -> Result<Vec<u8>, Rejected> {
    let (source, destination) = (
        cipher(BlockAlgorithm::Tdes, 3),
        cipher(BlockAlgorithm::Aes, 5),
    );
    let pan = pan(DIGITS);
    let account = if format == Format::Iso1 {
        [0; 8]
    } else {
        pan.field12().unwrap()
    };
    let block = tdes_block(field ^ u64::from_be_bytes(account), &source);
    let from = Framing {
        format,
        cipher: &source,
    };
    let to = Framing {
        format: Format::Iso4,
        cipher: &destination,
    };
    translate(from, to, &pan, &block, &FILL).map(|block| block.as_bytes().to_vec())
}

#[test]
fn the_order_of_the_table_is_that_of_the_formats() {
    for (at, format) in Format::ALL.into_iter().enumerate() {
        assert_eq!(format as usize, at);
    }
}

#[test]
fn every_cell_of_the_translation_table_is_as_the_rules_say() {
    let mut allowed = 0;
    for from in Format::ALL {
        for to in Format::ALL {
            for source in ALGORITHMS {
                for destination in ALGORITHMS {
                    let (from, to) = ((from, source), (to, destination));
                    let is = translation_allowed(from, to);
                    assert_eq!(is, expected(from, to), "{from:?} to {to:?}");
                    allowed += u32::from(is);
                }
            }
        }
    }
    assert_eq!(allowed, 63, "nine inputs, seven outputs");
}

/// Translates a PIN of every length, and says whether all, or none, came out as they went in.
fn keeps_every_pin(from: Framing<'_>, to: Framing<'_>, pan: &Pan) -> bool {
    let kept: Vec<bool> = (4..=12)
        .map(|length| {
            let pin = Pin::parse(&DIGITS[..length]).unwrap();
            let block = encipher(from, &pin, pan, &FILL).unwrap();
            let Ok(block) = translate(from, to, pan, block.as_bytes(), &FILL) else {
                return false;
            };
            let out = decipher(to, pan, block.as_bytes()).unwrap();
            assert!(bool::from(out.ct_eq(&pin)));
            true
        })
        .collect();
    assert!(kept.iter().all(|&one| one == kept[0]), "{kept:?}");
    kept[0]
}

#[test]
fn translate_does_what_the_table_says_for_every_length_of_pin() {
    let pan = pan(DIGITS);
    for source in Format::ALL {
        for destination in Format::ALL {
            for algorithm in ALGORITHMS {
                let (a, b) = (cipher(source.algorithm(), 3), cipher(algorithm, 5));
                let from = Framing {
                    format: source,
                    cipher: &a,
                };
                let to = Framing {
                    format: destination,
                    cipher: &b,
                };
                let allowed = expected(from.pair(), to.pair());
                let kept = keeps_every_pin(from, to, &pan);
                assert_eq!(kept, allowed, "{source:?} to {destination:?}");
            }
        }
    }
}

#[test]
fn a_format_under_another_cipher_is_not_opened() {
    let pan = pan(DIGITS);
    let to_key = cipher(BlockAlgorithm::Aes, 5);
    let to = Framing {
        format: Format::Iso4,
        cipher: &to_key,
    };
    for format in Format::ALL {
        for algorithm in ALGORITHMS
            .into_iter()
            .filter(|&other| other != format.algorithm())
        {
            let key = cipher(algorithm, 3);
            let from = Framing {
                format,
                cipher: &key,
            };
            for length in [8, 16] {
                assert!(translate(from, to, &pan, &vec![0; length], &FILL).is_err());
                assert!(decipher(from, &pan, &vec![0; length]).is_err());
            }
        }
    }
}

#[test]
fn a_format_under_another_cipher_encodes_nothing() {
    let pin = Pin::parse("1234").unwrap();
    for format in Format::ALL {
        for algorithm in ALGORITHMS {
            let key = cipher(algorithm, 9);
            let framing = Framing {
                format,
                cipher: &key,
            };
            let encoded = encipher(framing, &pin, &pan(DIGITS), &FILL).err();
            let own = format.algorithm() == algorithm;
            assert_eq!(encoded, (!own).then_some(EncodeError::Cipher));
        }
    }
}

#[test]
fn formats_that_bind_twelve_digits_take_13_to_19_and_those_that_bind_all_take_1_to_19() {
    for digits in 0..=25 {
        for format in Format::ALL {
            let expected = match format {
                Format::Iso0
                | Format::Iso3
                | Format::Sm4Unionpay16
                | Format::Sm4Unionpay8pad
                | Format::Iso4Pan12 => (13..=19).contains(&digits),
                Format::Iso4 | Format::Sm4Fmt4Layout => (1..=19).contains(&digits),
                Format::Iso1 | Format::X98NoPan => true,
            };
            assert_eq!(pan_length_allowed(format, digits), expected);
        }
    }
}

#[test]
fn a_short_pan_is_refused_on_either_side() {
    let (source, destination) = (
        cipher(BlockAlgorithm::Aes, 3),
        cipher(BlockAlgorithm::Tdes, 5),
    );
    let (four, zero) = (
        Framing {
            format: Format::Iso4,
            cipher: &source,
        },
        Framing {
            format: Format::Iso0,
            cipher: &destination,
        },
    );
    let pin = Pin::parse("1234").unwrap();
    let short = pan("123456789012");
    let block = encipher(four, &pin, &short, &FILL).unwrap();
    assert!(translate(four, four, &short, block.as_bytes(), &FILL).is_ok());
    assert!(translate(four, zero, &short, block.as_bytes(), &FILL).is_err());
    assert!(translate(zero, four, &short, &[0; 8], &FILL).is_err());
}

#[test]
fn a_block_of_another_length_is_refused() {
    let pan = pan(DIGITS);
    for format in Format::ALL {
        let key = cipher(format.algorithm(), 3);
        let framing = Framing {
            format,
            cipher: &key,
        };
        let to = Framing {
            format: Format::Iso0,
            cipher: &cipher(BlockAlgorithm::Tdes, 5),
        };
        for length in (0..=40).filter(|&length| length != format.block_bytes()) {
            assert!(translate(framing, to, &pan, &vec![0; length], &FILL).is_err());
            assert!(decipher(framing, &pan, &vec![0; length]).is_err());
        }
    }
}

#[test]
fn translation_checks_control_length_and_fill() {
    // Fields with the fill of each format behind four nines.
    let fields = [
        (Format::Iso0, 0x0499_99FF_FFFF_FFFF_u64),
        (Format::Iso1, 0x1499_9901_2345_6789),
        (Format::Iso3, 0x3499_99AB_CDEF_ABCD),
    ];
    for (format, good) in fields {
        assert!(translate_field(format, good).is_ok());
        for control in (0..16).filter(|&control| control != good >> 60) {
            let bad = good & (u64::MAX >> 4) | (control << 60);
            assert_eq!(translate_field(format, bad), Err(Rejected), "{bad:016X}");
        }
        for length in 0..16u64 {
            let other = good & !(0xF << 56) | (length << 56);
            // A longer PIN takes fill for digits: translation does not mind.
            let result = translate_field(format, other);
            assert_eq!(result.is_ok(), (4..=12).contains(&length), "{other:016X}");
        }
        for place in 0..10 {
            for nibble in 0..16 {
                let other = good & !(0xF << (4 * place)) | (nibble << (4 * place));
                let allowed = match format {
                    Format::Iso0 => nibble == 15,
                    Format::Iso3 => nibble >= 10,
                    _ => true,
                };
                assert_eq!(
                    translate_field(format, other).is_ok(),
                    allowed,
                    "{other:016X}"
                );
            }
        }
    }
}

#[test]
fn translation_succeeds_whatever_the_digits_are() {
    for (format, good) in [
        (Format::Iso0, 0x0499_99FF_FFFF_FFFF_u64),
        (Format::Iso3, 0x3499_99AB_CDEF_ABCD),
    ] {
        for digits in 0..=0xFFFF_u64 {
            let field = good & !(0xFFFF << 40) | (digits << 40);
            // Every digit position through all its values; their products only in part.
            if digits % 17 == 0 || digits.count_ones() < 3 {
                assert!(translate_field(format, field).is_ok(), "{field:016X}");
            }
        }
        let clear = (good & !(0xF << 40) | (0xA << 40)).to_be_bytes();
        let zero = Pan::parse("0000000000000").unwrap();
        let decoded = match format {
            Format::Iso0 => format_0::decode(&clear, &zero),
            _ => format_3::decode(&clear, &zero),
        };
        assert!(
            decoded.is_err(),
            "decoding is strict where translation is not"
        );
    }
}

#[test]
fn another_pan_in_the_fill_is_rejected_and_in_the_digits_is_not_seen() {
    let (source, destination) = (
        cipher(BlockAlgorithm::Tdes, 3),
        cipher(BlockAlgorithm::Aes, 5),
    );
    let from = Framing {
        format: Format::Iso0,
        cipher: &source,
    };
    let to = Framing {
        format: Format::Iso4,
        cipher: &destination,
    };
    let pin = Pin::parse("0000").unwrap();
    let block = encipher(from, &pin, &pan("1111111111111"), &FILL).unwrap();
    for (other, accepted) in [
        ("9911111111111", true),
        ("1191111111111", false),
        ("1111111111191", false),
    ] {
        let translated = translate(from, to, &pan(other), block.as_bytes(), &FILL);
        assert_eq!(translated.is_ok(), accepted, "{other}");
    }
}

#[test]
fn format_4_blocks_differ_when_the_random_does_and_rejects_a_wrong_fill_or_control() {
    let key = cipher(BlockAlgorithm::Aes, 7);
    let PinCipher::Aes(aes) = &key else {
        panic!("an AES key")
    };
    let framing = Framing {
        format: Format::Iso4,
        cipher: &key,
    };
    let pan = pan(DIGITS);
    let account = pan.field_format4();
    let block_of = |first: u64| {
        let mut block = [0x5A; 16];
        block[..8].copy_from_slice(&first.to_be_bytes());
        let Ok(()) = aes.encrypt_block(&mut block);
        block
            .iter_mut()
            .zip(account)
            .for_each(|(byte, pan)| *byte ^= pan);
        let Ok(()) = aes.encrypt_block(&mut block);
        block
    };
    let good = 0x4499_99AA_AAAA_AAAA_u64;
    assert!(translate(framing, framing, &pan, &block_of(good), &FILL).is_ok());
    for place in (0..16).filter(|place| !(10..14).contains(place)) {
        let bad = good ^ (1 << (4 * place));
        let translated = translate(framing, framing, &pan, &block_of(bad), &FILL);
        assert_eq!(translated.is_ok(), place == 14, "{bad:016X}");
    }
    let pin = Pin::parse("1234").unwrap();
    let one = encipher(framing, &pin, &pan, &[1; 8]).unwrap();
    let two = encipher(framing, &pin, &pan, &[2; 8]).unwrap();
    assert_ne!(one.as_bytes(), two.as_bytes());
}

/// Holds that a block made for [`DIGITS`] binds exactly those of its 19 digits that `bound` covers:
/// another digit there is seen by whoever decodes, at least for one of its values (formats 0 and 3
/// take some for other digits of the PIN or for other fill), and elsewhere never.
fn sees_exactly(format: Format, bound: core::ops::Range<usize>) {
    let key = cipher(format.algorithm(), 7);
    let framing = Framing {
        format,
        cipher: &key,
    };
    let pin = Pin::parse("9999").unwrap();
    let block = encipher(framing, &pin, &pan(DIGITS), &FILL).unwrap();
    let opens_for = |pan_text: &str| {
        let read = decipher(framing, &pan(pan_text), block.as_bytes());
        read.is_ok_and(|read| bool::from(read.ct_eq(&pin)))
    };
    for place in 0..DIGITS.len() {
        let seen = (b'0'..=b'9').any(|digit| {
            let mut other = DIGITS.as_bytes().to_vec();
            other[place] = digit;
            !opens_for(std::str::from_utf8(&other).unwrap())
        });
        assert_eq!(seen, bound.contains(&place), "{format:?}, digit {place}");
    }
}

#[test]
fn each_format_binds_the_digits_of_the_pan_that_it_says() {
    for format in Format::ALL {
        match format.binding() {
            Binding::Whole => sees_exactly(format, 0..19),
            Binding::Twelve => sees_exactly(format, 6..18),
            Binding::None => sees_exactly(format, 0..0),
        }
    }
}

#[test]
fn a_block_of_one_layout_does_not_open_as_another_of_its_cipher() {
    let pan = pan(DIGITS);
    for made in Format::ALL {
        for read in Format::ALL {
            if made == read || made.algorithm() != read.algorithm() {
                continue;
            }
            let key = cipher(made.algorithm(), 7);
            let framing = |format| Framing {
                format,
                cipher: &key,
            };
            let pin = Pin::parse("1234").unwrap();
            let block = encipher(framing(made), &pin, &pan, &FILL).unwrap();
            let out = translate(
                framing(read),
                Framing {
                    format: Format::Iso4,
                    cipher: &cipher(BlockAlgorithm::Aes, 5),
                },
                &pan,
                block.as_bytes(),
                &FILL,
            );
            assert!(out.is_err(), "{made:?} as {read:?}");
        }
    }
}

#[test]
fn given_fill_must_be_of_the_formats_digits_and_number() {
    let pin = Pin::parse("12345").unwrap();
    let pan = pan(DIGITS);
    for number in 0..=16 {
        let three = format_3::encode_given_fill(&pin, &pan, &vec![0xB; number]);
        assert_eq!(three.is_ok(), number == 9);
        let one = format_1::encode_given_fill(&pin, &vec![0x7; number]);
        assert_eq!(one.is_ok(), number == 9);
    }
    assert_eq!(
        format_3::encode_given_fill(&pin, &pan, &[0x9; 9]).err(),
        Some(EncodeError::Fill)
    );
    assert_eq!(
        format_1::encode_given_fill(&pin, &[0x10; 9]).err(),
        Some(EncodeError::Fill)
    );
}

#[test]
fn a_tdes_key_is_used_whole() {
    let one = Tdes::new(&[0x11; 16]).unwrap();
    let mut other_key = [0x11; 16];
    other_key[15] = 0x91;
    let two = Tdes::new(&other_key).unwrap();
    let pin = Pin::parse("1234").unwrap();
    let (one, two) = (PinCipher::Tdes(one), PinCipher::Tdes(two));
    let block = encipher(
        Framing {
            format: Format::Iso0,
            cipher: &one,
        },
        &pin,
        &pan(DIGITS),
        &FILL,
    );
    let read = decipher(
        Framing {
            format: Format::Iso0,
            cipher: &two,
        },
        &pan(DIGITS),
        block.unwrap().as_bytes(),
    );
    assert!(read.is_err());
}
