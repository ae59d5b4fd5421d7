//! An operator's folder with everything `pintle serve` needs, and a SoftHSM of its own; the server in it,
//! its health, and a client.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pintle::client::{Client, Tls};
use pintle::hsm::Module;
use sha2::{Digest, Sha256};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::authority::{Authority, dns, uri};
use crate::load::{COLD_KEYS, cold};
use crate::process::{Server, pintle, run};
use crate::shim::Shim;

const CALLER: &str = "spiffe://shop.example/gateway";
/// Locked memory of the server, KiB: fewer keys than take turns.
const LOCKED_KIB: usize = 96;

/// The folder.
pub struct Site {
    pub folder: tempfile::TempDir,
    tls: Tls,
    data: u16,
    admin: u16,
}

impl Site {
    /// A site with one token and its keys.
    pub fn new() -> Self {
        let site = Self::prepared();
        site.configure(&[(softhsm(), "pintle-faults")]);
        site.must(&["init", "--create-token-so-pin-file", "so.pin"]);
        site.make_keys();
        site
    }

    /// The same, its token behind a shim.
    pub fn with_shim() -> (Self, Shim) {
        let site = Self::prepared();
        let Module::Library(real) = softhsm() else {
            panic!("SoftHSM is a library");
        };
        let shim = Shim::over(&real, site.folder.path(), "shim");
        let library = Module::Library(shim.library.clone());
        site.configure(&[(library, "pintle-faults")]);
        site.must(&["init", "--create-token-so-pin-file", "so.pin"]);
        site.make_keys();
        (site, shim)
    }

    /// Two tokens of one store, each behind a shim over a module of its own: copies of SoftHSM, which
    /// know nothing of each other.
    pub fn with_two_shims() -> (Self, [Shim; 2]) {
        let site = Self::prepared();
        let Module::Library(real) = softhsm() else {
            panic!("SoftHSM is a library");
        };
        let folder = site.folder.path();
        let shims = ["a", "b"].map(|name| {
            let copy = folder.join(format!("softhsm-{name}.so"));
            std::fs::copy(&real, &copy).unwrap();
            Shim::over(&copy, folder, &format!("shim-{name}"))
        });
        let [first, second] = shims
            .each_ref()
            .map(|shim| Module::Library(shim.library.clone()));
        let label = "pintle-faults-b";
        site.configure(&[(first, "pintle-faults"), (second, label)]);
        let init = ["init", "--create-token-so-pin-file", "so.pin"];
        site.must(&init);
        site.must(&[&init[..], &["--token", label]].concat());
        site.must(&["token", "enroll", label]);
        site.make_keys();
        (site, shims)
    }

    /// A site without configuration or token.
    fn prepared() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("tokens")).unwrap();
        let conf = format!("directories.tokendir = {}\n", at("tokens").display());
        std::fs::write(at("softhsm2.conf"), conf).unwrap();
        for pin in ["user.pin", "so.pin"] {
            std::fs::write(at(pin), format!("{pin}-12345\n")).unwrap();
            let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(at(pin), only_us).unwrap();
        }
        let calls = ["Pin", "Mac", "Alipay", "Random"];
        let calls = calls
            .map(|service| format!("\"pintle.v1.{service}Service/*\""))
            .join(", ");
        let policy = format!("[[caller]]\nuri = \"{CALLER}\"\ncalls = [{calls}]\nkeys = [\"*\"]\n");
        std::fs::write(at("policy.toml"), policy).unwrap();
        let authority = Authority::new("faults");
        let server = authority.server();
        std::fs::write(at("server.pem"), &server.certificate).unwrap();
        std::fs::write(at("server.key"), server.private_key.expose_secret()).unwrap();
        std::fs::write(at("ca.pem"), &server.client_ca).unwrap();
        let tls = authority.client(&[uri(CALLER), dns("gateway")], &authority);
        Self {
            folder,
            tls,
            data: free_port(),
            admin: free_port(),
        }
    }

    /// Writes the configuration for these tokens, the first one first.
    pub fn configure(&self, tokens: &[(Module, &str)]) {
        let mut text = "environment = \"test\"\n".to_owned();
        for (module, label) in tokens {
            let (word, path) = match module {
                Module::Library(library) => ("library", library),
                Module::Embedded { dir } => ("embedded", dir),
            };
            let path = path.display();
            let _ = writeln!(
                text,
                "[[hsm.token]]\n{word} = \"{path}\"\nlabel = \"{label}\"\npin_file = \"user.pin\""
            );
        }
        let _ = write!(
            text,
            r#"
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
            self.data, self.admin,
        );
        std::fs::write(self.folder.path().join("pintle.toml"), text).unwrap();
    }

    /// Gives every token's calls this time instead of the usual one.
    pub fn set_call_timeout(&self, milliseconds: u32) {
        let path = self.folder.path().join("pintle.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let line = format!("[[hsm.token]]\ncall_timeout_ms = {milliseconds}");
        std::fs::write(&path, text.replace("[[hsm.token]]", &line)).unwrap();
    }

    /// The keys of the load: test values, each the beginning of a hash of its name.
    fn make_keys(&self) {
        let mut text = "environment = \"test\"\n".to_owned();
        let _ = writeln!(
            text,
            "[[key]]\nname = \"tpk\"\nusage = \"pin_encryption\"\nmode = \"decrypt\"\n\
             side = \"terminal\"\nalgorithm = \"TDES-2\"\npin = {{ inputs = [\"ISO_0\"] }}\n\
             value = \"9D3EF2FE890146B5D96B7CC1E698D679\"\n\
             [[key]]\nname = \"zpk\"\nusage = \"pin_encryption\"\nmode = \"encrypt\"\n\
             side = \"zone\"\nalgorithm = \"AES-128\"\npin = {{ output = \"ISO_4\" }}\n\
             value = \"EE6F8386D42BE6CABDF271F7F1D47C32\""
        );
        let colds = (0..COLD_KEYS).map(cold);
        for name in std::iter::once("mac-hot".to_owned()).chain(colds) {
            let value = hex::encode_upper(&Sha256::digest(&name)[..16]);
            let _ = writeln!(
                text,
                "[[key]]\nname = \"{name}\"\nusage = \"mac_cmac\"\nmode = \"generate_and_verify\"\n\
                 algorithm = \"AES-128\"\nmac = {{ scheme = \"CMAC_AES\", length = 16 }}\n\
                 value = \"{value}\""
            );
        }
        std::fs::write(self.folder.path().join("values.toml"), text).unwrap();
        self.must(&["keys", "import", "values.toml"]);
        let entry = |name: &str, residence: &str| {
            format!(
                "[[key]]\nname = \"{name}\"\nusage = \"signature\"\nmode = \"sign\"\n\
                 algorithm = \"RSA-2048\"\nresidence = \"{residence}\"\n\
                 signature = {{ scheme = \"RSA2\" }}\n"
            )
        };
        let template = entry("app-rsa2", "TOKEN") + &entry("app-wrapped", "TOKEN_WRAPPED");
        std::fs::write(self.folder.path().join("made.toml"), template).unwrap();
        self.must(&["keys", "apply", "-t", "made.toml"]);
    }

    /// Master keys for another store, on whatever token has the label by now.
    pub fn prepare_another_store(&self) {
        let at = |name: &str| self.folder.path().join(name);
        let text = std::fs::read_to_string(at("pintle.toml")).unwrap();
        let text = text
            .replace("store.sqlite", "another.sqlite")
            .replace("audit.jsonl", "another.jsonl");
        std::fs::write(at("another.toml"), text).unwrap();
        // Both processes have the token's files; while one writes, the other may not see the label.
        for _ in 0..20 {
            let mut command = pintle();
            let init = self.environment(&mut command);
            if run(init.args(["init", "--config", "another.toml"])).0 == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.must(&["init", "--config", "another.toml"]);
    }

    /// The files of SoftHSM that hold a key or another object.
    pub fn objects(&self) -> usize {
        let tokens = std::fs::read_dir(self.folder.path().join("tokens")).unwrap();
        let files = tokens.flat_map(|token| std::fs::read_dir(token.unwrap().path()).unwrap());
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.ends_with(".object") && name != "token.object")
            .count()
    }

    /// Runs the program; it must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let mut command = pintle();
        let (code, out, err) = run(self.environment(&mut command).args(arguments));
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    /// Another program in this folder.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.environment(&mut command);
        command
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.folder.path())
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
    }

    /// `pintle serve`, ready for calls, and what it says on standard error from then on.
    pub fn serve(&self) -> Served<'_> {
        // The shell only lowers the limit and becomes the program.
        let script = format!("ulimit -l {LOCKED_KIB}; exec \"$0\" serve");
        let mut command = self.program("sh");
        command.arg("-c").arg(script).arg(pintle().get_program());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (server, ()) = Server::start_kept(&mut command, true, &log, |line| {
            line.contains("listening, mutual TLS").then_some(())
        });
        Served {
            site: self,
            _server: server,
            log,
        }
    }

    async fn channel(&self, port: u16) -> Channel {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.tls.server_ca))
            .identity(Identity::from_pem(
                &self.tls.certificate,
                self.tls.private_key.expose_secret(),
            ))
            .domain_name(&self.tls.server_name);
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{port}")).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await.unwrap()
    }
}

/// A server at work.
pub struct Served<'a> {
    site: &'a Site,
    _server: Server,
    log: Arc<Mutex<Vec<String>>>,
}

impl Served<'_> {
    /// A client of the data plane, which tries each call once.
    pub async fn client(&self) -> Client {
        let address = format!("https://127.0.0.1:{}", self.site.data);
        Client::connect(&address, &self.site.tls)
            .await
            .unwrap()
            .with_tries(1)
    }

    /// Watches health on the control plane.
    pub async fn health(&self) -> Health {
        Health(HealthClient::new(self.site.channel(self.site.admin).await))
    }

    /// Whether a line of the log has all of these.
    pub fn said(&self, words: &[&str]) -> bool {
        let log = self.log.lock().unwrap();
        log.iter()
            .any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// How many lines of the log have all of these.
    pub fn times(&self, words: &[&str]) -> usize {
        let log = self.log.lock().unwrap();
        let said = |line: &&String| words.iter().all(|word| line.contains(word));
        log.iter().filter(said).count()
    }

    /// The whole log, for a failure's sake.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

/// The health service.
pub struct Health(HealthClient<Channel>);

impl Health {
    /// Whether it says SERVING.
    pub async fn serves(&mut self) -> bool {
        let request = HealthCheckRequest::default();
        let answer = self.0.check(request).await.unwrap().into_inner();
        answer.status() == ServingStatus::Serving
    }

    /// Waits until it says so or not so, and tells how long that took.
    pub async fn until(&mut self, serves: bool, longest: Duration) -> Duration {
        let start = Instant::now();
        while self.serves().await != serves {
            assert!(
                start.elapsed() < longest,
                "health did not become {serves} within {longest:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }
}

/// How often each code and reason stands among refusals, for a failure's sake.
pub fn reasons(outcomes: &[crate::load::Outcome]) -> HashMap<String, usize> {
    let mut reasons = HashMap::new();
    for (code, reason) in outcomes
        .iter()
        .filter_map(|outcome| outcome.refused.as_ref())
    {
        *reasons.entry(format!("{code:?} {reason}")).or_default() += 1;
    }
    reasons
}

/// Moves a folder of the site.
pub fn rename(folder: &Path, from: &str, to: &str) {
    std::fs::rename(folder.join(from), folder.join(to)).unwrap();
}

/// The real module.
pub fn softhsm() -> Module {
    Module::softhsm().unwrap_or_else(|| panic!("SoftHSM is missing: run `make setup`"))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
