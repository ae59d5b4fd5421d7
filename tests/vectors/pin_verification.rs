//! Visa PVV and IBM 3624, with the validation data and the table that each case brings: the
//! service takes neither from a caller.

use crate::case::{Answer, Case, Op};
use pintle::domain::cipher::Tdes;
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_verification::Reference;
use pintle::domain::pin_verification::decimalisation::DecimalisationTable;
use pintle::domain::pin_verification::ibm3624::{natural_pin_of, offset, pin_of_offset};
use pintle::domain::pin_verification::visa_pvv::{self, Pvki};
use serde_json::Value;

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("visa_pvv", &["pvk", "pvki", "pin", "pan"], |case| {
        let Ok(key) = Tdes::new(&case.bytes("pvk")?) else {
            return Ok(Answer::Refused);
        };
        let pvki = case.text("pvki")?.parse().ok().and_then(Pvki::new);
        let pin = Pin::parse(case.text("pin")?);
        let pan = Pan::parse(case.text("pan")?);
        let (Some(pvki), Ok(pin), Ok(pan)) = (pvki, pin, pan) else {
            return Ok(Answer::Refused);
        };
        let pvv = visa_pvv::generate(&key, pvki, &pan, &pin);
        Ok(pvv.map_or(Answer::Refused, |pvv| Answer::text("pvv", &pvv.to_string())))
    }),
    Op::new(
        "ibm3624",
        &["pvk", "decimalization_table", "validation_data", "pin"],
        |case| {
            let Ok(pin) = Pin::parse(case.text("pin")?) else {
                return Ok(Answer::Refused);
            };
            let Some(natural) = natural(case, pin.len())? else {
                return Ok(Answer::Refused);
            };
            let made = offset(&natural, &pin);
            if text(&pin_of_offset(&natural, &made)) != case.text("pin")? {
                return Err("the offset does not lead back to the PIN".to_owned());
            }
            Ok(Answer::Gave(vec![
                ("natural_pin", Value::String(text(&natural))),
                ("offset", Value::String(made.to_string())),
            ]))
        },
    )
    .optional(&["pan"]),
    Op::new(
        "ibm3624_offset",
        &["pvk", "decimalization_table", "validation_data", "pin"],
        |case| {
            let Ok(pin) = Pin::parse(case.text("pin")?) else {
                return Ok(Answer::Refused);
            };
            let natural = natural(case, pin.len())?;
            Ok(natural.map_or(Answer::Refused, |natural| {
                Answer::text("offset", &offset(&natural, &pin).to_string())
            }))
        },
    )
    .optional(&["pan"]),
    Op::new(
        "ibm3624_pin",
        &["pvk", "decimalization_table", "validation_data", "offset"],
        |case| {
            let Ok(offset) = Reference::parse(case.text("offset")?) else {
                return Ok(Answer::Refused);
            };
            let natural = natural(case, offset.len())?;
            Ok(natural.map_or(Answer::Refused, |natural| {
                Answer::text("pin", &text(&pin_of_offset(&natural, &offset)))
            }))
        },
    )
    .optional(&["pan"]),
];

/// The natural PIN of so many digits. Some published tables are weaker than stored ones may be.
fn natural(case: &Case<'_>, digits: usize) -> Result<Option<Pin>, String> {
    let Ok(key) = Tdes::new(&case.bytes("pvk")?) else {
        return Ok(None);
    };
    let Ok(table) = DecimalisationTable::weak_parse(case.text("decimalization_table")?) else {
        return Ok(None);
    };
    let validation = case.array("validation_data")?;
    let digits = u8::try_from(digits).map_err(|_| "the PIN is too long")?;
    Ok(Some(natural_pin_of(&key, &table, &validation, digits)))
}

fn text(pin: &Pin) -> String {
    pin.expose_digits(|digits| String::from_utf8_lossy(digits).into_owned())
}
