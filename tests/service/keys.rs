//! KeyService, over the control plane's listener.

use std::time::{Duration, SystemTime};

use pintle::client::Client;
use pintle::domain::check_value::{self, Method};
use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::service::pb::admin::v1::import_key_request::Source;
use pintle::service::pb::admin::v1::{
    CreateKeyRequest, DestroyKeyRequest, ExportKeyRequest, GetKeyRequest, ImportCryptogramRequest,
    ImportKeyRequest, KeyPolicy, KeySpec, KeyState, KeyVersion, Label, ListKeysRequest,
    RestoreKeyRequest, RotateKeyRequest, SetKeyStateRequest, TranslateKeyBlockRequest,
    UpdateKeyMetadataRequest, WrappedInKeyBlock, WrappedUnderRsaOaep,
};
use pintle::service::pb::v1::{GenerateMacRequest, KeyRef, Residence};
use prost_types::Timestamp;
use tonic::Code;

use crate::blocks;
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

fn create(spec: KeySpec) -> CreateKeyRequest {
    CreateKeyRequest {
        request_id: format!("create-{}", spec.name),
        spec: Some(spec),
    }
}

async fn made(client: &Client, spec: KeySpec) -> KeyVersion {
    client.create_key(create(spec)).await.unwrap().key.unwrap()
}

fn soon(seconds: u64) -> Option<Timestamp> {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    Some(Timestamp::from(at))
}

async fn mac(world: &World, key: Option<KeyRef>) -> Result<Vec<u8>, pintle::client::Error> {
    let message = b"0200 message".to_vec();
    let client = world.client().await;
    Ok(client
        .generate_mac(GenerateMacRequest { key, message })
        .await?
        .mac)
}

fn export(name: &str, protection: &str, with_profile: bool) -> ExportKeyRequest {
    ExportKeyRequest {
        request_id: format!("export-{name}-{protection}-{with_profile}"),
        name: name.to_owned(),
        protection_key: protection.to_owned(),
        exportability: "E".to_owned(),
        with_profile,
        ..ExportKeyRequest::default()
    }
}

fn import(name: &str, protection: &str, block: &str) -> ImportKeyRequest {
    ImportKeyRequest {
        request_id: format!("import-{name}"),
        spec: Some(KeySpec {
            usage: String::new(),
            mode: String::new(),
            algorithm: String::new(),
            ..mac_key(name)
        }),
        source: Some(Source::KeyBlock(WrappedInKeyBlock {
            protection_key: protection.to_owned(),
            key_block: block.to_owned(),
        })),
        check_value: Vec::new(),
    }
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
fn export_key_accepts_what_import_key_accepts_and_the_key_is_the_same() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let original = made(&client, mac_key("adm-leaves")).await;
        let exported = client
            .export_key(export("adm-leaves", "kbpk-aes", false))
            .await
            .unwrap();
        assert!(exported.key_block.starts_with('D'));
        assert_eq!(exported.check_value, original.check_value);
        // A repetition is the same block, not another.
        let again = client
            .export_key(export("adm-leaves", "kbpk-aes", false))
            .await
            .unwrap();
        assert_eq!(again.key_block, exported.key_block);

        let request = ImportKeyRequest {
            check_value: original.check_value[..3].to_vec(),
            ..import("adm-comes-back", "kbpk-aes", &exported.key_block)
        };
        let back = client.import_key(request).await.unwrap().key.unwrap();
        assert_eq!(
            (back.origin.as_str(), back.parent.as_str()),
            ("key_block", "kbpk-aes")
        );
        assert_eq!(back.check_value, original.check_value);
        let same = mac(world, key("adm-leaves")).await.unwrap();
        assert_eq!(mac(world, key("adm-comes-back")).await.unwrap(), same);
    });
}

#[test]
fn export_key_refuses_keys_that_may_not_leave_and_protection_keys_that_are_weaker() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let stays = KeySpec {
            exportable: false,
            ..mac_key("adm-stays")
        };
        made(&client, stays).await;
        let answer = client
            .export_key(export("adm-stays", "kbpk-aes", false))
            .await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KEY_NOT_EXPORTABLE",
            "name",
        );
        made(&client, mac_key("adm-strong")).await;
        let weaker = KeySpec {
            name: "adm-kbpk-tdes".to_owned(),
            usage: "K1".to_owned(),
            mode: "E".to_owned(),
            algorithm: "TDES-3".to_owned(),
            residence: Residence::Process.into(),
            ..KeySpec::default()
        };
        made(&client, weaker).await;
        let answer = client
            .export_key(export("adm-strong", "adm-kbpk-tdes", false))
            .await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "PROTECTION_KEY_WEAKER",
            "name",
        );
        let answer = client
            .export_key(export("adm-strong", "kbpk-tdes", false))
            .await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KEY_USAGE_REFUSED",
            "protection_key",
        );
    });
}

#[test]
fn import_key_refuses_every_wrong_block_with_one_answer_and_a_wrong_check_value_by_its_field() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-source")).await;
        let good = client
            .export_key(export("adm-source", "kbpk-aes", false))
            .await
            .unwrap();
        let good = good.key_block;
        let mut answers = Vec::new();
        for (number, wrong) in [
            "x".to_owned(),
            good[..good.len() - 1].to_owned(),
            good.replace("M6", "M1"),
            good.replace("AC00E", "AC00N"),
            format!("{}0", &good[..good.len() - 1]),
        ]
        .into_iter()
        .enumerate()
        .filter(|(_, wrong)| *wrong != good)
        {
            let request = import(&format!("adm-wrong-{number}"), "kbpk-aes", &wrong);
            answers.push(refused(client.import_key(request).await));
        }
        for answer in &answers {
            assert_eq!(
                (answer.code, answer.reason.as_str()),
                (Code::InvalidArgument, "KEY_BLOCK_REJECTED")
            );
            assert_eq!(answer, &answers[0]);
        }
        let request = ImportKeyRequest {
            check_value: vec![1, 2, 3],
            ..import("adm-wrong-check-value", "kbpk-aes", &good)
        };
        let answer = client.import_key(request).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "CHECK_VALUE_MISMATCH",
            "check_value",
        );
        let mut wider = import("adm-wider", "kbpk-aes", &good);
        wider.spec.as_mut().unwrap().usage = "P0".to_owned();
        let answer = client.import_key(wider).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_ATTRIBUTE_REFUSED",
            "usage",
        );
    });
}

#[test]
fn import_key_accepts_a_key_under_rsa_oaep_where_the_token_has_it() {
    use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
    world().run(async |world| {
        let client = world.admin_client().await;
        let transport = KeySpec {
            name: "adm-transport".to_owned(),
            usage: "K3".to_owned(),
            mode: "D".to_owned(),
            algorithm: "RSA-2048".to_owned(),
            ..KeySpec::default()
        };
        let answer = client.create_key(create(transport)).await;
        let Ok(made) = answer else {
            // SoftHSM 2.6.1 has OAEP with SHA-1 only, and no transport key is made there.
            assert_eq!(refused(answer).code, Code::FailedPrecondition);
            assert!(std::env::var_os(crate::softhsm::FOLDER).is_some());
            return;
        };
        let public = made.key.unwrap().subject_public_key_info;
        let public = PublicEncryptingKey::from_der(&public).unwrap();
        let public = OaepPublicEncryptingKey::new(public).unwrap();
        let value = blocks::value("mac-cmac-aes");
        let mut wrapped = vec![0; public.ciphertext_size()];
        public
            .encrypt(&OAEP_SHA256_MGF1SHA256, &value, &mut wrapped, None)
            .unwrap();
        let check_value = check_value::compute(BlockAlgorithm::Aes, &value).unwrap();
        let request = |name: &str, wrapped: &[u8], check_value: &[u8]| ImportKeyRequest {
            request_id: format!("import-{name}"),
            spec: Some(mac_key(name)),
            source: Some(Source::RsaOaep(WrappedUnderRsaOaep {
                transport_key: "adm-transport".to_owned(),
                wrapped: wrapped.to_vec(),
            })),
            check_value: check_value.to_vec(),
        };
        let good = request("adm-by-oaep", &wrapped, check_value.as_bytes());
        let key = client.import_key(good).await.unwrap().key.unwrap();
        assert_eq!(
            (key.origin.as_str(), key.check_value.as_slice()),
            ("rsa_oaep", check_value.as_bytes())
        );
        let mut answers = Vec::new();
        let mut flipped = wrapped.clone();
        flipped[9] ^= 1;
        for (name, wrapped, said) in [
            ("adm-oaep-1", &flipped[..], check_value.as_bytes()),
            ("adm-oaep-2", &wrapped[1..], check_value.as_bytes()),
            ("adm-oaep-3", &wrapped[..], &[1, 2, 3][..]),
        ] {
            answers.push(refused(
                client.import_key(request(name, wrapped, said)).await,
            ));
        }
        for answer in &answers {
            assert_eq!(answer, &answers[0]);
            assert_eq!(answer.reason, "KEY_BLOCK_REJECTED");
        }
    });
}

fn under(parent: &str, value: &[u8]) -> Vec<u8> {
    let PinCipher::Tdes(tdes) = blocks::cipher(parent) else {
        panic!("{parent} is TDES")
    };
    let mut cryptogram = value.to_vec();
    let Ok(()) = tdes.encrypt_blocks(cryptogram.as_chunks_mut().0);
    cryptogram
}

fn cryptogram(id: &str, parent: &str, usage: &str, value: &[u8]) -> ImportCryptogramRequest {
    let check_value = check_value::compute_by(Method::TdesZero, value, 4).unwrap();
    let policy = match usage {
        "P0" => KeyPolicy {
            pin_inputs: vec!["ISO_0".to_owned()],
            ..KeyPolicy::default()
        },
        _ => KeyPolicy::default(),
    };
    ImportCryptogramRequest {
        request_id: id.to_owned(),
        parent_key: parent.to_owned(),
        cryptogram: under(parent, value),
        check_value: check_value.as_bytes().to_vec(),
        spec: Some(KeySpec {
            usage: usage.to_owned(),
            mode: "D".to_owned(),
            algorithm: "TDES-2".to_owned(),
            policy: Some(policy),
            ..KeySpec::default()
        }),
        protection_key: "kbpk-aes".to_owned(),
    }
}

#[test]
fn import_cryptogram_accepts_a_pin_key_which_its_block_then_is_on_every_call() {
    use pintle::domain::pin_block::Format;
    use pintle::service::pb::v1::{PinBlockFormat, TranslatePinRequest};
    const PAN: &str = "4111111111111111";
    world().run(async |world| {
        let client = world.admin_client().await;
        let value = blocks::value("tpk-tdes");
        let taken = client
            .import_cryptogram(cryptogram("pik-1", "kbpk-zmk", "P0", &value))
            .await;
        let block = taken.unwrap().key_block;
        let translate = |source: Option<KeyRef>| TranslatePinRequest {
            source_key: source,
            destination_key: key("zpk-out-tdes-0"),
            source_format: PinBlockFormat::Iso0.into(),
            pan: PAN.to_owned(),
            pin_block: blocks::encipher("tpk-tdes", Format::Iso0, "1234", PAN),
        };
        let data = world.client().await;
        let named = data
            .translate_pin(translate(key("tpk-tdes")))
            .await
            .unwrap();
        let brought = KeyRef {
            name: "kbpk-aes".to_owned(),
            key_block: block.clone(),
            ..KeyRef::default()
        };
        let by_block = data.translate_pin(translate(Some(brought))).await.unwrap();
        assert_eq!(by_block.pin_block, named.pin_block);
        // The same again, under another id, is the same usage and fine.
        let again = client
            .import_cryptogram(cryptogram("pik-2", "kbpk-zmk", "P0", &value))
            .await;
        assert!(again.is_ok());
        let repeated = client.import_cryptogram(cryptogram("pik-1", "kbpk-zmk", "P0", &value));
        assert_eq!(repeated.await.unwrap().key_block, block);
    });
}

#[test]
fn import_cryptogram_refuses_a_pin_key_presented_as_a_data_key() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let value = blocks::value("zpk-out-tdes-0");
        let pin = cryptogram("clulow-1", "kbpk-zmk", "P0", &value);
        client.import_cryptogram(pin).await.unwrap();
        let data = cryptogram("clulow-2", "kbpk-zmk", "D0", &value);
        let answer = client.import_cryptogram(data).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "CRYPTOGRAM_REUSED",
            "cryptogram",
        );
        // The control: without that memory (another cryptogram) it would have come in, and the
        // data key decrypts the PIN block that the PIN key encrypted.
        let other = blocks::value("mac-alg3");
        let weak = cryptogram("clulow-3", "kbpk-zmk", "D0", &other);
        assert!(client.import_cryptogram(weak).await.is_ok());
        assert_eq!(
            blocks::open_8(
                "zpk-out-tdes-0",
                &blocks::close_8("zpk-out-tdes-0", *b"\x04\x12\x34\xff\xff\xff\xff\xff")
            )[..3],
            [4, 0x12, 0x34]
        );
    });
}

#[test]
fn import_cryptogram_refuses_other_usages_wrong_check_values_and_names() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let value = blocks::value("mac-generate-only");
        let data = cryptogram("tmk-1", "kbpk-tmk", "D0", &value);
        let answer = client.import_cryptogram(data).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_ATTRIBUTE_REFUSED",
            "usage",
        );
        let mut answers = Vec::new();
        for (id, check_value) in [
            ("tmk-2", vec![0; 4]),
            ("tmk-3", vec![]),
            ("tmk-4", vec![0; 2]),
        ] {
            let mut wrong = cryptogram(id, "kbpk-tmk", "P0", &value);
            wrong.check_value = check_value;
            answers.push(refused(client.import_cryptogram(wrong).await));
        }
        let mut short = cryptogram("tmk-5", "kbpk-tmk", "P0", &value);
        short.cryptogram.pop();
        answers.push(refused(client.import_cryptogram(short).await));
        for answer in &answers {
            assert_eq!(answer.reason, "KEY_BLOCK_REJECTED");
            assert_eq!(answer, &answers[0]);
        }
        let mut named = cryptogram("tmk-6", "kbpk-tmk", "P0", &value);
        named.spec.as_mut().unwrap().name = "adm-named".to_owned();
        let answer = client.import_cryptogram(named).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "FIELD_SUPERFLUOUS",
            "spec.name",
        );
        let mut zone = cryptogram("tmk-7", "kbpk-tmk", "P0", &value);
        zone.spec.as_mut().unwrap().side = "zone".to_owned();
        let answer = client.import_cryptogram(zone).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_ATTRIBUTE_REFUSED",
            "side",
        );
    });
}

#[test]
fn get_key_accepts_a_name_and_list_keys_accepts_filters_and_pages() {
    world().run(async |world| {
        let client = world.admin_client().await;
        for number in 0..5 {
            made(&client, mac_key(&format!("adm-list-{number}"))).await;
        }
        let got = client
            .get_key(GetKeyRequest {
                name: "adm-list-3".to_owned(),
            })
            .await
            .unwrap();
        assert_eq!(got.versions.len(), 1);
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
fn rotate_key_accepts_and_set_key_state_accepts_the_way_there_and_back() {
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
fn destroy_key_accepts_a_disabled_key_and_restore_key_accepts_within_the_waiting_period() {
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

fn translate(id: &str, block: &str, exportability: &str) -> TranslateKeyBlockRequest {
    TranslateKeyBlockRequest {
        request_id: id.to_owned(),
        source_protection_key: "kbpk-aes".to_owned(),
        destination_protection_key: "kbpk-out".to_owned(),
        key_block: block.to_owned(),
        exportability: exportability.to_owned(),
    }
}

#[test]
fn translate_key_block_accepts_a_block_and_stores_nothing() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let original = made(&client, mac_key("adm-travels")).await;
        let block = client
            .export_key(export("adm-travels", "kbpk-aes", true))
            .await
            .unwrap();
        let there = client
            .translate_key_block(translate("t-1", &block.key_block, "N"))
            .await;
        let there = there.unwrap();
        assert_eq!(there.check_value, original.check_value);
        assert_ne!(there.key_block, block.key_block);
        assert_eq!(&there.key_block[11..12], "N");
    });
}

#[test]
fn translate_key_block_refuses_what_may_not_leave_again_and_what_does_not_open() {
    world().run(async |world| {
        let client = world.admin_client().await;
        made(&client, mac_key("adm-ends")).await;
        let ending = ExportKeyRequest {
            exportability: "N".to_owned(),
            request_id: "export-adm-ends".to_owned(),
            ..export("adm-ends", "kbpk-aes", false)
        };
        let block = client.export_key(ending).await.unwrap().key_block;
        let answer = client
            .translate_key_block(translate("t-2", &block, ""))
            .await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KEY_NOT_EXPORTABLE",
            "source_protection_key",
        );
        let answer = client
            .translate_key_block(translate("t-3", "D0112", ""))
            .await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_BLOCK_REJECTED",
            "source_protection_key",
        );
    });
}
