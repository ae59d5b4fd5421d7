//! An operator's day on SoftHSM: init, plan, apply, doctor, serve with mutual TLS, disable, stop.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::{Client, Error, Tls};
use pintle::hsm::Module;
use pintle::secret::Secret;
use pintle::service::pb::v1::{GenerateMacRequest, KeyRef};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

use crate::process::{Server, pintle, run};
use crate::shim::Shim;

const CALLER: &str = "spiffe://shop.example/gateway";

/// A folder with everything an operator writes, and a SoftHSM of its own.
pub struct Site {
    pub folder: tempfile::TempDir,
    tls: Tls,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let Some(Module::Library(library)) = Module::softhsm() else {
            panic!("SoftHSM is missing: run `make setup`");
        };
        let library = Shim::over(&library, folder.path(), "softhsm").library;
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("tokens")).unwrap();
        let conf = format!("directories.tokendir = {}\n", at("tokens").display());
        std::fs::write(at("softhsm2.conf"), conf).unwrap();
        for pin in ["user.pin", "so.pin", "wrong.pin"] {
            std::fs::write(at(pin), format!("{pin}-12345\n")).unwrap();
            let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(at(pin), only_us).unwrap();
        }
        let configuration = format!(
            r#"environment = "test"
            [[hsm.token]]
            library = "{}"
            label = "pintle-operation"
            pin_file = "user.pin"
            [store]
            path = "store.sqlite"
            [audit]
            path = "audit.jsonl"
            [listen]
            data = "127.0.0.1:{}"
            admin = "127.0.0.1:{}"
            certificate = "server.pem"
            private_key = "server.key"
            client_ca = "ca.pem"
            [policy]
            path = "policy.toml""#,
            library.display(),
            free_port(),
            free_port(),
        );
        std::fs::write(at("pintle.toml"), configuration).unwrap();
        let policy = format!(
            "[[caller]]\nuri = \"{CALLER}\"\ncalls = [\"pintle.v1.MacService/*\"]\nkeys = [\"*\"]\n"
        );
        std::fs::write(at("policy.toml"), policy).unwrap();
        let tls = certificates(folder.path());
        Self { folder, tls }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = pintle();
        command
            .current_dir(self.folder.path())
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&mut self.command(arguments))
    }

    pub fn must(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    pub fn init(&self) {
        self.must(&["init", "--create-token-so-pin-file", "so.pin"]);
    }

    pub fn apply(&self) -> String {
        self.must(&["keys", "apply", "-t", DEV_TEMPLATE])
    }
}

pub const DEV_TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/keys-template/dev.toml");

#[test]
fn a_store_put_back_from_a_backup_is_not_served_against_a_newer_checkpoint() {
    let site = Site::new();
    let configuration = site.folder.path().join("pintle.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    let text = text.replace("[audit]", "checkpoint = \"kept-elsewhere.json\"\n[audit]");
    std::fs::write(&configuration, text).unwrap();
    site.init();
    site.apply();
    let (code, _, err) = site.run(&["serve"]);
    assert_eq!(code, 3, "a configured checkpoint must be there: {err}");
    site.must(&["store", "backup", "backup.sqlite"]);
    let (code, _, err) = site.run(&["store", "backup", "backup.sqlite"]);
    assert_eq!(code, 7, "no backup is written over: {err}");
    site.must(&["keys", "disable", "tak-pos-0001"]);
    site.must(&["catalogue", "checkpoint"]);
    let verified = site.must(&["--output", "json", "catalogue", "verify"]);
    assert!(verified.contains("\"refused\": 0"), "{verified}");
    let (code, _, err) = site.run(&["store", "restore", "backup.sqlite"]);
    assert_eq!(code, 7, "no store is written over: {err}");
    for file in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        // The last two are there only if somebody did not close it.
        let _ = std::fs::remove_file(site.folder.path().join(file));
    }
    site.must(&["store", "restore", "backup.sqlite"]);
    for command in [&["serve"][..], &["catalogue", "verify"]] {
        let (code, _, err) = site.run(command);
        assert_eq!(code, 6, "{err}");
        assert!(err.contains("the store was put back"), "{err}");
    }
    // Whoever accepts it says so, and then it is served.
    site.must(&["catalogue", "checkpoint"]);
    drop(serve(&site));
}

#[test]
fn a_key_disabled_by_one_process_stops_in_the_server_within_two_seconds() {
    let site = Site::new();
    site.init();
    assert!(site.apply().contains("created"));
    let (server, address) = serve(&site);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&address, &site.tls).await.unwrap();
        client.generate_mac(mac()).await.unwrap();
        site.must(&["keys", "disable", "tak-pos-0001"]);
        let disabled = Instant::now();
        let refused = loop {
            match client.generate_mac(mac()).await {
                Ok(_) => assert!(disabled.elapsed() < Duration::from_secs(2), "still serving"),
                Err(Error::Refused(refused)) => break refused,
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(refused.reason, "KEY_STATE_REFUSED");
        site.must(&["keys", "enable", "tak-pos-0001"]);
        let enabled = Instant::now();
        while client.generate_mac(mac()).await.is_err() {
            assert!(enabled.elapsed() < Duration::from_secs(2), "still refused");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let unlisted = pintle::service::pb::v1::GenerateRandomRequest { length: 1 };
        let Err(Error::Refused(refused)) = client.generate_random(unlisted).await else {
            panic!("a call without a row was answered");
        };
        assert_eq!(refused.reason, "CALL_REFUSED");
    });
    drop(runtime);
    assert_eq!(server.stop(), 0);
    let verified = site.must(&["--output", "json", "audit", "verify", "audit.jsonl"]);
    let verified: serde_json::Value = serde_json::from_str(&verified).unwrap();
    assert!(verified["records"].as_u64().unwrap() >= 4, "{verified}");
}

#[test]
fn plan_says_what_apply_does_and_twice_is_once() {
    let site = Site::new();
    site.init();
    let planned = site.must(&["keys", "plan", "-t", DEV_TEMPLATE]);
    assert!(planned.contains("would create") && !planned.contains("matches"));
    site.apply();
    let again = site.apply();
    assert!(
        again.contains("matches") && !again.contains("created"),
        "{again}"
    );
    let listed = site.must(&["keys", "list", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["state"] == "active")
    );
    let shown = site.must(&["keys", "show", "zpk-acquirer-aes"]);
    assert!(shown.contains("ISO_4"), "{shown}");
    let shown = site.must(&["keys", "show", "zpk-acquirer-aes", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let made: jiff::Timestamp = shown["created"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().as_second() - made.as_second();
    assert!((0..600).contains(&age), "made {age} s ago, it says");
    let (code, _, err) = site.run(&["keys", "show", "no-such-key"]);
    assert_eq!(code, 3, "{err}");
}

#[test]
fn a_partners_public_key_is_planned_brought_in_shown_and_reported() {
    let site = Site::new();
    site.init();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/keys-template/alipay.toml");
    let row = |out: &str, key: &str| -> String {
        let line = out.lines().find(|line| line.contains(key));
        line.unwrap_or_else(|| panic!("{key}: {out}")).to_owned()
    };
    let theirs = "alipay-2021000000000001-theirs-rsa2";
    for command in ["plan", "apply"] {
        let out = site.must(&["keys", command, "-t", template]);
        assert!(row(&out, theirs).contains("import it"), "{out}");
    }
    let at = |name: &str| site.folder.path().join(name);
    let bring = |text: &str| {
        let entry = format!(
            "environment = \"test\"\n[[key]]\nname = \"{theirs}\"\nusage = \"signature\"\n\
             mode = \"verify\"\nalgorithm = \"RSA-2048\"\nsignature = {{ scheme = \"RSA2\" }}\n\
             public_key = \"alipay.txt\"\n"
        );
        std::fs::write(at("import.toml"), entry).unwrap();
        std::fs::write(at("alipay.txt"), text).unwrap();
        site.run(&["--output", "json", "keys", "import", "import.toml"])
    };
    let public_key = || {
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        rcgen::PublicKeyData::subject_public_key_info(&key)
    };
    let (first, second) = (public_key(), public_key());
    for (info, version) in [(&first, 1), (&second, 2)] {
        let (code, out, err) = bring(&STANDARD.encode(info));
        assert_eq!(code, 0, "{err}");
        let said: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            said,
            serde_json::json!([{"name": theirs, "version": version}])
        );
    }
    let (code, _, err) = bring(&STANDARD.encode(&first));
    assert!(
        code == 2 && err.contains("is there already"),
        "{code} {err}"
    );
    let out = site.must(&["keys", "plan", "-t", template]);
    assert!(row(&out, theirs).contains("matches"), "{out}");
    let out = site.must(&["keys", "show", theirs, "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&shown["residence"], &shown["state"], &shown["origin"]),
        (&"PUBLIC".into(), &"pending".into(), &"public_key".into())
    );
    // As the console takes it.
    assert_eq!(shown["public_key"], STANDARD.encode(&second));
    assert!(site.must(&["keys", "list"]).contains("PUBLIC"));
    let (_, out, _) = site.run(&["report", "keys"]);
    assert!(row(&out, theirs).contains("a public key"), "{out}");
}

#[test]
fn doctor_finds_a_store_that_belongs_to_another_token() {
    let (site, other) = (Site::new(), Site::new());
    site.init();
    other.init();
    site.apply();
    assert!(site.must(&["doctor"]).contains("TranslatePin"));
    std::fs::copy(
        site.folder.path().join("store.sqlite"),
        other.folder.path().join("store.sqlite"),
    )
    .unwrap();
    let (code, out, _) = other.run(&["doctor"]);
    assert_eq!(code, 6, "{out}");
    assert!(out.contains("WRONG"), "{out}");
    let (code, out, err) = other.run(&["keys", "list"]);
    assert_eq!(code, 6, "nothing of it is listed: {out}");
    assert!(err.contains("no root that this token vouches for"), "{err}");
}

/// `softhsm2-util --import --aes` makes a key that does everything.
#[test]
fn a_server_never_serves_a_token_with_a_key_of_a_dangerous_template() {
    let site = Site::new();
    site.init();
    site.apply();
    let (served, _) = serve(&site);
    served.stop();
    std::fs::write(site.folder.path().join("careless.bin"), [7; 32]).unwrap();
    let pin = std::fs::read_to_string(site.folder.path().join("user.pin")).unwrap();
    let import = Command::new("softhsm2-util")
        .current_dir(site.folder.path())
        .env("SOFTHSM2_CONF", site.folder.path().join("softhsm2.conf"))
        .args(["--import", "careless.bin", "--aes", "--token"])
        .args(["pintle-operation", "--label", "careless", "--id", "0a0b"])
        .args(["--pin", pin.trim()])
        .output()
        .unwrap();
    assert!(import.status.success(), "{import:?}");
    let (code, out, err) = site.run(&["serve"]);
    assert_eq!(code, 5, "{out}{err}");
    for said in ["careless", "0a0b", "pintle doctor"] {
        assert!(err.contains(said), "{said}: {err}");
    }
    assert!(!err.contains("listening"), "{err}");
    let (code, out, err) = site.run(&["doctor"]);
    assert_eq!(code, 6, "{out}{err}");
    for rule in ["any mechanism", "two uses", "careless"] {
        assert!(out.contains(rule), "{rule}: {out}");
    }
}

#[test]
fn exit_codes_say_what_kind_of_failure_it_was() {
    let site = Site::new();
    let (code, _, err) = site.run(&["doctor", "--config", "no-such.toml"]);
    assert_eq!(code, 3, "{err}");
    let (code, _, err) = site.run(&["keys", "list"]);
    assert_eq!(code, 5, "no token yet: {err}");
    assert!(err.contains("pintle init"), "{err}");
    site.init();
    let (code, _, err) = site.run(&["init"]);
    assert_eq!(code, 7, "a second init: {err}");
    let configuration = site.folder.path().join("pintle.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, text.replace("user.pin", "wrong.pin")).unwrap();
    let (code, _, err) = site.run(&["keys", "list"]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("PIN"), "{err}");
    std::fs::write(&configuration, format!("no_such_word = 1\n{text}")).unwrap();
    let (code, _, err) = site.run(&["keys", "list"]);
    assert_eq!(code, 2, "{err}");
    let production = text.replace("environment = \"test\"", "environment = \"production\"");
    std::fs::write(&configuration, &production).unwrap();
    let (code, _, err) = site.run(&["serve"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("accepted-by"), "{err}");
    let accepted = "host_pin_processing = \"accepted-by: A. Owner, 2026-11-23\"\n";
    std::fs::write(&configuration, format!("{accepted}{production}")).unwrap();
    let (code, _, err) = site.run(&["serve"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("software token"), "{err}");
    let (code, _, _) = site.run(&["keys", "dance"]);
    assert_eq!(code, 2);
}

fn mac() -> GenerateMacRequest {
    let key = KeyRef {
        name: "tak-pos-0001".to_owned(),
        version: 0,
        ..KeyRef::default()
    };
    GenerateMacRequest {
        key: Some(key),
        message: b"0200".to_vec(),
    }
}

/// `pintle serve`, ready for calls.
fn serve(site: &Site) -> (Server, String) {
    let started = Server::start(&mut site.command(&["serve"]), true, |line| {
        line.contains("listening, mutual TLS").then_some(())
    });
    let text = std::fs::read_to_string(site.folder.path().join("pintle.toml")).unwrap();
    let data = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("data = \""))
        .unwrap();
    (started.0, format!("https://{}", data.trim_end_matches('"')))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// One authority, the server's certificate and the gateway's, as files and as the client's.
fn certificates(folder: &Path) -> Tls {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(DnType::CommonName, "test authority");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let issue = |names: Vec<SanType>| {
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = names;
        (
            leaf.signed_by(&key, &ca).unwrap().pem(),
            key.serialize_pem(),
        )
    };
    let (server, server_key) = issue(vec![SanType::DnsName("localhost".try_into().unwrap())]);
    let (client, client_key) = issue(vec![SanType::URI(CALLER.try_into().unwrap())]);
    for (name, text) in [
        ("server.pem", &server),
        ("server.key", &server_key),
        ("ca.pem", &ca.pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    Tls {
        server_ca: ca.pem().into_bytes(),
        certificate: client.into_bytes(),
        private_key: Secret::new(client_key.into_bytes()),
        server_name: "localhost".to_owned(),
    }
}
