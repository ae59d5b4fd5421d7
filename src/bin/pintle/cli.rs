//! The command line: nouns and verbs, no behaviour.

use crate::output::Output;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// PIN blocks, MACs and Alipay signatures behind one gRPC service, on any PKCS#11 HSM.
#[derive(Parser)]
#[command(name = "pintle", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 5 token unavailable, \
    6 a check said no, 7 conflict."
)]
pub struct Cli {
    /// How to answer.
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub output: Output,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Make the master keys in the token, once.
    Init(Init),
    /// Serve, with mutual TLS, what the configuration file says.
    Serve(Serve),
    /// Serve for development: one process, the embedded token, test keys, loopback only.
    Dev(Dev),
    /// A till's day, end to end, every output checked by an independent program.
    Demo(Demo),
    /// The key catalogue.
    Keys(Keys),
    /// The catalogue as a whole: its root and its checkpoint.
    Catalogue(Catalogue),
    /// The store as a file: backup and restore.
    Store(Store),
    /// Measure this machine.
    Bench(Bench),
    /// Papers for an assessor.
    Report(Report),
    /// Bring a key in by two or three custodians, in separate sittings.
    Ceremony(Ceremony),
    /// The tokens that can open the store, and their `seal` keys.
    Token(Token),
    /// Look at the token, the keys and this machine, and say what is wrong.
    Doctor(Doctor),
    /// The audit journal.
    Audit(Audit),
    /// Print shell completions.
    Completions {
        /// For which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is.
#[derive(Args)]
pub struct Configured {
    /// The configuration file.
    #[arg(long, short, env = "PINTLE_CONFIG", default_value = "pintle.toml")]
    pub config: PathBuf,
}

/// `pintle init`.
#[derive(Args)]
pub struct Init {
    #[command(flatten)]
    pub configured: Configured,
    /// The label of an `[[hsm.token]]` of the configuration; the first without it.
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
    /// Also create the token, with the SO PIN in this file (the embedded token is always created).
    #[arg(long, value_name = "FILE")]
    pub create_token_so_pin_file: Option<PathBuf>,
}

/// `pintle serve`.
#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    pub configured: Configured,
}

/// `pintle dev`.
#[derive(Args)]
pub struct Dev {
    /// Keep the token and the store here; a temporary folder that is removed again without it.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Where to listen; loopback only, in plaintext.
    #[arg(long, default_value = "127.0.0.1:50551")]
    pub danger_plaintext_listen: SocketAddr,
}

/// `pintle demo`.
#[derive(Args)]
pub struct Demo {
    /// The Python that has psec (`make demo` prepares one).
    #[arg(long, env = "PINTLE_PYTHON", default_value = "python3")]
    pub python: PathBuf,
    /// Flip a bit of the named output before it is checked: the demo must then fail.
    #[arg(long, hide = true, value_name = "OUTPUT")]
    pub corrupt: Option<String>,
}

/// `pintle report`.
#[derive(Args)]
pub struct Report {
    #[command(flatten)]
    pub configured: Configured,
    #[command(subcommand)]
    pub command: ReportCommand,
}

/// The papers.
#[derive(Subcommand)]
pub enum ReportCommand {
    /// The inventory of keys, the keys that share a check value, the weak and legacy ones.
    Keys,
}

/// `pintle keys`.
#[derive(Args)]
pub struct Keys {
    #[command(flatten)]
    pub configured: Configured,
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The verbs of `pintle keys`.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Show what `apply` would do.
    Plan(Template),
    /// Make the keys that a template asks for and the store lacks. Twice is once.
    Apply(Template),
    /// List key versions: names, usages, check values, states. Never values.
    List,
    /// Show one key.
    Show(KeyName),
    /// Bring known keys in, offline, at the token's machine: PKCS #8 for RSA and SM2, symmetric
    /// values for test environments only.
    Import {
        /// The import file.
        file: PathBuf,
    },
    /// Show the usage table: what a key of which usage, mode, side and algorithm may do. Needs no
    /// configuration.
    Usages,
    /// Stop a key everywhere, within two seconds.
    Disable(KeyName),
    /// Let a disabled key serve again.
    Enable(KeyName),
}

/// `pintle ceremony`.
#[derive(Args)]
pub struct Ceremony {
    #[command(flatten)]
    pub configured: Configured,
    #[command(subcommand)]
    pub command: CeremonyCommand,
}

/// The steps of a ceremony.
#[derive(Subcommand)]
pub enum CeremonyCommand {
    /// Fix the key and its custodians.
    Open {
        /// The ceremony's file: environment, custodians, and the key as in a template.
        file: PathBuf,
        #[command(flatten)]
        insecure: InsecureComponents,
    },
    /// One custodian's sitting, at a terminal, alone.
    Enter {
        /// The key.
        key: String,
        /// Who sits.
        #[arg(long, value_name = "NAME")]
        custodian: String,
        #[command(flatten)]
        insecure: InsecureComponents,
    },
    /// Make the key, when all custodians have sat.
    Close {
        /// The key.
        key: String,
        /// Who closes: none of the custodians.
        #[arg(long, value_name = "NAME")]
        officer: String,
        #[command(flatten)]
        insecure: InsecureComponents,
    },
    /// End it without a key; what was entered is destroyed and never used.
    Abandon {
        /// The key.
        key: String,
        /// Who ends it.
        #[arg(long, value_name = "NAME")]
        officer: String,
        /// Why, for the minutes.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Keep record and minutes of a key that custodians entered at the HSM's own console.
    Adopt {
        /// The ceremony's file, with the sittings as they were written down.
        file: PathBuf,
        /// The object's CKA_ID, 16 bytes in hex.
        #[arg(long, value_name = "HEX")]
        object: String,
        /// Who answers for it: none of the custodians.
        #[arg(long, value_name = "NAME")]
        officer: String,
    },
    /// Who has sat, and who has not.
    Status(CeremonyKey),
    /// The minutes of the ceremonies for a key that have ended.
    Minutes(CeremonyKey),
}

/// The key that a ceremony is for.
#[derive(Args)]
pub struct CeremonyKey {
    /// The key.
    pub key: String,
}

/// What must be said where components are typed into this computer.
#[derive(Args, Clone, Copy)]
pub struct InsecureComponents {
    /// Components are clear in this computer's memory. For development, and for sites outside PCI.
    #[arg(long)]
    pub insecure_components: bool,
}

/// A template file.
#[derive(Args)]
pub struct Template {
    /// The template.
    #[arg(long, short, default_value = "keys-template/dev.toml")]
    pub template: PathBuf,
}

/// A key by its name.
#[derive(Args)]
pub struct KeyName {
    /// The key's name.
    pub name: String,
    /// Which version; the newest without it.
    #[arg(long)]
    pub version: Option<u32>,
}

/// `pintle catalogue`.
#[derive(Args)]
pub struct Catalogue {
    #[command(flatten)]
    pub configured: Configured,
    #[command(subcommand)]
    pub command: CatalogueCommand,
}

/// The verbs of `pintle catalogue`.
#[derive(Subcommand)]
pub enum CatalogueCommand {
    /// Check every row against the root, name those that differ, and compare with the checkpoint.
    Verify,
    /// Sign what the catalogue is now, to be kept where who can put the store back can't put it
    /// back too.
    Checkpoint {
        /// Where to; `[store] checkpoint` of the configuration without it.
        file: Option<PathBuf>,
    },
}

/// `pintle store`.
#[derive(Args)]
pub struct Store {
    #[command(flatten)]
    pub configured: Configured,
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// The verbs of `pintle store`.
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Copy the store, which may be in use, into a new file, and verify the copy. It is sealed.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Verify a backup, and make the store out of it where there is none.
    Restore {
        /// The backup.
        file: PathBuf,
    },
}

/// `pintle token`.
#[derive(Args)]
pub struct Token {
    #[command(flatten)]
    pub configured: Configured,
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// The verbs of `pintle token`.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Count the records by token and `seal` key.
    List,
    /// Give another token a seal of every record, so that either can open the store. Keys that are
    /// in one token cannot follow: they are named. Killed, it goes on where it was.
    Enroll {
        /// The label of an `[[hsm.token]]` of the configuration.
        #[arg(required_unless_present = "other")]
        label: Option<String>,
        /// Another configuration file, whose first `[[hsm.token]]` is enrolled.
        #[arg(long, value_name = "FILE", conflicts_with = "label")]
        other: Option<PathBuf>,
    },
    /// Make the next `seal` key and seal every record anew. Servers go on meanwhile; killed, it
    /// goes on where it was.
    RotateSeal {
        /// The label of the token; the first of the configuration without it.
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
        /// Instead, destroy the `seal` keys that no record is sealed under any more. Backups from
        /// before the rotation do not open after that.
        #[arg(long, requires = "confirm")]
        destroy_old: bool,
        /// The token's label, to say that it is meant.
        #[arg(long, value_name = "LABEL")]
        confirm: Option<String>,
    },
    /// Write off a token that is lost: what it had sealed can be changed again.
    Dismiss {
        /// The token's id, as `pintle token list` shows it.
        id: String,
        /// The same id, to say that it is meant.
        #[arg(long, value_name = "ID")]
        confirm: String,
    },
}

/// `pintle bench`.
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What `pintle bench` measures.
#[derive(Subcommand)]
pub enum BenchCommand {
    /// A catalogue of many keys: start, memory, hot and cold keys. Makes its own token and store.
    Catalogue {
        /// How many keys.
        #[arg(long, default_value_t = 10_000)]
        records: u64,
        /// Keep token and store here, and use them again; a temporary folder without it.
        #[arg(long)]
        folder: Option<PathBuf>,
        /// A PKCS#11 module with a blank slot, instead of the embedded token.
        #[arg(long)]
        library: Option<PathBuf>,
        /// How long each rate is measured, seconds.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
}

/// `pintle doctor`.
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    pub configured: Configured,
}

/// `pintle audit`.
#[derive(Args)]
pub struct Audit {
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// The verbs of `pintle audit`.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Recompute the hash chain of a journal and name the first broken line.
    Verify {
        /// The journal.
        file: PathBuf,
    },
}

/// Prints the completions of `shell`.
pub fn print_completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "pintle", &mut std::io::stdout());
}
