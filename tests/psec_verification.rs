//! psec (Python) as a second implementation of Visa PVVs and of IBM 3624: both make a PVV, an offset
//! and a PIN of the same inputs. `PINTLE_PIN_VERIFICATIONS` says how many; 2,000 where it is not set.
//! The inputs are pseudo-random and the same in every run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::{Command, Stdio};

use pintle::domain::cipher::Tdes;
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_verification::Reference;
use pintle::domain::pin_verification::decimalisation::DecimalisationTable;
use pintle::domain::pin_verification::ibm3624::{Rule, Validation};
use pintle::domain::pin_verification::ibm3624::{natural_pin, offset, pin_of_offset};
use pintle::domain::pin_verification::visa_pvv::{self, Pvki};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

struct Inputs(ChaCha20Rng);

impl Inputs {
    fn between(&mut self, least: usize, most: usize) -> usize {
        least + usize::try_from(self.0.next_u32()).unwrap() % (most - least + 1)
    }

    fn digits(&mut self, count: usize) -> String {
        let digit = |_| char::from_digit(u32::try_from(self.between(0, 9)).unwrap(), 10);
        (0..count).map(digit).map(Option::unwrap).collect()
    }

    fn one(&mut self) -> One {
        let mut key = vec![0; 24];
        self.0.fill_bytes(&mut key);
        key.truncate([16, 24][self.between(0, 1)]);
        let pan = self.between(13, 19);
        let digits = self.between(10, pan.min(16));
        let length = self.between(4, 12);
        One {
            key,
            pvki: self.between(0, 9),
            table: self.digits(16),
            pin: self.digits(length),
            offset: self.digits(length),
            first: self.between(1, pan - digits + 1),
            pan: self.digits(pan),
            digits,
            pad: self.between(0, 15),
        }
    }
}

/// What both are asked.
struct One {
    key: Vec<u8>,
    pvki: usize,
    table: String,
    pin: String,
    offset: String,
    pan: String,
    first: usize,
    digits: usize,
    pad: usize,
}

impl One {
    fn task(&self) -> Value {
        json!({
            "key": hex::encode(&self.key),
            "pvki": self.pvki.to_string(),
            "table": self.table,
            "pin": self.pin,
            "offset": self.offset,
            "pan": self.pan,
            "first": self.first - 1,
            "digits": self.digits,
            "pad": format!("{:X}", self.pad),
        })
    }

    fn ours(&self) -> Value {
        let small = |number: usize| u8::try_from(number).unwrap();
        let (pan, pin) = (
            Pan::parse(&self.pan).unwrap(),
            Pin::parse(&self.pin).unwrap(),
        );
        let (pvk, key) = (
            Tdes::new(&self.key[..16]).unwrap(),
            Tdes::new(&self.key).unwrap(),
        );
        let pvki = Pvki::new(small(self.pvki)).unwrap();
        let pvv = visa_pvv::generate(&pvk, pvki, &pan, &pin).unwrap();
        let (first, digits, pad) = (small(self.first), small(self.digits), small(self.pad));
        let validation = Validation::new(first, digits, pad).unwrap();
        let rule = Rule::new(small(self.pin.len()), validation).unwrap();
        let table = DecimalisationTable::weak_parse(&self.table).unwrap();
        let natural = natural_pin(&key, &table, rule, &pan).unwrap();
        let given = Reference::parse(&self.offset).unwrap();
        let chosen = pin_of_offset(&natural, &given);
        let chosen = chosen.expose_digits(|digits| String::from_utf8(digits.to_vec()).unwrap());
        json!([pvv.to_string(), offset(&natural, &pin).to_string(), chosen])
    }
}

#[test]
fn psec_makes_the_same_pvvs_offsets_and_pins() {
    let count = std::env::var("PINTLE_PIN_VERIFICATIONS");
    let count = count.map_or(2_000, |text| text.parse().expect("a number"));
    let mut inputs = Inputs(ChaCha20Rng::from_seed([41; 32]));
    let asked: Vec<One> = (0..count).map(|_| inputs.one()).collect();
    let tasks: Vec<Value> = asked.iter().map(One::task).collect();
    let answers = psec(&tasks);
    assert_eq!(answers.len(), asked.len());
    for (one, theirs) in asked.iter().zip(&answers) {
        assert_eq!(&one.ours(), theirs, "{}", one.task());
    }
    println!("{count} PVVs, offsets and PINs agree with psec");
}

fn psec(tasks: &[Value]) -> Vec<Value> {
    let prepared = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python").into();
    let python = std::env::var_os("PINTLE_PYTHON").unwrap_or(prepared);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/clients/pin_verification.py"
    );
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python with psec is missing: run `make setup`");
    let mut input = child.stdin.take().unwrap();
    serde_json::to_writer(&mut input, tasks).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
