//! The keys that a key block is really under: its encryption key (KBEK) and its authentication key
//! (KBAK), made from a key block protection key (KBPK) once and used for many blocks.
//!
//! B and D need CMACs of constants only (X9.143, 7.3.2), so a KBPK that never leaves a token will
//! do; [`ProtectionKeys::derive`] takes the CMAC as a port. A and C need the KBPK's value
//! (TR-31:2018, A.5.4.1) and can only be opened. A version is pinned to the keys: two versions
//! under one KBPK is how a block is downgraded.

use core::convert::Infallible;

use zeroize::Zeroizing;

use crate::domain::cipher::{Aes, BlockCipher, KeyLength, Tdes};
use crate::domain::key_block::{Version, strength};
use crate::domain::mac::cmac;

/// Expanded KBEK and KBAK of one version. Without heap, for the locked slab; wiped on drop.
pub struct ProtectionKeys {
    version: Version,
    strength: u16,
    schedule: Schedule,
}

impl ProtectionKeys {
    /// Derives the keys of version B (a TDES KBPK) or D (AES) by a CMAC under the KBPK.
    ///
    /// `cmac` writes the whole CMAC of its eight bytes: 8 bytes under TDES, 16 under AES. It is
    /// called two to four times.
    pub fn derive<E: From<KeyLength>>(
        kbpk: KbpkAlgorithm,
        cmac: impl FnMut(&[u8; 8], &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let keys = BlockKeys::derive(kbpk, cmac)?;
        Ok(Self::new(kbpk.version(), kbpk, &keys)?)
    }

    /// The keys of any version from the value of a KBPK: 16 or 24 bytes of TDES for A, B and C;
    /// 16, 24 or 32 bytes of AES for D.
    pub fn from_kbpk(version: Version, kbpk: &[u8]) -> Result<Self, KeyLength> {
        let algorithm = KbpkAlgorithm::of(version, kbpk.len()).ok_or(KeyLength)?;
        let keys = BlockKeys::from_kbpk(version, kbpk)?;
        Self::new(version, algorithm, &keys)
    }

    /// The version of the blocks that these keys open.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Bits of security of the KBPK.
    pub const fn strength(&self) -> u16 {
        self.strength
    }

    pub(super) const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn new(version: Version, kbpk: KbpkAlgorithm, keys: &BlockKeys) -> Result<Self, KeyLength> {
        let (kbek, kbak) = (keys.expose_kbek(), keys.expose_kbak());
        let schedule = match version {
            Version::A | Version::C => Schedule::Variant {
                kbek: Tdes::new(kbek)?,
                kbak: Tdes::new(kbak)?,
            },
            Version::B => {
                let (kbek, kbak) = (Tdes::new(kbek)?, Tdes::new(kbak)?);
                let Ok(subkeys) = cmac::Subkeys::derive(&kbak);
                Schedule::Tdes {
                    kbek,
                    kbak,
                    subkeys,
                }
            }
            Version::D => {
                let (kbek, kbak) = (Aes::new(kbek)?, Aes::new(kbak)?);
                let Ok(subkeys) = cmac::Subkeys::derive(&kbak);
                Schedule::Aes {
                    kbek,
                    kbak,
                    subkeys,
                }
            }
        };
        Ok(Self {
            version,
            strength: kbpk.strength(),
            schedule,
        })
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "no heap: the locked slab holds the whole value"
)]
pub(super) enum Schedule {
    /// A and C.
    Variant { kbek: Tdes, kbak: Tdes },
    /// B.
    Tdes {
        kbek: Tdes,
        kbak: Tdes,
        subkeys: cmac::Subkeys<8>,
    },
    /// D.
    Aes {
        kbek: Aes,
        kbak: Aes,
        subkeys: cmac::Subkeys<16>,
    },
}

/// What a KBPK is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KbpkAlgorithm {
    /// Two-key TDES.
    Tdes2,
    /// Three-key TDES.
    Tdes3,
    /// AES-128.
    Aes128,
    /// AES-192.
    Aes192,
    /// AES-256.
    Aes256,
}

impl KbpkAlgorithm {
    /// The KBPK of a version with a key of `bytes`; none where the version has no such key.
    pub const fn of(version: Version, bytes: usize) -> Option<Self> {
        match (version, bytes) {
            (Version::A | Version::B | Version::C, 16) => Some(Self::Tdes2),
            (Version::A | Version::B | Version::C, 24) => Some(Self::Tdes3),
            (Version::D, 16) => Some(Self::Aes128),
            (Version::D, 24) => Some(Self::Aes192),
            (Version::D, 32) => Some(Self::Aes256),
            _ => None,
        }
    }

    /// The version whose keys are derived from it.
    pub const fn version(self) -> Version {
        match self {
            Self::Tdes2 | Self::Tdes3 => Version::B,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Version::D,
        }
    }

    /// Bytes of the KBPK, and of each key made from it.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Tdes2 | Self::Aes128 => 16,
            Self::Tdes3 | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Bits of security.
    pub const fn strength(self) -> u16 {
        match self {
            Self::Tdes2 => strength::TDES_2,
            Self::Tdes3 => strength::TDES_3,
            Self::Aes128 => 128,
            Self::Aes192 => 192,
            Self::Aes256 => 256,
        }
    }

    /// Algorithm and length in bits, as the derivation data has them (X9.143, 7.3.2).
    const fn indicator(self) -> [u8; 4] {
        match self {
            Self::Tdes2 => [0, 0, 0x00, 0x80],
            Self::Tdes3 => [0, 1, 0x00, 0xC0],
            Self::Aes128 => [0, 2, 0x00, 0x80],
            Self::Aes192 => [0, 3, 0x00, 0xC0],
            Self::Aes256 => [0, 4, 0x01, 0x00],
        }
    }
}

/// KBEK and KBAK as bytes, on their way to [`ProtectionKeys`]. Wiped on drop.
pub struct BlockKeys {
    kbek: Zeroizing<[u8; 32]>,
    kbak: Zeroizing<[u8; 32]>,
    bytes: usize,
}

impl BlockKeys {
    /// Derives both by CMACs of constants (X9.143, 7.3.2): see [`ProtectionKeys::derive`].
    pub fn derive<E>(
        kbpk: KbpkAlgorithm,
        mut cmac: impl FnMut(&[u8; 8], &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (bytes, block) = (kbpk.key_bytes(), kbpk.version().block_bytes());
        let [a, b, c, d] = kbpk.indicator();
        let mut keys = Self::zero(bytes);
        for (key, purpose) in [
            (&mut keys.kbek, FOR_ENCRYPTION),
            (&mut keys.kbak, FOR_AUTHENTICATION),
        ] {
            for (counter, part) in (1..).zip(key[..bytes].chunks_mut(block)) {
                let input = [counter, 0, purpose, 0, a, b, c, d];
                let mut output = Zeroizing::new([0u8; 16]);
                cmac(&input, &mut output[..block])?;
                part.copy_from_slice(&output[..part.len()]);
            }
        }
        Ok(keys)
    }

    /// Both from the value of a KBPK, by the method of the version.
    pub fn from_kbpk(version: Version, kbpk: &[u8]) -> Result<Self, KeyLength> {
        let algorithm = KbpkAlgorithm::of(version, kbpk.len()).ok_or(KeyLength)?;
        let Ok(keys) = match version {
            Version::A | Version::C => Ok(Self::variants(kbpk)),
            Version::B => Self::derive(algorithm, software_cmac(Tdes::new(kbpk)?)),
            Version::D => Self::derive(algorithm, software_cmac(Aes::new(kbpk)?)),
        };
        Ok(keys)
    }

    /// The encryption key.
    pub fn expose_kbek(&self) -> &[u8] {
        &self.kbek[..self.bytes]
    }

    /// The authentication key.
    pub fn expose_kbak(&self) -> &[u8] {
        &self.kbak[..self.bytes]
    }

    /// The KBPK under the masks E and M (TR-31:2018, A.5.4.1).
    fn variants(kbpk: &[u8]) -> Self {
        let mut keys = Self::zero(kbpk.len());
        for (key, mask) in [(&mut keys.kbek, b'E'), (&mut keys.kbak, b'M')] {
            for (byte, original) in key.iter_mut().zip(kbpk) {
                *byte = original ^ mask;
            }
        }
        keys
    }

    fn zero(bytes: usize) -> Self {
        Self {
            kbek: Zeroizing::default(),
            kbak: Zeroizing::default(),
            bytes,
        }
    }
}

/// The port's CMAC where the KBPK is in this process.
fn software_cmac<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    cipher: C,
) -> impl FnMut(&[u8; 8], &mut [u8]) -> Result<(), Infallible> {
    let Ok(subkeys) = cmac::Subkeys::derive(&cipher);
    move |input, output| {
        let Ok(tag) = cmac::tag(&cipher, &subkeys, input);
        output.copy_from_slice(&Zeroizing::new(tag)[..]);
        Ok(())
    }
}

/// Key usage indicators of the derivation data (X9.143, 7.3.2).
const FOR_ENCRYPTION: u8 = 0;
const FOR_AUTHENTICATION: u8 = 1;

/// The slab's largest slot.
const _: () = assert!(size_of::<ProtectionKeys>() <= 4096);
