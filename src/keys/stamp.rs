//! Stamps: what the store keeps for a while and must not be edited (answers for repetitions,
//! approvals, memories of cryptograms, intents) ends in a MAC by each token at hand, under `root`.
//!
//! One that holds is enough to believe it, so that whichever token serves can. Where none of those
//! that stamped is at hand and one of the fleet is away, nothing is decided.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::hsm::{self, Token, TokenId};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::make::deadline;
use crate::limits;

/// `payload` with the stamp of every token that answers over it and where it stands.
pub(in crate::keys) async fn stamp(
    catalogue: &Catalogue,
    context: &[u8],
    payload: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let message = message(context, &payload);
    let patience = limits::STAMP_PATIENCE;
    let ask = |token: &Token| token.root_mac(deadline(), message.clone());
    let macs = catalogue.fleet().every(patience, ask).await?;
    Ok(join(payload, &macs))
}

/// The same by one token: what is that one's alone to carry out.
pub(in crate::keys) async fn stamp_by(
    token: &Token,
    context: &[u8],
    payload: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let mac = token.root_mac(deadline(), message(context, &payload));
    let mac = mac.await?;
    Ok(join(payload, &[(token.id(), mac)]))
}

/// What stood under a stamp; none where it is not our tokens'.
///
/// # Errors
/// [`Error::TokenAway`] where a token that is not here may have stamped it; or what the tokens
/// answered.
pub(in crate::keys) async fn stamped<'a>(
    catalogue: &Catalogue,
    context: &[u8],
    body: &'a [u8],
) -> Result<Option<&'a [u8]>, Error> {
    let Some(stamped) = Stamped::read(body) else {
        return Ok(None);
    };
    let message = message(context, stamped.payload);
    let fleet = catalogue.fleet();
    let known = |token: &Token| stamped.of(token.id()).is_some();
    if !fleet.tokens().any(known) {
        return fleet.vacancy().map_or(Ok(None), Err);
    }
    let ask = |token: &Token| {
        let (id, mac) = (token.id(), token.root_mac(deadline(), message.clone()));
        async move { Ok::<_, hsm::Error>((id, mac.await?)) }
    };
    let (id, mac) = fleet.any(known, ask).await?;
    Ok(stamped.holds(id, &mac).then_some(stamped.payload))
}

/// What one token has stamped, which the body names; none where it is not at hand, or several have.
pub(in crate::keys) async fn stamped_by_one<'a>(
    catalogue: &Catalogue,
    context: impl Fn(TokenId) -> Vec<u8>,
    body: &'a [u8],
) -> Result<Option<(TokenId, &'a [u8])>, Error> {
    let Some(stamped) = Stamped::read(body) else {
        return Ok(None);
    };
    let [one] = stamped.stamps else {
        return Ok(None);
    };
    let id = token_of(one);
    let Some(token) = catalogue.fleet().at_hand(id) else {
        return Ok(None);
    };
    let message = message(&context(id), stamped.payload);
    let mac = token.root_mac(deadline(), message).await?;
    Ok(stamped.holds(id, &mac).then_some((id, stamped.payload)))
}

/// A body, taken apart: payload, stamps, how many.
struct Stamped<'a> {
    payload: &'a [u8],
    stamps: &'a [[u8; STAMP_BYTES]],
}

impl<'a> Stamped<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let (count, rest) = body.split_last()?;
        let count = usize::from(*count);
        if !(1..=limits::SEALS_MAX).contains(&count) {
            return None;
        }
        let at = rest.len().checked_sub(count * STAMP_BYTES)?;
        let (payload, stamps) = rest.split_at(at);
        let (stamps, _) = stamps.as_chunks();
        Some(Self { payload, stamps })
    }

    fn of(&self, token: TokenId) -> Option<&[u8]> {
        let stamp = self.stamps.iter().find(|stamp| token_of(stamp) == token)?;
        Some(&stamp[ID_BYTES..])
    }

    fn holds(&self, token: TokenId, mac: &[u8; 32]) -> bool {
        self.of(token)
            .is_some_and(|said| bool::from(mac.as_slice().ct_eq(said)))
    }
}

fn token_of(stamp: &[u8; STAMP_BYTES]) -> TokenId {
    TokenId(std::array::from_fn(|at| stamp[at]))
}

fn join(payload: Vec<u8>, macs: &[(TokenId, [u8; 32])]) -> Vec<u8> {
    let mut body = payload;
    for (token, mac) in macs {
        body.extend_from_slice(&token.0);
        body.extend_from_slice(mac);
    }
    body.push(u8::try_from(macs.len()).unwrap_or(u8::MAX));
    body
}

fn message(context: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(context.len()).unwrap_or(u64::MAX);
    let mut digest = Sha256::new();
    digest.update(length.to_be_bytes());
    digest.update(context);
    digest.update(payload);
    [STAMP, &digest.finalize()[..]].concat()
}

const ID_BYTES: usize = 16;
const STAMP_BYTES: usize = ID_BYTES + 32;
/// Begins what is stamped; nothing else that `root` signs begins so.
const STAMP: &[u8] = b"pintle stamp\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_back_by_token_and_nothing_shorter_is() {
        let macs = [(TokenId([1; 16]), [7; 32]), (TokenId([2; 16]), [8; 32])];
        let body = join(b"payload".to_vec(), &macs);
        let read = Stamped::read(&body).unwrap();
        assert_eq!(read.payload, b"payload");
        for (token, mac) in &macs {
            assert!(read.holds(*token, mac));
            assert!(!read.holds(*token, &[9; 32]));
        }
        assert!(!read.holds(macs[0].0, &macs[1].1), "another token's");
        assert!(!read.holds(TokenId([3; 16]), &[7; 32]));
        for bad in [&[][..], &[0], &[1], &[1; STAMP_BYTES], &[9; 600]] {
            assert!(Stamped::read(bad).is_none(), "{}", bad.len());
        }
    }
}
