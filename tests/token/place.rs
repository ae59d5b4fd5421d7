//! A folder with one token in it, and the child process that uses it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use pintle::hsm::{Module, ProfileChoice, Token, TokenConfig};
use pintle::secret::Secret;

use shim::Shim;

pub const LABEL: &str = "pintle-test";
pub const PIN: &str = "1234-user";
pub const SO_PIN: &str = "5678-officer";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    SoftHsm,
}

pub struct Place {
    pub kind: Kind,
    pub folder: PathBuf,
    // Pintle's module, where a shim stands before it: SoftHSM always, the embedded token if asked.
    pub shim: Option<PathBuf>,
}

#[path = "../support/shim.rs"]
mod shim;

const SM2_FILE: &str = "softhsm-sm2.toml";
const KIND: &str = "PINTLE_TEST_TOKEN";
const FOLDER: &str = "PINTLE_TEST_FOLDER";
const SHIM: &str = "PINTLE_TEST_SHIM";

impl Place {
    pub fn prepare(kind: Kind, folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("tokens")).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            folder.join("tokens").display()
        );
        std::fs::write(folder.join("softhsm2.conf"), configuration).unwrap();
        let shim = (kind == Kind::SoftHsm).then(|| match softhsm() {
            Module::Library(real) => Shim::over(&real, folder, "softhsm").library,
            Module::Embedded { .. } => panic!("SoftHSM is a library"),
        });
        Self {
            kind,
            folder: folder.to_path_buf(),
            shim,
        }
    }

    /// The embedded token behind a shim: what it is asked is recorded as SoftHSM's is.
    pub fn prepare_shimmed(folder: &Path) -> Self {
        let place = Self::prepare(Kind::Embedded, folder);
        std::fs::create_dir(folder.join("embedded")).unwrap();
        let token = folder.join("embedded").join("token.sql");
        Self {
            shim: Some(Shim::over_embedded(&token, folder, "embedded").library),
            ..place
        }
    }

    /// SoftHSM behind a shim that acts as having SM2.
    pub fn prepare_with_sm2(folder: &Path) -> Self {
        let place = Self::prepare(Kind::SoftHsm, folder);
        let Module::Library(real) = softhsm() else {
            panic!("SoftHSM is a library");
        };
        std::fs::write(folder.join(SM2_FILE), shim::SM2_PROFILE).unwrap();
        Self {
            shim: Some(Shim::with_sm2(&real, folder, "sm2").library),
            ..place
        }
    }

    /// The configuration with the profile that has its numbers.
    pub fn config_with_sm2(&self) -> TokenConfig {
        TokenConfig {
            profile: Some(ProfileChoice::File(self.folder.join(SM2_FILE))),
            ..self.config()
        }
    }

    pub fn from_environment() -> Self {
        Self {
            kind: match std::env::var(KIND).unwrap().as_str() {
                "Embedded" => Kind::Embedded,
                _ => Kind::SoftHsm,
            },
            folder: std::env::var_os(FOLDER).unwrap().into(),
            shim: std::env::var_os(SHIM).map(PathBuf::from),
        }
    }

    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env(KIND, format!("{:?}", self.kind))
            .env(FOLDER, &self.folder)
            .env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))
            .envs(self.shim.as_ref().map(|shim| (SHIM, shim)));
        command
    }

    pub fn module(&self) -> Module {
        if let Some(shim) = &self.shim {
            return Module::Library(shim.clone());
        }
        match self.kind {
            Kind::Embedded => Module::Embedded {
                dir: self.folder.join("embedded"),
            },
            Kind::SoftHsm => softhsm(),
        }
    }

    /// Gives the shim a command; the module must be loaded.
    pub fn tell_shim(&self, command: &str) {
        Shim::at(self.shim.as_ref().unwrap()).tell(command);
    }

    /// Whether the token has CKM_EXTRACT_KEY_FROM_KEY; SoftHSM 2.6.1 has not.
    pub fn derives(&self) -> bool {
        self.kind == Kind::Embedded
    }

    pub fn config(&self) -> TokenConfig {
        TokenConfig {
            module: self.module(),
            label: LABEL.to_owned(),
            pin: secret_pin(PIN),
            symmetric_workers: 1,
            asymmetric_workers: 1,
            call_timeout: pintle::limits::TOKEN_CALL_TIMEOUT,
            profile: None,
        }
    }

    /// A token with its master keys, open.
    pub fn token(&self) -> Token {
        self.initialize();
        Token::open(&self.config()).unwrap()
    }

    pub fn initialize(&self) {
        let so_pin = Secret::new(SO_PIN.to_owned());
        Token::initialize(&self.config(), Some(&so_pin)).unwrap();
    }

    /// Takes the token's folder away. The embedded token works on in its open file, until the module
    /// is finalised.
    pub fn hide(&self) {
        std::fs::rename(self.token_folder(), self.folder.join("hidden")).unwrap();
        if self.kind == Kind::Embedded {
            Pkcs11::new_from_self().unwrap().finalize().unwrap();
        }
    }

    /// Puts it back.
    pub fn show(&self) {
        std::fs::rename(self.folder.join("hidden"), self.token_folder()).unwrap();
    }

    fn token_folder(&self) -> PathBuf {
        self.folder.join(match self.kind {
            Kind::Embedded => "embedded",
            Kind::SoftHsm => "tokens",
        })
    }

    /// Another token under the same label and PIN in the place of this one: on SoftHSM without master
    /// keys, on the embedded one with others.
    pub fn make_anew(&self) {
        match self.kind {
            Kind::SoftHsm => {
                let made = Command::new("softhsm2-util")
                    .args(["--init-token", "--token", LABEL, "--label", LABEL])
                    .args(["--so-pin", SO_PIN, "--pin", PIN])
                    .env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))
                    .output()
                    .unwrap();
                assert!(made.status.success(), "{made:?}");
            }
            Kind::Embedded => {
                let other = self.folder.join("other");
                let config = TokenConfig {
                    module: Module::Embedded { dir: other.clone() },
                    ..self.config()
                };
                Token::initialize(&config, None).unwrap();
                self.hide();
                std::fs::create_dir(self.token_folder()).unwrap();
                let file = "token.sql";
                std::fs::copy(other.join(file), self.token_folder().join(file)).unwrap();
            }
        }
    }

    /// The module as an attacker in this process has it, after [`Token`] initialised it.
    pub fn attacker(&self) -> Attacker {
        // Not through the shim: what an attacker asks is not what Pintle asks.
        let pkcs11 = match (self.kind, softhsm()) {
            (Kind::SoftHsm, Module::Library(path)) => Pkcs11::new(path).unwrap(),
            _ => Pkcs11::new_from_self().unwrap(),
        };
        let slot = pkcs11
            .get_slots_with_initialized_token()
            .unwrap()
            .into_iter()
            .find(|slot| pkcs11.get_token_info(*slot).unwrap().label() == LABEL)
            .unwrap();
        let session = pkcs11.open_rw_session(slot).unwrap();
        // Login is per process: it may hold already.
        let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
        Attacker { session }
    }
}

/// A session of somebody who has the PIN and the module, and none of our code.
pub struct Attacker {
    pub session: Session,
}

impl Attacker {
    pub fn find(&self, label: &str) -> Vec<ObjectHandle> {
        let template = [
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        self.session.find_objects(&template).unwrap()
    }

    /// The secret or private object of this label.
    pub fn master(&self, label: &str) -> ObjectHandle {
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        self.session.find_objects(&template).unwrap()[0]
    }
}

/// Debian's SoftHSM; a machine without it fails.
pub fn softhsm() -> Module {
    let Some(module) = Module::softhsm() else {
        panic!("SoftHSM must be installed for this test");
    };
    module
}

pub fn secret_pin(pin: &str) -> Arc<Secret<String>> {
    Arc::new(Secret::new(pin.to_owned()))
}

/// Time enough for anything a token does here.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The error of something that must not succeed; `Secret` and tokens have no `Debug`.
pub fn refusal<T>(result: Result<T, pintle::hsm::Error>) -> pintle::hsm::Error {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error,
    }
}
