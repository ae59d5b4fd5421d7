//! Decimalisation tables (IBM 3624): which decimal digit stands for each hexadecimal one.
//!
//! A table of the attacker's choice tells the PIN in some fifteen questions (Bond and Zieliński,
//! TR-560, 2003), so none is ever part of a request, and one that says too little is no table: at
//! least eight different digits, none more than four times (the rule of payShield).

use crate::limits::{DECIMALISATION_DISTINCT_MIN, DECIMALISATION_REPEATS_MAX};

/// Sixteen decimal digits, for 0 to F.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalisationTable {
    /// The digit for 0 in the highest nibble.
    nibbles: u64,
}

impl DecimalisationTable {
    /// Reads sixteen ASCII digits that make a sound table.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let table = Self::weak_parse(text)?;
        let count = |digit: u8| text.bytes().filter(|it| *it == digit).count();
        let counts = (b'0'..=b'9').map(count);
        if counts.clone().filter(|count| *count > 0).count() < DECIMALISATION_DISTINCT_MIN {
            return Err(TableError::TooFewDigits);
        }
        if counts.max().unwrap_or_default() > DECIMALISATION_REPEATS_MAX {
            return Err(TableError::RepeatedTooOften);
        }
        Ok(table)
    }

    /// Reads any sixteen digits, whatever they give away. For known answers and attackers in tests:
    /// no stored table is read by this.
    ///
    /// # Errors
    /// [`TableError::NotDigits`].
    pub fn weak_parse(text: &str) -> Result<Self, TableError> {
        if text.len() != ENTRIES || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TableError::NotDigits);
        }
        let nibbles = text
            .bytes()
            .fold(0, |nibbles, byte| (nibbles << 4) | u64::from(byte & 0xF));
        Ok(Self { nibbles })
    }

    /// The decimal digit of a hexadecimal one; no memory access depends on it.
    pub(super) const fn of(&self, nibble: u64) -> u64 {
        (self.nibbles >> (60 - 4 * (nibble & 0xF))) & 0xF
    }
}

impl std::fmt::Display for DecimalisationTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016X}", self.nibbles)
    }
}

/// The operator's: no table, or one that tells too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not sixteen decimal digits.
    #[error("a decimalisation table has 16 decimal digits")]
    NotDigits,
    /// Too few different ones.
    #[error("a decimalisation table has at least {DECIMALISATION_DISTINCT_MIN} different digits")]
    TooFewDigits,
    /// One of them too often.
    #[error("no digit stands more than {DECIMALISATION_REPEATS_MAX} times in a table")]
    RepeatedTooOften,
}

/// One for each hexadecimal digit.
const ENTRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::{DecimalisationTable, TableError};

    #[test]
    fn a_table_gives_the_digit_at_its_place() {
        let text = "1789302092644191";
        let table = DecimalisationTable::parse(text).unwrap();
        for (nibble, digit) in (0u64..).zip(text.bytes()) {
            assert_eq!(table.of(nibble), u64::from(digit - b'0'));
        }
        assert_eq!(table.to_string(), text);
    }

    #[test]
    fn tables_that_tell_too_much_are_refused() {
        let fault = |text| DecimalisationTable::parse(text).err();
        assert_eq!(fault("0123456789012345"), None);
        assert_eq!(
            fault("0123456700001234"),
            Some(TableError::RepeatedTooOften)
        );
        assert_eq!(
            fault("0123456701234560"),
            None,
            "eight digits, none above three times"
        );
        assert_eq!(fault("0123456012345601"), Some(TableError::TooFewDigits));
        assert_eq!(fault("0000000000000000"), Some(TableError::TooFewDigits));
        for text in [
            "",
            "012345678901234",
            "01234567890123456",
            "012345678901234A",
        ] {
            assert_eq!(fault(text), Some(TableError::NotDigits), "{text:?}");
        }
        assert!(DecimalisationTable::weak_parse("0000000000000001").is_ok());
    }

    #[test]
    fn every_table_of_one_digit_and_a_rest_is_refused() {
        // The attacker's tables: zeros, and ones where a digit stands.
        for places in 0..1u32 << 16 {
            let table: String = (0..16)
                .map(|place| if places >> place & 1 == 1 { '1' } else { '0' })
                .collect();
            assert!(DecimalisationTable::parse(&table).is_err(), "{table}");
        }
    }
}
