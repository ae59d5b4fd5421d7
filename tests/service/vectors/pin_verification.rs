//! PVVs and offsets: a PIN goes in under an issuer's key and its reference comes out; a terminal's
//! block of the same PIN verifies against it, and not against another.

use pintle::domain::pin_block::Format;
use pintle::domain::pin_verification::decimalisation::DecimalisationTable;
use pintle::domain::pin_verification::ibm3624::{Rule, Validation};
use pintle::domain::pin_verification::visa_pvv::Pvki;
use pintle::keys::act::Act;
use pintle::keys::attributes::{Algorithm, Mode, Usage};
use pintle::keys::decimalisation;
use pintle::keys::error::Error as KeyError;
use pintle::keys::key_policy::PinVerification;
use pintle::keys::key_ref::KeyName;
use pintle::service::pb::v1::{
    GeneratePinReferenceRequest, KeyRef, PinBlockFormat, VerifyPinRequest,
};

use crate::blocks::encipher;
use crate::vectors::{Bench, Case, Outcome, Verdict};
use crate::world::{key, world};

/// Runs a case; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Verdict> {
    match case.op() {
        "visa_pvv" => Some(visa(bench, case).await),
        "ibm3624" | "ibm3624_offset" => {
            Some(ibm(bench, case, case.text("pin"), case.expected("offset")).await)
        }
        "ibm3624_pin" => {
            let pin = case.expected("pin");
            let pin = pin.ok_or_else(|| "expects no pin".to_owned());
            Some(ibm(bench, case, pin, case.text("offset").ok()).await)
        }
        _ => None,
    }
}

async fn visa(bench: &Bench, case: &Case<'_>) -> Verdict {
    let pin = case.text("pin")?;
    if case.is_refused() || pin.len() != 4 {
        let why = "a PVV verifies PINs of 4 digits only";
        return Ok(Outcome::Unsupported(why));
    }
    let value = case.bytes("pvk")?;
    if value.len() != 16 {
        return Ok(Outcome::Unsupported("a PVK has two DES keys"));
    }
    let pvki = case.text("pvki")?.parse().map_err(|_| "pvki")?;
    let rule = PinVerification::VisaPvv(Pvki::new(pvki).ok_or("pvki")?);
    let reference = case.expected("pvv").ok_or("expects no pvv")?;
    let wanted = (Usage::PinVerificationVisaPvv, Algorithm::Tdes2, rule);
    let card = (pin, case.text("pan")?);
    there_and_back(bench, wanted, &value, card, reference).await
}

async fn ibm(
    bench: &Bench,
    case: &Case<'_>,
    pin: Result<&str, String>,
    reference: Option<&str>,
) -> Verdict {
    let pin = pin?;
    let Some(reference) = reference else {
        return Ok(Outcome::Unsupported("it is to be refused: library only"));
    };
    let pan = case.text("pan")?;
    let Some(validation) = of_pan(pan, case.text("validation_data")?) else {
        return Ok(Outcome::Unsupported(
            "its validation data are no run of 10 or more digits of the PAN: library only",
        ));
    };
    let Ok(table) = DecimalisationTable::parse(case.text("decimalization_table")?) else {
        return Ok(Outcome::Unsupported(
            "its decimalisation table is too weak to be stored: library only",
        ));
    };
    let digits = u8::try_from(pin.len()).map_err(|_| "the PIN is too long")?;
    let rule = Rule::new(digits, validation).map_err(|error| error.to_string())?;
    let table = stored(table).await?;
    let rule = PinVerification::Ibm3624 { rule, table };
    let value = case.bytes("pvk")?;
    let algorithm = match value.len() {
        16 => Algorithm::Tdes2,
        _ => Algorithm::Tdes3,
    };
    let wanted = (Usage::PinVerificationIbm3624, algorithm, rule);
    there_and_back(bench, wanted, &value, (pin, pan), reference).await
}

/// The name of a table, which is made where it is not there.
async fn stored(table: DecimalisationTable) -> Result<KeyName, String> {
    let name = KeyName::parse(&format!("v-table-{table}")).map_err(|error| error.to_string())?;
    let tenant = KeyName::parse("default").map_err(|error| error.to_string())?;
    let (catalogue, act) = (&world().context.catalogue, Act::operator());
    match decimalisation::create(catalogue, &tenant, (&name, table), &act).await {
        Ok(_) | Err(KeyError::TableExists { .. }) => Ok(name),
        Err(error) => Err(error.to_string()),
    }
}

/// The layout that gives these validation data of this PAN.
fn of_pan(pan: &str, data: &str) -> Option<Validation> {
    (10..=16u8).rev().find_map(|digits| {
        let (run, rest) = data.split_at_checked(digits.into())?;
        let at = pan.find(run)?;
        let pad = rest.chars().next().unwrap_or('0');
        if !rest.chars().all(|it| it == pad) {
            return None;
        }
        let pad = u8::try_from(pad.to_digit(16)?).ok()?;
        Validation::new(u8::try_from(at + 1).ok()?, digits, pad).ok()
    })
}

async fn there_and_back(
    bench: &Bench,
    wanted: (Usage, Algorithm, PinVerification),
    value: &[u8],
    (pin, pan): (&str, &str),
    expected: &str,
) -> Verdict {
    let keys = &bench.keys;
    let makes = keys
        .verification(wanted.clone(), Mode::Generate, value)
        .await;
    let verifies = keys.verification(wanted, Mode::Verify, value).await;
    let (Some(makes), Some(verifies)) = (makes, verifies) else {
        return Ok(Outcome::Unsupported("its key is none that may be imported"));
    };
    let request = GeneratePinReferenceRequest {
        source_key: key("zpk-issuer-aes"),
        verification_key: Some(makes),
        source_format: PinBlockFormat::Iso4.into(),
        pan: pan.to_owned(),
        pin_block: encipher("zpk-issuer-aes", Format::Iso4, pin, pan),
    };
    let made = bench.client.generate_pin_reference(request).await;
    let made = made.map_err(|error| error.to_string())?.reference;
    if made != expected {
        return Err(format!("expected {expected}, got {made}"));
    }
    let verify = async |verification_key: KeyRef, reference: &str| {
        let request = VerifyPinRequest {
            source_key: key("tpk-aes"),
            verification_key: Some(verification_key),
            source_format: PinBlockFormat::Iso4.into(),
            pan: pan.to_owned(),
            pin_block: encipher("tpk-aes", Format::Iso4, pin, pan),
            reference: reference.to_owned(),
        };
        let answer = bench.client.verify_pin(request).await;
        let valid = answer.map(|answer| answer.valid);
        valid.map_err(|error| error.to_string())
    };
    let last = expected.len() - 1;
    let other = (expected.as_bytes()[last] - b'0' + 1) % 10;
    let other = format!("{}{other}", &expected[..last]);
    let right = verify(verifies.clone(), expected).await?;
    let wrong = verify(verifies, &other).await?;
    match (right, wrong) {
        (true, false) => Ok(Outcome::Ran),
        (false, _) => Err("the PIN does not verify".to_owned()),
        (true, true) => Err("it verifies against another reference".to_owned()),
    }
}
