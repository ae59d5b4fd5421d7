//! DUKPT, derived unique key per transaction: from a base derivation key and the key serial number
//! (KSN) that a device sends, the keys of one of its transactions. TDES after ANSI X9.24-1:2009,
//! annex A; AES after ANSI X9.24-3:2017.
//!
//! The host's side only: it walks from a device's initial key along the one-bits of the counter.
//! What a derived key is for ([`Purpose`]) is a device's point of view, and is never read from a
//! request. Which base key may derive what is not decided here; nor whether a KSN came before,
//! but for the arithmetic of it ([`replay`]).

use zeroize::ZeroizeOnDrop;

use crate::domain::cipher::BlockAlgorithm;

pub mod aes;
pub mod replay;
pub mod tdes;
#[cfg(test)]
mod tests;

/// Which transaction of which device, for a base key of one of the two algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ksn {
    /// 10 bytes.
    Tdes(tdes::Ksn),
    /// 12 bytes.
    Aes(aes::Ksn),
}

impl Ksn {
    /// Reads a KSN for a base key of this algorithm; there is none for SM4.
    ///
    /// # Errors
    /// [`KsnError`]. A KSN is public, so that each fault may be told.
    pub fn parse(algorithm: BlockAlgorithm, bytes: &[u8]) -> Result<Self, KsnError> {
        match algorithm {
            BlockAlgorithm::Tdes => tdes::Ksn::parse(bytes).map(Self::Tdes),
            BlockAlgorithm::Aes => aes::Ksn::parse(bytes).map(Self::Aes),
            BlockAlgorithm::Sm4 => Err(KsnError::Length),
        }
    }

    /// The device, without its counter.
    pub fn device(&self) -> [u8; 8] {
        match self {
            Self::Tdes(ksn) => ksn.device(),
            Self::Aes(ksn) => ksn.device(),
        }
    }

    /// The number of the transaction.
    pub const fn counter(&self) -> u32 {
        match self {
            Self::Tdes(ksn) => ksn.counter(),
            Self::Aes(ksn) => ksn.counter(),
        }
    }
}

/// The sender's: no KSN of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KsnError {
    /// Not 10 bytes for TDES, 12 for AES.
    #[error("a KSN is 10 bytes for TDES and 12 for AES")]
    Length,
    /// The counter is 0: the initial key itself, which is used for nothing.
    #[error("the counter of the KSN is 0")]
    CounterZero,
    /// More one-bits than a device's counter ever has: 10 for TDES, 16 for AES.
    #[error("the counter of the KSN has more one-bits than a device counts")]
    CounterWeight,
}

/// A device's initial key, which its base key derives from the device's id.
pub enum InitialKey {
    /// Of a TDES device.
    Tdes(tdes::InitialKey),
    /// Of an AES device.
    Aes(aes::InitialKey),
}

impl InitialKey {
    /// The key of one transaction; none where the KSN is of the other algorithm.
    pub fn transaction_key(&self, ksn: &Ksn) -> Option<TransactionKey> {
        match (self, ksn) {
            (Self::Tdes(key), Ksn::Tdes(ksn)) => {
                Some(TransactionKey::Tdes(key.transaction_key(ksn)))
            }
            (Self::Aes(key), Ksn::Aes(ksn)) => Some(TransactionKey::Aes(key.transaction_key(ksn))),
            (Self::Tdes(_), Ksn::Aes(_)) | (Self::Aes(_), Ksn::Tdes(_)) => None,
        }
    }
}

/// What the working keys of one transaction derive from. Used for nothing else.
pub enum TransactionKey {
    /// Of a TDES device.
    Tdes(tdes::TransactionKey),
    /// Of an AES device.
    Aes(aes::TransactionKey),
}

impl TransactionKey {
    /// A working key; none where DUKPT derives no such key: from TDES anything but two-key TDES,
    /// from AES a key that is stronger than the base key.
    pub fn working_key(&self, purpose: Purpose, key: KeyType) -> Option<Derived> {
        match (self, key) {
            (Self::Tdes(transaction), KeyType::Tdes2) => Some(transaction.working_key(purpose)),
            (Self::Tdes(_), _) => None,
            (Self::Aes(transaction), key) => transaction.working_key(purpose.into(), key),
        }
    }
}

/// What a working key is for. Requests go from the device to the host, responses back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// PIN blocks.
    Pin,
    /// MACs that the device makes.
    MacRequest,
    /// MACs that the device checks.
    MacResponse,
    /// MACs both ways, of devices that do not tell the two apart.
    MacBothWays,
    /// Data that the device encrypts.
    DataRequest,
    /// Data that the device decrypts.
    DataResponse,
    /// Data both ways, of devices that do not tell the two apart.
    DataBothWays,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 7] = [
        Self::Pin,
        Self::MacRequest,
        Self::MacResponse,
        Self::MacBothWays,
        Self::DataRequest,
        Self::DataResponse,
        Self::DataBothWays,
    ];
}

/// Algorithm and length of a working key (X9.24-3:2017, 6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// Two-key TDES, 16 bytes; the only one under a TDES base key.
    Tdes2,
    /// Three-key TDES, 24 bytes.
    Tdes3,
    /// AES, 16 bytes.
    Aes128,
    /// AES, 24 bytes.
    Aes192,
    /// AES, 32 bytes.
    Aes256,
    /// HMAC, 16 bytes.
    Hmac128,
    /// HMAC, 24 bytes.
    Hmac192,
    /// HMAC, 32 bytes.
    Hmac256,
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Tdes2,
        Self::Tdes3,
        Self::Aes128,
        Self::Aes192,
        Self::Aes256,
        Self::Hmac128,
        Self::Hmac192,
        Self::Hmac256,
    ];

    /// Bytes of a key.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Tdes2 | Self::Aes128 | Self::Hmac128 => 16,
            Self::Tdes3 | Self::Aes192 | Self::Hmac192 => 24,
            Self::Aes256 | Self::Hmac256 => 32,
        }
    }

    /// The block cipher; none for HMAC.
    pub const fn block_algorithm(self) -> Option<BlockAlgorithm> {
        match self {
            Self::Tdes2 | Self::Tdes3 => Some(BlockAlgorithm::Tdes),
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Some(BlockAlgorithm::Aes),
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => None,
        }
    }

    /// Strength, bits: a key is never derived from a weaker one (X9.24-3:2017, 6.3.1). Two-key TDES
    /// counts for 80 here as everywhere (SP 800-57 part 1 rev. 5, table 2).
    pub const fn strength_bits(self) -> u16 {
        match self {
            Self::Tdes2 => 80,
            Self::Tdes3 => 112,
            Self::Aes128 | Self::Hmac128 => 128,
            Self::Aes192 | Self::Hmac192 => 192,
            Self::Aes256 | Self::Hmac256 => 256,
        }
    }
}

/// Bytes of a derived key on their way into a schedule. Wiped on drop, without `Debug`, `Clone` or
/// `==`.
#[derive(ZeroizeOnDrop)]
pub struct Derived {
    bytes: [u8; Self::MAX],
    length: usize,
}

impl Derived {
    const MAX: usize = 32;

    fn new(length: usize, fill: impl FnOnce(&mut [u8; Self::MAX])) -> Self {
        let mut derived = Self {
            bytes: [0; Self::MAX],
            length: length.min(Self::MAX),
        };
        fill(&mut derived.bytes);
        derived
    }

    /// The key.
    pub fn expose_secret(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
