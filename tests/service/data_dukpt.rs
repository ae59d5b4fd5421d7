//! DataService under keys that a base derivation key derives for one transaction of a device.

use pintle::service::pb::v1::{
    DecryptDataRequest, EncryptDataRequest, EncryptDataResponse, KeyRef, TranslateDataRequest,
};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

/// The base key whose devices use one data key both ways.
const BASE: &str = "data-bdk";

/// A KSN of X9.24-3: the base key's id, the device's, a counter.
fn transaction(counter: u8) -> Option<KeyRef> {
    let mut ksn = vec![0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0];
    ksn.push(counter);
    Some(KeyRef {
        name: BASE.to_owned(),
        ksn,
        ..KeyRef::default()
    })
}

fn encrypt(key: Option<KeyRef>) -> EncryptDataRequest {
    EncryptDataRequest {
        key,
        data: b"0210 answer".to_vec(),
        ..EncryptDataRequest::default()
    }
}

fn decrypt(key: Option<KeyRef>, made: &EncryptDataResponse) -> DecryptDataRequest {
    DecryptDataRequest {
        key,
        data: made.data.clone(),
        iv: made.iv.clone(),
        tag: made.tag.clone(),
        ..DecryptDataRequest::default()
    }
}

#[test]
fn data_of_one_transaction_opens_under_its_own_ksn_and_no_other() {
    world().run(async |world| {
        let client = world.client().await;
        let made = client.encrypt_data(encrypt(transaction(1))).await.unwrap();
        let opened = client.decrypt_data(decrypt(transaction(1), &made)).await;
        assert_eq!(opened.unwrap().data, b"0210 answer");
        for other in [2, 3, 255] {
            let answer = client
                .decrypt_data(decrypt(transaction(other), &made))
                .await;
            assert_refused(answer, Code::InvalidArgument, "DATA_REJECTED", "data");
        }
    });
}

#[test]
fn data_of_a_transaction_is_translated_to_a_zone_key() {
    world().run(async |world| {
        let client = world.client().await;
        let made = client.encrypt_data(encrypt(transaction(5))).await.unwrap();
        let asked = TranslateDataRequest {
            source_key: transaction(5),
            destination_key: key("data-gcm-sm4"),
            data: made.data,
            iv: made.iv,
            tag: made.tag,
            ..TranslateDataRequest::default()
        };
        let translated = client.translate_data(asked).await.unwrap();
        let asked = DecryptDataRequest {
            key: key("data-gcm-sm4"),
            data: translated.data,
            iv: translated.iv,
            tag: translated.tag,
            ..DecryptDataRequest::default()
        };
        assert_eq!(
            client.decrypt_data(asked).await.unwrap().data,
            b"0210 answer"
        );
    });
}

#[test]
fn the_base_key_itself_encrypts_nothing() {
    world().run(async |world| {
        let answer = world.client().await.encrypt_data(encrypt(key(BASE))).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key.ksn");
    });
}
