//! KeyService over the control plane's listener: making keys, finding them, noting things about them.

use std::time::{Duration, SystemTime};

use pintle::client::Client;
use pintle::service::pb::admin::v1::{
    CreateKeyRequest, GetKeyRequest, KeyPolicy, KeySpec, KeyState, KeyVersion, Label,
    ListKeysRequest, UpdateKeyMetadataRequest,
};
use pintle::service::pb::v1::{GenerateMacRequest, KeyRef, Residence};
use prost_types::Timestamp;
use tonic::Code;

use crate::exchange::export;
use crate::refusal::{assert_refused, refused};
use crate::world::{World, key, world};

/// A MAC key that may leave.
pub fn mac_key(name: &str) -> KeySpec {
    KeySpec {
        name: name.to_owned(),
        usage: "M6".to_owned(),
        mode: "C".to_owned(),
        algorithm: "AES-128".to_owned(),
        exportable: true,
        policy: Some(KeyPolicy {
            mac_scheme: "CMAC_AES".to_owned(),
            mac_length: 8,
            ..KeyPolicy::default()
        }),
        ..KeySpec::default()
    }
}

pub fn create(spec: KeySpec) -> CreateKeyRequest {
    CreateKeyRequest {
        request_id: format!("create-{}", spec.name),
        spec: Some(spec),
    }
}

pub async fn made(client: &Client, spec: KeySpec) -> KeyVersion {
    client.create_key(create(spec)).await.unwrap().key.unwrap()
}

pub fn soon(seconds: u64) -> Option<Timestamp> {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    Some(Timestamp::from(at))
}

pub async fn mac(world: &World, key: Option<KeyRef>) -> Result<Vec<u8>, pintle::client::Error> {
    let message = b"0200 message".to_vec();
    let client = world.client().await;
    Ok(client
        .generate_mac(GenerateMacRequest { key, message })
        .await?
        .mac)
}

#[test]
fn create_key_accepts_a_spec_and_a_repetition_makes_no_second_key() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let spec = KeySpec {
            expires: soon(90 * 24 * 3600),
            labels: vec![Label {
                name: "owner".to_owned(),
                text: "acquiring".to_owned(),
            }],
            ..mac_key("adm-create")
        };
        let first = made(&client, spec.clone()).await;
        assert_eq!((first.version, first.origin.as_str()), (1, "generated"));
        assert_eq!(first.check_value.len(), 5);
        assert!(first.state() == KeyState::Active && first.residence() == Residence::Process);
        let said = first.spec.clone().unwrap();
        assert!(said.labels == spec.labels && said.usage == "M6");
        assert!(said.policy == spec.policy);
        let again = made(&client, spec.clone()).await;
        assert!(again == first);
        assert_eq!(mac(world, key("adm-create")).await.unwrap().len(), 8);

        let mut other = create(spec);
        other.spec.as_mut().unwrap().exportable = false;
        let answer = client.create_key(other).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "REQUEST_ID_REUSED",
            "request_id",
        );
    });
}

#[test]
fn create_key_accepts_rsa_wrapped_and_resident_and_keys_that_protect_others() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let rsa = |name: &str, residence: Residence| KeySpec {
            name: name.to_owned(),
            usage: "S0".to_owned(),
            mode: "S".to_owned(),
            algorithm: "RSA-2048".to_owned(),
            residence: residence.into(),
            policy: Some(KeyPolicy {
                signature_scheme: "RSA2".to_owned(),
                ..KeyPolicy::default()
            }),
            ..KeySpec::default()
        };
        for residence in [Residence::Token, Residence::TokenWrapped] {
            let name = format!("adm-rsa-{}", i32::from(residence));
            let made = made(&client, rsa(&name, residence)).await;
            assert!(made.residence() == residence && !made.subject_public_key_info.is_empty());
        }
        let kbpk = KeySpec {
            name: "adm-kbpk".to_owned(),
            usage: "K1".to_owned(),
            mode: "B".to_owned(),
            algorithm: "AES-256".to_owned(),
            ..KeySpec::default()
        };
        let made = made(&client, kbpk).await;
        assert!(made.residence() == Residence::Token);
        assert_eq!(made.check_value.len(), 5);
        // It makes and opens blocks, though its value never left the token.
        let spec = mac_key("adm-under-token-kbpk");
        self::made(&client, spec).await;
        let block = client
            .export_key(export("adm-under-token-kbpk", "adm-kbpk", true))
            .await
            .unwrap()
            .key_block;
        let by_block = KeyRef {
            name: "adm-kbpk".to_owned(),
            key_block: block,
            ..KeyRef::default()
        };
        let named = mac(world, key("adm-under-token-kbpk")).await.unwrap();
        assert_eq!(mac(world, Some(by_block)).await.unwrap(), named);
    });
}

#[test]
fn create_key_refuses_what_exists_what_makes_no_sense_and_what_is_outside_the_scope() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-twice")).await;
        let again = CreateKeyRequest {
            request_id: "another".to_owned(),
            ..create(mac_key("adm-twice"))
        };
        let answer = client.create_key(again).await;
        assert_refused(answer, Code::AlreadyExists, "KEY_EXISTS", "name");
        let answer = client.create_key(create(mac_key("other-name"))).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "name");
        let weak = KeySpec {
            algorithm: "DES".to_owned(),
            ..mac_key("adm-weak")
        };
        let answer = client.create_key(create(weak)).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_SPEC_REFUSED",
            "algorithm",
        );
        let past = KeySpec {
            expires: Some(Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            ..mac_key("adm-past")
        };
        let answer = client.create_key(create(past)).await;
        assert_refused(answer, Code::InvalidArgument, "TIME_REFUSED", "expires");
        let nameless = CreateKeyRequest {
            request_id: String::new(),
            ..create(mac_key("adm-x"))
        };
        let answer = client.create_key(nameless).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "REQUEST_ID_MALFORMED",
            "request_id",
        );
    });
}

#[test]
fn get_key_accepts_a_name_and_answers_every_version() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-got")).await;
        let name = "adm-got".to_owned();
        let got = client.get_key(GetKeyRequest { name }).await.unwrap();
        let [version] = got.versions.as_slice() else {
            panic!("one version")
        };
        assert_eq!((version.name.as_str(), version.version), ("adm-got", 1));
    });
}

#[test]
fn list_keys_accepts_filters_and_pages() {
    world().run(async |world| {
        let client = world.admin_client().await;
        for number in 0..5 {
            made(&client, mac_key(&format!("adm-list-{number}"))).await;
        }
        let mut request = ListKeysRequest {
            page_size: 2,
            filter: "name=adm-list-* usage=M6 state=active algorithm=AES-128".to_owned(),
            ..ListKeysRequest::default()
        };
        let (mut names, mut pages) = (Vec::new(), 0);
        loop {
            let page = client.list_keys(request.clone()).await.unwrap();
            names.extend(page.keys.into_iter().map(|key| key.name));
            pages += 1;
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(
            names,
            (0..5).map(|n| format!("adm-list-{n}")).collect::<Vec<_>>()
        );
        assert!(pages >= 3);
        let hidden = ListKeysRequest {
            filter: "name=hidden-*".to_owned(),
            ..ListKeysRequest::default()
        };
        assert!(client.list_keys(hidden).await.unwrap().keys.is_empty());
    });
}

#[test]
fn get_key_refuses_a_name_outside_the_scope_as_one_that_is_not_there() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let get = async |name: &str| {
            refused(
                client
                    .get_key(GetKeyRequest {
                        name: name.to_owned(),
                    })
                    .await,
            )
        };
        assert_eq!(get("hidden-zpk").await, get("adm-nothing").await);
    });
}

#[test]
fn list_keys_refuses_a_filter_and_a_page_token_that_are_none() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let filter = ListKeysRequest {
            filter: "colour=red".to_owned(),
            ..Default::default()
        };
        let answer = client.list_keys(filter).await;
        assert_refused(answer, Code::InvalidArgument, "FILTER_MALFORMED", "filter");
        let page = ListKeysRequest {
            page_token: "x".to_owned(),
            ..Default::default()
        };
        let answer = client.list_keys(page).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "PAGE_TOKEN_UNKNOWN",
            "page_token",
        );
    });
}

#[test]
fn update_key_metadata_accepts_labels_and_makes_a_key_stricter_for_good() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-noted")).await;
        let update = |id: &str, make_non_exportable| UpdateKeyMetadataRequest {
            request_id: id.to_owned(),
            name: "adm-noted".to_owned(),
            version: 1,
            labels: vec![Label {
                name: "note".to_owned(),
                text: id.to_owned(),
            }],
            expires: soon(3600),
            make_non_exportable,
        };
        let noted = client
            .update_key_metadata(update("one", true))
            .await
            .unwrap()
            .key
            .unwrap();
        let spec = noted.spec.unwrap();
        assert!(!spec.exportable && spec.expires.is_some());
        assert_eq!(
            (spec.labels[0].text.as_str(), noted.state_epoch),
            ("one", 1)
        );
        let again = client
            .update_key_metadata(update("two", false))
            .await
            .unwrap()
            .key
            .unwrap();
        assert!(!again.spec.unwrap().exportable, "there is no way back");
    });
}

#[test]
fn update_key_metadata_refuses_labels_out_of_bounds() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-labels")).await;
        let label = |name: &str, text: &str| Label {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        for labels in [
            vec![label("Owner", "x")],
            vec![label("a", "x"), label("a", "y")],
            vec![label("a", &"x".repeat(200))],
        ] {
            let update = UpdateKeyMetadataRequest {
                request_id: "labels".to_owned(),
                name: "adm-labels".to_owned(),
                version: 1,
                labels,
                ..UpdateKeyMetadataRequest::default()
            };
            let answer = client.update_key_metadata(update).await;
            assert_refused(answer, Code::InvalidArgument, "FIELD_MALFORMED", "labels");
        }
    });
}
