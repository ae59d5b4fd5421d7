//! The signature itself: GB/T 32918.2-2016 clause 6.1, A3 to A7, over a digest. For tests: nothing is
//! wiped, and the nonce is as random as the real module's numbers.

use cryptoki_sys::*;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::elliptic_curve::{Group, PrimeField};
use sm2::{FieldBytes, ProjectivePoint, Scalar};

use crate::sm2::{asked_of, attributes, ok};

/// r and s, by the real module's private value.
pub fn of(
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    digest: &[u8; 32],
) -> Result<[u8; 64], CK_RV> {
    let value = attributes::read(session, key, CKA_VALUE).ok_or(CKR_FUNCTION_FAILED)?;
    let d = scalar(&value).ok_or(CKR_FUNCTION_FAILED)?;
    let e = Scalar::reduce(&FieldBytes::from(*digest));
    let inverse = Option::<Scalar>::from((Scalar::ONE + d).invert()).ok_or(CKR_FUNCTION_FAILED)?;
    let (_, random) = asked_of(|list| list.C_GenerateRandom)?;
    loop {
        let mut nonce = [0; 32];
        // SAFETY: room for 32 bytes.
        ok(unsafe { random(session, nonce.as_mut_ptr(), 32) })?;
        let Some(k) = scalar(&nonce) else {
            continue;
        };
        let x1 = ProjectivePoint::mul_by_generator(&k).to_affine().x();
        let r = e + Scalar::reduce(&x1);
        let s = inverse * (k - r * d);
        let is_void = [k, r, s, r + k].iter().any(|n| n.is_zero().into());
        if !is_void {
            let mut signature = [0; 64];
            let (to_r, to_s) = signature.split_at_mut(32);
            to_r.copy_from_slice(&r.to_repr());
            to_s.copy_from_slice(&s.to_repr());
            return Ok(signature);
        }
    }
}

/// Big-endian, without leading zeros or with them; none if it is not below n.
fn scalar(bytes: &[u8]) -> Option<Scalar> {
    let mut whole = [0; 32];
    let at = whole.len().checked_sub(bytes.len())?;
    whole[at..].copy_from_slice(bytes);
    Scalar::from_repr(FieldBytes::from(whole)).into()
}
