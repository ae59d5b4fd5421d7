//! SM3 and the SM4 block cipher.

use crate::case::{Answer, Op};
use pintle::domain::cipher::{BlockCipher, Sm4};
use sm3::{Digest, Sm3};

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("sm3", &["data"], |case| {
        Ok(Answer::bytes("digest", &Sm3::digest(case.bytes("data")?)))
    }),
    Op::new("sm4_ecb_encrypt", &["key", "plaintext"], |case| {
        let Ok(sm4) = Sm4::new(&case.bytes("key")?) else {
            return Ok(Answer::Refused);
        };
        let mut data = case.bytes("plaintext")?;
        let (blocks, rest) = data.as_chunks_mut::<16>();
        if !rest.is_empty() {
            return Ok(Answer::Refused);
        }
        let Ok(()) = sm4.encrypt_blocks(blocks);
        Ok(Answer::bytes("ciphertext", &data))
    }),
];
