//! Which slots of the slab are free: bookkeeping by offset, without touching a secret.
//!
//! Deliberately not here: the memory itself, and any lock.

use std::collections::BTreeSet;

/// Which slots are free. No secrets, and bounded by the number of blocks.
pub(super) struct FreeSlots {
    blocks: Vec<Block>,
    /// Blocks of no class.
    whole: Vec<usize>,
    /// Per class, blocks with some slots free and some in use.
    partial: [BTreeSet<usize>; CLASSES.len()],
}

#[derive(Clone, Copy)]
struct Block {
    class: usize,
    /// One bit per slot, set where it is free.
    free: u16,
}

impl FreeSlots {
    pub(super) fn new(blocks: usize) -> Self {
        Self {
            blocks: vec![Block { class: 0, free: 0 }; blocks],
            whole: (0..blocks).rev().collect(),
            partial: Default::default(),
        }
    }

    /// The offset of a slot of that class.
    pub(super) fn take(&mut self, class: usize) -> Option<usize> {
        let index = match self.partial[class].first() {
            Some(&index) => index,
            None => {
                let index = self.whole.pop()?;
                self.blocks[index] = Block {
                    class,
                    free: all_free(class),
                };
                self.partial[class].insert(index);
                index
            }
        };
        let block = &mut self.blocks[index];
        let slot = block.free.trailing_zeros() as usize;
        block.free &= block.free - 1;
        if block.free == 0 {
            self.partial[class].remove(&index);
        }
        Some(index * BLOCK_BYTES + slot * CLASSES[class])
    }

    /// Takes back a slot that `take` gave out.
    pub(super) fn give_back(&mut self, offset: usize) {
        let index = offset / BLOCK_BYTES;
        let block = &mut self.blocks[index];
        let class = block.class;
        block.free |= 1 << (offset % BLOCK_BYTES / CLASSES[class]);
        if block.free == all_free(class) {
            self.partial[class].remove(&index);
            self.whole.push(index);
        } else {
            self.partial[class].insert(index);
        }
    }

    /// Free slots of that class, with those that undivided blocks would make.
    pub(super) fn room(&self, class: usize) -> usize {
        let split = &self.partial[class];
        let slots = split
            .iter()
            .map(|&index| self.blocks[index].free.count_ones() as usize);
        self.whole.len() * (BLOCK_BYTES / CLASSES[class]) + slots.sum::<usize>()
    }
}

/// The smallest class that holds so many bytes, at most [`BLOCK_BYTES`].
pub(super) const fn class_of(bytes: usize) -> usize {
    let mut class = 0;
    while CLASSES[class] < bytes {
        class += 1;
    }
    class
}

const fn all_free(class: usize) -> u16 {
    u16::MAX >> (16 - BLOCK_BYTES / CLASSES[class])
}

/// Slot sizes. A block holds 16, 8, 4, 2 or 1 of them.
pub(super) const CLASSES: [usize; 5] = [256, 512, 1024, 2048, 4096];
/// Unit of the slab: the largest slot, split for the smaller classes.
pub(super) const BLOCK_BYTES: usize = 4096;
