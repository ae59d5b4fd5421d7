//! A key as a caller asks for it, in words and codes, and how they become a [`KeySpec`] or what an
//! import asks for. The words are those of templates (`keys::entry`), and so are the faults.
//!
//! The first fault is the answer: unlike a file, a request is mended one thing at a time.

use crate::domain::unionpay::sign_in::Layout;
use crate::keys::attributes::{Algorithm, Mode, Residence, Side, Usage};
use crate::keys::entry::{
    AlipayContentEntry, CryptogramEntry, DataEntry, DukptEntry, Fault, Faults, KeyBlockEntry,
    MacEntry, PinEntry, PolicyEntries, SchemeEntry, SignInEntry, TrackEntry,
};
use crate::keys::exchange::Wanted;
use crate::keys::key_policy::vocabulary::{self, LAYOUTS, Named, form};
use crate::keys::key_policy::{DukptWords, KeyPolicy, PinVerificationWords};
use crate::keys::key_ref::KeyName;
use crate::keys::spec::KeySpec;

/// A key in words. An empty word says nothing.
#[derive(Clone, Debug, Default)]
pub struct KeyWords {
    /// Its name.
    pub name: String,
    /// Two characters of X9.143, or the word.
    pub usage: String,
    /// One character of X9.143, or the word.
    pub mode: String,
    /// Which way it faces.
    pub side: String,
    /// Algorithm and length.
    pub algorithm: String,
    /// Whether it may leave.
    pub exportable: bool,
    /// Where it is used; none is the usual place.
    pub residence: Option<Residence>,
    /// Its policy.
    pub policy: PolicyWords,
}

/// A policy in words.
#[derive(Clone, Debug, Default)]
pub struct PolicyWords {
    /// PIN block formats it may decrypt.
    pub pin_inputs: Vec<String>,
    /// The one it encrypts.
    pub pin_output: String,
    /// Its MAC scheme.
    pub mac_scheme: String,
    /// Its padding method; 0 for none.
    pub mac_padding: u8,
    /// Its MAC's length, bytes.
    pub mac_length: u8,
    /// Its signature scheme.
    pub signature_scheme: String,
    /// What is weak about it is accepted.
    pub weak: bool,
    /// Until when old block versions are taken, seconds since 1970.
    pub legacy_blocks_until: Option<u64>,
    /// The partner's digit for SM4; empty for none.
    pub sm4_block_code: String,
    /// Which way the PIN keys face that come in a partner's blocks; empty where none do.
    pub block_side: String,
    /// The usages under a key-encryption key.
    pub cryptogram_usages: Vec<String>,
    /// How it encrypts data.
    pub data: Option<DataWords>,
    /// How it enciphers tracks.
    pub track_layout: String,
    /// What is under it may be translated only.
    pub translate_only: bool,
    /// What a terminal signs in to.
    pub sign_in: Option<SignInWords>,
    /// What a base derivation key derives.
    pub dukpt: Option<DukptWords>,
    /// How a PIN verification key verifies.
    pub pin_verification: PinVerificationWords,
    /// How it encrypts what goes to Alipay; empty where it is not for that.
    pub alipay_content: String,
    /// How sensitive fields are encrypted to it; empty where they are not.
    pub encryption_scheme: String,
}

/// A data rule in words.
#[derive(Clone, Debug, Default)]
pub struct DataWords {
    /// The mode.
    pub mode: String,
    /// The padding; empty for none.
    pub padding: String,
    /// Whose the IV is; empty where the mode says it.
    pub iv: String,
    /// Bytes of the tag; 0 where the mode has none.
    pub tag_length: u8,
}

/// A sign-in's layout in words.
#[derive(Clone, Debug, Default)]
pub struct SignInWords {
    /// Its name.
    pub layout: String,
    /// Bytes of check value, where the layout does not say.
    pub check_value_bytes: u8,
    /// Whether a track key is made, where the layout does not say.
    pub data_key: bool,
}

impl SignInWords {
    pub(in crate::keys) fn of(layout: Layout) -> Self {
        let (check_value_bytes, data_key) = vocabulary::numbers(layout);
        Self {
            layout: Named::word_of(LAYOUTS, form(layout)).to_owned(),
            check_value_bytes,
            data_key,
        }
    }
}

impl KeyWords {
    /// The key that is asked for.
    ///
    /// # Errors
    /// The first fault, with its field.
    pub fn spec(&self) -> Result<KeySpec, Fault> {
        let wanted = self.wanted()?;
        self.without_fault(|faults| {
            let missing = |faults: &mut Faults<'_>, field| faults.add(field, "must be said");
            let (Some(usage), Some(mode), Some(algorithm)) =
                (wanted.usage, wanted.mode, wanted.algorithm)
            else {
                let missed = [
                    ("usage", wanted.usage.is_none()),
                    ("mode", wanted.mode.is_none()),
                    ("algorithm", wanted.algorithm.is_none()),
                ];
                let missed = missed.into_iter().filter(|(_, missed)| *missed);
                missed.for_each(|(field, _)| missing(faults, field));
                return None;
            };
            let spec = wanted.complete(usage, mode, algorithm);
            let found = spec.faults();
            found
                .iter()
                .for_each(|fault| faults.add(fault.field, fault.why));
            Some(spec)
        })
    }

    /// What an import asks for; usage, mode and algorithm may be left to what comes in.
    ///
    /// # Errors
    /// The first fault, with its field.
    pub fn wanted(&self) -> Result<Wanted, Fault> {
        self.without_fault(|faults| {
            let name = KeyName::parse(&self.name).ok();
            if name.is_none() {
                faults.add("name", "a name is [a-z0-9][a-z0-9._-]{0,62}");
            }
            let usage = of_word(faults, "usage", &self.usage, Usage::of_code_or_word, || {
                Usage::ALL.iter().map(|usage| usage.word()).collect()
            });
            let mode = of_word(faults, "mode", &self.mode, Mode::of_code_or_word, || {
                Mode::ALL.iter().map(|mode| mode.word()).collect()
            });
            let side = of_word(faults, "side", &self.side, Side::from_word, || {
                Side::ALL.iter().map(|side| side.word()).collect()
            });
            let algorithm = of_word(
                faults,
                "algorithm",
                &self.algorithm,
                Algorithm::from_word,
                || {
                    Algorithm::ALL
                        .iter()
                        .map(|algorithm| algorithm.word())
                        .collect()
                },
            );
            Some(Wanted {
                name: name?,
                usage,
                mode,
                side,
                algorithm,
                exportable: self.exportable,
                residence: self.residence,
                policy: self.policy.read(faults)?,
            })
        })
    }

    fn without_fault<T>(
        &self,
        read: impl FnOnce(&mut Faults<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        let mut found = Vec::new();
        let mut faults = Faults::of(1, &self.name, &mut found);
        let value = read(&mut faults);
        match (value, found.into_iter().next()) {
            (Some(value), None) => Ok(value),
            (_, Some(fault)) => Err(fault),
            (None, None) => Err(Fault::nameless()),
        }
    }
}

impl PolicyWords {
    fn read(&self, faults: &mut Faults<'_>) -> Option<KeyPolicy> {
        let some = |word: &String| (!word.is_empty()).then(|| word.clone());
        let pin = PinEntry {
            inputs: self.pin_inputs.clone(),
            output: some(&self.pin_output),
        };
        let mac = some(&self.mac_scheme).map(|scheme| MacEntry {
            scheme,
            padding: (self.mac_padding != 0).then_some(self.mac_padding),
            length: self.mac_length,
        });
        let signature = some(&self.signature_scheme).map(|scheme| SchemeEntry { scheme });
        let sm4_code = match self.sm4_block_code.as_bytes() {
            [] => None,
            // What is no digit becomes a number that is none either.
            [digit] => Some(digit.wrapping_sub(b'0')),
            _ => Some(u8::MAX),
        };
        let key_block = KeyBlockEntry {
            legacy_until: None,
            sm4_code,
            side: (!self.block_side.is_empty()).then(|| self.block_side.clone()),
        };
        let cryptogram = CryptogramEntry {
            usages: self.cryptogram_usages.clone(),
        };
        let data = self.data.as_ref().map(|words| DataEntry {
            mode: words.mode.clone(),
            padding: some(&words.padding),
            iv: some(&words.iv),
            tag_length: (words.tag_length != 0).then_some(words.tag_length),
        });
        let track = some(&self.track_layout).map(|layout| TrackEntry { layout });
        let sign_in = self.sign_in.as_ref().map(|words| SignInEntry {
            layout: words.layout.clone(),
            check_value_bytes: words.check_value_bytes,
            data_key: words.data_key,
        });
        let dukpt = self.dukpt.as_ref().map(|words| DukptEntry {
            pin: some(&words.pin_key),
            mac: some(&words.mac_key),
            data: some(&words.data_key),
            both_ways: words.both_ways,
            replay_window: words.replay_window,
        });
        let pin_verification = self.pin_verification.entry();
        let alipay_content = some(&self.alipay_content).map(|form| AlipayContentEntry { form });
        let encryption = some(&self.encryption_scheme).map(|scheme| SchemeEntry { scheme });
        let entries = PolicyEntries {
            weak: self.weak,
            pin: Some(&pin),
            mac: mac.as_ref(),
            signature: signature.as_ref(),
            key_block: Some(&key_block),
            cryptogram: Some(&cryptogram),
            data: data.as_ref(),
            track: track.as_ref(),
            translate_only: self.translate_only,
            sign_in: sign_in.as_ref(),
            dukpt: dukpt.as_ref(),
            pin_verification: pin_verification.as_ref(),
            alipay_content: alipay_content.as_ref(),
            encryption: encryption.as_ref(),
        };
        let mut policy = entries.read(faults)?;
        policy.legacy_blocks_until = self.legacy_blocks_until;
        Some(policy)
    }
}

/// Reads a word; an empty one says nothing, one that is none is a fault.
fn of_word<T>(
    faults: &mut Faults<'_>,
    field: &'static str,
    word: &str,
    read: fn(&str) -> Option<T>,
    words: impl FnOnce() -> Vec<&'static str>,
) -> Option<T> {
    if word.is_empty() {
        return None;
    }
    faults.word(field, read(word), words().into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> KeyWords {
        KeyWords {
            name: "zpk".to_owned(),
            usage: "P0".to_owned(),
            mode: "E".to_owned(),
            side: "zone".to_owned(),
            algorithm: "AES-128".to_owned(),
            policy: PolicyWords {
                pin_output: "ISO_4".to_owned(),
                ..PolicyWords::default()
            },
            ..KeyWords::default()
        }
    }

    fn fault(change: impl FnOnce(&mut KeyWords)) -> &'static str {
        let mut words = words();
        change(&mut words);
        words.spec().expect_err("this must be refused").field
    }

    #[test]
    fn codes_and_words_mean_the_same_key() {
        let by_code = words().spec().unwrap();
        let by_word = KeyWords {
            usage: "pin_encryption".to_owned(),
            mode: "encrypt".to_owned(),
            ..words()
        };
        assert_eq!(by_word.spec().unwrap(), by_code);
        assert_eq!(by_code.residence, Residence::Process);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        assert_eq!(fault(|words| words.name = "ZPK".to_owned()), "name");
        assert_eq!(fault(|words| words.usage = "P9".to_owned()), "usage");
        assert_eq!(fault(|words| words.usage.clear()), "usage");
        assert_eq!(fault(|words| words.mode = "Q".to_owned()), "mode");
        assert_eq!(fault(|words| words.side.clear()), "side");
        assert_eq!(
            fault(|words| words.algorithm = "SM2".to_owned()),
            "algorithm"
        );
        assert_eq!(
            fault(|words| words.policy.pin_output = "ISO_0".to_owned()),
            "pin.output"
        );
        assert_eq!(fault(|words| words.policy.weak = true), "weak");
        for code in ["x", "12", ":"] {
            let field = fault(|words| words.policy.sm4_block_code = code.to_owned());
            assert_eq!(field, "key_block.sm4_code", "{code}");
        }
    }

    /// Key mode and algorithm; what the policy says besides, the data rule's words and tag; the
    /// fault's field.
    type Case = (
        [&'static str; 2],
        &'static str,
        [&'static str; 3],
        u8,
        &'static str,
    );

    #[rustfmt::skip]
    const DATA_KEYS: &[Case] = &[
        (["B", "SM4"], "", ["GCM", "", ""], 16, ""),
        (["B", "AES-128"], "", ["CTR", "", "RANDOM"], 0, ""),
        (["B", "TDES-2"], "", ["CBC", "", "RANDOM"], 0, ""),
        (["E", "TDES-2"], "", ["CBC", "PKCS7", "RANDOM"], 0, ""),
        (["D", "SM4"], "translate", ["GCM", "", ""], 12, ""),
        (["D", "SM4"], "track", ["", "", ""], 0, ""),
        (["B", "SM4"], "weak", ["ECB", "", ""], 0, ""),
        (["B", "SM4"], "weak", ["CBC", "PKCS7", "ZERO"], 0, ""),
        (["B", "SM4"], "", ["ECB", "", ""], 0, "weak"),
        (["B", "SM4"], "", ["CTR", "", "CALLER"], 0, "weak"),
        (["D", "SM4"], "", ["CBC", "PKCS7", "RANDOM"], 0, "weak"),
        (["B", "SM4"], "weak", ["GCM", "", ""], 16, "weak"),
        (["B", "SM4"], "", ["CFB", "", ""], 0, "data.mode"),
        (["B", "TDES-2"], "", ["GCM", "", ""], 16, "data.mode"),
        (["B", "SM4"], "", ["CTR", "PKCS7", "RANDOM"], 0, "data.padding"),
        (["B", "SM4"], "", ["CTR", "", "ZERO"], 0, "data.iv"),
        (["B", "SM4"], "", ["CBC", "", ""], 0, "data.iv"),
        (["B", "SM4"], "", ["GCM", "", "RANDOM"], 16, "data.iv"),
        (["B", "SM4"], "", ["GCM", "", ""], 8, "data.tag_length"),
        (["E", "SM4"], "translate", ["GCM", "", ""], 16, "translate_only"),
        (["D", "SM4"], "translate", ["", "", ""], 0, "translate_only"),
        (["D", "SM4"], "track", ["GCM", "", ""], 16, "track"),
        (["D", "AES-128"], "track", ["", "", ""], 0, "track.layout"),
    ];

    #[test]
    fn a_data_rule_that_is_none_or_weak_in_silence_is_named_by_its_field() {
        for ([mode, algorithm], also, [data, padding, iv], tag_length, field) in DATA_KEYS {
            let rule = DataWords {
                mode: (*data).to_owned(),
                padding: (*padding).to_owned(),
                iv: (*iv).to_owned(),
                tag_length: *tag_length,
            };
            let track = if *also == "track" {
                "UNIONPAY_WHOLE"
            } else {
                ""
            };
            let words = KeyWords {
                name: "dek".to_owned(),
                usage: "D0".to_owned(),
                mode: (*mode).to_owned(),
                algorithm: (*algorithm).to_owned(),
                policy: PolicyWords {
                    data: (!data.is_empty()).then_some(rule),
                    weak: *also == "weak",
                    translate_only: *also == "translate",
                    track_layout: track.to_owned(),
                    ..PolicyWords::default()
                },
                ..KeyWords::default()
            };
            match words.spec() {
                Err(fault) => assert_eq!(fault.field, *field, "{words:?}"),
                Ok(spec) => {
                    assert_eq!("", *field, "{words:?}");
                    let policy = spec.policy.words();
                    let again = KeyWords { policy, ..words };
                    assert_eq!(again.spec().unwrap(), spec);
                }
            }
        }
    }

    /// Usage, mode, algorithm and form; whether it is accepted as weak, whether it has a mode too; the
    /// field at fault.
    type ContentCase = ([&'static str; 4], [bool; 2], &'static str);

    #[rustfmt::skip]
    const CONTENT_KEYS: &[ContentCase] = &[
        (["D0", "B", "AES-128", "AES"], [true, false], ""),
        (["D0", "E", "AES-128", "AES"], [true, false], ""),
        (["D0", "B", "AES-128", "AES_V2"], [true, false], ""),
        (["D0", "E", "AES-128", "AES_V2"], [false, false], ""),
        (["D0", "B", "SM4", "SM4"], [false, false], ""),
        (["D0", "B", "AES-128", "AES"], [false, false], "weak"),
        (["D0", "D", "AES-128", "AES_V2"], [false, false], "weak"),
        (["D0", "B", "SM4", "SM4"], [true, false], "weak"),
        (["D0", "B", "AES-256", "AES"], [true, false], "alipay_content.form"),
        (["D0", "B", "SM4", "AES"], [true, false], "alipay_content.form"),
        (["D0", "B", "AES-128", "SM4"], [false, false], "alipay_content.form"),
        (["D0", "B", "AES-128", "AES_GCM"], [false, false], "alipay_content.form"),
        (["D0", "B", "SM4", "SM4"], [false, true], "alipay_content"),
        (["K1", "B", "AES-128", "AES"], [true, false], "alipay_content"),
    ];

    #[test]
    fn a_content_key_is_of_its_forms_cipher_and_for_nothing_else() {
        for ([usage, mode, algorithm, form], [weak, also_data], field) in CONTENT_KEYS {
            let words = KeyWords {
                name: "content".to_owned(),
                usage: (*usage).to_owned(),
                mode: (*mode).to_owned(),
                algorithm: (*algorithm).to_owned(),
                policy: PolicyWords {
                    alipay_content: (*form).to_owned(),
                    weak: *weak,
                    data: also_data.then(|| DataWords {
                        mode: "GCM".to_owned(),
                        tag_length: 16,
                        ..DataWords::default()
                    }),
                    ..PolicyWords::default()
                },
                ..KeyWords::default()
            };
            match words.spec() {
                Err(fault) => assert_eq!(fault.field, *field, "{words:?}"),
                Ok(spec) => {
                    assert_eq!("", *field, "{words:?}");
                    let policy = spec.policy.words();
                    let again = KeyWords { policy, ..words };
                    assert_eq!(again.spec().unwrap(), spec);
                }
            }
        }
    }

    #[test]
    fn an_import_may_leave_attributes_to_the_block() {
        let mut words = words();
        words.usage.clear();
        words.mode.clear();
        words.algorithm.clear();
        let wanted = words.wanted().unwrap();
        assert_eq!(
            (wanted.usage, wanted.mode, wanted.algorithm),
            (None, None, None)
        );
        assert_eq!(wanted.side, Some(Side::Zone));
    }
}
