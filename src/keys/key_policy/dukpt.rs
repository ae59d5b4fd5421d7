//! What a base derivation key's policy says of the keys it derives: their algorithms by family,
//! whether both directions share a key, and whether a KSN may come twice.
//!
//! A family without an algorithm is not derived at all. The formats of the PIN keys and the rule of
//! the MAC keys are the policy's own. Whether it all goes together is checked in `keys::spec`.

use crate::domain::dukpt::KeyType;
use crate::keys::key_policy::vocabulary::{KEY_TYPES, Named};
use crate::keys::tlv::{Malformed, Reader, Writer};

/// The part of a policy that base derivation keys have, and protection keys for those in their
/// blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DukptPolicy {
    /// The PIN keys; none where the devices have none.
    pub pin_key: Option<KeyType>,
    /// The MAC keys; none where the devices have none.
    pub mac_key: Option<KeyType>,
    /// The data keys; none where the devices have none.
    pub data_key: Option<KeyType>,
    /// Requests and responses share their MAC key, and their data key.
    pub both_ways: bool,
    /// Each transaction's counter comes once for each operation, in order but for so many below the
    /// device's highest. None: nobody looks.
    pub replay_window: Option<u32>,
}

/// The same in words. An empty word says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DukptWords {
    /// The PIN keys.
    pub pin_key: String,
    /// The MAC keys.
    pub mac_key: String,
    /// The data keys.
    pub data_key: String,
    /// Requests and responses share a key.
    pub both_ways: bool,
    /// How far below the highest a counter may come.
    pub replay_window: Option<u32>,
}

impl DukptPolicy {
    /// The policy in words, as it would be asked for.
    pub fn words(&self) -> DukptWords {
        let word = |key: Option<KeyType>| {
            let word = key.map(|key| Named::word_of(KEY_TYPES, key));
            word.unwrap_or_default().to_owned()
        };
        DukptWords {
            pin_key: word(self.pin_key),
            mac_key: word(self.mac_key),
            data_key: word(self.data_key),
            both_ways: self.both_ways,
            replay_window: self.replay_window,
        }
    }

    pub(in crate::keys) fn encode(policy: Option<&Self>, writer: &mut Writer) {
        let Some(policy) = policy else { return };
        let code = |key: Option<KeyType>| key.map_or(0, |key| Named::code_of(KEY_TYPES, key));
        let keys = [policy.pin_key, policy.mac_key, policy.data_key].map(code);
        writer.put(TAG_KEYS, &keys);
        if policy.both_ways {
            writer.put(TAG_BOTH_WAYS, &[]);
        }
        let window = policy.replay_window.map(u32::to_be_bytes);
        writer.put_some(TAG_WINDOW, window.as_ref().map(<[u8; 4]>::as_slice));
    }

    pub(in crate::keys) fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        let Some(keys) = reader.take_if(TAG_KEYS)? else {
            return Ok(None);
        };
        let [pin_key, mac_key, data_key] = keys else {
            return Err(Malformed);
        };
        let key = |code: u8| match code {
            0 => Ok(None),
            code => Named::of_code(KEY_TYPES, code).map(Some),
        };
        Ok(Some(Self {
            pin_key: key(*pin_key)?,
            mac_key: key(*mac_key)?,
            data_key: key(*data_key)?,
            both_ways: reader.take_if(TAG_BOTH_WAYS)?.is_some(),
            replay_window: match reader.take_if(TAG_WINDOW)? {
                None => None,
                Some(window) => {
                    let window = window.try_into().map_err(|_| Malformed)?;
                    Some(u32::from_be_bytes(window))
                }
            },
        }))
    }
}

/// One line for listings.
impl std::fmt::Display for DukptPolicy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("derives")?;
        let families = [
            ("PIN", self.pin_key),
            ("MAC", self.mac_key),
            ("data", self.data_key),
        ];
        for (family, key) in families {
            if let Some(key) = key {
                write!(formatter, " {family} {}", Named::word_of(KEY_TYPES, key))?;
            }
        }
        if self.both_ways {
            formatter.write_str(" BOTH WAYS")?;
        }
        match self.replay_window {
            Some(window) => write!(formatter, ", no KSN twice (window {window})"),
            None => Ok(()),
        }
    }
}

const TAG_KEYS: u8 = 13;
const TAG_BOTH_WAYS: u8 = 14;
const TAG_WINDOW: u8 = 15;
