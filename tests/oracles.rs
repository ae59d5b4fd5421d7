//! The openssl command line as a second implementation: what we compute it recomputes, what we
//! sign it verifies and the other way round, on pseudo-random inputs. Known answers are files
//! (`tests/vectors`); PIN block layouts, which openssl does not know, are there too.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use pintle::domain::cipher::{Aes, BlockCipher, Sm4, Tdes};
use pintle::domain::mac::{MacKey, Padding, Rule, Scheme, generate, pad};
use pintle::domain::{rsa, sm2};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

/// Inputs per algorithm.
const INPUTS: usize = 200;

struct Inputs(ChaCha20Rng);

impl Inputs {
    /// The same inputs in every run.
    fn seeded(seed: u8) -> Self {
        Self(ChaCha20Rng::from_seed([seed; 32]))
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// From `least` to `most`.
    fn between(&mut self, least: usize, most: usize) -> usize {
        least + usize::try_from(self.0.next_u32()).unwrap() % (most - least + 1)
    }
}

/// Runs openssl with `input` on its standard input; `None` where it says no.
fn openssl(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is on every machine that runs these tests");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// What openssl enciphers, without padding; the IV is zero where the mode has one.
fn enciphered(mode: &str, key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = hex::encode(key);
    let mut arguments = vec!["enc", mode, "-K", &key, "-nopad"];
    let iv = if mode.starts_with("-des") {
        "0".repeat(16)
    } else {
        "0".repeat(32)
    };
    if mode.ends_with("cbc") {
        arguments.extend(["-iv", &iv]);
    }
    openssl(&arguments, data).expect("openssl enc")
}

fn mac(arguments: &[&str], key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = format!("hexkey:{}", hex::encode(key));
    let arguments = [&["mac", "-binary", "-macopt", &key][..], arguments].concat();
    openssl(&arguments, data).expect("openssl mac")
}

fn ours(scheme: Scheme, padding: Option<Padding>, key: &[u8], data: &[u8]) -> Vec<u8> {
    let (_, longest) = scheme.lengths();
    let rule = Rule::new(scheme, padding, u8::try_from(longest).unwrap()).unwrap();
    let key = MacKey::new(scheme, key).unwrap();
    generate(&key, &rule, data).unwrap().as_bytes().to_vec()
}

/// Every block is an input: they go to openssl in one stream per key.
fn compare_blocks<const N: usize, C: BlockCipher<N>>(
    mode: &str,
    key: &[u8],
    cipher: &C,
    inputs: &mut Inputs,
) where
    C::Error: std::fmt::Debug,
{
    let plain: Vec<[u8; N]> = (0..INPUTS).map(|_| inputs.array()).collect();
    let mut blocks = plain.clone();
    cipher.encrypt_blocks(&mut blocks).unwrap();
    let theirs = enciphered(mode, key, plain.as_flattened());
    assert_eq!(blocks.as_flattened(), theirs, "{mode}");
    cipher.decrypt_blocks(&mut blocks).unwrap();
    assert_eq!(blocks, plain, "{mode}");
}

#[test]
fn block_ciphers_agree_with_openssl() {
    let inputs = &mut Inputs::seeded(1);
    for _ in 0..3 {
        for (length, mode) in [(16, "-des-ede"), (24, "-des-ede3")] {
            let key = inputs.bytes(length);
            compare_blocks(mode, &key, &Tdes::new(&key).unwrap(), inputs);
        }
        for (length, mode) in [
            (16, "-aes-128-ecb"),
            (24, "-aes-192-ecb"),
            (32, "-aes-256-ecb"),
        ] {
            let key = inputs.bytes(length);
            compare_blocks(mode, &key, &Aes::new(&key).unwrap(), inputs);
        }
        let key = inputs.bytes(16);
        compare_blocks("-sm4-ecb", &key, &Sm4::new(&key).unwrap(), inputs);
    }
}

#[test]
fn cmac_agrees_with_openssl() {
    let inputs = &mut Inputs::seeded(2);
    for (scheme, length, cipher) in [
        (Scheme::CmacAes, 16, "cipher:AES-128-CBC"),
        (Scheme::CmacAes, 24, "cipher:AES-192-CBC"),
        (Scheme::CmacAes, 32, "cipher:AES-256-CBC"),
        (Scheme::CmacTdes, 24, "cipher:DES-EDE3-CBC"),
    ] {
        let count = if scheme == Scheme::CmacAes {
            INPUTS / 3 + 1
        } else {
            INPUTS
        };
        for _ in 0..count {
            let (key, size) = (inputs.bytes(length), inputs.between(0, 100));
            let data = inputs.bytes(size);
            let theirs = mac(&["-macopt", cipher, "CMAC"], &key, &data);
            assert_eq!(ours(scheme, None, &key, &data), theirs, "{cipher} {size}");
        }
    }
}

#[test]
fn hmac_agrees_with_openssl() {
    let inputs = &mut Inputs::seeded(3);
    for _ in 0..INPUTS {
        let (length, size) = (inputs.between(16, 64), inputs.between(0, 300));
        let (key, data) = (inputs.bytes(length), inputs.bytes(size));
        let theirs = mac(&["-digest", "SHA256", "HMAC"], &key, &data);
        assert_eq!(
            ours(Scheme::HmacSha256, None, &key, &data),
            theirs,
            "{length} {size}"
        );
    }
}

#[test]
fn cbc_macs_agree_with_openssl() {
    let inputs = &mut Inputs::seeded(4);
    for (scheme, length, mode, block) in [
        (Scheme::Iso9797Alg1Tdes, 16, "-des-ede-cbc", 8),
        (Scheme::Iso9797Alg1Tdes, 24, "-des-ede3-cbc", 8),
        (Scheme::Iso9797Alg1Sm4, 16, "-sm4-cbc", 16),
    ] {
        let count = if block == 8 { INPUTS / 2 } else { INPUTS };
        for turn in 0..count {
            let padding = [Padding::Method1, Padding::Method2, Padding::Method3][turn % 3];
            let (key, size) = (inputs.bytes(length), inputs.between(1, 100));
            let data = inputs.bytes(size);
            let chained = enciphered(mode, &key, &pad(padding, block, &data).unwrap());
            let theirs = &chained[chained.len() - block..];
            assert_eq!(
                ours(scheme, Some(padding), &key, &data),
                theirs,
                "{mode} {size}"
            );
        }
    }
}

#[test]
fn retail_macs_agree_with_openssl() {
    // openssl has single DES as TDES with K, K and K; the last block is TDES with K and K'.
    let inputs = &mut Inputs::seeded(5);
    for turn in 0..INPUTS {
        let padding = [Padding::Method1, Padding::Method2, Padding::Method3][turn % 3];
        let (key, size) = (inputs.bytes(16), inputs.between(1, 100));
        let data = inputs.bytes(size);
        let padded = pad(padding, 8, &data).unwrap();
        let (head, tail) = padded.split_at(padded.len() - 8);
        let mut last = tail.to_vec();
        if !head.is_empty() {
            let chained = enciphered("-des-ede3-cbc", &key[..8].repeat(3), head);
            let state = &chained[chained.len() - 8..];
            last.iter_mut()
                .zip(state)
                .for_each(|(byte, state)| *byte ^= state);
        }
        let theirs = enciphered("-des-ede", &key, &last);
        let ours = ours(Scheme::Iso9797Alg3Des, Some(padding), &key, &data);
        assert_eq!(ours, theirs, "{padding:?} {size}");
    }
}

/// Writes a file and gives its path as an argument.
fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A new private key in PKCS #8. What `genpkey` itself writes in DER is the older form.
fn key_pair(arguments: &[&str]) -> Vec<u8> {
    let pem = openssl(&[&["genpkey"][..], arguments].concat(), b"").unwrap();
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem).unwrap()
}

/// `openssl pkeyutl` over a message under an identity.
fn sm2_arguments<'a>(key: &'a str, message: &'a str, id: &'a str) -> Vec<&'a str> {
    let rest = [
        "-keyform", "DER", "-rawin", "-digest", "sm3", "-pkeyopt", id,
    ];
    [&["pkeyutl", "-inkey", key, "-in", message][..], &rest].concat()
}

fn distid(inputs: &mut Inputs, turn: usize) -> (Vec<u8>, String) {
    let id = if turn.is_multiple_of(2) {
        b"1234567812345678".to_vec()
    } else {
        inputs.bytes(1 + turn % 40)
    };
    let option = format!("hexdistid:{}", hex::encode(&id));
    (id, option)
}

#[test]
fn openssl_verifies_what_we_sign_with_sm2_until_a_bit_changes() {
    let (inputs, folder) = (&mut Inputs::seeded(6), TempDir::new().unwrap());
    for turn in 0..INPUTS {
        let key = sm2::PrivateKey::from_random(&inputs.array());
        let public = file(&folder, "public", &key.public().to_spki());
        let (id, option) = distid(inputs, turn);
        let size = inputs.between(1, 300);
        let text = inputs.bytes(size);
        let signed = sm2::sign(&key, sm2::Id::new(&id).unwrap(), &text, &inputs.array()).to_der();
        let message = file(&folder, "message", &text);
        let signature = file(&folder, "signature", &signed);
        let mut arguments = sm2_arguments(&public, &message, &option);
        arguments.extend(["-verify", "-pubin", "-sigfile", &signature]);
        assert!(openssl(&arguments, b"").is_some(), "turn {turn}");
        if turn.is_multiple_of(20) {
            let mut changed = text.clone();
            changed[0] ^= 1;
            file(&folder, "message", &changed);
            assert!(openssl(&arguments, b"").is_none(), "turn {turn}");
        }
    }
}

#[test]
fn we_verify_what_openssl_signs_with_sm2_and_read_its_keys() {
    let (inputs, folder) = (&mut Inputs::seeded(7), TempDir::new().unwrap());
    let make_key = || key_pair(&["-algorithm", "SM2"]);
    let mut pkcs8 = make_key();
    for turn in 0..INPUTS {
        if turn.is_multiple_of(20) {
            pkcs8 = make_key();
        }
        let key = sm2::PrivateKey::from_pkcs8(&pkcs8).unwrap();
        let spki = openssl(
            &["pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
            &pkcs8,
        );
        if turn.is_multiple_of(20) {
            assert_eq!(
                sm2::PublicKey::from_spki(&spki.unwrap()).unwrap(),
                *key.public()
            );
        }
        // Every other time openssl signs with our PKCS #8 form of its own key.
        let ours = key.to_pkcs8().unwrap();
        let form = if turn.is_multiple_of(2) {
            ours.expose_secret()
        } else {
            &pkcs8
        };
        let private = file(&folder, "private", form);
        let (id, option) = distid(inputs, turn);
        let size = inputs.between(1, 300);
        let text = inputs.bytes(size);
        let message = file(&folder, "message", &text);
        let mut arguments = sm2_arguments(&private, &message, &option);
        arguments.push("-sign");
        let signature = openssl(&arguments, b"").unwrap();
        let id = sm2::Id::new(&id).unwrap();
        assert_eq!(
            sm2::verify_der(key.public(), id, &text, &signature),
            Ok(()),
            "turn {turn}"
        );
        let another = sm2::Id::new(b"ALICE123@YAHOO.COM").unwrap();
        let refused = sm2::verify_der(key.public(), another, &text, &signature);
        assert_eq!(refused, Err(sm2::Mismatch), "turn {turn}");
    }
}

#[test]
fn we_verify_what_openssl_signs_with_rsa_and_read_its_keys() {
    let (inputs, folder) = (&mut Inputs::seeded(8), TempDir::new().unwrap());
    for (bits, hash, name) in [
        ("2048", rsa::Hash::Sha256, "-sha256"),
        ("1024", rsa::Hash::Sha1, "-sha1"),
        ("3072", rsa::Hash::Sha256, "-sha256"),
    ] {
        let option = format!("rsa_keygen_bits:{bits}");
        let pkcs8 = key_pair(&["-algorithm", "RSA", "-pkeyopt", &option]);
        let arguments = ["pkey", "-inform", "DER", "-pubout", "-outform", "DER"];
        let spki = openssl(&arguments, &pkcs8).unwrap();
        let key = rsa::PublicKey::from_spki(&spki).unwrap();
        assert_eq!(
            (key.to_spki(), key.modulus_bits().to_string()),
            (spki, bits.to_owned())
        );
        assert_eq!(rsa::pkcs8_public(&pkcs8), Ok(key.clone()));
        let private = file(&folder, "private", &pkcs8);
        for turn in 0..20 {
            let text = inputs.bytes(turn * 7);
            let arguments = ["dgst", name, "-keyform", "DER", "-sign", &private];
            let mut signature = openssl(&arguments, &text).unwrap();
            assert_eq!(rsa::verify(&key, hash, &text, &signature), Ok(()));
            signature[turn] ^= 1;
            assert_eq!(
                rsa::verify(&key, hash, &text, &signature),
                Err(rsa::Mismatch)
            );
        }
    }
}
