//! The PIN engine: the place where a PIN block is clear. Its `translate` is one operation, so an
//! engine inside an HSM (a vendor mechanism, a payment HSM's host command) fits the same trait.
//!
//! [`HostPinEngine`] opens the block **in this process's memory**, for microseconds. It is not a
//! PCI PIN secure device; production refuses it until somebody accepts that by name.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use crate::config::server::{Acceptance, Environment};
use crate::domain::pan::Pan;
use crate::domain::pin_block::{self, EncryptedPinBlock, Format, Framing};
use crate::keys::grant::{DecryptPin, EncryptPin, Grant};
use crate::ops::Error;
use crate::ops::fill::Fill;

/// One translation, everything checked but the content of the block.
pub struct Translation<'a> {
    /// The key the block is under.
    pub source: &'a Grant<DecryptPin>,
    /// Its layout.
    pub source_format: Format,
    /// The key the answer is under; its policy names the layout.
    pub destination: &'a Grant<EncryptPin>,
    /// The PAN of both.
    pub pan: &'a Pan,
    /// The block.
    pub block: &'a [u8],
    /// No work is begun after this.
    pub deadline: Instant,
}

/// Where PIN blocks are clear.
pub trait PinEngine: Send + Sync {
    /// Opens, checks and closes a PIN block again under another key, as one operation. Every
    /// fault that depends on the clear block is [`Error::PinBlockRejected`].
    fn translate<'a>(&'a self, translation: Translation<'a>) -> Answer<'a>;
}

/// The answer of an engine; an engine in this process has it at once.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<EncryptedPinBlock, Error>> + Send + 'a>>;

/// The engine in this process's memory.
pub struct HostPinEngine {
    fill: Fill,
}

/// Production on the host engine, and nobody has accepted it.
#[derive(Debug, thiserror::Error)]
#[error(
    "PINs would be clear in this process: production needs \
     host_pin_processing = \"accepted-by: <name>, <date>\""
)]
pub struct NotAccepted;

impl HostPinEngine {
    /// The engine, where it may be used. Logs who accepted it.
    ///
    /// # Errors
    /// [`NotAccepted`] in production without an acceptance.
    pub fn new(
        environment: Environment,
        acceptance: Option<&Acceptance>,
        fill: Fill,
    ) -> Result<Self, NotAccepted> {
        match (environment, acceptance) {
            (Environment::Production, None) => Err(NotAccepted),
            (_, Some(acceptance)) => {
                tracing::warn!(
                    host_pin_processing = acceptance.as_str(),
                    "PIN blocks are opened in this process's memory"
                );
                Ok(Self { fill })
            }
            (Environment::Test | Environment::Development, None) => Ok(Self { fill }),
        }
    }

    fn translate_now(&self, translation: &Translation<'_>) -> Result<EncryptedPinBlock, Error> {
        let Translation {
            source,
            source_format,
            destination,
            pan,
            block,
            deadline: _,
        } = translation;
        let from = Framing {
            format: *source_format,
            cipher: source.cipher(),
        };
        let to = Framing {
            format: destination.format(),
            cipher: destination.cipher(),
        };
        let fill = self.fill.draw()?;
        Ok(pin_block::translate(from, to, pan, block, &fill)?)
    }
}

impl PinEngine for HostPinEngine {
    fn translate<'a>(&'a self, translation: Translation<'a>) -> Answer<'a> {
        Box::pin(std::future::ready(self.translate_now(&translation)))
    }
}
