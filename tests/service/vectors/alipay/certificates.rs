//! Certificate serials and the chain.

use pintle::service::pb::v1::{
    CertificateKind, CheckCertificateChainRequest, ComputeCertificateSerialRequest, SignatureScheme,
};
use prost_types::Timestamp;
use serde_json::Value;

use crate::vectors::{Bench, Outcome, Verdict};

/// One certificate, or a bundle of roots in each family.
pub async fn serial(bench: &Bench, case: &Value) -> Verdict {
    let none = (CertificateKind::App, SignatureScheme::Unspecified, "sn");
    let root = CertificateKind::Root;
    let asked = if case["sn"].is_string() {
        vec![none]
    } else {
        vec![
            (root, SignatureScheme::Rsa2, "root_sn_rsa_java"),
            (root, SignatureScheme::Sm2, "root_sn_sm2_java"),
        ]
    };
    for (kind, scheme, field) in asked {
        let request = ComputeCertificateSerialRequest {
            certificates: case["pem"].as_str().ok_or("no pem")?.into(),
            kind: kind.into(),
            sign_type: scheme.into(),
        };
        let answer = bench.client.compute_certificate_serial(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if Some(answer.serial.as_str()) != case[field].as_str() {
            return Err(format!("{field}: got {}", answer.serial));
        }
        let decimal = case["serial_dec"].as_str();
        if decimal.is_some_and(|decimal| decimal != answer.certificates[0].serial_number) {
            return Err("another serial number".to_owned());
        }
    }
    Ok(Outcome::Ran)
}

/// Both leaves come to the root, and to no root without what stands between.
pub async fn chain(bench: &Bench, group: &Value) -> Verdict {
    let pem = |name: &str| -> Result<Vec<u8>, String> {
        Ok(group[name]
            .as_str()
            .ok_or_else(|| format!("no {name}"))?
            .into())
    };
    for leaf in ["app_leaf", "alipay_leaf"] {
        for (intermediates, valid) in [(pem("intermediate")?, true), (Vec::new(), false)] {
            let request = CheckCertificateChainRequest {
                leaf: pem(leaf)?,
                intermediates,
                roots: pem("root")?,
                time: Some(Timestamp {
                    seconds: JANUARY_2027,
                    nanos: 0,
                }),
            };
            let answer = bench.client.check_certificate_chain(request).await;
            let answer = answer.map_err(|error| error.to_string())?;
            if answer.valid != valid {
                return Err(format!("{leaf}: {}", answer.fault().as_str_name()));
            }
        }
    }
    Ok(Outcome::Ran)
}

/// Both leaves, the intermediate and the root are valid then.
const JANUARY_2027: i64 = 1_800_000_000;
