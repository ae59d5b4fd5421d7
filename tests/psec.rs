//! psec (Python) as a second implementation of key blocks: it opens what we write and we open what
//! it writes, with and without optional blocks, masked and not. `PINTLE_KEY_BLOCKS` says how many
//! of each; 400 where it is not set. The inputs are pseudo-random and the same in every run.
//!
//! No optional block here is longer than 255 characters: psec counts those otherwise than X9.143.
//! The known answers have them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::ffi::OsString;
use std::process::{Command, Stdio};

use pintle::domain::key_block::{
    Algorithm, Exportability, Header, KeyVersion, Masking, Mode, ProtectionKeys, Usage, Version,
    strength, unwrap, wrap,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

struct Inputs(ChaCha20Rng);

impl Inputs {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u32()).unwrap() % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn text<const N: usize>(&mut self, alphabet: &[u8]) -> [u8; N] {
        std::array::from_fn(|_| self.one(alphabet))
    }

    /// Every kind of header: defined and proprietary codes, none to three optional blocks.
    fn header(&mut self, version: Version, algorithm: u8) -> Header {
        let defined = [*b"P0", *b"M3", *b"M7", *b"D0", *b"K1", *b"B1", *b"51"];
        let mut header = Header::new(
            version,
            Usage::new(self.one(&defined)).unwrap(),
            Algorithm::new([algorithm]).unwrap(),
            Mode::new(self.text(b"BCDEGNSTVXY1")).unwrap(),
            Exportability::new(self.text(b"ENS")).unwrap(),
        );
        header.key_version = KeyVersion::new(self.one(&[*b"00", *b"c1", *b"7a"])).unwrap();
        for id in [*b"KS", *b"LB", *b"10"] {
            if self.below(2) == 0 {
                continue;
            }
            let length = if id == *b"KS" { 20 } else { self.below(252) };
            let alphabet: Vec<u8> = if id == *b"KS" {
                b"0123456789ABCDEF".to_vec()
            } else {
                (0x20..=0x7E).collect()
            };
            let data = (0..length).map(|_| char::from(self.one(&alphabet)));
            header.blocks.push(id, &data.collect::<String>()).unwrap();
        }
        header
    }

    fn kbpk(&mut self, version: Version) -> Vec<u8> {
        let length = match version {
            Version::D => self.one(&[16, 24, 32]),
            Version::A | Version::B | Version::C => self.one(&[16, 24]),
        };
        self.bytes(length)
    }

    /// An algorithm and a key of it.
    fn key(&mut self) -> (u8, Vec<u8>) {
        let (algorithm, length) = self.one(&[
            (b'T', 8),
            (b'T', 16),
            (b'T', 24),
            (b'A', 16),
            (b'A', 24),
            (b'A', 32),
            (b'H', 20),
            (b'H', 64),
            (b'4', 16),
        ]);
        (algorithm, self.bytes(length))
    }
}

fn fields(header: &Header) -> Value {
    json!([
        char::from(header.version.code()).to_string(),
        header.usage.to_string(),
        header.algorithm.to_string(),
        header.mode.to_string(),
        header.key_version.to_string(),
        header.exportability.to_string(),
    ])
}

/// Without the padding block, which psec does not show; by id.
fn blocks(header: &Header) -> Value {
    let mut blocks: Vec<(String, &str)> = header
        .blocks
        .iter()
        .filter(|block| block.id != *b"PB")
        .map(|block| (block.id.map(char::from).iter().collect(), block.data))
        .collect();
    blocks.sort_unstable();
    json!(blocks)
}

fn psec(tasks: Vec<Value>) -> Vec<Value> {
    let root = env!("CARGO_MANIFEST_DIR");
    let prepared = OsString::from(format!("{root}/target/venv/bin/python"));
    let python = std::env::var_os("PINTLE_PYTHON").unwrap_or(prepared);
    let mut child = Command::new(python)
        .arg(format!("{root}/tests/clients/key_blocks.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`make setup` prepares a Python with psec");
    let asked = tasks.len();
    serde_json::to_writer(child.stdin.take().unwrap(), &tasks).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "psec runs");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), asked);
    answers
}

fn count() -> usize {
    std::env::var("PINTLE_KEY_BLOCKS").map_or(400, |count| {
        count.parse().expect("PINTLE_KEY_BLOCKS is a number")
    })
}

#[test]
fn psec_opens_what_we_write_until_a_character_changes() {
    let (mut inputs, mut written, mut tasks) =
        (Inputs(ChaCha20Rng::from_seed([41; 32])), vec![], vec![]);
    while written.len() < count() {
        let version = inputs.one(&[Version::B, Version::D]);
        let (kbpk, (algorithm, key)) = (inputs.kbpk(version), inputs.key());
        let keys = ProtectionKeys::from_kbpk(version, &kbpk).unwrap();
        let header = inputs.header(version, algorithm);
        if strength::of(header.algorithm, key.len()).unwrap() > keys.strength() {
            continue;
        }
        let masking = match inputs.below(3) {
            0 => Masking::NONE,
            1 => Masking::of(header.algorithm),
            _ => Masking::to_bytes(inputs.below(100)),
        };
        let random = inputs.bytes(128);
        let mut block = wrap(&keys, &header, &key, masking, &random).unwrap();
        let changed = inputs.below(8) == 0;
        if changed {
            let at = block.len() - 1 - inputs.below(40);
            let other = if block.as_bytes()[at] == b'0' {
                "1"
            } else {
                "0"
            };
            block.replace_range(at..=at, other);
        }
        tasks.push(json!({"kbpk": hex::encode(&kbpk), "block": block}));
        written.push((header, key, changed));
    }
    for ((header, key, changed), answer) in written.iter().zip(psec(tasks)) {
        let expected = json!({
            "key": hex::encode(key), "fields": fields(header), "blocks": blocks(header),
        });
        assert_eq!(answer, if *changed { Value::Null } else { expected });
    }
    assert!(written.iter().any(|(_, _, changed)| *changed));
    assert!(written.iter().any(|(header, ..)| header.blocks.is_empty()));
}

#[test]
fn we_open_what_psec_writes_in_every_version() {
    let (mut inputs, mut asked, mut tasks) =
        (Inputs(ChaCha20Rng::from_seed([42; 32])), vec![], vec![]);
    for turn in 0..count() {
        let version = Version::ALL[turn % 4];
        let (kbpk, (algorithm, key)) = (inputs.kbpk(version), inputs.key());
        let header = inputs.header(version, algorithm);
        let masked = inputs.one(&[None, Some(0), Some(48)]);
        tasks.push(json!({
            "kbpk": hex::encode(&kbpk), "key": hex::encode(&key), "masked_bytes": masked,
            "fields": fields(&header), "blocks": blocks(&header),
        }));
        asked.push((kbpk, header, key));
    }
    for ((kbpk, header, key), answer) in asked.iter().zip(psec(tasks)) {
        let block = answer.as_str().expect("psec writes it");
        let keys = ProtectionKeys::from_kbpk(header.version, kbpk).unwrap();
        let opened = unwrap(&keys, block.as_bytes()).expect(block);
        assert_eq!(opened.key.expose_secret(), key, "{block}");
        assert_eq!(fields(&opened.header), fields(header), "{block}");
        assert_eq!(blocks(&opened.header), blocks(header), "{block}");
        let text = opened.header.encode(block.len()).unwrap();
        assert!(block.starts_with(&text), "{block}");
    }
}
