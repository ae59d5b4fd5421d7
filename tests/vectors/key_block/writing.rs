//! The four versions written out plainly, block by block, on the library's ciphers: a second
//! opinion on what the library writes, and the only writer of A and C. For tests.

use std::convert::Infallible;

use pintle::domain::cipher::{Aes, BlockCipher, Tdes};
use pintle::domain::key_block::{BlockKeys, Header, Version};
use pintle::domain::mac::{Padding, cmac, iso9797};

/// A block with exactly this padding; the header gets its length and nothing else.
pub fn write(kbpk: &[u8], header: &Header, key: &[u8], padding: &[u8]) -> Result<String, String> {
    let version = header.version;
    let keys = BlockKeys::from_kbpk(version, kbpk).map_err(|error| error.to_string())?;
    let (kbek, kbak) = (keys.expose_kbek(), keys.expose_kbak());
    let bits = u16::try_from(8 * key.len()).map_err(|_| "the key is too long")?;
    let payload = [&bits.to_be_bytes(), key, padding].concat();
    if !payload.len().is_multiple_of(version.block_bytes()) {
        return Err("the padding does not fill a block".to_owned());
    }
    let length = header.chars() + 2 * (payload.len() + version.mac_bytes());
    let head = header.encode(length).map_err(|fault| fault.to_string())?;
    let error = |_| "a key".to_owned();
    let (ciphertext, mac) = match version {
        Version::A | Version::C => {
            let iv = &head.as_bytes()[..8];
            let ciphertext = chain(&Tdes::new(kbek).map_err(error)?, iv, &payload);
            let message = [head.as_bytes(), &ciphertext].concat();
            let kbak = Tdes::new(kbak).map_err(error)?;
            let Ok(mac) = iso9797::algorithm_1(&kbak, Padding::Method1, &message);
            (ciphertext, mac[..4].to_vec())
        }
        Version::B => {
            let (kbek, kbak) = (
                Tdes::new(kbek).map_err(error)?,
                Tdes::new(kbak).map_err(error)?,
            );
            derived(&kbek, &kbak, &head, &payload)
        }
        Version::D => {
            let (kbek, kbak) = (
                Aes::new(kbek).map_err(error)?,
                Aes::new(kbak).map_err(error)?,
            );
            derived(&kbek, &kbak, &head, &payload)
        }
    };
    Ok(head + &hex::encode_upper(ciphertext) + &hex::encode_upper(mac))
}

fn derived<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    kbek: &C,
    kbak: &C,
    head: &str,
    payload: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let Ok(subkeys) = cmac::Subkeys::derive(kbak);
    let Ok(mac) = cmac::tag(kbak, &subkeys, &[head.as_bytes(), payload].concat());
    (chain(kbek, &mac, payload), mac.to_vec())
}

fn chain<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    cipher: &C,
    iv: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut previous = iv.to_vec();
    let mut ciphertext = Vec::new();
    for block in payload.chunks(N) {
        let mut state: [u8; N] = std::array::from_fn(|i| block.get(i).unwrap_or(&0) ^ previous[i]);
        let Ok(()) = cipher.encrypt_block(&mut state);
        previous = state.to_vec();
        ciphertext.extend_from_slice(&state);
    }
    ciphertext
}
