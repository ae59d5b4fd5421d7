//! Base derivation keys (B0): which derived keys, formats and MAC rules go with which base key
//! (ANSI X9.24-1:2009 and X9.24-3:2017; formats and ciphers after ISO 9564-1).

use crate::domain::dukpt::KeyType;
use crate::domain::mac::Scheme;
use crate::domain::pin_block::Format;
use crate::keys::attributes::{Algorithm, Side};
use crate::keys::key_policy::DukptPolicy;
use crate::keys::spec::{Faults, KeySpec};
use crate::limits;

pub(super) fn check(spec: &KeySpec, faults: &mut Faults) {
    let Some(dukpt) = spec.policy.dukpt else {
        faults.add(
            "dukpt",
            "base derivation keys name the keys that they derive",
        );
        return;
    };
    check_keys(spec.algorithm, dukpt, faults);
    check_pin(spec, dukpt, faults);
    check_mac(spec, dukpt, faults);
    check_window(dukpt, faults);
}

pub(super) fn check_window(dukpt: DukptPolicy, faults: &mut Faults) {
    if dukpt
        .replay_window
        .is_some_and(|window| window > limits::DUKPT_WINDOW_MAX)
    {
        faults.add("dukpt.replay_window", "at most 64");
    }
}

fn check_keys(base: Algorithm, dukpt: DukptPolicy, faults: &mut Faults) {
    let derived = |key: KeyType| match base {
        Algorithm::Tdes2 => key == KeyType::Tdes2,
        _ => key.strength_bits() <= base.strength_bits(),
    };
    let encrypts = |key: KeyType| key.block_algorithm().is_some();
    for (field, key, fits) in [
        (
            "dukpt.pin",
            dukpt.pin_key,
            dukpt.pin_key.is_none_or(encrypts),
        ),
        ("dukpt.mac", dukpt.mac_key, true),
        (
            "dukpt.data",
            dukpt.data_key,
            dukpt.data_key.is_none_or(encrypts),
        ),
    ] {
        if !key.is_none_or(derived) {
            faults.add(
                field,
                "a TDES base key derives TDES-2, an AES one nothing stronger than itself",
            );
        }
        if !fits {
            faults.add(field, "an HMAC key encrypts nothing");
        }
    }
    if dukpt.pin_key.is_none() && dukpt.mac_key.is_none() && dukpt.data_key.is_none() {
        faults.add("dukpt", "a base derivation key that derives nothing");
    }
}

fn check_pin(spec: &KeySpec, dukpt: DukptPolicy, faults: &mut Faults) {
    let (inputs, output) = (spec.policy.pin_inputs, spec.policy.pin_output);
    let cipher = dukpt.pin_key.and_then(KeyType::block_algorithm);
    let own = |format: Format| cipher == Some(format.algorithm());
    if dukpt.pin_key.is_some() == (inputs.is_empty() && output.is_none()) {
        faults.add(
            "dukpt.pin",
            "PIN keys are derived where pin.inputs or pin.output name their formats, only there",
        );
        return;
    }
    if !inputs.iter().all(own) {
        faults.add("pin.inputs", "not formats of the derived PIN keys");
    }
    if !output.is_none_or(own) {
        faults.add("pin.output", "not a format of the derived PIN keys");
    }
    // Devices are terminals.
    spec.check_formats(Some(Side::Terminal), faults);
}

fn check_mac(spec: &KeySpec, dukpt: DukptPolicy, faults: &mut Faults) {
    match (dukpt.mac_key, spec.policy.mac) {
        (None, None) => {}
        (Some(key), Some(rule)) => {
            if !makes(key, rule.scheme) {
                faults.add("mac.scheme", "not a scheme of the derived MAC keys");
            }
        }
        (Some(_), None) | (None, Some(_)) => faults.add(
            "dukpt.mac",
            "MAC keys are derived where mac names their scheme, padding and length, only there",
        ),
    }
}

fn makes(key: KeyType, scheme: Scheme) -> bool {
    use KeyType::{Aes128, Aes192, Aes256, Hmac128, Hmac192, Hmac256, Tdes2, Tdes3};
    matches!(
        (scheme, key),
        (Scheme::Iso9797Alg1Tdes | Scheme::CmacTdes, Tdes2 | Tdes3)
            | (Scheme::Iso9797Alg3Des, Tdes2)
            | (Scheme::CmacAes, Aes128 | Aes192 | Aes256)
            | (Scheme::HmacSha256, Hmac128 | Hmac192 | Hmac256)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::mac::{Padding, Rule};
    use crate::keys::attributes::{Exportability, Mode, Residence, Usage};
    use crate::keys::key_policy::KeyPolicy;
    use crate::keys::key_ref::KeyName;

    fn aes() -> KeySpec {
        KeySpec {
            name: KeyName::parse("bdk").unwrap(),
            usage: Usage::BaseDerivation,
            mode: Mode::Derive,
            side: None,
            algorithm: Algorithm::Aes128,
            exportability: Exportability::NonExportable,
            residence: Residence::Token,
            policy: KeyPolicy {
                pin_inputs: [Format::Iso4].into_iter().collect(),
                pin_output: Some(Format::Iso4),
                mac: Rule::new(Scheme::CmacAes, None, 8).ok(),
                dukpt: Some(DukptPolicy {
                    pin_key: Some(KeyType::Aes128),
                    mac_key: Some(KeyType::Aes128),
                    data_key: Some(KeyType::Aes128),
                    ..DukptPolicy::default()
                }),
                ..KeyPolicy::default()
            },
        }
    }

    fn fields(change: impl FnOnce(&mut KeySpec)) -> Vec<&'static str> {
        let mut spec = aes();
        change(&mut spec);
        spec.faults().iter().map(|fault| fault.field).collect()
    }

    fn of(spec: &mut KeySpec) -> &mut DukptPolicy {
        spec.policy.dukpt.as_mut().unwrap()
    }

    #[test]
    fn a_base_key_names_what_it_derives_and_only_what_goes_together_is_taken() {
        assert_eq!(fields(|_| ()), [""; 0]);
        assert_eq!(fields(|spec| spec.policy.dukpt = None), ["dukpt"]);
        assert_eq!(
            fields(|spec| of(spec).data_key = Some(KeyType::Aes256)),
            ["dukpt.data"]
        );
        assert_eq!(
            fields(|spec| of(spec).data_key = Some(KeyType::Hmac128)),
            ["dukpt.data"]
        );
        assert_eq!(
            fields(|spec| of(spec).pin_key = Some(KeyType::Tdes2)),
            ["pin.inputs", "pin.output"]
        );
        assert_eq!(
            fields(|spec| of(spec).mac_key = Some(KeyType::Tdes2)),
            ["mac.scheme"]
        );
        assert_eq!(fields(|spec| of(spec).mac_key = None), ["dukpt.mac"]);
        assert_eq!(fields(|spec| spec.policy.mac = None), ["dukpt.mac"]);
        assert_eq!(fields(|spec| of(spec).pin_key = None), ["dukpt.pin"]);
        assert_eq!(
            fields(|spec| of(spec).replay_window = Some(limits::DUKPT_WINDOW_MAX + 1)),
            ["dukpt.replay_window"]
        );
        assert_eq!(
            fields(|spec| spec.usage = Usage::DataEncryption),
            ["mode", "residence", "pin", "mac", "dukpt"]
        );
    }

    #[test]
    fn a_tdes_base_key_lives_in_the_process_and_derives_two_key_tdes() {
        let tdes = |change: &dyn Fn(&mut KeySpec)| {
            fields(|spec| {
                spec.algorithm = Algorithm::Tdes2;
                spec.residence = Residence::Process;
                spec.policy = KeyPolicy {
                    pin_inputs: [Format::Iso0, Format::Iso3].into_iter().collect(),
                    mac: Rule::new(Scheme::Iso9797Alg3Des, Some(Padding::Method1), 4).ok(),
                    dukpt: Some(DukptPolicy {
                        pin_key: Some(KeyType::Tdes2),
                        mac_key: Some(KeyType::Tdes2),
                        both_ways: true,
                        ..DukptPolicy::default()
                    }),
                    ..KeyPolicy::default()
                };
                change(spec);
            })
        };
        assert_eq!(tdes(&|_| ()), [""; 0]);
        let inputs = |spec: &mut KeySpec| spec.policy.pin_inputs.insert(Format::X98NoPan);
        assert_eq!(tdes(&inputs), ["weak"], "devices may, in so many words");
        for none in [Format::Iso1, Format::X98NoPan] {
            let output = move |spec: &mut KeySpec| spec.policy.pin_output = Some(none);
            assert_eq!(tdes(&output), ["pin.output"]);
        }
        assert_eq!(
            tdes(&|spec| spec.residence = Residence::Token),
            ["residence"]
        );
        assert_eq!(
            tdes(&|spec| of(spec).pin_key = Some(KeyType::Tdes3)),
            ["dukpt.pin"]
        );
        assert_eq!(
            tdes(&|spec| spec.algorithm = Algorithm::Tdes3),
            ["algorithm"]
        );
    }
}
