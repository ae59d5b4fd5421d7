//! PINs that come in under a device's derived key are verified as any others are, and make no
//! reference.

use pintle::domain::pin_block::Format;
use pintle::service::pb::v1::{GeneratePinReferenceRequest, PinBlockFormat, VerifyPinRequest};
use tonic::Code;

use crate::dukpt::{PAN, PIN_KEYS, derived, ksn, pin_in, wire};
use crate::pin_verification::reference;
use crate::refusal::assert_refused;
use crate::world::{key, world};

#[test]
fn verify_pin_accepts_every_device_as_source() {
    world().run(async |world| {
        let client = world.client().await;
        let kept = reference(&client, "visa", "7395", PAN).await;
        for (base, _, format) in PIN_KEYS {
            let ksn = ksn(base, 9, 1);
            let ask = async |pin| {
                let request = VerifyPinRequest {
                    source_key: derived(base, &ksn),
                    verification_key: key("pvk-visa-v"),
                    source_format: wire(format).into(),
                    pan: PAN.to_owned(),
                    pin_block: pin_in(base, &ksn, format, pin),
                    reference: kept.clone(),
                };
                client.verify_pin(request).await.unwrap().valid
            };
            assert!(ask("7395").await, "{base}");
            assert!(!ask("7396").await, "{base}");
        }
    });
}

#[test]
fn generate_pin_reference_refuses_what_came_from_a_device() {
    world().run(async |world| {
        let client = world.client().await;
        let ksn = ksn("bdk-tdes", 9, 2);
        let request = GeneratePinReferenceRequest {
            source_key: derived("bdk-tdes", &ksn),
            verification_key: key("pvk-visa-g"),
            source_format: PinBlockFormat::Iso0.into(),
            pan: PAN.to_owned(),
            pin_block: pin_in("bdk-tdes", &ksn, Format::Iso0, "7395"),
        };
        let answer = client.generate_pin_reference(request).await;
        let failed = Code::FailedPrecondition;
        assert_refused(answer, failed, "KEY_USAGE_REFUSED", "source_key");
    });
}
