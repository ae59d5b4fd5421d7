//! Where a ceremony takes place: a folder with a token, a store and a configuration, and the
//! commands run in it.

use std::path::Path;
use std::process::{Command, Stdio};

use pintle::hsm::Module;
use portable_pty::CommandBuilder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    SoftHsm,
}

pub struct Hall {
    folder: tempfile::TempDir,
}

/// What a ceremony's key is.
pub struct Key {
    pub name: &'static str,
    /// The entry's lines behind the name.
    pub entry: &'static str,
    pub bytes: usize,
}

pub const ZPK: Key = Key {
    name: "zpk-switch",
    entry: "usage = \"pin_encryption\"\nmode = \"decrypt\"\nside = \"zone\"\nalgorithm = \"TDES-2\"\n\
            pin = { inputs = [\"ISO_0\"] }",
    bytes: 16,
};

pub const AES: Key = Key {
    name: "zpk-aes",
    entry: "usage = \"pin_encryption\"\nmode = \"encrypt\"\nside = \"zone\"\nalgorithm = \"AES-256\"\n\
            pin = { output = \"ISO_4\" }",
    bytes: 32,
};

pub const HMAC: Key = Key {
    name: "mac-partner",
    entry: "usage = \"mac_hmac\"\nmode = \"generate_and_verify\"\nalgorithm = \"HMAC-SHA256\"\n\
            mac = { scheme = \"HMAC_SHA256\", length = 32 }",
    bytes: 32,
};

/// A zone's key-encryption key: it belongs into the token.
pub const ZMK: Key = Key {
    name: "zmk-switch",
    entry: "usage = \"key_encryption\"\nmode = \"decrypt\"\nside = \"zone\"\nalgorithm = \"TDES-2\"\n\
            cryptogram = { usages = [\"pin_encryption\"] }",
    bytes: 16,
};

impl Hall {
    /// With a token whose master keys are made.
    pub fn new(kind: Kind) -> Self {
        let hall = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(hall.path().join("tokens")).unwrap();
        let tokens = hall.path().join("tokens");
        hall.write(
            "softhsm2.conf",
            &format!("directories.tokendir = {}\n", tokens.display()),
        );
        for pin in ["user.pin", "so.pin"] {
            hall.write(pin, &format!("{pin}-12345\n"));
            let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(hall.path().join(pin), only_us).unwrap();
        }
        hall.configure(kind, "environment = \"test\"");
        hall.must(&["init", "--create-token-so-pin-file", "so.pin"]);
        hall
    }

    /// Writes the configuration, beginning with `head`.
    pub fn configure(&self, kind: Kind, head: &str) {
        let module = match kind {
            Kind::Embedded => "embedded = \"tokens\"".to_owned(),
            Kind::SoftHsm => match Module::softhsm() {
                Some(Module::Library(library)) => format!("library = \"{}\"", library.display()),
                Some(Module::Embedded { .. }) | None => {
                    panic!("SoftHSM is missing: run `make setup`")
                }
            },
        };
        let text = format!(
            "{head}\n[[hsm.token]]\n{module}\nlabel = \"pintle-ceremony\"\npin_file = \"user.pin\"\n\
             [store]\npath = \"store.sqlite\"\n[audit]\npath = \"audit.jsonl\"\n\
             [listen]\ndata = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ncertificate = \"a\"\n\
             private_key = \"b\"\nclient_ca = \"c\"\n[policy]\npath = \"policy.toml\"\n"
        );
        self.write("pintle.toml", &text);
    }

    /// Writes the file of a ceremony.
    pub fn plan(&self, environment: &str, custodians: &[&str], key: &Key, more: &str) {
        let text = format!(
            "environment = \"{environment}\"\ncustodians = {custodians:?}\n\
             [key]\nname = \"{}\"\n{}\n{more}\n",
            key.name, key.entry
        );
        self.write("ceremony.toml", &text);
    }

    /// Opens the ceremony of the file.
    pub fn open(&self) {
        self.must(&["ceremony", "open", "ceremony.toml", INSECURE]);
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs without a terminal; answers (exit code, standard output, standard error).
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(PROGRAM)
            .current_dir(self.path())
            .env("SOFTHSM2_CONF", self.path().join("softhsm2.conf"))
            .env_remove("RUST_LOG")
            .env_remove("PINTLE_CONFIG")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        (code, text(output.stdout), text(output.stderr))
    }

    pub fn must(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    /// A JSON answer.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments = [&["--output", "json"], arguments].concat();
        serde_json::from_str(&self.must(&arguments)).unwrap()
    }

    /// The same program, to be run at a terminal, with all its log.
    pub fn at_terminal(&self, arguments: &[&str]) -> CommandBuilder {
        let mut command = CommandBuilder::new(PROGRAM);
        command.cwd(self.path());
        command.env("SOFTHSM2_CONF", self.path().join("softhsm2.conf"));
        command.env("RUST_LOG", "trace");
        command.env_remove("PINTLE_CONFIG");
        command.args(arguments);
        command
    }

    /// The sitting of one custodian, at a terminal.
    pub fn sitting(&self, key: &Key, custodian: &str) -> CommandBuilder {
        let who = [
            "ceremony",
            "enter",
            key.name,
            "--custodian",
            custodian,
            INSECURE,
        ];
        self.at_terminal(&who)
    }
}

pub const INSECURE: &str = "--insecure-components";
const PROGRAM: &str = env!("CARGO_BIN_EXE_pintle");
