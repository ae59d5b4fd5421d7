//! The usage table: usage × mode × side × algorithm → operations. One `const`, default deny.
//!
//! Usages and modes after X9.143 (tables "key usage" and "mode of use"), sides after DESIGN's own
//! rule that a terminal's key only decrypts. Mode N has no row: finer modes exist for every usage
//! here. What is not in a row is refused.

use crate::keys::attributes::Algorithm::{
    Aes128, Aes192, Aes256, Des, HmacSha1, HmacSha224, HmacSha256, HmacSha384, HmacSha512, HmacSm3,
    Rsa2048, Rsa3072, Rsa4096, Sm2, Sm4, Tdes2, Tdes3,
};
use crate::keys::attributes::{Algorithm, Mode, Side, Usage};
use crate::keys::grant::OperationKind;

/// The operations that the table grants.
pub(in crate::keys) fn operations(
    usage: Usage,
    mode: Mode,
    side: Option<Side>,
    algorithm: Algorithm,
) -> OperationSet {
    let mut set = OperationSet::default();
    for row in TABLE {
        if row.usage == usage
            && row.mode == mode
            && row.side == side
            && row.algorithms.contains(&algorithm)
        {
            row.operations
                .iter()
                .for_each(|operation| set.insert(*operation));
        }
    }
    set
}

/// The first attribute, in the order usage, algorithm, side, mode, that leaves no row of the table;
/// none where the table grants something.
pub(in crate::keys) fn first_obstacle(
    usage: Usage,
    mode: Mode,
    side: Option<Side>,
    algorithm: Algorithm,
) -> Option<&'static str> {
    let rows = || TABLE.iter().filter(move |row| row.usage == usage);
    let fits = |row: &&Row| row.algorithms.contains(&algorithm);
    if rows().next().is_none() {
        Some("usage")
    } else if !rows().any(|row| fits(&row)) {
        Some("algorithm")
    } else if !rows().filter(fits).any(|row| row.side == side) {
        Some("side")
    } else if !rows()
        .filter(fits)
        .any(|row| row.side == side && row.mode == mode)
    {
        Some("mode")
    } else {
        None
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::keys) struct OperationSet(u32);

impl OperationSet {
    pub(in crate::keys) const fn contains(self, operation: OperationKind) -> bool {
        self.0 & (1 << operation as u32) != 0
    }

    fn insert(&mut self, operation: OperationKind) {
        self.0 |= 1 << operation as u32;
    }
}

/// One row of the table. What stands in no row is refused.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the key is for.
    pub usage: Usage,
    /// What it may do of that.
    pub mode: Mode,
    /// Which way it faces; none for usages that face no way.
    pub side: Option<Side>,
    /// The algorithms.
    pub algorithms: &'static [Algorithm],
    /// What a key of all these may be used for.
    pub operations: &'static [OperationKind],
}

const fn row(
    usage: Usage,
    mode: Mode,
    side: Option<Side>,
    algorithms: &'static [Algorithm],
    operations: &'static [OperationKind],
) -> Row {
    Row {
        usage,
        mode,
        side,
        algorithms,
        operations,
    }
}

const PIN_ALGORITHMS: &[Algorithm] = &[Tdes2, Tdes3, Aes128, Aes192, Aes256, Sm4];
const TDES: &[Algorithm] = &[Tdes2, Tdes3];
const ALG1: &[Algorithm] = &[Des, Tdes2, Tdes3, Aes128, Aes192, Aes256, Sm4];
const CMAC: &[Algorithm] = &[Tdes2, Tdes3, Aes128, Aes192, Aes256, Sm4];
const HMAC: &[Algorithm] = &[
    HmacSha1, HmacSha224, HmacSha256, HmacSha384, HmacSha512, HmacSm3,
];
const SIGNATURE: &[Algorithm] = &[Rsa2048, Rsa3072, Rsa4096, Sm2];
const DATA: &[Algorithm] = &[Tdes2, Tdes3, Aes128, Aes192, Aes256, Sm4];
const BLOCK_PROTECTION: &[Algorithm] = &[Tdes2, Tdes3, Aes128, Aes192, Aes256];
const BASE: &[Algorithm] = &[Tdes2, Aes128, Aes192, Aes256];
const CRYPTOGRAM: &[Algorithm] = &[Tdes2, Tdes3, Sm4];
const FIELDS: &[Algorithm] = &[Rsa2048, Rsa3072, Rsa4096, Sm2];
const TRANSPORT: &[Algorithm] = &[Rsa2048, Rsa3072, Rsa4096];

const DECRYPT_PIN: &[OperationKind] =
    &[OperationKind::DecryptPin, OperationKind::DecryptPinToVerify];
const DECRYPT_ISSUER_PIN: &[OperationKind] = &[
    OperationKind::DecryptPinToVerify,
    OperationKind::DecryptPinToReference,
];
const ENCRYPT_PIN: &[OperationKind] = &[OperationKind::EncryptPin];
const BOTH_PIN: &[OperationKind] = &[
    OperationKind::DecryptPin,
    OperationKind::DecryptPinToVerify,
    OperationKind::EncryptPin,
];
const VERIFY_PIN: &[OperationKind] = &[OperationKind::VerifyPin];
const MAKE_REFERENCE: &[OperationKind] = &[OperationKind::MakePinReference];
const GENERATE: &[OperationKind] = &[OperationKind::GenerateMac];
const VERIFY: &[OperationKind] = &[OperationKind::VerifyMac];
const BOTH_MAC: &[OperationKind] = &[OperationKind::GenerateMac, OperationKind::VerifyMac];
const SIGN: &[OperationKind] = &[
    OperationKind::Sign,
    OperationKind::RequestCertificate,
    OperationKind::VerifySignature,
    OperationKind::ReadPublicKey,
];
const SIGN_AND_DECRYPT: &[OperationKind] = &[
    OperationKind::Sign,
    OperationKind::RequestCertificate,
    OperationKind::VerifySignature,
    OperationKind::ReadPublicKey,
    OperationKind::DecryptFields,
];
const VERIFY_ONLY: &[OperationKind] =
    &[OperationKind::VerifySignature, OperationKind::ReadPublicKey];
const DECRYPT_DATA: &[OperationKind] = &[OperationKind::DecryptData];
const ENCRYPT_DATA: &[OperationKind] = &[OperationKind::EncryptData];
const BOTH_DATA: &[OperationKind] = &[OperationKind::DecryptData, OperationKind::EncryptData];
const ENCRYPT_FIELDS: &[OperationKind] = &[OperationKind::EncryptFields];
const UNWRAP: &[OperationKind] = &[OperationKind::UnwrapKeyBlock];
const WRAP: &[OperationKind] = &[OperationKind::WrapKeyBlock];
const BOTH_BLOCK: &[OperationKind] = &[OperationKind::UnwrapKeyBlock, OperationKind::WrapKeyBlock];
const IMPORT: &[OperationKind] = &[OperationKind::ImportCryptogram];
const GIVE: &[OperationKind] = &[OperationKind::GiveCryptogram];
const BOTH_CRYPTOGRAM: &[OperationKind] = &[
    OperationKind::ImportCryptogram,
    OperationKind::GiveCryptogram,
];
const OPEN_TRANSPORT: &[OperationKind] =
    &[OperationKind::OpenTransport, OperationKind::ReadPublicKey];

const DERIVED: &[OperationKind] = &[
    OperationKind::DecryptPin,
    OperationKind::DecryptPinToVerify,
    OperationKind::EncryptPin,
    OperationKind::GenerateMac,
    OperationKind::VerifyMac,
    OperationKind::DecryptData,
    OperationKind::EncryptData,
];

const TERMINAL: Option<Side> = Some(Side::Terminal);
const ZONE: Option<Side> = Some(Side::Zone);
const ISSUER: Option<Side> = Some(Side::Issuer);

/// The whole table.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    // B0: by a derived key of one transaction, never the key itself; of those, the ones its policy
    // names. A PIN goes out under one only where it came in under one (`ops::pin`).
    row(Usage::BaseDerivation, Mode::Derive, None, BASE, DERIVED),
    // P0: terminal keys only decrypt, zone keys by their mode. Issuer keys encrypt, or take PINs in
    // to be verified and never to go out again.
    row(Usage::PinEncryption, Mode::Decrypt, TERMINAL, PIN_ALGORITHMS, DECRYPT_PIN),
    // Weak: what a terminal of UnionPay's layout 001 has.
    row(Usage::PinEncryption, Mode::Decrypt, TERMINAL, &[Des], &[OperationKind::DecryptPin]),
    row(Usage::PinEncryption, Mode::Decrypt, ZONE, PIN_ALGORITHMS, DECRYPT_PIN),
    row(Usage::PinEncryption, Mode::Encrypt, ZONE, PIN_ALGORITHMS, ENCRYPT_PIN),
    row(Usage::PinEncryption, Mode::EncryptAndDecrypt, ZONE, PIN_ALGORITHMS, BOTH_PIN),
    row(Usage::PinEncryption, Mode::Encrypt, ISSUER, PIN_ALGORITHMS, ENCRYPT_PIN),
    row(Usage::PinEncryption, Mode::Decrypt, ISSUER, PIN_ALGORITHMS, DECRYPT_ISSUER_PIN),
    // V1, V2: whoever verifies never makes what is verified against, and the other way round: there
    // is no row for mode C (Berkman and Ostrovsky 2007). A PVV is by definition of two DES keys.
    row(Usage::PinVerificationIbm3624, Mode::Verify, None, TDES, VERIFY_PIN),
    row(Usage::PinVerificationIbm3624, Mode::Generate, None, TDES, MAKE_REFERENCE),
    row(Usage::PinVerificationVisaPvv, Mode::Verify, None, &[Tdes2], VERIFY_PIN),
    row(Usage::PinVerificationVisaPvv, Mode::Generate, None, &[Tdes2], MAKE_REFERENCE),
    // D0: data.
    row(Usage::DataEncryption, Mode::Decrypt, None, DATA, DECRYPT_DATA),
    row(Usage::DataEncryption, Mode::Encrypt, None, DATA, ENCRYPT_DATA),
    row(Usage::DataEncryption, Mode::EncryptAndDecrypt, None, DATA, BOTH_DATA),
    // D1: sensitive fields under a partner's public key.
    row(Usage::DataEncryptionAsymmetric, Mode::Encrypt, None, FIELDS, ENCRYPT_FIELDS),
    // K0: bare cryptograms come in under it, and face the way it faces. Under a terminal's master
    // key they also go out, at a sign-in.
    row(Usage::KeyEncryption, Mode::Encrypt, TERMINAL, CRYPTOGRAM, GIVE),
    row(Usage::KeyEncryption, Mode::Decrypt, TERMINAL, CRYPTOGRAM, IMPORT),
    row(Usage::KeyEncryption, Mode::EncryptAndDecrypt, TERMINAL, CRYPTOGRAM, BOTH_CRYPTOGRAM),
    row(Usage::KeyEncryption, Mode::Decrypt, ZONE, CRYPTOGRAM, IMPORT),
    row(Usage::KeyEncryption, Mode::EncryptAndDecrypt, ZONE, CRYPTOGRAM, IMPORT),
    // K1: X9.143 key blocks.
    row(Usage::KeyBlockProtection, Mode::Decrypt, None, BLOCK_PROTECTION, UNWRAP),
    row(Usage::KeyBlockProtection, Mode::Encrypt, None, BLOCK_PROTECTION, WRAP),
    row(Usage::KeyBlockProtection, Mode::EncryptAndDecrypt, None, BLOCK_PROTECTION, BOTH_BLOCK),
    // K3: keys come in under its public half, RSA-OAEP.
    row(Usage::KeyTransport, Mode::Decrypt, None, TRANSPORT, OPEN_TRANSPORT),
    // M0: CBC-MAC with TDES by definition.
    row(Usage::MacIso16609, Mode::Generate, None, TDES, GENERATE),
    row(Usage::MacIso16609, Mode::Verify, None, TDES, VERIFY),
    row(Usage::MacIso16609, Mode::GenerateAndVerify, None, TDES, BOTH_MAC),
    // M1: CBC-MAC, and the terminal MACs that are a CBC-MAC of a sum. The only usage of single DES.
    row(Usage::MacAlgorithm1, Mode::Generate, None, ALG1, GENERATE),
    row(Usage::MacAlgorithm1, Mode::Verify, None, ALG1, VERIFY),
    row(Usage::MacAlgorithm1, Mode::GenerateAndVerify, None, ALG1, BOTH_MAC),
    // M3: the retail MAC has two DES keys, K and K'.
    row(Usage::MacAlgorithm3, Mode::Generate, None, &[Tdes2], GENERATE),
    row(Usage::MacAlgorithm3, Mode::Verify, None, &[Tdes2], VERIFY),
    row(Usage::MacAlgorithm3, Mode::GenerateAndVerify, None, &[Tdes2], BOTH_MAC),
    // M6: CMAC.
    row(Usage::MacCmac, Mode::Generate, None, CMAC, GENERATE),
    row(Usage::MacCmac, Mode::Verify, None, CMAC, VERIFY),
    row(Usage::MacCmac, Mode::GenerateAndVerify, None, CMAC, BOTH_MAC),
    // M7: HMAC.
    row(Usage::MacHmac, Mode::Generate, None, HMAC, GENERATE),
    row(Usage::MacHmac, Mode::Verify, None, HMAC, VERIFY),
    row(Usage::MacHmac, Mode::GenerateAndVerify, None, HMAC, BOTH_MAC),
    // S0: whoever may sign may also check and show the public half. Mode T also decrypts sensitive
    // fields, where the key's policy has a scheme for them.
    row(Usage::Signature, Mode::Sign, None, SIGNATURE, SIGN),
    row(Usage::Signature, Mode::SignAndDecrypt, None, SIGNATURE, SIGN_AND_DECRYPT),
    row(Usage::Signature, Mode::Verify, None, SIGNATURE, VERIFY_ONLY),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cell of usage × mode × side × algorithm × operation that is granted, one per line.
    fn granted_cells() -> Vec<String> {
        let sides = [None, TERMINAL, ZONE, ISSUER];
        let mut cells = Vec::new();
        for (usage, mode) in Usage::ALL
            .iter()
            .flat_map(|usage| Mode::ALL.iter().map(move |mode| (*usage, *mode)))
        {
            for (side, algorithm) in sides.iter().flat_map(|side| {
                Algorithm::ALL
                    .iter()
                    .map(move |algorithm| (*side, *algorithm))
            }) {
                let granted = operations(usage, mode, side, algorithm);
                for operation in OperationKind::ALL {
                    if granted.contains(*operation) {
                        let side = side.map_or("-", Side::word);
                        let code = String::from_utf8_lossy(&usage.code()).into_owned();
                        let mode = char::from(mode.code());
                        cells.push(format!("{code} {mode} {side} {algorithm} {operation:?}"));
                    }
                }
            }
        }
        cells
    }

    #[test]
    fn every_cell_of_the_table_is_as_reviewed() {
        let reviewed: Vec<&str> = include_str!("granted_cells.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let cells = granted_cells();
        let missing: Vec<_> = reviewed
            .iter()
            .filter(|cell| !cells.iter().any(|is| is == *cell))
            .collect();
        let extra: Vec<_> = cells
            .iter()
            .filter(|cell| !reviewed.contains(&cell.as_str()))
            .collect();
        assert!(extra.is_empty(), "granted but not reviewed: {extra:#?}");
        assert!(missing.is_empty(), "reviewed but not granted: {missing:#?}");
    }

    #[test]
    fn a_terminal_key_never_encrypts_and_an_issuer_key_never_decrypts() {
        for (usage, mode) in Usage::ALL
            .iter()
            .flat_map(|usage| Mode::ALL.iter().map(move |mode| (*usage, *mode)))
        {
            for algorithm in Algorithm::ALL {
                let terminal = operations(usage, mode, TERMINAL, *algorithm);
                assert!(!terminal.contains(OperationKind::EncryptPin));
                let issuer = operations(usage, mode, ISSUER, *algorithm);
                assert!(!issuer.contains(OperationKind::DecryptPin));
            }
        }
    }

    #[test]
    fn the_table_decides_thousands_of_cells_and_grants_few() {
        let all = Usage::ALL.len() * Mode::ALL.len() * 4 * Algorithm::ALL.len();
        let all = all * OperationKind::ALL.len();
        assert!(all > 60_000, "{all} cells");
        assert!(granted_cells().len() < 320);
    }

    #[test]
    fn mode_n_grants_nothing() {
        assert!(granted_cells().iter().all(|cell| !cell.contains(" N ")));
    }

    #[test]
    fn the_obstacle_named_is_the_attribute_to_mend() {
        let obstacle = first_obstacle;
        let (p0, m3) = (Usage::PinEncryption, Usage::MacAlgorithm3);
        assert_eq!(
            obstacle(Usage::DataEncryption, Mode::Derive, None, Tdes2),
            Some("mode")
        );
        assert_eq!(
            obstacle(p0, Mode::Decrypt, TERMINAL, Sm2),
            Some("algorithm")
        );
        assert_eq!(obstacle(p0, Mode::Decrypt, None, Tdes2), Some("side"));
        assert_eq!(obstacle(p0, Mode::Encrypt, TERMINAL, Tdes2), Some("mode"));
        assert_eq!(obstacle(p0, Mode::Decrypt, TERMINAL, Tdes2), None);
        assert_eq!(obstacle(m3, Mode::Generate, ZONE, Tdes2), Some("side"));
    }
}
