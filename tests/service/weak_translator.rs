//! The control of the attacks on PIN blocks: a translator with the faults they live on, made for
//! these tests alone. It refuses a digit above 9 (Clulow 2003, and every "sanity check" like it),
//! takes a form in which a delimiter ends the PIN (as the VISA-3 form did), lets the caller choose
//! the form that comes out, and works in and out under one key.
//!
//! Nothing of it is in the product: its own code is what an attack must be able to break.

use pintle::domain::cipher::{BlockCipher, Tdes};
use pintle::domain::pan::Pan;

/// What stands in a clear block of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Format 0.
    Iso0,
    /// Digits, then F to the end; the first F is the end.
    Delimited,
}

/// Something that re-enciphers PIN blocks, under one key, for a PAN of the caller's choice.
pub trait Translator {
    /// The block that comes out; none where it is refused.
    async fn translate(&self, from: Form, to: Form, pan: &str, block: [u8; 8]) -> Option<[u8; 8]>;
}

/// The weak one.
pub struct Weak {
    key: Tdes,
}

impl Weak {
    pub fn new(key: [u8; 16]) -> Self {
        let key = Tdes::new(&key).unwrap();
        Self { key }
    }

    /// A terminal's block.
    pub fn encipher(&self, pin: &str, pan: &str) -> [u8; 8] {
        let digits: Vec<u8> = pin.bytes().map(|digit| digit & 0xF).collect();
        self.close(Form::Iso0, pan, &digits)
    }

    fn close(&self, form: Form, pan: &str, digits: &[u8]) -> [u8; 8] {
        let mut nibbles = vec![];
        if form == Form::Iso0 {
            nibbles.extend([0, u8::try_from(digits.len()).unwrap()]);
        }
        nibbles.extend(digits);
        nibbles.resize(16, 0xF);
        let mut block = std::array::from_fn(|at| nibbles[2 * at] << 4 | nibbles[2 * at + 1]);
        bind(form, pan, &mut block);
        let Ok(()) = self.key.encrypt_block(&mut block);
        block
    }

    fn open(&self, form: Form, pan: &str, mut block: [u8; 8]) -> Option<Vec<u8>> {
        let Ok(()) = self.key.decrypt_block(&mut block);
        bind(form, pan, &mut block);
        let nibbles: Vec<u8> = block
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0xF])
            .collect();
        let digits = match form {
            Form::Iso0 => {
                let end = 2 + usize::from(nibbles[1]);
                if nibbles[0] != 0 || end > 14 || nibbles[end..].iter().any(|fill| *fill != 0xF) {
                    return None;
                }
                nibbles[2..end].to_vec()
            }
            Form::Delimited => nibbles
                .into_iter()
                .take_while(|digit| *digit != 0xF)
                .collect(),
        };
        // The fault: whether a digit is one depends on the PIN and on the caller's PAN.
        let sane = (4..=12).contains(&digits.len()) && digits.iter().all(|digit| *digit <= 9);
        sane.then_some(digits)
    }
}

impl Translator for Weak {
    async fn translate(&self, from: Form, to: Form, pan: &str, block: [u8; 8]) -> Option<[u8; 8]> {
        let digits = self.open(from, pan, block)?;
        Some(self.close(to, pan, &digits))
    }
}

fn bind(form: Form, pan: &str, block: &mut [u8; 8]) {
    if form == Form::Iso0 {
        let field = Pan::parse(pan).unwrap().field12().unwrap();
        block
            .iter_mut()
            .zip(field)
            .for_each(|(byte, pan)| *byte ^= pan);
    }
}
