//! Claims about MACs that need no known answer: what is refused, and agreement with a second
//! implementation or another construction. Known answers are files, run by `tests/vectors`.

use ::cmac::{Cmac, KeyInit, Mac};

use crate::domain::cipher::{BlockCipher, Des, Tdes};
use crate::domain::mac::{
    MacError, MacKey, Padding, Rule, RuleError, Scheme, VerifyError, generate, iso9797, pad, verify,
};

const PADDINGS: [Padding; 3] = [Padding::Method1, Padding::Method2, Padding::Method3];

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    let mut state = seed;
    let step = || {
        state = state.wrapping_mul(141).wrapping_add(59);
        state
    };
    core::iter::repeat_with(step).take(length).collect()
}

fn full_rule(scheme: Scheme) -> Rule {
    let padding = scheme.needs_padding().then_some(Padding::Method2);
    Rule::new(scheme, padding, u8::try_from(scheme.lengths().1).unwrap()).unwrap()
}

fn tag(scheme: Scheme, key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = MacKey::new(scheme, key).unwrap();
    generate(&key, &full_rule(scheme), message)
        .unwrap()
        .as_bytes()
        .to_vec()
}

#[test]
fn a_rule_has_a_length_of_its_scheme() {
    for scheme in Scheme::ALL {
        let padding = scheme.needs_padding().then_some(Padding::Method2);
        for length in 0..=u8::MAX {
            let expected = match scheme {
                Scheme::Iso9797Alg1Tdes | Scheme::Iso9797Alg3Des | Scheme::CmacTdes => 4..=8,
                Scheme::Iso9797Alg1Sm4 | Scheme::CmacAes => 4..=16,
                Scheme::HmacSha256 => 8..=32,
            };
            let rule = Rule::new(scheme, padding, length);
            assert_eq!(
                rule.is_ok(),
                expected.contains(&length),
                "{scheme:?} {length}"
            );
        }
    }
}

#[test]
fn a_rule_has_a_padding_exactly_where_its_scheme_needs_one() {
    for scheme in Scheme::ALL {
        for padding in [None, Some(Padding::Method1), Some(Padding::Method2)] {
            let iso9797 = matches!(
                scheme,
                Scheme::Iso9797Alg1Tdes | Scheme::Iso9797Alg1Sm4 | Scheme::Iso9797Alg3Des
            );
            let expected = if iso9797 == padding.is_some() {
                Ok(())
            } else {
                Err(RuleError::Padding)
            };
            assert_eq!(Rule::new(scheme, padding, 8).map(|_| ()), expected);
        }
    }
}

#[test]
fn a_key_has_a_length_of_its_scheme() {
    for scheme in Scheme::ALL {
        for length in 0..=80 {
            let expected = match scheme {
                Scheme::Iso9797Alg1Tdes | Scheme::CmacTdes => length == 16 || length == 24,
                Scheme::Iso9797Alg1Sm4 | Scheme::Iso9797Alg3Des => length == 16,
                Scheme::CmacAes => [16, 24, 32].contains(&length),
                Scheme::HmacSha256 => (16..=64).contains(&length),
            };
            let key = MacKey::new(scheme, &bytes(length, 1));
            assert_eq!(key.is_ok(), expected, "{scheme:?} {length}");
            if let Ok(key) = key {
                assert_eq!(key.scheme(), scheme);
            }
        }
    }
}

#[test]
fn an_empty_message_is_refused_under_padding_method_1_alone() {
    let scheme = Scheme::Iso9797Alg3Des;
    let key = MacKey::new(scheme, &bytes(16, 1)).unwrap();
    for padding in PADDINGS {
        let rule = Rule::new(scheme, Some(padding), 8).unwrap();
        let refused = padding == Padding::Method1;
        assert_eq!(
            generate(&key, &rule, b"").err(),
            refused.then_some(MacError::EmptyMessage)
        );
        let verified = verify(&key, &rule, b"", &[0; 8]);
        let expected = if refused {
            VerifyError::EmptyMessage
        } else {
            VerifyError::Mismatch
        };
        assert_eq!(verified, Err(expected));
    }
}

#[test]
fn a_key_of_another_scheme_than_the_rule_is_refused() {
    for of_key in Scheme::ALL {
        let key = MacKey::new(of_key, &bytes(16, 1)).unwrap();
        for of_rule in Scheme::ALL {
            let made = generate(&key, &full_rule(of_rule), b"message").err();
            assert_eq!(
                made,
                (of_key != of_rule).then_some(MacError::SchemeMismatch)
            );
        }
    }
}

#[test]
fn a_mac_is_accepted_at_the_length_of_its_rule_alone() {
    for scheme in Scheme::ALL {
        let key = MacKey::new(scheme, &bytes(16, 7)).unwrap();
        let (shortest, longest) = scheme.lengths();
        let full = tag(scheme, &bytes(16, 7), b"message");
        for length in shortest..=longest {
            let rule = Rule {
                length: u8::try_from(length).unwrap(),
                ..full_rule(scheme)
            };
            assert_eq!(
                generate(&key, &rule, b"message").unwrap().as_bytes(),
                &full[..length]
            );
            for given in 0..=full.len() {
                let expected = if given == length {
                    Ok(())
                } else {
                    Err(VerifyError::WrongLength)
                };
                assert_eq!(verify(&key, &rule, b"message", &full[..given]), expected);
            }
        }
    }
}

#[test]
fn algorithm_1_is_the_last_block_of_cbc_over_the_padded_message() {
    let tdes = Tdes::new(&bytes(24, 3)).unwrap();
    for padding in PADDINGS {
        for length in 0..=40 {
            let message = bytes(length, 5);
            let mut state = [0u8; 8];
            for block in pad(padding, 8, &message).unwrap().chunks(8) {
                state
                    .iter_mut()
                    .zip(block)
                    .for_each(|(state, byte)| *state ^= byte);
                let Ok(()) = tdes.encrypt_block(&mut state);
            }
            let Ok(tag) = iso9797::algorithm_1(&tdes, padding, &message);
            assert_eq!(tag, state);
        }
    }
}

#[test]
fn algorithm_3_of_one_block_is_two_key_tdes_of_it() {
    let key = bytes(16, 11);
    let (k, k_prime) = (Des::new(&key[..8]).unwrap(), Des::new(&key[8..]).unwrap());
    let mut block = [0xA7; 8];
    let Ok(tag) = iso9797::algorithm_3(&k, &k_prime, Padding::Method1, &block);
    let Ok(()) = Tdes::new(&key).unwrap().encrypt_block(&mut block);
    assert_eq!(tag, block);
}

#[test]
fn algorithm_3_with_two_equal_keys_is_algorithm_1() {
    let key = bytes(8, 11);
    let k = Des::new(&key).unwrap();
    for length in 1..=40 {
        let message = bytes(length, 13);
        assert_eq!(
            iso9797::algorithm_3(&k, &k, Padding::Method2, &message),
            iso9797::algorithm_1(&k, Padding::Method2, &message),
        );
    }
}

#[test]
fn cmac_agrees_with_another_implementation() {
    for length in 0..=70 {
        let message = bytes(length, 17);
        let key = bytes(32, 19);
        let mut aes = Cmac::<::aes::Aes256>::new_from_slice(&key).unwrap();
        aes.update(&message);
        assert_eq!(
            tag(Scheme::CmacAes, &key, &message),
            aes.finalize().into_bytes()[..]
        );
        let mut tdes = Cmac::<::des::TdesEde3>::new_from_slice(&key[..24]).unwrap();
        tdes.update(&message);
        assert_eq!(
            tag(Scheme::CmacTdes, &key[..24], &message),
            tdes.finalize().into_bytes()[..]
        );
    }
}

#[test]
fn hmac_agrees_with_another_implementation_at_every_key_length() {
    let rule = full_rule(Scheme::HmacSha256);
    for length in 0..=140 {
        let key = bytes(length, 23);
        let other = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let other = aws_lc_rs::hmac::sign(&other, b"message");
        let made = generate(&MacKey::hmac_of_any_length(&key), &rule, b"message").unwrap();
        assert_eq!(made.as_bytes(), other.as_ref());
    }
}
