//! Making SM2 signing keys: in the token, or of its random bytes in this process.

use crate::domain::sm2::{ID_DEFAULT, PrivateKey, PublicKey, Signature, digest, verify};
use crate::failpoint;
use crate::keys::attributes::{Origin, Residence};
use crate::keys::error::Error;
use crate::keys::make::{Facts, Made, Maker, PAIR_PROOF, deadline};
use crate::keys::material::SM2_BYTES;
use crate::keys::seal::Content;
use crate::keys::spec::KeySpec;
use crate::secret::Secret;

impl Maker<'_> {
    /// A key pair, where its spec has it live.
    pub(super) async fn generate_sm2(&self, spec: &KeySpec) -> Result<Made, Error> {
        if spec.residence == Residence::Token {
            return self.generate_in_token(spec).await;
        }
        let random = self.random(RANDOM_BYTES).await?;
        let random = random.expose_secret().as_slice().try_into();
        let random = Secret::new(random.map_err(|_| Error::RandomRefused)?);
        let key = PrivateKey::from_random(random.expose_secret());
        self.sm2_record(spec, Origin::Generated, &key).await
    }

    /// The record of a pair that is sealed.
    pub(super) async fn sm2_record(
        &self,
        spec: &KeySpec,
        origin: Origin,
        key: &PrivateKey,
    ) -> Result<Made, Error> {
        let scalar = key.to_bytes();
        let mut value = Vec::with_capacity(SM2_BYTES);
        value.extend_from_slice(scalar.expose_secret());
        let facts = Facts {
            public_key: Some(key.public().to_spki()),
            ..Facts::default()
        };
        self.made(spec, origin, facts, &Content::Value(Secret::new(value)))
            .await
    }

    async fn generate_in_token(&self, spec: &KeySpec) -> Result<Made, Error> {
        let object_id = self.intend(spec).await?;
        let token = self.home()?;
        let public = token.generate_sm2(deadline(), object_id).await?;
        failpoint::hit("make.after-object");
        let made = match self.signs_for(&public, object_id).await {
            Ok(()) => {
                let facts = Facts {
                    public_key: Some(public.to_spki()),
                    token_object: Some(object_id),
                    ..Facts::default()
                };
                self.made_in_token(spec, Origin::Generated, facts, object_id)
                    .await
            }
            Err(error) => Err(error),
        };
        if made.is_err() {
            self.take_back(object_id).await;
        }
        made
    }

    /// One signature by the object that will be found by its id, not by the handle that made it.
    async fn signs_for(&self, public: &PublicKey, object_id: [u8; 16]) -> Result<(), Error> {
        let e = digest(public, ID_DEFAULT, PAIR_PROOF);
        let signed = self.home()?.sign_sm2(deadline(), object_id, e).await?;
        let signature = Signature::from_raw(&signed).map_err(|_| Error::KeyPairMismatch)?;
        verify(public, ID_DEFAULT, PAIR_PROOF, &signature).map_err(|_| Error::KeyPairMismatch)
    }
}

/// What `PrivateKey::from_random` wants.
const RANDOM_BYTES: usize = 48;
