//! The seals of one record as one blob: a version byte, a count, then of each the token's id, the
//! seal key's id, the IV, a 16-bit length and the ciphertext.
//!
//! One encoding per list: what does not decode to the very end, or is out of bounds, is refused.
//! The decoder is total; the order of the seals is kept and means nothing.

use crate::limits;
use crate::store::StoredSeal;

/// The blob of these seals; none where they are out of bounds.
pub fn encode(seals: &[StoredSeal]) -> Option<Vec<u8>> {
    let count = u8::try_from(seals.len()).ok()?;
    let fits = seals.len() <= limits::SEALS_MAX
        && seals
            .iter()
            .all(|seal| seal.sealed.len() <= limits::SEAL_BYTES_MAX);
    if !fits {
        return None;
    }
    let bytes = seals.iter().map(|seal| FIXED_BYTES + seal.sealed.len());
    let mut blob = Vec::with_capacity(2 + bytes.sum::<usize>());
    blob.extend([VERSION, count]);
    for seal in seals {
        blob.extend(seal.token_id);
        blob.extend(seal.seal_key_id);
        blob.extend(seal.iv);
        blob.extend(u16::try_from(seal.sealed.len()).ok()?.to_be_bytes());
        blob.extend(&seal.sealed);
    }
    Some(blob)
}

/// The seals of a blob; none where it is not the encoding of any.
pub fn decode(blob: &[u8]) -> Option<Vec<StoredSeal>> {
    let (&[version, count], mut rest) = blob.split_first_chunk()?;
    let count = usize::from(count);
    if version != VERSION || count > limits::SEALS_MAX {
        return None;
    }
    let mut seals = Vec::with_capacity(count);
    for _ in 0..count {
        let token_id = take(&mut rest)?;
        let seal_key_id = take(&mut rest)?;
        let iv = take(&mut rest)?;
        let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if length > limits::SEAL_BYTES_MAX {
            return None;
        }
        let (sealed, after) = rest.split_at_checked(length)?;
        rest = after;
        seals.push(StoredSeal {
            token_id,
            seal_key_id,
            iv,
            sealed: sealed.to_vec(),
        });
    }
    rest.is_empty().then_some(seals)
}

/// How many tokens can open what this blob seals; 0 where it is not the encoding of any seals.
pub fn tokens(blob: &[u8]) -> usize {
    let Some(seals) = decode(blob) else { return 0 };
    let is_first = |at: usize| {
        let (before, from) = seals.split_at(at);
        from.first()
            .is_some_and(|seal| before.iter().all(|other| other.token_id != seal.token_id))
    };
    (0..seals.len()).filter(|at| is_first(*at)).count()
}

/// The longest blob.
pub const BYTES_MAX: usize = 2 + limits::SEALS_MAX * (FIXED_BYTES + limits::SEAL_BYTES_MAX);

const VERSION: u8 = 1;
/// Of one seal, all but the ciphertext.
const FIXED_BYTES: usize = 16 + 16 + 12 + 2;

const _: () = assert!(limits::SEALS_MAX <= u8::MAX as usize);
const _: () = assert!(limits::SEAL_BYTES_MAX <= u16::MAX as usize);

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seals() -> impl Strategy<Value = Vec<StoredSeal>> {
        let seal = (
            any::<[u8; 16]>(),
            any::<[u8; 16]>(),
            any::<[u8; 12]>(),
            proptest::collection::vec(any::<u8>(), 0..=limits::SEAL_BYTES_MAX),
        );
        let seal = seal.prop_map(|(token_id, seal_key_id, iv, sealed)| StoredSeal {
            token_id,
            seal_key_id,
            iv,
            sealed,
        });
        proptest::collection::vec(seal, 0..=limits::SEALS_MAX)
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_the_same_and_to_nothing_when_cut_or_grown(seals in seals()) {
            let blob = encode(&seals).unwrap();
            prop_assert!(blob.len() <= BYTES_MAX);
            prop_assert_eq!(decode(&blob), Some(seals));
            prop_assert_eq!(decode(&blob[..blob.len() - 1]), None);
            prop_assert_eq!(decode(&[&blob[..], &[0]].concat()), None);
        }

        #[test]
        fn whatever_decodes_encodes_back_to_itself(blob: Vec<u8>) {
            if let Some(seals) = decode(&blob) {
                prop_assert_eq!(encode(&seals), Some(blob));
            }
        }
    }

    #[test]
    fn one_seal_too_many_or_one_byte_too_many_has_no_blob() {
        let seal = |bytes| StoredSeal {
            token_id: [1; 16],
            seal_key_id: [2; 16],
            iv: [3; 12],
            sealed: vec![4; bytes],
        };
        assert_eq!(encode(&vec![seal(1); limits::SEALS_MAX + 1]), None);
        assert_eq!(encode(&[seal(limits::SEAL_BYTES_MAX + 1)]), None);
    }
}
