//! Random bytes, straight from the generator of a token that serves.

use crate::limits;
use crate::ops::Error;
use crate::ops::context::{Call, Context};

/// C_GenerateRandom.
///
/// # Errors
/// [`Error::RandomLength`] for a length that is none, [`Error::Token`].
pub async fn generate(context: &Context, call: &Call, length: usize) -> Result<Vec<u8>, Error> {
    if !(1..=limits::RANDOM_BYTES_MAX).contains(&length) {
        return Err(Error::RandomLength);
    }
    let fleet = context.catalogue.fleet();
    Ok(fleet.random(call.deadline(), length).await?)
}
