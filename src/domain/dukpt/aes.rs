//! AES DUKPT (ANSI X9.24-3:2017, clause 6): KSN, derivation data, initial key, transaction key and
//! working keys.
//!
//! Everything is one function: a key encrypts a block that says what is derived, once for each 16
//! bytes of the new key (6.3.2, 6.3.3). Those blocks are public, so that a base key in a token
//! encrypts them there ([`initial_key_blocks`]).

use zeroize::{Zeroize, Zeroizing};

use crate::domain::cipher::{Aes, BlockCipher, KeyLength};
use crate::domain::dukpt::{Derived, KeyType, KsnError, Purpose};
use crate::limits::DUKPT_AES_ONES_MAX;

/// Initial key id and counter: 64 bits and 32, in 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ksn {
    device: InitialKeyId,
    counter: u32,
}

impl Ksn {
    /// Reads 12 bytes.
    ///
    /// # Errors
    /// [`KsnError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KsnError> {
        let (id, counter) = match bytes {
            [id @ .., a, b, c, d] => (id, u32::from_be_bytes([*a, *b, *c, *d])),
            _ => return Err(KsnError::Length),
        };
        let id = id.try_into().map_err(|_| KsnError::Length)?;
        if counter == 0 {
            return Err(KsnError::CounterZero);
        }
        if counter.count_ones() > DUKPT_AES_ONES_MAX {
            return Err(KsnError::CounterWeight);
        }
        Ok(Self {
            device: InitialKeyId(id),
            counter,
        })
    }

    /// Whose it is.
    pub const fn id(&self) -> &InitialKeyId {
        &self.device
    }

    /// The initial key id.
    pub const fn device(&self) -> [u8; 8] {
        self.device.0
    }

    /// The number of the transaction.
    pub const fn counter(&self) -> u32 {
        self.counter
    }
}

/// BDK id and derivation id: what a device's initial key derives from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialKeyId(pub [u8; 8]);

impl InitialKeyId {
    /// The id of a device that speaks KSNs of 80 bits (X9.24-3:2017, 6.1, compatibility): a zero
    /// nibble, the 59 bits of key set and device, a zero bit.
    ///
    /// # Errors
    /// [`KsnError::Length`].
    pub fn of_ksn_of_80_bits(ksn: &[u8]) -> Result<Self, KsnError> {
        let ksn: &[u8; 10] = ksn.try_into().map_err(|_| KsnError::Length)?;
        let [left @ .., _, _] = *ksn;
        let id = (u64::from_be_bytes(left) >> 5) << 1;
        Ok(Self(id.to_be_bytes()))
    }
}

/// The length of a base key, and of all that is derived from it on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl Size {
    /// The type of a key of this length.
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Aes128 => KeyType::Aes128,
            Self::Aes192 => KeyType::Aes192,
            Self::Aes256 => KeyType::Aes256,
        }
    }

    fn of(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self::Aes128),
            24 => Some(Self::Aes192),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }
}

/// What the derivation data says a key is for (X9.24-3:2017, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyUsage {
    /// A key that encrypts the device's next initial key.
    KeyEncryption,
    /// PIN blocks.
    PinEncryption,
    /// MACs, made by the device.
    MacGeneration,
    /// MACs, checked by the device.
    MacVerification,
    /// MACs, both.
    MacBothWays,
    /// Data, encrypted by the device.
    DataEncrypt,
    /// Data, decrypted by the device.
    DataDecrypt,
    /// Data, both.
    DataBothWays,
    /// A key on the way to another.
    KeyDerivation,
    /// A device's initial key.
    KeyDerivationInitial,
}

impl KeyUsage {
    const fn indicator(self) -> u16 {
        match self {
            Self::KeyEncryption => 0x0002,
            Self::PinEncryption => 0x1000,
            Self::MacGeneration => 0x2000,
            Self::MacVerification => 0x2001,
            Self::MacBothWays => 0x2002,
            Self::DataEncrypt => 0x3000,
            Self::DataDecrypt => 0x3001,
            Self::DataBothWays => 0x3002,
            Self::KeyDerivation => 0x8000,
            Self::KeyDerivationInitial => 0x8001,
        }
    }
}

impl From<Purpose> for KeyUsage {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Pin => Self::PinEncryption,
            Purpose::MacRequest => Self::MacGeneration,
            Purpose::MacResponse => Self::MacVerification,
            Purpose::MacBothWays => Self::MacBothWays,
            Purpose::DataRequest => Self::DataEncrypt,
            Purpose::DataResponse => Self::DataDecrypt,
            Purpose::DataBothWays => Self::DataBothWays,
        }
    }
}

/// What a base key encrypts to make a device's initial key: one block or two. The key is their
/// beginning, as long as the base key.
pub fn initial_key_blocks(size: Size, device: &InitialKeyId) -> Vec<[u8; 16]> {
    let data = Data {
        usage: KeyUsage::KeyDerivationInitial,
        key: size.key_type(),
        context: device.0,
    };
    data.blocks()[..size.key_type().bytes().div_ceil(16)].to_vec()
}

/// Derives a device's initial key (6.3.4) under a base key, wherever that is.
pub fn initial_key<C: BlockCipher<16>>(
    base_key: &C,
    size: Size,
    device: &InitialKeyId,
) -> Result<InitialKey, C::Error> {
    let mut blocks = Zeroizing::new(initial_key_blocks(size, device));
    base_key.encrypt_blocks(&mut blocks)?;
    Ok(InitialKey::of_blocks(size, blocks.as_flattened(), device))
}

/// A device's initial key.
pub struct InitialKey {
    key: DerivationKey,
    device: InitialKeyId,
}

impl InitialKey {
    /// From the encrypted [`initial_key_blocks`].
    pub fn of_blocks(size: Size, encrypted: &[u8], device: &InitialKeyId) -> Self {
        let bytes = Derived::new(size.key_type().bytes(), |bytes| {
            for (byte, encrypted) in bytes.iter_mut().zip(encrypted) {
                *byte = *encrypted;
            }
        });
        Self {
            key: DerivationKey { bytes, size },
            device: *device,
        }
    }

    /// Walks along the counter's one-bits from the highest (6.4).
    pub fn transaction_key(&self, ksn: &Ksn) -> TransactionKey {
        self.at(ksn.counter)
    }

    /// The key under which a device gets its next initial key (6.5.4): of the counter that no
    /// transaction has.
    pub fn update_key(&self, key: KeyType) -> Option<Derived> {
        self.at(u32::MAX).working_key(KeyUsage::KeyEncryption, key)
    }

    fn at(&self, counter: u32) -> TransactionKey {
        let mut key = self.key.again();
        let mut walked = 0;
        for bit in (0..u32::BITS).rev().map(|bit| 1 << bit) {
            if counter & bit != 0 {
                walked |= bit;
                key = key.next(&self.device, walked);
            }
        }
        TransactionKey {
            key,
            device: self.device,
            counter,
        }
    }

    /// The key, for a device that is loaded with it, and for known answers.
    pub fn expose_secret(&self) -> &[u8] {
        self.key.bytes.expose_secret()
    }
}

/// The key of one transaction, from which its working keys derive.
pub struct TransactionKey {
    key: DerivationKey,
    device: InitialKeyId,
    counter: u32,
}

impl TransactionKey {
    /// A working key; none where it would be stronger than what it derives from.
    pub fn working_key(&self, usage: KeyUsage, key: KeyType) -> Option<Derived> {
        self.key.derive(usage, key, &self.device, self.counter)
    }

    /// The key, for known answers.
    pub fn expose_secret(&self) -> &[u8] {
        self.key.bytes.expose_secret()
    }
}

/// A key from which others derive.
struct DerivationKey {
    bytes: Derived,
    size: Size,
}

impl DerivationKey {
    fn again(&self) -> Self {
        Self {
            bytes: Derived::new(self.bytes.length, |bytes| *bytes = self.bytes.bytes),
            size: self.size,
        }
    }

    fn next(&self, device: &InitialKeyId, counter: u32) -> Self {
        let key = self.size.key_type();
        Self {
            bytes: self.encrypt(KeyUsage::KeyDerivation, key, device, counter),
            size: self.size,
        }
    }

    fn derive(
        &self,
        usage: KeyUsage,
        key: KeyType,
        device: &InitialKeyId,
        counter: u32,
    ) -> Option<Derived> {
        let weaker = key.strength_bits() <= self.size.key_type().strength_bits();
        weaker.then(|| self.encrypt(usage, key, device, counter))
    }

    fn encrypt(
        &self,
        usage: KeyUsage,
        key: KeyType,
        device: &InitialKeyId,
        counter: u32,
    ) -> Derived {
        let [.., a, b, c, d] = device.0;
        let [e, f, g, h] = counter.to_be_bytes();
        let data = Data {
            usage,
            key,
            context: [a, b, c, d, e, f, g, h],
        };
        Derived::new(key.bytes(), |bytes| {
            // An Aes takes the lengths of a Size, which this has.
            if let Ok(aes) = Aes::new(self.bytes.expose_secret()) {
                let mut blocks = data.blocks();
                let Ok(()) = aes.encrypt_blocks(&mut blocks);
                bytes.copy_from_slice(blocks.as_flattened());
                blocks.zeroize();
                bytes[key.bytes()..].zeroize();
            }
        })
    }
}

/// The base key in this process.
pub struct BaseKey {
    aes: Aes,
    size: Size,
}

impl BaseKey {
    /// Expands 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// [`KeyLength`].
    pub fn new(key: &[u8]) -> Result<Self, KeyLength> {
        Ok(Self {
            aes: Aes::new(key)?,
            size: Size::of(key.len()).ok_or(KeyLength)?,
        })
    }

    /// A device's initial key.
    pub fn initial_key(&self, device: &InitialKeyId) -> InitialKey {
        let Ok(key) = initial_key(&self.aes, self.size, device);
        key
    }
}

/// Derivation data (X9.24-3:2017, 6.3.2).
struct Data {
    usage: KeyUsage,
    key: KeyType,
    /// The initial key id, or its right half and the counter.
    context: [u8; 8],
}

impl Data {
    /// Version 1, a counter of blocks, usage, algorithm, length in bits, context. Keys of up to 16
    /// bytes have the first block only.
    fn blocks(&self) -> [[u8; 16]; 2] {
        let [usage, more] = self.usage.indicator().to_be_bytes();
        let [algorithm, of_it] = algorithm_indicator(self.key).to_be_bytes();
        let [bits, less] = length_bits(self.key).to_be_bytes();
        let [a, b, c, d, e, f, g, h] = self.context;
        [1, 2].map(|number| {
            [
                1, number, usage, more, algorithm, of_it, bits, less, a, b, c, d, e, f, g, h,
            ]
        })
    }
}

/// X9.24-3:2017, table 3.
const fn algorithm_indicator(key: KeyType) -> u16 {
    match key {
        KeyType::Tdes2 => 0,
        KeyType::Tdes3 => 1,
        KeyType::Aes128 => 2,
        KeyType::Aes192 => 3,
        KeyType::Aes256 => 4,
        KeyType::Hmac128 | KeyType::Hmac192 | KeyType::Hmac256 => 5,
    }
}

const fn length_bits(key: KeyType) -> u16 {
    match key.bytes() {
        16 => 128,
        24 => 192,
        _ => 256,
    }
}
