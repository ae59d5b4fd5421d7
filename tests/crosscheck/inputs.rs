//! Pseudo-random inputs.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Inputs of one family.
pub struct Inputs(ChaCha20Rng);

impl Inputs {
    /// The same in every run; each family has a seed of its own, its name.
    pub fn of(family: &str) -> Self {
        let mut seed = [0; 32];
        for (at, byte) in family.bytes().enumerate() {
            seed[at % 32] ^= byte;
        }
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// From `least` to `most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + usize::try_from(self.0.next_u32()).unwrap() % (most - least + 1)
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len() - 1)]
    }

    /// A message of `least` to 120 bytes: whole blocks and broken ones.
    pub fn message(&mut self, least: usize) -> Vec<u8> {
        let length = self.between(least, 120);
        self.bytes(length)
    }
}
