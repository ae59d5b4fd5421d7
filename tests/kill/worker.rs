//! The worker: opens token, store and catalogue as a server does, tells what it finds, then
//! changes keys and acknowledges each change when a command would say that it is done.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;

use pintle::audit::{Journal, JournalOptions, Record, verify_file};
use pintle::domain::rsa;
use pintle::hsm::{RsaHash, Token};
use pintle::keys::attributes::{Environment, State};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::Error;
use pintle::keys::import::{import_file, import_pkcs8, import_test_value};
use pintle::keys::key_ref::{KeyName, NamedKey};
use pintle::keys::lifecycle;
use pintle::keys::policy::CallerScope;
use pintle::keys::provision;
use pintle::keys::reconcile::reconcile;
use pintle::keys::record::Header;
use pintle::keys::template::Template;
use pintle::secret::Secret;
use pintle::store::Store;
use tokio::runtime::Runtime;

use crate::act::Act;
use crate::place::{Place, soon};
use crate::random::Random;

/// What a worker is to do once it has told what it found.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Nothing.
    Look { life: u64 },
    /// Every kind of change once.
    Script { life: u64 },
    /// So many changes at random.
    Mix { life: u64, seed: u64, acts: u64 },
}

impl Plan {
    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| words[at].parse().unwrap();
        match words[0] {
            "look" => Self::Look { life: number(1) },
            "script" => Self::Script { life: number(1) },
            _ => Self::Mix {
                life: number(1),
                seed: number(2),
                acts: number(3),
            },
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look { life } => write!(f, "look {life}"),
            Self::Script { life } => write!(f, "script {life}"),
            Self::Mix { life, seed, acts } => write!(f, "mix {life} {seed} {acts}"),
        }
    }
}

/// Not a plan: the token is made.
pub const INIT: &str = "init";
/// The name of the store in the place's folder.
pub const STORE: &str = "store.db";
/// The audit journal.
pub const JOURNAL: &str = "audit.jsonl";
/// The RSA key that is brought in, PKCS #8 in PEM.
pub const PEM: &str = "rsa.pem";

pub fn run(place: &Place, plan: &str) {
    if plan == INIT {
        return place.initialize();
    }
    let plan = Plan::parse(plan);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let worker = Worker::start(place).await;
        tell("serving");
        let headers = worker.tell_what_is_there().await;
        tell("ready");
        worker.carry_out(plan, headers).await;
    });
}

struct Worker<'a> {
    place: &'a Place,
    token: Token,
    catalogue: Catalogue,
    journal: Journal,
    tenant: KeyName,
}

impl<'a> Worker<'a> {
    async fn start(place: &'a Place) -> Self {
        let token = Token::open(&place.config()).unwrap();
        let store = Store::open(&place.folder.join(STORE)).unwrap();
        let options = CatalogueOptions::new(Environment::Test);
        let catalogue = Catalogue::open(store, token.clone(), options).unwrap();
        reconcile(&catalogue).await.unwrap();
        let journal = place.folder.join(JOURNAL);
        let journal = Journal::open(&journal, JournalOptions::default()).unwrap();
        token.probe(soon()).await.unwrap();
        Self {
            place,
            token,
            catalogue,
            journal,
            tenant: KeyName::parse("default").unwrap(),
        }
    }

    /// Every record, each proved to be usable; and whatever is wrong.
    async fn tell_what_is_there(&self) -> Vec<Header> {
        let mut headers = Vec::new();
        let mut objects = BTreeSet::new();
        for listed in self.catalogue.list(None, soon()).await.unwrap() {
            match listed.header {
                Err(error) => wrong(&format!("{}: {error}", listed.id)),
                Ok(header) => {
                    self.prove(&header).await;
                    objects.extend(header.token_object);
                    let Header { name, version, .. } = &header;
                    tell(&format!("record {name} {version} {}", header.state));
                    headers.push(header);
                }
            }
        }
        for object in self.token.key_report(soon()).await.unwrap() {
            let id = <[u8; 16]>::try_from(object.id.as_slice());
            let is_named = id.is_ok_and(|id| objects.contains(&id));
            if object.label == "pintle-rsa" && !is_named {
                wrong(&format!(
                    "no record names object {}",
                    hex::encode(object.id)
                ));
            }
        }
        self.look_into_the_files();
        headers
    }

    /// Opens the key as a call does; an RSA key signs.
    async fn prove(&self, header: &Header) {
        let scope = CallerScope::new("default", ["*"]).unwrap();
        let key = NamedKey::parse(header.name.as_str(), header.version).unwrap();
        let opened = self.catalogue.resolve(&scope, &key, soon()).await;
        if let Err(error) = opened {
            wrong(&format!("{} does not open: {error}", header.name));
        }
        if let (Some(object), Some(public)) = (header.token_object, &header.public_key) {
            let message = header.name.as_str().as_bytes().to_vec();
            let signed = self
                .token
                .sign_rsa(soon(), object, RsaHash::Sha256, message.clone());
            let public = rsa::PublicKey::from_spki(public).unwrap();
            let verified = match signed.await {
                Err(error) => Err(error.to_string()),
                Ok(signature) => rsa::verify(&public, rsa::Hash::Sha256, &message, &signature)
                    .map_err(|error| error.to_string()),
            };
            if let Err(error) = verified {
                wrong(&format!("{} does not sign: {error}", header.name));
            }
        }
    }

    fn look_into_the_files(&self) {
        let file = rusqlite::Connection::open(self.place.folder.join(STORE)).unwrap();
        let intents: u32 = file
            .query_row("SELECT count(*) FROM document", [], |row| row.get(0))
            .unwrap();
        if intents > 0 {
            wrong(&format!("{intents} intents are left"));
        }
        let sound: String = file
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        if sound != "ok" {
            wrong(&sound);
        }
        if let Err(broken) = verify_file(&self.place.folder.join(JOURNAL)) {
            wrong(&format!("the journal: {broken}"));
        }
        for entry in std::fs::read_dir(&self.place.folder).unwrap() {
            let path = entry.unwrap().path();
            let is_new_store = path.to_str().is_some_and(|path| path.ends_with(".new.db"));
            if is_new_store && let Err(error) = Store::open(&path) {
                wrong(&format!("{}: {error}", path.display()));
            }
        }
    }

    async fn carry_out(&self, plan: Plan, mut headers: Vec<Header>) {
        match plan {
            Plan::Look { .. } => {}
            Plan::Script { life } => {
                for number in 0..KINDS {
                    let act = next(number, life, number, &headers, &mut Random::new(life));
                    self.acknowledge(life, number, act, &mut headers).await;
                }
            }
            Plan::Mix { life, seed, acts } => {
                let mut random = Random::new(seed);
                for number in 0..acts {
                    // Keys made in the token take most of the time: fewer of them.
                    let kind = match random.below(KINDS + 6) {
                        kind if kind < KINDS => kind,
                        other => (other - KINDS) % 3 * 2,
                    };
                    let act = next(kind, life, number, &headers, &mut random);
                    self.acknowledge(life, number, act, &mut headers).await;
                }
            }
        }
    }

    async fn acknowledge(&self, life: u64, number: u64, act: Act, headers: &mut Vec<Header>) {
        tell(&format!("try {act}"));
        if let Err(error) = self.do_it(&act, headers).await {
            wrong(&format!("{act}: {error}"));
        }
        // As the request path does: what was done is on the disk before it is answered.
        let record = Record {
            caller: "kill-loop".to_owned(),
            rpc: "kill-loop",
            request_id: format!("{life}-{number}"),
            keys: Vec::new(),
            outcome: "OK",
            reason: None,
        };
        self.journal.append(record).await.unwrap();
        tell("done");
    }

    async fn do_it(&self, act: &Act, headers: &mut Vec<Header>) -> Result<(), Error> {
        let (catalogue, tenant) = (&self.catalogue, &self.tenant);
        match act {
            Act::Create(name) => self.apply(&symmetric(name)).await,
            Act::CreateRsa(name) => self.apply(&signing(name)).await,
            Act::Import(name) => {
                let spec = template(&symmetric(name)).keys()[0].clone();
                let value = Secret::new(hex::decode(VALUE).unwrap());
                headers.push(import_test_value(catalogue, tenant, spec, value).await?);
                Ok(())
            }
            Act::ImportRsa(name) => {
                let spec = template(&signing(name)).keys()[0].clone();
                let pem = std::fs::read_to_string(self.place.folder.join(PEM)).unwrap();
                headers.push(import_pkcs8(catalogue, tenant, spec, &Secret::new(pem)).await?);
                Ok(())
            }
            Act::ImportFile([first, second, third]) => {
                let path = self.place.folder.join("import.toml");
                let text = format!(
                    "environment = \"test\"\n{}value = \"{VALUE}\"\n{}pkcs8 = \"{PEM}\"\n\
                     {}value = \"{VALUE}\"\n",
                    symmetric(first),
                    signing(second),
                    symmetric(third)
                );
                std::fs::write(&path, text).unwrap();
                headers.extend(import_file(catalogue, &path, tenant).await?);
                Ok(())
            }
            Act::SetState(name, version, to) => {
                let name = KeyName::parse(name).unwrap();
                let to = State::from_word(to).unwrap();
                let new = lifecycle::set_state(catalogue, tenant, &name, *version, to).await?;
                headers.retain(|header| header.id() != new.id());
                headers.push(new);
                Ok(())
            }
            Act::NewStore(name) => {
                Store::open(&self.place.folder.join(name)).unwrap();
                Ok(())
            }
        }
    }

    async fn apply(&self, text: &str) -> Result<(), Error> {
        provision::apply(&self.catalogue, &template(text), &self.tenant).await?;
        Ok(())
    }
}

/// Kinds of change.
const KINDS: u64 = 7;

/// A change of a kind, to a key of its own or to one that is there.
fn next(kind: u64, life: u64, number: u64, headers: &[Header], random: &mut Random) -> Act {
    let name = |part: &str| format!("k{life}-{number}{part}");
    match kind {
        0 => Act::Create(name("")),
        1 => Act::CreateRsa(name("")),
        2 => Act::Import(name("")),
        3 => Act::ImportRsa(name("")),
        4 => {
            let at = random.below(headers.len() as u64);
            match headers.get(usize::try_from(at).unwrap()) {
                Some(header) => {
                    let to = match header.state {
                        State::Disabled => State::Active,
                        _ => State::Disabled,
                    };
                    let name = header.name.to_string();
                    Act::SetState(name, header.version, to.to_string())
                }
                None => Act::Create(name("")),
            }
        }
        5 => Act::ImportFile(["-a", "-b", "-c"].map(name)),
        _ => Act::NewStore(name(".new.db")),
    }
}

fn template(text: &str) -> Template {
    Template::parse(Path::new("kill.toml"), text).unwrap()
}

fn symmetric(name: &str) -> String {
    format!(
        "[[key]]\nname = \"{name}\"\nusage = \"mac_cmac\"\nmode = \"generate_and_verify\"\n\
         algorithm = \"AES-128\"\nmac = {{ scheme = \"CMAC_AES\", length = 8 }}\n"
    )
}

fn signing(name: &str) -> String {
    format!(
        "[[key]]\nname = \"{name}\"\nusage = \"signature\"\nmode = \"sign\"\n\
         algorithm = \"RSA-2048\"\nsignature = {{ scheme = \"RSA2\" }}\n"
    )
}

/// FIPS 197, appendix A.1.
const VALUE: &str = "2b7e151628aed2a6abf7158809cf4f3c";

fn wrong(what: &str) {
    tell(&format!("wrong {}", what.replace('\n', " ")));
}

/// In one write, so that a kill leaves the line whole or absent.
fn tell(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}
