//! A MAC in the making: the message comes in pieces, and nothing of it is kept but a block.
//!
//! Only padding method 3 needs to know the message's length before its first byte; then what comes
//! must be as long as was said.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::cipher::{Aes, BlockCipher, Des, Sm4, Tdes};
use crate::domain::mac::fold::{Fold, HexCase, write_hex};
use crate::domain::mac::iso9797::{Chain, output_3};
use crate::domain::mac::key::{MacKey, Schedule};
use crate::domain::mac::padding::Padding;
use crate::domain::mac::scheme::Rule;
use crate::domain::mac::{MacError, MacTag, VerifyError, cmac, gateway, hmac};

/// A MAC in the making, under one key and its rule.
pub struct MacState<'k> {
    rule: Rule,
    said: Option<usize>,
    total: usize,
    step: Step<'k>,
}

/// Where each construction stands, with what it needs of the key.
enum Step<'k> {
    Des(&'k Des, Padding, Chain<8>),
    Tdes(&'k Tdes, Padding, Chain<8>),
    Aes(&'k Aes, Padding, Chain<16>),
    Sm4(&'k Sm4, Padding, Chain<16>),
    Retail {
        k: &'k Des,
        k_prime: &'k Des,
        padding: Padding,
        chain: Chain<8>,
    },
    CmacTdes(&'k Tdes, &'k cmac::Subkeys<8>, Chain<8>),
    CmacAes(&'k Aes, &'k cmac::Subkeys<16>, Chain<16>),
    CmacSm4(&'k Sm4, &'k cmac::Subkeys<16>, Chain<16>),
    FoldDes(&'k Des, HexCase, Fold<8>),
    FoldTdes(&'k Tdes, HexCase, Fold<8>),
    FoldSm4(&'k Sm4, HexCase, Fold<16>),
    Hmac(hmac::State),
    Gateway(&'k gateway::Key, gateway::State),
}

impl<'k> MacState<'k> {
    /// Before a message. Its length must be said where [`Rule::needs_length_first`], and is held
    /// to wherever it is said.
    pub fn begin(key: &'k MacKey, rule: &Rule, length: Option<usize>) -> Result<Self, MacError> {
        if key.scheme() != rule.scheme {
            return Err(MacError::SchemeMismatch);
        }
        if rule.needs_length_first() && length.is_none() {
            return Err(MacError::LengthMissing);
        }
        Ok(Self {
            rule: *rule,
            said: length,
            total: 0,
            step: Step::begin(key, rule, length.unwrap_or_default())?,
        })
    }

    /// Takes a piece of the message; an empty one changes nothing.
    pub fn update(&mut self, part: &[u8]) -> Result<(), MacError> {
        self.total = self.total.saturating_add(part.len());
        if self.said.is_some_and(|said| self.total > said) {
            return Err(MacError::LengthMismatch);
        }
        self.step.update(part);
        Ok(())
    }

    /// The MAC of what has come.
    pub fn generate(self) -> Result<MacTag, MacError> {
        let length = usize::from(self.rule.length).min(MacTag::MAX);
        let full = self.finish()?;
        let mut tag = MacTag {
            bytes: [0; MacTag::MAX],
            length,
        };
        tag.bytes[..length].copy_from_slice(&full[..length]);
        Ok(tag)
    }

    /// Checks the MAC of what has come, in time that does not depend on where it differs.
    pub fn verify(self, mac: &[u8]) -> Result<(), VerifyError> {
        let length = usize::from(self.rule.length).min(MacTag::MAX);
        if mac.len() != length {
            return Err(VerifyError::WrongLength);
        }
        let full = self.finish()?;
        if bool::from(full[..length].ct_eq(mac)) {
            Ok(())
        } else {
            Err(VerifyError::Mismatch)
        }
    }

    /// The whole MAC, left-aligned, in the form of its scheme.
    fn finish(self) -> Result<Zeroizing<[u8; MacTag::MAX]>, MacError> {
        if self.said.is_some_and(|said| self.total != said) {
            return Err(MacError::LengthMismatch);
        }
        if self.total == 0 && self.rule.fills_with_zeros() {
            return Err(MacError::EmptyMessage);
        }
        let mut full = Zeroizing::new([0u8; MacTag::MAX]);
        self.step.finish(&mut full);
        if let Some(case) = self.rule.scheme.output_case() {
            let mut text = Zeroizing::new([0u8; MacTag::MAX]);
            write_hex(&full[..MacTag::MAX / 2], case, &mut text[..]);
            full = text;
        }
        Ok(full)
    }
}

impl<'k> Step<'k> {
    fn begin(key: &'k MacKey, rule: &Rule, length: usize) -> Result<Self, MacError> {
        let padding = || rule.padding.ok_or(MacError::SchemeMismatch);
        Ok(match (key.schedule(), rule.scheme.fold_case()) {
            (Schedule::Des(des), Some(case)) => Self::FoldDes(des, case, Fold::new()),
            (Schedule::Tdes(tdes), Some(case)) => Self::FoldTdes(tdes, case, Fold::new()),
            (Schedule::Sm4(sm4), Some(case)) => Self::FoldSm4(sm4, case, Fold::new()),
            (Schedule::Des(des), None) => Self::Des(des, padding()?, begun(des, rule, length)?),
            (Schedule::Tdes(tdes), None) => {
                Self::Tdes(tdes, padding()?, begun(tdes, rule, length)?)
            }
            (Schedule::Sm4(sm4), None) => Self::Sm4(sm4, padding()?, begun(sm4, rule, length)?),
            (Schedule::Aes(aes), _) => Self::Aes(aes, padding()?, begun(aes, rule, length)?),
            (Schedule::Retail { k, k_prime }, _) => Self::Retail {
                k,
                k_prime,
                padding: padding()?,
                chain: begun(k, rule, length)?,
            },
            (Schedule::CmacTdes(tdes, subkeys), _) => Self::CmacTdes(tdes, subkeys, Chain::new()),
            (Schedule::CmacAes(aes, subkeys), _) => Self::CmacAes(aes, subkeys, Chain::new()),
            (Schedule::CmacSm4(sm4, subkeys), _) => Self::CmacSm4(sm4, subkeys, Chain::new()),
            (Schedule::Hmac(state), _) => Self::Hmac(state.clone()),
            (Schedule::Gateway(key), _) => Self::Gateway(key, gateway::State::of_key(key)),
        })
    }

    fn update(&mut self, part: &[u8]) {
        let Ok(()) = match self {
            Self::Des(des, _, chain) | Self::Retail { k: des, chain, .. } => {
                chain.update(*des, part)
            }
            Self::Tdes(tdes, _, chain) | Self::CmacTdes(tdes, _, chain) => {
                chain.update(*tdes, part)
            }
            Self::Aes(aes, _, chain) | Self::CmacAes(aes, _, chain) => chain.update(*aes, part),
            Self::Sm4(sm4, _, chain) | Self::CmacSm4(sm4, _, chain) => chain.update(*sm4, part),
            Self::FoldDes(_, _, fold) | Self::FoldTdes(_, _, fold) => {
                fold.update(part);
                Ok(())
            }
            Self::FoldSm4(_, _, fold) => {
                fold.update(part);
                Ok(())
            }
            Self::Hmac(state) => {
                state.update(part);
                Ok(())
            }
            Self::Gateway(_, state) => {
                state.update(part);
                Ok(())
            }
        };
    }

    /// Writes the whole MAC to the start of `full`.
    fn finish(self, full: &mut [u8; MacTag::MAX]) {
        let (eight, sixteen) = match self {
            Self::Des(des, padding, chain) => (Some(closed(des, padding, chain)), None),
            Self::Tdes(tdes, padding, chain) => (Some(closed(tdes, padding, chain)), None),
            Self::Aes(aes, padding, chain) => (None, Some(closed(aes, padding, chain))),
            Self::Sm4(sm4, padding, chain) => (None, Some(closed(sm4, padding, chain))),
            Self::Retail {
                k,
                k_prime,
                padding,
                chain,
            } => {
                let mut state = closed(k, padding, chain);
                let Ok(()) = output_3(k, k_prime, &mut state);
                (Some(state), None)
            }
            Self::CmacTdes(tdes, subkeys, chain) => {
                let Ok(tag) = cmac::finish(tdes, subkeys, chain);
                (Some(Zeroizing::new(tag)), None)
            }
            Self::CmacAes(aes, subkeys, chain) => {
                let Ok(tag) = cmac::finish(aes, subkeys, chain);
                (None, Some(Zeroizing::new(tag)))
            }
            Self::CmacSm4(sm4, subkeys, chain) => {
                let Ok(tag) = cmac::finish(sm4, subkeys, chain);
                (None, Some(Zeroizing::new(tag)))
            }
            Self::FoldDes(des, case, fold) => {
                let Ok(tag) = fold.finish(des, case);
                (Some(Zeroizing::new(tag)), None)
            }
            Self::FoldTdes(tdes, case, fold) => {
                let Ok(tag) = fold.finish(tdes, case);
                (Some(Zeroizing::new(tag)), None)
            }
            Self::FoldSm4(sm4, case, fold) => {
                let Ok(tag) = fold.finish(sm4, case);
                (None, Some(Zeroizing::new(tag)))
            }
            Self::Hmac(state) => {
                state.finish(full);
                (None, None)
            }
            Self::Gateway(key, state) => {
                state.finish(key, full);
                (None, None)
            }
        };
        if let Some(tag) = eight {
            full[..8].copy_from_slice(&tag[..]);
        }
        if let Some(tag) = sixteen {
            full[..16].copy_from_slice(&tag[..]);
        }
    }
}

fn begun<C, const N: usize>(cipher: &C, rule: &Rule, length: usize) -> Result<Chain<N>, MacError>
where
    C: BlockCipher<N, Error = core::convert::Infallible>,
{
    let padding = rule.padding.ok_or(MacError::SchemeMismatch)?;
    let Ok(chain) = Chain::begin(cipher, padding, length);
    Ok(chain)
}

fn closed<C, const N: usize>(cipher: &C, padding: Padding, chain: Chain<N>) -> Zeroizing<[u8; N]>
where
    C: BlockCipher<N, Error = core::convert::Infallible>,
{
    let Ok(state) = chain.finish(cipher, padding);
    state
}
