//! What a key is asked to be, before there is one: the attributes and the policy, and the rules of
//! which go together.
//!
//! Rules on formats and ciphers follow ISO 9564-1 and PCI PIN 3-3, on MACs ISO 9797-1; what is
//! weak needs `weak = true`, and `weak` on a key that is not is refused too.

mod base;
mod encryption;

use crate::domain::alipay::SignType;
use crate::domain::cipher::BlockAlgorithm;
use crate::domain::mac::{Padding, Rule, Scheme};
use crate::domain::pin_block::{Binding, Format};
use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::unionpay::sign_in::Layout;
use crate::keys::attributes::{Algorithm, Exportability, Mode, Residence, Side, Usage};
use crate::keys::grant::OperationKind;
use crate::keys::key_policy::{KeyPolicy, PinVerification};
use crate::keys::key_ref::KeyName;
use crate::keys::policy::{first_obstacle, operations};
use crate::keys::record::Header;
use crate::keys::sign_in;

/// A key as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Its name within the tenant.
    pub name: KeyName,
    /// What it is for.
    pub usage: Usage,
    /// What it may do of that.
    pub mode: Mode,
    /// Which way a PIN key faces; none for others.
    pub side: Option<Side>,
    /// Algorithm and length.
    pub algorithm: Algorithm,
    /// Whether it may leave under another key.
    pub exportability: Exportability,
    /// Where the clear key is when it is used.
    pub residence: Residence,
    /// Formats, MAC rule, signature scheme.
    pub policy: KeyPolicy,
}

/// One thing that does not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecFault {
    /// The field to mend, as templates spell it.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl KeySpec {
    /// Everything that does not go together; nothing where the key can be made.
    pub fn faults(&self) -> Vec<SpecFault> {
        let mut faults = Faults(Vec::new());
        self.check_attributes(&mut faults);
        match self.usage {
            Usage::PinEncryption => self.check_pin(&mut faults),
            Usage::PinVerificationIbm3624 | Usage::PinVerificationVisaPvv => {
                self.check_verification(&mut faults);
            }
            Usage::Signature => self.check_signature(&mut faults),
            Usage::MacIso16609
            | Usage::MacAlgorithm1
            | Usage::MacAlgorithm3
            | Usage::MacCmac
            | Usage::MacHmac => self.check_mac(&mut faults),
            Usage::DataEncryption => self.check_data(&mut faults),
            Usage::KeyTransport | Usage::DataEncryptionAsymmetric => {}
            Usage::KeyEncryption => self.check_cryptograms(&mut faults),
            Usage::KeyBlockProtection => self.check_key_blocks(&mut faults),
            Usage::BaseDerivation => base::check(self, &mut faults),
        }
        encryption::check(self, &mut faults);
        self.refuse_others(&mut faults);
        if let Err(fault) = sign_in::check(self) {
            faults.add(fault.field, fault.why);
        }
        if self.policy.weak && !self.is_weak() {
            faults.add("weak", "nothing about this key is weak");
        }
        if !self.policy.weak && self.is_weak() {
            faults.add(
                "weak",
                "SHA-1, single DES, CBC-MACs padded with zeros only, MACs of sums (UNIONPAY_ECB, \
                 SM4_POS), PIN blocks without PAN (X98_NO_PAN), ECB, an IV that is not made here, \
                 decryption of padded CBC and RSA_PKCS1 are weak: write weak = true",
            );
        }
        faults.0
    }

    /// What the key of a header was asked to be.
    pub fn of(header: &Header) -> Self {
        Self {
            name: header.name.clone(),
            usage: header.usage,
            mode: header.mode,
            side: header.side,
            algorithm: header.algorithm,
            exportability: header.exportability,
            residence: header.residence,
            policy: header.policy.clone(),
        }
    }

    /// The fields in which the key that exists differs from this one.
    pub fn differences(&self, header: &Header) -> Vec<&'static str> {
        let (own, other) = (&self.policy, &header.policy);
        [
            ("usage", self.usage != header.usage),
            ("mode", self.mode != header.mode),
            ("side", self.side != header.side),
            ("algorithm", self.algorithm != header.algorithm),
            ("exportable", self.exportability != header.exportability),
            ("residence", self.residence != header.residence),
            ("pin.inputs", own.pin_inputs != other.pin_inputs),
            ("pin.output", own.pin_output != other.pin_output),
            ("mac", own.mac != other.mac),
            ("signature.scheme", own.signature != other.signature),
            ("weak", own.weak != other.weak),
            (
                "key_block.legacy_until",
                own.legacy_blocks_until != other.legacy_blocks_until,
            ),
            (
                "key_block.sm4_code",
                own.sm4_block_code != other.sm4_block_code,
            ),
            ("key_block.side", own.block_side != other.block_side),
            ("cryptogram.usages", own.cryptograms != other.cryptograms),
            ("data", own.data != other.data),
            ("track.layout", own.track != other.track),
            ("translate_only", own.translate_only != other.translate_only),
            ("sign_in", own.sign_in != other.sign_in),
            ("dukpt", own.dukpt != other.dukpt),
            (
                "pin_verification",
                own.pin_verification != other.pin_verification,
            ),
            (
                "alipay_content.form",
                own.alipay_content != other.alipay_content,
            ),
            ("encryption.scheme", own.encryption != other.encryption),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }

    fn check_attributes(&self, faults: &mut Faults) {
        match first_obstacle(self.usage, self.mode, self.side, self.algorithm) {
            Some("usage") => faults.add("usage", "no operation uses keys of this usage"),
            Some("algorithm") => faults.add("algorithm", "not an algorithm of this usage"),
            Some("side") => faults.add(
                "side",
                "PIN keys are terminal, zone or issuer keys, key-encryption keys terminal or zone \
                 keys; other keys have no side",
            ),
            Some(_) => faults.add("mode", "not a mode of this usage and side"),
            None => {}
        }
        let usual = self.usage.usual_residence(Some(self.mode), self.algorithm);
        let fits = match self.residence {
            Residence::Token => usual == Residence::Token || self.may_be_in_an_sm2_token(),
            Residence::TokenWrapped => {
                self.usage == Usage::Signature
                    && self.algorithm.rsa_bits().is_some()
                    && usual != Residence::Public
            }
            Residence::Process => self.algorithm.rsa_bits().is_none() && usual != Residence::Public,
            Residence::Public => usual == Residence::Public,
        };
        if !fits {
            faults.add(
                "residence",
                "keys that protect others live in the TOKEN (or, where that is allowed, in the \
                 PROCESS), RSA signing keys in the TOKEN or TOKEN_WRAPPED, others in the PROCESS, SM2 \
                 keys that only sign (mode S) also in a TOKEN that has SM2; signature keys that only \
                 verify, and partners' keys that encrypt, are PUBLIC",
            );
        }
    }

    /// Whether the token at hand has SM2 is found out when the key is made. A key of mode T stays in the
    /// process: what is to be decrypted under it comes there.
    fn may_be_in_an_sm2_token(&self) -> bool {
        (self.usage, self.mode, self.algorithm) == (Usage::Signature, Mode::Sign, Algorithm::Sm2)
    }

    fn check_cryptograms(&self, faults: &mut Faults) {
        if self.policy.cryptograms.is_empty() && self.policy.sign_in.is_none() {
            faults.add(
                "cryptogram.usages",
                "key-encryption keys list the usages of what comes in under them, or have a sign_in",
            );
        }
        if self
            .policy
            .cryptograms
            .iter()
            .any(|usage| !usage.comes_as_cryptogram())
        {
            faults.add("cryptogram.usages", "PIN, MAC and data keys only");
        }
    }

    fn check_key_blocks(&self, faults: &mut Faults) {
        self.check_formats(self.policy.block_side, faults);
        if let Some(dukpt) = self.policy.dukpt {
            base::check_window(dukpt, faults);
        }
        let tdes = matches!(self.algorithm, Algorithm::Tdes2 | Algorithm::Tdes3);
        if self.policy.legacy_blocks_until.is_some() && !tdes {
            faults.add(
                "key_block.legacy_until",
                "blocks of versions A and C are TDES: only TDES keys protect them",
            );
        }
        if self.policy.legacy_blocks_until.is_some() && self.residence != Residence::Process {
            faults.add(
                "residence",
                "versions A and C need the protection key's value: PROCESS",
            );
        }
    }

    /// A key without a rule and without a layout is good for no call.
    fn check_data(&self, faults: &mut Faults) {
        let decrypts = operations(self.usage, self.mode, self.side, self.algorithm)
            .contains(OperationKind::DecryptData);
        if let Some(algorithm) = self.algorithm.block_algorithm() {
            self.check_data_under(algorithm, decrypts, faults);
        }
        self.check_content(faults);
    }

    /// What holds of data and tracks whichever key lists them; the cipher is that of the data keys
    /// they are for.
    fn check_data_under(&self, algorithm: BlockAlgorithm, decrypts: bool, faults: &mut Faults) {
        if self.policy.data.is_some_and(|rule| !rule.fits(algorithm)) {
            faults.add("data.mode", "TDES has ECB and CBC only");
        }
        if self.policy.track.is_some() && algorithm == BlockAlgorithm::Aes {
            faults.add("track.layout", "tracks are under TDES or SM4");
        }
        if self.policy.track.is_some() && self.policy.data.is_some() {
            faults.add(
                "track",
                "a track key has no mode: its tracks would come out clear",
            );
        }
        if self.policy.translate_only && !(decrypts && self.policy.data.is_some()) {
            faults.add(
                "translate_only",
                "only of keys that have a mode and decrypt",
            );
        }
    }

    /// Alipay gives out AES keys of 128 bits only.
    fn check_content(&self, faults: &mut Faults) {
        let policy = &self.policy;
        let Some(form) = policy.alipay_content else {
            return;
        };
        let fits = match self.algorithm {
            Algorithm::Aes128 => form.fits(BlockAlgorithm::Aes),
            Algorithm::Sm4 => form.fits(BlockAlgorithm::Sm4),
            _ => false,
        };
        if !fits {
            faults.add(
                "alipay_content.form",
                "AES and AES_V2 are of AES-128 keys, SM4 of SM4 keys",
            );
        }
        if policy.data.is_some() || policy.track.is_some() || policy.translate_only {
            faults.add(
                "alipay_content",
                "a key for Alipay's content is for no other data",
            );
        }
    }

    /// Policies of other usages have no place in this one.
    fn refuse_others(&self, faults: &mut Faults) {
        let policy = &self.policy;
        let for_blocks = self.usage == Usage::KeyBlockProtection;
        let signs_in = policy.sign_in.is_some();
        let derives = self.usage == Usage::BaseDerivation;
        let for_others = for_blocks || signs_in || derives;
        if !(self.usage == Usage::PinEncryption || for_others)
            && (!policy.pin_inputs.is_empty() || policy.pin_output.is_some())
        {
            faults.add("pin", "only PIN keys have PIN block formats");
        }
        if !(self.usage.makes_macs() || for_others) && policy.mac.is_some() {
            faults.add("mac", "only MAC keys have a MAC scheme");
        }
        if !(self.usage == Usage::DataEncryption || for_others)
            && (policy.data.is_some() || policy.track.is_some() || policy.translate_only)
        {
            faults.add("data", "only data keys have a mode or a track layout");
        }
        if self.usage != Usage::DataEncryption && policy.alipay_content.is_some() {
            faults.add("alipay_content", "only data keys encrypt content");
        }
        if self.usage != Usage::Signature && policy.signature.is_some() {
            faults.add("signature", "only signing keys have a signature scheme");
        }
        if !for_blocks
            && (policy.legacy_blocks_until.is_some()
                || policy.sm4_block_code.is_some()
                || policy.block_side.is_some())
        {
            faults.add(
                "key_block",
                "only key-block protection keys open key blocks",
            );
        }
        if self.usage != Usage::KeyEncryption && !policy.cryptograms.is_empty() {
            faults.add("cryptogram", "only key-encryption keys take in cryptograms");
        }
        if !(derives || for_blocks) && policy.dukpt.is_some() {
            faults.add("dukpt", "only base derivation keys derive others");
        }
        let verifies = matches!(
            self.usage,
            Usage::PinVerificationIbm3624 | Usage::PinVerificationVisaPvv
        );
        if !verifies && policy.pin_verification.is_some() {
            faults.add("pin_verification", "only PIN verification keys verify PINs");
        }
    }

    fn check_verification(&self, faults: &mut Faults) {
        match (&self.policy.pin_verification, self.usage) {
            (Some(PinVerification::Ibm3624 { .. }), Usage::PinVerificationIbm3624)
            | (Some(PinVerification::VisaPvv(_)), Usage::PinVerificationVisaPvv) => {}
            (None, _) => faults.add(
                "pin_verification",
                "PIN verification keys say how they verify",
            ),
            (Some(_), _) => faults.add("pin_verification", "not the method of the key's usage"),
        }
    }

    fn check_pin(&self, faults: &mut Faults) {
        let granted = operations(self.usage, self.mode, self.side, self.algorithm);
        let own = |format: Format| self.algorithm.block_algorithm() == Some(format.algorithm());
        let decrypts = granted.contains(OperationKind::DecryptPin)
            || granted.contains(OperationKind::DecryptPinToVerify);
        if decrypts == self.policy.pin_inputs.is_empty() {
            faults.add(
                "pin.inputs",
                "keys that decrypt list their formats, others list none",
            );
        }
        if !self.policy.pin_inputs.iter().all(own) {
            faults.add("pin.inputs", "not formats of the key's algorithm");
        }
        if granted.contains(OperationKind::EncryptPin) != self.policy.pin_output.is_some() {
            faults.add(
                "pin.output",
                "keys that encrypt name their one format, others name none",
            );
        }
        if !self.policy.pin_output.is_none_or(own) {
            faults.add("pin.output", "not a format of the key's algorithm");
        }
        self.check_formats(self.side, faults);
    }

    /// What holds of formats whichever key lists them; `side` is that of the PIN keys they are for.
    fn check_formats(&self, side: Option<Side>, faults: &mut Faults) {
        let (inputs, output) = (self.policy.pin_inputs, self.policy.pin_output);
        if output.is_some_and(|format| format.binding() == Binding::None) {
            faults.add(
                "pin.output",
                "a block that is bound to no PAN never goes out",
            );
        }
        if inputs.contains(Format::X98NoPan) && side != Some(Side::Terminal) {
            faults.add(
                "pin.inputs",
                "X98_NO_PAN comes from terminals only: not for keys of another side",
            );
        }
        if inputs.contains(Format::Iso4) && inputs.contains(Format::Iso4Pan12) {
            faults.add(
                "pin.inputs",
                "ISO_4 or ISO_4_PAN12, not both: a caller would choose how much of the PAN is bound",
            );
        }
    }

    fn check_mac(&self, faults: &mut Faults) {
        let fits = |rule: Rule| schemes(self.usage, self.algorithm).contains(&rule.scheme);
        match self.policy.mac {
            None => faults.add("mac", "MAC keys name their scheme, padding and length"),
            Some(rule) if !fits(rule) => {
                faults.add(
                    "mac.scheme",
                    "not a scheme of the key's usage and algorithm",
                );
            }
            Some(_) => {}
        }
        if self.algorithm == Algorithm::Des && self.exportability != Exportability::NonExportable {
            faults.add("exportable", "single DES keys do not leave");
        }
    }

    fn check_signature(&self, faults: &mut Faults) {
        match (self.policy.signature, self.algorithm) {
            (None, _) => faults.add("signature", "signing keys name their scheme"),
            (Some(SignType::Sm2), Algorithm::Sm2) => {}
            (Some(SignType::Rsa | SignType::Rsa2), algorithm) if algorithm.rsa_bits().is_some() => {
            }
            _ => faults.add("signature.scheme", "not a scheme of the key's algorithm"),
        }
    }

    fn is_weak(&self) -> bool {
        is_weak((self.usage, self.mode, self.algorithm), &self.policy)
    }
}

/// The schemes of MAC keys of this usage and algorithm.
const fn schemes(usage: Usage, algorithm: Algorithm) -> &'static [Scheme] {
    match (usage, algorithm) {
        (Usage::MacIso16609 | Usage::MacAlgorithm1, Algorithm::Tdes3)
        | (Usage::MacIso16609, Algorithm::Tdes2) => &[Scheme::Iso9797Alg1Tdes],
        (Usage::MacAlgorithm1, Algorithm::Tdes2) => &[
            Scheme::Iso9797Alg1Tdes,
            Scheme::UnionPayEcbHex8,
            Scheme::UnionPayEcbRaw8,
        ],
        (Usage::MacAlgorithm1, Algorithm::Des) => &[
            Scheme::Iso9797Alg1Des,
            Scheme::UnionPayEcbHex8,
            Scheme::UnionPayEcbRaw8,
        ],
        (Usage::MacAlgorithm1, Algorithm::Aes128 | Algorithm::Aes192 | Algorithm::Aes256) => {
            &[Scheme::Iso9797Alg1Aes]
        }
        (Usage::MacAlgorithm1, Algorithm::Sm4) => &[
            Scheme::Iso9797Alg1Sm4,
            Scheme::Sm4PosHex8,
            Scheme::Sm4PosHex8Lower,
            Scheme::Sm4PosRaw8,
            Scheme::Sm4PosRaw8Lower,
        ],
        (Usage::MacAlgorithm3, Algorithm::Tdes2) => &[Scheme::Iso9797Alg3Des],
        (Usage::MacCmac, Algorithm::Tdes2 | Algorithm::Tdes3) => &[Scheme::CmacTdes],
        (Usage::MacCmac, Algorithm::Aes128 | Algorithm::Aes192 | Algorithm::Aes256) => {
            &[Scheme::CmacAes]
        }
        (Usage::MacCmac, Algorithm::Sm4) => &[Scheme::CmacSm4],
        (Usage::MacHmac, Algorithm::HmacSha1) => &[Scheme::HmacSha1],
        (Usage::MacHmac, Algorithm::HmacSha224) => &[Scheme::HmacSha224],
        (Usage::MacHmac, Algorithm::HmacSha256) => {
            &[Scheme::HmacSha256, Scheme::UnionPayGatewaySha256]
        }
        (Usage::MacHmac, Algorithm::HmacSha384) => &[Scheme::HmacSha384],
        (Usage::MacHmac, Algorithm::HmacSha512) => &[Scheme::HmacSha512],
        (Usage::MacHmac, Algorithm::HmacSm3) => &[Scheme::HmacSm3, Scheme::UnionPayGatewaySm3],
        _ => &[],
    }
}

/// Whether something about a key with this policy is weak, and must be accepted in words.
///
/// Of a key that protects others, the rule for data is that of keys that decrypt.
pub(in crate::keys) fn is_weak(
    (usage, mode, algorithm): (Usage, Mode, Algorithm),
    policy: &KeyPolicy,
) -> bool {
    let decrypts = !(usage == Usage::DataEncryption && mode == Mode::Encrypt);
    let weak_mac = policy.mac.is_some_and(|rule| match rule.scheme {
        // Zeros at the end do not count, and lengths that vary are forged.
        Scheme::Iso9797Alg1Tdes | Scheme::Iso9797Alg1Aes | Scheme::Iso9797Alg1Sm4 => {
            rule.padding == Some(Padding::Method1)
        }
        // A key that is found by trying, a broken hash, and sums in place of messages.
        Scheme::Iso9797Alg1Des
        | Scheme::HmacSha1
        | Scheme::UnionPayEcbHex8
        | Scheme::UnionPayEcbRaw8
        | Scheme::Sm4PosHex8
        | Scheme::Sm4PosHex8Lower
        | Scheme::Sm4PosRaw8
        | Scheme::Sm4PosRaw8Lower => true,
        Scheme::Iso9797Alg3Des
        | Scheme::CmacTdes
        | Scheme::CmacAes
        | Scheme::CmacSm4
        | Scheme::HmacSha224
        | Scheme::HmacSha256
        | Scheme::HmacSha384
        | Scheme::HmacSha512
        | Scheme::HmacSm3
        | Scheme::UnionPayGatewaySha256
        | Scheme::UnionPayGatewaySm3 => false,
    });
    weak_mac
        || algorithm == Algorithm::Des
        || policy.data.is_some_and(|rule| rule.is_weak(decrypts))
        || policy
            .alipay_content
            .is_some_and(|form| form.is_weak(decrypts))
        || policy.sign_in.is_some_and(Layout::has_single_des)
        || policy.signature == Some(SignType::Rsa)
        || policy.encryption == Some(EncryptionScheme::RsaPkcs1)
        || policy.pin_inputs.contains(Format::X98NoPan)
}

struct Faults(Vec<SpecFault>);

impl Faults {
    fn add(&mut self, field: &'static str, why: &'static str) {
        self.0.push(SpecFault { field, why });
    }
}
