//! What can go wrong with keys, by whose fault it is.
//!
//! A key that does not exist and one outside the caller's scope are the same answer. Nothing here
//! says anything about a key's value or a PIN.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::pin_verification::decimalisation::TableError;
use crate::hsm::{self, TokenId};
use crate::keys::attributes::{Environment, State};
use crate::keys::ceremony::CeremonyFault;
use crate::keys::dukpt::KsnFault;
use crate::keys::entry::Fault;
use crate::keys::exchange::ExchangeError;
use crate::keys::grant::OperationKind;
use crate::keys::record::Header;
use crate::keys::root::findings::Findings;
use crate::limits;
use crate::store;

/// An error of the keys layer. Clones are cheap: several calls may wait for one answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller's: no such key, or none that this caller may know of.
    #[error("no such key")]
    UnknownKey,
    /// The caller's: the key's usage, mode, side or algorithm does not grant the operation.
    #[error("the key may not {what}")]
    UsageRefused {
        /// The operation.
        what: OperationKind,
    },
    /// The key state's: this version does not do that now.
    #[error("key {name} version {version} is {state}")]
    StateRefused {
        /// The key.
        name: String,
        /// Its version.
        version: u32,
        /// Where it stands in its life.
        state: State,
    },
    /// The store's: the record is not what was sealed, or not for us.
    #[error("the record of key {name} version {version} is refused: {why}")]
    RecordRefused {
        /// The key, as the row that was read says.
        name: String,
        /// The version, as the row that was read says.
        version: u32,
        /// What is wrong with it.
        why: Refusal,
    },
    /// The store's: the catalogue as a whole is not what its root vouches for.
    #[error("the catalogue is refused: {0}")]
    CatalogueRefused(CatalogueFault),
    /// The token's.
    #[error("the token: {0}")]
    TokenUnavailable(#[source] hsm::Error),
    /// One token's, where it is known which: this is that one's to do, or nothing is done without
    /// it.
    #[error("token {token:?} does not serve: {why}")]
    TokenAway {
        /// Its label.
        token: String,
        /// Why.
        why: Arc<Self>,
    },
    /// The tokens', all of them.
    #[error("no token serves: {reasons}")]
    NoTokenServes {
        /// Each token and why.
        reasons: String,
    },
    /// The operator's: production keys are for tokens that are no software.
    #[error("production refuses a software token; this one says so of itself")]
    SoftwareToken,
    /// The store's.
    #[error("the store: {0}")]
    StoreUnavailable(#[source] Arc<store::error::Error>),
    /// Ours: no locked memory is left for another open key.
    #[error("no locked memory is left for another open key")]
    SlabFull,
    /// Ours: the catalogue has not been heard of for too long, so that a revoked key would not be
    /// noticed.
    #[error("the catalogue was not reachable for {} s", limits::GENERATION_BLIND_MAX.as_secs())]
    Blind,
    /// Load: the deadline passed first.
    #[error("the key was not ready in time")]
    Deadline,
    /// The caller's: no KSN that the key derives for.
    #[error(transparent)]
    Ksn(#[from] KsnFault),
    /// The caller's or a partner's: the key does not come in or go out.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The caller's: a request id that is none.
    #[error("a request id is 1 to 128 printable characters without spaces")]
    RequestIdMalformed,
    /// The caller's: another request had this id.
    #[error("another request had this id")]
    RequestIdReused,
    /// Policy: a second person must approve first.
    #[error("approval {id} waits for a second person")]
    ApprovalRequired {
        /// The approval that was asked for.
        id: String,
    },
    /// Policy: a second person said no, or the approval was used.
    #[error("the request was not approved")]
    ApprovalRejected,
    /// The caller's: no approval that waits, or of another request.
    #[error("no such approval waits")]
    ApprovalUnknown,
    /// Policy: nobody approves what they asked for.
    #[error("whoever asked cannot decide")]
    ApprovalOwn,
    /// Policy: the PIN of this card, or PINs by this caller, were tried as often as they may be.
    #[error("no tries of the PIN are left")]
    BudgetSpent,
    /// The operator's: no decimalisation table of this name.
    #[error("no decimalisation table {name}")]
    TableUnknown {
        /// The table.
        name: String,
    },
    /// The caller's: a decimalisation table of this name is there, and none ever changes.
    #[error("decimalisation table {name} exists already")]
    TableExists {
        /// The table.
        name: String,
    },
    /// The caller's: not a table, or one that tells too much.
    #[error(transparent)]
    TableWeak(#[from] TableError),
    /// The operator's: the tenant has as many tables as it may.
    #[error("there are as many decimalisation tables as there may be")]
    TablesFull,
    /// The store's: a decimalisation table is not what was made.
    #[error("decimalisation table {name} is not what was made")]
    TableTampered {
        /// The table.
        name: String,
    },
    /// The caller's: a moment or a span out of bounds.
    #[error("{field}: {why}")]
    TimeRefused {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The caller's: the key has as many versions as it may.
    #[error("key {name} has as many versions as a key may")]
    VersionsFull {
        /// The key.
        name: String,
    },
    /// Policy: versions of keys that came from elsewhere are not made here.
    #[error("key {name} was not generated here")]
    NotGeneratedHere {
        /// The key.
        name: String,
    },
    /// The caller's: a partner's public key is brought in, not made.
    #[error("key {name} only verifies: it is a partner's public key, which is imported")]
    PartnersKey {
        /// The key.
        name: String,
    },
    /// Policy: the key would live in this process, and the configuration does not allow it.
    #[error("keys that protect others may not live in this process: allow_process_kek is not set")]
    ProcessKekRefused,
    /// The caller's: the same cryptogram came in before as a key of another usage.
    #[error("this cryptogram came in before under another usage")]
    CryptogramReused,
    /// The operator's: this state does not follow the one the key is in.
    #[error("key {name} version {version} cannot go from {from} to {to}")]
    StateOrder {
        /// The key.
        name: String,
        /// Its version.
        version: u32,
        /// Where it stands.
        from: State,
        /// Where it was to go.
        to: State,
    },
    /// The operator's: a key that the template describes otherwise, or that an import would
    /// overwrite, is there already.
    #[error("key {name} exists already{}", differing(.fields))]
    KeyExists {
        /// The key.
        name: String,
        /// The attributes in which it differs from what was asked for.
        fields: Vec<&'static str>,
    },
    /// The operator's: a file that cannot be read, or longer than files may be.
    #[error("cannot read {}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The operator's: a file that is not of its form.
    #[error("{}, line {line}: {what}", path.display())]
    FileSyntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser expected there.
        what: String,
    },
    /// The operator's: a file whose entries do not make sense. Nothing was changed.
    #[error("{}: {}, nothing was changed{}", path.display(), count(.faults), listing(.faults))]
    FileRefused {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<Fault>,
    },
    /// The operator's: a file for another environment than the store's.
    #[error("{} is for the {file} environment, this catalogue is {catalogue}", path.display())]
    FileEnvironment {
        /// The file.
        path: PathBuf,
        /// What it is for.
        file: Environment,
        /// What the catalogue opens.
        catalogue: Environment,
    },
    /// The people's: a step that the ceremony for this key does not take.
    #[error("the ceremony for key {name}: {why}")]
    Ceremony {
        /// The key.
        name: String,
        /// What is wrong.
        why: CeremonyFault,
    },
    /// The operator's: production keys are not put together in this host's memory until somebody
    /// answers for it.
    #[error("production takes no components at this machine")]
    HostComponentsRefused,
    /// The store's: a document is not what was sealed, or not for us.
    #[error("the document {kind} {id} is not as it was sealed by this token")]
    DocumentRefused {
        /// What kind of document.
        kind: &'static str,
        /// Which.
        id: String,
    },
    /// The key giver's, or the token's: the private key in the token does not sign for the public
    /// key. It was destroyed.
    #[error("the private key does not belong to its public key")]
    KeyPairMismatch,
    /// The operator's: records are still sealed under a key that was to be destroyed.
    #[error(
        "{records} records and {ceremonies} open ceremonies may still be sealed under a seal key \
         that was to be destroyed"
    )]
    SealKeyInUse {
        /// How many.
        records: u64,
        /// A sitting's part is sealed once, under the key of its day.
        ceremonies: u64,
    },
    /// The operator's: a token that another step needs first is not open here.
    #[error("token {token} is not at hand")]
    TokenNotAtHand {
        /// Which.
        token: TokenId,
    },
    /// The operator's: a token that is at hand is not lost.
    #[error("token {token} is at hand: take it out of the configuration first")]
    TokenAtHand {
        /// Which.
        token: TokenId,
    },
    /// Ours: fresh random values were refused as weak again and again. The token's generator is
    /// broken.
    #[error("the token's random values are not random")]
    RandomRefused,
}

/// Why the catalogue as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueFault {
    /// There are records, and no root of this token.
    #[error("it has no root that this token vouches for")]
    RootMissing,
    /// The catalogue was changed under another token, without this one.
    #[error("its newest root is another token's")]
    RootStale,
    /// What it vouches for is another catalogue than the other tokens'.
    #[error("this token vouches for another catalogue")]
    RootOfOther,
    /// The root's MAC is not the token's.
    #[error("its root is not authentic")]
    RootForged,
    /// Neither the rows nor the directory are what the root vouches for.
    #[error("neither its rows nor its directory are what its root vouches for{0}")]
    SumDiffers(Findings),
    /// Single rows are not what the root vouches for.
    #[error("rows of it are not what its root vouches for{0}")]
    RowsDiffer(Findings),
    /// It is older than the checkpoint that is kept elsewhere.
    #[error("it is of generation {found}, its checkpoint of {checkpoint}: the store was put back")]
    BehindCheckpoint {
        /// The checkpoint's generation.
        checkpoint: u64,
        /// The store's.
        found: u64,
    },
    /// It is another than the checkpoint's, of the same generation.
    #[error("its root of generation {generation} is not the checkpoint's")]
    NotTheCheckpoints {
        /// The generation of both.
        generation: u64,
    },
    /// The checkpoint was signed by another token.
    #[error("its checkpoint was signed by another token")]
    CheckpointOfOtherToken,
    /// The checkpoint's signature is not the token's.
    #[error("its checkpoint is not authentic")]
    CheckpointForged,
    /// It went back in time under a running server.
    #[error("it went back from generation {known} to {found}: the store was put back")]
    WentBack {
        /// The generation it was at.
        known: u64,
        /// The generation it is at.
        found: u64,
    },
    /// A newer root is authentic, and what changed does not lead to it.
    #[error("what changed does not lead to its root of generation {generation}")]
    Unexplained {
        /// The newer root's generation.
        generation: u64,
    },
}

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header is not the encoding of any header.
    #[error("its header is malformed")]
    HeaderMalformed,
    /// The row stands where another key's should.
    #[error("its header names another key")]
    RowMoved,
    /// No seal is for this token.
    #[error("no seal of it is for this token")]
    OtherToken,
    /// The seal does not open over this header.
    #[error("its seal does not open over its header")]
    NotAuthentic,
    /// The seal opened to something that is no key of this header.
    #[error("what it seals does not fit its header")]
    ContentMismatch,
    /// The key belongs to another kind of catalogue.
    #[error("it is of another environment")]
    OtherEnvironment,
    /// The row is longer than rows may be.
    #[error("its row is out of bounds")]
    RowBounds,
    /// It protects other keys and would be opened into this process, which is not allowed here.
    #[error("it may not be opened into this process: allow_process_kek is not set")]
    ProcessKek,
    /// The row is another than the one that the root vouches for: changed, or put back.
    #[error("its row is not the one that the catalogue's root vouches for")]
    RowDiffers,
    /// The root vouches for a row that is not there.
    #[error("its row is gone, and the catalogue's root vouches for it")]
    RowMissing,
    /// A row that the root knows nothing of: slipped in, or moved here.
    #[error("the catalogue's root does not know its row")]
    RowUnknown,
    /// The row changed while no root vouched for it.
    #[error("it was changed, and no root vouches for the change")]
    ChangeUnproved,
    /// The seal of a token that is not at hand would be lost.
    #[error("it is sealed for token {0} too, which is not at hand")]
    SealedForOthers(TokenId),
}

impl Error {
    /// The refusal of an operation that the key's state does not allow.
    pub(in crate::keys) fn state_refused(header: &Header) -> Self {
        Self::StateRefused {
            name: header.name.to_string(),
            version: header.version,
            state: header.state,
        }
    }
}

impl From<CatalogueFault> for Error {
    fn from(fault: CatalogueFault) -> Self {
        Self::CatalogueRefused(fault)
    }
}

impl From<hsm::Error> for Error {
    fn from(error: hsm::Error) -> Self {
        match error {
            hsm::Error::Deadline => Self::Deadline,
            other => Self::TokenUnavailable(other),
        }
    }
}

impl From<store::error::Error> for Error {
    fn from(error: store::error::Error) -> Self {
        match error {
            store::error::Error::Deadline => Self::Deadline,
            store::error::Error::RowBounds(id) => Self::RecordRefused {
                name: id.name,
                version: id.version,
                why: Refusal::RowBounds,
            },
            store::error::Error::Exists(id) => Self::KeyExists {
                name: id.name,
                fields: vec![],
            },
            other => Self::StoreUnavailable(Arc::new(other)),
        }
    }
}

fn differing(fields: &[&str]) -> String {
    if fields.is_empty() {
        String::new()
    } else {
        format!(" and differs in {}", fields.join(", "))
    }
}

fn count(faults: &[Fault]) -> String {
    match faults.len() {
        1 => "1 fault".to_owned(),
        more => format!("{more} faults"),
    }
}

fn listing(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
