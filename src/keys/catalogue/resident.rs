//! What is opened of a key that stays in the token: the object itself, or what is derived from it.

use std::time::Instant;

use crate::keys::attributes::Usage;
use crate::keys::catalogue::Inner;
use crate::keys::dukpt::Base;
use crate::keys::error::Error;
use crate::keys::make::secret_kind;
use crate::keys::material::{self, Material, MaterialError, Protection};
use crate::keys::record::Header;
use crate::keys::resident::Resident;

impl Inner {
    /// The material of a key in the token; none where its algorithm does not live there.
    pub(super) async fn resident(
        &self,
        header: &Header,
        key: Resident,
        deadline: Instant,
    ) -> Result<Option<Material>, Error> {
        match header.usage {
            Usage::KeyBlockProtection => self.derive(header, &key, deadline).await.map(Some),
            // Derives device by device, as they come.
            Usage::BaseDerivation => {
                let base = Base::resident(header.algorithm, key);
                Ok(base.map(|base| Material::Base(Box::new(base))))
            }
            _ => Ok(Some(Material::Token(key))),
        }
    }

    /// The keys of a protection key that stays in the token: it CMACs what they derive from. The
    /// one stated exception to "token only": what is derived opens blocks here.
    async fn derive(
        &self,
        header: &Header,
        key: &Resident,
        deadline: Instant,
    ) -> Result<Material, Error> {
        let kind = secret_kind(header.algorithm).ok_or(Error::SlabFull)?;
        let inputs = material::derivation_inputs(header.algorithm);
        let (token, object_id) = (key.token(), key.object_id());
        let cmacs = token.cmac(deadline, object_id, kind, inputs).await?;
        let derive = || Protection::of_cmacs(header.algorithm, &cmacs);
        let derived = match derive() {
            Err(MaterialError::SlabFull) => {
                self.cache.make_room();
                derive()
            }
            other => other,
        };
        derived.map_err(|_| Error::SlabFull)
    }
}
