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
        let data = KeyPolicy::default();
        let track = first_sound(
            parent,
            &[Usage::DataEncryption],
            Mode::Decrypt,
            length(2),
            &data,
        );
        keys.push(track.ok_or(DATA)?);
    }
    Ok(keys)
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
            spec.policy.weak = is_weak(algorithm, &spec.policy);
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
    why: "no track key fits this layout",
};
