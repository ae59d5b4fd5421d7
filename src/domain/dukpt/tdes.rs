//! TDES DUKPT (ANSI X9.24-1:2009, annex A; the same in X9.24-3:2017, annex C): KSN, initial key, the
//! non-reversible key generation process, and the variants of a transaction key.
//!
//! Data keys get the one-way step that the standard asks for; MAC and PIN keys are the bare
//! variants, as every device has them. Parity is not set anywhere: DES ignores it. Triple-length
//! base keys have no derivation in the standard and none here.

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::{BlockCipher, Des, KeyLength, Tdes};
use crate::domain::dukpt::{Derived, KsnError, Purpose};
use crate::limits::DUKPT_TDES_ONES_MAX;

/// Device and counter: 59 bits and 21, in 10 bytes.
///
/// Shorter serial numbers of old messages are padded with F on the left before they come here
/// (X9.24-1:2009, A.1): one transaction has one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ksn {
    device: DeviceId,
    counter: u32,
}

impl Ksn {
    /// Reads 10 bytes.
    ///
    /// # Errors
    /// [`KsnError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KsnError> {
        let device = DeviceId::of_ksn(bytes)?;
        let low = match bytes {
            [.., a, b, c] => u32::from_be_bytes([0, *a, *b, *c]),
            _ => return Err(KsnError::Length),
        };
        let counter = low & COUNTER_MASK;
        if counter == 0 {
            return Err(KsnError::CounterZero);
        }
        if counter.count_ones() > DUKPT_TDES_ONES_MAX {
            return Err(KsnError::CounterWeight);
        }
        Ok(Self { device, counter })
    }

    /// Whose it is.
    pub const fn id(&self) -> &DeviceId {
        &self.device
    }

    /// Key set and device: the leftmost 59 bits, then zeros.
    pub fn device(&self) -> [u8; 8] {
        self.device.initial_key_block()
    }

    /// The number of the transaction, 1 to 2²¹ − 1.
    pub const fn counter(&self) -> u32 {
        self.counter
    }
}

/// Key set and device: a KSN with its counter at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId([u8; 10]);

impl DeviceId {
    /// The device of a KSN, whatever its counter.
    ///
    /// # Errors
    /// [`KsnError::Length`].
    pub fn of_ksn(bytes: &[u8]) -> Result<Self, KsnError> {
        let mut id: [u8; 10] = bytes.try_into().map_err(|_| KsnError::Length)?;
        id[7] &= 0xE0;
        (id[8], id[9]) = (0, 0);
        Ok(Self(id))
    }

    /// What the base key encrypts: the leftmost 64 bits (A.6, step 3).
    pub fn initial_key_block(&self) -> [u8; 8] {
        let [block @ .., _, _] = self.0;
        block
    }

    /// The rightmost 64 bits, into which the counter's bits are set one by one (A.2, CR-1).
    fn register(&self) -> [u8; 8] {
        let [_, _, register @ ..] = self.0;
        register
    }
}

/// The base key for the right half of an initial key: each half ⊕ C0C0C0C0 00000000 (A.6, step 4).
pub fn masked_base_key(base_key: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    let mut masked = Zeroizing::new(*base_key);
    let (halves, _) = masked.as_chunks_mut::<8>();
    for half in halves {
        mask(half, NON_REVERSIBLE_MASK);
    }
    masked
}

/// Derives a device's initial key (A.6) under the base key and [`masked_base_key`].
pub fn initial_key<C: BlockCipher<8>>(
    base_key: &C,
    masked: &C,
    device: &DeviceId,
) -> Result<InitialKey, C::Error> {
    let mut key = InitialKey(Register {
        left: device.initial_key_block(),
        right: device.initial_key_block(),
    });
    base_key.encrypt_block(&mut key.0.left)?;
    masked.encrypt_block(&mut key.0.right)?;
    Ok(key)
}

/// The base key in this process: its schedule, and that of its masked form.
pub struct BaseKey {
    plain: Tdes,
    masked: Tdes,
}

impl BaseKey {
    /// Expands 16 bytes.
    ///
    /// # Errors
    /// [`KeyLength`].
    pub fn new(key: &[u8]) -> Result<Self, KeyLength> {
        let key: &[u8; 16] = key.try_into().map_err(|_| KeyLength)?;
        Ok(Self {
            plain: Tdes::new(key)?,
            masked: Tdes::new(&masked_base_key(key)[..])?,
        })
    }

    /// A device's initial key.
    pub fn initial_key(&self, device: &DeviceId) -> InitialKey {
        let Ok(key) = initial_key(&self.plain, &self.masked, device);
        key
    }
}

/// A device's initial key.
pub struct InitialKey(Register);

impl InitialKey {
    /// Walks along the counter's one-bits from the highest (A.3): what the device came to by its
    /// future keys.
    pub fn transaction_key(&self, ksn: &Ksn) -> TransactionKey {
        let mut register = u64::from_be_bytes(ksn.device.register());
        let mut key = Register {
            left: self.0.left,
            right: self.0.right,
        };
        for bit in (0..COUNTER_BITS).rev().map(|bit| 1 << bit) {
            if ksn.counter & bit != 0 {
                register |= u64::from(bit);
                key = key.next(register.to_be_bytes());
            }
        }
        TransactionKey(key)
    }

    /// The key, for a device that is loaded with it, and for known answers.
    pub fn to_derived(&self) -> Derived {
        self.0.to_derived()
    }
}

/// The key of one transaction, before its variants.
pub struct TransactionKey(Register);

impl TransactionKey {
    /// The variant for a purpose (A.4.1, table A-1); of data keys encrypted under itself, each half on
    /// its own. Both ways share the request's variant, as devices of that kind do.
    pub fn working_key(&self, purpose: Purpose) -> Derived {
        let mut key = Register {
            left: self.0.left,
            right: self.0.right,
        };
        let (variant, one_way) = match purpose {
            Purpose::Pin => (0x0000_0000_0000_00FF, false),
            Purpose::MacRequest | Purpose::MacBothWays => (0x0000_0000_0000_FF00, false),
            Purpose::MacResponse => (0x0000_0000_FF00_0000, false),
            Purpose::DataRequest | Purpose::DataBothWays => (0x0000_0000_00FF_0000, true),
            Purpose::DataResponse => (0x0000_00FF_0000_0000, true),
        };
        mask(&mut key.left, variant);
        mask(&mut key.right, variant);
        if one_way {
            // A Tdes takes 16 bytes, which this is.
            if let Ok(tdes) = Tdes::new(key.to_derived().expose_secret()) {
                let Ok(()) = tdes.encrypt_block(&mut key.left);
                let Ok(()) = tdes.encrypt_block(&mut key.right);
            }
        }
        key.to_derived()
    }

    /// The key, for known answers.
    pub fn to_derived(&self) -> Derived {
        self.0.to_derived()
    }
}

/// A double-length key. Wiped on drop.
#[derive(ZeroizeOnDrop)]
struct Register {
    left: [u8; 8],
    right: [u8; 8],
}

impl Register {
    /// The non-reversible key generation process (A.2): the right half comes of the key itself, the
    /// left of the masked one.
    fn next(&self, register: [u8; 8]) -> Self {
        let mut masked = Self {
            left: self.left,
            right: self.right,
        };
        mask(&mut masked.left, NON_REVERSIBLE_MASK);
        mask(&mut masked.right, NON_REVERSIBLE_MASK);
        Self {
            left: masked.half(register),
            right: self.half(register),
        }
    }

    fn half(&self, register: [u8; 8]) -> [u8; 8] {
        let right = u64::from_be_bytes(self.right);
        let mut half = register;
        mask(&mut half, right);
        // A Des takes 8 bytes, which this is.
        if let Ok(des) = Des::new(&self.left) {
            let Ok(()) = des.encrypt_block(&mut half);
        }
        mask(&mut half, right);
        half
    }

    fn to_derived(&self) -> Derived {
        Derived::new(16, |bytes| {
            bytes[..8].copy_from_slice(&self.left);
            bytes[8..16].copy_from_slice(&self.right);
        })
    }
}

fn mask(half: &mut [u8; 8], mask: u64) {
    *half = (u64::from_be_bytes(*half) ^ mask).to_be_bytes();
}

const NON_REVERSIBLE_MASK: u64 = 0xC0C0_C0C0_0000_0000;
const COUNTER_BITS: u32 = 21;
const COUNTER_MASK: u32 = (1 << COUNTER_BITS) - 1;
