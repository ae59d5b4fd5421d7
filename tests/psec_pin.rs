//! psec (Python) as a second implementation of PIN blocks: it opens what we make, whole or spoiled,
//! and we open what it makes. What psec does not know is written out beside it, over another
//! library's ciphers. `PINTLE_PIN_BLOCKS` says how many each way; 2,000 where it is not set. The
//! inputs are pseudo-random and the same in every run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::ffi::OsString;
use std::process::{Command, Stdio};

use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Binding, Format, Framing};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

struct Inputs(ChaCha20Rng);

impl Inputs {
    fn seeded(seed: u8) -> Self {
        Self(ChaCha20Rng::from_seed([seed; 32]))
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + usize::try_from(self.0.next_u32()).unwrap() % (most - least + 1)
    }

    fn digits(&mut self, least: usize, most: usize) -> String {
        let count = self.between(least, most);
        let digits =
            (0..count).map(|_| char::from(b'0' + u8::try_from(self.between(0, 9)).unwrap()));
        digits.collect()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn one(&mut self, format: Format) -> One {
        let key = match (format.algorithm(), self.between(0, 2)) {
            (BlockAlgorithm::Sm4, _) | (_, 0) => self.array::<16>().to_vec(),
            (BlockAlgorithm::Tdes, _) | (BlockAlgorithm::Aes, 1) => self.array::<24>().to_vec(),
            (BlockAlgorithm::Aes, _) => self.array::<32>().to_vec(),
        };
        let shortest = match format.binding() {
            Binding::Whole => 1,
            Binding::Twelve | Binding::None => 13,
        };
        One {
            format,
            key,
            pin: self.digits(4, 12),
            pan: self.digits(shortest, 19),
        }
    }
}

/// A PIN to be enciphered.
struct One {
    format: Format,
    key: Vec<u8>,
    pin: String,
    pan: String,
}

impl One {
    fn cipher(&self) -> PinCipher {
        PinCipher::new(self.format.algorithm(), &self.key).unwrap()
    }

    fn block(&self, fill: &[u8; 8]) -> Vec<u8> {
        let cipher = self.cipher();
        let framing = Framing {
            format: self.format,
            cipher: &cipher,
        };
        let (pin, pan) = (
            Pin::parse(&self.pin).unwrap(),
            Pan::parse(&self.pan).unwrap(),
        );
        let block = pin_block::encipher(framing, &pin, &pan, fill).unwrap();
        block.as_bytes().to_vec()
    }

    fn opened(&self, block: &[u8]) -> Value {
        let cipher = self.cipher();
        let framing = Framing {
            format: self.format,
            cipher: &cipher,
        };
        let pin = pin_block::decipher(framing, &Pan::parse(&self.pan).unwrap(), block);
        pin.map_or(Value::Null, |pin| {
            pin.expose_digits(|digits| json!(String::from_utf8(digits.to_vec()).unwrap()))
        })
    }

    fn task(&self) -> Value {
        json!({
            "format": format!("{:?}", self.format),
            "key": hex::encode(&self.key),
            "pan": self.pan,
        })
    }
}

/// Another nibble in the clear block, where there is one encipherment, and in the PIN field, where
/// there are two: the outer one is taken off and put back over the same PAN.
fn spoiled(one: &One, block: &[u8], place: usize, nibble: u8) -> Vec<u8> {
    let change = |clear: &mut [u8]| {
        let place = place % (2 * clear.len());
        let shift = if place.is_multiple_of(2) { 4 } else { 0 };
        clear[place / 2] = clear[place / 2] & !(0xF << shift) | (nibble << shift);
    };
    let pan = Pan::parse(&one.pan).unwrap();
    let between = match one.format {
        Format::Iso4 | Format::Sm4Fmt4Layout => Some(pan.field_format4()),
        Format::Iso4Pan12 => Some(pan.field_format4_of_12().unwrap()),
        Format::Iso0
        | Format::Iso1
        | Format::Iso3
        | Format::Sm4Unionpay16
        | Format::Sm4Unionpay8pad
        | Format::X98NoPan => None,
    };
    match one.cipher() {
        PinCipher::Tdes(tdes) => once(&tdes, block, change),
        PinCipher::Aes(aes) => match between {
            Some(pan_field) => twice(&aes, block, pan_field, change),
            None => once(&aes, block, change),
        },
        PinCipher::Sm4(sm4) => match between {
            Some(pan_field) => twice(&sm4, block, pan_field, change),
            None => once(&sm4, block, change),
        },
    }
}

fn once<const N: usize, C>(cipher: &C, block: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8>
where
    C: BlockCipher<N, Error = std::convert::Infallible>,
{
    let mut block: [u8; N] = block.try_into().unwrap();
    let Ok(()) = cipher.decrypt_block(&mut block);
    change(&mut block);
    let Ok(()) = cipher.encrypt_block(&mut block);
    block.to_vec()
}

fn twice<C>(cipher: &C, block: &[u8], pan_field: [u8; 16], change: impl Fn(&mut [u8])) -> Vec<u8>
where
    C: BlockCipher<16, Error = std::convert::Infallible>,
{
    let bind = |block: &mut [u8; 16]| {
        block
            .iter_mut()
            .zip(pan_field)
            .for_each(|(byte, pan)| *byte ^= pan);
    };
    let mut block: [u8; 16] = block.try_into().unwrap();
    let Ok(()) = cipher.decrypt_block(&mut block);
    bind(&mut block);
    let mut block: [u8; 16] = once(cipher, &block, change).try_into().unwrap();
    bind(&mut block);
    let Ok(()) = cipher.encrypt_block(&mut block);
    block.to_vec()
}

fn python(tasks: &[Value]) -> Vec<Value> {
    let root = env!("CARGO_MANIFEST_DIR");
    let prepared = OsString::from(format!("{root}/target/venv/bin/python"));
    let python = std::env::var_os("PINTLE_PYTHON").unwrap_or(prepared);
    let mut child = Command::new(python)
        .arg(format!("{root}/tests/clients/pin_blocks.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`make setup` prepares a Python with psec");
    serde_json::to_writer(child.stdin.take().unwrap(), tasks).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "psec runs");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), tasks.len());
    answers
}

fn count() -> usize {
    std::env::var("PINTLE_PIN_BLOCKS").map_or(2_000, |count| {
        count.parse().expect("PINTLE_PIN_BLOCKS is a number")
    })
}

#[test]
fn psec_reads_in_our_blocks_what_we_do_whole_and_with_a_nibble_changed() {
    let mut inputs = Inputs::seeded(51);
    let (mut ours, mut tasks) = (Vec::new(), Vec::new());
    let mut refused = [0usize; Format::ALL.len()];
    for turn in 0..count() {
        let one = inputs.one(Format::ALL[turn % Format::ALL.len()]);
        let mut block = one.block(&inputs.array());
        let whole = inputs.between(0, 1) == 0;
        if !whole {
            let (place, nibble) = (inputs.between(0, 31), inputs.between(0, 15));
            block = spoiled(&one, &block, place, u8::try_from(nibble).unwrap());
        }
        let opened = one.opened(&block);
        assert!(!whole || opened == json!(one.pin), "turn {turn}");
        refused[one.format as usize] += usize::from(opened.is_null());
        let mut task = one.task();
        task["block"] = json!(hex::encode(&block));
        tasks.push(task);
        ours.push(opened);
    }
    for (turn, (ours, theirs)) in ours.iter().zip(python(&tasks)).enumerate() {
        assert_eq!(*ours, theirs, "turn {turn}: {}", tasks[turn]);
    }
    assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
}

#[test]
fn we_read_in_psecs_blocks_the_pin_it_put_there() {
    let mut inputs = Inputs::seeded(52);
    let (mut asked, mut tasks) = (Vec::new(), Vec::new());
    for turn in 0..count() {
        let one = inputs.one(Format::ALL[turn % Format::ALL.len()]);
        let mut task = one.task();
        task["pin"] = json!(one.pin);
        tasks.push(task);
        asked.push(one);
    }
    for (one, answer) in asked.iter().zip(python(&tasks)) {
        let block = hex::decode(answer.as_str().expect("it makes a block")).unwrap();
        assert_eq!(one.opened(&block), json!(one.pin), "{:?}", one.format);
        // Nothing random: byte for byte what we make.
        let even = [
            Format::Iso0,
            Format::Sm4Unionpay16,
            Format::Sm4Unionpay8pad,
            Format::X98NoPan,
        ];
        assert!(!even.contains(&one.format) || block == one.block(&[0; 8]));
    }
}
