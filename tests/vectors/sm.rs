//! SM3. SM4 is in `data` and `mac`, SM2 in `signature` and `encryption`.

use crate::case::{Answer, Op};
use sm3::{Digest, Sm3};

/// What runs.
pub const OPS: &[Op] = &[Op::new("sm3", &["data"], |case| {
    Ok(Answer::bytes("digest", &Sm3::digest(case.bytes("data")?)))
})];
