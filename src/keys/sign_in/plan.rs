//! Which working keys a sign-in makes, from the policy of the terminal's master key: a PIN key that
//! opens the terminal's blocks, a MAC key for both ways and, where the layout has one, a track key
//! that decrypts.
//!
//! Lengths are the layout's; in key blocks, which have no layout, each key is the shortest whose
//! algorithm fits the formats or the rule, and never single DES. What does not make a sound key is
//! found when the master key is made.

use crate::domain::unionpay::sign_in::Layout;
use crate::keys::attributes::{Algorithm, Exportability, Mode, Residence, Side, Usage};
use crate::keys::key_policy::KeyPolicy;
use crate::keys::spec::{KeySpec, SpecFault, is_weak};

/// The keys, in the order of their places in field 62.
pub(super) fn working_keys(parent: &KeySpec) -> Result<Vec<KeySpec>, SpecFault> {
    let layout = parent.policy.sign_in.ok_or(NO_LAYOUT)?;
    let in_blocks = matches!(layout, Layout::KeyBlocks { .. });
    let fits = match (parent.usage, parent.side, parent.mode) {
        (Usage::KeyEncryption, Some(Side::Terminal), Mode::Encrypt | Mode::EncryptAndDecrypt) => {
            !in_blocks
        }
        (Usage::KeyBlockProtection, None, Mode::Encrypt | Mode::EncryptAndDecrypt) => in_blocks,
        _ => false,
    };
    if !fits {
        return Err(NO_LAYOUT);
    }
    let slots = layout.slots();
    let length = |at: usize| {
        slots
            .as_ref()
            .and_then(|slots| slots.get(at))
            .map(|slot| slot.key_bytes)
    };
    let own = &parent.policy;
    let pin = KeyPolicy {
        pin_inputs: own.pin_inputs,
        ..KeyPolicy::default()
    };
    let mac = KeyPolicy {
        mac: own.mac,
        ..KeyPolicy::default()
    };
    let mut keys = vec![
        first_sound(
            parent,
            &[Usage::PinEncryption],
            Mode::Decrypt,
            length(0),
            &pin,
        )
        .ok_or(PIN)?,
        first_sound(parent, MACS, Mode::GenerateAndVerify, length(1), &mac).ok_or(MAC)?,
    ];
    if layout.has_data_key() {
        let data = KeyPolicy {
            data: own.data,
            track: own.track,
            translate_only: own.translate_only,
            ..KeyPolicy::default()
        };
        let track = first_sound(
            parent,
            &[Usage::DataEncryption],
            Mode::Decrypt,
            length(2),
            &data,
        );
        keys.push(track.ok_or(DATA)?);
    } else if parent.usage == Usage::KeyEncryption && has_data_policy(own) {
        return Err(NO_DATA);
    }
    Ok(keys)
}

/// Whether a policy says anything of data or tracks. That of a protection key may be for the keys in
/// a partner's blocks; under a key-encryption key it is the track key's or nobody's.
const fn has_data_policy(policy: &KeyPolicy) -> bool {
    policy.data.is_some() || policy.track.is_some() || policy.translate_only
}

/// The mode of the key at the other end of the line.
pub(super) const fn other_end(mode: Mode) -> Mode {
    match mode {
        Mode::Decrypt => Mode::Encrypt,
        Mode::Encrypt => Mode::Decrypt,
        Mode::Generate => Mode::Verify,
        Mode::Verify => Mode::Generate,
        other => other,
    }
}

/// The first usage and algorithm that make a sound key of this policy and length.
fn first_sound(
    parent: &KeySpec,
    usages: &[Usage],
    mode: Mode,
    length: Option<usize>,
    policy: &KeyPolicy,
) -> Option<KeySpec> {
    let side = |usage| (usage == Usage::PinEncryption).then_some(Side::Terminal);
    let specs = usages.iter().flat_map(|usage| {
        algorithms(parent, length).map(move |algorithm| {
            let mut spec = KeySpec {
                name: parent.name.clone(),
                usage: *usage,
                mode,
                side: side(*usage),
                algorithm,
                exportability: Exportability::NonExportable,
                residence: Residence::Process,
                policy: policy.clone(),
            };
            spec.policy.weak = is_weak((*usage, mode, algorithm), &spec.policy);
            spec
        })
    });
    specs.into_iter().find(|spec| spec.faults().is_empty())
}

/// Algorithms of keys of that length, or of any, that may lie under the parent.
fn algorithms(parent: &KeySpec, length: Option<usize>) -> impl Iterator<Item = Algorithm> {
    let (own, most) = (parent.algorithm, parent.algorithm.strength_bits());
    let family = move |algorithm: Algorithm| match length {
        Some(length) => {
            algorithm.key_bytes() == Some(length)
                && algorithm.block_algorithm() == own.block_algorithm()
        }
        None => algorithm.key_bytes().is_some_and(|bytes| bytes > 8),
    };
    CIPHERS
        .iter()
        .copied()
        .filter(move |algorithm| family(*algorithm) && algorithm.strength_bits() <= most)
}

const CIPHERS: &[Algorithm] = &[
    Algorithm::Des,
    Algorithm::Tdes2,
    Algorithm::Tdes3,
    Algorithm::Aes128,
    Algorithm::Aes192,
    Algorithm::Aes256,
    Algorithm::Sm4,
];
const MACS: &[Usage] = &[
    Usage::MacAlgorithm1,
    Usage::MacAlgorithm3,
    Usage::MacCmac,
    Usage::MacIso16609,
];

const NO_LAYOUT: SpecFault = SpecFault {
    field: "sign_in",
    why: "a terminal's master key that encrypts signs in: K0 of side terminal with field 62, or K1 \
          with KEY_BLOCKS",
};
const PIN: SpecFault = SpecFault {
    field: "pin.inputs",
    why: "a sign-in's PIN key needs formats of its cipher",
};
const MAC: SpecFault = SpecFault {
    field: "mac",
    why: "a sign-in's MAC key needs a rule of its cipher and length",
};
const DATA: SpecFault = SpecFault {
    field: "sign_in",
    why: "a sign-in's track key needs the layout's length, and a mode or track layout of its cipher",
};
const NO_DATA: SpecFault = SpecFault {
    field: "data",
    why: "this sign-in makes no track key",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::data::{self, IvRule, Padding};
    use crate::domain::mac::{self, Rule, Scheme};
    use crate::domain::pin_block::Format;
    use crate::domain::track;
    use crate::keys::key_ref::KeyName;

    /// The master key of a terminal that signs in under TDES, with this layout.
    fn master(layout: Layout) -> KeySpec {
        let rule = Rule::new(Scheme::Iso9797Alg3Des, Some(mac::Padding::Method2), 8);
        KeySpec {
            name: KeyName::parse("tmk").unwrap(),
            usage: Usage::KeyEncryption,
            mode: Mode::Encrypt,
            side: Some(Side::Terminal),
            algorithm: Algorithm::Tdes2,
            exportability: Exportability::NonExportable,
            residence: Residence::Process,
            policy: KeyPolicy {
                pin_inputs: [Format::Iso0].into_iter().collect(),
                mac: rule.ok(),
                sign_in: Some(layout),
                ..KeyPolicy::default()
            },
        }
    }

    fn fields(spec: &KeySpec) -> Vec<&'static str> {
        spec.faults().iter().map(|fault| fault.field).collect()
    }

    fn cbc(padding: Padding) -> Option<data::Rule> {
        data::Rule::new(data::Mode::Cbc, padding, Some(IvRule::Random), 0).ok()
    }

    #[test]
    fn the_track_key_has_the_data_policy_of_its_master_key_and_no_other_key_has() {
        let mut spec = master(Layout::Unionpay004DoubleMac);
        spec.policy.track = Some(track::Layout::UnionPayOneBlock);
        assert_eq!(fields(&spec), [""; 0]);
        let keys = working_keys(&spec).ok().unwrap();
        let tracks: Vec<_> = keys.iter().map(|key| key.policy.track).collect();
        assert_eq!(tracks, [None, None, spec.policy.track]);
        assert!(keys.iter().all(|key| key.policy.data.is_none()));

        let mut spec = master(Layout::Unionpay004DoubleMac);
        (spec.policy.data, spec.policy.translate_only) = (cbc(Padding::Whole), true);
        assert_eq!(fields(&spec), [""; 0]);
        let keys = working_keys(&spec).ok().unwrap();
        assert_eq!(keys[2].policy.data, spec.policy.data);
        assert!(keys[2].policy.translate_only && !keys[0].policy.translate_only);
        assert!(!keys[2].policy.weak);
    }

    #[test]
    fn what_makes_no_sound_track_key_is_found_with_the_master_key() {
        let with = |layout, policy: &dyn Fn(&mut KeyPolicy)| {
            let mut spec = master(layout);
            policy(&mut spec.policy);
            fields(&spec)
        };
        let gcm = data::Rule::new(data::Mode::Gcm, Padding::Whole, None, 16).ok();
        let four = Layout::Unionpay004DoubleMac;
        assert_eq!(with(four, &|own| own.data = gcm), ["sign_in"]);
        assert_eq!(with(four, &|own| own.translate_only = true), ["sign_in"]);
        let both = |own: &mut KeyPolicy| {
            own.data = cbc(Padding::Whole);
            own.track = Some(track::Layout::UnionPayWhole);
        };
        assert_eq!(with(four, &both), ["sign_in"]);
        // No track key, no policy of one.
        let three = Layout::Unionpay003DoubleMac;
        assert_eq!(with(three, &|_| {}), [""; 0]);
        let track = |own: &mut KeyPolicy| own.track = Some(track::Layout::UnionPayWhole);
        assert_eq!(with(three, &track), ["data"]);
    }

    #[test]
    fn a_weak_rule_for_the_track_key_is_accepted_at_its_master_key() {
        let mut spec = master(Layout::Unionpay004DoubleMac);
        spec.policy.data = cbc(Padding::Pkcs7);
        assert_eq!(fields(&spec), ["weak"]);
        spec.policy.weak = true;
        assert_eq!(fields(&spec), [""; 0]);
        let keys = working_keys(&spec).ok().unwrap();
        let weak: Vec<_> = keys.iter().map(|key| key.policy.weak).collect();
        assert_eq!(weak, [false, false, true], "and only that key is weak");
    }
}
