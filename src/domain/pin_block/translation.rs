//! Which PIN block may become which: one table.
//!
//! ISO 9564-1:2017, clause 9 (translation between formats) and PCI PIN Security Requirements,
//! requirement 3-3: formats 0, 3 and 4 become one another for the same PAN; format 1 becomes any
//! of them and nothing becomes format 1; format 2 and formats outside ISO are not offered. The
//! SM4 layout is bound to the PAN as format 4 is and stands where format 4 stands; neither
//! document knows it.

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::pin_block::Format;

/// Whether a block of `from` may become one of `to`. A format with another cipher than its own is
/// refused on either side.
pub fn translation_allowed(from: (Format, BlockAlgorithm), to: (Format, BlockAlgorithm)) -> bool {
    let own_ciphers = from.0.algorithm() == from.1 && to.0.algorithm() == to.1;
    own_ciphers && TRANSLATIONS[index(from.0)][index(to.0)]
}

/// Rows are `from`, columns `to`, both in the order of [`Format::ALL`].
const TRANSLATIONS: [[bool; 5]; 5] = {
    const YES: bool = true;
    const NO: bool = false;
    [
        // to: 0/TDES  1/TDES  3/TDES  4/AES  4/SM4
        [YES, NO, YES, YES, YES], // 0 under TDES: PCI PIN 3-3, "PAN unchanged"; never to 1
        [YES, NO, YES, YES, YES], // 1 under TDES: to 0, 3, 4; "not back into 1"
        [YES, NO, YES, YES, YES], // 3 under TDES: as 0
        [YES, NO, YES, YES, YES], // 4 under AES: as 0
        [YES, NO, YES, YES, YES], // 4's layout under SM4: as 4, by our own rule
    ]
};

const fn index(format: Format) -> usize {
    match format {
        Format::Iso0 => 0,
        Format::Iso1 => 1,
        Format::Iso3 => 2,
        Format::Iso4 => 3,
        Format::Sm4Fmt4Layout => 4,
    }
}
