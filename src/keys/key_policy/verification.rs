//! How a PIN verification key verifies, as its policy says it: the index of a Visa PVV, or the PIN
//! length, the validation data and the decimalisation table of IBM 3624.
//!
//! A table is named, not given: it is a stored object of its own (`keys::decimalisation`), so that
//! nobody brings one along with a key.

use serde::Deserialize;

use crate::domain::pin_verification::ibm3624::{Rule, Validation, ValidationError};
use crate::domain::pin_verification::visa_pvv::Pvki;
use crate::keys::entry::Faults;
use crate::keys::key_policy::single;
use crate::keys::key_ref::KeyName;
use crate::keys::tlv::{Malformed, Reader, Writer};

/// How a PIN verification key verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinVerification {
    /// V2: Visa PVV under this index.
    VisaPvv(Pvki),
    /// V1: IBM 3624 with offset.
    Ibm3624 {
        /// PIN length and validation data.
        rule: Rule,
        /// The decimalisation table, of the key's tenant.
        table: KeyName,
    },
}

impl PinVerification {
    pub(in crate::keys) fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Ibm3624 { rule, table } => {
                let (first, digits, pad) = rule.validation().parts();
                // 4 to 12: cannot miss.
                let pin_digits = u8::try_from(rule.pin_digits()).unwrap_or_default();
                writer.put(TAG_TABLE, table.as_str().as_bytes());
                writer.put(TAG_RULE, &[pin_digits, first, digits, pad]);
            }
            Self::VisaPvv(pvki) => writer.put(TAG_PVKI, &[pvki.digit()]),
        }
    }

    pub(in crate::keys) fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        if let Some(table) = reader.take_if(TAG_TABLE)? {
            let table = std::str::from_utf8(table).map_err(|_| Malformed)?;
            let [pin_digits, first, digits, pad] = reader.take(TAG_RULE)? else {
                return Err(Malformed);
            };
            let validation = Validation::new(*first, *digits, *pad).map_err(|_| Malformed)?;
            return Ok(Some(Self::Ibm3624 {
                rule: Rule::new(*pin_digits, validation).map_err(|_| Malformed)?,
                table: KeyName::parse(table).map_err(|_| Malformed)?,
            }));
        }
        let Some(pvki) = reader.take_if(TAG_PVKI)? else {
            return Ok(None);
        };
        let pvki = Pvki::new(single(pvki)?).ok_or(Malformed)?;
        Ok(Some(Self::VisaPvv(pvki)))
    }

    /// The rule in words, as it would be asked for.
    pub(in crate::keys) fn words(&self) -> PinVerificationWords {
        match self {
            Self::VisaPvv(pvki) => PinVerificationWords {
                pvki: pvki.digit().to_string(),
                ..PinVerificationWords::default()
            },
            Self::Ibm3624 { rule, table } => {
                let (first, digits, pad) = rule.validation().parts();
                PinVerificationWords {
                    table: table.to_string(),
                    length: u8::try_from(rule.pin_digits()).unwrap_or_default(),
                    first,
                    digits,
                    pad: format!("{pad:X}"),
                    pvki: String::new(),
                }
            }
        }
    }
}

/// One phrase for listings.
impl std::fmt::Display for PinVerification {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::VisaPvv(pvki) => write!(formatter, "PVV index {}", pvki.digit()),
            Self::Ibm3624 { rule, table } => {
                let (first, digits, pad) = rule.validation().parts();
                let (length, last) = (rule.pin_digits(), first + digits - 1);
                write!(
                    formatter,
                    "IBM 3624, {length} digits, PAN {first}-{last} padded {pad:X}, table {table}"
                )
            }
        }
    }
}

/// The same in words. An empty word, and a zero, say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinVerificationWords {
    /// IBM 3624: the name of the decimalisation table.
    pub table: String,
    /// IBM 3624: digits of a PIN and of its check.
    pub length: u8,
    /// IBM 3624: the place in the PAN where the validation data begin, from 1.
    pub first: u8,
    /// IBM 3624: digits of PAN in the validation data.
    pub digits: u8,
    /// IBM 3624: the hexadecimal digit that fills them up.
    pub pad: String,
    /// Visa PVV: the key's index.
    pub pvki: String,
}

impl PinVerificationWords {
    /// What they ask for; none where they say nothing.
    pub(in crate::keys) fn entry(&self) -> Option<PinVerificationEntry> {
        let some = |number: u8| (number != 0).then_some(number);
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        (*self != Self::default()).then(|| PinVerificationEntry {
            table: text(&self.table),
            length: some(self.length),
            first: some(self.first),
            digits: some(self.digits),
            pad: text(&self.pad),
            // What is no digit becomes a number that is none either.
            pvki: text(&self.pvki).map(|text| text.parse().unwrap_or(u8::MAX)),
        })
    }
}

/// As it stands in a template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::keys) struct PinVerificationEntry {
    table: Option<String>,
    length: Option<u8>,
    first: Option<u8>,
    digits: Option<u8>,
    pad: Option<String>,
    pvki: Option<u8>,
}

impl PinVerificationEntry {
    /// The rule; none, with the reason in `faults`, where it is none.
    pub(in crate::keys) fn read(&self, faults: &mut Faults<'_>) -> Option<PinVerification> {
        match (
            &self.table,
            self.length,
            self.first,
            self.digits,
            &self.pad,
            self.pvki,
        ) {
            (None, None, None, None, None, Some(pvki)) => {
                let pvki = Pvki::new(pvki);
                if pvki.is_none() {
                    faults.add("pin_verification.pvki", "one digit: 0 to 9");
                }
                pvki.map(PinVerification::VisaPvv)
            }
            (Some(table), Some(length), Some(first), Some(digits), Some(pad), None) => {
                let validation = validation(faults, (first, digits), pad);
                let rule = validation.and_then(|it| {
                    let rule = Rule::new(length, it);
                    rule.map_err(|_| faults.add("pin_verification.length", PIN_LENGTH))
                        .ok()
                });
                let table = KeyName::parse(table).ok();
                if table.is_none() {
                    faults.add(
                        "pin_verification.table",
                        "a name is [a-z0-9][a-z0-9._-]{0,62}",
                    );
                }
                let (rule, table) = (rule?, table?);
                Some(PinVerification::Ibm3624 { rule, table })
            }
            _ => {
                faults.add(
                    "pin_verification",
                    "either pvki (Visa PVV), or table, length, first, digits and pad (IBM 3624)",
                );
                None
            }
        }
    }
}

fn validation(faults: &mut Faults<'_>, (first, digits): (u8, u8), pad: &str) -> Option<Validation> {
    // What is no hexadecimal digit becomes a number that is none either.
    let pad = match pad.len() {
        1 => u8::from_str_radix(pad, 16).unwrap_or(u8::MAX),
        _ => u8::MAX,
    };
    let (field, why) = match Validation::new(first, digits, pad) {
        Ok(validation) => return Some(validation),
        Err(ValidationError::First) => (
            "pin_verification.first",
            "a place in the PAN, 1 (leftmost) to 19",
        ),
        Err(ValidationError::Digits) => (
            "pin_verification.digits",
            "10 to 16, and not beyond the longest PAN",
        ),
        Err(ValidationError::Pad) => ("pin_verification.pad", "one hexadecimal digit"),
    };
    faults.add(field, why);
    None
}

const PIN_LENGTH: &str = "PINs, and their checks, have 4 to 12 digits";
const TAG_TABLE: u8 = 20;
const TAG_RULE: u8 = 21;
const TAG_PVKI: u8 = 22;
