//! GCM (SP 800-38D, 7.1 and 7.2) over the port. GHASH is the `ghash` crate's.
//!
//! An IV of another length than 96 bits is hashed as clause 7.1 says: known answers have such
//! ones. A key's rule takes none of them.

use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::cipher::BlockCipher;
use crate::domain::data::mode;

/// The tag is not that of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

/// Encrypts in place and answers the whole tag.
pub fn seal<C: BlockCipher<16>>(
    cipher: &C,
    iv: &[u8],
    associated: &[u8],
    data: &mut [u8],
) -> Result<[u8; 16], C::Error> {
    let (hash, counter) = begin(cipher, iv)?;
    mode::counted(cipher, next(counter), next, data)?;
    tag(cipher, hash, counter, associated, data)
}

/// Decrypts in place where `given`, the beginning of a tag, is right; otherwise leaves the data as
/// it is. An empty `given` is never right.
pub fn open<C: BlockCipher<16>>(
    cipher: &C,
    iv: &[u8],
    associated: &[u8],
    data: &mut [u8],
    given: &[u8],
) -> Result<Result<(), Mismatch>, C::Error> {
    let (hash, counter) = begin(cipher, iv)?;
    let tag = Zeroizing::new(tag(cipher, hash, counter, associated, data)?);
    let expected = tag.get(..given.len()).unwrap_or_default();
    if given.is_empty() || !bool::from(expected.ct_eq(given)) {
        return Ok(Err(Mismatch));
    }
    mode::counted(cipher, next(counter), next, data)?;
    Ok(Ok(()))
}

/// GHASH under the key's own hash key, and the first counter block, J0.
fn begin<C: BlockCipher<16>>(cipher: &C, iv: &[u8]) -> Result<(GHash, [u8; 16]), C::Error> {
    let mut key = Zeroizing::new([0u8; 16]);
    cipher.encrypt_block(&mut key)?;
    let hash = GHash::new((&*key).into());
    let mut counter = [0u8; 16];
    if iv.len() == 12 {
        counter[..12].copy_from_slice(iv);
        counter[15] = 1;
    } else {
        let mut hash = hash.clone();
        hash.update_padded(iv);
        hash.update(&[lengths(0, iv.len()).into()]);
        counter = hash.finalize().into();
    }
    Ok((hash, counter))
}

fn tag<C: BlockCipher<16>>(
    cipher: &C,
    mut hash: GHash,
    counter: [u8; 16],
    associated: &[u8],
    data: &[u8],
) -> Result<[u8; 16], C::Error> {
    hash.update_padded(associated);
    hash.update_padded(data);
    hash.update(&[lengths(associated.len(), data.len()).into()]);
    let mut tag: [u8; 16] = hash.finalize().into();
    let mut mask = Zeroizing::new(counter);
    cipher.encrypt_block(&mut mask)?;
    tag.iter_mut()
        .zip(mask.iter())
        .for_each(|(tag, mask)| *tag ^= mask);
    Ok(tag)
}

/// Two lengths in bits, 64 bits each.
fn lengths(first: usize, second: usize) -> [u8; 16] {
    let [first, second] = [first, second].map(|length| u128::try_from(length).unwrap_or(0) * 8);
    (first << 64 | second).to_be_bytes()
}

/// inc32: the last four bytes count, and wrap without carry.
pub(super) fn next(counter: [u8; 16]) -> [u8; 16] {
    let value = u128::from_be_bytes(counter);
    let low = u128::from(u32::MAX);
    (value & !low | value.wrapping_add(1) & low).to_be_bytes()
}
