//! KeyService over the control plane's listener: rotation, states and the end of keys.

use std::time::{Duration, SystemTime};

use pintle::client::Client;
use pintle::service::pb::admin::v1::{
    DestroyKeyRequest, GetKeyRequest, KeyState, RestoreKeyRequest, RotateKeyRequest,
    SetKeyStateRequest,
};
use pintle::service::pb::v1::GenerateMacRequest;
use prost_types::Timestamp;
use tonic::Code;

use crate::keys::{mac, mac_key, made, soon};
use crate::refusal::assert_refused;
use crate::world::{World, key, world};

fn rotate(name: &str, activates: Option<Timestamp>) -> RotateKeyRequest {
    RotateKeyRequest {
        request_id: format!("rotate-{name}"),
        name: name.to_owned(),
        activates,
        expires: None,
    }
}

fn state(name: &str, version: u32, state: KeyState) -> SetKeyStateRequest {
    SetKeyStateRequest {
        request_id: format!(
            "state-{name}-{version}-{}-{:?}",
            i32::from(state),
            SystemTime::now()
        )
        .replace(' ', ""),
        name: name.to_owned(),
        version,
        state: state.into(),
    }
}

async fn states(client: &Client, name: &str) -> Vec<(u32, KeyState)> {
    let got = client
        .get_key(GetKeyRequest {
            name: name.to_owned(),
        })
        .await
        .unwrap();
    got.versions
        .iter()
        .map(|version| (version.version, version.state()))
        .collect()
}

async fn wait_for(world: &World, wanted: u32, name: &str) {
    let client = world.client().await;
    for _ in 0..100 {
        let message = b"0200 message".to_vec();
        let request = GenerateMacRequest {
            key: key(name),
            message,
        };
        let used = client.generate_mac(request).await.unwrap().key.unwrap();
        if used.version == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("version {wanted} of {name} never answered");
}

#[test]
fn rotate_key_accepts_and_the_new_version_waits_to_be_activated() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-waits")).await;
        client.rotate_key(rotate("adm-waits", None)).await.unwrap();
        wait_for(world, 1, "adm-waits").await;
        let both = states(&client, "adm-waits").await;
        assert!(both == [(2, KeyState::Pending), (1, KeyState::Active)]);
    });
}

#[test]
fn set_key_state_accepts_the_way_to_a_new_version_and_back() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-rotates")).await;
        let before = mac(world, key("adm-rotates")).await.unwrap();
        let next = client
            .rotate_key(rotate("adm-rotates", None))
            .await
            .unwrap()
            .key
            .unwrap();
        assert!(next.version == 2 && next.state() == KeyState::Pending);
        // Twice is once.
        let again = client
            .rotate_key(rotate("adm-rotates", None))
            .await
            .unwrap()
            .key
            .unwrap();
        assert_eq!(again.version, 2);
        assert_eq!(mac(world, key("adm-rotates")).await.unwrap(), before);
        client
            .set_key_state(state("adm-rotates", 2, KeyState::Active))
            .await
            .unwrap();
        wait_for(world, 2, "adm-rotates").await;
        let both = states(&client, "adm-rotates").await;
        assert!(both == [(2, KeyState::Active), (1, KeyState::Retiring)]);
        assert_ne!(mac(world, key("adm-rotates")).await.unwrap(), before);
        client
            .set_key_state(state("adm-rotates", 1, KeyState::Active))
            .await
            .unwrap();
        wait_for(world, 1, "adm-rotates").await;
        assert_eq!(mac(world, key("adm-rotates")).await.unwrap(), before);
    });
}

#[test]
fn rotate_key_accepts_a_moment_at_which_the_new_version_serves_by_itself() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-by-itself")).await;
        wait_for(world, 1, "adm-by-itself").await;
        let request = rotate("adm-by-itself", soon(2));
        client.rotate_key(request).await.unwrap();
        let first = states(&client, "adm-by-itself").await;
        assert!(first == [(2, KeyState::Pending), (1, KeyState::Active)]);
        wait_for(world, 2, "adm-by-itself").await;
    });
}

#[test]
fn rotate_key_refuses_what_came_from_elsewhere_and_a_moment_that_has_passed() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let answer = client.rotate_key(rotate("mac-alg3", None)).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KEY_NOT_GENERATED_HERE",
            "name",
        );
        made(&client, mac_key("adm-late")).await;
        let past = Some(Timestamp {
            seconds: 1,
            nanos: 0,
        });
        let answer = client.rotate_key(rotate("adm-late", past)).await;
        assert_refused(answer, Code::InvalidArgument, "TIME_REFUSED", "activates");
    });
}

#[test]
fn set_key_state_refuses_steps_that_are_none_of_lifes() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-steps")).await;
        let answer = client
            .set_key_state(state("adm-steps", 1, KeyState::Active))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_STATE_ORDER", "name");
        let answer = client
            .set_key_state(state("adm-steps", 1, KeyState::Destroyed))
            .await;
        assert_refused(answer, Code::InvalidArgument, "ENUM_UNKNOWN", "state");
        let answer = client
            .set_key_state(state("adm-steps", 2, KeyState::Disabled))
            .await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "name");
    });
}

fn destroy(name: &str, waiting_days: u32) -> DestroyKeyRequest {
    DestroyKeyRequest {
        request_id: format!("destroy-{name}-{waiting_days}"),
        name: name.to_owned(),
        version: 1,
        waiting_days,
    }
}

#[test]
fn destroy_key_accepts_a_disabled_key_which_then_waits() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-ending")).await;
        let disabled = state("adm-ending", 1, KeyState::Disabled);
        client.set_key_state(disabled).await.unwrap();
        let going = client.destroy_key(destroy("adm-ending", 30)).await.unwrap();
        let going = going.key.unwrap();
        assert!(going.state() == KeyState::Destroying && going.destroys.is_some());
    });
}

#[test]
fn restore_key_accepts_within_the_waiting_period_and_the_key_serves_again() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-goes")).await;
        client
            .set_key_state(state("adm-goes", 1, KeyState::Disabled))
            .await
            .unwrap();
        let going = client
            .destroy_key(destroy("adm-goes", 0))
            .await
            .unwrap()
            .key
            .unwrap();
        assert!(going.state() == KeyState::Destroying && going.destroys.is_some());
        assert!(mac(world, key("adm-goes")).await.is_err());
        let restore = RestoreKeyRequest {
            request_id: "restore-adm-goes".to_owned(),
            name: "adm-goes".to_owned(),
            version: 1,
        };
        let back = client.restore_key(restore).await.unwrap().key.unwrap();
        assert!(back.state() == KeyState::Disabled && back.destroys.is_none());
        client
            .set_key_state(state("adm-goes", 1, KeyState::Active))
            .await
            .unwrap();
        wait_for(world, 1, "adm-goes").await;
    });
}

#[test]
fn destroy_key_refuses_an_active_key_and_a_waiting_period_out_of_bounds() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-still-active")).await;
        let answer = client.destroy_key(destroy("adm-still-active", 0)).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_STATE_ORDER", "name");
        for days in [1, 400] {
            let answer = client.destroy_key(destroy("adm-still-active", days)).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "TIME_REFUSED",
                "waiting_days",
            );
        }
    });
}

#[test]
fn restore_key_refuses_a_key_that_is_not_being_destroyed() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-not-going")).await;
        let restore = RestoreKeyRequest {
            request_id: "restore-adm-not-going".to_owned(),
            name: "adm-not-going".to_owned(),
            version: 1,
        };
        let answer = client.restore_key(restore).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_STATE_ORDER", "name");
    });
}
