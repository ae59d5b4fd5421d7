//! Keys that leave: a stored one in a key block, or one block's key in another block.
//!
//! Only what is exportable leaves, only under a key that is at least as strong, and what the block
//! says is never looser than what the key itself says.

use crate::keys::act::{Act, Outcome, now};
use crate::keys::attributes::{Exportability, State};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::exchange::profile::Profile;
use crate::keys::exchange::{self, BlockAttributes, ExchangeError, Outgoing, may_leave_as};
use crate::keys::grant::{Grant, UnwrapKeyBlock, WrapKeyBlock};
use crate::keys::key_ref::NamedKey;
use crate::keys::make::deadline;
use crate::keys::record::Header;
use crate::keys::seal::Content;
use crate::limits;
use crate::secret::Secret;

/// A key block on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The block.
    pub block: String,
    /// The check value of the key inside; empty where it has none.
    pub check_value: Vec<u8>,
}

/// What an export is to be.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// What the block is to say of leaving again.
    pub exportability: Exportability,
    /// Whether the block carries side and policy, for this service.
    pub own: bool,
}

/// Exports a version of a key, by default the active one.
///
/// # Errors
/// [`Error::UnknownKey`], [`Error::StateRefused`], [`Error::Exchange`], or what store or token
/// answered.
pub async fn export(
    catalogue: &Catalogue,
    protection: &Grant<WrapKeyBlock>,
    key: &NamedKey,
    release: Release,
    act: &Act,
) -> Result<(Header, Released), Error> {
    let tenant = protection.header().tenant.as_str();
    let name = key.name.as_str();
    let records = catalogue.records(tenant, name, deadline()).await?;
    let mut found = None;
    for record in &records {
        let (header, content) = catalogue.custodian().open(deadline(), record).await?;
        let wanted = match key.version {
            Some(version) => header.version == version,
            None => header.state_at(now()) == State::Active,
        };
        if wanted {
            found = Some((header, content));
            break;
        }
    }
    let (header, content) = found.ok_or(Error::UnknownKey)?;
    let leaves = matches!(
        header.state_at(now()),
        State::Pending | State::Active | State::Retiring
    );
    if !leaves {
        return Err(Error::state_refused(&header));
    }
    if header.exportability == Exportability::NonExportable {
        return Err(ExchangeError::NotExportable.into());
    }
    if !may_leave_as(release.exportability, header.exportability) {
        return Err(ExchangeError::Attribute("exportability").into());
    }
    let Content::Value(value) = content else {
        // It is in the token, and nothing takes it out.
        return Err(ExchangeError::NotExportable.into());
    };
    let outgoing = Outgoing {
        attributes: exchange::of_header(&header, release.exportability),
        value: value.expose_secret(),
        optional_blocks: header.optional_blocks.as_deref(),
        profile: release.own.then(|| Profile {
            environment: header.environment,
            tenant: header.tenant.clone(),
            side: header.side,
            policy: header.policy.clone(),
        }),
    };
    let released = released(catalogue, protection, &outgoing).await?;
    note(catalogue, &header, &released, act).await?;
    Ok((header, released))
}

/// Puts the key of one block into another, without storing anything.
///
/// # Errors
/// [`Error::Exchange`], or what the token answered.
pub async fn translate(
    catalogue: &Catalogue,
    (source, destination): (&Grant<UnwrapKeyBlock>, &Grant<WrapKeyBlock>),
    block: &str,
    exportability: Option<Exportability>,
    act: &Act,
) -> Result<Released, Error> {
    let environment = catalogue.custodian().environment();
    let opened = exchange::open(source, environment, block, now())?;
    let found = opened.attributes.exportability;
    if found == Exportability::NonExportable {
        return Err(ExchangeError::NotExportable.into());
    }
    let exportability = exportability.unwrap_or(found);
    if !may_leave_as(exportability, found) {
        return Err(ExchangeError::Attribute("exportability").into());
    }
    let outgoing = Outgoing {
        attributes: BlockAttributes {
            exportability,
            ..opened.attributes
        },
        value: opened.value.expose_secret(),
        optional_blocks: opened.optional_blocks.as_deref(),
        profile: opened.profile,
    };
    let released = released(catalogue, destination, &outgoing).await?;
    note(catalogue, destination.header(), &released, act).await?;
    Ok(released)
}

/// Fresh padding for one block, from the token.
pub(in crate::keys) async fn random(catalogue: &Catalogue) -> Result<Secret<Vec<u8>>, Error> {
    let length = limits::KEY_BLOCK_RANDOM_BYTES;
    let random = catalogue.fleet().random(deadline(), length).await?;
    Ok(Secret::new(random))
}

async fn released(
    catalogue: &Catalogue,
    protection: &Grant<WrapKeyBlock>,
    outgoing: &Outgoing<'_>,
) -> Result<Released, Error> {
    let block = exchange::wrap(protection, outgoing, &random(catalogue).await?)?;
    let check_value = exchange::check_value_of(outgoing.attributes.algorithm, outgoing.value);
    Ok(Released {
        block,
        check_value: check_value.map(|value| value.bytes).unwrap_or_default(),
    })
}

/// Keeps the answer for repetitions.
async fn note(
    catalogue: &Catalogue,
    header: &Header,
    released: &Released,
    act: &Act,
) -> Result<(), Error> {
    let outcome = Outcome {
        name: header.name.clone(),
        version: header.version,
        block: Some((released.block.clone(), released.check_value.clone())),
        content: None,
    };
    let beside = act.beside(catalogue, &outcome).await?;
    Ok(catalogue.store().write_beside(deadline(), beside).await?)
}
