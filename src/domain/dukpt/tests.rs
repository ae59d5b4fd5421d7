//! The host's walk against the device's own algorithm, written here a second time from the
//! standard: future-key registers that are made and erased step by step (X9.24-1:2009, A.2;
//! X9.24-3:2017, 6.5). And which counters are transactions at all.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::domain::cipher::{Aes, BlockAlgorithm, BlockCipher, Des};
use crate::domain::dukpt::{InitialKey, KeyType, Ksn, KsnError, Purpose, aes, tdes};

/// A device: one register of a future key per bit of the counter.
struct Device<K> {
    registers: Vec<Option<K>>,
    counter: u32,
    ones_max: u32,
    step: Step<K>,
}

/// The key of a counter, from a key whose counter it extends by one bit.
type Step<K> = Box<dyn Fn(&K, u32) -> K>;

impl<K> Device<K> {
    fn load(initial: &K, bits: u32, ones_max: u32, step: Step<K>) -> Self {
        let registers = (0..bits).map(|bit| Some(step(initial, 1 << bit))).collect();
        Self {
            registers,
            counter: 1,
            ones_max,
            step,
        }
    }

    /// The counter and the key of the next transaction, which is then forgotten; none when all are
    /// used.
    fn next(&mut self) -> Option<(u32, K)> {
        let counter = self.counter;
        let bit = counter.trailing_zeros();
        let key = self
            .registers
            .get_mut(usize::try_from(bit).unwrap())?
            .take()?;
        let raised = if counter.count_ones() < self.ones_max {
            for lower in 0..bit {
                let future = (self.step)(&key, counter | 1 << lower);
                self.registers[usize::try_from(lower).unwrap()] = Some(future);
            }
            counter.checked_add(1)
        } else {
            counter.checked_add(1 << bit)
        };
        // Beyond the last register there is none, and the device has come to its end.
        self.counter = raised.unwrap_or(0);
        Some((counter, key))
    }
}

/// The keys of a TDES device, by DES alone.
fn tdes_device(initial: &[u8], ksn: [u8; 10]) -> Device<[u8; 16]> {
    let right_64 = u64::from_be_bytes(ksn[2..].try_into().unwrap()) >> 21 << 21;
    let step = move |key: &[u8; 16], counter: u32| {
        let register = right_64 | u64::from(counter);
        let half = |mask: u64| {
            let left = u64::from_be_bytes(key[..8].try_into().unwrap()) ^ mask;
            let right = u64::from_be_bytes(key[8..].try_into().unwrap()) ^ mask;
            let mut block = (register ^ right).to_be_bytes();
            let Ok(()) = Des::new(&left.to_be_bytes())
                .unwrap()
                .encrypt_block(&mut block);
            u64::from_be_bytes(block) ^ right
        };
        let (left, right) = (half(0xC0C0_C0C0_0000_0000), half(0));
        let mut next = [0; 16];
        next[..8].copy_from_slice(&left.to_be_bytes());
        next[8..].copy_from_slice(&right.to_be_bytes());
        next
    };
    Device::load(&initial.try_into().unwrap(), 21, 10, Box::new(step))
}

/// The keys of an AES device.
fn aes_device(initial: &[u8], id: [u8; 8]) -> Device<Vec<u8>> {
    let step = move |key: &Vec<u8>, counter: u32| {
        let bits = u8::try_from(key.len() * 8 % 256).unwrap();
        let (algorithm, high) = match key.len() {
            16 => (2, 0),
            24 => (3, 0),
            _ => (4, 1),
        };
        let mut next = Vec::new();
        for number in 1..=u8::try_from(key.len().div_ceil(16)).unwrap() {
            let mut block = [
                1, number, 0x80, 0, 0, algorithm, high, bits, 0, 0, 0, 0, 0, 0, 0, 0,
            ];
            block[8..12].copy_from_slice(&id[4..]);
            block[12..].copy_from_slice(&counter.to_be_bytes());
            let Ok(()) = Aes::new(key).unwrap().encrypt_block(&mut block);
            next.extend(block);
        }
        next.truncate(key.len());
        next
    };
    Device::load(&initial.to_vec(), 32, 16, Box::new(step))
}

fn tdes_ksn(device: [u8; 10], counter: u32) -> [u8; 10] {
    let [.., a, b, c] = device;
    let low = u32::from_be_bytes([0, a, b, c]) & !0x1F_FFFF | counter;
    let mut ksn = device;
    ksn[7..].copy_from_slice(&low.to_be_bytes()[1..]);
    ksn
}

fn aes_ksn(id: [u8; 8], counter: u32) -> [u8; 12] {
    let mut ksn = [0; 12];
    ksn[..8].copy_from_slice(&id);
    ksn[8..].copy_from_slice(&counter.to_be_bytes());
    ksn
}

const KSN: [u8; 10] = [0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 0];
const ID: [u8; 8] = 0x1234_5678_9012_3456_u64.to_be_bytes();

#[test]
fn a_tdes_device_and_its_host_come_to_the_same_keys_step_by_step() {
    let base = tdes::BaseKey::new(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
    let initial = base
        .unwrap()
        .initial_key(&tdes::DeviceId::of_ksn(&KSN).unwrap());
    let mut device = tdes_device(initial.to_derived().expose_secret(), KSN);
    for _ in 0..20_000 {
        let (counter, key) = device.next().unwrap();
        let ksn = tdes::Ksn::parse(&tdes_ksn(KSN, counter)).unwrap();
        let host = initial.transaction_key(&ksn).to_derived();
        assert_eq!(host.expose_secret(), key, "counter {counter:06X}");
    }
}

#[test]
fn an_aes_device_and_its_host_come_to_the_same_keys_step_by_step() {
    for length in [16, 24, 32] {
        let base: Vec<u8> = (0..length).map(|byte: u8| byte * 7).collect();
        let initial = aes::BaseKey::new(&base).unwrap();
        let initial = initial.initial_key(&aes::InitialKeyId(ID));
        let mut device = aes_device(initial.expose_secret(), ID);
        for _ in 0..20_000 {
            let (counter, key) = device.next().unwrap();
            let ksn = aes::Ksn::parse(&aes_ksn(ID, counter)).unwrap();
            let host = initial.transaction_key(&ksn);
            assert_eq!(host.expose_secret(), key, "counter {counter:08X}");
        }
    }
}

#[test]
fn a_tdes_device_counts_exactly_what_its_host_takes_and_then_stops() {
    let mut device = Device::load(&(), 21, 10, Box::new(|(), _| ()));
    let mut transactions = 0;
    while let Some((counter, ())) = device.next() {
        transactions += 1;
        assert!(tdes::Ksn::parse(&tdes_ksn(KSN, counter)).is_ok());
    }
    // The sum of 21 over k, for k from 1 to 10.
    assert_eq!(transactions, 1_048_575);
    let taken = (0..1 << 21).filter(|counter| tdes::Ksn::parse(&tdes_ksn(KSN, *counter)).is_ok());
    assert_eq!(taken.count(), transactions);
}

#[test]
fn every_weight_of_a_counter_is_taken_up_to_the_limit_and_none_beyond() {
    for (weight, low) in (0..=32_u32).map(|ones| (ones, u32::MAX.checked_shr(32 - ones))) {
        let low = low.unwrap_or(0);
        for counter in [low, low.reverse_bits(), low.rotate_left(7)] {
            let aes = Ksn::parse(BlockAlgorithm::Aes, &aes_ksn(ID, counter)).map(drop);
            let expected = match weight {
                0 => Err(KsnError::CounterZero),
                1..=16 => Ok(()),
                _ => Err(KsnError::CounterWeight),
            };
            assert_eq!(aes, expected, "{counter:08X}");
            if counter < 1 << 21 {
                let tdes = Ksn::parse(BlockAlgorithm::Tdes, &tdes_ksn(KSN, counter)).map(drop);
                let expected = match weight {
                    0 => Err(KsnError::CounterZero),
                    1..=10 => Ok(()),
                    _ => Err(KsnError::CounterWeight),
                };
                assert_eq!(tdes, expected, "{counter:06X}");
            }
        }
    }
}

#[test]
fn a_ksn_of_any_other_length_is_refused() {
    for length in 0..=32 {
        let bytes = vec![0x11; length];
        for (algorithm, own) in [(BlockAlgorithm::Tdes, 10), (BlockAlgorithm::Aes, 12)] {
            let refused = Ksn::parse(algorithm, &bytes) == Err(KsnError::Length);
            assert_eq!(refused, length != own, "{length} bytes for {algorithm:?}");
        }
        assert!(Ksn::parse(BlockAlgorithm::Sm4, &bytes).is_err());
    }
}

#[test]
fn no_two_purposes_of_a_transaction_share_a_key() {
    let pairs = |keys: Vec<(Purpose, Vec<u8>)>| {
        let distinct: BTreeSet<_> = keys.iter().map(|(_, key)| key.clone()).collect();
        distinct.len()
    };
    let (tdes, aes) = both();
    let keys = |initial: &InitialKey, ksn: &Ksn, key| {
        let transaction = initial.transaction_key(ksn).unwrap();
        let of = |purpose| {
            let derived = transaction.working_key(purpose, key).unwrap();
            (purpose, derived.expose_secret().to_vec())
        };
        Purpose::ALL.map(of).to_vec()
    };
    // Both ways is the request's variant under TDES, and a key of its own under AES.
    assert_eq!(pairs(keys(&tdes.0, &tdes.1, KeyType::Tdes2)), 5);
    assert_eq!(pairs(keys(&aes.0, &aes.1, KeyType::Aes128)), 7);
}

#[test]
fn a_key_stronger_than_its_base_key_is_not_derived() {
    let ((tdes, tdes_ksn), (aes, aes_ksn)) = both();
    for key in KeyType::ALL {
        let of = |initial: &InitialKey, ksn| {
            let transaction = initial.transaction_key(ksn).unwrap();
            transaction.working_key(Purpose::MacRequest, key).is_some()
        };
        assert_eq!(of(&tdes, &tdes_ksn), key == KeyType::Tdes2, "{key:?}");
        assert_eq!(of(&aes, &aes_ksn), key.strength_bits() <= 128, "{key:?}");
    }
    assert!(tdes.transaction_key(&aes_ksn).is_none());
    assert!(aes.transaction_key(&tdes_ksn).is_none());
}

/// A device of each kind, under a base key of 16 bytes.
fn both() -> ((InitialKey, Ksn), (InitialKey, Ksn)) {
    let key = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
    let device = tdes::DeviceId::of_ksn(&KSN).unwrap();
    let initial = tdes::BaseKey::new(&key).unwrap().initial_key(&device);
    let ksn = Ksn::parse(BlockAlgorithm::Tdes, &tdes_ksn(KSN, 5)).unwrap();
    let tdes = (InitialKey::Tdes(initial), ksn);
    let id = aes::InitialKeyId(ID);
    let initial = aes::BaseKey::new(&key).unwrap().initial_key(&id);
    let ksn = Ksn::parse(BlockAlgorithm::Aes, &aes_ksn(ID, 5)).unwrap();
    (tdes, (InitialKey::Aes(initial), ksn))
}

proptest! {
    #[test]
    fn any_bytes_are_a_ksn_or_an_error_and_the_device_does_not_depend_on_the_counter(
        bytes: [u8; 10],
        counter in 1_u32..1 << 21,
    ) {
        let _ = Ksn::parse(BlockAlgorithm::Aes, &bytes);
        let ones = counter.count_ones();
        let ksn = Ksn::parse(BlockAlgorithm::Tdes, &tdes_ksn(bytes, counter));
        prop_assert_eq!(ksn.is_ok(), ones <= 10);
        if let (Ok(ksn), Ok(first)) = (ksn, Ksn::parse(BlockAlgorithm::Tdes, &tdes_ksn(bytes, 1))) {
            prop_assert_eq!(ksn.device(), first.device());
            prop_assert_eq!(ksn.counter(), counter);
        }
    }
}
