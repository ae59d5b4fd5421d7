//! Padding methods 1, 2 and 3 of ISO/IEC 9797-1:2011, 6.3, for any block length from 1 to 16.
//!
//! The MAC path streams: it asks for the block before the message and the block after it, and
//! never copies the message. [`pad`] puts the same pieces into one vector, for known answers.

/// How a message is filled up to whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// Zeros, as few as possible (at least one block). Trailing zeros are ambiguous.
    Method1,
    /// One bit 1, then zeros, always.
    Method2,
    /// A block with the length in bits first, then as method 1.
    Method3,
}

impl Padding {
    /// Writes the block that comes before a message of `length` bytes, if there is one, into
    /// `block` (of zeros); `None` where the length does not fit.
    pub(super) fn head(self, length: usize, block: &mut [u8]) -> Option<bool> {
        if self != Self::Method3 {
            return Some(false);
        }
        // 128 bits hold the length in bits of anything in memory.
        let bits = (u128::try_from(length).ok()? << 3).to_be_bytes();
        let (over, fitting) = bits.split_at(bits.len().checked_sub(block.len())?);
        if over.iter().any(|&byte| byte != 0) {
            return None;
        }
        block.copy_from_slice(fitting);
        Some(true)
    }

    /// Writes the block that comes after the whole blocks of a message, if there is one, into
    /// `block` (of zeros). `rest` is what is left, shorter than a block.
    pub(super) fn tail(self, message_is_empty: bool, rest: &[u8], block: &mut [u8]) -> bool {
        block[..rest.len()].copy_from_slice(rest);
        match self {
            Self::Method1 | Self::Method3 => message_is_empty || !rest.is_empty(),
            Self::Method2 => {
                block[rest.len()] = 0x80;
                true
            }
        }
    }
}

/// The padded message, for known answers; nothing that makes a MAC calls it.
pub fn pad(method: Padding, block_bytes: usize, message: &[u8]) -> Result<Vec<u8>, PadError> {
    if !(1..=16).contains(&block_bytes) {
        return Err(PadError::BlockLength);
    }
    let mut padded = Vec::with_capacity(message.len() + 2 * block_bytes);
    let mut block = vec![0u8; block_bytes];
    if method
        .head(message.len(), &mut block)
        .ok_or(PadError::MessageTooLong)?
    {
        padded.extend_from_slice(&block);
    }
    padded.extend_from_slice(message);
    let rest = &message[message.len() - message.len() % block_bytes..];
    block.fill(0);
    if method.tail(message.is_empty(), rest, &mut block) {
        padded.extend_from_slice(&block[rest.len()..]);
    }
    Ok(padded)
}

/// Why a message cannot be padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PadError {
    /// Not 1 to 16 bytes to a block.
    #[error("a block has 1 to 16 bytes")]
    BlockLength,
    /// Method 3 cannot say its length in one block.
    #[error("the message's length does not fit one block")]
    MessageTooLong,
}

#[cfg(test)]
mod tests {
    use super::{PadError, Padding, pad};

    #[test]
    fn padding_fills_whole_blocks_and_keeps_the_message() {
        let message: Vec<u8> = (0..31u8).collect();
        for block in 1..=16 {
            for length in 0..=message.len() {
                let message = &message[..length];
                let whole = length.div_ceil(block).max(1) * block;

                let one = pad(Padding::Method1, block, message).unwrap();
                assert_eq!(one.len(), whole);
                assert_eq!(&one[..length], message);
                assert!(one[length..].iter().all(|&byte| byte == 0));

                let two = pad(Padding::Method2, block, message).unwrap();
                assert_eq!(two.len(), (length / block + 1) * block);
                assert_eq!(&two[..length], message);
                assert_eq!(two[length], 0x80);
                assert!(two[length + 1..].iter().all(|&byte| byte == 0));

                let three = pad(Padding::Method3, block, message).unwrap();
                assert_eq!(three[block..], one);
                let bits = three[..block]
                    .iter()
                    .fold(0, |bits, &byte| bits << 8 | usize::from(byte));
                assert_eq!(bits, 8 * length);
            }
        }
    }

    #[test]
    fn a_length_that_does_not_fit_its_block_is_refused_under_method_3_alone() {
        assert!(pad(Padding::Method3, 1, &[0; 31]).is_ok());
        assert_eq!(
            pad(Padding::Method3, 1, &[0; 32]),
            Err(PadError::MessageTooLong)
        );
        assert!(pad(Padding::Method2, 1, &[0; 32]).is_ok());
    }

    #[test]
    fn a_block_has_1_to_16_bytes() {
        for block in 0..=40 {
            let padded = pad(Padding::Method2, block, b"abc");
            assert_eq!(padded.is_ok(), (1..=16).contains(&block));
        }
    }
}
