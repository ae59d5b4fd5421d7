//! Magnetic-stripe tracks under a terminal's track key (TDK), in the two layouts of UnionPay's
//! terminals: one block of the track, or all of it, under TDES or SM4 in ECB.
//!
//! A track is digits and separators, packed two to a byte with the separator as D, as fields 35 and
//! 36 have it. Only the fill of the whole-track layout is ever looked at, never a digit: whatever
//! else a wrong key makes of a track goes on to the issuer. The layouts are known from what
//! implementers published, not from an official text.

use core::convert::Infallible;

use subtle::{Choice, ConstantTimeEq};

use crate::domain::cipher::{BlockCipher, PinCipher};
use crate::limits;
use crate::secret::Secret;

/// How a track is enciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// The one block that ends before the track's last byte, in its place; the rest stays clear. An
    /// odd track is first filled with a 0.
    UnionPayOneBlock,
    /// All of it, filled with F to whole blocks, each on its own.
    UnionPayWhole,
}

/// A key and how it enciphers tracks.
#[derive(Clone, Copy)]
pub struct Framing<'a> {
    /// The layout.
    pub layout: Layout,
    /// The key.
    pub cipher: &'a PinCipher,
}

/// Why a track is not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// Fewer digits than one of the layouts needs, or more than a track has.
    #[error("not a number of digits that both layouts take")]
    Digits,
    /// Not as many bytes as the layout makes of so many digits.
    #[error("not the layout's length")]
    Length,
    /// What is inside is not filled as the layout says.
    #[error("rejected")]
    Rejected,
}

/// Takes a track of `digits` digits out of one framing and into another. Its clear form is wiped.
pub fn translate(
    from: Framing<'_>,
    to: Framing<'_>,
    digits: usize,
    track: &[u8],
) -> Result<Vec<u8>, TrackError> {
    if !(from.takes(digits) && to.takes(digits)) {
        return Err(TrackError::Digits);
    }
    if track.len() != from.bytes(digits) {
        return Err(TrackError::Length);
    }
    let clear = open(from, digits, track)?;
    Ok(close(to, digits, clear.expose_secret()))
}

/// Enciphers a clear track of `digits` digits, packed; the last half byte of an odd one is not
/// looked at.
pub fn encipher(to: Framing<'_>, digits: usize, clear: &[u8]) -> Result<Vec<u8>, TrackError> {
    if !to.takes(digits) {
        return Err(TrackError::Digits);
    }
    if clear.len() != digits.div_ceil(2) {
        return Err(TrackError::Length);
    }
    let mut filled = Secret::new(clear.to_vec());
    fill(filled.expose_secret_mut(), digits, 0);
    Ok(close(to, digits, filled.expose_secret()))
}

/// Deciphers a track: packed, an odd one filled with a 0.
pub fn decipher(
    from: Framing<'_>,
    digits: usize,
    track: &[u8],
) -> Result<Secret<Vec<u8>>, TrackError> {
    if !from.takes(digits) {
        return Err(TrackError::Digits);
    }
    if track.len() != from.bytes(digits) {
        return Err(TrackError::Length);
    }
    open(from, digits, track)
}

impl Framing<'_> {
    const fn block(&self) -> usize {
        self.cipher.algorithm().block_bytes()
    }

    fn takes(&self, digits: usize) -> bool {
        let within = (limits::TRACK_DIGITS_MIN..=limits::TRACK_DIGITS_MAX).contains(&digits);
        match self.layout {
            Layout::UnionPayOneBlock => within && digits.div_ceil(2) > self.block(),
            Layout::UnionPayWhole => within,
        }
    }

    /// Bytes of an enciphered track.
    const fn bytes(&self, digits: usize) -> usize {
        let packed = digits.div_ceil(2);
        match self.layout {
            Layout::UnionPayOneBlock => packed,
            Layout::UnionPayWhole => packed.next_multiple_of(self.block()),
        }
    }

    /// Which of the bytes are enciphered.
    const fn span(&self, bytes: usize) -> (usize, usize) {
        match self.layout {
            Layout::UnionPayOneBlock => (bytes - 1 - self.block(), bytes - 1),
            Layout::UnionPayWhole => (0, bytes),
        }
    }
}

fn open(from: Framing<'_>, digits: usize, track: &[u8]) -> Result<Secret<Vec<u8>>, TrackError> {
    let mut clear = Secret::new(track.to_vec());
    let (start, end) = from.span(track.len());
    decrypt(from.cipher, &mut clear.expose_secret_mut()[start..end]);
    let sound = match from.layout {
        Layout::UnionPayOneBlock => Choice::from(1),
        Layout::UnionPayWhole => is_filled(clear.expose_secret(), digits),
    };
    if !bool::from(sound) {
        return Err(TrackError::Rejected);
    }
    fill(clear.expose_secret_mut(), digits, 0);
    // What is behind the track's end was fill, and is overwritten.
    clear.expose_secret_mut().truncate(digits.div_ceil(2));
    Ok(clear)
}

fn close(to: Framing<'_>, digits: usize, clear: &[u8]) -> Vec<u8> {
    // Never grown: what a vector leaves behind when it moves would be a clear track.
    let mut track = Vec::with_capacity(to.bytes(digits));
    track.extend_from_slice(clear);
    track.resize(to.bytes(digits), 0);
    match to.layout {
        Layout::UnionPayOneBlock => {}
        Layout::UnionPayWhole => fill(&mut track, digits, 0xF),
    }
    let (start, end) = to.span(track.len());
    encrypt(to.cipher, &mut track[start..end]);
    track
}

/// Writes one half byte into every place behind the digits.
fn fill(track: &mut [u8], digits: usize, half: u8) {
    for place in digits..track.len() * 2 {
        let byte = &mut track[place / 2];
        *byte = if place % 2 == 0 {
            *byte & 0x0F | half << 4
        } else {
            *byte & 0xF0 | half
        };
    }
}

/// Whether every place behind the digits holds F. The same work whatever stands there.
fn is_filled(track: &[u8], digits: usize) -> Choice {
    let mut good = Choice::from(1);
    for place in digits..track.len() * 2 {
        let byte = track[place / 2];
        let half = if place % 2 == 0 {
            byte >> 4
        } else {
            byte & 0x0F
        };
        good &= half.ct_eq(&0xF);
    }
    good
}

fn encrypt(cipher: &PinCipher, bytes: &mut [u8]) {
    let Ok(()): Result<(), Infallible> = match cipher {
        PinCipher::Tdes(tdes) => tdes.encrypt_blocks(bytes.as_chunks_mut().0),
        PinCipher::Aes(aes) => aes.encrypt_blocks(bytes.as_chunks_mut().0),
        PinCipher::Sm4(sm4) => sm4.encrypt_blocks(bytes.as_chunks_mut().0),
    };
}

fn decrypt(cipher: &PinCipher, bytes: &mut [u8]) {
    let Ok(()): Result<(), Infallible> = match cipher {
        PinCipher::Tdes(tdes) => tdes.decrypt_blocks(bytes.as_chunks_mut().0),
        PinCipher::Aes(aes) => aes.decrypt_blocks(bytes.as_chunks_mut().0),
        PinCipher::Sm4(sm4) => sm4.decrypt_blocks(bytes.as_chunks_mut().0),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cipher::BlockAlgorithm;

    const LAYOUTS: [Layout; 2] = [Layout::UnionPayOneBlock, Layout::UnionPayWhole];

    fn key(algorithm: BlockAlgorithm, seed: u8) -> PinCipher {
        let bytes: Vec<u8> = (seed..seed + 16).collect();
        PinCipher::new(algorithm, &bytes).unwrap()
    }

    fn packed(digits: usize) -> Vec<u8> {
        let mut track = vec![0x62; digits.div_ceil(2)];
        fill(&mut track, digits, 0);
        track
    }

    #[test]
    fn every_translation_there_and_back_is_the_track_again() {
        let keys = [
            key(BlockAlgorithm::Tdes, 1),
            key(BlockAlgorithm::Sm4, 2),
            key(BlockAlgorithm::Tdes, 3),
        ];
        let framings: Vec<_> = keys
            .iter()
            .flat_map(|cipher| LAYOUTS.map(|layout| Framing { layout, cipher }))
            .collect();
        for digits in limits::TRACK_DIGITS_MIN..=limits::TRACK_DIGITS_MAX {
            for (from, to) in framings
                .iter()
                .flat_map(|from| framings.iter().map(move |to| (*from, *to)))
            {
                let clear = packed(digits);
                let Ok(track) = encipher(from, digits, &clear) else {
                    assert!(!from.takes(digits));
                    continue;
                };
                match translate(from, to, digits, &track) {
                    Ok(translated) => {
                        let back = decipher(to, digits, &translated).unwrap();
                        assert_eq!(back.expose_secret(), &clear);
                    }
                    Err(error) => {
                        assert_eq!(error, TrackError::Digits);
                        assert!(!to.takes(digits));
                    }
                }
            }
        }
    }

    #[test]
    fn other_numbers_of_digits_and_lengths_are_refused() {
        let (tdes, sm4) = (key(BlockAlgorithm::Tdes, 1), key(BlockAlgorithm::Sm4, 1));
        let framing = |layout, cipher| Framing { layout, cipher };
        let [one, whole] = LAYOUTS;
        for (framing, fewest) in [
            (framing(one, &tdes), 17),
            (framing(whole, &tdes), 17),
            (framing(one, &sm4), 33),
            (framing(whole, &sm4), 17),
        ] {
            for digits in 0..=120 {
                let bytes = framing.bytes(digits);
                let answer = decipher(framing, digits, &vec![0x11; bytes]).err();
                let taken = (fewest..=104).contains(&digits);
                assert_eq!(answer != Some(TrackError::Digits), taken, "{digits}");
                if taken {
                    for bytes in [bytes - 1, bytes + 1] {
                        let answer = decipher(framing, digits, &vec![0x11; bytes]);
                        assert_eq!(answer.err(), Some(TrackError::Length));
                    }
                }
            }
        }
    }

    #[test]
    fn only_the_fill_is_looked_at() {
        let cipher = key(BlockAlgorithm::Tdes, 1);
        let whole = Framing {
            layout: Layout::UnionPayWhole,
            cipher: &cipher,
        };
        let digits = 37;
        for half in 0..48 {
            for value in 0..=0xFu8 {
                let mut track = vec![0xFF; 24];
                fill(&mut track, half, value);
                fill(&mut track, half + 1, 0xF);
                encrypt(&cipher, &mut track);
                let answer = decipher(whole, digits, &track).err();
                let spoilt = half >= digits && value != 0xF;
                assert_eq!(answer, spoilt.then_some(TrackError::Rejected), "{half}");
            }
        }
    }
}
