//! Changed key blocks: every other value of every header byte, every other digit of every MAC,
//! every truncation, extensions, every count of optional blocks, and random damage up to
//! `PINTLE_MUTANTS` (100,000 where it is not set; `make mutants` takes a million). None is opened,
//! and all get the same answer.
//!
//! Blocks are changed from those of `tests/vectors/key_block/` and from some that are written
//! here. The seeds are fixed. What a service answers is not asked here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use pintle::domain::key_block::{
    Algorithm, Exportability, Header, Masking, Mode, ProtectionKeys, Usage, Version, unwrap, wrap,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

const KINDS: [&str; 8] = [
    "a header byte",
    "a digit of the MAC",
    "a truncation",
    "an extension",
    "a count of optional blocks",
    "a random body",
    "some random bytes",
    "parts of two blocks",
];

/// A block that opens, and every way its protection key could be used.
struct Good {
    block: Vec<u8>,
    header_chars: usize,
    keys: BTreeMap<u8, ProtectionKeys>,
}

impl Good {
    fn new(kbpk: &[u8], block: &str) -> Self {
        let keys = Version::ALL
            .into_iter()
            .filter_map(|version| {
                let keys = ProtectionKeys::from_kbpk(version, kbpk).ok()?;
                Some((version.code(), keys))
            })
            .collect();
        let good = Self {
            block: block.as_bytes().to_vec(),
            header_chars: Header::decode(block.as_bytes()).unwrap().header_chars,
            keys,
        };
        assert!(good.answers(&good.block).contains(&None), "{block}");
        good
    }

    fn mac_chars(&self) -> usize {
        2 * Version::from_code(self.block[0]).unwrap().mac_bytes()
    }

    /// What is said of a block by the keys it was written under and, where it claims to be of
    /// another version, by that version's. Nothing stands for "opened".
    fn answers(&self, block: &[u8]) -> Vec<Option<String>> {
        let claimed = block.first().copied().unwrap_or(self.block[0]);
        BTreeSet::from([claimed, self.block[0]])
            .iter()
            .filter_map(|version| self.keys.get(version))
            .map(|keys| {
                let refused = unwrap(keys, block).err();
                refused.map(|refused| format!("{refused:?}: {refused}"))
            })
            .collect()
    }
}

/// What was tried and what was said.
#[derive(Default)]
struct Tally {
    tried: BTreeMap<&'static str, usize>,
    accepted: Vec<String>,
    answers: BTreeSet<String>,
}

impl Tally {
    fn total(&self) -> usize {
        self.tried.values().sum()
    }

    fn attempt(&mut self, kind: usize, good: &Good, mutant: &[u8]) {
        if mutant == good.block {
            return;
        }
        *self.tried.entry(KINDS[kind]).or_default() += 1;
        for answer in good.answers(mutant) {
            match answer {
                Some(answer) => drop(self.answers.insert(answer)),
                None => self
                    .accepted
                    .push(String::from_utf8_lossy(mutant).into_owned()),
            }
        }
    }
}

/// One block of each version, with and without optional blocks, of the known answers, the longest
/// one, and blocks of the library's own.
fn good_blocks() -> Vec<Good> {
    let mut chosen: BTreeMap<(u8, bool), Good> = BTreeMap::new();
    for file in ["tr31.json", "generated_tr31.json"] {
        let path = format!(
            "{}/tests/vectors/key_block/{file}",
            env!("CARGO_MANIFEST_DIR")
        );
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for case in cases {
            let wanted = case["op"] == "tr31_unwrap" && case["expect"].get("error").is_none();
            let (Some(kbpk), Some(block)) = (
                case["inputs"]["kbpk"].as_str(),
                case["inputs"]["key_block"].as_str(),
            ) else {
                continue;
            };
            if wanted && block.len() < 400 {
                let kind = (block.as_bytes()[0], &block[12..14] != "00");
                let good = || Good::new(&hex::decode(kbpk).unwrap(), block);
                chosen.entry(kind).or_insert_with(good);
            }
        }
    }
    assert_eq!(chosen.len(), 8, "four versions, with and without");
    let mut goods: Vec<Good> = chosen.into_values().collect();
    for (version, kbpk, long) in [
        (Version::B, [0x31; 24].as_slice(), false),
        (Version::D, &[0x32; 32], true),
    ] {
        let mut header = Header::new(
            version,
            Usage::new(*b"P0").unwrap(),
            Algorithm::new(*b"T").unwrap(),
            Mode::new(*b"D").unwrap(),
            Exportability::new(*b"N").unwrap(),
        );
        if long {
            header.blocks.push(*b"CT", &"MII".repeat(100)).unwrap();
        }
        let keys = ProtectionKeys::from_kbpk(version, kbpk).unwrap();
        let masking = Masking::of(header.algorithm);
        let block = wrap(&keys, &header, &[0x5C; 16], masking, &[0xA5; 48]).unwrap();
        goods.push(Good::new(kbpk, &block));
    }
    goods
}

/// All of it: more than 100,000.
fn exhaustive(good: &Good, tally: &mut Tally) {
    let block = &good.block;
    let with = |position: usize, value: u8| {
        let mut mutant = block.clone();
        mutant[position] = value;
        mutant
    };
    // Of a certificate the first and the last bytes will do.
    let header = (0..good.header_chars).filter(|&at| at < 80 || good.header_chars - at < 20);
    for position in header {
        for value in 0..=u8::MAX {
            tally.attempt(0, good, &with(position, value));
        }
    }
    for position in block.len() - good.mac_chars()..block.len() {
        for digit in b"0123456789ABCDEFabcdef" {
            tally.attempt(1, good, &with(position, *digit));
        }
    }
    for length in 0..block.len() {
        let short = &block[..length];
        tally.attempt(2, good, short);
        tally.attempt(2, good, &resized(short, length));
    }
    for more in 1..=64 {
        for filler in [b'0', b'F', 0, b' '] {
            let long = [&block[..], &vec![filler; more]].concat();
            tally.attempt(3, good, &long);
            tally.attempt(3, good, &resized(&long, long.len()));
        }
    }
    for count in 0..100 {
        let mut mutant = block.clone();
        mutant[12..14].copy_from_slice(format!("{count:02}").as_bytes());
        tally.attempt(4, good, &mutant);
    }
}

/// The same text with another length field.
fn resized(text: &[u8], length: usize) -> Vec<u8> {
    let mut text = text.to_vec();
    if let Some(field) = text.get_mut(1..5) {
        field.copy_from_slice(format!("{:04}", length % 10_000).as_bytes());
    }
    text
}

struct Damage(ChaCha20Rng);

impl Damage {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u32()).unwrap() % bound
    }

    fn digits(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| b"0123456789ABCDEF"[self.below(16)])
            .collect()
    }

    fn one(&mut self, goods: &[Good], tally: &mut Tally) {
        let good = &goods[self.below(goods.len())];
        match self.below(3) {
            0 => {
                // A third of them with another number of cipher blocks and the length field right.
                let body = match self.below(3) {
                    0 => 32 * (2 + self.below(8)),
                    _ => good.block.len() - good.header_chars,
                };
                let text = [&good.block[..good.header_chars], &self.digits(body)].concat();
                tally.attempt(5, good, &resized(&text, text.len()));
            }
            1 => {
                let mut mutant = good.block.clone();
                for _ in 0..=self.below(4) {
                    let position = self.below(mutant.len());
                    mutant[position] = match self.below(2) {
                        0 => self.0.next_u32().to_le_bytes()[0],
                        _ => self.digits(1)[0],
                    };
                }
                tally.attempt(6, good, &mutant);
            }
            _ => {
                let other = &goods[self.below(goods.len())].block;
                let (head, tail) = (self.below(good.block.len()), self.below(other.len()));
                let mutant = [&good.block[..head], &other[tail..]].concat();
                tally.attempt(7, good, &resized(&mutant, mutant.len()));
            }
        }
    }
}

#[test]
fn no_changed_block_is_opened_and_all_get_one_answer() {
    let count = std::env::var("PINTLE_MUTANTS").map_or(100_000, |count| {
        count.parse().expect("PINTLE_MUTANTS is a number")
    });
    let (goods, mut tally) = (good_blocks(), Tally::default());
    for good in &goods {
        exhaustive(good, &mut tally);
    }
    let mut damage = Damage(ChaCha20Rng::from_seed([31; 32]));
    // At least a third of them, whatever the exhaustive ones came to.
    let until = count.max(tally.total() + count / 3);
    while tally.total() < until {
        damage.one(&goods, &mut tally);
    }
    // Straight to the standard output: the figures are wanted also where nothing fails.
    let mut figures = format!(
        "\nmutants={} of {} blocks, accepted={}, distinct answers={}\n",
        tally.total(),
        goods.len(),
        tally.accepted.len(),
        tally.answers.len(),
    );
    for (kind, tried) in &tally.tried {
        figures += &format!("  {kind}: {tried}\n");
    }
    std::io::stdout().write_all(figures.as_bytes()).unwrap();
    assert_eq!(tally.accepted, Vec::<String>::new());
    assert_eq!(tally.answers.len(), 1, "{:?}", tally.answers);
    assert_eq!(tally.tried.len(), KINDS.len(), "every kind was tried");
}

#[test]
fn a_block_that_is_opened_would_be_seen() {
    let (goods, mut tally) = (good_blocks(), Tally::default());
    let mut another = Good::new(&[0x31; 24], std::str::from_utf8(&goods[8].block).unwrap());
    another.block.push(b'0');
    tally.attempt(0, &another, &goods[8].block);
    assert_eq!(tally.accepted.len(), 1);
}
