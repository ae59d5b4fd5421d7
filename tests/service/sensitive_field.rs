//! Sensitive fields: to WeChat Pay and to UnionPay, whose sides are played by openssl and by keys of the
//! world, and from WeChat Pay, which encrypts to the merchant's signing key.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::service::pb::admin::v1::import_key_request::Source;
use pintle::service::pb::admin::v1::{
    ImportKeyRequest, KeyPolicy, KeySpec, KeyState, Label, RotateKeyRequest, SetKeyStateRequest,
};
use pintle::service::pb::v1::{
    DecryptWechatFieldsRequest, DecryptWechatFieldsResponse, EncryptGatewayFieldsRequest,
    EncryptWechatFieldsRequest, EncryptionScheme, GetPublicKeyRequest, KeyRef, Residence,
    SignRequest, VerifyRequest,
};
use tonic::Code;

use crate::keys::made;
use crate::refusal::assert_refused;
use crate::world::{World, key, world};

const OWN: [(&str, EncryptionScheme, Residence); 2] = [
    (
        "sign-fields-rsa",
        EncryptionScheme::RsaOaepSha1,
        Residence::Token,
    ),
    ("sign-fields-sm2", EncryptionScheme::Sm2, Residence::Process),
];

fn partner(name: &str, algorithm: &str, scheme: &str) -> KeySpec {
    KeySpec {
        name: name.to_owned(),
        usage: "D1".to_owned(),
        mode: "E".to_owned(),
        algorithm: algorithm.to_owned(),
        policy: Some(KeyPolicy {
            encryption_scheme: scheme.to_owned(),
            weak: scheme == "RSA_PKCS1",
            ..KeyPolicy::default()
        }),
        labels: vec![Label {
            name: "serial".to_owned(),
            text: format!("SERIAL-OF-{name}"),
        }],
        ..KeySpec::default()
    }
}

/// A merchant's own key, which signs and decrypts.
fn own(name: &str, algorithm: &str, scheme: &str, signature: &str) -> KeySpec {
    KeySpec {
        name: name.to_owned(),
        usage: "S0".to_owned(),
        mode: "T".to_owned(),
        algorithm: algorithm.to_owned(),
        policy: Some(KeyPolicy {
            signature_scheme: signature.to_owned(),
            encryption_scheme: scheme.to_owned(),
            ..KeyPolicy::default()
        }),
        ..KeySpec::default()
    }
}

/// Imports a partner's public key.
async fn import(world: &World, spec: KeySpec, public_key: Vec<u8>) {
    let request = ImportKeyRequest {
        request_id: format!("fields-{}", spec.name),
        spec: Some(spec),
        source: Some(Source::PublicKey(public_key)),
        ..ImportKeyRequest::default()
    };
    world
        .admin_client()
        .await
        .import_key(request)
        .await
        .unwrap();
}

async fn public_key(client: &Client, name: &str) -> Vec<u8> {
    let asked = GetPublicKeyRequest { key: key(name) };
    client
        .get_public_key(asked)
        .await
        .unwrap()
        .subject_public_key_info
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// A private key of a partner's in a file, and its public half, DER.
fn openssl_pair(file: &Path, algorithm: &[&str]) -> Vec<u8> {
    let file = file.to_str().unwrap();
    openssl(&[&["genpkey", "-out", file], algorithm].concat(), b"");
    openssl(&["pkey", "-in", file, "-pubout", "-outform", "DER"], b"")
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const SM2: &[&str] = &["-algorithm", "SM2"];
const OAEP: &[&str] = &["-pkeyopt", "rsa_padding_mode:oaep"];
const PKCS1: &[&str] = &["-pkeyopt", "rsa_padding_mode:pkcs1"];

fn openssl_decrypts(file: &Path, options: &[&str], field: &str) -> Vec<u8> {
    let file = file.to_str().unwrap();
    let sealed = STANDARD.decode(field).unwrap();
    openssl(
        &[&["pkeyutl", "-decrypt", "-inkey", file], options].concat(),
        &sealed,
    )
}

fn openssl_encrypts(folder: &Path, public_key: &[u8], options: &[&str], field: &[u8]) -> String {
    let file = folder.join("public.der");
    std::fs::write(&file, public_key).unwrap();
    let inkey = [
        "-pubin",
        "-keyform",
        "DER",
        "-inkey",
        file.to_str().unwrap(),
    ];
    let sealed = openssl(
        &[&["pkeyutl", "-encrypt"], &inkey[..], options].concat(),
        field,
    );
    STANDARD.encode(sealed)
}

fn fields(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn to_wechat(name: &str, fields: Vec<Vec<u8>>) -> EncryptWechatFieldsRequest {
    EncryptWechatFieldsRequest {
        key: key(name),
        fields,
    }
}

fn from_wechat(name: &str, fields: Vec<String>) -> DecryptWechatFieldsRequest {
    DecryptWechatFieldsRequest {
        key: key(name),
        fields,
    }
}

async fn opened(client: &Client, name: &str, fields: Vec<String>) -> DecryptWechatFieldsResponse {
    let request = from_wechat(name, fields);
    client.decrypt_wechat_fields(request).await.unwrap()
}

#[test]
fn encrypt_wechat_fields_accepts_rsa_and_sm2_and_openssl_decrypts_them() {
    world().run(async |world| {
        let client = world.client().await;
        let folder = tempfile::tempdir().unwrap();
        for (algorithm, scheme, made, options, longest) in [
            ("RSA-2048", "RSA_OAEP_SHA1", RSA, OAEP, 214),
            ("SM2", "SM2", SM2, &[][..], 1024),
        ] {
            let name = format!("sign-theirs-{}", algorithm.to_lowercase());
            let file = folder.path().join(&name);
            let info = openssl_pair(&file, made);
            import(world, partner(&name, algorithm, scheme), info).await;
            let mut clear = fields(&["张三", "6222021234567890123", "x"]);
            clear.push(vec![b'9'; longest]);
            // Of one byte SM2's key stream is void once in 256.
            let answer = client.encrypt_wechat_fields(to_wechat(&name, clear.clone()));
            let answer = answer.await.unwrap();
            assert_eq!(answer.serial, format!("SERIAL-OF-{name}"));
            assert_eq!(
                answer.scheme().as_str_name(),
                format!("ENCRYPTION_SCHEME_{scheme}")
            );
            assert!(answer.key.unwrap().residence() == Residence::Public);
            assert_eq!(answer.fields.len(), clear.len());
            for (field, clear) in answer.fields.iter().zip(&clear) {
                assert!(
                    openssl_decrypts(&file, options, field) == *clear,
                    "{algorithm}"
                );
            }
            // The same field is never the same twice.
            let again = client.encrypt_wechat_fields(to_wechat(&name, clear));
            assert!(again.await.unwrap().fields[1] != answer.fields[1]);
        }
    });
}

#[test]
fn encrypt_wechat_fields_refuses_other_keys_and_fields_that_do_not_fit() {
    world().run(async |world| {
        let client = world.client().await;
        let info = public_key(&client, "sign-fields-rsa").await;
        import(
            world,
            partner("sign-wide-oaep", "RSA-2048", "RSA_OAEP_SHA1"),
            info.clone(),
        )
        .await;
        import(
            world,
            partner("sign-wide-pkcs1", "RSA-2048", "RSA_PKCS1"),
            info,
        )
        .await;
        let refused = async |name, fields, code, reason, field| {
            let answer = client.encrypt_wechat_fields(to_wechat(name, fields)).await;
            assert_refused(answer, code, reason, field);
        };
        let one = || fields(&["1"]);
        let wrong = (Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        // The merchant's own key, keys that only sign, verify or encrypt data, UnionPay's scheme.
        for name in [
            "sign-fields-rsa",
            "sign-rsa2",
            "data-content-aes",
            "sign-wide-pkcs1",
        ] {
            refused(name, one(), wrong.0, wrong.1, wrong.2).await;
        }
        let invalid = Code::InvalidArgument;
        refused("sign-wide-oaep", vec![], invalid, "MISSING_FIELD", "fields").await;
        refused(
            "sign-wide-oaep",
            vec![vec![1]; 17],
            invalid,
            "FIELD_MALFORMED",
            "fields",
        )
        .await;
        for field in [vec![], vec![1; 215]] {
            let fields = vec![vec![1], field];
            refused("sign-wide-oaep", fields, invalid, "FIELD_LENGTH", "fields").await;
        }
        // And a partner's key that encrypts does nothing else.
        let request = VerifyRequest {
            key: key("sign-wide-oaep"),
            message: vec![1],
            signature: vec![1; 256],
            encoding: 0,
        };
        assert_refused(client.verify(request).await, wrong.0, wrong.1, wrong.2);
    });
}

#[test]
fn decrypt_wechat_fields_accepts_what_openssl_encrypted_to_the_signing_key() {
    world().run(async |world| {
        let client = world.client().await;
        let folder = tempfile::tempdir().unwrap();
        for (name, scheme, residence) in OWN {
            let info = public_key(&client, name).await;
            let options = if residence == Residence::Token {
                OAEP
            } else {
                &[]
            };
            let clear = fields(&["李四", "310101199003078888", "x"]);
            let sealed = clear.iter();
            let sealed: Vec<String> = sealed
                .map(|field| openssl_encrypts(folder.path(), &info, options, field))
                .collect();
            let answer = opened(&client, name, sealed).await;
            assert!(answer.fields == clear, "{name}");
            assert!(answer.scheme() == scheme, "{name}");
            assert!(answer.key.unwrap().residence() == residence, "{name}");
            // The same key signs.
            let request = SignRequest {
                key: key(name),
                message: b"message".to_vec(),
                encoding: 0,
            };
            let request = VerifyRequest {
                key: key(name),
                message: b"message".to_vec(),
                signature: client.sign(request).await.unwrap().signature,
                encoding: 0,
            };
            assert!(client.verify(request).await.unwrap().valid, "{name}");
        }
    });
}

/// WeChat Pay's library encrypts to a certificate; the key comes from where the merchant made it.
#[test]
fn decrypt_wechat_fields_accepts_an_imported_key_and_a_fresh_one() {
    world().run(async |world| {
        let client = world.client().await;
        let mut all = Vec::new();
        for (algorithm, scheme) in [("RSA-2048", "RSA_OAEP_SHA1"), ("SM2", "SM2")] {
            let name = format!("sign-made-{}", algorithm.to_lowercase());
            let signature = if algorithm == "SM2" { "SM2" } else { "RSA2" };
            let spec = own(&name, algorithm, scheme, signature);
            let version = made(&world.admin_client().await, spec).await;
            let policy = version.spec.unwrap().policy.unwrap();
            assert_eq!(policy.encryption_scheme, scheme);
            all.push((name, algorithm, scheme));
        }
        for (name, algorithm, scheme) in all {
            let theirs = format!("sign-as-{}", algorithm.to_lowercase());
            let info = public_key(&client, &name).await;
            import(world, partner(&theirs, algorithm, scheme), info).await;
            let clear = fields(&["a", "b"]);
            let sealed = client.encrypt_wechat_fields(to_wechat(&theirs, clear.clone()));
            let sealed = sealed.await.unwrap().fields;
            assert!(
                opened(&client, &name, sealed).await.fields == clear,
                "{name}"
            );
        }
    });
}

#[test]
fn decrypt_wechat_fields_refuses_everything_that_is_not_a_field_of_the_key_in_one_way() {
    world().run(async |world| {
        let client = world.client().await;
        let folder = tempfile::tempdir().unwrap();
        for (name, _, residence) in OWN {
            let info = public_key(&client, name).await;
            let options = if residence == Residence::Token {
                OAEP
            } else {
                &[]
            };
            let good = openssl_encrypts(folder.path(), &info, options, b"field");
            let mut spoiled = STANDARD.decode(&good).unwrap();
            let middle = spoiled.len() / 2;
            spoiled[middle] ^= 1;
            let mut bad = vec![
                "%%%".to_owned(),
                String::new(),
                good[..good.len() - 4].to_owned(),
                good.trim_end_matches('=').to_owned() + "\n",
                STANDARD.encode(&spoiled),
                STANDARD.encode([0; 256]),
                STANDARD.encode([0xFF; 256]),
                STANDARD.encode([1; 1400]),
                "A".repeat(4096),
            ];
            if residence == Residence::Token {
                bad.push(openssl_encrypts(folder.path(), &info, PKCS1, b"field"));
                let other = [
                    "-pkeyopt",
                    "rsa_padding_mode:oaep",
                    "-pkeyopt",
                    "rsa_oaep_md:sha256",
                ];
                bad.push(openssl_encrypts(folder.path(), &info, &other, b"field"));
            }
            for bad in bad {
                for fields in [vec![bad.clone()], vec![good.clone(), bad.clone()]] {
                    let answer = client
                        .decrypt_wechat_fields(from_wechat(name, fields))
                        .await;
                    assert_refused(answer, Code::InvalidArgument, "DATA_REJECTED", "fields");
                }
            }
            opened(&client, name, vec![good; 16]).await;
        }
    });
}

#[test]
fn decrypt_wechat_fields_refuses_keys_that_only_sign_and_too_many_fields() {
    world().run(async |world| {
        let client = world.client().await;
        let folder = tempfile::tempdir().unwrap();
        for name in ["sign-rsa2", "sign-sm2", "sign-both-rsa"] {
            let options = if name == "sign-sm2" { &[][..] } else { OAEP };
            let info = public_key(&client, name).await;
            let field = openssl_encrypts(folder.path(), &info, options, b"field");
            let answer = client
                .decrypt_wechat_fields(from_wechat(name, vec![field]))
                .await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        for (count, reason) in [(0, "MISSING_FIELD"), (17, "FIELD_MALFORMED")] {
            let fields = vec!["AAAA".to_owned(); count];
            let answer = client.decrypt_wechat_fields(from_wechat("sign-fields-rsa", fields));
            assert_refused(answer.await, Code::InvalidArgument, reason, "fields");
        }
    });
}

async fn set_state(admin: &Client, name: &str, version: u32, state: KeyState) {
    let request = SetKeyStateRequest {
        request_id: format!("fields-{name}-{version}-{}", state.as_str_name()),
        name: name.to_owned(),
        version,
        state: state.into(),
    };
    admin.set_key_state(request).await.unwrap();
}

fn of_version(name: &str, version: u32) -> Option<KeyRef> {
    Some(KeyRef {
        version,
        ..key(name).unwrap()
    })
}

/// Fields are encrypted to the certificate that signed the request, which may just have been replaced.
#[test]
fn decrypt_wechat_fields_accepts_a_retiring_version_by_its_number() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let folder = tempfile::tempdir().unwrap();
        for (algorithm, scheme, signature) in
            [("RSA-2048", "RSA_OAEP_SHA1", "RSA2"), ("SM2", "SM2", "SM2")]
        {
            let name = format!("sign-turned-{}", algorithm.to_lowercase());
            made(&admin, own(&name, algorithm, scheme, signature)).await;
            let options = if algorithm == "SM2" { &[][..] } else { OAEP };
            let old = public_key(&client, &name).await;
            let old = openssl_encrypts(folder.path(), &old, options, b"old");
            let rotate = RotateKeyRequest {
                request_id: format!("fields-rotate-{name}"),
                name: name.clone(),
                ..RotateKeyRequest::default()
            };
            admin.rotate_key(rotate).await.unwrap();
            set_state(&admin, &name, 2, KeyState::Active).await;
            let new = public_key(&client, &name).await;
            let new = openssl_encrypts(folder.path(), &new, options, b"new");
            assert!(opened(&client, &name, vec![new]).await.fields == [b"new"]);
            let asked = || DecryptWechatFieldsRequest {
                key: of_version(&name, 1),
                fields: vec![old.clone()],
            };
            let answer = client.decrypt_wechat_fields(asked()).await.unwrap();
            assert!(answer.fields == [b"old"] && answer.key.unwrap().version == 1);
            let answer = client.decrypt_wechat_fields(from_wechat(&name, vec![old.clone()]));
            assert_refused(
                answer.await,
                Code::InvalidArgument,
                "DATA_REJECTED",
                "fields",
            );
            set_state(&admin, &name, 1, KeyState::Disabled).await;
            let answer = client.decrypt_wechat_fields(asked()).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_STATE_REFUSED", "key");
        }
    });
}

#[test]
fn encrypt_wechat_fields_accepts_the_next_certificate_once_it_is_active() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let name = "sign-next-fields";
        let serials = ["5157F09EFDC0", "PUB_KEY_ID_0114"];
        for (own, serial) in ["sign-fields-rsa", "sign-rsa2"].into_iter().zip(serials) {
            let mut spec = partner(name, "RSA-2048", "RSA_OAEP_SHA1");
            spec.labels[0].text = serial.to_owned();
            let request = ImportKeyRequest {
                request_id: format!("fields-next-{own}"),
                spec: Some(spec),
                source: Some(Source::PublicKey(public_key(&client, own).await)),
                ..ImportKeyRequest::default()
            };
            admin.import_key(request).await.unwrap();
        }
        let encrypted = async |version, serial| {
            let asked = to_wechat(name, fields(&["x"]));
            let answer = client.encrypt_wechat_fields(asked).await.unwrap();
            assert_eq!(answer.serial, serial);
            assert_eq!(answer.key.unwrap().version, version);
        };
        encrypted(1, serials[0]).await;
        // To a pending version nothing is encrypted, nor to one that retires.
        let by = async |version| {
            let key = of_version(name, version);
            let fields = fields(&["x"]);
            let answer = client.encrypt_wechat_fields(EncryptWechatFieldsRequest { key, fields });
            assert_refused(
                answer.await,
                Code::FailedPrecondition,
                "KEY_STATE_REFUSED",
                "key",
            );
        };
        by(2).await;
        set_state(&admin, name, 2, KeyState::Active).await;
        encrypted(2, serials[1]).await;
        by(1).await;
    });
}

#[test]
fn encrypt_gateway_fields_accepts_a_certificate_and_openssl_decrypts_them() {
    world().run(async |world| {
        let client = world.client().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unionpay");
        let info = openssl_pair(&file, RSA);
        import(
            world,
            partner("sign-unionpay", "RSA-2048", "RSA_PKCS1"),
            info,
        )
        .await;
        let mut clear = fields(&["6216261000000000018", "phoneNo=13552535506&cvn2=123"]);
        clear.push(vec![b'9'; 245]);
        let request = EncryptGatewayFieldsRequest {
            key: key("sign-unionpay"),
            fields: clear.clone(),
        };
        let answer = client.encrypt_gateway_fields(request).await.unwrap();
        assert_eq!(answer.encrypt_cert_id, "SERIAL-OF-sign-unionpay");
        assert!(answer.scheme() == EncryptionScheme::RsaPkcs1);
        for (field, clear) in answer.fields.iter().zip(&clear) {
            assert!(openssl_decrypts(&file, PKCS1, field) == *clear);
        }
    });
}

#[test]
fn encrypt_gateway_fields_refuses_wechat_pays_schemes_and_fields_that_do_not_fit() {
    world().run(async |world| {
        let client = world.client().await;
        let info = public_key(&client, "sign-rsa2").await;
        import(
            world,
            partner("sign-gate-oaep", "RSA-2048", "RSA_OAEP_SHA1"),
            info.clone(),
        )
        .await;
        import(
            world,
            partner("sign-gate-pkcs1", "RSA-2048", "RSA_PKCS1"),
            info,
        )
        .await;
        let asked = |name: &str, field: Vec<u8>| EncryptGatewayFieldsRequest {
            key: key(name),
            fields: vec![field],
        };
        for name in ["sign-gate-oaep", "sign-rsa2"] {
            let answer = client.encrypt_gateway_fields(asked(name, vec![1])).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        for field in [vec![], vec![1; 246]] {
            let answer = client
                .encrypt_gateway_fields(asked("sign-gate-pkcs1", field))
                .await;
            assert_refused(answer, Code::InvalidArgument, "FIELD_LENGTH", "fields");
        }
    });
}
