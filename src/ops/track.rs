//! Magnetic-stripe tracks from a terminal's track key to another's. The layouts are the keys'
//! policies; a track key has no mode, so that its tracks never come out clear.

use crate::domain::track::{self, Framing, Layout};
use crate::keys;
use crate::keys::grant::{DecryptData, EncryptData, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// What is asked.
pub struct TranslateTrack {
    /// The key the track is under.
    pub source_key: KeyRef,
    /// The key it shall be under.
    pub destination_key: KeyRef,
    /// Digits and separators of the track.
    pub digits: u32,
    /// The track, as the source key's layout has it: one leaves part of it clear.
    pub track: Secret<Vec<u8>>,
}

/// What is answered.
pub struct TranslatedTrack {
    /// The track, as the destination key's layout has it.
    pub track: Vec<u8>,
    /// That layout.
    pub layout: Layout,
    /// The source key used.
    pub source_key: KeyUse,
    /// The destination key used.
    pub destination_key: KeyUse,
}

/// Translates a track.
///
/// # Errors
/// See [`enum@Error`].
pub async fn translate(
    context: &Context,
    call: &Call,
    asked: TranslateTrack,
) -> Result<TranslatedTrack, Error> {
    let TranslateTrack {
        source_key,
        destination_key,
        digits,
        track,
    } = asked;
    let (from, to) = (KeyRole::Source, KeyRole::Destination);
    let source: Grant<DecryptData> = call.granted(context, from, &source_key).await?;
    let destination: Grant<EncryptData> = call.granted(context, to, &destination_key).await?;
    let source_layout = layout(from, source.track(), OperationKind::DecryptData)?;
    let destination_layout = layout(to, destination.track(), OperationKind::EncryptData)?;
    let from = Framing {
        layout: source_layout,
        cipher: source.cipher(),
    };
    let to = Framing {
        layout: destination_layout,
        cipher: destination.cipher(),
    };
    let digits = usize::try_from(digits).unwrap_or(usize::MAX);
    Ok(TranslatedTrack {
        track: track::translate(from, to, digits, track.expose_secret())?,
        layout: destination_layout,
        source_key: source.key_use().clone(),
        destination_key: destination.key_use().clone(),
    })
}

/// A key without a layout is for no track.
fn layout(role: KeyRole, layout: Option<Layout>, what: OperationKind) -> Result<Layout, Error> {
    layout.ok_or(Error::Key(role, keys::error::Error::UsageRefused { what }))
}
