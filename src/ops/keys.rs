//! The life of keys, as callers ask for it: repetitions, the second person and scopes are looked at
//! here, one after the other; what is done stands in `keys::lifecycle` and `keys::exchange`.
//!
//! A name outside the caller's scope answers as one that does not exist, also when a key is to be
//! made under it.

mod listing;

pub use self::listing::{Page, list};

use crate::keys::act::{Act, Outcome, now};
use crate::keys::approval;
use crate::keys::attributes::{Exportability, State};
use crate::keys::error::Error as KeyError;
use crate::keys::exchange::intake::{self, Cryptogram};
use crate::keys::exchange::release::{self, Release, Released};
use crate::keys::exchange::{ExchangeError, Wanted};
use crate::keys::grant::{Grant, Operation};
use crate::keys::key_ref::{KeyName, KeyRef, NamedKey};
use crate::keys::lifecycle::{self, Extras, Metadata, VersionOf};
use crate::keys::partner;
use crate::keys::record::Header;
use crate::keys::spec::KeySpec;
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};

/// A request that changes something: what a repetition of it is known by.
pub struct Request<'a> {
    /// The caller's name for it.
    pub id: &'a str,
    /// package.Service/Call.
    pub call: &'a str,
    /// The message's bytes.
    pub message: &'a [u8],
}

/// Makes a key.
///
/// # Errors
/// See [`enum@Error`].
pub async fn create(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    spec: KeySpec,
    extras: Extras,
) -> Result<Header, Error> {
    let tenant = own(call, &spec.name)?;
    let begun = begin(context, call, request, &[spec.name.as_str()]).await?;
    let act = match begun {
        Begun::Repeated(outcome) => return answered(context, &tenant, &outcome).await,
        Begun::New(act) => act,
    };
    let created = lifecycle::create(&context.catalogue, &tenant, &spec, extras, &act).await;
    noted(call, created)
}

/// Where a key comes from.
pub enum Source {
    /// A key block under a named protection key.
    KeyBlock {
        /// The protection key.
        protection: NamedKey,
        /// The block.
        block: String,
    },
    /// RSA-OAEP under the public half of a named transport key.
    RsaOaep {
        /// The transport key.
        transport: NamedKey,
        /// The clear key, wrapped.
        wrapped: Vec<u8>,
    },
    /// A partner's public key, or its certificate, in any form that `keys::partner` reads.
    PublicKey(Vec<u8>),
}

impl Source {
    const fn key(&self) -> Option<&NamedKey> {
        match self {
            Self::KeyBlock { protection, .. } => Some(protection),
            Self::RsaOaep { transport, .. } => Some(transport),
            Self::PublicKey(_) => None,
        }
    }
}

/// Brings a key in.
///
/// # Errors
/// See [`enum@Error`].
pub async fn import(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    source: Source,
    (wanted, check_value, extras): (Wanted, Vec<u8>, Extras),
) -> Result<Header, Error> {
    let tenant = own(call, &wanted.name)?;
    let under = source.key().map(|key| key.name.clone());
    let mut keys = vec![wanted.name.as_str()];
    keys.extend(under.as_ref().map(KeyName::as_str));
    let act = match begin(context, call, request, &keys).await? {
        Begun::Repeated(outcome) => return answered(context, &tenant, &outcome).await,
        Begun::New(act) => act,
    };
    let (catalogue, given) = (&context.catalogue, (check_value.as_slice(), extras));
    match source {
        Source::KeyBlock { protection, block } => {
            let role = KeyRole::Protection;
            let grant = granted(context, call, role, protection).await?;
            let imported =
                intake::import_block(catalogue, &grant, &block, wanted, given, &act).await;
            noted_as(role, call, imported)
        }
        Source::RsaOaep { transport, wrapped } => {
            let role = KeyRole::Transport;
            let grant = granted(context, call, role, transport).await?;
            let imported =
                intake::import_oaep(catalogue, &grant, wrapped, wanted, given, &act).await;
            noted_as(role, call, imported)
        }
        Source::PublicKey(public) => {
            let (_, extras) = given;
            let imported = partner::import(catalogue, &tenant, &public, wanted, extras, &act).await;
            noted(call, imported)
        }
    }
}

/// A cryptogram to take in.
pub struct CryptogramRequest {
    /// The key it is under.
    pub parent: NamedKey,
    /// The key of the block that is answered.
    pub protection: NamedKey,
    /// The cryptogram.
    pub bytes: Vec<u8>,
    /// The check value of the key inside.
    pub check_value: Vec<u8>,
    /// Usage, mode, algorithm, policy.
    pub wanted: Wanted,
}

/// Takes in a bare cryptogram.
///
/// # Errors
/// See [`enum@Error`].
pub async fn import_cryptogram(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    cryptogram: CryptogramRequest,
) -> Result<Released, Error> {
    let CryptogramRequest {
        parent,
        protection,
        bytes,
        check_value,
        wanted,
    } = cryptogram;
    let keys = [parent.name.as_str(), protection.name.as_str()];
    let act = match begin(context, call, request, &keys).await? {
        Begun::Repeated(outcome) => return released(outcome),
        Begun::New(act) => act,
    };
    let parent = granted(context, call, KeyRole::Parent, parent).await?;
    let protection = granted(context, call, KeyRole::Protection, protection).await?;
    let cryptogram = Cryptogram {
        bytes: &bytes,
        check_value: &check_value,
        wanted,
    };
    let imported =
        intake::import_cryptogram(&context.catalogue, &parent, &protection, cryptogram, &act);
    imported
        .await
        .map_err(|error| Error::Key(KeyRole::Parent, error))
}

/// Exports a key.
///
/// # Errors
/// See [`enum@Error`].
pub async fn export(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    (key, protection): (NamedKey, NamedKey),
    wanted: Release,
) -> Result<Released, Error> {
    own(call, &key.name)?;
    let keys = [key.name.as_str(), protection.name.as_str()];
    let act = match begin(context, call, request, &keys).await? {
        Begun::Repeated(outcome) => return released(outcome),
        Begun::New(act) => act,
    };
    let protection = granted(context, call, KeyRole::Protection, protection).await?;
    let exported = release::export(&context.catalogue, &protection, &key, wanted, &act).await;
    let (header, released) = exported.map_err(|error| Error::Key(KeyRole::Named, error))?;
    call.note(header.name.to_string(), header.version);
    Ok(released)
}

/// Puts the key of one block into another.
///
/// # Errors
/// See [`enum@Error`].
pub async fn translate(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    (source, destination): (NamedKey, NamedKey),
    (block, exportability): (&str, Option<Exportability>),
) -> Result<Released, Error> {
    let keys = [source.name.as_str(), destination.name.as_str()];
    let act = match begin(context, call, request, &keys).await? {
        Begun::Repeated(outcome) => return released(outcome),
        Begun::New(act) => act,
    };
    let from = granted(context, call, KeyRole::SourceProtection, source).await?;
    let to = granted(context, call, KeyRole::DestinationProtection, destination).await?;
    let translated =
        release::translate(&context.catalogue, (&from, &to), block, exportability, &act);
    translated
        .await
        .map_err(|error| Error::Key(KeyRole::SourceProtection, error))
}

/// Every version of a key, newest first.
///
/// # Errors
/// See [`enum@Error`].
pub async fn get(context: &Context, call: &Call, name: &KeyName) -> Result<Vec<Header>, Error> {
    let tenant = own(call, name)?;
    let versions = lifecycle::versions(&context.catalogue, &tenant, name).await;
    let versions = versions.map_err(|error| Error::Key(KeyRole::Named, error))?;
    if versions.is_empty() {
        return Err(Error::Key(KeyRole::Named, KeyError::UnknownKey));
    }
    Ok(versions)
}

/// What is to be done about a key that exists.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make its next version.
    Rotate {
        /// When that becomes active by itself.
        activates: Option<u64>,
        /// The end of its crypto-period.
        expiry: Option<u64>,
    },
    /// Move a version to another state.
    SetState(u32, State),
    /// Begin the destruction of a version, with so many days to think.
    Destroy(u32, u32),
    /// Call a destruction off.
    Restore(u32),
    /// Change what is noted about a version.
    Update(u32, Metadata),
}

/// Takes one step of a key's life.
///
/// # Errors
/// See [`enum@Error`].
pub async fn step(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    name: &KeyName,
    step: Step,
) -> Result<Header, Error> {
    let tenant = own(call, name)?;
    let act = match begin(context, call, request, &[name.as_str()]).await? {
        Begun::Repeated(outcome) => return answered(context, &tenant, &outcome).await,
        Begun::New(act) => act,
    };
    let catalogue = &context.catalogue;
    let version = |version| VersionOf {
        tenant: &tenant,
        name,
        version,
    };
    let done = match step {
        Step::Rotate { activates, expiry } => {
            lifecycle::rotate(catalogue, (&tenant, name), activates, expiry, &act).await
        }
        Step::SetState(of, to) => lifecycle::set_state(catalogue, version(of), to, &act).await,
        Step::Destroy(of, days) => {
            let days = if days == 0 {
                limits::DESTROY_WAIT_DAYS
            } else {
                days
            };
            lifecycle::destroy(catalogue, version(of), days, &act).await
        }
        Step::Restore(of) => lifecycle::restore(catalogue, version(of), &act).await,
        Step::Update(of, metadata) => {
            lifecycle::update_metadata(catalogue, version(of), metadata, &act).await
        }
    };
    noted(call, done)
}

/// A request on its way.
pub(in crate::ops) enum Begun {
    /// It was carried out before.
    Repeated(Outcome),
    /// It is to be carried out.
    New(Act),
}

/// Repetitions first, then the second person.
pub(in crate::ops) async fn begin(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    keys: &[&str],
) -> Result<Begun, Error> {
    let failed = |error| Error::Key(KeyRole::Named, error);
    let (tenant, caller) = (call.scope().tenant(), call.caller());
    let act = Act::requested(tenant, caller, request.id, request.call, request.message);
    let mut act = act.map_err(failed)?;
    if let Some(outcome) = act.repeated(&context.catalogue).await.map_err(failed)? {
        call.note(outcome.name.to_string(), outcome.version);
        return Ok(Begun::Repeated(outcome));
    }
    if call.needs_approval() {
        let required = approval::require(&context.catalogue, &mut act, request.call, keys);
        required.await.map_err(failed)?;
    }
    Ok(Begun::New(act))
}

/// The tenant of a name that the caller may use.
pub(in crate::ops) fn own(call: &Call, name: &KeyName) -> Result<KeyName, Error> {
    let unknown = || Error::Key(KeyRole::Named, KeyError::UnknownKey);
    let tenant = call.scope().tenant();
    if !call.scope().holds(tenant, name.as_str()) {
        return Err(unknown());
    }
    KeyName::parse(tenant).map_err(|_| unknown())
}

pub(in crate::ops) async fn granted<O: Operation>(
    context: &Context,
    call: &Call,
    role: KeyRole,
    key: NamedKey,
) -> Result<Grant<O>, Error> {
    let found = call.resolve(context, role, &KeyRef::Named(key)).await?;
    call.grant(role, found)
}

/// The answer of a repetition: the version as it stands now.
async fn answered(context: &Context, tenant: &KeyName, outcome: &Outcome) -> Result<Header, Error> {
    let failed = |error| Error::Key(KeyRole::Named, error);
    let versions = lifecycle::versions(&context.catalogue, tenant, &outcome.name).await;
    let mut versions = versions.map_err(failed)?.into_iter();
    let found = versions.find(|header| header.version == outcome.version);
    found.ok_or_else(|| failed(KeyError::UnknownKey))
}

fn released(outcome: Outcome) -> Result<Released, Error> {
    let (block, check_value) = outcome.block.ok_or(Error::Key(
        KeyRole::Named,
        KeyError::Exchange(ExchangeError::NotWritten),
    ))?;
    Ok(Released { block, check_value })
}

fn noted(call: &Call, done: Result<Header, KeyError>) -> Result<Header, Error> {
    noted_as(KeyRole::Named, call, done)
}

fn noted_as(role: KeyRole, call: &Call, done: Result<Header, KeyError>) -> Result<Header, Error> {
    let header = done.map_err(|error| match error {
        KeyError::KeyExists { .. } => Error::Key(KeyRole::Named, error),
        error => Error::Key(role, error),
    })?;
    call.note(header.name.to_string(), header.version);
    Ok(header)
}

/// Whether a version stands as `state` now.
fn stands(header: &Header, state: State) -> bool {
    header.state_at(now()) == state
}
