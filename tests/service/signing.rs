//! SigningService.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::{Client, Error};
use pintle::domain::{rsa, sm2};
use pintle::limits::MESSAGE_BYTES_MAX;
use pintle::service::pb::v1::{
    GetPublicKeyRequest, Residence, SignRequest, SignResponse, SignatureEncoding, SignatureScheme,
    VerifyRequest,
};
use tonic::Code;

use crate::alipay::signed;
use crate::refusal::assert_refused;
use crate::world::{key, world};

fn verify(name: &str, message: &[u8], signature: &[u8]) -> VerifyRequest {
    VerifyRequest {
        key: key(name),
        message: message.to_vec(),
        signature: signature.to_vec(),
        ..VerifyRequest::default()
    }
}

async fn sign(
    client: &Client,
    name: &str,
    encoding: SignatureEncoding,
) -> Result<SignResponse, Error> {
    let request = SignRequest {
        key: key(name),
        message: MESSAGE.to_vec(),
        encoding: encoding.into(),
    };
    client.sign(request).await
}

/// Not the string of any protocol here: whatever an SDK has put together.
const MESSAGE: &[u8] = b"\xFF\0 any bytes";

#[test]
fn sign_accepts_any_message_and_an_sm2_signature_has_two_forms() {
    world().run(async |world| {
        let client = world.client().await;
        let unspecified = SignatureEncoding::Unspecified;
        for (name, scheme, residence, forms) in [
            (
                "sign-rsa2",
                SignatureScheme::Rsa2,
                Residence::Token,
                &[unspecified][..],
            ),
            (
                "sign-sm2",
                SignatureScheme::Sm2,
                Residence::Process,
                &[unspecified, SignatureEncoding::Der, SignatureEncoding::Raw],
            ),
        ] {
            for &form in forms {
                let answer = sign(&client, name, form).await.unwrap();
                assert!(answer.scheme() == scheme, "{name}");
                assert!(answer.key.unwrap().residence() == residence, "{name}");
                assert_eq!(STANDARD.decode(&answer.base64).unwrap(), answer.signature);
                if form == SignatureEncoding::Raw {
                    assert_eq!(answer.signature.len(), 64);
                }
                let mut asked = verify(name, MESSAGE, &answer.signature);
                asked.encoding = form.into();
                assert!(client.verify(asked.clone()).await.unwrap().valid, "{name}");
                asked.signature[9] ^= 1;
                assert!(!client.verify(asked).await.unwrap().valid, "{name}");
            }
        }
        // One form does not pass for the other.
        let raw = sign(&client, "sign-sm2", SignatureEncoding::Raw).await;
        let asked = verify("sign-sm2", MESSAGE, &raw.unwrap().signature);
        assert!(!client.verify(asked).await.unwrap().valid);
    });
}

#[test]
fn sign_refuses_other_keys_other_forms_and_messages_that_are_too_long() {
    world().run(async |world| {
        let client = world.client().await;
        let unspecified = SignatureEncoding::Unspecified;
        let answer = sign(&client, "mac-hmac", unspecified).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = sign(&client, "sign-nobody", unspecified).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
        for form in [SignatureEncoding::Der, SignatureEncoding::Raw] {
            let answer = sign(&client, "sign-rsa2", form).await;
            let reason = "SIGNATURE_ENCODING_REFUSED";
            assert_refused(answer, Code::InvalidArgument, reason, "encoding");
        }
        let request = SignRequest {
            key: key("sign-rsa2"),
            message: vec![0; MESSAGE_BYTES_MAX + 1],
            encoding: 0,
        };
        let answer = client.sign(request.clone()).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MESSAGE_TOO_LARGE",
            "message",
        );
        let request = SignRequest {
            encoding: 9,
            ..request
        };
        let answer = client.sign(request).await;
        assert_refused(answer, Code::InvalidArgument, "ENUM_UNKNOWN", "encoding");
    });
}

#[test]
fn verify_accepts_a_signature_of_the_key_and_answers_false_for_anything_else() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, scheme) in [
            ("sign-rsa2", "RSA2"),
            ("sign-sm2", "SM2"),
            ("sign-rsa1", "RSA"),
        ] {
            let (message, signature) = signed(&client, name, scheme).await;
            let answer = client
                .verify(verify(name, &message, &signature))
                .await
                .unwrap();
            assert!(answer.valid, "{name}");
            let other = client
                .verify(verify(name, b"other", &signature))
                .await
                .unwrap();
            assert!(!other.valid, "{name}");
            let cut = &signature[..signature.len() - 1];
            let answer = client.verify(verify(name, &message, cut)).await.unwrap();
            assert!(!answer.valid, "{name}");
            let mut wrong = signature.clone();
            *wrong.last_mut().unwrap() ^= 1;
            assert!(
                !client
                    .verify(verify(name, &message, &wrong))
                    .await
                    .unwrap()
                    .valid,
                "{name}"
            );
        }
        // Another key's signature, of the same scheme or not, is not this key's.
        let (message, signature) = signed(&client, "sign-rsa2", "RSA2").await;
        for name in ["sign-sm2", "sign-rsa1"] {
            assert!(
                !client
                    .verify(verify(name, &message, &signature))
                    .await
                    .unwrap()
                    .valid
            );
        }
    });
}

#[test]
fn verify_refuses_a_key_that_does_not_sign_and_a_missing_signature() {
    world().run(async |world| {
        let client = world.client().await;
        let answer = client
            .verify(verify("mac-hmac", b"message", &[1; 256]))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = client.verify(verify("sign-rsa2", b"message", &[])).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "signature");
        let answer = client
            .verify(verify("sign-nobody", b"message", &[1; 256]))
            .await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
    });
}

#[test]
fn get_public_key_accepts_signing_keys_and_answers_their_spki() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |name| {
            client
                .get_public_key(GetPublicKeyRequest { key: key(name) })
                .await
                .unwrap()
        };
        let answer = ask("sign-rsa2").await;
        assert!(answer.scheme() == SignatureScheme::Rsa2);
        assert_eq!(
            STANDARD.decode(&answer.base64).unwrap(),
            answer.subject_public_key_info
        );
        let public = rsa::PublicKey::from_spki(&answer.subject_public_key_info).unwrap();
        let (message, signature) = signed(&client, "sign-rsa2", "RSA2").await;
        assert!(rsa::verify(&public, rsa::Hash::Sha256, &message, &signature).is_ok());

        let answer = ask("sign-sm2").await;
        assert!(answer.scheme() == SignatureScheme::Sm2);
        let public = sm2::PublicKey::from_spki(&answer.subject_public_key_info).unwrap();
        let (message, signature) = signed(&client, "sign-sm2", "SM2").await;
        assert!(sm2::verify_der(&public, sm2::ID_DEFAULT, &message, &signature).is_ok());
    });
}

#[test]
fn get_public_key_refuses_a_key_without_a_public_half() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |name| {
            client
                .get_public_key(GetPublicKeyRequest { key: key(name) })
                .await
        };
        let answer = ask("tpk-tdes").await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        assert_refused(
            ask("sign-nobody").await,
            Code::NotFound,
            "KEY_UNKNOWN",
            "key",
        );
        let answer = client
            .get_public_key(GetPublicKeyRequest { key: None })
            .await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key");
    });
}
