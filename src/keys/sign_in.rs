//! A terminal's sign-in (签到): working keys are drawn in the token and leave twice, under the
//! terminal's master key and in key blocks of this service. Nothing of them is stored.
//!
//! A cryptogram carries no usage, so the store remembers under which usage each went out: the PIN
//! key of a sign-in does not come back in as a track key (security.md K1). Which keys are made
//! stands in `plan`.

mod plan;

use crate::domain::check_value::{self, Method};
use crate::domain::unionpay::sign_in::{Delivered, Layout, field_62};
use crate::hsm::Direction;
use crate::keys::act::{Act, Outcome};
use crate::keys::attributes::{Algorithm, Exportability, Usage};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::exchange::intake::{remembered, under_parent};
use crate::keys::exchange::profile::Profile;
use crate::keys::exchange::release::random;
use crate::keys::exchange::{self, BlockAttributes, ExchangeError, Outgoing};
use crate::keys::grant::{GiveCryptogram, Grant, OperationKind, WrapKeyBlock};
use crate::keys::make::{Birth, Maker, deadline};
use crate::keys::record::Header;
use crate::keys::spec::{KeySpec, SpecFault};
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::secret::Secret;

/// The terminal's master key, checked.
pub enum Terminal {
    /// Working keys go out as bare cryptograms under it.
    Cryptograms(Grant<GiveCryptogram>),
    /// Working keys go out in key blocks under it.
    Blocks(Grant<WrapKeyBlock>),
}

/// What a terminal and its host get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// PIK, MAK and, where the layout has one, TDK.
    pub keys: Vec<WorkingKey>,
    /// Field 62 of the answer; empty where the keys go out in blocks.
    pub field_62: Vec<u8>,
}

/// One key of a sign-in, in no form clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkingKey {
    /// What it is for.
    pub usage: Usage,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// It, under the terminal's master key; empty where it goes out in a block.
    pub cryptogram: Vec<u8>,
    /// It, in a block under the terminal's master key; empty where it goes out as a cryptogram.
    pub terminal_block: String,
    /// Its check value, as the terminal gets it.
    pub check_value: Vec<u8>,
    /// It, in a block of this service.
    pub key_block: String,
}

/// Makes a terminal's working keys.
///
/// # Errors
/// [`Error::UsageRefused`] where the terminal's key has no sign-in, [`Error::Exchange`] where the
/// protection key cannot take the keys, or what store or token answered.
pub async fn sign_in(
    catalogue: &Catalogue,
    terminal: &Terminal,
    protection: &Grant<WrapKeyBlock>,
    act: &Act,
) -> Result<SignedIn, Error> {
    let header = terminal.header();
    let layout = header.policy.sign_in.ok_or(NO_SIGN_IN)?;
    let (mut keys, mut memories) = (Vec::new(), Vec::new());
    let specs = plan::working_keys(&KeySpec::of(header)).map_err(refused)?;
    for spec in specs {
        let draft = Draft {
            catalogue,
            terminal,
            layout,
            spec,
        };
        let key = draft.make(protection).await?;
        if !key.cryptogram.is_empty() {
            memories.extend(remembered(catalogue, header, &key.cryptogram, key.usage).await?);
        }
        keys.push(key);
    }
    let signed_in = SignedIn {
        field_62: laid_out(layout, &keys)?,
        keys,
    };
    let outcome = Outcome {
        name: header.name.clone(),
        version: header.version,
        block: None,
        content: Some(signed_in.encode()),
    };
    let mut beside = act.beside(catalogue, &outcome).await?;
    beside.documents.extend(memories);
    catalogue.store().write_beside(deadline(), beside).await?;
    Ok(signed_in)
}

/// Whether a key's sign-in, if it has one, is one that can be carried out.
pub(in crate::keys) fn check(parent: &KeySpec) -> Result<(), SpecFault> {
    match parent.policy.sign_in {
        Some(_) => plan::working_keys(parent).map(drop),
        None => Ok(()),
    }
}

impl Terminal {
    fn header(&self) -> &Header {
        match self {
            Self::Cryptograms(grant) => grant.header(),
            Self::Blocks(grant) => grant.header(),
        }
    }
}

/// One key that is about to be made.
struct Draft<'a> {
    catalogue: &'a Catalogue,
    terminal: &'a Terminal,
    layout: Layout,
    spec: KeySpec,
}

impl Draft<'_> {
    async fn make(&self, protection: &Grant<WrapKeyBlock>) -> Result<WorkingKey, Error> {
        let maker = Maker {
            catalogue: self.catalogue,
            tenant: &self.terminal.header().tenant,
            birth: Birth::default(),
        };
        let value = maker.draw(self.spec.algorithm).await?;
        let key_block = self.block(protection, &value, true).await?;
        let (cryptogram, terminal_block) = match self.terminal {
            Terminal::Cryptograms(grant) => {
                let mut copy = Secret::new(Vec::with_capacity(value.expose_secret().len()));
                copy.expose_secret_mut()
                    .extend_from_slice(value.expose_secret());
                let parent = (grant.parent(), grant.header().algorithm);
                let under = under_parent(parent, Direction::Encrypt, copy).await?;
                (under.expose_secret().clone(), String::new())
            }
            Terminal::Blocks(grant) => (Vec::new(), self.block(grant, &value, false).await?),
        };
        Ok(WorkingKey {
            usage: self.spec.usage,
            algorithm: self.spec.algorithm,
            cryptogram,
            terminal_block,
            check_value: self.check_value(&value)?,
            key_block,
        })
    }

    /// The key in a block; with `own`, of this service, else as any terminal reads it.
    async fn block(
        &self,
        protection: &Grant<WrapKeyBlock>,
        value: &Secret<Vec<u8>>,
        own: bool,
    ) -> Result<String, Error> {
        let KeySpec {
            usage,
            mode,
            side,
            algorithm,
            ref policy,
            ..
        } = self.spec;
        let header = self.terminal.header();
        let outgoing = Outgoing {
            attributes: BlockAttributes {
                usage,
                // The terminal does what its host undoes.
                mode: if own { mode } else { plan::other_end(mode) },
                algorithm,
                exportability: Exportability::NonExportable,
            },
            value: value.expose_secret(),
            optional_blocks: None,
            profile: own.then(|| Profile {
                environment: header.environment,
                tenant: header.tenant.clone(),
                side,
                policy: policy.clone(),
            }),
        };
        let random = random(self.catalogue).await?;
        Ok(exchange::wrap(protection, &outgoing, &random)?)
    }

    fn check_value(&self, value: &Secret<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let not_written = || Error::Exchange(ExchangeError::NotWritten);
        let (algorithm, value) = (self.spec.algorithm, value.expose_secret());
        let Some(shown) = self.layout.check_value_bytes() else {
            let own = exchange::check_value_of(algorithm, value);
            return Ok(own.map(|own| own.bytes).unwrap_or_default());
        };
        let cipher = algorithm.block_algorithm().ok_or_else(not_written)?;
        let shown = check_value::compute_by(Method::of(cipher), value, shown);
        Ok(shown.map_err(|_| not_written())?.as_bytes().to_vec())
    }
}

fn laid_out(layout: Layout, keys: &[WorkingKey]) -> Result<Vec<u8>, ExchangeError> {
    if matches!(layout, Layout::KeyBlocks { .. }) {
        return Ok(Vec::new());
    }
    let delivered: Vec<_> = keys
        .iter()
        .map(|key| Delivered {
            cryptogram: &key.cryptogram,
            check_value: &key.check_value,
        })
        .collect();
    field_62(layout, &delivered).ok_or(ExchangeError::NotWritten)
}

impl SignedIn {
    /// What is kept for repetitions.
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        for key in &self.keys {
            writer.put(1, &key.usage.code());
            writer.put(2, &[key.algorithm.code()]);
            writer.put(3, &key.cryptogram);
            writer.put(4, key.terminal_block.as_bytes());
            writer.put(5, &key.check_value);
            writer.put(6, key.key_block.as_bytes());
        }
        writer.put(7, &self.field_62);
        writer.finish()
    }

    /// What a repetition of the same request answers.
    ///
    /// # Errors
    /// [`Error::Exchange`] where what was kept is not a sign-in's answer.
    pub fn of_outcome(outcome: &Outcome) -> Result<Self, Error> {
        let content = outcome.content.as_deref().unwrap_or_default();
        decode(content).map_err(|Malformed| ExchangeError::NotWritten.into())
    }
}

fn decode(bytes: &[u8]) -> Result<SignedIn, Malformed> {
    let mut reader = Reader::new(bytes);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed);
    let mut keys = Vec::new();
    while let Some(usage) = reader.take_if(1)? {
        let usage = usage.try_into().ok().and_then(Usage::from_code);
        let [algorithm] = *reader.take(2)? else {
            return Err(Malformed);
        };
        keys.push(WorkingKey {
            usage: usage.ok_or(Malformed)?,
            algorithm: Algorithm::from_code(algorithm).ok_or(Malformed)?,
            cryptogram: reader.take(3)?.to_vec(),
            terminal_block: text(reader.take(4)?)?,
            check_value: reader.take(5)?.to_vec(),
            key_block: text(reader.take(6)?)?,
        });
    }
    let field_62 = reader.take(7)?.to_vec();
    reader.end()?;
    Ok(SignedIn { keys, field_62 })
}

/// A policy that another version of this program took.
fn refused(fault: SpecFault) -> Error {
    let SpecFault { field, why } = fault;
    ExchangeError::Spec { field, why }.into()
}

const NO_SIGN_IN: Error = Error::UsageRefused {
    what: OperationKind::GiveCryptogram,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_kept_is_read_back() {
        let key = |usage| WorkingKey {
            usage,
            algorithm: Algorithm::Sm4,
            cryptogram: vec![3; 16],
            terminal_block: String::new(),
            check_value: vec![1, 2, 3, 4],
            key_block: "D0144P04DN00N0000".to_owned(),
        };
        let signed_in = SignedIn {
            keys: vec![key(Usage::PinEncryption), key(Usage::MacAlgorithm1)],
            field_62: vec![9; 40],
        };
        let bytes = signed_in.encode();
        assert_eq!(decode(&bytes), Ok(signed_in));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(Malformed));
        }
    }
}
