//! Modes by their own laws: each against the plainest way to write it, counters at their wrap,
//! every padding and every tag. Known answers are files under `tests/vectors`.

use super::*;
use crate::domain::cipher::Aes;

fn key(algorithm: BlockAlgorithm) -> PinCipher {
    let bytes: Vec<u8> = (0..16u8)
        .map(|i| i.wrapping_mul(59).wrapping_add(3))
        .collect();
    PinCipher::new(algorithm, &bytes).unwrap()
}

fn clear(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from(i * 7 % 251).unwrap())
        .collect()
}

fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for mode in [Mode::Ecb, Mode::Cbc, Mode::Ctr, Mode::Gcm] {
        for padding in [Padding::Whole, Padding::Pkcs7] {
            for iv in [
                None,
                Some(IvRule::Random),
                Some(IvRule::Caller),
                Some(IvRule::Zero),
            ] {
                for tag in 0..=17 {
                    rules.extend(Rule::new(mode, padding, iv, tag));
                }
            }
        }
    }
    rules
}

const ALGORITHMS: [BlockAlgorithm; 3] = [
    BlockAlgorithm::Tdes,
    BlockAlgorithm::Aes,
    BlockAlgorithm::Sm4,
];

#[test]
fn only_rules_whose_parts_go_together_exist() {
    let rules = rules();
    // ECB 2, CBC 2 × 3, CTR 2, GCM with a tag of 12 to 16 bytes.
    assert_eq!(rules.len(), 2 + 6 + 2 + 5);
    let zero = Rule::new(Mode::Ctr, Padding::Whole, Some(IvRule::Zero), 0);
    assert_eq!(zero, Err(RuleError::Iv), "one key stream for every message");
}

#[test]
fn every_rule_decrypts_what_it_encrypts_at_every_length() {
    for (rule, algorithm) in rules()
        .into_iter()
        .flat_map(|rule| ALGORITHMS.map(|algorithm| (rule, algorithm)))
    {
        let key = key(algorithm);
        let iv = vec![0xA7; rule.iv_bytes(algorithm)];
        for length in (0..70).chain([510, 511, 512, 513, 1024, 1025]) {
            let clear = clear(length);
            let made = encrypt(&key, &rule, &iv, b"", &clear);
            if !rule.fits(algorithm) {
                assert_eq!(made.err(), Some(DataError::Mode));
                continue;
            }
            let whole = length.is_multiple_of(algorithm.block_bytes());
            let chained = matches!(rule.mode(), Mode::Ecb | Mode::Cbc);
            if chained && rule.padding() == Padding::Whole && !whole {
                assert_eq!(made.err(), Some(DataError::Length), "{rule:?} {length}");
                continue;
            }
            let made = made.unwrap();
            assert_eq!(made.tag.len(), usize::from(rule.tag_bytes()));
            let opened = decrypt(&key, &rule, &iv, b"", (&made.data, &made.tag)).unwrap();
            assert_eq!(opened.expose_secret(), &clear, "{rule:?} {length}");
        }
    }
}

#[test]
fn cbc_is_each_block_chained_to_the_one_before() {
    let PinCipher::Aes(aes) = key(BlockAlgorithm::Aes) else {
        unreachable!()
    };
    let mut blocks: Vec<[u8; 16]> = (0..67u8).map(|i| [i; 16]).collect();
    let first = blocks.clone();
    let Ok(()) = mode::cbc_encrypt(&aes, &[9; 16], &mut blocks);
    let mut previous = [9u8; 16];
    for (clear, enciphered) in first.iter().zip(&blocks) {
        let mut block = *clear;
        block.iter_mut().zip(previous).for_each(|(a, b)| *a ^= b);
        let Ok(()) = aes.encrypt_block(&mut block);
        assert_eq!(&block, enciphered);
        previous = block;
    }
    let Ok(()) = mode::cbc_decrypt(&aes, &[9; 16], &mut blocks);
    assert_eq!(blocks, first);
}

/// Counter mode written down block by block.
fn key_stream(aes: &Aes, counters: impl Iterator<Item = u128>) -> Vec<u8> {
    counters
        .flat_map(|counter| {
            let mut block = counter.to_be_bytes();
            let Ok(()) = aes.encrypt_block(&mut block);
            block
        })
        .collect()
}

#[test]
fn the_counter_of_ctr_is_the_whole_block_and_wraps() {
    let PinCipher::Aes(aes) = key(BlockAlgorithm::Aes) else {
        unreachable!()
    };
    for start in [u128::MAX - 1, u128::MAX, 0, (1 << 32) - 2, (1 << 64) - 1] {
        let mut data = vec![0u8; 16 * 70 + 5];
        let Ok(()) = mode::ctr(&aes, &start.to_be_bytes(), &mut data);
        let counters = (0..71).map(|i| start.wrapping_add(i));
        assert_eq!(
            data,
            key_stream(&aes, counters)[..data.len()],
            "{start:032x}"
        );
    }
}

#[test]
fn the_counter_of_gcm_is_four_bytes_and_wraps_without_carry() {
    let PinCipher::Aes(aes) = key(BlockAlgorithm::Aes) else {
        unreachable!()
    };
    // No 96-bit IV begins near the wrap: the way to the next counter is asked itself.
    let mut data = vec![0u8; 16 * 40];
    let start: u128 = (7 << 32) | u128::from(u32::MAX - 3);
    let Ok(()) = mode::counted(&aes, start.to_be_bytes(), gcm::next, &mut data);
    let counters = (0..40u32).map(|i| (7 << 32) | u128::from((u32::MAX - 3).wrapping_add(i)));
    assert_eq!(data, key_stream(&aes, counters));
}

#[test]
fn every_padding_but_the_right_ones_is_rejected() {
    fn of_blocks_of<const N: usize>() {
        let size = u8::try_from(N).unwrap();
        for said in 0..=255u8 {
            let mut block = [said; N];
            let right = (1..=size).contains(&said);
            let answer = right.then_some(usize::from(said));
            assert_eq!(padding::padded(&block), answer);
            if !right {
                continue;
            }
            for at in 0..N {
                block[at] ^= 0x80;
                let inside = at >= N - usize::from(said);
                let answer = padding::padded(&block);
                assert_eq!(answer.is_none(), inside, "{said} {at}");
                block[at] ^= 0x80;
            }
        }
    }
    of_blocks_of::<8>();
    of_blocks_of::<16>();
}

#[test]
fn every_changed_bit_of_what_gcm_made_is_rejected() {
    for algorithm in [BlockAlgorithm::Aes, BlockAlgorithm::Sm4] {
        let key = key(algorithm);
        for tag_bytes in 12..=16 {
            let rule = Rule::new(Mode::Gcm, Padding::Whole, None, tag_bytes).unwrap();
            let (iv, associated) = ([5u8; 12], *b"0200");
            let made = encrypt(&key, &rule, &iv, &associated, &clear(33)).unwrap();
            let whole = [&iv[..], &associated, &made.data, &made.tag].concat();
            for bit in 0..whole.len() * 8 {
                let mut changed = whole.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let (iv, rest) = changed.split_at(12);
                let (associated, rest) = rest.split_at(4);
                let answer = decrypt(&key, &rule, iv, associated, rest.split_at(33));
                assert_eq!(answer.err(), Some(DataError::Rejected), "bit {bit}");
            }
        }
    }
}

#[test]
fn what_is_not_the_modes_is_named() {
    let aes = key(BlockAlgorithm::Aes);
    let gcm = Rule::new(Mode::Gcm, Padding::Whole, None, 16).unwrap();
    let cbc = Rule::new(Mode::Cbc, Padding::Pkcs7, Some(IvRule::Random), 0).unwrap();
    for length in (0..20).filter(|length| *length != 12) {
        let answer = encrypt(&aes, &gcm, &vec![0; length], b"", b"data");
        assert_eq!(answer.err(), Some(DataError::Iv), "{length}");
    }
    let answer = encrypt(&aes, &cbc, &[0; 16], b"header", b"data");
    assert_eq!(answer.err(), Some(DataError::AssociatedData));
    for length in (0..20).filter(|length| *length != 16) {
        let answer = decrypt(&aes, &gcm, &[0; 12], b"", (b"data", &vec![0; length]));
        assert_eq!(answer.err(), Some(DataError::Tag), "{length}");
    }
    let answer = decrypt(&aes, &cbc, &[0; 16], b"", (b"", b""));
    assert_eq!(answer.err(), Some(DataError::Length));
}
