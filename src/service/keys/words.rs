//! A key as the messages of the control plane have it: words and codes in, a whole header out.

use std::collections::BTreeMap;

use prost_types::Timestamp;

use crate::keys::attributes::{Exportability, Residence, State};
use crate::keys::key_policy::{DukptWords, KeyPolicy, PinVerificationWords};
use crate::keys::key_ref::KeyName;
use crate::keys::lifecycle::Extras;
use crate::keys::record::{Header, Labels};
use crate::keys::words::{DataWords, KeyWords, PolicyWords, SignInWords};
use crate::service::pb::admin::v1 as pb;
use crate::service::pb::v1::Residence as PbResidence;
use crate::service::wire::{residence, timestamp};
use crate::service::{Error, Field};

/// What the message says besides the attributes.
pub(super) fn extras(spec: &pb::KeySpec) -> Result<Extras, Error> {
    Ok(Extras {
        expiry: moment(spec.expires, "spec.expires")?,
        labels: labels(&spec.labels)?,
    })
}

/// The attributes, in words.
pub(super) fn key_words(spec: pb::KeySpec) -> Result<KeyWords, Error> {
    let residence = match spec.residence() {
        PbResidence::Unspecified => None,
        PbResidence::Token => Some(Residence::Token),
        PbResidence::TokenWrapped => Some(Residence::TokenWrapped),
        PbResidence::Process => Some(Residence::Process),
        PbResidence::Public => Some(Residence::Public),
    };
    let pb::KeySpec {
        name,
        usage,
        mode,
        side,
        algorithm,
        exportable,
        residence: _,
        policy,
        expires: _,
        labels: _,
    } = spec;
    Ok(KeyWords {
        name,
        usage,
        mode,
        side,
        algorithm,
        exportable,
        residence,
        policy: policy_words(policy.unwrap_or_default())?,
    })
}

fn policy_words(policy: pb::KeyPolicy) -> Result<PolicyWords, Error> {
    let pb::KeyPolicy {
        pin_inputs,
        pin_output,
        mac_scheme,
        mac_padding,
        mac_length,
        signature_scheme,
        weak,
        legacy_blocks_until,
        sm4_block_code,
        block_side,
        cryptogram_usages,
        data,
        track_layout,
        translate_only,
        sign_in,
        dukpt,
        pin_verification,
        alipay_content,
        encryption_scheme,
    } = policy;
    let small = |number: u32, field| u8::try_from(number).map_err(|_| Error::EnumUnknown(field));
    Ok(PolicyWords {
        pin_inputs,
        pin_output,
        mac_scheme,
        mac_padding: small(mac_padding, "policy.mac_padding")?,
        mac_length: small(mac_length, "policy.mac_length")?,
        signature_scheme,
        weak,
        legacy_blocks_until: moment(legacy_blocks_until, "policy.legacy_blocks_until")?,
        sm4_block_code,
        block_side,
        cryptogram_usages,
        data: data.map(data_words).transpose()?,
        track_layout,
        translate_only,
        sign_in: sign_in.map(sign_in_words).transpose()?,
        dukpt: dukpt.map(dukpt_words),
        pin_verification: verification_words(pin_verification.unwrap_or_default())?,
        alipay_content,
        encryption_scheme,
    })
}

fn verification_words(policy: pb::PinVerificationPolicy) -> Result<PinVerificationWords, Error> {
    let pb::PinVerificationPolicy {
        decimalisation_table,
        pin_length,
        validation_first,
        validation_digits,
        validation_pad,
        pvki,
    } = policy;
    let small = |number: u32, field| u8::try_from(number).map_err(|_| Error::EnumUnknown(field));
    Ok(PinVerificationWords {
        table: decimalisation_table,
        length: small(pin_length, "policy.pin_verification.pin_length")?,
        first: small(validation_first, "policy.pin_verification.validation_first")?,
        digits: small(
            validation_digits,
            "policy.pin_verification.validation_digits",
        )?,
        pad: validation_pad,
        pvki,
    })
}

fn data_words(rule: pb::DataRule) -> Result<DataWords, Error> {
    let pb::DataRule {
        mode,
        padding,
        iv,
        tag_length,
    } = rule;
    let malformed = |_| Error::FieldMalformed("policy.data.tag_length");
    Ok(DataWords {
        mode,
        padding,
        iv,
        tag_length: u8::try_from(tag_length).map_err(malformed)?,
    })
}

fn sign_in_words(policy: pb::SignInPolicy) -> Result<SignInWords, Error> {
    let pb::SignInPolicy {
        layout,
        check_value_bytes,
        data_key,
    } = policy;
    let field = "policy.sign_in.check_value_bytes";
    Ok(SignInWords {
        layout,
        check_value_bytes: u8::try_from(check_value_bytes)
            .map_err(|_| Error::FieldMalformed(field))?,
        data_key,
    })
}

fn dukpt_words(policy: pb::DukptPolicy) -> DukptWords {
    let pb::DukptPolicy {
        pin_key,
        mac_key,
        data_key,
        both_ways,
        replay_window,
    } = policy;
    DukptWords {
        pin_key,
        mac_key,
        data_key,
        both_ways,
        replay_window,
    }
}

/// Labels within bounds, each name once.
pub(super) fn labels(labels: &[pb::Label]) -> Result<Labels, Error> {
    let malformed = || Error::FieldMalformed("labels");
    let mut found = BTreeMap::new();
    for pb::Label { name, text } in labels {
        let name = KeyName::parse(name).map_err(|_| malformed())?;
        if found.insert(name, text.clone()).is_some() {
            return Err(malformed());
        }
    }
    Labels::new(found).map_err(|_| malformed())
}

/// A moment in whole seconds since 1970.
pub(super) fn moment(time: Option<Timestamp>, field: Field) -> Result<Option<u64>, Error> {
    let seconds = |time: Timestamp| u64::try_from(time.seconds);
    let moment = time.map(seconds).transpose();
    moment.map_err(|_| Error::FieldMalformed(field))
}

/// Everything about a version but its value.
pub(super) fn key_version(header: &Header) -> pb::KeyVersion {
    pb::KeyVersion {
        name: header.name.to_string(),
        version: header.version,
        spec: Some(key_spec(header)),
        state: state(header.state_at(crate::keys::act::now())).into(),
        origin: header.origin.to_string(),
        residence: residence(header.residence).into(),
        check_value: header
            .check_value
            .as_ref()
            .map(|value| value.bytes.clone())
            .unwrap_or_default(),
        created: Some(timestamp(header.created)),
        activates: header.activates.map(timestamp),
        destroys: header.destroys.map(timestamp),
        state_epoch: header.state_epoch,
        parent: header
            .parent
            .as_ref()
            .map(KeyName::to_string)
            .unwrap_or_default(),
        legacy: header.legacy,
        custodians: header.custodians.iter().map(KeyName::to_string).collect(),
        subject_public_key_info: header.public_key.clone().unwrap_or_default(),
    }
}

fn key_spec(header: &Header) -> pb::KeySpec {
    pb::KeySpec {
        name: header.name.to_string(),
        usage: String::from_utf8_lossy(&header.usage.code()).into_owned(),
        mode: char::from(header.mode.code()).to_string(),
        side: header.side.map(|side| side.to_string()).unwrap_or_default(),
        algorithm: header.algorithm.to_string(),
        exportable: header.exportability != Exportability::NonExportable,
        residence: residence(header.residence).into(),
        policy: Some(key_policy(&header.policy)),
        expires: header.expiry.map(timestamp),
        labels: header
            .labels
            .iter()
            .map(|(name, text)| pb::Label {
                name: name.to_string(),
                text: text.to_owned(),
            })
            .collect(),
    }
}

fn key_policy(policy: &KeyPolicy) -> pb::KeyPolicy {
    let words = policy.words();
    let PolicyWords {
        pin_inputs,
        pin_output,
        mac_scheme,
        mac_padding,
        mac_length,
        signature_scheme,
        weak,
        legacy_blocks_until,
        sm4_block_code,
        block_side,
        cryptogram_usages,
        data,
        track_layout,
        translate_only,
        sign_in,
        dukpt,
        pin_verification,
        alipay_content,
        encryption_scheme,
    } = words;
    let said = pin_verification != PinVerificationWords::default();
    pb::KeyPolicy {
        pin_inputs,
        pin_output,
        mac_scheme,
        mac_padding: mac_padding.into(),
        mac_length: mac_length.into(),
        signature_scheme,
        weak,
        legacy_blocks_until: legacy_blocks_until.map(timestamp),
        sm4_block_code,
        block_side,
        cryptogram_usages,
        data: data.map(data_rule),
        track_layout,
        translate_only,
        sign_in: sign_in.map(|words| pb::SignInPolicy {
            layout: words.layout,
            check_value_bytes: words.check_value_bytes.into(),
            data_key: words.data_key,
        }),
        dukpt: dukpt.map(|words| {
            let DukptWords {
                pin_key,
                mac_key,
                data_key,
                both_ways,
                replay_window,
            } = words;
            pb::DukptPolicy {
                pin_key,
                mac_key,
                data_key,
                both_ways,
                replay_window,
            }
        }),
        pin_verification: said.then(|| verification_policy(pin_verification)),
        alipay_content,
        encryption_scheme,
    }
}

fn verification_policy(words: PinVerificationWords) -> pb::PinVerificationPolicy {
    let PinVerificationWords {
        table,
        length,
        first,
        digits,
        pad,
        pvki,
    } = words;
    pb::PinVerificationPolicy {
        decimalisation_table: table,
        pin_length: length.into(),
        validation_first: first.into(),
        validation_digits: digits.into(),
        validation_pad: pad,
        pvki,
    }
}

fn data_rule(rule: DataWords) -> pb::DataRule {
    let DataWords {
        mode,
        padding,
        iv,
        tag_length,
    } = rule;
    pb::DataRule {
        mode,
        padding,
        iv,
        tag_length: tag_length.into(),
    }
}

fn state(state: State) -> pb::KeyState {
    match state {
        State::Pending => pb::KeyState::Pending,
        State::Active => pb::KeyState::Active,
        State::Retiring => pb::KeyState::Retiring,
        State::Disabled => pb::KeyState::Disabled,
        State::Destroying => pb::KeyState::Destroying,
        State::Destroyed => pb::KeyState::Destroyed,
    }
}
