//! The PIN engine: the place where PINs and PIN blocks are clear. Translation, verification, making
//! a reference and making a PIN are one operation each, so an engine inside an HSM (a vendor mechanism, a payment HSM's host command) fits the same trait.
//!
//! [`HostPinEngine`] opens the block **in this process's memory**, for microseconds. It is not a
//! PCI PIN secure device; production refuses it until somebody accepts that by name.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use crate::config::server::{Acceptance, Environment};
use crate::domain::pan::Pan;
use crate::domain::pin::Pin as ClearPin;
use crate::domain::pin_block::{self, EncryptedPinBlock, Format, Framing};
use crate::domain::pin_verification::{self, Method, PanTooShort, Reference, Verifier};
use crate::keys::fleet::Fleet;
use crate::keys::grant::{
    DecryptPin, DecryptPinToReference, DecryptPinToVerify, EncryptPin, Grant, MakePinReference,
    VerifyPin,
};
use crate::limits;
use crate::ops::Error;
use crate::ops::fill::Fill;
use crate::secret::Secret;

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

/// One verification, everything checked but the content of the block.
pub struct Verification<'a> {
    /// The key the block is under.
    pub source: &'a Grant<DecryptPinToVerify>,
    /// Its layout, bound to the PAN.
    pub source_format: Format,
    /// The PIN verification key.
    pub key: &'a Grant<VerifyPin>,
    /// How it verifies.
    pub method: Method,
    /// The PAN.
    pub pan: &'a Pan,
    /// The block.
    pub block: &'a [u8],
    /// What is kept of the PIN.
    pub reference: Reference,
    /// No work is begun after this.
    pub deadline: Instant,
}

/// One making of a reference, everything checked but the content of the block.
pub struct Referencing<'a> {
    /// The key the block is under.
    pub source: &'a Grant<DecryptPinToReference>,
    /// Its layout, bound to the PAN.
    pub source_format: Format,
    /// The PIN verification key.
    pub key: &'a Grant<MakePinReference>,
    /// How it verifies.
    pub method: Method,
    /// The PAN.
    pub pan: &'a Pan,
    /// The block.
    pub block: &'a [u8],
    /// No work is begun after this.
    pub deadline: Instant,
}

/// One making of a PIN.
pub struct Generation<'a> {
    /// The key it goes out under; its policy names the layout.
    pub destination: &'a Grant<EncryptPin>,
    /// The PIN verification key.
    pub key: &'a Grant<MakePinReference>,
    /// How it verifies.
    pub method: Method,
    /// Which PIN.
    pub choice: PinChoice,
    /// The PAN.
    pub pan: &'a Pan,
    /// Of whose random bytes a PIN is drawn.
    pub fleet: &'a Fleet,
    /// No work is begun after this.
    pub deadline: Instant,
}

/// Which PIN is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinChoice {
    /// Any, each as likely.
    Random,
    /// The one whose offset is zeros.
    Natural,
}

/// Where PINs are clear.
pub trait PinEngine: Send + Sync {
    /// Opens, checks and closes a PIN block again under another key, as one operation. Every
    /// fault that depends on the clear block is [`Error::PinBlockRejected`].
    fn translate<'a>(&'a self, translation: Translation<'a>) -> Answer<'a>;

    /// Opens a PIN block and compares its PIN with what is kept of it. No error depends on the clear
    /// block: whatever is wrong with it is `false`.
    fn verify<'a>(&'a self, verification: Verification<'a>) -> Answer<'a, bool>;

    /// Opens a PIN block and makes what is kept of its PIN. Every fault that depends on the clear
    /// block is [`Error::PinBlockRejected`].
    fn make_reference<'a>(&'a self, referencing: Referencing<'a>) -> Answer<'a, Reference>;

    /// Makes a PIN, closes it into a block, and makes what is kept of it.
    fn generate<'a>(
        &'a self,
        generation: Generation<'a>,
    ) -> Answer<'a, (EncryptedPinBlock, Reference)>;
}

/// The answer of an engine; an engine in this process has it at once.
pub type Answer<'a, T = EncryptedPinBlock> =
    Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

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

    async fn generate_drawn(
        &self,
        generation: Generation<'_>,
    ) -> Result<(EncryptedPinBlock, Reference), Error> {
        let Generation {
            destination,
            key,
            method,
            choice,
            pan,
            fleet,
            deadline,
        } = generation;
        let random = match choice {
            PinChoice::Random => fleet.random(deadline, limits::PIN_DRAW_BYTES).await?,
            PinChoice::Natural => Vec::new(),
        };
        let random = Secret::new(random);
        let verifier = Verifier {
            key: key.key(),
            method,
        };
        let pin = match choice {
            PinChoice::Random => {
                ClearPin::draw(method.pin_digits(), random.expose_secret()).ok_or(Error::PinDraw)?
            }
            PinChoice::Natural => verifier
                .natural_pin(pan)
                .map_err(|PanTooShort| Error::PanLength)?
                .ok_or(Error::NoNaturalPin)?,
        };
        let reference = verifier.reference(pan, &pin);
        let reference = reference.map_err(|PanTooShort| Error::PanLength)?;
        let to = Framing {
            format: destination.format(),
            cipher: destination.cipher(),
        };
        let fill = self.fill.draw()?;
        let block = pin_block::encipher(to, &pin, pan, &fill);
        Ok((block.map_err(|_| Error::PinKeyMismatch)?, reference))
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

    fn verify<'a>(&'a self, verification: Verification<'a>) -> Answer<'a, bool> {
        let from = Framing {
            format: verification.source_format,
            cipher: verification.source.cipher(),
        };
        let verifier = Verifier {
            key: verification.key.key(),
            method: verification.method,
        };
        let Verification {
            pan,
            block,
            reference,
            ..
        } = verification;
        let valid = pin_verification::verify(from, pan, block, &verifier, &reference);
        Box::pin(std::future::ready(Ok(valid)))
    }

    fn make_reference<'a>(&'a self, referencing: Referencing<'a>) -> Answer<'a, Reference> {
        let from = Framing {
            format: referencing.source_format,
            cipher: referencing.source.cipher(),
        };
        let verifier = Verifier {
            key: referencing.key.key(),
            method: referencing.method,
        };
        let Referencing { pan, block, .. } = referencing;
        let made = pin_verification::reference_of(from, pan, block, &verifier);
        Box::pin(std::future::ready(made.map_err(Error::from)))
    }

    fn generate<'a>(
        &'a self,
        generation: Generation<'a>,
    ) -> Answer<'a, (EncryptedPinBlock, Reference)> {
        Box::pin(self.generate_drawn(generation))
    }
}
