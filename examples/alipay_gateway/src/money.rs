//! Money: whole fen. Text with two decimals on the wire.

use std::fmt;
use std::ops::{Add, Sub};

/// An amount of CNY in fen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fen(pub u64);

impl Fen {
    /// Reads `600`, `600.5` or `600.50`; nothing else, and not more than 100,000,000.00.
    pub fn parse(text: &str) -> Option<Self> {
        let (yuan, fen) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(yuan) || !digits(fen) || fen.len() > 2 || yuan.len() > 9 {
            return None;
        }
        let small: u64 = format!("{fen:0<2}").parse().ok()?;
        let whole: u64 = yuan.parse().ok()?;
        (whole <= 100_000_000).then_some(Self(whole * 100 + small))
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Add for Fen {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Fen {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_to_the_fen() {
        for (text, fen) in [
            ("600", 60_000),
            ("0.01", 1),
            ("600.5", 60_050),
            ("88.88", 8_888),
        ] {
            assert_eq!(Fen::parse(text), Some(Fen(fen)), "{text}");
        }
        assert_eq!(Fen(60_050).to_string(), "600.50");
        for text in ["", "-1", "1.234", "1.", ".5", "1e3", "9999999999"] {
            assert_eq!(Fen::parse(text), None, "{text}");
        }
    }
}
