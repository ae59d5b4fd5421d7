//! Claims about MACs that need no known answer: what is refused, and agreement with a second
//! implementation or another construction. Known answers are files, run by `tests/vectors`.

use ::cmac::{Cmac, KeyInit, Mac};

use crate::domain::cipher::{BlockCipher, Des, Tdes};
use crate::domain::mac::{
    MacError, MacKey, MacState, Padding, Rule, RuleError, Scheme, VerifyError, generate, iso9797,
    pad, verify,
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

fn a_key(scheme: Scheme) -> MacKey {
    let length = match scheme {
        Scheme::Iso9797Alg1Des => 8,
        Scheme::UnionPayGatewaySha256 | Scheme::UnionPayGatewaySm3 => 32,
        _ => 16,
    };
    MacKey::new(scheme, &bytes(length, 7)).unwrap()
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
                Scheme::Iso9797Alg1Des
                | Scheme::Iso9797Alg1Tdes
                | Scheme::Iso9797Alg3Des
                | Scheme::CmacTdes => 4..=8,
                Scheme::Iso9797Alg1Aes
                | Scheme::Iso9797Alg1Sm4
                | Scheme::CmacAes
                | Scheme::CmacSm4 => 4..=16,
                Scheme::HmacSha1 => 8..=20,
                Scheme::HmacSha224 => 8..=28,
                Scheme::HmacSha256 | Scheme::HmacSm3 => 8..=32,
                Scheme::HmacSha384 => 8..=48,
                Scheme::HmacSha512 => 8..=64,
                Scheme::UnionPayGatewaySha256 | Scheme::UnionPayGatewaySm3 => 32..=32,
                _ if scheme.folds() => 8..=8,
                _ => panic!("{scheme:?}"),
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
                Scheme::Iso9797Alg1Des
                    | Scheme::Iso9797Alg1Tdes
                    | Scheme::Iso9797Alg1Aes
                    | Scheme::Iso9797Alg1Sm4
                    | Scheme::Iso9797Alg3Des
            );
            let expected = if iso9797 == padding.is_some() {
                Ok(())
            } else {
                Err(RuleError::Padding)
            };
            let (length, _) = scheme.lengths();
            let rule = Rule::new(scheme, padding, u8::try_from(length).unwrap().max(8));
            assert_eq!(rule.map(|_| ()), expected);
        }
    }
}

#[test]
fn a_key_has_a_length_of_its_scheme() {
    for scheme in Scheme::ALL {
        for length in 0..=80 {
            let expected = match scheme {
                Scheme::Iso9797Alg1Des => length == 8,
                Scheme::UnionPayEcbHex8 | Scheme::UnionPayEcbRaw8 => length == 8 || length == 16,
                Scheme::Iso9797Alg1Tdes | Scheme::CmacTdes => length == 16 || length == 24,
                Scheme::CmacAes | Scheme::Iso9797Alg1Aes => [16, 24, 32].contains(&length),
                Scheme::UnionPayGatewaySha256 | Scheme::UnionPayGatewaySm3 => length == 32,
                _ if scheme.hash().is_some() => (16..=64).contains(&length),
                _ => length == 16,
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
            VerifyError::NoMac(MacError::EmptyMessage)
        } else {
            VerifyError::Mismatch
        };
        assert_eq!(verified, Err(expected));
    }
}

#[test]
fn a_key_of_another_scheme_than_the_rule_is_refused() {
    for of_key in Scheme::ALL {
        let key = a_key(of_key);
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
        let key = a_key(scheme);
        let (shortest, longest) = scheme.lengths();
        let full = generate(&key, &full_rule(scheme), b"message").unwrap();
        let full = full.as_bytes();
        for length in shortest..=longest {
            let padding = scheme.needs_padding().then_some(Padding::Method2);
            let rule = Rule::new(scheme, padding, u8::try_from(length).unwrap()).unwrap();
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
    for (scheme, algorithm) in [
        (
            Scheme::HmacSha1,
            aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        ),
        (Scheme::HmacSha224, aws_lc_rs::hmac::HMAC_SHA224),
        (Scheme::HmacSha256, aws_lc_rs::hmac::HMAC_SHA256),
        (Scheme::HmacSha384, aws_lc_rs::hmac::HMAC_SHA384),
        (Scheme::HmacSha512, aws_lc_rs::hmac::HMAC_SHA512),
    ] {
        let rule = full_rule(scheme);
        for length in 0..=140 {
            let key = bytes(length, 23);
            let other = aws_lc_rs::hmac::Key::new(algorithm, &key);
            let other = aws_lc_rs::hmac::sign(&other, b"message");
            let key = MacKey::hmac_of_any_length(scheme, &key).unwrap();
            let made = generate(&key, &rule, b"message").unwrap();
            assert_eq!(made.as_bytes(), other.as_ref());
        }
    }
}

#[test]
fn a_message_in_pieces_has_the_mac_of_the_whole_under_every_scheme_and_padding() {
    let message = bytes(50, 29);
    for scheme in Scheme::ALL {
        let key = a_key(scheme);
        let paddings: Vec<_> = match scheme.needs_padding() {
            true => PADDINGS.into_iter().map(Some).collect(),
            false => vec![None],
        };
        for padding in paddings {
            let length = u8::try_from(scheme.lengths().1).unwrap();
            let rule = Rule::new(scheme, padding, length).unwrap();
            for length in 0..=message.len() {
                let message = &message[..length];
                let whole = generate(&key, &rule, message);
                for piece in [1, 3, 8, 16, 19] {
                    let said = rule.needs_length_first().then_some(length);
                    let mut state = MacState::begin(&key, &rule, said).unwrap();
                    for part in message.chunks(piece) {
                        state.update(part).unwrap();
                        state.update(b"").unwrap();
                    }
                    match (state.generate(), &whole) {
                        (Ok(made), Ok(whole)) => assert_eq!(made.as_bytes(), whole.as_bytes()),
                        (made, whole) => assert_eq!(made.err(), whole.as_ref().err().copied()),
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_is_as_long_as_was_said_and_method_3_says_so() {
    let key = a_key(Scheme::Iso9797Alg3Des);
    let rule = Rule::new(Scheme::Iso9797Alg3Des, Some(Padding::Method3), 8).unwrap();
    let begun = MacState::begin(&key, &rule, None);
    assert_eq!(begun.err(), Some(MacError::LengthMissing));
    let begin = || MacState::begin(&key, &rule, Some(9)).unwrap();
    let mut state = begin();
    state.update(&[7; 8]).unwrap();
    assert_eq!(state.update(&[7; 2]), Err(MacError::LengthMismatch));
    let mut state = begin();
    state.update(&[7; 8]).unwrap();
    let mismatch = VerifyError::NoMac(MacError::LengthMismatch);
    assert_eq!(state.verify(&[0; 8]), Err(mismatch));
}

#[test]
fn a_mac_of_a_sum_cannot_tell_the_order_of_blocks() {
    // Why keys of these schemes say that they are weak.
    let (one, other) = ([1; 16], [2; 16]);
    for scheme in Scheme::ALL.into_iter().filter(|scheme| scheme.folds()) {
        let made = |message: &[u8]| {
            let made = generate(&a_key(scheme), &full_rule(scheme), message);
            made.map(|tag| tag.as_bytes().to_vec())
        };
        assert_eq!(made(&[one, other].concat()), made(&[other, one].concat()));
        assert_eq!(made(b""), Err(MacError::EmptyMessage));
    }
}
