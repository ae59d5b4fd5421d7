//! Optional blocks (X9.143, 6.3.6): two characters of id, a length, printable text.
//!
//! The length counts characters, its own and the id's included. Two hexadecimal digits hold it up
//! to 255; a longer block has `00`, then the *number of digits* of its length, then the length.
//! The text is kept as it came, so that a header comes out as it went in, whatever is in it. What
//! defined blocks contain is read by [`content`](super::content).

use core::ops::Range;

use crate::domain::key_block::HeaderFault;
use crate::limits::{KEY_BLOCK_CHARS_MAX, KEY_BLOCK_OPTIONAL_MAX};

/// The optional blocks of a header, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalBlocks {
    text: String,
    count: usize,
}

impl OptionalBlocks {
    /// Reads `count` blocks from the front of `text`, and says how many characters they take.
    pub(super) fn decode(text: &[u8], count: usize) -> Result<(Self, usize), HeaderFault> {
        let mut rest = text;
        for number in 1..=count {
            let (id, lengths) = rest
                .split_first_chunk::<2>()
                .ok_or(HeaderFault::BlockId(number))?;
            if !is_id(id) {
                return Err(HeaderFault::BlockId(number));
            }
            let (prefix, whole) = measure(lengths).ok_or(HeaderFault::BlockLength(number))?;
            let (block, after) = rest
                .split_at_checked(whole)
                .ok_or(HeaderFault::BlockLength(number))?;
            if !block[prefix..].iter().all(is_printable) {
                return Err(HeaderFault::BlockText(number));
            }
            let before = &text[..text.len() - rest.len()];
            if blocks_of(before).any(|earlier| earlier.id == id) {
                return Err(HeaderFault::BlockTwice(number));
            }
            rest = after;
        }
        let chars = text.len() - rest.len();
        let text =
            core::str::from_utf8(&text[..chars]).map_err(|_| HeaderFault::BlockText(count))?;
        let blocks = Self {
            text: text.to_owned(),
            count,
        };
        Ok((blocks, chars))
    }

    /// Adds a block at the end.
    pub fn push(&mut self, id: [u8; 2], data: &str) -> Result<(), HeaderFault> {
        let number = self.count + 1;
        if !is_id(&id) {
            return Err(HeaderFault::BlockId(number));
        }
        if number > KEY_BLOCK_OPTIONAL_MAX {
            return Err(HeaderFault::BlockCount);
        }
        if self.find(id).is_some() {
            return Err(HeaderFault::BlockTwice(number));
        }
        if !data.as_bytes().iter().all(is_printable) {
            return Err(HeaderFault::BlockText(number));
        }
        if self.text.len() + data.len() + EXTENDED_PREFIX > KEY_BLOCK_CHARS_MAX {
            return Err(HeaderFault::BlockLength(number));
        }
        self.text.extend(id.map(char::from));
        self.text += &match data.len() + PREFIX {
            length @ ..=0xFF => format!("{length:02X}"),
            _ => format!("00{WIDTH:02X}{:0WIDTH$X}", data.len() + EXTENDED_PREFIX),
        };
        self.text += data;
        self.count = number;
        Ok(())
    }

    /// Takes the block of an id out, and leaves the others as they came.
    pub fn remove(&mut self, id: [u8; 2]) {
        let text = self.text.as_bytes();
        let place = blocks_of(text).find_map(|block| (*block.id == id).then_some(block.place));
        if let Some(place) = place {
            self.text.replace_range(place, "");
            self.count -= 1;
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The blocks in their order.
    pub fn iter(&self) -> impl Iterator<Item = OptionalBlock<'_>> {
        blocks_of(self.text.as_bytes()).map(|block| OptionalBlock {
            id: *block.id,
            data: &self.text[block.data],
        })
    }

    /// The block of an id.
    pub fn find(&self, id: [u8; 2]) -> Option<OptionalBlock<'_>> {
        self.iter().find(|block| block.id == id)
    }

    /// The characters of the header.
    pub(super) fn as_text(&self) -> &str {
        &self.text
    }

    /// Makes the blocks a multiple of `unit` characters, by a padding block at the end. What is a
    /// multiple already is left alone; a padding block that does not fit is replaced.
    pub(super) fn pad_to(&mut self, unit: usize) -> Result<(), HeaderFault> {
        if self.text.len().is_multiple_of(unit) {
            return Ok(());
        }
        self.remove(PADDING);
        let chars = self.text.len();
        if chars.is_multiple_of(unit) {
            return Ok(());
        }
        let fill = (chars + PREFIX).next_multiple_of(unit) - chars - PREFIX;
        self.push(PADDING, &"0".repeat(fill))
    }
}

/// One optional block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalBlock<'a> {
    /// Which it is.
    pub id: [u8; 2],
    /// Its text, without id and length.
    pub data: &'a str,
}

/// Where a block is in a text that was found good.
struct Place<'a> {
    id: &'a [u8; 2],
    place: Range<usize>,
    data: Range<usize>,
}

fn blocks_of(text: &[u8]) -> impl Iterator<Item = Place<'_>> {
    let mut start = 0;
    core::iter::from_fn(move || {
        let (id, lengths) = text.get(start..)?.split_first_chunk::<2>()?;
        let (prefix, whole) = measure(lengths)?;
        let place = start..start + whole;
        let data = start + prefix..place.end;
        start = place.end;
        Some(Place { id, place, data })
    })
}

/// From what follows a block's id: the characters before its data, and of the whole block.
fn measure(text: &[u8]) -> Option<(usize, usize)> {
    let (prefix, whole) = match number(text.get(..2)?)? {
        0 => {
            let width = number(text.get(2..4)?)?;
            if !WIDTHS.contains(&width) {
                return None;
            }
            (6 + width, number(text.get(4..4 + width)?)?)
        }
        whole => (PREFIX, whole),
    };
    (whole >= prefix).then_some((prefix, whole))
}

/// Upper-case hexadecimal (X9.143, 4).
fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(16 * number + usize::from(value))
    })
}

fn is_id(id: &[u8; 2]) -> bool {
    id.iter().all(u8::is_ascii_alphanumeric)
}

/// Format PA of X9.143, 4.
fn is_printable(character: &u8) -> bool {
    matches!(character, 0x20..=0x7E)
}

/// The id of the block that only fills.
const PADDING: [u8; 2] = *b"PB";
/// Id and two digits of length.
const PREFIX: usize = 4;
/// Digits of the long length that we write; others may take 2 to 8.
const WIDTH: usize = 4;
const WIDTHS: [usize; 4] = [2, 4, 6, 8];
const EXTENDED_PREFIX: usize = 6 + WIDTH;
