//! Refusals and properties; known answers are files (`tests/vectors`), and `tests/oracles.rs` asks
//! a second implementation.

use super::{digest, reduce, sign_digest, sign_digest_with_nonce, verify_digest};
use crate::domain::sm2::{
    ID_DEFAULT, Id, KeyError, Mismatch, NonceRejected, PrivateKey, PublicKey, Signature, sign,
    sign_with_nonce, verify, verify_der,
};
use ::sm2::elliptic_curve::group::Group;
use ::sm2::elliptic_curve::ops::Reduce;
use ::sm2::elliptic_curve::point::AffineCoordinates;
use ::sm2::elliptic_curve::{Curve, PrimeField};
use ::sm2::{ProjectivePoint, Scalar, Sm2, U256};
use hmac::{KeyInit, Mac, SimpleHmac};
use proptest::prelude::*;
use sm3::Sm3;

fn key(byte: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[byte; 32]).unwrap()
}

/// n + `offset`, big-endian.
fn order(offset: i8) -> [u8; 32] {
    let distance = U256::from_u8(offset.unsigned_abs());
    let n = Sm2::ORDER.as_ref();
    let moved = if offset < 0 {
        n.wrapping_sub(&distance)
    } else {
        n.wrapping_add(&distance)
    };
    moved.to_be_bytes().into()
}

fn x_of(k: &Scalar) -> Scalar {
    Scalar::reduce(&ProjectivePoint::mul_by_generator(k).to_affine().x())
}

fn bytes(scalar: Scalar) -> [u8; 32] {
    scalar.to_repr().into()
}

#[test]
fn nonces_out_of_range_are_refused() {
    for nonce in [[0; 32], order(0), order(1), [0xFF; 32]] {
        let signed = sign_with_nonce(&key(7), ID_DEFAULT, b"m", &nonce);
        assert_eq!(signed, Err(NonceRejected));
    }
    for nonce in [order(-1), [1; 32]] {
        assert!(sign_with_nonce(&key(7), ID_DEFAULT, b"m", &nonce).is_ok());
    }
}

#[test]
fn a_nonce_that_makes_r_zero_is_refused() {
    let k = Scalar::from_u64(11);
    let e = bytes(-x_of(&k));
    assert_eq!(
        sign_digest_with_nonce(&key(7), &e, &bytes(k)),
        Err(NonceRejected)
    );
}

#[test]
fn a_nonce_that_makes_r_plus_k_the_order_is_refused() {
    let k = Scalar::from_u64(12);
    let e = bytes(-(x_of(&k) + k));
    assert_eq!(
        sign_digest_with_nonce(&key(7), &e, &bytes(k)),
        Err(NonceRejected)
    );
}

#[test]
fn a_nonce_that_makes_s_zero_is_refused() {
    // s = 0 where k = r·d, so d = k / r.
    let (k, e) = (Scalar::from_u64(13), [5; 32]);
    let r = reduce(&e) + x_of(&k);
    let d = k * r.invert().unwrap();
    let key = PrivateKey::from_bytes(&bytes(d)).unwrap();
    assert_eq!(
        sign_digest_with_nonce(&key, &e, &bytes(k)),
        Err(NonceRejected)
    );
}

#[test]
fn r_plus_s_of_zero_never_verifies() {
    // With t = 0 the key falls out, so e = r - x(s·G) would verify under every key.
    let s = Scalar::from_u64(14);
    let e = bytes(-s - x_of(&s));
    let raw = [bytes(-s), bytes(s)].concat();
    let signature = Signature::from_raw(&raw).unwrap();
    assert_eq!(
        verify_digest(key(7).public(), &e, &signature),
        Err(Mismatch)
    );
}

#[test]
fn private_keys_are_1_to_n_minus_2() {
    let mut one = [0; 32];
    one[31] = 1;
    for d in [one, order(-2)] {
        assert!(PrivateKey::from_bytes(&d).is_ok());
    }
    for d in [[0; 32], order(-1), order(0), order(1), [0xFF; 32]] {
        assert_eq!(PrivateKey::from_bytes(&d).err(), Some(KeyError::Range));
    }
}

#[test]
fn random_bytes_are_reduced_into_the_whole_range() {
    let from_low = |low: [u8; 32]| {
        let mut random = [0; 48];
        random[16..].copy_from_slice(&low);
        *PrivateKey::from_random(&random).to_bytes().expose_secret()
    };
    let mut one = [0; 32];
    one[31] = 1;
    assert_eq!(from_low([0; 32]), one);
    assert_eq!(from_low(order(-3)), order(-2));
    assert_eq!(from_low(order(-2)), one);
    // 2^384 - 1 mod (n - 2) + 1, by plain integers elsewhere.
    let highest = PrivateKey::from_random(&[0xFF; 48]);
    let expected = "8dfc20966c361b6a187a2760dea4e63fdea4e63f50a8c5aa726ecad5c62abedf";
    assert_eq!(hex::encode(highest.to_bytes().expose_secret()), expected);
}

#[test]
fn the_nonce_is_rfc_6979_over_hmac_sm3_with_the_entropy_as_additional_data() {
    let hmac = |key: &[u8], parts: &[&[u8]]| -> [u8; 32] {
        let mut mac = SimpleHmac::<Sm3>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let (private, entropy) = ([0x21; 32], [0x43; 32]);
    let key = PrivateKey::from_bytes(&private).unwrap();
    // Above n, so that bits2octets has to reduce it.
    let e = [0xFF; 32];
    let h = bytes(reduce(&e));
    // RFC 6979 §3.2 b to h, with §3.6.
    let (mut k, mut v) = ([0; 32], [1; 32]);
    for separator in [0u8, 1] {
        k = hmac(&k, &[&v, &[separator], &private, &h, &entropy]);
        v = hmac(&k, &[&v]);
    }
    let nonce = hmac(&k, &[&v]);
    let expected = sign_digest_with_nonce(&key, &e, &nonce).unwrap();
    assert_eq!(sign_digest(&key, &e, &entropy), expected);
}

#[test]
fn another_entropy_gives_another_signature_of_the_same_message() {
    let first = sign(&key(3), ID_DEFAULT, b"m", &[1; 32]);
    assert_eq!(first, sign(&key(3), ID_DEFAULT, b"m", &[1; 32]));
    assert_ne!(first, sign(&key(3), ID_DEFAULT, b"m", &[2; 32]));
}

#[test]
fn another_key_message_or_identity_does_not_verify() {
    let signed = sign(&key(3), ID_DEFAULT, b"m", &[1; 32]);
    assert!(verify(key(3).public(), ID_DEFAULT, b"m", &signed).is_ok());
    assert!(verify(key(4).public(), ID_DEFAULT, b"m", &signed).is_err());
    assert!(verify(key(3).public(), ID_DEFAULT, b"n", &signed).is_err());
    assert!(verify(key(3).public(), Id::new(b"").unwrap(), b"m", &signed).is_err());
}

#[test]
fn an_identity_is_at_most_8191_bytes() {
    assert!(Id::new(&[0; 8191]).is_ok());
    assert!(Id::new(&[0; 8192]).is_err());
}

#[test]
fn the_identity_is_bound_with_its_length() {
    let public = *key(3).public();
    let ids = [&b""[..], b"\0", b"1234567812345678", &[0; 8191]];
    let digests: Vec<_> = ids
        .iter()
        .map(|id| digest(&public, Id::new(id).unwrap(), b""))
        .collect();
    for (n, one) in digests.iter().enumerate() {
        assert!(digests[n + 1..].iter().all(|other| other != one));
    }
}

#[test]
fn only_canonical_der_with_r_and_s_in_range_is_a_signature() {
    let integer = |value: &[u8]| {
        let mut der = vec![2, u8::try_from(value.len()).unwrap()];
        der.extend_from_slice(value);
        der
    };
    let pair = |r: &[u8], s: &[u8]| {
        let body = [integer(r), integer(s)].concat();
        [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
    };
    let positive = |value: [u8; 32]| [&[0][..], &value].concat();
    assert!(Signature::from_der(&pair(&[1], &[0x7F])).is_ok());
    assert!(Signature::from_der(&pair(&positive(order(-1)), &[1])).is_ok());

    let good = pair(&[1], &[2]);
    let mut refused = vec![
        vec![],
        pair(&[0], &[1]),
        pair(&[1], &[0]),
        pair(&positive(order(0)), &[1]),
        pair(&[1], &positive(order(0))),
        pair(&[1], &[0x80]),
        pair(&[1], &[0, 1]),
        pair(&[1], &[]),
        pair(&[1], &[&[1][..], &[0; 32]].concat()),
        [&good[..], &[0]].concat(),
        good[..good.len() - 1].to_vec(),
        vec![0x30, 0x81, 6, 2, 1, 1, 2, 1, 2],
        vec![0x30, 0x80, 2, 1, 1, 2, 1, 2, 0, 0],
        vec![0x30, 9, 2, 1, 1, 2, 1, 2, 2, 1, 3],
        vec![0x30, 3, 2, 1, 1],
        vec![0x31, 6, 2, 1, 1, 2, 1, 2],
        vec![0x30, 6, 2, 1, 1, 4, 1, 2],
        vec![0x30, 7, 2, 0x81, 1, 1, 2, 1, 2],
    ];
    refused.push(Signature::from_der(&good).unwrap().to_raw().to_vec());
    for der in refused {
        assert!(Signature::from_der(&der).is_err(), "{}", hex::encode(der));
    }
}

#[test]
fn raw_signatures_are_64_bytes_in_range() {
    assert!(Signature::from_raw(&[1; 64]).is_ok());
    for raw in [&[1; 63][..], &[1; 65], &[0; 64], &[0xFF; 64], &[]] {
        assert!(Signature::from_raw(raw).is_err());
    }
}

#[test]
fn points_off_the_curve_and_compressed_points_are_refused() {
    let good = *key(3).public();
    assert_eq!(PublicKey::from_bytes(&good.to_sec1()), Ok(good));
    assert_eq!(PublicKey::from_bytes(&good.to_bytes()), Ok(good));
    let mut off = good.to_bytes();
    off[63] ^= 1;
    let mut compressed = [2; 33];
    compressed[1..].copy_from_slice(&good.to_bytes()[..32]);
    let mut hybrid = good.to_sec1();
    hybrid[0] = 6;
    for bad in [
        &off[..],
        &compressed,
        &hybrid,
        &[0; 64],
        &[0],
        &[0xFF; 64],
        &[],
        &off[..63],
    ] {
        assert_eq!(PublicKey::from_bytes(bad), Err(KeyError::Point));
    }
}

/// Where `part` begins in `whole`.
fn find(whole: &[u8], part: &[u8]) -> usize {
    whole
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

#[test]
fn keys_survive_their_der_forms_and_nothing_else_does() {
    let key = key(3);
    let pkcs8 = key.to_pkcs8().unwrap();
    let again = PrivateKey::from_pkcs8(pkcs8.expose_secret()).unwrap();
    assert_eq!(
        again.to_bytes().expose_secret(),
        key.to_bytes().expose_secret()
    );
    let spki = key.public().to_spki();
    assert_eq!(spki.len(), 91);
    assert_eq!(PublicKey::from_spki(&spki).as_ref(), Ok(key.public()));

    // One bit in the curve's identifier, and one in the public key that PKCS #8 carries.
    let curve_oid = [0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];
    let changed = |der: &[u8], at: usize| {
        let mut changed = der.to_vec();
        changed[at] ^= 1;
        changed
    };
    let private = pkcs8.expose_secret();
    let other_curve = changed(private, find(private, &curve_oid) + 7);
    assert_eq!(
        PrivateKey::from_pkcs8(&other_curve).err(),
        Some(KeyError::Algorithm)
    );
    let other_half = changed(private, private.len() - 1);
    assert_eq!(
        PrivateKey::from_pkcs8(&other_half).err(),
        Some(KeyError::Encoding)
    );
    let trailing = [private, &[0][..]].concat();
    assert_eq!(
        PrivateKey::from_pkcs8(&trailing).err(),
        Some(KeyError::Encoding)
    );

    let other_curve = changed(&spki, find(&spki, &curve_oid) + 7);
    assert_eq!(PublicKey::from_spki(&other_curve), Err(KeyError::Algorithm));
    let trailing = [&spki[..], &[0]].concat();
    assert_eq!(PublicKey::from_spki(&trailing), Err(KeyError::Encoding));
    let off = changed(&spki, 90);
    assert_eq!(PublicKey::from_spki(&off), Err(KeyError::Point));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_signed_verifies_until_a_bit_changes(
        random in any::<[[u8; 16]; 3]>(),
        entropy in any::<[u8; 32]>(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        bit in 0usize..512,
    ) {
        let key = PrivateKey::from_random(random.as_flattened().try_into().unwrap());
        let signed = sign(&key, ID_DEFAULT, &message, &entropy);
        let der = signed.to_der();
        prop_assert!(verify_der(key.public(), ID_DEFAULT, &message, &der).is_ok());
        prop_assert_eq!(Signature::from_der(&der), Ok(signed));
        let mut raw = signed.to_raw();
        prop_assert_eq!(Signature::from_raw(&raw), Ok(signed));
        raw[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Signature::from_raw(&raw) {
            prop_assert!(verify(key.public(), ID_DEFAULT, &message, &changed).is_err());
        }
    }

    #[test]
    fn decoders_never_panic_and_what_they_accept_is_canonical(
        mut der in prop::collection::vec(any::<u8>(), 0..80),
        spki_at in 0usize..91, spki_byte in any::<u8>(),
    ) {
        if let Some(first) = der.first_mut() { *first = 0x30; }
        if let Ok(signature) = Signature::from_der(&der) {
            prop_assert_eq!(signature.to_der(), der.clone());
        }
        let _ = PrivateKey::from_pkcs8(&der);
        let mut spki = key(3).public().to_spki();
        spki[spki_at] = spki_byte;
        if let Ok(public) = PublicKey::from_spki(&spki) {
            prop_assert_eq!(public.to_spki(), spki);
        }
    }
}
