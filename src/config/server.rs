//! The configuration file of `pintle serve`.
//!
//! ```toml
//! environment = "production"
//! host_pin_processing = "accepted-by: Name, 2026-01-31"
//!
//! [[hsm.token]]           # new keys that stay in a token are made in the first
//! library = "/usr/lib/softhsm/libsofthsm2.so"
//! label = "pintle"
//! pin_file = "/run/credentials/pintle/token-pin"
//!
//! [[hsm.token]]           # another that can open the same store, where there is one
//! library = "/usr/lib/vendor/libother.so"
//! label = "pintle-b"
//! pin_file = "/run/credentials/pintle/token-b-pin"
//! call_timeout_ms = 1500  # 50 to 60000; may be left out, as the numbers of workers may
//!
//! [store]
//! path = "/var/lib/pintle/store.sqlite"
//! checkpoint = "/mnt/elsewhere/pintle-checkpoint.json"
//!
//! [audit]
//! path = "/var/log/pintle/audit.jsonl"
//!
//! [listen]
//! data = "0.0.0.0:7443"
//! admin = "127.0.0.1:7444"
//! metrics = "127.0.0.1:9464"          # may be left out: then none are served
//! certificate = "/etc/pintle/server.pem"
//! private_key = "/etc/pintle/server.key"
//! client_ca = "/etc/pintle/clients-ca.pem"
//!
//! [policy]
//! path = "/etc/pintle/policy.toml"
//!
//! [pin_verification]      # may be left out: these are the usual values
//! failures_per_pan_day = 5
//! failures_per_caller_minute = 600
//! ```
//!
//! There is no word here for a listener without TLS: that exists in `pintle dev` only.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::config::Error;
use crate::limits;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What the keys of this server stand for.
    pub environment: Environment,
    /// `accepted-by: <name>, <date>`: somebody accepts that PINs are clear in this process's
    /// memory for microseconds. Production does not start on the host PIN engine without it.
    pub host_pin_processing: Option<Acceptance>,
    /// `accepted-by: <name>, <date>`: somebody accepts that components of keys are typed at this
    /// machine and are clear in this process's memory. Production refuses them without it.
    pub host_components: Option<Acceptance>,
    /// `accepted-by: <name>, <date>`: somebody accepts that keys which are in one token only are
    /// lost with it. Production does not start with such keys without it.
    pub single_token_keys: Option<Acceptance>,
    /// Keys that protect or derive other keys may be opened into this process.
    #[serde(default)]
    pub allow_process_kek: bool,
    /// The PKCS#11 tokens.
    pub hsm: Hsm,
    /// The sealed records.
    pub store: Store,
    /// The journal.
    pub audit: Audit,
    /// The listeners.
    pub listen: Listen,
    /// The policy file.
    pub policy: PolicyFile,
    /// How often PINs may be tried.
    #[serde(default)]
    pub pin_verification: PinVerification,
    /// Bounds an operator may move, within those of the program.
    #[serde(default)]
    pub limits: Limits,
}

/// What the keys of a server stand for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real cards and money: refuses software tokens and keys given as values.
    Production,
    /// Test keys.
    Test,
    /// A laptop. Every answer says so.
    Development,
}

/// The sentence by which somebody accepts a risk, kept as it was written.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Acceptance(String);

/// The PKCS#11 tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsm {
    /// All are enrolled for the same store, share the work and take over from one another. Keys that
    /// stay in a token are made in the first.
    pub token: Vec<Token>,
}

/// One token: exactly one of `library` and `embedded`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Absolute path of the module's shared library.
    pub library: Option<PathBuf>,
    /// Folder of the embedded token. Development only.
    pub embedded: Option<PathBuf>,
    /// The token's label.
    pub label: String,
    /// The profile of its make, by name or as a TOML file; without it the manufacturer decides.
    pub profile: Option<String>,
    /// A file whose first line is the user PIN.
    pub pin_file: PathBuf,
    /// Sessions for symmetric work. One is right for SoftHSM; a second halves its rate.
    #[serde(default = "one_worker")]
    pub symmetric_workers: usize,
    /// Sessions for RSA.
    #[serde(default = "one_worker")]
    pub asymmetric_workers: usize,
    /// How long one call may take before it counts as hung, ms. Making RSA keys has longer.
    #[serde(default = "usual_call_timeout")]
    pub call_timeout_ms: u64,
}

/// The sealed records.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The SQLite file.
    pub path: PathBuf,
    /// A checkpoint of the catalogue, kept where who can write the store cannot write it (another
    /// machine's mount, write-once media). A store that is older is not served.
    pub checkpoint: Option<PathBuf>,
}

/// The journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The hash-chained file.
    pub path: PathBuf,
}

/// The listeners.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The data plane.
    pub data: SocketAddr,
    /// Health and the control plane.
    pub admin: SocketAddr,
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: PathBuf,
    /// The certificates that callers' certificates must lead to, PEM.
    pub client_ca: PathBuf,
    /// Metrics for a collector on this machine; not served where it is left out.
    pub metrics: Option<SocketAddr>,
    /// Serve gRPC reflection on the data listener.
    #[serde(default)]
    pub reflection: bool,
}

/// The policy file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// See [`crate::config::policy`].
    pub path: PathBuf,
}

/// How often PINs may be tried, over all servers of the store.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PinVerification {
    /// Wrong PINs of one card under one verification key in a day (UTC).
    pub failures_per_pan_day: u32,
    /// Wrong PINs of one caller in a minute; calls in flight count until they are answered.
    pub failures_per_caller_minute: u32,
}

/// Bounds an operator may move.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls in flight on the data listener.
    pub calls_in_flight: usize,
    /// The deadline of a call that brings none, ms.
    pub deadline_default_ms: u64,
    /// The longest deadline a caller may ask for, ms.
    pub deadline_max_ms: u64,
}

impl Server {
    /// Reads and checks the file. Relative paths are taken from the folder it stands in.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, holds a word that is not known, or a value that
    /// cannot be meant.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut server: Self = crate::config::read(path)?;
        if let Some((key, why)) = server.fault() {
            return Err(Error::Value {
                path: path.to_owned(),
                key,
                why,
            });
        }
        server.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(server)
    }

    /// The first value that cannot be meant, as (key, why).
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let mut tokens = self.tokens();
        if let Some(fault) = tokens.find_map(|token| token.fault(self.environment)) {
            return Some(fault);
        }
        match self.hsm.token.len() {
            0 => return Some(("hsm.token", "there must be one")),
            1..=limits::SEALS_MAX => {}
            _ => return Some(("hsm.token", "there are more tokens than a record has seals")),
        }
        let mut labels: Vec<_> = self.tokens().map(|token| &token.label).collect();
        labels.sort_unstable();
        if labels.windows(2).any(|pair| pair[0] == pair[1]) {
            return Some(("hsm.token.label", "each token needs a label of its own"));
        }
        if self.environment == Environment::Production && self.host_pin_processing.is_none() {
            return Some((
                "host_pin_processing",
                "production needs `accepted-by: <name>, <date>`: PINs are clear in this process",
            ));
        }
        if self.environment == Environment::Production && self.listen.reflection {
            return Some(("listen.reflection", "production does not serve reflection"));
        }
        if self
            .listen
            .metrics
            .is_some_and(|address| !address.ip().is_loopback())
        {
            let why = "is plaintext: give a loopback address, and a collector on this machine";
            return Some(("listen.metrics", why));
        }
        self.pin_verification.fault().or(self.limits.fault())
    }

    /// Every token, the one first that makes the keys which stay in one.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.hsm.token.iter()
    }

    fn resolve(&mut self, folder: &Path) {
        for token in &mut self.hsm.token {
            for file in std::iter::once(&mut token.pin_file).chain(&mut token.embedded) {
                *file = folder.join(&*file);
            }
            // A name has neither.
            if let Some(profile) = &mut token.profile
                && (profile.contains('/') || profile.ends_with(".toml"))
            {
                *profile = folder.join(&*profile).to_string_lossy().into_owned();
            }
        }
        let files = [
            &mut self.store.path,
            &mut self.audit.path,
            &mut self.listen.certificate,
            &mut self.listen.private_key,
            &mut self.listen.client_ca,
            &mut self.policy.path,
        ];
        for file in files.into_iter().chain(&mut self.store.checkpoint) {
            *file = folder.join(&*file);
        }
    }
}

impl Token {
    fn fault(&self, environment: Environment) -> Option<(&'static str, &'static str)> {
        let workers = 1..=limits::POOL_WORKERS_MAX;
        match (&self.library, &self.embedded) {
            (None, None) => return Some(("hsm.token", "needs `library` or `embedded`")),
            (Some(_), Some(_)) => return Some(("hsm.token", "has both `library` and `embedded`")),
            (Some(library), None) if !library.is_absolute() => {
                return Some((
                    "hsm.token.library",
                    "must be an absolute path: it becomes code",
                ));
            }
            (None, Some(_)) if environment == Environment::Production => {
                return Some(("hsm.token.embedded", "production refuses a software token"));
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        let classes = [self.symmetric_workers, self.asymmetric_workers];
        if !classes.iter().all(|class| workers.contains(class)) {
            return Some(("hsm.token", "workers must be 1 to 64 per class"));
        }
        (!limits::TOKEN_CALL_TIMEOUTS.contains(&self.call_timeout()))
            .then_some(("hsm.token.call_timeout_ms", "must be 50 to 60000"))
    }
}

impl Token {
    /// How long one call may take before it counts as hung.
    #[must_use]
    pub fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }
}

impl Acceptance {
    /// The sentence, for the log line at every start.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Acceptance {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let named = text
            .strip_prefix("accepted-by: ")
            .and_then(|rest| rest.rsplit_once(", "));
        match named {
            Some((name, date)) if !name.trim().is_empty() && is_date(date) => Ok(Self(text)),
            _ => Err("must read `accepted-by: <name>, <yyyy-mm-dd>`"),
        }
    }
}

impl PinVerification {
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let Self {
            failures_per_pan_day,
            failures_per_caller_minute,
        } = self;
        if !(1..=limits::PAN_FAILURES_DAY_MAX).contains(failures_per_pan_day) {
            return Some(("pin_verification.failures_per_pan_day", "must be 1 to 100"));
        }
        if !(1..=limits::CALLER_FAILURES_MINUTE_MAX).contains(failures_per_caller_minute) {
            return Some((
                "pin_verification.failures_per_caller_minute",
                "must be 1 to 100000",
            ));
        }
        None
    }
}

impl Default for PinVerification {
    fn default() -> Self {
        Self {
            failures_per_pan_day: limits::PAN_FAILURES_DAY,
            failures_per_caller_minute: limits::CALLER_FAILURES_MINUTE,
        }
    }
}

impl Limits {
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let Self {
            calls_in_flight,
            deadline_default_ms,
            deadline_max_ms,
        } = self;
        if !(1..=limits::CALLS_IN_FLIGHT_MAX).contains(calls_in_flight) {
            return Some(("limits.calls_in_flight", "must be 1 to 4096"));
        }
        if Duration::from_millis(*deadline_max_ms) > limits::DEADLINE_MAX {
            return Some(("limits.deadline_max_ms", "must be at most 10000"));
        }
        if *deadline_default_ms == 0 || deadline_default_ms > deadline_max_ms {
            return Some(("limits.deadline_default_ms", "must be 1 to deadline_max_ms"));
        }
        None
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_in_flight: limits::CALLS_IN_FLIGHT_MAX,
            deadline_default_ms: milliseconds(limits::DEADLINE_DEFAULT),
            deadline_max_ms: milliseconds(limits::DEADLINE_MAX),
        }
    }
}

fn one_worker() -> usize {
    1
}

fn usual_call_timeout() -> u64 {
    milliseconds(limits::TOKEN_CALL_TIMEOUT)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn is_date(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        environment = "production"
        host_pin_processing = "accepted-by: A. Person, 2026-01-31"
        [[hsm.token]]
        library = "/usr/lib/module.so"
        label = "pintle"
        pin_file = "pin"
        [store]
        path = "store.sqlite"
        [audit]
        path = "/var/log/audit"
        [listen]
        data = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        certificate = "a"
        private_key = "b"
        client_ca = "c"
        [policy]
        path = "policy.toml"
    "#;

    fn edited(from: &str, to: &str) -> Result<Server, toml::de::Error> {
        assert!(FILE.contains(from));
        toml::from_str(&FILE.replace(from, to))
    }

    #[test]
    fn the_documented_file_is_accepted_and_relative_paths_follow_it() {
        let mut server = edited("pintle", "pintle").unwrap();
        assert_eq!(server.fault(), None);
        server.resolve(Path::new("/etc/pintle"));
        assert_eq!(server.store.path, Path::new("/etc/pintle/store.sqlite"));
        assert_eq!(server.audit.path, Path::new("/var/log/audit"));
    }

    #[test]
    fn production_without_the_acceptance_of_host_pin_processing_is_refused() {
        let line = "host_pin_processing = \"accepted-by: A. Person, 2026-01-31\"";
        let server = edited(line, "").unwrap();
        assert_eq!(server.fault().unwrap().0, "host_pin_processing");
    }

    #[test]
    fn metrics_stay_on_this_machine() {
        for (address, fault) in [
            ("127.0.0.1:9464", None),
            ("[::1]:9464", None),
            ("0.0.0.0:9464", Some("listen.metrics")),
            ("10.0.0.1:9464", Some("listen.metrics")),
        ] {
            let listen = format!("[listen]\nmetrics = \"{address}\"");
            let server = edited("[listen]", &listen).unwrap();
            assert_eq!(server.fault().map(|(key, _)| key), fault, "{address}");
        }
    }

    #[test]
    fn every_token_is_as_strictly_read_as_the_first() {
        let other = |line: &str, label: &str| {
            let entry = format!(
                "[[hsm.token]]\n{line}\nlabel = \"{label}\"\npin_file = \"other-pin\"\n[store]"
            );
            edited("[store]", &entry).unwrap()
        };
        let library = "library = \"/usr/lib/other.so\"";
        let mut good = other(library, "other");
        assert_eq!(good.fault(), None);
        good.resolve(Path::new("/etc/pintle"));
        let files = good.tokens().map(|token| token.pin_file.clone());
        let expected = ["/etc/pintle/pin", "/etc/pintle/other-pin"];
        assert_eq!(files.collect::<Vec<_>>(), expected.map(PathBuf::from));
        for (line, label, key) in [
            (library, "pintle", "hsm.token.label"),
            ("embedded = \"x\"", "other", "hsm.token.embedded"),
            ("library = \"lib.so\"", "other", "hsm.token.library"),
            ("", "other", "hsm.token"),
        ] {
            assert_eq!(other(line, label).fault().map(|fault| fault.0), Some(key));
        }
    }

    #[test]
    fn there_are_one_to_eight_tokens_and_a_call_has_50_ms_to_a_minute() {
        let none = edited("[store]", "[store]").unwrap();
        let none = Server {
            hsm: Hsm { token: vec![] },
            ..none
        };
        assert_eq!(none.fault().unwrap().0, "hsm.token");
        let more: String = (0..8)
            .map(|at| {
                format!("[[hsm.token]]\nlibrary = \"/x\"\nlabel = \"{at}\"\npin_file = \"p\"\n")
            })
            .collect();
        let nine = edited("[store]", &format!("{more}[store]")).unwrap();
        assert_eq!(nine.fault().unwrap().0, "hsm.token");
        let timeout = |ms| {
            let line = format!("label = \"pintle\"\ncall_timeout_ms = {ms}");
            edited("label = \"pintle\"", &line).unwrap().fault()
        };
        assert_eq!((timeout(50), timeout(60_000)), (None, None));
        for ms in [0, 49, 60_001] {
            assert_eq!(timeout(ms).unwrap().0, "hsm.token.call_timeout_ms");
        }
        let usual = edited("pintle", "pintle").unwrap().hsm.token[0].call_timeout();
        assert_eq!(usual, limits::TOKEN_CALL_TIMEOUT);
    }

    #[test]
    fn an_acceptance_names_a_person_and_a_date() {
        let sentence = "accepted-by: A. Person, 2026-01-31";
        for wrong in [
            "yes",
            "accepted-by: , 2026-01-31",
            "accepted-by: A. Person, soon",
        ] {
            assert!(edited(sentence, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn production_refuses_the_embedded_token_and_reflection() {
        let server = edited("library = \"/usr/lib/module.so\"", "embedded = \"x\"").unwrap();
        assert_eq!(server.fault().unwrap().0, "hsm.token.embedded");
        let server = edited("client_ca = \"c\"", "client_ca = \"c\"\nreflection = true").unwrap();
        assert_eq!(server.fault().unwrap().0, "listen.reflection");
    }

    #[test]
    fn budgets_of_pin_tries_are_within_bounds() {
        let table = |line: &str| {
            let text = format!("[pin_verification]\n{line}\n[store]");
            edited("[store]", &text).unwrap().fault().map(|it| it.0)
        };
        assert_eq!(table(""), None);
        assert_eq!(table("failures_per_pan_day = 3"), None);
        for tries in ["0", "101"] {
            let fault = table(&format!("failures_per_pan_day = {tries}"));
            assert_eq!(fault, Some("pin_verification.failures_per_pan_day"));
        }
        for tries in ["0", "100001"] {
            let fault = table(&format!("failures_per_caller_minute = {tries}"));
            assert_eq!(fault, Some("pin_verification.failures_per_caller_minute"));
        }
    }

    #[test]
    fn words_that_are_not_known_are_refused_in_every_table() {
        for table in [
            "[[hsm.token]]",
            "[store]",
            "[audit]",
            "[listen]",
            "[policy]",
        ] {
            assert!(
                edited(table, &format!("{table}\nunheard_of = 1")).is_err(),
                "{table}"
            );
        }
    }
}
