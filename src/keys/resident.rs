//! Keys that one token alone can use: they stay in it, or are wrapped under its `wrap`. Whatever is
//! done with them is that token's to do, and nobody else takes over.

use std::time::Instant;

use crate::hsm::{Job, RsaHash, Token, Wrapped};
use crate::secret::Secret;

/// A key object in its token.
#[derive(Clone)]
pub struct Resident {
    token: Token,
    object_id: [u8; 16],
}

impl Resident {
    pub(in crate::keys) fn new(token: &Token, object_id: [u8; 16]) -> Self {
        Self {
            token: token.clone(),
            object_id,
        }
    }

    /// The token it is in.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Opens sensitive fields, all of them or none.
    pub fn open_fields(
        &self,
        deadline: Instant,
        sealed: Vec<Vec<u8>>,
    ) -> Job<Vec<Secret<Vec<u8>>>> {
        self.token.open_fields(deadline, self.object_id, sealed)
    }

    /// r ‖ s of SM2 over e, not yet verified.
    pub fn sign_sm2(&self, deadline: Instant, e: [u8; 32]) -> Job<[u8; 64]> {
        self.token.sign_sm2(deadline, self.object_id, e)
    }

    /// Its `CKA_ID`.
    #[must_use]
    pub fn object_id(&self) -> [u8; 16] {
        self.object_id
    }
}

/// Where an RSA key is.
#[derive(Clone)]
pub enum RsaKey {
    /// It stays in its token.
    Resident(Resident),
    /// Its token unwraps it for each use.
    Wrapped(Token, Wrapped),
}

impl RsaKey {
    /// An RSASSA-PKCS1-v1_5 signature, not yet verified.
    pub fn sign(&self, deadline: Instant, hash: RsaHash, message: Vec<u8>) -> Job<Vec<u8>> {
        match self {
            Self::Resident(Resident { token, object_id }) => {
                token.sign_rsa(deadline, *object_id, hash, message)
            }
            Self::Wrapped(token, wrapped) => {
                token.sign_wrapped_rsa(deadline, wrapped.clone(), hash, message)
            }
        }
    }
}
