//! The padding of PKCS #7 (RFC 5652, 6.3). Taking it off does the same work whatever the block
//! holds: the only thing that depends on it is the answer.

use subtle::{Choice, ConstantTimeEq, ConstantTimeLess};

/// Adds 1 to `N` bytes that each say how many they are.
pub(super) fn pad<const N: usize>(data: &mut Vec<u8>) {
    let missing = N - data.len() % N;
    let byte = u8::try_from(missing).unwrap_or(0);
    data.resize(data.len() + missing, byte);
}

/// How many bytes of the last block are padding; none where it is not padded so.
pub(super) fn padded<const N: usize>(last: &[u8; N]) -> Option<usize> {
    let size = u8::try_from(N).unwrap_or(0);
    let said = last[N - 1];
    let mut good = !said.ct_eq(&0) & said.ct_lt(&(size + 1));
    for (from_end, byte) in (0u8..).zip(last.iter().rev()) {
        let inside: Choice = from_end.ct_lt(&said);
        good &= !inside | byte.ct_eq(&said);
    }
    bool::from(good).then_some(usize::from(said))
}
