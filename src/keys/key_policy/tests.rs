//! Policies and their encoding.

use super::*;
use crate::domain::pin_verification::ibm3624::{Rule, Validation};
use crate::domain::pin_verification::visa_pvv::Pvki;
use crate::keys::key_policy::vocabulary::KEY_TYPES;
use crate::keys::key_ref::KeyName;

fn policies() -> Vec<KeyPolicy> {
    let mut policies = vec![
        KeyPolicy::default(),
        KeyPolicy {
            weak: true,
            ..KeyPolicy::default()
        },
        KeyPolicy {
            pin_inputs: Format::ALL.into_iter().collect(),
            ..KeyPolicy::default()
        },
    ];
    policies.push(KeyPolicy {
        legacy_blocks_until: Some(1_800_000_000),
        ..KeyPolicy::default()
    });
    policies.push(KeyPolicy {
        block_side: Some(Side::Issuer),
        ..KeyPolicy::default()
    });
    policies.push(KeyPolicy {
        sm4_block_code: Some(b'4'),
        ..KeyPolicy::default()
    });
    policies.push(KeyPolicy {
        cryptograms: Usage::ALL.iter().copied().collect(),
        ..KeyPolicy::default()
    });
    policies.extend(sign_in_policies());
    for (key, replay_window) in KEY_TYPES
        .iter()
        .zip([None, Some(0), Some(64)].iter().cycle())
    {
        policies.push(KeyPolicy {
            dukpt: Some(DukptPolicy {
                mac_key: Some(key.value),
                both_ways: replay_window.is_none(),
                replay_window: *replay_window,
                ..DukptPolicy::default()
            }),
            ..KeyPolicy::default()
        });
    }
    policies.extend(verification_policies());
    policies.extend(named_policies());
    policies
}

/// One for every word of a vocabulary.
fn named_policies() -> Vec<KeyPolicy> {
    let mut policies = Vec::new();
    for row in FORMATS {
        policies.push(KeyPolicy {
            pin_output: Some(row.value),
            ..KeyPolicy::default()
        });
    }
    for row in ENCRYPTIONS {
        policies.push(KeyPolicy {
            encryption: Some(row.value),
            ..KeyPolicy::default()
        });
    }
    for row in SIGNATURES {
        policies.push(KeyPolicy {
            signature: Some(row.value),
            ..KeyPolicy::default()
        });
    }
    for (scheme, padding) in SCHEMES
        .iter()
        .flat_map(|scheme| PADDINGS.iter().map(move |row| (scheme, row)))
    {
        // Of eight bytes there is one of every scheme.
        if let Ok(rule) = mac::Rule::new(scheme.value, padding.value, 8) {
            policies.push(KeyPolicy {
                mac: Some(rule),
                ..KeyPolicy::default()
            });
        }
    }
    policies.extend(data_policies());
    policies
}

fn data_policies() -> Vec<KeyPolicy> {
    let mut policies = Vec::new();
    policies.push(KeyPolicy {
        translate_only: true,
        ..KeyPolicy::default()
    });
    for row in CONTENT_FORMS {
        policies.push(KeyPolicy {
            alipay_content: Some(row.value),
            ..KeyPolicy::default()
        });
    }
    for row in TRACK_LAYOUTS {
        policies.push(KeyPolicy {
            track: Some(row.value),
            ..KeyPolicy::default()
        });
    }
    for (mode, padding) in DATA_MODES
        .iter()
        .flat_map(|mode| DATA_PADDINGS.iter().map(move |padding| (mode, padding)))
    {
        for (iv, tag_bytes) in IV_RULES
            .iter()
            .flat_map(|iv| [0, 12, 16].map(|tag_bytes| (iv, tag_bytes)))
        {
            let rule = data::Rule::new(mode.value, padding.value, iv.value, tag_bytes);
            policies.extend(rule.ok().map(|rule| KeyPolicy {
                data: Some(rule),
                ..KeyPolicy::default()
            }));
        }
    }
    policies
}

fn verification_policies() -> Vec<KeyPolicy> {
    let mut policies = Vec::new();
    for pvki in [0, 9] {
        policies.push(KeyPolicy {
            pin_verification: Pvki::new(pvki).map(PinVerification::VisaPvv),
            ..KeyPolicy::default()
        });
    }
    for (length, first, digits, pad) in [(4, 1, 16, 0), (12, 4, 16, 0xF), (4, 1, 10, 0)] {
        let validation = Validation::new(first, digits, pad).unwrap();
        policies.push(KeyPolicy {
            pin_verification: Some(PinVerification::Ibm3624 {
                rule: Rule::new(length, validation).unwrap(),
                table: KeyName::parse("table").unwrap(),
            }),
            ..KeyPolicy::default()
        });
    }
    policies
}

fn sign_in_policies() -> Vec<KeyPolicy> {
    let mut policies = Vec::new();
    for row in LAYOUTS {
        for data_key in [false, true] {
            let layouts = [0, 4].map(|bytes| vocabulary::layout(row.value, bytes, data_key));
            policies.extend(layouts.into_iter().flatten().map(|layout| KeyPolicy {
                sign_in: Some(layout),
                ..KeyPolicy::default()
            }));
        }
    }
    policies
}

#[test]
fn every_policy_is_read_back_and_has_one_encoding() {
    let mut seen = std::collections::HashSet::new();
    for policy in policies() {
        let bytes = policy.encode();
        assert!(
            KeyPolicy::decode(&bytes).as_ref() == Ok(&policy),
            "{policy:?}"
        );
        assert!(
            seen.insert(bytes),
            "{policy:?} is encoded as another policy is"
        );
    }
}

#[test]
fn unknown_tags_codes_and_orders_are_malformed() {
    for bytes in [
        &[99, 0, 0][..],
        &[20, 0, 1, b't'],
        &[20, 0, 1, b'T', 21, 0, 4, 4, 1, 10, 0],
        &[20, 0, 1, b't', 21, 0, 4, 3, 1, 10, 0],
        &[20, 0, 1, b't', 21, 0, 4, 4, 1, 9, 0],
        &[20, 0, 1, b't', 21, 0, 4, 4, 1, 10, 0, 22, 0, 1, 1],
        &[21, 0, 4, 4, 1, 10, 0],
        &[22, 0, 1, 10],
        &[TAG_BLOCK_SIDE, 0, 1, 9],
        &[TAG_DATA, 0, 3, 1, 0, 0],
        &[TAG_DATA, 0, 4, 5, 0, 0, 0],
        &[TAG_DATA, 0, 4, 4, 0, 0, 11],
        &[TAG_DATA, 0, 4, 3, 1, 1, 0],
        &[TAG_TRACK, 0, 1, 0],
        &[TAG_TRANSLATE_ONLY, 0, 1, 0],
        &[TAG_TRANSLATE_ONLY, 0, 0, TAG_TRACK, 0, 1, 1],
        &[TAG_LEGACY_BLOCKS, 0, 1, 0],
        &[TAG_CRYPTOGRAMS, 0, 0],
        &[TAG_CRYPTOGRAMS, 0, 1, b'P'],
        &[TAG_CRYPTOGRAMS, 0, 2, b'P', b'9'],
        &[TAG_CRYPTOGRAMS, 0, 4, b'P', b'0', b'D', b'0'],
        &[TAG_SIGN_IN, 0, 2, 1, 0],
        &[TAG_SIGN_IN, 0, 3, 1, 4, 0],
        &[TAG_SIGN_IN, 0, 3, 2, 0, 1],
        &[TAG_SIGN_IN, 0, 3, 6, 2, 0],
        &[TAG_SIGN_IN, 0, 3, 6, 9, 0],
        &[TAG_SIGN_IN, 0, 3, 7, 0, 2],
        &[TAG_WEAK, 0, 1, 0],
        &[13, 0, 2, 1, 1],
        &[13, 0, 3, 9, 0, 0],
        &[14, 0, 0],
        &[13, 0, 3, 1, 0, 0, 15, 0, 1, 0],
        &[13, 0, 3, 1, 0, 0, 16, 0, 0],
        &[TAG_PIN_INPUTS, 0, 0],
        &[TAG_PIN_INPUTS, 0, 1, 99],
        &[TAG_PIN_INPUTS, 0, 2, 3, 1],
        &[TAG_PIN_INPUTS, 0, 2, 1, 1],
        &[TAG_PIN_OUTPUT, 0, 2, 1, 1],
        &[TAG_MAC, 0, 3, 1, 2, 255],
        &[TAG_MAC, 0, 2, 1, 2],
        &[TAG_WEAK, 0, 0, TAG_SIGNATURE, 0, 1, 1],
        &[TAG_WEAK, 0, 0, TAG_WEAK, 0, 0],
    ] {
        assert!(KeyPolicy::decode(bytes).is_err(), "{bytes:?}");
    }
}
