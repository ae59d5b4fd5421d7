//! Verification as a whole: what is yes, what is no, and that formats without a PAN are neither.

use super::decimalisation::DecimalisationTable;
use super::ibm3624::{self, PinDigits, Validation, ValidationError};
use super::visa_pvv::Pvki;
use super::{Method, NotDigits, Reference, Verifier, format_binds_pan, reference_of, verify};
use crate::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher, Tdes};
use crate::domain::pan::Pan;
use crate::domain::pin::Pin;
use crate::domain::pin_block::{Format, Framing, Rejected, encipher};

const PVK: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const PEK: [u8; 16] = 0x1123_4567_89AB_CDEF_1EDC_BA98_7654_3210_u128.to_be_bytes();
const PAN: &str = "5432101234567890";

struct Bench {
    pvk: Tdes,
    pek: PinCipher,
    table: DecimalisationTable,
    pan: Pan,
}

impl Bench {
    fn new() -> Self {
        Self {
            pvk: Tdes::new(&PVK).unwrap(),
            pek: PinCipher::new(BlockAlgorithm::Tdes, &PEK).unwrap(),
            table: DecimalisationTable::parse("0123456789012345").unwrap(),
            pan: Pan::parse(PAN).unwrap(),
        }
    }

    fn verifiers(&self) -> [Verifier<'_>; 2] {
        let validation = Validation::new(1, 16, 0xF).unwrap();
        let rule = ibm3624::Rule::new(4, validation).unwrap();
        [
            Method::VisaPvv(Pvki::new(1).unwrap()),
            Method::Ibm3624(rule, self.table),
        ]
        .map(|method| Verifier {
            key: &self.pvk,
            method,
        })
    }

    fn framing(&self, format: Format) -> Framing<'_> {
        Framing {
            format,
            cipher: &self.pek,
        }
    }

    fn block(&self, format: Format, pin: &str, pan: &Pan) -> Vec<u8> {
        let pin = Pin::parse(pin).unwrap();
        let block = encipher(self.framing(format), &pin, pan, &[0x5A; 8]);
        block.unwrap().as_bytes().to_vec()
    }

    fn clear(&self, clear: u64) -> Vec<u8> {
        let mut block = clear.to_be_bytes();
        let PinCipher::Tdes(tdes) = &self.pek else {
            panic!("it is TDES");
        };
        let Ok(()) = tdes.encrypt_block(&mut block);
        block.to_vec()
    }
}

#[test]
fn the_pin_that_a_reference_was_made_of_verifies_and_no_other() {
    let bench = Bench::new();
    for verifier in bench.verifiers() {
        let from = bench.framing(Format::Iso0);
        let block = bench.block(Format::Iso0, "1234", &bench.pan);
        let kept = reference_of(from, &bench.pan, &block, &verifier).unwrap();
        let verifies = |block: &[u8]| verify(from, &bench.pan, block, &verifier, &kept);
        assert!(verifies(&block));
        let mut wrong = 0;
        for pin in 0..10_000u32 {
            let block = bench.block(Format::Iso0, &format!("{pin:04}"), &bench.pan);
            wrong += u32::from(pin != 1234 && verifies(&block));
        }
        // A PVV is not one to one: on average one other PIN in ten thousand fits it too.
        assert!(wrong < 8, "{wrong} other PINs verify");
    }
}

#[test]
fn a_published_pvv_is_made_of_its_pin() {
    let bench = Bench::new();
    let [visa, _] = bench.verifiers();
    let pin = Pin::parse("1234").unwrap();
    let pvv = visa.reference(&bench.pan, &pin).unwrap();
    assert_eq!(pvv.to_string(), "6776");
}

#[test]
fn whatever_is_wrong_with_the_block_the_answer_is_no() {
    let bench = Bench::new();
    let other_pan = Pan::parse("5432101234567882").unwrap();
    // Control, length, fill, a digit above nine in its place; ⊕ the PAN field.
    let field = u64::from_be_bytes(bench.pan.field12().unwrap());
    let unsound = [
        0x1412_34FF_FFFF_FFFF,
        0x0312_34FF_FFFF_FFFF,
        0x0D12_34FF_FFFF_FFFF,
        0x0412_34FF_FFFF_FFFE,
        0x04A2_34FF_FFFF_FFFF,
        0x04FF_FFFF_FFFF_FFFF,
    ];
    let mut blocks: Vec<_> = unsound.map(|it| bench.clear(it ^ field)).to_vec();
    blocks.push(bench.block(Format::Iso0, "1234", &other_pan));
    blocks.push(bench.block(Format::Iso0, "12340", &bench.pan));
    blocks.push(vec![0; 7]);
    blocks.push(vec![0; 16]);
    for verifier in bench.verifiers() {
        let from = bench.framing(Format::Iso0);
        for block in &blocks {
            let made = reference_of(from, &bench.pan, block, &verifier);
            assert_eq!(made.err(), Some(Rejected), "{block:02X?}");
            // Even against what its digits would give.
            for reference in ["0000", "6776", "1234"] {
                let reference = Reference::parse(reference).unwrap();
                assert!(!verify(from, &bench.pan, block, &verifier, &reference));
            }
        }
    }
}

#[test]
fn a_format_without_a_pan_neither_verifies_nor_makes_a_reference() {
    let bench = Bench::new();
    let from = bench.framing(Format::Iso1);
    let block = bench.block(Format::Iso1, "1234", &bench.pan);
    for verifier in bench.verifiers() {
        let pin = Pin::parse("1234").unwrap();
        let right = verifier.reference(&bench.pan, &pin).unwrap();
        assert!(!verify(from, &bench.pan, &block, &verifier, &right));
        assert!(reference_of(from, &bench.pan, &block, &verifier).is_err());
    }
    let unbound = Format::ALL.into_iter().filter(|it| !format_binds_pan(*it));
    assert!(unbound.eq([Format::Iso1, Format::X98NoPan]));
}

#[test]
fn check_lengths_of_0_to_3_and_above_12_are_refused() {
    let validation = Validation::new(1, 12, 0).unwrap();
    for digits in (0..4).chain(13..=255) {
        let rule = ibm3624::Rule::new(digits, validation);
        assert_eq!(rule, Err(PinDigits), "{digits}");
    }
    for digits in 4..=12 {
        assert!(ibm3624::Rule::new(digits, validation).is_ok());
    }
}

#[test]
fn validation_data_are_ten_digits_of_the_pan_at_least() {
    let pan = Pan::parse("9876543210123456789").unwrap();
    for (first, digits, pad) in (0..=255).flat_map(|first| {
        (0..=17).flat_map(move |digits| [0, 0xF, 0x10].map(|pad| (first, digits, pad)))
    }) {
        let fault = Validation::new(first, digits, pad).err();
        let expected = if !(1..=19).contains(&first) {
            Some(ValidationError::First)
        } else if !(10..=16).contains(&digits) || first + digits > 20 {
            Some(ValidationError::Digits)
        } else if pad > 0xF {
            Some(ValidationError::Pad)
        } else {
            None
        };
        assert_eq!(fault, expected, "{first} {digits} {pad}");
    }
    let data = Validation::new(4, 12, 0xA).unwrap().of(&pan).unwrap();
    assert_eq!(u64::from_be_bytes(*data), 0x6543_2101_2345_AAAA);
    let short = Pan::parse("12345678901234").unwrap();
    assert!(Validation::new(4, 12, 0xA).unwrap().of(&short).is_err());
}

#[test]
fn an_offset_leads_from_the_natural_pin_to_the_pin_and_back() {
    let bench = Bench::new();
    for digits in 4..=12u8 {
        let natural = ibm3624::natural_pin_of(&bench.pvk, &bench.table, &[0x42; 8], digits);
        let pin: String = "907218365401".chars().take(digits.into()).collect();
        let pin = Pin::parse(&pin).unwrap();
        let offset = ibm3624::offset(&natural, &pin);
        assert_eq!(offset.len(), usize::from(digits));
        let again = ibm3624::pin_of_offset(&natural, &offset);
        assert!(bool::from(subtle::ConstantTimeEq::ct_eq(&again, &pin)));
        let none = ibm3624::offset(&natural, &natural).to_string();
        assert_eq!(none, "0".repeat(digits.into()));
    }
}

#[test]
fn a_reference_is_4_to_12_digits() {
    for text in ["", "123", "1234567890123", "12a4", "１２３４"] {
        assert_eq!(Reference::parse(text).err(), Some(NotDigits), "{text:?}");
    }
    for text in ["0000", "1234", "123456789012"] {
        assert_eq!(Reference::parse(text).unwrap().to_string(), text);
    }
}
