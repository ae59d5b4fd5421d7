//! SM2 keys in the token: where it has no SM2 that is told, and nothing is made.

use std::time::Duration;

use pintle::service::pb::admin::v1::{GetKeyRequest, KeyPolicy, KeySpec};
use pintle::service::pb::v1::Residence;
use tonic::Code;

use crate::keys::{create, made};
use crate::refusal::assert_refused;
use crate::world::{World, world};

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

#[test]
fn create_key_refuses_an_sm2_key_in_a_token_that_has_no_sm2() {
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

/// How many SM2 keys the token has.
async fn objects(world: &World) -> usize {
    let token = world.context.catalogue.fleet().first().unwrap();
    let all = token.key_report(deadline()).await.unwrap();
    all.iter().filter(|key| key.label == "pintle-sm2").count()
}

fn deadline() -> std::time::Instant {
    std::time::Instant::now() + Duration::from_secs(10)
}
