//! SM2 keys in the token: where it has SM2 (SoftHSM behind a shim, in a process of its own) they are made,
//! used and destroyed as RSA keys are; where it has none that is told.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::domain::sm2;
use pintle::keys::act::now;
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle;
use pintle::limits::DAY_SECONDS;
use pintle::service::pb::admin::v1::{
    DestroyKeyRequest, GetKeyRequest, KeyPolicy, KeySpec, KeyState, RotateKeyRequest,
    SetKeyStateRequest,
};
use pintle::service::pb::v1::{
    CreateCertificateRequestRequest, GetPublicKeyRequest, KeyRef, Residence, SignRequest,
    SignatureEncoding, SignatureScheme,
};
use tonic::Code;

use crate::keys::{create, made};
use crate::partner::openssl;
use crate::refusal::assert_refused;
use crate::world::{World, key, world};
use crate::{alipay, softhsm};

const MESSAGE: &[u8] = b"whatever an SDK has put together";

fn spec(name: &str, residence: Residence) -> KeySpec {
    KeySpec {
        name: name.to_owned(),
        usage: "S0".to_owned(),
        mode: "S".to_owned(),
        algorithm: "SM2".to_owned(),
        residence: residence.into(),
        policy: Some(KeyPolicy {
            signature_scheme: "SM2".to_owned(),
            ..KeyPolicy::default()
        }),
        ..KeySpec::default()
    }
}

/// What the tests of this file that want SM2 in the token want, and the process that has it.
#[test]
fn the_tests_of_sm2_in_the_token_pass_where_it_has_sm2() {
    if !softhsm::is_child() {
        softhsm::spawn_with_sm2("sm2_token::");
    }
}

#[test]
fn create_key_refuses_an_sm2_key_in_a_token_that_has_no_sm2() {
    if softhsm::has_sm2() {
        return;
    }
    world().run(async |world| {
        let client = world.admin_client().await;
        let before = objects(world).await;
        let answer = client.create_key(create(spec("sign-sm2-nowhere", Residence::Token)));
        let reason = "TOKEN_LACKS_MECHANISM";
        assert_refused(answer.await, Code::FailedPrecondition, reason, None);
        let request = GetKeyRequest {
            name: "sign-sm2-nowhere".to_owned(),
        };
        assert_refused(
            client.get_key(request).await,
            Code::NotFound,
            "KEY_UNKNOWN",
            "name",
        );
        assert_eq!(objects(world).await, before);
        // The same key in the process.
        made(&client, spec("sign-sm2-nowhere", Residence::Process)).await;
    });
}

#[test]
fn create_key_refuses_an_sm2_key_in_the_token_that_does_more_than_sign() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let good = spec("sign-sm2-fields", Residence::Token);
        let mut decrypts = good.clone();
        decrypts.mode = "T".to_owned();
        let mut opens = decrypts.clone();
        opens.policy.as_mut().unwrap().encryption_scheme = "SM2".to_owned();
        let mut wrapped = good;
        wrapped.residence = Residence::TokenWrapped.into();
        for spec in [decrypts, opens, wrapped] {
            let answer = client.create_key(create(spec)).await;
            let reason = "KEY_SPEC_REFUSED";
            assert_refused(answer, Code::InvalidArgument, reason, "residence");
        }
    });
}

#[test]
fn an_sm2_key_in_the_token_signs_and_says_so_on_each_answer() {
    if !softhsm::has_sm2() {
        return;
    }
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let name = "sign-sm2-token";
        let key_made = made(&admin, spec(name, Residence::Token)).await;
        assert!(key_made.residence() == Residence::Token);
        let public = public(&client, key(name)).await;
        for encoding in [SignatureEncoding::Unspecified, SignatureEncoding::Raw] {
            let signature = sign(&client, name, encoding).await;
            let signature = match encoding {
                SignatureEncoding::Raw => sm2::Signature::from_raw(&signature),
                _ => sm2::Signature::from_der(&signature),
            };
            sm2::verify(&public, sm2::ID_DEFAULT, MESSAGE, &signature.unwrap()).unwrap();
        }
        let (string, signature) = alipay::signed(&client, name, "SM2").await;
        sm2::verify_der(&public, sm2::ID_DEFAULT, &string, &signature).unwrap();
        // Where nothing else is asked for, and the key is sealed.
        let usual = spec("sign-sm2-usual", Residence::Unspecified);
        assert!(made(&admin, usual).await.residence() == Residence::Process);
    });
}

#[test]
fn a_certificate_request_of_an_sm2_key_in_the_token_is_right_by_openssl() {
    if !softhsm::has_sm2() {
        return;
    }
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let name = "sign-sm2-certificate";
        made(&admin, spec(name, Residence::Token)).await;
        let request = CreateCertificateRequestRequest {
            key: key(name),
            subject: "CN=2021000000000001,O=shop,C=CN".to_owned(),
        };
        let answer = client.create_certificate_request(request).await.unwrap();
        assert!(answer.key.unwrap().residence() == Residence::Token);
        let verify = ["req", "-verify", "-noout", "-pubkey"];
        let id = ["-vfyopt", "distid:1234567812345678"];
        let (right, said) = openssl(&[&verify[..], &id].concat(), answer.pem.as_bytes());
        assert!(right && said.contains("OK"), "{said}");
        let info = STANDARD.encode(public(&client, key(name)).await.to_spki());
        assert!(said.replace('\n', "").contains(&info), "{said}");
    });
}

#[test]
fn an_sm2_key_in_the_token_is_rotated_and_its_old_version_destroyed() {
    if !softhsm::has_sm2() {
        return;
    }
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let name = "sign-sm2-rotated";
        made(&admin, spec(name, Residence::Token)).await;
        let first = public(&client, key(name)).await;
        let rotate = RotateKeyRequest {
            request_id: format!("rotate-{name}"),
            name: name.to_owned(),
            ..RotateKeyRequest::default()
        };
        let next = admin.rotate_key(rotate).await.unwrap().key.unwrap();
        assert!(next.residence() == Residence::Token && next.version == 2);
        set_state(&admin, name, 2, KeyState::Active).await;
        let second = public(&client, version(name, 2)).await;
        assert_ne!(first, second);
        while !signed_by(&client, name, &second).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(has(world, name, 1).await && has(world, name, 2).await);
        set_state(&admin, name, 1, KeyState::Disabled).await;
        let destroy = DestroyKeyRequest {
            request_id: format!("destroy-{name}"),
            name: name.to_owned(),
            version: 1,
            waiting_days: 0,
        };
        admin.destroy_key(destroy).await.unwrap();
        let later = now() + 31 * DAY_SECONDS;
        let (tenant, of) = (name_of("default"), name_of(name));
        let swept = lifecycle::sweep(&world.context.catalogue, (&tenant, &of), later);
        assert_eq!(swept.await.unwrap().len(), 1);
        assert!(!has(world, name, 1).await && has(world, name, 2).await);
        assert!(signed_by(&client, name, &second).await);
    });
}

async fn set_state(admin: &Client, name: &str, version: u32, state: KeyState) {
    let request = SetKeyStateRequest {
        request_id: format!("state-{name}-{version}-{}", i32::from(state)),
        name: name.to_owned(),
        version,
        state: state.into(),
    };
    admin.set_key_state(request).await.unwrap();
}

async fn sign(client: &Client, name: &str, encoding: SignatureEncoding) -> Vec<u8> {
    let request = SignRequest {
        key: key(name),
        message: MESSAGE.to_vec(),
        encoding: encoding.into(),
    };
    let answer = client.sign(request).await.unwrap();
    assert!(answer.scheme() == SignatureScheme::Sm2);
    assert!(answer.key.unwrap().residence() == Residence::Token);
    answer.signature
}

async fn signed_by(client: &Client, name: &str, public: &sm2::PublicKey) -> bool {
    let signature = sign(client, name, SignatureEncoding::Der).await;
    sm2::verify_der(public, sm2::ID_DEFAULT, MESSAGE, &signature).is_ok()
}

async fn public(client: &Client, key: Option<KeyRef>) -> sm2::PublicKey {
    let answer = client.get_public_key(GetPublicKeyRequest { key }).await;
    let answer = answer.unwrap();
    assert!(answer.key.as_ref().unwrap().residence() == Residence::Token);
    sm2::PublicKey::from_spki(&answer.subject_public_key_info).unwrap()
}

fn version(name: &str, version: u32) -> Option<KeyRef> {
    Some(KeyRef {
        version,
        ..key(name).unwrap()
    })
}

fn name_of(name: &str) -> KeyName {
    KeyName::parse(name).unwrap()
}

/// How many SM2 keys the token has.
async fn objects(world: &World) -> usize {
    let token = world.context.catalogue.fleet().first().unwrap();
    let all = token.key_report(deadline()).await.unwrap();
    all.iter().filter(|key| key.label == "pintle-sm2").count()
}

/// Whether the token has the object of a version that is not destroyed.
async fn has(world: &World, name: &str, version: u32) -> bool {
    let (tenant, name) = (name_of("default"), name_of(name));
    let versions = lifecycle::versions(&world.context.catalogue, &tenant, &name).await;
    let versions = versions.unwrap();
    let header = versions.iter().find(|header| header.version == version);
    let object_id = header.unwrap().token_object.unwrap();
    let token = world.context.catalogue.fleet().first().unwrap();
    token.has_sm2(deadline(), object_id).await.unwrap()
}

fn deadline() -> std::time::Instant {
    std::time::Instant::now() + Duration::from_secs(10)
}
