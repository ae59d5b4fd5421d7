//! A message that comes in pieces, as whole blocks: the last block, whole or not, is held back
//! until more comes or the message ends, because CMAC and the padding methods treat it apart.
//!
//! Not here: what is done with a block.

use zeroize::Zeroizing;

/// The last block of what has come so far.
pub(super) struct Held<const N: usize> {
    bytes: Zeroizing<[u8; N]>,
    length: usize,
    total: usize,
}

impl<const N: usize> Held<N> {
    pub(super) fn new() -> Self {
        Self {
            bytes: Zeroizing::new([0; N]),
            length: 0,
            total: 0,
        }
    }

    /// Gives every block to `take` of which it is known that it is not the last.
    pub(super) fn feed<E>(
        &mut self,
        part: &[u8],
        mut take: impl FnMut(&[u8; N]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.total = self.total.saturating_add(part.len());
        let room = N.saturating_sub(self.length);
        if part.len() <= room {
            self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
            self.length += part.len();
            return Ok(());
        }
        let mut rest = part;
        if self.length > 0 {
            let (head, tail) = part.split_at(room);
            self.bytes[self.length..].copy_from_slice(head);
            take(&self.bytes)?;
            rest = tail;
        }
        let (mut blocks, mut last) = rest.as_chunks::<N>();
        if let (Some((block, before)), true) = (blocks.split_last(), last.is_empty()) {
            (blocks, last) = (before, block);
        }
        for block in blocks {
            take(block)?;
        }
        self.bytes[..last.len()].copy_from_slice(last);
        self.length = last.len();
        Ok(())
    }

    /// The last block: empty for an empty message only.
    pub(super) fn last(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Bytes that have come.
    pub(super) const fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::Held;
    use core::convert::Infallible;

    #[test]
    fn blocks_are_the_same_however_the_message_is_cut_and_the_last_is_held() {
        let message: Vec<u8> = (0..40).collect();
        for length in 0..=message.len() {
            for cut in 0..=length {
                for other in cut..=length {
                    let (mut held, mut taken) = (Held::<8>::new(), Vec::new());
                    let parts = [
                        &message[..cut],
                        &message[cut..other],
                        &message[other..length],
                    ];
                    for part in parts {
                        let Ok(()) = held.feed(part, |block| {
                            taken.extend_from_slice(block);
                            Ok::<_, Infallible>(())
                        });
                    }
                    assert_eq!(held.total(), length);
                    assert_eq!(held.last().is_empty(), length == 0);
                    assert_eq!([&taken, held.last()].concat(), message[..length]);
                    assert_eq!(taken.len(), length.saturating_sub(1) / 8 * 8);
                }
            }
        }
    }
}
