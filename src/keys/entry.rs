//! One `[[key]]` entry of a template or import file: its TOML form, and how its words become a
//! [`KeySpec`]. Everything wrong with an entry is found at once, each thing with its field.
//!
//! Unknown fields are refused. Key values are looked at in `keys::import` alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::data;
use crate::domain::mac::{Padding, Rule, RuleError};
use crate::domain::unionpay::sign_in::Layout;
use crate::keys::attributes::{Algorithm, Exportability, Mode, Residence, Side, Usage};
use crate::keys::key_policy::verification::PinVerificationEntry;
use crate::keys::key_policy::vocabulary::{
    self, CONTENT_FORMS, DATA_MODES, DATA_PADDINGS, ENCRYPTIONS, FORMATS, IV_RULES, KEY_TYPES,
    LAYOUTS, MACS_BY_NAME, Named, SCHEMES, SIGNATURES, TRACK_LAYOUTS,
};
use crate::keys::key_policy::{DukptPolicy, FormatSet, KeyPolicy, UsageSet};
use crate::keys::key_ref::KeyName;
use crate::keys::spec::KeySpec;
use crate::limits::MAC_BYTES_MIN;
use crate::secret::Secret;

/// One entry as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct KeyEntry {
    pub(in crate::keys) name: String,
    usage: String,
    mode: String,
    side: Option<String>,
    algorithm: String,
    residence: Option<String>,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    weak: bool,
    pin: Option<PinEntry>,
    mac: Option<MacEntry>,
    signature: Option<SchemeEntry>,
    key_block: Option<KeyBlockEntry>,
    cryptogram: Option<CryptogramEntry>,
    data: Option<DataEntry>,
    track: Option<TrackEntry>,
    #[serde(default)]
    translate_only: bool,
    sign_in: Option<SignInEntry>,
    dukpt: Option<DukptEntry>,
    pin_verification: Option<PinVerificationEntry>,
    alipay_content: Option<AlipayContentEntry>,
    encryption: Option<SchemeEntry>,
    /// Import files only: the key in hex.
    pub(in crate::keys) value: Option<SecretText>,
    /// Import files only: a PEM file with the private key.
    pub(in crate::keys) pkcs8: Option<PathBuf>,
    /// Import files only: a file with a partner's public key, or its certificate.
    pub(in crate::keys) public_key: Option<PathBuf>,
    /// Import files only: the partner's check value in hex.
    pub(in crate::keys) check_value: Option<String>,
    /// Import files only: name and text of each.
    #[serde(default)]
    pub(in crate::keys) labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct PinEntry {
    #[serde(default)]
    pub(in crate::keys) inputs: Vec<String>,
    pub(in crate::keys) output: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct MacEntry {
    pub(in crate::keys) scheme: String,
    pub(in crate::keys) padding: Option<u8>,
    pub(in crate::keys) length: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct SchemeEntry {
    pub(in crate::keys) scheme: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct KeyBlockEntry {
    /// Blocks of versions A and C are taken until this day begins (UTC).
    pub(in crate::keys) legacy_until: Option<String>,
    /// The partner's algorithm code for SM4: one digit.
    pub(in crate::keys) sm4_code: Option<u8>,
    /// Which way the PIN keys face that come in a partner's blocks.
    pub(in crate::keys) side: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct CryptogramEntry {
    pub(in crate::keys) usages: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct SignInEntry {
    pub(in crate::keys) layout: String,
    /// Of layout SM4: bytes of check value after each key.
    #[serde(default)]
    pub(in crate::keys) check_value_bytes: u8,
    /// Of layouts SM4 and KEY_BLOCKS: whether a track key is made.
    #[serde(default)]
    pub(in crate::keys) data_key: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct DataEntry {
    pub(in crate::keys) mode: String,
    pub(in crate::keys) padding: Option<String>,
    /// Whose the IV is, for CBC and CTR.
    pub(in crate::keys) iv: Option<String>,
    pub(in crate::keys) tag_length: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct TrackEntry {
    pub(in crate::keys) layout: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct AlipayContentEntry {
    pub(in crate::keys) form: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct DukptEntry {
    pub(in crate::keys) pin: Option<String>,
    pub(in crate::keys) mac: Option<String>,
    pub(in crate::keys) data: Option<String>,
    #[serde(default)]
    pub(in crate::keys) both_ways: bool,
    pub(in crate::keys) replay_window: Option<u32>,
}

/// Text of a file that is wiped when dropped. What the parser copied on the way is not: values
/// stand in files of test environments only.
pub(in crate::keys) struct SecretText(pub(in crate::keys) Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// One thing wrong with one entry of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which `[[key]]` of the file, from 1.
    pub entry: usize,
    /// The entry's name, as it stands there.
    pub key: String,
    /// The field to mend.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// In words.
    Text(&'static str),
    /// Not one of these words.
    NotOneOf(Vec<&'static str>),
}

impl Fault {
    /// What is answered where nothing was found wrong and there is no key either.
    pub(in crate::keys) fn nameless() -> Self {
        Self {
            entry: 0,
            key: String::new(),
            field: "spec",
            why: Why::Text("no key"),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            entry,
            key,
            field,
            why,
        } = self;
        write!(formatter, "key {entry} ({key:?}), {field}: ")?;
        match why {
            Why::Text(text) => formatter.write_str(text),
            Why::NotOneOf(words) => write!(formatter, "not one of {}", words.join(", ")),
        }
    }
}

/// Collects what is wrong with one entry.
pub(in crate::keys) struct Faults<'a> {
    entry: usize,
    key: &'a str,
    found: &'a mut Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(in crate::keys) fn of(entry: usize, key: &'a str, found: &'a mut Vec<Fault>) -> Self {
        Self { entry, key, found }
    }

    pub(in crate::keys) fn add(&mut self, field: &'static str, why: &'static str) {
        self.push(field, Why::Text(why));
    }

    fn push(&mut self, field: &'static str, why: Why) {
        let (entry, key) = (self.entry, self.key.to_owned());
        self.found.push(Fault {
            entry,
            key,
            field,
            why,
        });
    }

    pub(in crate::keys) fn word<T>(
        &mut self,
        field: &'static str,
        found: Option<T>,
        words: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        if found.is_none() {
            self.push(field, Why::NotOneOf(words.collect()));
        }
        found
    }

    fn named<T: Copy + PartialEq>(
        &mut self,
        field: &'static str,
        word: &str,
        table: &'static [Named<T>],
    ) -> Option<T> {
        self.word(field, Named::of_word(table, word), Named::words(table))
    }
}

/// Reads an attribute's word, or notes that it is none.
macro_rules! attribute {
    ($faults:expr, $field:literal, $kind:ty, $word:expr) => {
        $faults.word(
            $field,
            <$kind>::from_word($word),
            <$kind>::ALL.iter().map(|value| value.word()),
        )
    };
}

impl KeyEntry {
    /// The key that this entry asks for; none, with the reasons in `faults`, where it makes none.
    pub(in crate::keys) fn spec(&self, faults: &mut Faults<'_>) -> Option<KeySpec> {
        let name = KeyName::parse(&self.name).ok();
        if name.is_none() {
            faults.add("name", "a name is [a-z0-9][a-z0-9._-]{0,62}");
        }
        let usage = attribute!(faults, "usage", Usage, &self.usage);
        let mode = attribute!(faults, "mode", Mode, &self.mode);
        let side = match &self.side {
            Some(word) => attribute!(faults, "side", Side, word).map(Some),
            None => Some(None),
        };
        let algorithm = attribute!(faults, "algorithm", Algorithm, &self.algorithm);
        let residence = match &self.residence {
            Some(word) => attribute!(faults, "residence", Residence, word),
            None => usage
                .zip(algorithm)
                .map(|(usage, algorithm)| usage.usual_residence(mode, algorithm)),
        };
        let policy = self.policies().read(faults);
        let exportability = match self.exportable {
            true => Exportability::Exportable,
            false => Exportability::NonExportable,
        };
        let spec = KeySpec {
            name: name?,
            usage: usage?,
            mode: mode?,
            side: side?,
            algorithm: algorithm?,
            exportability,
            residence: residence?,
            policy: policy?,
        };
        let spec_faults = spec.faults();
        spec_faults
            .iter()
            .for_each(|fault| faults.add(fault.field, fault.why));
        spec_faults.is_empty().then_some(spec)
    }

    fn policies(&self) -> PolicyEntries<'_> {
        PolicyEntries {
            weak: self.weak,
            pin: self.pin.as_ref(),
            mac: self.mac.as_ref(),
            signature: self.signature.as_ref(),
            key_block: self.key_block.as_ref(),
            cryptogram: self.cryptogram.as_ref(),
            data: self.data.as_ref(),
            track: self.track.as_ref(),
            translate_only: self.translate_only,
            sign_in: self.sign_in.as_ref(),
            dukpt: self.dukpt.as_ref(),
            pin_verification: self.pin_verification.as_ref(),
            alipay_content: self.alipay_content.as_ref(),
            encryption: self.encryption.as_ref(),
        }
    }
}

/// The entries of which a policy is made, from wherever.
pub(in crate::keys) struct PolicyEntries<'a> {
    pub(in crate::keys) weak: bool,
    pub(in crate::keys) pin: Option<&'a PinEntry>,
    pub(in crate::keys) mac: Option<&'a MacEntry>,
    pub(in crate::keys) signature: Option<&'a SchemeEntry>,
    pub(in crate::keys) key_block: Option<&'a KeyBlockEntry>,
    pub(in crate::keys) cryptogram: Option<&'a CryptogramEntry>,
    pub(in crate::keys) data: Option<&'a DataEntry>,
    pub(in crate::keys) track: Option<&'a TrackEntry>,
    pub(in crate::keys) translate_only: bool,
    pub(in crate::keys) sign_in: Option<&'a SignInEntry>,
    pub(in crate::keys) dukpt: Option<&'a DukptEntry>,
    pub(in crate::keys) pin_verification: Option<&'a PinVerificationEntry>,
    pub(in crate::keys) alipay_content: Option<&'a AlipayContentEntry>,
    pub(in crate::keys) encryption: Option<&'a SchemeEntry>,
}

impl PolicyEntries<'_> {
    /// The policy; none, with the reasons in `faults`, where a word or a number is none.
    pub(in crate::keys) fn read(&self, faults: &mut Faults<'_>) -> Option<KeyPolicy> {
        let mut policy = KeyPolicy {
            weak: self.weak,
            translate_only: self.translate_only,
            ..KeyPolicy::default()
        };
        let mut complete = true;
        if let Some(pin) = &self.pin {
            let inputs: Option<FormatSet> = pin
                .inputs
                .iter()
                .map(|word| faults.named("pin.inputs", word, FORMATS))
                .collect();
            complete &= inputs.is_some();
            policy.pin_inputs = inputs.unwrap_or_default();
            if let Some(word) = &pin.output {
                policy.pin_output = faults.named("pin.output", word, FORMATS);
                complete &= policy.pin_output.is_some();
            }
        }
        if let Some(mac) = &self.mac {
            policy.mac = mac.rule(faults);
            complete &= policy.mac.is_some();
        }
        if let Some(signature) = &self.signature {
            policy.signature = faults.named("signature.scheme", &signature.scheme, SIGNATURES);
            complete &= policy.signature.is_some();
        }
        if let Some(block) = &self.key_block {
            complete &= block.read(&mut policy, faults);
        }
        if let Some(cryptogram) = &self.cryptogram {
            let usages: Option<UsageSet> = cryptogram
                .usages
                .iter()
                .map(|word| {
                    let found = Usage::of_code_or_word(word);
                    let words = Usage::ALL.iter().map(|usage| usage.word());
                    faults.word("cryptogram.usages", found, words)
                })
                .collect();
            complete &= usages.is_some();
            policy.cryptograms = usages.unwrap_or_default();
        }
        if let Some(sign_in) = &self.sign_in {
            policy.sign_in = sign_in.read(faults);
            complete &= policy.sign_in.is_some();
        }
        if let Some(dukpt) = &self.dukpt {
            policy.dukpt = dukpt.read(faults);
            complete &= policy.dukpt.is_some();
        }
        if let Some(verification) = &self.pin_verification {
            policy.pin_verification = verification.read(faults);
            complete &= policy.pin_verification.is_some();
        }
        complete &= self.read_encryption(&mut policy, faults);
        complete.then_some(policy)
    }

    /// How data, tracks, content and fields are encrypted; false, with the reasons in `faults`, where that
    /// is wrong.
    fn read_encryption(&self, policy: &mut KeyPolicy, faults: &mut Faults<'_>) -> bool {
        let mut complete = true;
        if let Some(data) = &self.data {
            policy.data = data.rule(faults);
            complete &= policy.data.is_some();
        }
        if let Some(track) = &self.track {
            policy.track = faults.named("track.layout", &track.layout, TRACK_LAYOUTS);
            complete &= policy.track.is_some();
        }
        if let Some(content) = &self.alipay_content {
            let form = faults.named("alipay_content.form", &content.form, CONTENT_FORMS);
            policy.alipay_content = form;
            complete &= form.is_some();
        }
        if let Some(encryption) = &self.encryption {
            let scheme = faults.named("encryption.scheme", &encryption.scheme, ENCRYPTIONS);
            policy.encryption = scheme;
            complete &= scheme.is_some();
        }
        complete
    }
}

impl SignInEntry {
    fn read(&self, faults: &mut Faults<'_>) -> Option<Layout> {
        let form = faults.named("sign_in.layout", &self.layout, LAYOUTS)?;
        let layout = vocabulary::layout(form, self.check_value_bytes, self.data_key);
        if layout.is_none() {
            faults.add(
                "sign_in",
                "SM4 has 3 to 8 check_value_bytes, SM4 and KEY_BLOCKS say data_key; other layouts \
                 say neither",
            );
        }
        layout
    }
}

impl DataEntry {
    fn rule(&self, faults: &mut Faults<'_>) -> Option<data::Rule> {
        let mode = faults.named("data.mode", &self.mode, DATA_MODES);
        let padding = match &self.padding {
            None => Some(data::Padding::Whole),
            Some(word) => faults.named("data.padding", word, DATA_PADDINGS),
        };
        let iv = match &self.iv {
            None => Some(None),
            Some(word) => faults.named("data.iv", word, IV_RULES),
        };
        let rule = data::Rule::new(mode?, padding?, iv?, self.tag_length.unwrap_or_default());
        match rule {
            Ok(rule) => Some(rule),
            Err(error) => {
                match error {
                    data::RuleError::Padding => {
                        faults.add("data.padding", "only ECB and CBC are padded");
                    }
                    data::RuleError::Iv => faults.add(
                        "data.iv",
                        "CBC and CTR say whose the IV is, CTR not ZERO; ECB and GCM do not",
                    ),
                    data::RuleError::Tag => {
                        faults.add("data.tag_length", "12 to 16 bytes for GCM, none for others");
                    }
                }
                None
            }
        }
    }
}

impl KeyBlockEntry {
    /// Reads what it says into `policy`; false, with the reasons in `faults`, where it is wrong.
    fn read(&self, policy: &mut KeyPolicy, faults: &mut Faults<'_>) -> bool {
        let found = faults.found.len();
        if let Some(day) = &self.legacy_until {
            policy.legacy_blocks_until = beginning_of(day);
            if policy.legacy_blocks_until.is_none() {
                faults.add("key_block.legacy_until", "a day is written yyyy-mm-dd");
            }
        }
        match self.sm4_code {
            Some(digit @ 0..=9) => policy.sm4_block_code = Some(b'0' + digit),
            Some(_) => faults.add("key_block.sm4_code", "one digit: 0 to 9"),
            None => {}
        }
        if let Some(side) = &self.side {
            policy.block_side = attribute!(faults, "key_block.side", Side, side);
        }
        faults.found.len() == found
    }
}

impl DukptEntry {
    /// The policy; none, with the reasons in `faults`, where a word is none.
    fn read(&self, faults: &mut Faults<'_>) -> Option<DukptPolicy> {
        let mut key = |field, word: &Option<String>| match word {
            None => Some(None),
            Some(word) => faults.named(field, word, KEY_TYPES).map(Some),
        };
        let (pin_key, mac_key) = (key("dukpt.pin", &self.pin), key("dukpt.mac", &self.mac));
        let data_key = key("dukpt.data", &self.data);
        Some(DukptPolicy {
            pin_key: pin_key?,
            mac_key: mac_key?,
            data_key: data_key?,
            both_ways: self.both_ways,
            replay_window: self.replay_window,
        })
    }
}

/// The first second of a day, UTC, since 1970.
fn beginning_of(day: &str) -> Option<u64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    let midnight = jiff::tz::TimeZone::UTC
        .to_timestamp(day.at(0, 0, 0, 0))
        .ok()?;
    u64::try_from(midnight.as_second()).ok()
}

impl MacEntry {
    fn rule(&self, faults: &mut Faults<'_>) -> Option<Rule> {
        let by_name = MACS_BY_NAME.iter().find(|(name, ..)| *name == self.scheme);
        let scheme = match by_name {
            Some((_, scheme, _)) => Some(*scheme),
            None => {
                let words =
                    Named::words(SCHEMES).chain(MACS_BY_NAME.iter().map(|(name, ..)| *name));
                faults.word("mac.scheme", Named::of_word(SCHEMES, &self.scheme), words)
            }
        };
        let padding = match self.padding {
            None => Some(by_name.map(|(_, _, padding)| *padding)),
            Some(1) => Some(Some(Padding::Method1)),
            Some(2) => Some(Some(Padding::Method2)),
            Some(3) => Some(Some(Padding::Method3)),
            Some(_) => None,
        };
        if padding.is_none() {
            faults.add("mac.padding", "an ISO 9797-1 padding method: 1, 2 or 3");
        }
        let fixed = by_name.map(|(_, _, padding)| *padding);
        if fixed.is_some() && padding.is_some_and(|padding| padding != fixed) {
            faults.add("mac.padding", "the standard of this name has padding 1");
            return None;
        }
        if self.scheme == "X9_9" && usize::from(self.length) != MAC_BYTES_MIN {
            faults.add("mac.length", "X9.9 has 4 bytes");
            return None;
        }
        match Rule::new(scheme?, padding?, self.length) {
            Ok(rule) => Some(rule),
            Err(RuleError::Padding) => {
                faults.add(
                    "mac.padding",
                    "ISO 9797-1 schemes need one, others have none",
                );
                None
            }
            Err(RuleError::Length) => {
                faults.add("mac.length", "not a length of this scheme");
                None
            }
        }
    }
}
