//! The charsets of Alipay's `charset` parameter, by encoding_rs. An allow-list: encoding_rs knows
//! labels whose encoder is another charset's (utf-16 encodes as utf-8, iso-8859-1 as windows-1252,
//! gb2312 as GBK), and a signature over the wrong bytes is refused far away and much later.

/// A charset that requests are signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum Charset {
    Utf8,
    Gbk,
    Gb2312,
    Gb18030,
}

/// A character that the charset does not have.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::domain) struct Unmappable;

impl Charset {
    /// Reads a `charset` value, in any case.
    pub(in crate::domain) fn parse(label: &str) -> Option<Self> {
        let charsets = [Self::Utf8, Self::Gbk, Self::Gb2312, Self::Gb18030];
        let named = charsets
            .into_iter()
            .find(|it| it.label().eq_ignore_ascii_case(label));
        named.or_else(|| label.eq_ignore_ascii_case("utf8").then_some(Self::Utf8))
    }

    /// The usual spelling.
    pub(in crate::domain) fn label(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gbk => "gbk",
            Self::Gb2312 => "gb2312",
            Self::Gb18030 => "gb18030",
        }
    }

    /// Appends `text` to `bytes`.
    pub(in crate::domain) fn encode(
        self,
        text: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Unmappable> {
        let encoding = match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Gbk | Self::Gb2312 => encoding_rs::GBK,
            Self::Gb18030 => encoding_rs::GB18030,
        };
        let (encoded, _, unmappable) = encoding.encode(text);
        if unmappable || !self.has_all(text, &encoded) {
            return Err(Unmappable);
        }
        bytes.extend_from_slice(&encoded);
        Ok(())
    }

    /// What `bytes` say, where they are of this charset.
    pub(in crate::domain) fn decode(self, bytes: &[u8]) -> Option<String> {
        let encoding = match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Gbk | Self::Gb2312 | Self::Gb18030 => encoding_rs::GB18030,
        };
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
        text.map(Into::into)
    }

    /// Whether text and its GBK bytes stay within the charset that was named.
    fn has_all(self, text: &str, encoded: &[u8]) -> bool {
        let within = match self {
            Self::Utf8 | Self::Gb18030 => return true,
            Self::Gbk => is_gbk,
            Self::Gb2312 => is_gb2312,
        };
        let private_use = |character| ('\u{E000}'..='\u{F8FF}').contains(&character);
        if text.chars().any(private_use) {
            return false;
        }
        let mut bytes = encoded.iter();
        while let Some(&lead) = bytes.next() {
            if lead < 0x80 {
                continue;
            }
            // The lone 0x80 is Windows' euro sign: in no edition of GBK, and Java decodes it to
            // U+FFFD.
            match bytes.next() {
                Some(&trail) if lead > 0x80 && within(lead, trail) => {}
                _ => return false,
            }
        }
        true
    }
}

/// Whether a pair of bytes of encoding_rs's GBK is a character of GBK itself and not one that
/// GB 18030 put there later.
fn is_gbk(lead: u8, trail: u8) -> bool {
    !GB18030_CELLS
        .iter()
        .any(|(row, cells)| *row == lead && cells.contains(&trail))
}

/// Whether a pair of GBK bytes is a character of GB 2312-80.
fn is_gb2312(lead: u8, trail: u8) -> bool {
    GB2312_CELLS
        .iter()
        .any(|(rows, cells)| rows.contains(&lead) && cells.contains(&trail))
}

/// Characters of GB 18030 alone that encoding_rs's GBK has in two bytes too.
const GB18030_CELLS: [(u8, std::ops::RangeInclusive<u8>); 7] = [
    (0xA6, 0xD9..=0xDF),
    (0xA6, 0xEC..=0xED),
    (0xA6, 0xF3..=0xF3),
    (0xA8, 0xBC..=0xBC),
    (0xA8, 0xBF..=0xBF),
    (0xA9, 0x89..=0x95),
    (0xFE, 0x50..=0xA0),
];

/// The characters of GB 2312-80, rows 1 to 9 and 16 to 87, in their EUC-CN bytes.
const GB2312_CELLS: [(std::ops::RangeInclusive<u8>, std::ops::RangeInclusive<u8>); 17] = [
    (0xA1..=0xA1, 0xA1..=0xFE),
    (0xA2..=0xA2, 0xB1..=0xE2),
    (0xA2..=0xA2, 0xE5..=0xEE),
    (0xA2..=0xA2, 0xF1..=0xFC),
    (0xA3..=0xA3, 0xA1..=0xFE),
    (0xA4..=0xA4, 0xA1..=0xF3),
    (0xA5..=0xA5, 0xA1..=0xF6),
    (0xA6..=0xA6, 0xA1..=0xB8),
    (0xA6..=0xA6, 0xC1..=0xD8),
    (0xA7..=0xA7, 0xA1..=0xC1),
    (0xA7..=0xA7, 0xD1..=0xF1),
    (0xA8..=0xA8, 0xA1..=0xBA),
    (0xA8..=0xA8, 0xC5..=0xE9),
    (0xA9..=0xA9, 0xA4..=0xEF),
    (0xB0..=0xD6, 0xA1..=0xFE),
    (0xD7..=0xD7, 0xA1..=0xF9),
    (0xD8..=0xF7, 0xA1..=0xFE),
];
