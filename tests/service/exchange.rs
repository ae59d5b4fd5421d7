//! KeyService over the control plane's listener: keys that come in, go out and pass through.

use std::time::{Duration, Instant};

use pintle::domain::check_value::{self, Method};
use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::keys::grant::{DecryptData, Grant};
use pintle::keys::key_ref::{BlockRef, NamedKey};
use pintle::keys::policy::{self, CallerScope};
use pintle::service::pb::admin::v1::import_key_request::Source;
use pintle::service::pb::admin::v1::{
    ExportKeyRequest, ImportCryptogramRequest, ImportKeyRequest, KeyPolicy, KeySpec,
    TranslateKeyBlockRequest, WrappedInKeyBlock, WrappedUnderRsaOaep,
};
use pintle::service::pb::v1::{KeyRef, Residence};
use tonic::Code;

use crate::blocks;
use crate::keys::{create, mac, mac_key, made};
use crate::refusal::{assert_refused, refused};
use crate::world::{World, key, world};

pub fn export(name: &str, protection: &str, with_profile: bool) -> ExportKeyRequest {
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

/// A PIN block under the PIN key of this name, decrypted by the data key in `block`.
async fn decrypted(world: &World, block: &str, name: &str) -> [u8; 8] {
    let scope = CallerScope::new("default", ["kbpk-*"]).unwrap();
    let brought = BlockRef {
        protection_key: NamedKey::parse("kbpk-aes", 0).unwrap(),
        block: block.to_owned(),
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    let catalogue = &world.context.catalogue;
    let key = catalogue
        .resolve_block(&scope, &brought, deadline)
        .await
        .unwrap();
    let grant: Grant<DecryptData> = policy::grant(&scope, key).unwrap();
    let PinCipher::Tdes(tdes) = grant.cipher() else {
        panic!("a TDES key")
    };
    // Format 0 with a PAN of zeros, so that the PIN stands there as it is.
    let clear = *b"\x04\x12\x34\xFF\xFF\xFF\xFF\xFF";
    let mut block = blocks::close_8(name, clear).try_into().unwrap();
    let Ok(()) = tdes.decrypt_block(&mut block);
    block
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
        // The control: without that memory, which another key's cryptogram has none of, it comes in,
        // and the data key takes the PIN out of a block that the PIN key encrypted.
        let weak = cryptogram(
            "clulow-3",
            "kbpk-zmk",
            "D0",
            &blocks::value("tpk-tdes-control"),
        );
        let block = client.import_cryptogram(weak).await.unwrap().key_block;
        let clear = decrypted(world, &block, "tpk-tdes-control").await;
        assert_eq!(clear[..3], [0x04, 0x12, 0x34]);
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
