//! Field 62 of the answer to a terminal's sign-in (签到, message 0810): working keys under the
//! terminal's master key, each followed by the first bytes of its check value.
//!
//! Layouts 001, 003 and 004 are those of the public descriptions of field 60.3 of UnionPay's POS
//! terminal specification. Keys are in ECB under the master key; a single-length MAC key is
//! filled up with zeros to the length of the others. No public text fixes the layout under SM4,
//! so its measures are data of the key's policy. Which keys are made is not decided here.

use crate::limits::CHECK_VALUE_BYTES_MIN;

/// What the answer to a sign-in holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 001: PIK 8 ‖ KCV 4, MAK 8 ‖ KCV 4; 24 bytes. Single DES: weak.
    Unionpay001,
    /// 003: PIK 16 ‖ KCV 4, MAK 8 ‖ 00 × 8 ‖ KCV 4; 40 bytes. The MAC key is single DES: weak.
    Unionpay003,
    /// 004: as 003, then TDK 16 ‖ KCV 4; 60 bytes. Weak as 003.
    Unionpay004,
    /// 003 with a MAC key of 16 bytes; 40 bytes.
    Unionpay003DoubleMac,
    /// 004 with a MAC key of 16 bytes; 60 bytes.
    Unionpay004DoubleMac,
    /// Keys of 16 bytes under SM4.
    Sm4 {
        /// Bytes of check value after each key, 3 to 8.
        check_value_bytes: u8,
        /// Whether a track key follows.
        data_key: bool,
    },
    /// No field 62: each key in an X9.143 key block of its own.
    KeyBlocks {
        /// Whether a track key is made.
        data_key: bool,
    },
}

/// Where one key stands in field 62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Bytes of the key.
    pub key_bytes: usize,
    /// Bytes of its place; what the key leaves of them is zeros.
    pub place_bytes: usize,
}

impl Layout {
    /// The places of PIK, MAK and, where there is one, TDK; none where keys go out in blocks.
    pub fn slots(self) -> Option<Vec<Slot>> {
        const fn slot(key_bytes: usize, place_bytes: usize) -> Slot {
            Slot {
                key_bytes,
                place_bytes,
            }
        }
        let (single, filled, double) = (slot(8, 8), slot(8, 16), slot(16, 16));
        Some(match self {
            Self::Unionpay001 => vec![single, single],
            Self::Unionpay003 => vec![double, filled],
            Self::Unionpay004 => vec![double, filled, double],
            Self::Unionpay003DoubleMac
            | Self::Sm4 {
                data_key: false, ..
            } => {
                vec![double, double]
            }
            Self::Unionpay004DoubleMac | Self::Sm4 { data_key: true, .. } => {
                vec![double, double, double]
            }
            Self::KeyBlocks { .. } => return None,
        })
    }

    /// Whether a track key is made.
    pub const fn has_data_key(self) -> bool {
        match self {
            Self::Unionpay004 | Self::Unionpay004DoubleMac => true,
            Self::Sm4 { data_key, .. } | Self::KeyBlocks { data_key } => data_key,
            Self::Unionpay001 | Self::Unionpay003 | Self::Unionpay003DoubleMac => false,
        }
    }

    /// Bytes of check value after each key; none where keys go out in blocks.
    pub fn check_value_bytes(self) -> Option<usize> {
        match self {
            Self::Unionpay001
            | Self::Unionpay003
            | Self::Unionpay004
            | Self::Unionpay003DoubleMac
            | Self::Unionpay004DoubleMac => Some(4),
            Self::Sm4 {
                check_value_bytes, ..
            } => Some(usize::from(check_value_bytes)),
            Self::KeyBlocks { .. } => None,
        }
    }

    /// Whether the numbers in it are ones that a layout may have.
    pub fn is_sound(self) -> bool {
        self.check_value_bytes()
            .is_none_or(|bytes| (CHECK_VALUE_BYTES_MIN..=8).contains(&bytes))
    }

    /// Whether a key of it is single DES.
    pub const fn has_single_des(self) -> bool {
        matches!(
            self,
            Self::Unionpay001 | Self::Unionpay003 | Self::Unionpay004
        )
    }
}

/// One working key on its way to the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// The key in ECB under the terminal's master key.
    pub cryptogram: &'a [u8],
    /// Its check value, at least as long as the layout's.
    pub check_value: &'a [u8],
}

/// Lays field 62 out; none where the keys are not the layout's, in number or in length.
pub fn field_62(layout: Layout, keys: &[Delivered<'_>]) -> Option<Vec<u8>> {
    let slots = layout.slots()?;
    let shown = layout.check_value_bytes()?;
    if slots.len() != keys.len() {
        return None;
    }
    let mut field = Vec::new();
    for (slot, key) in slots.iter().zip(keys) {
        if key.cryptogram.len() != slot.key_bytes {
            return None;
        }
        field.extend_from_slice(key.cryptogram);
        field.resize(field.len() + slot.place_bytes - slot.key_bytes, 0);
        field.extend_from_slice(key.check_value.get(..shown)?);
    }
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUTS: [(Layout, usize); 8] = [
        (Layout::Unionpay001, 24),
        (Layout::Unionpay003, 40),
        (Layout::Unionpay004, 60),
        (Layout::Unionpay003DoubleMac, 40),
        (Layout::Unionpay004DoubleMac, 60),
        (sm4(4, false), 40),
        (sm4(4, true), 60),
        (sm4(8, true), 72),
    ];

    const fn sm4(check_value_bytes: u8, data_key: bool) -> Layout {
        Layout::Sm4 {
            check_value_bytes,
            data_key,
        }
    }

    #[test]
    fn every_layout_has_the_length_that_the_descriptions_say() {
        for (layout, length) in LAYOUTS {
            let slots = layout.slots().unwrap();
            let keys: Vec<Vec<u8>> = slots
                .iter()
                .map(|slot| vec![0xA5; slot.key_bytes])
                .collect();
            let keys: Vec<_> = keys
                .iter()
                .map(|key| Delivered {
                    cryptogram: key,
                    check_value: &[1, 2, 3, 4, 5, 6, 7, 8],
                })
                .collect();
            let field = field_62(layout, &keys).unwrap();
            assert_eq!(field.len(), length, "{layout:?}");
            assert_eq!(slots.len() == 3, layout.has_data_key());
            assert_eq!(field_62(layout, &keys[1..]), None);
            let short = [Delivered {
                check_value: &[1, 2],
                ..keys[0]
            }];
            assert_eq!(field_62(layout, &[&short, &keys[1..]].concat()), None);
        }
    }

    #[test]
    fn a_single_length_mac_key_is_filled_up_with_zeros() {
        let keys = [
            Delivered {
                cryptogram: &[0x11; 16],
                check_value: &[1; 4],
            },
            Delivered {
                cryptogram: &[0x22; 8],
                check_value: &[2; 4],
            },
        ];
        let field = field_62(Layout::Unionpay003, &keys).unwrap();
        let expected = [&[0x11; 16][..], &[1; 4], &[0x22; 8], &[0; 8], &[2; 4]].concat();
        assert_eq!(field, expected);
    }

    #[test]
    fn check_values_have_3_to_8_bytes_and_blocks_have_no_field_62() {
        for bytes in 0..=u8::MAX {
            assert_eq!(sm4(bytes, false).is_sound(), (3..=8).contains(&bytes));
        }
        let blocks = Layout::KeyBlocks { data_key: true };
        assert!(blocks.is_sound() && blocks.has_data_key());
        assert_eq!(field_62(blocks, &[]), None);
    }
}
