//! How strong a key is, so that none protects a stronger one (PCI PIN 17 and 18; SP 800-57 part 1
//! revision 5, 5.6.1.1, tables 2 and 3).
//!
//! A rule of thumb for comparing keys, not a promise: what TDES is still worth, and until when, is
//! not decided here.

use crate::domain::key_block::Algorithm;

/// Bits of security of a key; none where the algorithm has no key of this length.
///
/// Private keys of RSA, DSA and EC are measured by the length of their encoding, rounded up.
pub fn of(algorithm: Algorithm, key_bytes: usize) -> Option<u16> {
    match (algorithm.code(), key_bytes) {
        (_, 0) => None,
        (b'T' | b'D', 8) => Some(56),
        (b'T', 16) => Some(TDES_2),
        (b'T', 24) => Some(TDES_3),
        (b'A', 16) => Some(128),
        (b'A', 24) => Some(192),
        (b'A', 32) => Some(256),
        (b'T' | b'D' | b'A', _) => None,
        (b'R' | b'S', bytes) => Some(table(RSA, bytes)),
        (b'E', bytes) => Some(table(EC, bytes)),
        // HMAC and proprietary ciphers: all of its bits, as far as anything here goes.
        (_, bytes) => Some(u16::try_from(8 * bytes.min(32)).unwrap_or(256)),
    }
}

/// Two-key TDES.
pub(super) const TDES_2: u16 = 80;
/// Three-key TDES.
pub(super) const TDES_3: u16 = 112;

fn table(rows: &[(usize, u16)], bytes: usize) -> u16 {
    rows.iter()
        .find(|(longest, _)| bytes <= *longest)
        .map_or(256, |&(_, bits)| bits)
}

/// Longest PKCS #8 encoding of 1024, 2048, 3072 and 4096 bits.
const RSA: &[(usize, u16)] = &[(680, 80), (1300, 112), (1900, 128), (2500, 152)];
/// Longest PKCS #8 encoding on curves of 256 and 384 bits.
const EC: &[(usize, u16)] = &[(160, 128), (210, 192)];
