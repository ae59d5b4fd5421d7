//! Keys and signatures that are refused; published answers are files (`tests/vectors`).

use crate::domain::rsa::{
    Hash, KeyError, Mismatch, PublicKey, pkcs8_public, verify, verify_with_weak_modulus,
};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

const E: &[u8] = &[1, 0, 1];

fn modulus(bits: usize) -> Vec<u8> {
    let mut n = vec![0xA5; bits.div_ceil(8)];
    n[0] = 1 << ((bits - 1) % 8);
    n
}

fn signed(message: &[u8]) -> (PublicKey, Vec<u8>) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message,
        &mut signature,
    )
    .unwrap();
    let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key());
    let key = PublicKey::from_spki(spki.unwrap().as_ref()).unwrap();
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    assert_eq!(pkcs8_public(pkcs8.as_ref()), Ok(key.clone()));
    (key, signature)
}

#[test]
fn a_signature_verifies_under_its_own_hash_and_message_only() {
    let (key, signature) = signed(b"m");
    assert_eq!(signature.len(), key.modulus_bytes());
    assert_eq!(verify(&key, Hash::Sha256, b"m", &signature), Ok(()));
    assert_eq!(verify(&key, Hash::Sha1, b"m", &signature), Err(Mismatch));
    assert_eq!(verify(&key, Hash::Sha256, b"n", &signature), Err(Mismatch));
    for bad in [
        &signature[1..],
        &[&signature[..], &[0]].concat(),
        &[],
        &vec![0; 256],
    ] {
        assert_eq!(verify(&key, Hash::Sha256, b"m", bad), Err(Mismatch));
    }
}

#[test]
fn keys_survive_their_der_form_and_nothing_else_does() {
    let (key, _) = signed(b"");
    let spki = key.to_spki();
    assert_eq!(PublicKey::from_spki(&spki), Ok(key.clone()));
    assert_eq!((key.modulus_bits(), key.e()), (2048, E));
    let trailing = [&spki[..], &[0]].concat();
    assert_eq!(PublicKey::from_spki(&trailing), Err(KeyError::Encoding));
    assert_eq!(
        PublicKey::from_spki(&spki[..spki.len() - 1]),
        Err(KeyError::Encoding)
    );
    let mut pss = spki;
    // rsaEncryption …1.1.1 becomes id-RSASSA-PSS …1.1.10.
    let oid = pss
        .windows(3)
        .position(|window| window == [0x01, 0x01, 0x01])
        .unwrap();
    pss[oid + 2] = 10;
    assert_eq!(PublicKey::from_spki(&pss), Err(KeyError::Algorithm));
    assert_eq!(pkcs8_public(b"0"), Err(KeyError::Encoding));
}

#[test]
fn moduli_are_of_1024_to_8192_bits_and_odd() {
    for (bits, accepted) in [
        (1023, false),
        (1024, true),
        (2047, true),
        (8192, true),
        (8193, false),
    ] {
        let key = PublicKey::new(&modulus(bits), E);
        assert_eq!(key.is_ok(), accepted, "{bits}");
        if let Ok(key) = key {
            assert_eq!(key.modulus_bits(), bits);
        }
    }
    let mut even = modulus(2048);
    even[255] = 2;
    assert_eq!(PublicKey::new(&even, E), Err(KeyError::Number));
    assert_eq!(PublicKey::new(&[], E), Err(KeyError::ModulusLength));
    let padded = [vec![0], modulus(2048)].concat();
    assert_eq!(
        PublicKey::new(&padded, E),
        PublicKey::new(&modulus(2048), &[0, 1, 0, 1])
    );
}

#[test]
fn exponents_are_odd_more_than_1_and_at_most_33_bits() {
    for (e, accepted) in [
        (&[3][..], true),
        (&[1, 0, 0, 0, 1], true),
        (&[2, 0, 0, 0, 1], false),
        (&[1], false),
        (&[2], false),
        (&[], false),
    ] {
        assert_eq!(PublicKey::new(&modulus(2048), e).is_ok(), accepted, "{e:?}");
    }
}

#[test]
fn rsa2_never_verifies_under_2048_bits() {
    let key = PublicKey::new(&modulus(1024), E).unwrap();
    // Not a signature at all, so both refuse; that the first refuses every one is what
    // modulus_bits_min says, and the vectors have 1024-bit signatures that the second accepts.
    assert_eq!(verify(&key, Hash::Sha256, b"", &[1; 128]), Err(Mismatch));
    assert_eq!(
        verify_with_weak_modulus(&key, Hash::Sha256, b"", &[1; 128]),
        Err(Mismatch)
    );
    assert_eq!(Hash::Sha256.modulus_bits_min(), 2048);
    assert_eq!(Hash::Sha1.modulus_bits_min(), 1024);
}
