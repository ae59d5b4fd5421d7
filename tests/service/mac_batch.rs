//! MacService's batches: every item has its own key and its own outcome.

use std::collections::HashSet;

use pintle::limits::{AUDIT_KEYS_MAX, BATCH_ITEMS_MAX, BATCH_MESSAGE_BYTES_MAX};
use pintle::service::pb::v1::mac_service_client::MacServiceClient;
use pintle::service::pb::v1::{
    GenerateMacRequest, GenerateMacsItem, GenerateMacsRequest, KeyRef, VerifyMacRequest,
    VerifyMacsItem, VerifyMacsRequest, generate_macs_outcome, verify_macs_outcome,
};
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::key_block::block_of;
use crate::refusal::{assert_refused, assert_refused_alike};
use crate::world::{key, world};

fn to_make(key: Option<KeyRef>, message: &[u8]) -> GenerateMacsItem {
    GenerateMacsItem {
        key,
        message: message.to_vec(),
    }
}

fn to_check(key: Option<KeyRef>, message: &[u8], mac: &[u8]) -> VerifyMacsItem {
    VerifyMacsItem {
        key,
        message: message.to_vec(),
        mac: mac.to_vec(),
    }
}

/// Reference, message: every kind of item, good ones among bad ones.
fn mixed() -> Vec<GenerateMacsItem> {
    vec![
        to_make(key("mac-alg3"), b"first"),
        to_make(None, b"no key"),
        to_make(key("mac-nobody-made"), b"unknown"),
        to_make(key("NO NAME"), b"malformed"),
        to_make(key("mac-cmac-aes"), b"second"),
        to_make(key("tpk-tdes"), b"another usage"),
        to_make(key("mac-disabled"), b"another state"),
        to_make(key("mac-padding-1"), b""),
        to_make(key("mac-hmac"), &[7; 65_537]),
        to_make(key("mac-nobody-made"), b"unknown again"),
        to_make(key("mac-alg3"), b"third"),
    ]
}

#[test]
fn generate_macs_accepts_items_among_refused_ones_and_answers_each_as_a_call_of_its_own() {
    world().run(async |world| {
        let client = world.client().await;
        let asked = GenerateMacsRequest { items: mixed() };
        let outcomes = client.generate_macs(asked).await.unwrap().outcomes;
        assert_eq!(outcomes.len(), mixed().len());
        let mut made = 0;
        for (item, outcome) in mixed().into_iter().zip(outcomes) {
            let GenerateMacsItem { key, message } = item;
            let alone = client
                .generate_mac(GenerateMacRequest { key, message })
                .await;
            match outcome.outcome.unwrap() {
                generate_macs_outcome::Outcome::Made(answer) => {
                    made += 1;
                    assert!(answer == alone.unwrap());
                }
                generate_macs_outcome::Outcome::Refused(refusal) => {
                    assert_refused_alike(&refusal, alone);
                }
            }
        }
        assert_eq!(made, 3);
    });
}

#[test]
fn verify_macs_accepts_items_among_refused_ones_and_answers_each_as_a_call_of_its_own() {
    world().run(async |world| {
        let client = world.client().await;
        let asked = GenerateMacRequest {
            key: key("mac-alg3"),
            message: b"message".to_vec(),
        };
        let good = client.generate_mac(asked).await.unwrap().mac;
        let bad: Vec<u8> = good.iter().map(|byte| !byte).collect();
        let items = vec![
            to_check(key("mac-alg3"), b"message", &good),
            to_check(key("mac-alg3"), b"massage", &good),
            to_check(key("mac-alg3"), b"message", &bad),
            to_check(key("mac-alg3"), b"message", &good[..4]),
            to_check(key("mac-alg3"), b"message", &[]),
            to_check(key("mac-generate-only"), b"message", &good),
            to_check(key("mac-nobody-made"), b"message", &good),
            to_check(key("mac-alg3"), b"message", &good),
        ];
        let asked = VerifyMacsRequest {
            items: items.clone(),
        };
        let outcomes = client.verify_macs(asked).await.unwrap().outcomes;
        assert_eq!(outcomes.len(), items.len());
        let mut valid = Vec::new();
        for (item, outcome) in items.into_iter().zip(outcomes) {
            let VerifyMacsItem { key, message, mac } = item;
            let asked = VerifyMacRequest { key, message, mac };
            let alone = client.verify_mac(asked).await;
            match outcome.outcome.unwrap() {
                verify_macs_outcome::Outcome::Checked(answer) => {
                    valid.push(answer.valid);
                    assert!(answer == alone.unwrap());
                }
                verify_macs_outcome::Outcome::Refused(refusal) => {
                    assert_refused_alike(&refusal, alone);
                }
            }
        }
        assert_eq!(valid, [true, false, false, true]);
    });
}

#[test]
fn generate_macs_refuses_no_items_and_too_many_and_takes_the_most() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |count: usize| {
            let items = vec![to_make(key("mac-alg3"), b"message"); count];
            client.generate_macs(GenerateMacsRequest { items }).await
        };
        let answer = ask(0).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "items");
        let answer = ask(BATCH_ITEMS_MAX + 1).await;
        assert_refused(answer, Code::InvalidArgument, "ITEMS_TOO_MANY", "items");
        let answer = ask(BATCH_ITEMS_MAX).await.unwrap();
        let distinct: HashSet<_> = answer.outcomes.iter().map(mac_of).collect();
        assert_eq!((answer.outcomes.len(), distinct.len()), (1024, 1));
        let items = vec![to_make(key("mac-alg3"), &[0; 60_000]); BATCH_MESSAGE_BYTES_MAX / 60_000];
        let largest = GenerateMacsRequest {
            items: items.clone(),
        };
        client.generate_macs(largest).await.unwrap();
        let items = [items, vec![to_make(key("mac-alg3"), &[0; 60_000])]].concat();
        let answer = client.generate_macs(GenerateMacsRequest { items }).await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_TOO_LARGE", None);
    });
}

#[test]
fn verify_macs_refuses_no_items_and_too_many() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |count: usize| {
            let items = vec![to_check(key("mac-alg3"), b"message", &[0; 8]); count];
            client.verify_macs(VerifyMacsRequest { items }).await
        };
        let answer = ask(0).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "items");
        let answer = ask(BATCH_ITEMS_MAX + 1).await;
        assert_refused(answer, Code::InvalidArgument, "ITEMS_TOO_MANY", "items");
    });
}

#[test]
fn the_records_of_a_batch_name_each_key_once_however_many_there_are() {
    world().run(async |world| {
        let terminal = |number: u8| {
            let value = &Sha256::digest([number])[..16];
            let reference = KeyRef {
                key_block: block_of("kbpk-aes", b"M3TCN", value),
                ..key("kbpk-aes").unwrap()
            };
            to_make(Some(reference), b"message")
        };
        let mut items: Vec<_> = (0..40).map(terminal).collect();
        items.extend(items.clone());
        items.push(to_make(key("mac-alg3"), b"message"));
        let mut client = MacServiceClient::new(world.channel().await);
        let answer = client
            .generate_macs(GenerateMacsRequest { items })
            .await
            .unwrap();
        let id = answer.metadata().get("x-request-id").unwrap().clone();
        let outcomes = answer.into_inner().outcomes;
        let distinct: HashSet<_> = outcomes.iter().map(mac_of).collect();
        assert_eq!((outcomes.len(), distinct.len()), (81, 41));
        let journal = std::fs::read_to_string(&world.journal).unwrap();
        let lines = journal
            .lines()
            .filter(|line| line.contains(id.to_str().unwrap()));
        let records: Vec<serde_json::Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), 41_usize.div_ceil(AUDIT_KEYS_MAX));
        let named: Vec<String> = records
            .iter()
            .flat_map(|record| record["keys"].as_array().unwrap())
            .map(ToString::to_string)
            .collect();
        let distinct: HashSet<_> = named.iter().collect();
        assert_eq!((named.len(), distinct.len()), (41, 41));
    });
}

fn mac_of(outcome: &pintle::service::pb::v1::GenerateMacsOutcome) -> Vec<u8> {
    match outcome.outcome.as_ref().unwrap() {
        generate_macs_outcome::Outcome::Made(answer) => answer.mac.clone(),
        generate_macs_outcome::Outcome::Refused(refusal) => panic!("{}", refusal.reason),
    }
}
