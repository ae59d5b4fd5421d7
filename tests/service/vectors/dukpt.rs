//! DUKPT: what a device did under a KSN goes in, or what it must accept comes out. The base key of
//! each case is imported with the rule that the case needs.

use pintle::domain::dukpt::KeyType;
use pintle::domain::mac::{Padding, Rule, Scheme};
use pintle::domain::pin_block::Format;
use pintle::keys::key_policy::{DukptPolicy, KeyPolicy};
use pintle::service::pb::v1::{
    GenerateMacRequest, KeyRef, PinBlockFormat, TranslatePinRequest, VerifyMacRequest,
};

use crate::blocks::decipher;
use crate::vectors::{Bench, Case, Outcome, Verdict};
use crate::world::key;

const KEY_ALONE: &str = "a derived key never leaves: library only";
const DATA: &str = "its data needs a call for data: library only";
const ZONE: &str = "zpk-out-aes";

/// Runs a DUKPT case; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Vec<(String, Verdict)>> {
    let op = case.op();
    if !op.starts_with("dukpt_") && op != "ksn80_to_initial_key_id" {
        return None;
    }
    let (parts, left): (Vec<(&str, Verdict)>, _) = match op {
        "dukpt_tdes_transaction" => (tdes(bench, case).await, DATA),
        "dukpt_tdes_full_mac" => {
            let scheme = Scheme::Iso9797Alg3Des;
            let (request, response) = ("mac_request_full", "mac_response_full");
            let kind = KeyType::Tdes2;
            let verdict = macs(bench, case, (kind, scheme), request, response).await;
            (vec![("mac", verdict)], DATA)
        }
        "dukpt_aes_use" => (aes(bench, case).await, DATA),
        "dukpt_aes_pin_block_fmt4" => {
            let verdict = pin(bench, case, Format::Iso4, KeyType::Aes128).await;
            return Some(vec![(op.to_owned(), verdict)]);
        }
        _ => (Vec::new(), KEY_ALONE),
    };
    let mut verdicts: Vec<_> = parts
        .into_iter()
        .map(|(part, verdict)| (format!("{op}.{part}"), verdict))
        .collect();
    verdicts.push((op.to_owned(), Ok(Outcome::Unsupported(left))));
    Some(verdicts)
}

async fn tdes(bench: &Bench, case: &Case<'_>) -> Vec<(&'static str, Verdict)> {
    let kind = KeyType::Tdes2;
    let retail = (kind, Scheme::Iso9797Alg3Des);
    let cmac = (kind, Scheme::CmacTdes);
    let cmacs = ("cmac_request_handcrafted", "cmac_response_handcrafted");
    vec![
        ("pin", pin(bench, case, Format::Iso0, kind).await),
        (
            "mac",
            macs(bench, case, retail, "mac_request", "mac_response").await,
        ),
        ("cmac", macs(bench, case, cmac, cmacs.0, cmacs.1).await),
    ]
}

async fn aes(bench: &Bench, case: &Case<'_>) -> Vec<(&'static str, Verdict)> {
    let cmac = (KeyType::Aes128, Scheme::CmacAes);
    let hmac = (KeyType::Hmac128, Scheme::HmacSha256);
    vec![
        (
            "cmac",
            macs(bench, case, cmac, "CMACRequest", "CMACResponse").await,
        ),
        (
            "hmac",
            macs(bench, case, hmac, "HMACRequest", "HMACResponse").await,
        ),
    ]
}

/// The device's PIN block comes out under a zone's key.
async fn pin(bench: &Bench, case: &Case<'_>, format: Format, kind: KeyType) -> Verdict {
    let policy = KeyPolicy {
        pin_inputs: [format].into_iter().collect(),
        dukpt: Some(DukptPolicy {
            pin_key: Some(kind),
            ..DukptPolicy::default()
        }),
        ..KeyPolicy::default()
    };
    let source = base(bench, case, policy).await?;
    let wire = match format {
        Format::Iso4 => PinBlockFormat::Iso4,
        _ => PinBlockFormat::Iso0,
    };
    let pan = case.text("pan")?;
    let request = TranslatePinRequest {
        source_key: Some(source),
        destination_key: key(ZONE),
        source_format: wire.into(),
        pan: pan.to_owned(),
        pin_block: case.expected_bytes("encrypted_pin_block")?,
    };
    let answer = bench.client.translate_pin(request).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let opened = decipher(ZONE, Format::Iso4, pan, &answer.pin_block);
    if opened.as_deref() == Some(case.text("pin")?) {
        Ok(Outcome::Ran)
    } else {
        Err("another PIN came out".to_owned())
    }
}

/// The device's MAC is accepted, and the one it must accept is made.
async fn macs(
    bench: &Bench,
    case: &Case<'_>,
    (kind, scheme): (KeyType, Scheme),
    request: &str,
    response: &str,
) -> Verdict {
    let (request, response) = (
        case.expected_bytes(request)?,
        case.expected_bytes(response)?,
    );
    let padding = scheme.needs_padding().then_some(Padding::Method1);
    let length = u8::try_from(request.len()).map_err(|error| error.to_string())?;
    let policy = KeyPolicy {
        mac: Some(Rule::new(scheme, padding, length).map_err(|error| error.to_string())?),
        dukpt: Some(DukptPolicy {
            mac_key: Some(kind),
            ..DukptPolicy::default()
        }),
        ..KeyPolicy::default()
    };
    let key = Some(base(bench, case, policy).await?);
    let message = case.text("data_ascii")?.as_bytes().to_vec();
    let check = |mac: &[u8]| VerifyMacRequest {
        key: key.clone(),
        message: message.clone(),
        mac: mac.to_vec(),
    };
    for (mac, valid) in [(&request, true), (&response, false)] {
        let answer = bench.client.verify_mac(check(mac)).await;
        let answered = answer.map_err(|error| error.to_string())?.valid;
        if answered != valid {
            return Err(format!("VerifyMac answers {answered}"));
        }
    }
    let asked = GenerateMacRequest {
        key: key.clone(),
        message: message.clone(),
    };
    let made = bench.client.generate_mac(asked).await;
    let made = made.map_err(|error| error.to_string())?.mac;
    if made == response {
        return Ok(Outcome::Ran);
    }
    let (made, response) = (hex::encode(made), hex::encode(response));
    Err(format!("expected {response}, got {made}"))
}

async fn base(bench: &Bench, case: &Case<'_>, policy: KeyPolicy) -> Result<KeyRef, String> {
    let base = bench
        .keys
        .base(policy, case.op(), &case.bytes("bdk")?)
        .await;
    Ok(KeyRef {
        ksn: case.bytes("ksn")?,
        ..base.ok_or("the base key was refused")?
    })
}
