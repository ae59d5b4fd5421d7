//! What one key's own policy says, inside its sealed header as canonical TLV: the formats of its
//! PIN blocks, its MAC rule, its signature scheme, its data rule or track layout, and whether
//! somebody wrote `weak = true`.
//!
//! A caller chooses none of these. Whether a policy fits its key's attributes is checked in
//! `keys::spec` before the key is made; what a grant allows is checked in `keys::policy`.

use crate::domain::alipay::SignType;
use crate::domain::alipay::content::ContentForm;
use crate::domain::data;
use crate::domain::mac;
use crate::domain::pin_block::Format;
use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::track;
use crate::domain::unionpay::sign_in::Layout;
use crate::keys::attributes::{Side, Usage};
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::keys::words::{DataWords, PolicyWords, SignInWords};

mod dukpt;
pub(in crate::keys) mod verification;
pub(in crate::keys) mod vocabulary;

pub use self::dukpt::{DukptPolicy, DukptWords};
pub use self::verification::{PinVerification, PinVerificationWords};
use self::vocabulary::{
    CONTENT_FORMS, DATA_MODES, DATA_PADDINGS, ENCRYPTIONS, FORMATS, IV_RULES, LAYOUTS, Named,
    PADDINGS, SCHEMES, SIGNATURES, TRACK_LAYOUTS, form,
};
pub use self::vocabulary::{FormatSet, UsageSet};

/// The policy of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPolicy {
    /// PIN block formats this key may decrypt.
    pub pin_inputs: FormatSet,
    /// The one PIN block format this key encrypts.
    pub pin_output: Option<Format>,
    /// How this key makes MACs.
    pub mac: Option<mac::Rule>,
    /// How this key signs.
    pub signature: Option<SignType>,
    /// Somebody accepted, in words, what is weak about this key.
    pub weak: bool,
    /// A key-block protection key takes blocks of versions A and C until then, seconds since 1970.
    pub legacy_blocks_until: Option<u64>,
    /// The algorithm code that the partner of a key-block protection key gave SM4: X9.143 has none.
    pub sm4_block_code: Option<u8>,
    /// Which way the PIN keys face that come in a partner's blocks under a key-block protection key;
    /// its formats and its MAC rule are theirs.
    pub block_side: Option<Side>,
    /// The usages of the bare cryptograms that come in under a key-encryption key.
    pub cryptograms: UsageSet,
    /// How this key encrypts data.
    pub data: Option<data::Rule>,
    /// How this key enciphers tracks.
    pub track: Option<track::Layout>,
    /// What is under this key may be put under another, but its clear text never comes out.
    pub translate_only: bool,
    /// What a terminal signs in to under this key. Its PIN key's formats and its MAC key's rule are
    /// this policy's.
    pub sign_in: Option<Layout>,
    /// What a base derivation key derives; of a key-block protection key, what those in a partner's
    /// blocks do.
    pub dukpt: Option<DukptPolicy>,
    /// How a PIN verification key verifies.
    pub pin_verification: Option<PinVerification>,
    /// How this key encrypts what goes to Alipay and comes from there; it is for nothing else.
    pub alipay_content: Option<ContentForm>,
    /// How sensitive fields are encrypted to this key.
    pub encryption: Option<EncryptionScheme>,
}

impl KeyPolicy {
    /// The policy in words, as it would be asked for.
    pub fn words(&self) -> PolicyWords {
        let word = |word: Option<&'static str>| word.unwrap_or_default().to_owned();
        let scheme = self.mac.map(|rule| Named::word_of(SCHEMES, rule.scheme));
        let padding = self.mac.map(|rule| Named::code_of(PADDINGS, rule.padding));
        let code = |usage: Usage| String::from_utf8_lossy(&usage.code()).into_owned();
        PolicyWords {
            pin_inputs: self
                .pin_inputs
                .iter()
                .map(|format| Named::word_of(FORMATS, format).to_owned())
                .collect(),
            pin_output: word(
                self.pin_output
                    .map(|format| Named::word_of(FORMATS, format)),
            ),
            mac_scheme: word(scheme),
            mac_padding: padding.unwrap_or_default(),
            mac_length: self.mac.map(|rule| rule.length).unwrap_or_default(),
            signature_scheme: word(
                self.signature
                    .map(|scheme| Named::word_of(SIGNATURES, scheme)),
            ),
            weak: self.weak,
            legacy_blocks_until: self.legacy_blocks_until,
            sm4_block_code: self
                .sm4_block_code
                .map(|code| char::from(code).to_string())
                .unwrap_or_default(),
            block_side: word(self.block_side.map(Side::word)),
            cryptogram_usages: self.cryptograms.iter().map(code).collect(),
            data: self.data.map(|rule| DataWords {
                mode: Named::word_of(DATA_MODES, rule.mode()).to_owned(),
                padding: Named::word_of(DATA_PADDINGS, rule.padding()).to_owned(),
                iv: word(rule.iv().map(|iv| Named::word_of(IV_RULES, Some(iv)))),
                tag_length: rule.tag_bytes(),
            }),
            track_layout: word(
                self.track
                    .map(|layout| Named::word_of(TRACK_LAYOUTS, layout)),
            ),
            translate_only: self.translate_only,
            sign_in: self.sign_in.map(SignInWords::of),
            dukpt: self.dukpt.as_ref().map(DukptPolicy::words),
            pin_verification: self
                .pin_verification
                .as_ref()
                .map(PinVerification::words)
                .unwrap_or_default(),
            alipay_content: word(
                self.alipay_content
                    .map(|form| Named::word_of(CONTENT_FORMS, form)),
            ),
            encryption_scheme: word(
                self.encryption
                    .map(|scheme| Named::word_of(ENCRYPTIONS, scheme)),
            ),
        }
    }

    pub(in crate::keys) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let inputs: Vec<u8> = self
            .pin_inputs
            .iter()
            .map(|format| Named::code_of(FORMATS, format))
            .collect();
        if !inputs.is_empty() {
            writer.put(TAG_PIN_INPUTS, &inputs);
        }
        if let Some(format) = self.pin_output {
            writer.put(TAG_PIN_OUTPUT, &[Named::code_of(FORMATS, format)]);
        }
        if let Some(rule) = self.mac {
            let scheme = Named::code_of(SCHEMES, rule.scheme);
            let padding = Named::code_of(PADDINGS, rule.padding);
            writer.put(TAG_MAC, &[scheme, padding, rule.length]);
        }
        if let Some(scheme) = self.signature {
            writer.put(TAG_SIGNATURE, &[Named::code_of(SIGNATURES, scheme)]);
        }
        if self.weak {
            writer.put(TAG_WEAK, &[]);
        }
        let until = self.legacy_blocks_until.map(u64::to_be_bytes);
        writer.put_some(TAG_LEGACY_BLOCKS, until.as_ref().map(<[u8; 8]>::as_slice));
        writer.put_some(
            TAG_SM4_CODE,
            self.sm4_block_code.as_ref().map(std::slice::from_ref),
        );
        let side = self.block_side.map(|side| [side.code()]);
        writer.put_some(TAG_BLOCK_SIDE, side.as_ref().map(<[u8; 1]>::as_slice));
        let usages: Vec<u8> = self.cryptograms.iter().flat_map(Usage::code).collect();
        if !usages.is_empty() {
            writer.put(TAG_CRYPTOGRAMS, &usages);
        }
        DukptPolicy::encode(self.dukpt.as_ref(), &mut writer);
        if let Some(rule) = &self.pin_verification {
            rule.encode(&mut writer);
        }
        self.encode_data(&mut writer);
        let sign_in = self.sign_in.map(vocabulary::layout_bytes);
        writer.put_some(TAG_SIGN_IN, sign_in.as_ref().map(<[u8; 3]>::as_slice));
        if let Some(form) = self.alipay_content {
            writer.put(TAG_ALIPAY_CONTENT, &[Named::code_of(CONTENT_FORMS, form)]);
        }
        if let Some(scheme) = self.encryption {
            writer.put(TAG_ENCRYPTION, &[Named::code_of(ENCRYPTIONS, scheme)]);
        }
        writer.finish()
    }

    pub(in crate::keys) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut policy = Self::default();
        for code in reader.take_if(TAG_PIN_INPUTS)?.unwrap_or_default() {
            policy.pin_inputs.insert(Named::of_code(FORMATS, *code)?);
        }
        if let Some(value) = reader.take_if(TAG_PIN_OUTPUT)? {
            policy.pin_output = Some(Named::of_code(FORMATS, single(value)?)?);
        }
        if let Some(value) = reader.take_if(TAG_MAC)? {
            let [scheme, padding, length] = value else {
                return Err(Malformed);
            };
            let (scheme, padding) = (
                Named::of_code(SCHEMES, *scheme)?,
                Named::of_code(PADDINGS, *padding)?,
            );
            policy.mac = Some(mac::Rule::new(scheme, padding, *length).map_err(|_| Malformed)?);
        }
        if let Some(value) = reader.take_if(TAG_SIGNATURE)? {
            policy.signature = Some(Named::of_code(SIGNATURES, single(value)?)?);
        }
        policy.weak = reader.take_if(TAG_WEAK)?.is_some();
        if let Some(value) = reader.take_if(TAG_LEGACY_BLOCKS)? {
            let until = value.try_into().map_err(|_| Malformed)?;
            policy.legacy_blocks_until = Some(u64::from_be_bytes(until));
        }
        if let Some(value) = reader.take_if(TAG_SM4_CODE)? {
            policy.sm4_block_code = Some(single(value)?);
        }
        if let Some(value) = reader.take_if(TAG_BLOCK_SIDE)? {
            policy.block_side = Some(Side::from_code(single(value)?).ok_or(Malformed)?);
        }
        let (usages, rest) = reader
            .take_if(TAG_CRYPTOGRAMS)?
            .unwrap_or_default()
            .as_chunks();
        for code in usages {
            let usage = Usage::from_code(*code).ok_or(Malformed)?;
            policy.cryptograms.insert(usage);
        }
        if !rest.is_empty() {
            return Err(Malformed);
        }
        policy.dukpt = DukptPolicy::decode(&mut reader)?;
        policy.pin_verification = PinVerification::decode(&mut reader)?;
        policy.decode_data(&mut reader)?;
        if let Some(value) = reader.take_if(TAG_SIGN_IN)? {
            policy.sign_in = Some(vocabulary::layout_of_bytes(value)?);
        }
        if let Some(value) = reader.take_if(TAG_ALIPAY_CONTENT)? {
            policy.alipay_content = Some(Named::of_code(CONTENT_FORMS, single(value)?)?);
        }
        if let Some(value) = reader.take_if(TAG_ENCRYPTION)? {
            policy.encryption = Some(Named::of_code(ENCRYPTIONS, single(value)?)?);
        }
        reader.end()?;
        if policy.encode() == bytes {
            Ok(policy)
        } else {
            Err(Malformed)
        }
    }

    fn encode_data(&self, writer: &mut Writer) {
        if let Some(rule) = self.data {
            let codes = [
                Named::code_of(DATA_MODES, rule.mode()),
                Named::code_of(DATA_PADDINGS, rule.padding()),
                Named::code_of(IV_RULES, rule.iv()),
                rule.tag_bytes(),
            ];
            writer.put(TAG_DATA, &codes);
        }
        if let Some(layout) = self.track {
            writer.put(TAG_TRACK, &[Named::code_of(TRACK_LAYOUTS, layout)]);
        }
        if self.translate_only {
            writer.put(TAG_TRANSLATE_ONLY, &[]);
        }
    }

    fn decode_data(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        if let Some(value) = reader.take_if(TAG_DATA)? {
            let [mode, padding, iv, tag_bytes] = value else {
                return Err(Malformed);
            };
            let mode = Named::of_code(DATA_MODES, *mode)?;
            let padding = Named::of_code(DATA_PADDINGS, *padding)?;
            let iv = Named::of_code(IV_RULES, *iv)?;
            let rule = data::Rule::new(mode, padding, iv, *tag_bytes);
            self.data = Some(rule.map_err(|_| Malformed)?);
        }
        if let Some(value) = reader.take_if(TAG_TRACK)? {
            self.track = Some(Named::of_code(TRACK_LAYOUTS, single(value)?)?);
        }
        self.translate_only = reader.take_if(TAG_TRANSLATE_ONLY)?.is_some();
        Ok(())
    }

    fn data_parts(&self, parts: &mut Vec<String>) {
        if let Some(rule) = self.data {
            parts.push(Named::word_of(DATA_MODES, rule.mode()).to_owned());
            if rule.padding() != data::Padding::Whole {
                parts.push(Named::word_of(DATA_PADDINGS, rule.padding()).to_owned());
            }
            if let Some(iv) = rule.iv() {
                parts.push(format!("IV {}", Named::word_of(IV_RULES, Some(iv))));
            }
            if rule.tag_bytes() != 0 {
                parts.push(format!("tag of {} bytes", rule.tag_bytes()));
            }
        }
        if let Some(layout) = self.track {
            parts.push(format!("tracks {}", Named::word_of(TRACK_LAYOUTS, layout)));
        }
        if self.translate_only {
            parts.push("translates only".to_owned());
        }
        if let Some(form) = self.alipay_content {
            let form = Named::word_of(CONTENT_FORMS, form);
            parts.push(format!("Alipay content {form}"));
        }
        if let Some(scheme) = self.encryption {
            parts.push(format!("fields {}", Named::word_of(ENCRYPTIONS, scheme)));
        }
    }
}

/// One line for listings.
impl std::fmt::Display for KeyPolicy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if !self.pin_inputs.is_empty() {
            let formats: Vec<_> = self
                .pin_inputs
                .iter()
                .map(|format| Named::word_of(FORMATS, format))
                .collect();
            parts.push(format!("from {}", formats.join(" ")));
        }
        if let Some(format) = self.pin_output {
            parts.push(format!("to {}", Named::word_of(FORMATS, format)));
        }
        if let Some(rule) = self.mac {
            parts.push(Named::word_of(SCHEMES, rule.scheme).to_owned());
            if rule.padding.is_some() {
                parts.push(format!(
                    "padding {}",
                    Named::word_of(PADDINGS, rule.padding)
                ));
            }
            parts.push(format!("{} bytes", rule.length));
        }
        if let Some(scheme) = self.signature {
            parts.push(Named::word_of(SIGNATURES, scheme).to_owned());
        }
        if !self.cryptograms.is_empty() {
            let usages: Vec<_> = self.cryptograms.iter().map(Usage::word).collect();
            parts.push(format!("cryptograms of {}", usages.join(" ")));
        }
        if let Some(layout) = self.sign_in {
            parts.push(format!("sign-in {}", Named::word_of(LAYOUTS, form(layout))));
        }
        if let Some(dukpt) = &self.dukpt {
            parts.push(dukpt.to_string());
        }
        if let Some(rule) = &self.pin_verification {
            parts.push(rule.to_string());
        }
        if let Some(side) = self.block_side {
            parts.push(format!("{side} keys in blocks"));
        }
        if let Some(code) = self.sm4_block_code {
            parts.push(format!("SM4 is {:?}", char::from(code)));
        }
        if self.legacy_blocks_until.is_some() {
            parts.push("LEGACY blocks".to_owned());
        }
        self.data_parts(&mut parts);
        if self.weak {
            parts.push("WEAK".to_owned());
        }
        formatter.write_str(&parts.join(", "))
    }
}

fn single(value: &[u8]) -> Result<u8, Malformed> {
    match value {
        [byte] => Ok(*byte),
        _ => Err(Malformed),
    }
}

const TAG_PIN_INPUTS: u8 = 1;
const TAG_PIN_OUTPUT: u8 = 2;
const TAG_MAC: u8 = 3;
const TAG_SIGNATURE: u8 = 4;
const TAG_WEAK: u8 = 5;
const TAG_LEGACY_BLOCKS: u8 = 6;
const TAG_SM4_CODE: u8 = 7;
const TAG_BLOCK_SIDE: u8 = 8;
const TAG_CRYPTOGRAMS: u8 = 9;
const TAG_DATA: u8 = 25;
const TAG_TRACK: u8 = 26;
const TAG_TRANSLATE_ONLY: u8 = 27;
const TAG_SIGN_IN: u8 = 28;
const TAG_ALIPAY_CONTENT: u8 = 32;
const TAG_ENCRYPTION: u8 = 34;

#[cfg(test)]
mod tests;
