//! The catalogue as the commands use it: opened over a store and a token, listed as rows.

use std::path::Path;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::config::server::{self, Server};
use pintle::hsm::Token;
use pintle::keys::attributes::Environment;
use pintle::keys::catalogue::{Catalogue, CatalogueOptions, Listed};
use pintle::keys::ceremony::CeremonyFault;
use pintle::keys::error::Error;
use pintle::keys::fleet::Fleet;
use pintle::keys::key_ref::KeyName;
use pintle::limits;
use pintle::store::Store;
use serde_json::{Value, json};

use crate::exit::{Failure, Kind};
use crate::{progress, settings};

/// The columns of a listing.
pub const HEAD: [&str; 9] = [
    "key",
    "ver",
    "usage",
    "mode",
    "side",
    "algorithm",
    "check value",
    "where",
    "state",
];

/// The catalogue of a store, as this token opens it. A long start shows how far it is.
pub fn open(
    store: &Path,
    token: &Token,
    environment: server::Environment,
    allow_process_kek: bool,
) -> Result<Catalogue, Failure> {
    let options = options(environment, allow_process_kek);
    read(store, |store, progress| {
        Catalogue::open_among(store, (token.clone(), Vec::new()), options, progress)
    })
}

/// The catalogue with every token of the configuration, for whoever writes.
pub fn open_all(server: &Server) -> Result<Catalogue, Failure> {
    open_among(server, settings::open_tokens(server)?)
}

/// The catalogue with the tokens at hand, for whoever only looks: read by the first that vouches for
/// it.
pub fn open_at_hand(server: &Server) -> Result<Catalogue, Failure> {
    open_by_any(server, &settings::open_at_hand(server)?)
}

/// The catalogue with these tokens, read by the first that vouches for it.
pub fn open_by_any(server: &Server, tokens: &[Token]) -> Result<Catalogue, Failure> {
    let mut first = None;
    for at in 0..tokens.len() {
        let mut turned = tokens.to_vec();
        turned.rotate_left(at);
        match open_among(server, turned) {
            Err(failure) => {
                first.get_or_insert(failure);
            }
            opened => return opened,
        }
    }
    Err(first.unwrap_or_else(|| Failure::new(Kind::Token, "no token is at hand")))
}

/// The catalogue with these tokens, read by the first.
pub fn open_among(server: &Server, tokens: Vec<Token>) -> Result<Catalogue, Failure> {
    let options = options(server.environment, server.allow_process_kek);
    let mut tokens = tokens.into_iter();
    let first = tokens.next();
    let first = first.ok_or_else(|| Failure::new(Kind::Token, "no token is at hand"))?;
    read(&server.store.path, |store, progress| {
        Catalogue::open_among(store, (first, tokens.collect()), options, progress)
    })
}

/// The catalogue for a server: one token that opens it is enough, and others are used when they do.
pub fn open_fleet(server: &Server) -> Result<Catalogue, Failure> {
    let options = options(server.environment, server.allow_process_kek);
    let fleet = Fleet::recruits(settings::token_configs(server)?);
    read(&server.store.path, |store, progress| {
        Catalogue::open_fleet(store, fleet, options, progress)
    })
}

fn options(environment: server::Environment, allow_process_kek: bool) -> CatalogueOptions {
    CatalogueOptions {
        allow_process_kek,
        ..CatalogueOptions::new(self::environment(environment))
    }
}

fn read(
    path: &Path,
    open: impl FnOnce(Store, &(dyn Fn(u64) + Sync)) -> Result<Catalogue, Error>,
) -> Result<Catalogue, Failure> {
    let store = Store::open(path)
        .map_err(|error| Failure::new(Kind::Conflict, format!("{}: {error}", path.display())))?;
    let bar = progress::counter("reading the catalogue");
    let opened = open(store, &|rows| bar.set_position(rows));
    bar.finish_and_clear();
    opened.map_err(failure)
}

/// What the keys of a server's environment are.
pub fn environment(environment: server::Environment) -> Environment {
    match environment {
        server::Environment::Production => Environment::Production,
        server::Environment::Test | server::Environment::Development => Environment::Test,
    }
}

/// The tenant of callers that name none.
pub fn default_tenant() -> Result<KeyName, Failure> {
    KeyName::parse("default").map_err(|error| Failure::new(Kind::Other, error))
}

/// Every key version of the store, authenticated one by one.
pub async fn list(catalogue: &Catalogue) -> Result<Vec<Listed>, Failure> {
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    catalogue.list(None, deadline).await.map_err(failure)
}

/// Production is not served from a store that a single token can open: losing it would lose every
/// key.
pub fn refuse_single_token(
    catalogue: &Catalogue,
    accepted: Option<&server::Acceptance>,
) -> Result<(), Failure> {
    let alone = catalogue.alone();
    match (alone.enrollable, alone.bound) {
        (Some(id), _) => Err(Failure::new(
            Kind::Usage,
            format!("production, and one token alone can open {id}"),
        )
        .next("`pintle token enroll`; until then this store serves environment = \"test\" only")),
        (None, Some(id)) if accepted.is_none() => Err(Failure::new(
            Kind::Usage,
            format!("production, and {id} is in one token only: it would be lost with it"),
        )
        .next("set single_token_keys = \"accepted-by: <name>, <date>\" where that is accepted")),
        (None, _) => Ok(()),
    }
}

/// Counts the key versions that open; fails with the name of the first that does not.
pub fn verify_all(catalogue: &Catalogue) -> Result<usize, Failure> {
    let listed = settings::runtime()?.block_on(list(catalogue))?;
    for one in &listed {
        if let Err(error) = &one.header {
            return Err(failure(error.clone()));
        }
    }
    match catalogue.findings() {
        findings if findings.is_empty() => Ok(listed.len()),
        findings => Err(Failure::new(
            Kind::Verification,
            format!("rows are not what the root vouches for:{findings}"),
        )),
    }
}

/// One row of a listing.
pub fn row(listed: &Listed) -> Vec<String> {
    let id = &listed.id;
    match &listed.header {
        Ok(header) => vec![
            id.name.clone(),
            id.version.to_string(),
            header.usage.to_string(),
            header.mode.to_string(),
            header.side.map(|side| side.to_string()).unwrap_or_default(),
            header.algorithm.to_string(),
            check_value(listed),
            header.residence.to_string(),
            header.state.to_string(),
        ],
        Err(error) => {
            let mut row = vec![
                id.name.clone(),
                id.version.to_string(),
                format!("REFUSED: {error}"),
            ];
            row.resize(HEAD.len(), String::new());
            row
        }
    }
}

/// One key as JSON.
pub fn document(listed: &Listed) -> Value {
    let id = &listed.id;
    match &listed.header {
        Ok(header) => json!({
            "tenant": id.tenant, "name": id.name, "version": id.version,
            "tokens": listed.tokens, "usage": header.usage.to_string(), "mode": header.mode.to_string(),
            "side": header.side.map(|side| side.to_string()),
            "algorithm": header.algorithm.to_string(),
            "exportability": header.exportability.to_string(),
            "residence": header.residence.to_string(), "origin": header.origin.to_string(),
            "environment": header.environment.to_string(),
            "state": header.state.to_string(), "state_epoch": header.state_epoch,
            "custodians": header.custodians.iter().map(KeyName::as_str).collect::<Vec<_>>(),
            "created": time(header.created), "expiry": header.expiry.map(time),
            "check_value": check_value(listed), "policy": header.policy.to_string(),
            "activates": header.activates.map(time), "destroys": header.destroys.map(time),
            "parent": header.parent.as_ref().map(ToString::to_string), "legacy": header.legacy,
            "custodians": header.custodians.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "labels": header.labels.iter().map(|(name, text)| format!("{name}: {text}"))
                .collect::<Vec<_>>(),
            "public_key": header.public_key.as_ref().map(|info| STANDARD.encode(info)),
        }),
        Err(error) => json!({
            "tenant": id.tenant, "name": id.name, "version": id.version,
            "refused": error.to_string(),
        }),
    }
}

/// A time in seconds since 1970 as people write it.
pub fn time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|at| at.to_string())
        .unwrap_or_default()
}

fn check_value(listed: &Listed) -> String {
    let value = listed
        .header
        .as_ref()
        .ok()
        .and_then(|header| header.check_value.as_ref());
    value
        .map(|value| hex::encode_upper(&value.bytes))
        .unwrap_or_default()
}

/// What went wrong with a key, with its exit code and the next step.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::UnknownKey => {
            Failure::new(Kind::NotFound, error).next("`pintle keys list` names them all")
        }
        Error::TokenUnavailable(token) => settings::token_failure(token),
        Error::TokenAway { .. } | Error::TokenNotAtHand { .. } | Error::NoTokenServes { .. } => {
            Failure::new(Kind::Token, error)
        }
        Error::SoftwareToken => Failure::new(Kind::Usage, error),
        Error::RecordRefused { .. } => Failure::new(Kind::Verification, error)
            .next("restore that row from a backup, or bring the token it was sealed by"),
        Error::CatalogueRefused(_) => Failure::new(Kind::Verification, error)
            .next("restore the store from a backup: `pintle store restore`"),
        Error::StoreUnavailable(_)
        | Error::StateOrder { .. }
        | Error::SealKeyInUse { .. }
        | Error::TokenAtHand { .. } => Failure::new(Kind::Conflict, error),
        Error::KeyExists { .. } => Failure::new(Kind::Conflict, error)
            .next("give the new key another name, or correct the file"),
        Error::Ceremony { why, .. } => {
            let kind = match why {
                CeremonyFault::Unknown => Kind::NotFound,
                CeremonyFault::PackageSerial
                | CeremonyFault::SittingsWritten
                | CeremonyFault::CheckValueMissing => Kind::Usage,
                CeremonyFault::CheckValue
                | CeremonyFault::ObjectCheckValue
                | CeremonyFault::Damaged
                | CeremonyFault::Component(_) => Kind::Verification,
                CeremonyFault::Open
                | CeremonyFault::NotACustodian
                | CeremonyFault::EnteredAlready
                | CeremonyFault::PackageTwice
                | CeremonyFault::Incomplete(_)
                | CeremonyFault::OfficerIsCustodian
                | CeremonyFault::ObjectTaken
                | CeremonyFault::Moved => Kind::Conflict,
            };
            Failure::new(kind, error).next("`pintle ceremony status` shows how it stands")
        }
        Error::HostComponentsRefused => Failure::new(Kind::Usage, error).next(
            "enter them at the HSM's own console; or, outside PCI, write host_components = \
             \"accepted-by: <name>, <yyyy-mm-dd>\" into the configuration file",
        ),
        Error::DocumentRefused { .. } => Failure::new(Kind::Verification, error),
        Error::FileUnreadable { .. } => Failure::new(Kind::NotFound, error),
        Error::FileSyntax { .. } | Error::FileRefused { .. } | Error::FileEnvironment { .. } => {
            Failure::new(Kind::Usage, error)
        }
        _ => Failure::new(Kind::Other, error),
    }
}
