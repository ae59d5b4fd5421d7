//! Which key of a transaction an operation gets, as grants give them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle::domain::check_value;
use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::domain::dukpt::{KeyType, Purpose};
use pintle::keys::dukpt::KsnFault;
use pintle::keys::error::Error as KeyError;
use pintle::keys::grant::{DecryptData, DecryptPin, EncryptData, EncryptPin, Grant, Operation};
use pintle::keys::key_ref::{BaseRef, DukptRef, NamedKey};
use pintle::keys::open_key::OpenKey;
use pintle::keys::policy::{self, CallerScope};
use pintle::service::pb::admin::v1::{DukptPolicy, GetKeyRequest, KeyPolicy, KeySpec};
use pintle::service::pb::v1::Residence;
use tonic::Code;

use crate::blocks;
use crate::dukpt::{derived, device_key, ksn};
use crate::keys::{create, mac, made};
use crate::refusal::assert_refused;
use crate::world::{World, world};

fn scope() -> CallerScope {
    CallerScope::new("default", ["bdk-*"]).unwrap()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn open(world: &World, base: &str, ksn: Vec<u8>) -> Arc<OpenKey> {
    let key = DukptRef {
        base: BaseRef::Named(NamedKey::parse(base, 0).unwrap()),
        ksn,
    };
    let catalogue = &world.context.catalogue;
    catalogue
        .resolve_transaction(&scope(), &key, deadline())
        .await
        .unwrap()
}

/// What a cipher makes of zeros: enough to tell two keys apart.
fn trace(cipher: &PinCipher) -> Vec<u8> {
    let mut block = [0; 16];
    let Ok(()) = match cipher {
        PinCipher::Tdes(tdes) => tdes.encrypt_blocks(block.as_chunks_mut().0),
        PinCipher::Aes(aes) => aes.encrypt_blocks(block.as_chunks_mut().0),
        PinCipher::Sm4(sm4) => sm4.encrypt_blocks(block.as_chunks_mut().0),
    };
    block.to_vec()
}

/// The matrix of a transaction's keys: PINs and data, in and out, as grants give them.
async fn ciphers(world: &World, base: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let open = open(world, base, ksn(base, 1, 1)).await;
    let mut traces = BTreeMap::new();
    let scope = scope();
    if let Ok(grant) = policy::grant::<DecryptPin>(&scope, Arc::clone(&open)) {
        traces.insert("decrypt PIN", trace(grant.cipher()));
    }
    if let Ok(grant) = policy::grant::<EncryptPin>(&scope, Arc::clone(&open)) {
        traces.insert("encrypt PIN", trace(grant.cipher()));
    }
    let grant: Grant<DecryptData> = policy::grant(&scope, Arc::clone(&open)).unwrap();
    traces.insert("decrypt data", trace(grant.cipher()));
    let grant: Grant<EncryptData> = policy::grant(&scope, open).unwrap();
    traces.insert("encrypt data", trace(grant.cipher()));
    traces
}

#[test]
fn the_operation_alone_says_which_key_of_a_transaction_is_used_and_no_two_ways_share_one() {
    world().run(async |world| {
        let ksn = ksn("bdk-tdes", 1, 1);
        let of = |purpose| {
            let value = device_key("bdk-tdes", &ksn, purpose, KeyType::Tdes2);
            let algorithm = KeyType::Tdes2.block_algorithm().unwrap();
            trace(&PinCipher::new(algorithm, &value).unwrap())
        };
        let expected = BTreeMap::from([
            ("decrypt PIN", of(Purpose::Pin)),
            ("encrypt PIN", of(Purpose::Pin)),
            ("decrypt data", of(Purpose::DataRequest)),
            ("encrypt data", of(Purpose::DataResponse)),
        ]);
        assert_eq!(ciphers(world, "bdk-tdes").await, expected);
        let aes = ciphers(world, "bdk-aes").await;
        assert_ne!(aes["decrypt data"], aes["encrypt data"]);
        assert_ne!(aes["decrypt PIN"], aes["decrypt data"]);
        // The control: a policy of both ways has one data key.
        let shared = ciphers(world, "bdk-both-ways").await;
        assert_eq!(shared["decrypt data"], shared["encrypt data"]);
        assert!(!shared.contains_key("decrypt PIN"));
    });
}

#[test]
fn no_grant_is_given_on_a_transaction_that_was_not_noted_for_this_very_operation() {
    world().run(async |world| {
        let open = open(world, "bdk-once", ksn("bdk-once", 50, 1)).await;
        let refused = |open: &Arc<OpenKey>| {
            let grant = policy::grant::<DecryptData>(&scope(), Arc::clone(open));
            matches!(grant.err(), Some(KeyError::Ksn(KsnFault::NotNoted)))
        };
        assert!(refused(&open));
        note::<EncryptData>(world, &open).await;
        assert!(refused(&open), "noted for something else");
        note::<DecryptData>(world, &open).await;
        assert!(policy::grant::<DecryptData>(&scope(), open).is_ok());
    });
}

#[test]
fn a_base_key_in_the_token_shows_the_check_value_that_its_value_has() {
    world().run(async |world| {
        let client = world.admin_client().await;
        for (base, residence, algorithm) in [
            ("bdk-aes", Residence::Token, BlockAlgorithm::Aes),
            ("bdk-aes-mixed", Residence::Process, BlockAlgorithm::Aes),
            ("bdk-tdes", Residence::Process, BlockAlgorithm::Tdes),
        ] {
            let asked = GetKeyRequest {
                name: base.to_owned(),
            };
            let found = client.get_key(asked).await.unwrap().versions.remove(0);
            let computed = check_value::compute(algorithm, &blocks::value(base)).unwrap();
            assert_eq!(found.check_value, computed.as_bytes(), "{base}");
            assert!(found.residence() == residence, "{base}");
        }
    });
}

#[test]
fn create_key_accepts_base_keys_which_then_serve_each_device_with_keys_of_its_own() {
    world().run(async |world| {
        let client = world.admin_client().await;
        for (name, algorithm, residence) in [
            ("adm-bdk-aes", "AES-128", Residence::Token),
            ("adm-bdk-tdes", "TDES-2", Residence::Process),
        ] {
            let spec = KeySpec {
                name: name.to_owned(),
                usage: "B0".to_owned(),
                mode: "X".to_owned(),
                algorithm: algorithm.to_owned(),
                policy: Some(KeyPolicy {
                    mac_scheme: "CMAC_TDES".to_owned(),
                    mac_length: 8,
                    dukpt: Some(DukptPolicy {
                        mac_key: "TDES-2".to_owned(),
                        replay_window: Some(64),
                        ..DukptPolicy::default()
                    }),
                    ..KeyPolicy::default()
                }),
                ..KeySpec::default()
            };
            let made = made(&client, spec.clone()).await;
            assert!(made.residence() == residence, "{name}");
            assert!(made.spec.unwrap().policy == spec.policy, "{name}");
            let like = if algorithm == "AES-128" {
                "bdk-aes"
            } else {
                "bdk-tdes"
            };
            let mut macs = BTreeSet::new();
            for (device, counter) in [(1, 1), (1, 2), (2, 1)] {
                let key = derived(name, &ksn(like, device, counter));
                macs.insert(mac(world, key).await.unwrap());
            }
            assert_eq!(macs.len(), 3, "{name}");
        }
    });
}

#[test]
fn create_key_refuses_a_base_key_whose_policy_does_not_go_together() {
    world().run(async |world| {
        let client = world.admin_client().await;
        for (dukpt, field) in [
            (None, "dukpt"),
            (Some(("AES-256", None)), "dukpt.data"),
            (Some(("HMAC-128", None)), "dukpt.data"),
            (Some(("AES-512", None)), "dukpt.data"),
            (Some(("AES-128", Some(65))), "dukpt.replay_window"),
        ] {
            let dukpt = dukpt.map(|(key, replay_window): (&str, _)| DukptPolicy {
                data_key: key.to_owned(),
                replay_window,
                ..DukptPolicy::default()
            });
            let answer = client
                .create_key(create(KeySpec {
                    name: format!("adm-bdk-refused-{field}"),
                    usage: "B0".to_owned(),
                    mode: "X".to_owned(),
                    algorithm: "AES-128".to_owned(),
                    policy: Some(KeyPolicy {
                        dukpt,
                        ..KeyPolicy::default()
                    }),
                    ..KeySpec::default()
                }))
                .await;
            assert_refused(answer, Code::InvalidArgument, "KEY_SPEC_REFUSED", field);
        }
    });
}

async fn note<Op: Operation>(world: &World, open: &OpenKey) {
    let catalogue = &world.context.catalogue;
    catalogue.note_ksn::<Op>(open, deadline()).await.unwrap();
}
