//! The worker: opens token, store and catalogue as a server does, tells what it finds, then
//! changes keys and acknowledges each change when a command would say that it is done.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pintle::audit::{Journal, JournalOptions, Record, verify_file};
use pintle::domain::{rsa, sm2};
use pintle::hsm::{RsaHash, Token, TokenConfig};
use pintle::keys::act::Act as Asked;
use pintle::keys::attributes::{Algorithm, Environment, Residence, State, Usage};
use pintle::keys::backup;
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::enrol;
use pintle::keys::error::Error;
use pintle::keys::import::{import_file, import_pkcs8, import_test_value};
use pintle::keys::key_ref::{KeyName, NamedKey};
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::policy::CallerScope;
use pintle::keys::reconcile::reconcile;
use pintle::keys::record::Header;
use pintle::keys::rotation;
use pintle::keys::spec::KeySpec;
use pintle::keys::template::Template;
use pintle::limits;
use pintle::secret::Secret;
use pintle::store::Store;
use tokio::runtime::Runtime;

use crate::UNDER_WAY;
use crate::act::{Act, Sort};
use crate::place::{Kind, Place, soon};
use crate::plan::{self, Plan};
use crate::random::Random;

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
        second(place).initialize();
        return place.initialize();
    }
    let plan = Plan::parse(plan);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut worker = Worker::start(place).await;
        tell("serving");
        worker.tell_what_was_answered().await;
        let headers = worker.tell_what_is_there().await;
        tell("ready");
        worker.carry_out(plan, headers).await;
    });
}

type AnyError = Box<dyn std::error::Error>;

struct Worker<'a> {
    place: &'a Place,
    token: Token,
    second: Option<Token>,
    catalogue: Catalogue,
    journal: Journal,
    tenant: KeyName,
}

impl<'a> Worker<'a> {
    async fn start(place: &'a Place) -> Self {
        let token = Token::open(&config(place)).unwrap();
        let is_configured = place.folder.join(CONFIGURED).exists();
        let second = is_configured.then(|| open_second(place));
        let catalogue = open(place, &token, second.as_slice());
        reconcile(&catalogue).await.unwrap();
        let journal = place.folder.join(JOURNAL);
        let journal = Journal::open(&journal, JournalOptions::default()).unwrap();
        token.probe(soon()).await.unwrap();
        Self {
            place,
            token,
            second,
            catalogue,
            journal,
            tenant: KeyName::parse("default").unwrap(),
        }
    }

    /// Whether who repeats the request that was under way gets its answer.
    async fn tell_what_was_answered(&self) {
        if let Some(request) = std::env::var(UNDER_WAY).ok().filter(|id| !id.is_empty()) {
            let asked = asked(&request).unwrap();
            let repeated = asked.repeated(&self.catalogue).await.unwrap();
            tell(&format!("answered {}", repeated.is_some()));
        }
    }

    /// Every record, each proved to be usable; and whatever is wrong.
    async fn tell_what_is_there(&self) -> Vec<Header> {
        let mut headers = Vec::new();
        let mut named = BTreeSet::new();
        for listed in self.catalogue.list(None, soon()).await.unwrap() {
            match listed.header {
                Err(error) => wrong(&format!("{}: {error}", listed.id)),
                Ok(header) => {
                    self.prove(&header).await;
                    if header.state != State::Destroyed {
                        named.extend(header.token_object);
                    }
                    let Header { name, version, .. } = &header;
                    tell(&format!("record {name} {version} {}", header.state));
                    headers.push(header);
                }
            }
        }
        let mut there = BTreeSet::new();
        for object in self.token.key_report(soon()).await.unwrap() {
            if OBJECTS.contains(&object.label.as_str()) {
                there.insert(<[u8; 16]>::try_from(object.id.as_slice()).unwrap());
            }
        }
        for object in named.symmetric_difference(&there) {
            let missing = if named.contains(object) {
                "token"
            } else {
                "catalogue"
            };
            wrong(&format!(
                "object {} is not in the {missing}",
                hex::encode(object)
            ));
        }
        self.prove_by_the_second(&headers).await;
        self.look_into_the_files();
        headers
    }

    /// Opens the key as a call does; a signing key in the token signs.
    async fn prove(&self, header: &Header) {
        let scope = CallerScope::new("default", ["*"]).unwrap();
        let key = NamedKey::parse(header.name.as_str(), header.version).unwrap();
        let opened = self.catalogue.resolve(&scope, &key, soon()).await;
        if let Err(error) = opened {
            wrong(&format!("{} does not open: {error}", header.name));
        }
        let signs = header.usage == Usage::Signature && header.state != State::Destroyed;
        if let (true, Some(object), Some(public)) = (signs, header.token_object, &header.public_key)
        {
            let signed = if header.algorithm == Algorithm::Sm2 {
                self.signs_by_sm2(object, public).await
            } else {
                self.signs_by_rsa(object, public).await
            };
            if let Err(error) = signed {
                wrong(&format!("{} does not sign: {error}", header.name));
            }
        }
    }

    async fn signs_by_rsa(&self, object: [u8; 16], public: &[u8]) -> Result<(), AnyError> {
        let hash = RsaHash::Sha256;
        let signed = self.token.sign_rsa(soon(), object, hash, MESSAGE.to_vec());
        let public = rsa::PublicKey::from_spki(public)?;
        rsa::verify(&public, rsa::Hash::Sha256, MESSAGE, &signed.await?)?;
        Ok(())
    }

    async fn signs_by_sm2(&self, object: [u8; 16], public: &[u8]) -> Result<(), AnyError> {
        let public = sm2::PublicKey::from_spki(public)?;
        let e = sm2::digest(&public, sm2::ID_DEFAULT, MESSAGE);
        let signed = self.token.sign_sm2(soon(), object, e).await?;
        sm2::verify_digest(&public, &e, &sm2::Signature::from_raw(&signed)?)?;
        Ok(())
    }

    /// Whether the token keeps SM2 keys.
    fn has_sm2(&self) -> bool {
        self.place.kind == Kind::SoftHsm
    }

    /// Once a token is enrolled, it alone opens everything that can leave the other.
    async fn prove_by_the_second(&self, headers: &[Header]) {
        let is_enrolled = self.place.folder.join(ENROLLED).exists();
        let Some(second) = self.second.as_ref().filter(|_| is_enrolled) else {
            return;
        };
        let listed = open(self.place, second, &[]).list(None, soon()).await;
        for listed in listed.unwrap() {
            let header = headers.iter().find(|header| header.id() == listed.id);
            let leaves = header.is_some_and(|header| header.residence == Residence::Process);
            if let (true, Err(error)) = (leaves, listed.header) {
                wrong(&format!("{} by the second token: {error}", listed.id));
            }
        }
    }

    fn look_into_the_files(&self) {
        let file = rusqlite::Connection::open(self.place.folder.join(STORE)).unwrap();
        let intents = "SELECT count(*) FROM document WHERE kind = 'intent'";
        let intents: u32 = file.query_row(intents, [], |row| row.get(0)).unwrap();
        if intents > 0 {
            wrong(&format!("{intents} intents are left"));
        }
        let sound = "PRAGMA integrity_check";
        let sound: String = file.query_row(sound, [], |row| row.get(0)).unwrap();
        if sound != "ok" {
            wrong(&sound);
        }
        if let Err(broken) = verify_file(&self.place.folder.join(JOURNAL)) {
            wrong(&format!("the journal: {broken}"));
        }
        for entry in std::fs::read_dir(&self.place.folder).unwrap() {
            let path = entry.unwrap().path();
            let ends = |end| path.to_str().is_some_and(|path| path.ends_with(end));
            // Whether it was ever acknowledged or not: what is there is whole.
            if ends(NEW_STORE)
                && let Err(error) = Store::open(&path)
            {
                wrong(&format!("{}: {error}", path.display()));
            }
            if ends(RESTORED) {
                if let Err(error) = backup::verify(&path, &self.token, &|_| ()) {
                    wrong(&format!("{}: {error}", path.display()));
                }
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    async fn carry_out(&mut self, plan: Plan, mut headers: Vec<Header>) {
        match plan {
            Plan::Look { .. } => {}
            Plan::Script { life } => {
                for (number, act) in (0..).zip(plan::script(life, self.has_sm2())) {
                    self.acknowledge(life, number, act, &mut headers).await;
                }
            }
            Plan::Mix { life, seed, acts } => {
                let mut random = Random::new(seed);
                for number in 0..acts {
                    let act = plan::next((life, number), self.has_sm2(), &headers, &mut random);
                    self.acknowledge(life, number, act, &mut headers).await;
                }
            }
        }
    }

    async fn acknowledge(&mut self, life: u64, number: u64, act: Act, headers: &mut Vec<Header>) {
        tell(&format!("try {act}"));
        let request = format!("{life}-{number}");
        match self.do_it(&act, &request).await {
            Ok(name) => self.refresh(name, headers).await,
            Err(error) => wrong(&format!("{act}: {error}")),
        }
        // As the request path does: what was done is on the disk before it is answered.
        let record = Record {
            caller: CALLER.to_owned(),
            rpc: "kill-loop",
            request_id: request,
            keys: Vec::new(),
            outcome: "OK",
            reason: None,
        };
        self.journal.append(record).await.unwrap();
        tell("done");
    }

    /// Carries a change out; answers the key that may change again.
    async fn do_it(&mut self, act: &Act, request: &str) -> Result<Option<KeyName>, Error> {
        let (catalogue, tenant) = (&self.catalogue.clone(), &self.tenant.clone());
        let asked = asked(request)?;
        let folder = &self.place.folder.clone();
        let (name, version) = match act {
            Act::Create(sort, name) => {
                let spec = spec(*sort, name);
                let extras = lifecycle::Extras::default();
                lifecycle::create(catalogue, tenant, &spec, extras, &asked).await?;
                return Ok(Some(spec.name));
            }
            Act::Import(name) => {
                let value = Secret::new(hex::decode(VALUE).unwrap());
                import_test_value(catalogue, tenant, spec(Sort::Sealed, name), value).await?;
                return Ok(None);
            }
            Act::ImportRsa(name) => {
                let pem = Secret::new(std::fs::read_to_string(folder.join(PEM)).unwrap());
                import_pkcs8(catalogue, tenant, spec(Sort::Signing, name), &pem).await?;
                return Ok(KeyName::parse(name).ok());
            }
            Act::ImportFile(names) => {
                let path = folder.join("import.toml");
                std::fs::write(&path, file_of(names)).unwrap();
                import_file(catalogue, &path, tenant).await?;
                return Ok(None);
            }
            Act::Enroll => {
                self.enroll().await?;
                return Ok(None);
            }
            Act::Reseal => {
                let config = config(self.place);
                rotation::rotate_seal(catalogue, &config, &|_| ()).await?;
                rotation::destroy_old_seals(catalogue, &config).await?;
                return Ok(None);
            }
            Act::NewStore(name) => {
                Store::open(&folder.join(format!("{name}{NEW_STORE}"))).unwrap();
                return Ok(None);
            }
            Act::BackUp(name) => {
                self.back_up(name)?;
                return Ok(None);
            }
            Act::Rotate(name, version)
            | Act::SetState(name, version, _)
            | Act::Destroy(name, version)
            | Act::Restore(name, version)
            | Act::End(name, version) => (KeyName::parse(name).unwrap(), *version),
        };
        self.step(act, (&name, version), &asked).await?;
        Ok(Some(name))
    }

    /// A step in the life of a version.
    async fn step(
        &self,
        act: &Act,
        (name, version): (&KeyName, u32),
        asked: &Asked,
    ) -> Result<(), Error> {
        let (catalogue, tenant) = (&self.catalogue, &self.tenant);
        let of = VersionOf {
            tenant,
            name,
            version,
        };
        match act {
            Act::SetState(_, _, to) => {
                let to = State::from_word(to).unwrap();
                lifecycle::set_state(catalogue, of, to, asked).await?;
            }
            Act::Destroy(..) => {
                lifecycle::destroy(catalogue, of, limits::DESTROY_WAIT_DAYS, asked).await?;
            }
            Act::Restore(..) => {
                lifecycle::restore(catalogue, of, asked).await?;
            }
            Act::End(..) => {
                let after = SystemTime::UNIX_EPOCH.elapsed().unwrap() + AFTER_THE_WAIT;
                lifecycle::sweep(catalogue, (tenant, name), after.as_secs()).await?;
            }
            _ => {
                lifecycle::rotate(catalogue, (tenant, name), None, None, asked).await?;
            }
        }
        Ok(())
    }

    /// An operator names the second token in the configuration, then has it enrolled.
    async fn enroll(&mut self) -> Result<(), Error> {
        let second = match self.second.take() {
            Some(second) => second,
            None => {
                std::fs::write(self.place.folder.join(CONFIGURED), "").unwrap();
                let second = open_second(self.place);
                self.catalogue = open(self.place, &self.token, std::slice::from_ref(&second));
                second
            }
        };
        let id = second.id();
        self.second = Some(second);
        enrol::enroll(&self.catalogue, id, &|_| ()).await?;
        std::fs::write(self.place.folder.join(ENROLLED), "").unwrap();
        Ok(())
    }

    fn back_up(&self, name: &str) -> Result<(), Error> {
        let path = |end: &str| self.place.folder.join(format!("{name}{end}"));
        let (store, copy) = (self.place.folder.join(STORE), path(".copy"));
        backup::back_up(&store, &copy, &self.token, &|_, _| (), &|_| ())?;
        backup::restore(&copy, &path(RESTORED), &self.token, &|_, _| (), &|_| ())?;
        std::fs::remove_file(copy).unwrap();
        Ok(())
    }

    async fn refresh(&self, name: Option<KeyName>, headers: &mut Vec<Header>) {
        if let Some(name) = name {
            headers.retain(|header| header.name != name);
            let versions = lifecycle::versions(&self.catalogue, &self.tenant, &name);
            headers.extend(versions.await.unwrap());
        }
    }
}

/// The catalogue of the place's store, by these tokens.
fn open(place: &Place, token: &Token, others: &[Token]) -> Catalogue {
    let store = Store::open(&place.folder.join(STORE)).unwrap();
    let options = CatalogueOptions::new(Environment::Test);
    let tokens = (token.clone(), others.to_vec());
    Catalogue::open_among(store, tokens, options, &|_| ()).unwrap()
}

/// How the token is opened that dies.
fn config(place: &Place) -> TokenConfig {
    match place.kind {
        Kind::Embedded => place.config(),
        Kind::SoftHsm => place.config_with_sm2(),
    }
}

/// A token of the other kind, in the same folder.
fn second(place: &Place) -> Place {
    Place {
        kind: match place.kind {
            Kind::Embedded => Kind::SoftHsm,
            Kind::SoftHsm => Kind::Embedded,
        },
        folder: place.folder.clone(),
        shim: None,
    }
}

fn open_second(place: &Place) -> Token {
    Token::open(&second(place).config()).unwrap()
}

fn asked(request: &str) -> Result<Asked, Error> {
    Asked::requested("default", CALLER, request, "kill-loop", request.as_bytes())
}

fn spec(sort: Sort, name: &str) -> KeySpec {
    let path = Path::new("kill.toml");
    Template::parse(path, &entry(sort, name)).unwrap().keys()[0].clone()
}

fn file_of([first, second, third]: &[String; 3]) -> String {
    format!(
        "environment = \"test\"\n{}value = \"{VALUE}\"\n{}pkcs8 = \"{PEM}\"\n\
         {}value = \"{VALUE}\"\n",
        entry(Sort::Sealed, first),
        entry(Sort::Signing, second),
        entry(Sort::Sealed, third)
    )
}

fn entry(sort: Sort, name: &str) -> String {
    let what = match sort {
        Sort::Sealed => {
            "usage = \"mac_cmac\"\nmode = \"generate_and_verify\"\nalgorithm = \"AES-128\"\n\
             mac = { scheme = \"CMAC_AES\", length = 8 }"
        }
        Sort::Signing => {
            "usage = \"signature\"\nmode = \"sign\"\nalgorithm = \"RSA-2048\"\n\
             signature = { scheme = \"RSA2\" }"
        }
        Sort::Wrapped => {
            "usage = \"signature\"\nmode = \"sign\"\nalgorithm = \"RSA-2048\"\n\
             signature = { scheme = \"RSA2\" }\nresidence = \"TOKEN_WRAPPED\""
        }
        Sort::Protecting => {
            "usage = \"key_block_protection\"\nmode = \"encrypt_and_decrypt\"\n\
             algorithm = \"AES-256\"\nmac = { scheme = \"CMAC_AES\", length = 8 }\n\
             key_block = { side = \"terminal\" }"
        }
        Sort::Sm2 => {
            "usage = \"signature\"\nmode = \"sign\"\nalgorithm = \"SM2\"\n\
             signature = { scheme = \"SM2\" }\nresidence = \"TOKEN\""
        }
    };
    format!("[[key]]\nname = \"{name}\"\n{what}\n")
}

/// How keys that are not master keys are labelled in the token.
const OBJECTS: [&str; 4] = [
    "pintle-rsa",
    "pintle-sm2",
    "pintle-transport",
    "pintle-secret",
];
const MESSAGE: &[u8] = b"what a key signs in each life";
const CALLER: &str = "spiffe://example.test/kill-loop";
/// Says that the second token is in the configuration.
const CONFIGURED: &str = "second-token-configured";
/// Says that it was enrolled.
const ENROLLED: &str = "second-token-enrolled";
const NEW_STORE: &str = ".new.db";
const RESTORED: &str = ".restored.db";
/// FIPS 197, appendix A.1.
const VALUE: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const AFTER_THE_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

fn wrong(what: &str) {
    tell(&format!("wrong {}", what.replace('\n', " ")));
}

/// In one write, so that a kill leaves the line whole or absent.
fn tell(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}
