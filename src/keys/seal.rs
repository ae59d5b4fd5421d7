//! Sealing and opening records: one AES-GCM call in the token, under `seal`, with the exact header
//! bytes as associated data.
//!
//! What is sealed begins with a byte for its kind: a key value, or, for a key that is in the token,
//! a marker and the object's id, so that such a header is authenticated before use as well.

use std::time::Instant;

use crate::hsm::{self, Sealed, Token, TokenId};
use crate::keys::attributes::{Environment, Residence, State};
use crate::keys::error::{Error, Refusal};
use crate::keys::fleet::Fleet;
use crate::keys::record::Header;
use crate::secret::Secret;
use crate::store::{RecordId, StoredRecord, StoredSeal};

/// Who seals and opens, on behalf of one environment: what every token of the fleet has sealed, any
/// of them opens.
#[derive(Clone)]
pub struct Custodian {
    fleet: Fleet,
    environment: Environment,
}

impl Custodian {
    /// A custodian of the keys of one environment.
    pub fn new(fleet: Fleet, environment: Environment) -> Self {
        Self { fleet, environment }
    }

    /// The tokens.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The first token that can open `record` and is not at hand: it would be left behind if the
    /// record were written anew.
    pub(in crate::keys) fn missing_token_of(&self, record: &StoredRecord) -> Option<TokenId> {
        let mut ids = record.seals.iter().map(|seal| TokenId(seal.token_id));
        ids.find(|id| self.fleet.at_hand(*id).is_none())
    }

    /// The environment whose keys it opens.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Seals `content` under `header`: by every token, or, what is in one token only, by that one.
    pub(in crate::keys) async fn seal(
        &self,
        deadline: Instant,
        header: &Header,
        content: &Content,
    ) -> Result<StoredRecord, Error> {
        self.fleet.all_serve()?;
        let bytes = header.encode();
        let mut seals = Vec::new();
        let home = content.home();
        let own = |token: &&Token| home.is_none_or(|home| home == token.id());
        for token in self.fleet.tokens().filter(own) {
            seals.push(seal_by(token, deadline, bytes.clone(), content).await?);
        }
        if let (Some(token), true) = (home, seals.is_empty()) {
            return Err(Error::TokenNotAtHand { token });
        }
        Ok(StoredRecord {
            id: header.id(),
            header: bytes,
            seals,
        })
    }

    /// Opens a record, by one of the tokens that have sealed it; where that one fails, by the next.
    /// The header is that of this very row, of our environment, and was authenticated by the token;
    /// or the record is refused, and named.
    pub(in crate::keys) async fn open(
        &self,
        deadline: Instant,
        record: &StoredRecord,
    ) -> Result<(Header, Content), Error> {
        let mut failed = None;
        for token in self.fleet.by_load(|token| seal_of(token, record).is_some()) {
            match self.open_by(token, deadline, record).await {
                Err(error) if may_try_another(&error) => {
                    failed.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        // A token that is not here yet may have sealed it.
        let absent = || self.fleet.vacancy();
        let other = || refusal(record, Refusal::OtherToken);
        Err(failed.or_else(absent).unwrap_or_else(other))
    }

    /// The same, by one of the tokens at hand.
    pub(in crate::keys) async fn open_by(
        &self,
        token: &Token,
        deadline: Instant,
        record: &StoredRecord,
    ) -> Result<(Header, Content), Error> {
        let (header, sealed) = sealed_by(token, record)?;
        let opened = token.unseal(deadline, record.header.clone(), sealed).await;
        self.opened(token, record, header, opened)
    }

    /// The same, waited for by a thread.
    pub(in crate::keys) fn open_blocking(
        &self,
        token: &Token,
        deadline: Instant,
        record: &StoredRecord,
    ) -> Result<(Header, Content), Error> {
        let (header, sealed) = sealed_by(token, record)?;
        let opened = token.unseal(deadline, record.header.clone(), sealed).wait();
        self.opened(token, record, header, opened)
    }

    fn opened(
        &self,
        token: &Token,
        record: &StoredRecord,
        header: Header,
        opened: Result<Secret<Vec<u8>>, hsm::Error>,
    ) -> Result<(Header, Content), Error> {
        let refused = |why| refusal(record, why);
        let clear = opened.map_err(|error| match error {
            hsm::Error::NotAuthentic | hsm::Error::TooLong => refused(Refusal::NotAuthentic),
            hsm::Error::SealKeyUnknown => refused(Refusal::OtherToken),
            other => other.into(),
        })?;
        // Only now is it known who wrote the environment.
        if header.environment != self.environment {
            return Err(refused(Refusal::OtherEnvironment));
        }
        let content = Content::decode(&header, token.id(), clear);
        let content = content.ok_or_else(|| refused(Refusal::ContentMismatch))?;
        Ok((header, content))
    }
}

/// A record's header, not authentic yet, and this token's seal over it.
fn sealed_by(token: &Token, record: &StoredRecord) -> Result<(Header, Sealed), Error> {
    let refused = |why| refusal(record, why);
    let header = Header::decode(&record.header).map_err(|_| refused(Refusal::HeaderMalformed))?;
    if header.id() != record.id {
        return Err(refused(Refusal::RowMoved));
    }
    let seal = seal_of(token, record).ok_or_else(|| refused(Refusal::OtherToken))?;
    let sealed = Sealed {
        seal_key_id: seal.seal_key_id,
        iv: seal.iv,
        bytes: seal.sealed.clone(),
    };
    Ok((header, sealed))
}

/// Whether another token may open what this one did not. The row is the one that the root vouches
/// for, so that a seal which does not open says more of the token than of the record.
fn may_try_another(error: &Error) -> bool {
    match error {
        Error::TokenUnavailable(error) => error.may_try_another(),
        Error::RecordRefused { why, .. } => {
            matches!(why, Refusal::NotAuthentic | Refusal::OtherToken)
        }
        _ => false,
    }
}

/// A token's own seal of a record.
pub(in crate::keys) fn seal_of<'a>(
    token: &Token,
    record: &'a StoredRecord,
) -> Option<&'a StoredSeal> {
    let (token_id, current) = (token.id().0, token.seal_key_id());
    let mut own = record.seals.iter().filter(|seal| seal.token_id == token_id);
    // Of two an older key's is as good, but may go.
    let first = own.clone().next();
    own.find(|seal| seal.seal_key_id == current).or(first)
}

/// One token's seal over a header and what belongs to it.
pub(in crate::keys) async fn seal_by(
    token: &Token,
    deadline: Instant,
    header: Vec<u8>,
    content: &Content,
) -> Result<StoredSeal, Error> {
    let sealed = token.seal(deadline, header, content.encode()).await?;
    Ok(StoredSeal {
        token_id: token.id().0,
        seal_key_id: sealed.seal_key_id,
        iv: sealed.iv,
        sealed: sealed.bytes,
    })
}

/// What a seal hides.
pub(in crate::keys) enum Content {
    /// A key value.
    Value(Secret<Vec<u8>>),
    /// The token that holds the key, and the id of the object in it.
    TokenObject(TokenId, [u8; 16]),
    /// A key pair's private half under this token's `wrap`.
    Wrapped(TokenId, Vec<u8>),
    /// Nothing: a partner's public key stands in the header.
    Public,
    /// Nothing: the key was destroyed, and its header is the memory of it.
    Nothing,
}

impl Content {
    /// The one token that can use it; none where any can.
    pub(in crate::keys) const fn home(&self) -> Option<TokenId> {
        match self {
            Self::TokenObject(token, _) | Self::Wrapped(token, _) => Some(*token),
            Self::Value(_) | Self::Public | Self::Nothing => None,
        }
    }

    fn encode(&self) -> Secret<Vec<u8>> {
        match self {
            // Born at its final size, so that nothing is left behind by growing.
            Self::Value(value) => {
                let value = value.expose_secret();
                let mut bytes = Vec::with_capacity(1 + value.len());
                bytes.push(KIND_VALUE);
                bytes.extend_from_slice(value);
                Secret::new(bytes)
            }
            Self::TokenObject(_, object_id) => Secret::new([TOKEN_OBJECT, object_id].concat()),
            Self::Wrapped(_, blob) => Secret::new([&[KIND_WRAPPED], blob.as_slice()].concat()),
            Self::Public => Secret::new(PUBLIC.to_vec()),
            Self::Nothing => Secret::new(NOTHING.to_vec()),
        }
    }

    /// Reads what this token had sealed; none where it is not what the header describes.
    fn decode(header: &Header, token: TokenId, clear: Secret<Vec<u8>>) -> Option<Self> {
        if header.state == State::Destroyed {
            let nothing = clear.expose_secret() == NOTHING;
            return nothing.then_some(Self::Nothing);
        }
        match (header.residence, clear.expose_secret().as_slice()) {
            (Residence::TokenWrapped, [KIND_WRAPPED, blob @ ..]) => {
                Some(Self::Wrapped(token, blob.to_vec()))
            }
            (Residence::Public, bytes) => (bytes == PUBLIC).then_some(Self::Public),
            (Residence::Process, [KIND_VALUE, value @ ..]) => {
                Some(Self::Value(Secret::new(value.to_vec())))
            }
            (Residence::Token, bytes) => {
                let object_id = bytes.strip_prefix(TOKEN_OBJECT)?.try_into().ok()?;
                (header.token_object == Some(object_id))
                    .then_some(Self::TokenObject(token, object_id))
            }
            _ => None,
        }
    }
}

/// The refusal that names a row.
pub(in crate::keys) fn refusal(record: &StoredRecord, why: Refusal) -> Error {
    refusal_of(&record.id, why)
}

/// The same, of a row that may not be there.
pub(in crate::keys) fn refusal_of(id: &RecordId, why: Refusal) -> Error {
    Error::RecordRefused {
        name: id.name.clone(),
        version: id.version,
        why,
    }
}

const KIND_VALUE: u8 = 1;
const KIND_WRAPPED: u8 = 3;
/// The kind byte 5 and the fixed marker.
const PUBLIC: &[u8] = b"\x05pintle public key";
/// The kind byte 4 and the fixed marker.
const NOTHING: &[u8] = b"\x04pintle nothing";
/// The kind byte 2 and the fixed marker.
const TOKEN_OBJECT: &[u8] = b"\x02pintle token object";
