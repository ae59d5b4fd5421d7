//! Which PIN block may become which: one table.
//!
//! ISO 9564-1:2017, clause 9 (translation between formats) and PCI PIN Security Requirements,
//! requirement 3-3: formats 0, 3 and 4 become one another for the same PAN; format 1 becomes any
//! of them and nothing becomes format 1; format 2 and formats outside ISO are not offered. Neither
//! document knows SM4 or UnionPay's forms. Each stands where its binding lets it: the layout of
//! format 4 binds the whole PAN as format 4 does; both UnionPay layouts and the twelve-digit form of
//! format 4 bind the twelve digits that formats 0 and 3 bind; X9.8 without PAN binds nothing, as
//! format 1, and like it comes in and never goes out. What else it may not do is its keys'
//! (`keys::spec`) and its destination's (`ops::pin`).

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::pin_block::Format;

/// Whether a block of `from` may become one of `to`. A format with another cipher than its own is
/// refused on either side.
pub fn translation_allowed(from: (Format, BlockAlgorithm), to: (Format, BlockAlgorithm)) -> bool {
    let own_ciphers = from.0.algorithm() == from.1 && to.0.algorithm() == to.1;
    own_ciphers && TRANSLATIONS[from.0 as usize][to.0 as usize]
}

/// Rows are `from`, columns `to`, both in the order of [`Format::ALL`].
#[rustfmt::skip]
const TRANSLATIONS: [[bool; Format::ALL.len()]; Format::ALL.len()] = {
    const YES: bool = true;
    const NO: bool = false;
    [
        // to: 0 and 1, 3 under TDES, 4 under AES; SM4: 4's layout, UnionPay 16, 8PAD; 4 of 12; X9.8
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // 0: PCI PIN 3-3, "PAN unchanged"; never to 1
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // 1: to 0, 3, 4; "not back into 1"
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // 3: as 0
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // 4 under AES: as 0
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // 4's layout under SM4: as 4, by our own rule
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // UnionPay, 16 bytes: as 0, by our own rule
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // UnionPay, 8 and zeros: as 0, the same
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // 4 of twelve digits: as 0, which it binds
        [YES, NO, YES, YES, YES, YES, YES, YES, NO], // X9.8 without PAN: as 1, never back into it
    ]
};
