//! Decimalisation tables: making one, with a second person where the policy file says so, and
//! listing them. What a table is and how it is kept stands in `keys::decimalisation`.

use crate::domain::pin_verification::decimalisation::DecimalisationTable;
use crate::keys::decimalisation::{self, StoredTable};
use crate::keys::key_ref::KeyName;
use crate::ops::context::{Call, Context};
use crate::ops::keys::{Begun, Request, begin, own};
use crate::ops::{Error, KeyRole};

/// Makes a table.
///
/// # Errors
/// [`Error::Key`]: a name that is taken, a weak table, a second person who has not approved.
pub async fn create(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    name: &KeyName,
    digits: &str,
) -> Result<StoredTable, Error> {
    let failed = |error| Error::Key(KeyRole::Named, error);
    let tenant = own(call, name)?;
    let table = DecimalisationTable::parse(digits).map_err(|error| failed(error.into()))?;
    let catalogue = &context.catalogue;
    let act = match begin(context, call, request, &[name.as_str()]).await? {
        Begun::Repeated(outcome) => {
            let stored = decimalisation::read(catalogue, &tenant, &outcome.name).await;
            return stored.map_err(failed);
        }
        Begun::New(act) => act,
    };
    let made = decimalisation::create(catalogue, &tenant, (name, table), &act).await;
    call.note(name.to_string(), 1);
    made.map_err(failed)
}

/// The tables of the caller's tenant whose names it may know of.
///
/// # Errors
/// [`Error::Key`].
pub async fn list(context: &Context, call: &Call) -> Result<Vec<StoredTable>, Error> {
    let failed = |error| Error::Key(KeyRole::Named, error);
    let unknown = |_| failed(crate::keys::error::Error::UnknownKey);
    let tenant = KeyName::parse(call.scope().tenant()).map_err(unknown)?;
    let mut tables = decimalisation::list(&context.catalogue, &tenant)
        .await
        .map_err(failed)?;
    tables.retain(|table| call.scope().holds(tenant.as_str(), table.name.as_str()));
    Ok(tables)
}
