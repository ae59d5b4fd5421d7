//! Listing key versions by pages, filtered: a filter is words of which each must hold.

use crate::keys::act::now;
use crate::keys::attributes::{Algorithm, Origin, Residence, State, Usage};
use crate::keys::catalogue::Cursor;
use crate::keys::policy::KeyPattern;
use crate::keys::record::Header;
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::keys::stands;
use crate::ops::{Error, KeyRole};

/// One page of key versions.
#[derive(Clone, Debug)]
pub struct Page {
    /// The versions, in the order of their names.
    pub keys: Vec<Header>,
    /// How to ask for the next page; none after the last.
    pub next: Option<String>,
}

/// One page of the versions that the caller may see and the filter lets through. A record that does
/// not open is left out here; `pintle keys list` names it.
///
/// # Errors
/// [`Error::PageToken`], [`Error::Filter`], or what store or token answered.
pub async fn list(
    context: &Context,
    call: &Call,
    page_size: u32,
    page_token: &str,
    filter: &str,
) -> Result<Page, Error> {
    let filter = Filter::parse(filter).ok_or(Error::Filter)?;
    let size = match usize::try_from(page_size) {
        Ok(0) | Err(_) => limits::KEYS_PAGE_DEFAULT,
        Ok(size) => size.min(limits::KEYS_PAGE_MAX),
    };
    let mut cursor = match page_token {
        "" => Cursor::start(),
        token => Cursor::parse(token).ok_or(Error::PageToken)?,
    };
    let (mut keys, tenant) = (Vec::new(), call.scope().tenant());
    loop {
        let page = context
            .catalogue
            .page(tenant, &cursor, call.deadline())
            .await;
        let (found, next) = page.map_err(|error| Error::Key(KeyRole::Only, error))?;
        for (at, header) in found {
            cursor = at;
            if call.scope().holds(tenant, header.name.as_str()) && filter.holds(&header) {
                keys.push(header);
                if keys.len() == size {
                    let next = Some(cursor.to_string());
                    return Ok(Page { keys, next });
                }
            }
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(Page { keys, next: None }),
        }
    }
}

/// Words that must all hold.
struct Filter(Vec<Word>);

enum Word {
    Usage(Usage),
    State(State),
    Algorithm(Algorithm),
    Origin(Origin),
    Residence(Residence),
    Name(KeyPattern),
    Legacy,
    Weak,
    ExpiresWithin(u64),
}

impl Filter {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > limits::SMALL_MESSAGE_BYTES_MAX {
            return None;
        }
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        words.map(Word::parse).collect::<Option<_>>().map(Self)
    }

    fn holds(&self, header: &Header) -> bool {
        self.0.iter().all(|word| word.holds(header))
    }
}

impl Word {
    fn parse(word: &str) -> Option<Self> {
        match word.split_once('=') {
            Some(("usage", text)) => Usage::of_code_or_word(text).map(Self::Usage),
            Some(("state", text)) => State::from_word(text).map(Self::State),
            Some(("algorithm", text)) => Algorithm::from_word(text).map(Self::Algorithm),
            Some(("origin", text)) => Origin::from_word(text).map(Self::Origin),
            Some(("residence", text)) => Residence::from_word(text).map(Self::Residence),
            Some(("name", text)) => KeyPattern::parse(text).ok().map(Self::Name),
            Some(_) => None,
            None if word == "legacy" => Some(Self::Legacy),
            None if word == "weak" => Some(Self::Weak),
            None => {
                let days = word.strip_prefix("expires<")?.strip_suffix('d')?;
                let days: u32 = days.parse().ok()?;
                Some(Self::ExpiresWithin(u64::from(days) * limits::DAY_SECONDS))
            }
        }
    }

    fn holds(&self, header: &Header) -> bool {
        match self {
            Self::Usage(usage) => header.usage == *usage,
            Self::State(state) => stands(header, *state),
            Self::Algorithm(algorithm) => header.algorithm == *algorithm,
            Self::Origin(origin) => header.origin == *origin,
            Self::Residence(residence) => header.residence == *residence,
            Self::Name(pattern) => pattern.matches(header.name.as_str()),
            Self::Legacy => header.legacy,
            Self::Weak => header.policy.weak,
            Self::ExpiresWithin(seconds) => header
                .expiry
                .is_some_and(|expiry| expiry <= now() + seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_words_and_anything_else_is_none() {
        for good in [
            "",
            "usage=P0",
            "usage=pin_encryption state=active",
            "algorithm=AES-128, name=zpk-*",
            "origin=HOST_COMPONENTS residence=TOKEN legacy weak expires<30d",
        ] {
            assert!(Filter::parse(good).is_some(), "{good}");
        }
        for bad in [
            "usage=P9",
            "colour=red",
            "expires<30",
            "expires<xd",
            "strong",
            "name=A",
        ] {
            assert!(Filter::parse(bad).is_none(), "{bad}");
        }
    }
}
