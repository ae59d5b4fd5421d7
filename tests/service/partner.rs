//! Public keys of partners, and keys that are replaced while they are in use: what counts when, and that
//! no call fails meanwhile.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::{Client, Error};
use pintle::series::Text;
use pintle::service::metrics::write_countdowns;
use pintle::service::pb::admin::v1::import_key_request::Source;
use pintle::service::pb::admin::v1::{
    ImportKeyRequest, ImportKeyResponse, KeyPolicy, KeySpec, KeyState, RotateKeyRequest,
    SetKeyStateRequest,
};
use pintle::service::pb::v1::{
    CreateCertificateRequestRequest, CreateCertificateRequestResponse, GetPublicKeyRequest, KeyRef,
    Residence, SignRequest, VerifyRequest, VerifyResponse,
};
use tonic::Code;

use crate::keys::{made, soon};
use crate::refusal::assert_refused;
use crate::world::{key, world};

const MESSAGE: &[u8] = b"charset=utf-8&sign_type=RSA2";

/// A key for signatures under `scheme`, which is the algorithm's.
fn spec(name: &str, mode: &str, algorithm: &str) -> KeySpec {
    KeySpec {
        name: name.to_owned(),
        usage: "S0".to_owned(),
        mode: mode.to_owned(),
        algorithm: algorithm.to_owned(),
        policy: Some(KeyPolicy {
            signature_scheme: if algorithm == "SM2" { "SM2" } else { "RSA2" }.to_owned(),
            ..KeyPolicy::default()
        }),
        ..KeySpec::default()
    }
}

async fn import(
    admin: &Client,
    spec: KeySpec,
    public_key: &[u8],
) -> Result<ImportKeyResponse, Error> {
    let request = ImportKeyRequest {
        request_id: format!("import-{}-{:?}", spec.name, std::time::Instant::now())
            .replace([' ', '{', '}', ':', ','], ""),
        spec: Some(spec),
        check_value: Vec::new(),
        source: Some(Source::PublicKey(public_key.to_vec())),
    };
    admin.import_key(request).await
}

async fn public_key(client: &Client, key: Option<KeyRef>) -> Vec<u8> {
    let asked = GetPublicKeyRequest { key };
    let answer = client.get_public_key(asked).await.unwrap();
    answer.subject_public_key_info
}

async fn sign(client: &Client, name: &str) -> Vec<u8> {
    let request = SignRequest {
        key: key(name),
        message: MESSAGE.to_vec(),
        encoding: 0,
    };
    client.sign(request).await.unwrap().signature
}

async fn verify(client: &Client, key: Option<KeyRef>, signature: &[u8]) -> VerifyResponse {
    let request = VerifyRequest {
        key,
        message: MESSAGE.to_vec(),
        signature: signature.to_vec(),
        encoding: 0,
    };
    client.verify(request).await.unwrap()
}

async fn set_state(admin: &Client, name: &str, version: u32, state: KeyState) {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let request = SetKeyStateRequest {
        request_id: format!("partner-state-{number}"),
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

/// What openssl answers to `arguments` and this input.
pub fn openssl(arguments: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn import_key_accepts_a_partners_public_key_in_every_form_and_it_only_verifies() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        for (partner, algorithm) in [("sign-rsa2", "RSA-2048"), ("sign-sm2", "SM2")] {
            let info = public_key(&client, key(partner)).await;
            let base64 = STANDARD.encode(&info);
            let pem = ["PUBLIC KEY", &base64].map(str::to_owned);
            let pem = format!(
                "-----BEGIN {0}-----\n{1}\n-----END {0}-----\n",
                pem[0],
                wrapped(&pem[1])
            );
            for (form, given) in [
                ("der", info.clone()),
                ("base64", base64.into_bytes()),
                ("pem", pem.into_bytes()),
            ] {
                let name = format!("adm-{partner}-{form}");
                let imported = import(&admin, spec(&name, "V", algorithm), &given).await;
                let imported = imported.unwrap().key.unwrap();
                assert!(imported.residence() == Residence::Public, "{name}");
                assert_eq!(imported.origin, "public_key", "{name}");
                assert_eq!(public_key(&client, key(&name)).await, info, "{name}");
                let signature = sign(&client, partner).await;
                let answer = verify(&client, key(&name), &signature).await;
                assert!(answer.valid, "{name}");
                assert!(answer.key.unwrap().residence() == Residence::Public);
                let asked = SignRequest {
                    key: key(&name),
                    message: MESSAGE.to_vec(),
                    encoding: 0,
                };
                let refused = client.sign(asked).await;
                assert_refused(
                    refused,
                    Code::FailedPrecondition,
                    "KEY_USAGE_REFUSED",
                    "key",
                );
            }
        }
    });
}

/// Base64 in the lines of PEM.
fn wrapped(base64: &str) -> String {
    let lines = base64.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

#[test]
fn import_key_accepts_a_certificate_for_the_key_in_it() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let arguments = [
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Ant", "-days", "9",
        ];
        let (key_file, certificate) = (at("key.pem"), at("certificate.pem"));
        let files = ["-keyout", &key_file, "-out", &certificate];
        let (made, said) = openssl(&[&arguments[..], &files].concat(), b"");
        assert!(made, "{said}");
        let pem = std::fs::read(certificate).unwrap();
        let imported = import(&admin, spec("adm-certified", "V", "RSA-2048"), &pem).await;
        imported.unwrap();
        let (made, said) = openssl(&["rsa", "-in", &key_file, "-pubout"], b"");
        assert!(made, "{said}");
        let info = public_key(&client, key("adm-certified")).await;
        let begin = said.find("-----BEGIN").unwrap();
        let bare: String = said[begin..]
            .lines()
            .filter(|line| !line.starts_with('-') && !line.contains(' '))
            .collect();
        assert_eq!(STANDARD.encode(info), bare);
    });
}

#[test]
fn import_key_refuses_what_is_no_public_key_of_the_algorithm_or_is_there_already() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let info = public_key(&client, key("sign-rsa2")).await;
        let partner = |algorithm| spec("adm-partner-refused", "V", algorithm);
        let refused_spec = "KEY_SPEC_REFUSED";
        for (algorithm, given) in [
            ("RSA-3072", info.as_slice()),
            ("SM2", &info),
            ("RSA-2048", &info[1..]),
            ("RSA-2048", b"MIIB"),
            (
                "RSA-2048",
                b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            ),
            ("RSA-2048", b""),
        ] {
            let answer = import(&admin, partner(algorithm), given).await;
            assert_refused(answer, Code::InvalidArgument, refused_spec, "public_key");
        }
        // A key that signs has a private half, which is not here.
        let answer = import(&admin, spec("adm-partner-refused", "S", "RSA-2048"), &info).await;
        assert_refused(answer, Code::InvalidArgument, refused_spec, "mode");
        import(&admin, partner("RSA-2048"), &info).await.unwrap();
        let answer = import(&admin, partner("RSA-2048"), &info).await;
        assert_refused(answer, Code::AlreadyExists, "KEY_EXISTS", "name");
    });
}

#[test]
fn both_of_a_partners_keys_count_while_one_replaces_the_other() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        for name in ["adm-ant-old", "adm-ant-new"] {
            made(&admin, spec(name, "S", "RSA-2048")).await;
        }
        let (old, new) = (
            public_key(&client, key("adm-ant-old")).await,
            public_key(&client, key("adm-ant-new")).await,
        );
        let by_old = sign(&client, "adm-ant-old").await;
        let by_new = sign(&client, "adm-ant-new").await;
        let ant = || spec("adm-ant", "V", "RSA-2048");
        import(&admin, ant(), &old).await.unwrap();
        // Warm, so that what is cached has to give way.
        assert!(!verify(&client, key("adm-ant"), &by_new).await.valid);
        let second = import(&admin, ant(), &new).await.unwrap().key.unwrap();
        assert!(second.version == 2 && second.state() == KeyState::Pending);
        let matched = async |signature: &[u8]| {
            let answer = verify(&client, key("adm-ant"), signature).await;
            answer.valid.then(|| answer.key.unwrap().version)
        };
        assert_eq!(
            (matched(&by_old).await, matched(&by_new).await),
            (Some(1), Some(2))
        );
        set_state(&admin, "adm-ant", 2, KeyState::Active).await;
        assert_eq!(
            (matched(&by_old).await, matched(&by_new).await),
            (Some(1), Some(2))
        );
        // A version that is named counts alone.
        assert!(
            !verify(&client, of_version("adm-ant", 2), &by_old)
                .await
                .valid
        );
        set_state(&admin, "adm-ant", 1, KeyState::Disabled).await;
        assert_eq!(
            (matched(&by_old).await, matched(&by_new).await),
            (None, Some(2))
        );
    });
}

async fn ask_for_certificate(
    client: &Client,
    key: Option<KeyRef>,
    subject: &str,
) -> Result<CreateCertificateRequestResponse, Error> {
    let request = CreateCertificateRequestRequest {
        key,
        subject: subject.to_owned(),
    };
    client.create_certificate_request(request).await
}

#[test]
fn create_certificate_request_accepts_active_and_pending_versions_and_openssl_agrees() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        for (name, algorithm, id) in [
            ("adm-csr-rsa", "RSA-2048", &[][..]),
            (
                "adm-csr-sm2",
                "SM2",
                &["-vfyopt", "distid:1234567812345678"],
            ),
        ] {
            made(&admin, spec(name, "S", algorithm)).await;
            let rotate = RotateKeyRequest {
                request_id: format!("rotate-{name}"),
                name: name.to_owned(),
                ..RotateKeyRequest::default()
            };
            admin.rotate_key(rotate).await.unwrap();
            for version in [1, 2] {
                let key = of_version(name, version);
                let subject = "CN=2021000000000001,O=花店,C=CN";
                let answer = ask_for_certificate(&client, key.clone(), subject).await;
                let answer = answer.unwrap();
                assert_eq!(answer.key.unwrap().version, version);
                let arguments = [
                    "req",
                    "-verify",
                    "-noout",
                    "-subject",
                    "-pubkey",
                    "-nameopt",
                    "RFC2253,-esc_msb",
                ];
                let (right, said) = openssl(&[&arguments[..], id].concat(), answer.pem.as_bytes());
                assert!(right && said.contains("OK"), "{name}: {said}");
                assert!(said.contains("CN=2021000000000001,O=花店,C=CN"), "{said}");
                let info = STANDARD.encode(public_key(&client, key).await);
                assert!(said.replace('\n', "").contains(&info), "{name}: {said}");
            }
            // It may ask for a certificate, and nothing else yet.
            let asked = SignRequest {
                key: of_version(name, 2),
                message: MESSAGE.to_vec(),
                encoding: 0,
            };
            let refused = client.sign(asked).await;
            assert_refused(
                refused,
                Code::FailedPrecondition,
                "KEY_STATE_REFUSED",
                "key",
            );
        }
    });
}

#[test]
fn create_certificate_request_refuses_other_keys_and_subjects_that_are_none() {
    world().run(async |world| {
        let client = world.client().await;
        for subject in ["", "shop", "XX=1"] {
            let answer = ask_for_certificate(&client, key("sign-rsa2"), subject).await;
            assert_refused(
                answer,
                Code::InvalidArgument,
                "SUBJECT_MALFORMED",
                "subject",
            );
        }
        let answer = ask_for_certificate(&client, key("mac-hmac"), "CN=a").await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}

#[test]
fn the_countdown_of_an_activation_is_among_the_series() {
    world().run(async |world| {
        let (admin, client) = (world.admin_client().await, world.client().await);
        let name = "adm-countdown";
        let wanted = KeySpec {
            expires: soon(7200),
            ..spec(name, "S", "SM2")
        };
        made(&admin, wanted).await;
        let rotate = RotateKeyRequest {
            request_id: format!("rotate-{name}"),
            name: name.to_owned(),
            activates: soon(3600),
            expires: None,
        };
        admin.rotate_key(rotate).await.unwrap();
        sign(&client, name).await;
        let mut text = Text::new();
        write_countdowns(&world.context.catalogue, &mut text);
        let seconds = |of: &str| {
            let head = format!("pintle_key_{of}_seconds{{key=\"{name}\",version=\"1\"}} ");
            let mut lines = text.as_str().lines();
            let value = lines.find_map(|line| line.strip_prefix(&head)).unwrap();
            value.parse::<u64>().unwrap()
        };
        assert!((3500..=3600).contains(&seconds("activation")));
        assert!((7100..=7200).contains(&seconds("expiry")));
    });
}

/// Signs and verifies until it is told to stop; how often, and under which versions.
async fn use_it(client: &Client, name: &str, stop: &AtomicBool) -> [u32; 2] {
    let mut by_version = [0; 2];
    while !stop.load(Ordering::Relaxed) {
        let request = SignRequest {
            key: key(name),
            message: MESSAGE.to_vec(),
            encoding: 0,
        };
        let answer = client.sign(request).await.unwrap();
        let version = answer.key.unwrap().version;
        by_version[version as usize - 1] += 1;
        // By the version that says it made it, and by the name alone.
        for key in [of_version(name, version), key(name)] {
            let checked = verify(client, key, &answer.signature).await;
            assert!(checked.valid && checked.key.unwrap().version == version);
        }
    }
    by_version
}

#[test]
fn a_rotation_and_its_rollback_under_load_fail_no_call() {
    world().run(async |world| {
        let admin = world.admin_client().await;
        for (name, algorithm, residence) in [
            ("adm-roll-token", "RSA-2048", Residence::Token),
            ("adm-roll-wrapped", "RSA-2048", Residence::TokenWrapped),
            ("adm-roll-sm2", "SM2", Residence::Process),
        ] {
            let wanted = KeySpec {
                residence: residence.into(),
                ..spec(name, "S", algorithm)
            };
            made(&admin, wanted).await;
            let stop = AtomicBool::new(false);
            let client = world.client().await.with_tries(1);
            let roll = async {
                let pause = || tokio::time::sleep(Duration::from_millis(150));
                let rotate = RotateKeyRequest {
                    request_id: format!("rotate-{name}"),
                    name: name.to_owned(),
                    ..RotateKeyRequest::default()
                };
                admin.rotate_key(rotate).await.unwrap();
                for version in [2, 1, 2] {
                    pause().await;
                    set_state(&admin, name, version, KeyState::Active).await;
                }
                pause().await;
                stop.store(true, Ordering::Relaxed);
            };
            let (one, other, ()) = tokio::join!(
                use_it(&client, name, &stop),
                use_it(&client, name, &stop),
                roll
            );
            for [first, second] in [one, other] {
                assert!(first > 0 && second > 0, "{name}: {first} and {second}");
            }
        }
    });
}

/// The whole way as an operator goes it: the partner has the next key before it signs, it begins at its
/// moment, and is taken back in the same second, before anybody has written down that it began.
#[test]
fn a_rotation_at_a_moment_is_taken_back_at_once_and_fails_no_call() {
    world().run(async |world| {
        let admin = world.admin_client().await;
        let name = "adm-moment";
        made(&admin, spec(name, "S", "SM2")).await;
        let (stop, client) = (AtomicBool::new(false), world.client().await.with_tries(1));
        let answered_by = async |wanted: u32| {
            for _ in 0..400 {
                let request = SignRequest {
                    key: key(name),
                    message: MESSAGE.to_vec(),
                    encoding: 0,
                };
                let answer = client.sign(request).await.unwrap();
                if answer.key.unwrap().version == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            panic!("version {wanted} never signed");
        };
        let roll = async {
            let rotate = RotateKeyRequest {
                request_id: format!("rotate-{name}"),
                name: name.to_owned(),
                activates: soon(3),
                expires: None,
            };
            admin.rotate_key(rotate).await.unwrap();
            let given = public_key(&client, of_version(name, 2)).await;
            assert_ne!(given, public_key(&client, key(name)).await);
            answered_by(1).await;
            answered_by(2).await;
            assert_eq!(public_key(&client, key(name)).await, given);
            set_state(&admin, name, 1, KeyState::Active).await;
            answered_by(1).await;
            // And forward again.
            set_state(&admin, name, 2, KeyState::Active).await;
            answered_by(2).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (one, other, ()) = tokio::join!(
            use_it(&client, name, &stop),
            use_it(&client, name, &stop),
            roll
        );
        for [first, second] in [one, other] {
            assert!(first > 0 && second > 0, "{first} and {second}");
        }
    });
}
