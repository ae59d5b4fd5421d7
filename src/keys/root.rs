//! The catalogue root: one authenticated value over every row, so that a row put back, taken away,
//! moved or slipped in is noticed although its own seal still opens.
//!
//! A row's tag is 128 bits of HMAC-SHA256 over its name, version, header and seals; its element is
//! HMAC-SHA256 over name, version and tag. The root is the sum of all elements modulo 2^256
//! (MSet-Add-Hash, Clarke et al., ASIACRYPT 2003) with generation and count. The sum is stored
//! masked by a PRF of generation and a nonce, so that who reads the database learns no element, and
//! is authenticated by the token under `root`.
//!
//! The keys of all this come from one index key, drawn from the token when the root is founded and
//! stored masked by the token (so that a second token can be given the same). It stays in this
//! process: who reads its memory can compute tags, but no root without the token.
//! A whole store put back is not noticed here but by `keys::checkpoint`.

pub mod alone;
pub mod findings;
pub(in crate::keys) mod index;
pub(in crate::keys) mod scan;
pub(in crate::keys) mod sum;

use std::time::Instant;

use subtle::ConstantTimeEq;

use crate::domain::mac::hmac::Sha256Key;
use crate::hsm::{self, Token};
use crate::keys::error::{CatalogueFault, Error};
use crate::keys::fleet::Fleet;
use crate::keys::root::index::{NameTag, Row};
use crate::keys::root::sum::Sum;
use crate::secret::Secret;
use crate::store::change::{RowTag, StoredRoot};
use crate::store::{StoredRecord, seals};

/// What a root says, once it is known to be authentic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::keys) struct Root {
    pub generation: u64,
    pub count: u64,
    pub sum: Sum,
}

/// The keys of tags, elements, masks and digests.
pub(in crate::keys) struct RootKeys {
    name: Sha256Key,
    tag: Sha256Key,
    element: Sha256Key,
    mask: Sha256Key,
    digest: Sha256Key,
    index_key: Secret<[u8; 32]>,
}

impl RootKeys {
    /// New keys for a catalogue that has no root yet.
    pub async fn found(fleet: &Fleet, deadline: Instant) -> Result<Self, Error> {
        let drawn = Secret::new(fleet.random(deadline, 32).await?);
        let mut index_key = Secret::new([0; 32]);
        match drawn.expose_secret().as_slice().try_into() {
            Ok(drawn) if drawn != [0; 32] => index_key.expose_secret_mut().clone_from(&drawn),
            _ => return Err(Error::RandomRefused),
        }
        Ok(Self::new(index_key))
    }

    /// The keys of a root that is known to be authentic; `pad` is the token's MAC of
    /// [`INDEX_KEY`].
    pub fn of(root: &StoredRoot, pad: &Secret<[u8; 32]>) -> Self {
        Self::new(Secret::new(xor(&root.index_key, pad.expose_secret())))
    }

    fn new(index_key: Secret<[u8; 32]>) -> Self {
        let master = Sha256Key::new(index_key.expose_secret());
        let derive = |label: &[u8]| {
            let key = Secret::new(master.tag(label));
            Sha256Key::new(key.expose_secret())
        };
        Self {
            name: derive(b"name"),
            tag: derive(b"tag"),
            element: derive(b"element"),
            mask: derive(b"mask"),
            digest: derive(b"digest"),
            index_key,
        }
    }

    /// Whether these are the same keys.
    pub fn are(&self, others: &Self) -> bool {
        let own = self.index_key.expose_secret();
        own.ct_eq(others.index_key.expose_secret()).into()
    }

    /// The name as the index knows it.
    pub fn name(&self, tenant: &str, name: &str) -> NameTag {
        let length = (tenant.len() as u64).to_be_bytes();
        first_half(
            self.name
                .tag_of(&[&length, tenant.as_bytes(), name.as_bytes()]),
        )
    }

    /// The tag of a row.
    pub fn row(&self, name: NameTag, version: u32, header: &[u8], seals: &[u8]) -> Row {
        let length = (header.len() as u64).to_be_bytes();
        let parts: [&[u8]; 5] = [&name, &version.to_be_bytes(), &length, header, seals];
        Row {
            name,
            version,
            tag: first_half(self.tag.tag_of(&parts)),
        }
    }

    /// A row whose tag is known.
    pub fn row_of(&self, name: NameTag, version: u32, tag: RowTag) -> Row {
        Row { name, version, tag }
    }

    /// The tag of a record; none where its seals are out of bounds.
    pub fn tag_of(&self, record: &StoredRecord) -> Option<RowTag> {
        let id = &record.id;
        let seals = seals::encode(&record.seals)?;
        let name = self.name(&id.tenant, &id.name);
        Some(self.row(name, id.version, &record.header, &seals).tag)
    }

    /// What a row adds to the sum.
    pub fn element(&self, row: &Row) -> Sum {
        let parts: [&[u8]; 3] = [&row.name, &row.version.to_be_bytes(), &row.tag];
        Sum::from_bytes(self.element.tag_of(&parts))
    }

    /// What an authentic root of these keys says.
    pub fn open(&self, stored: &StoredRoot) -> Root {
        let mask = self.mask(stored.generation, &stored.nonce);
        Root {
            generation: stored.generation,
            count: stored.count,
            sum: Sum::from_bytes(stored.sum).minus(mask),
        }
    }

    /// What may be told of a root to whoever keeps checkpoints: the same whichever token vouches.
    pub fn digest(&self, root: &Root) -> [u8; 32] {
        let (generation, count) = (root.generation.to_be_bytes(), root.count.to_be_bytes());
        let parts: [&[u8]; 3] = [&generation, &count, &root.sum.to_bytes()];
        self.digest.tag_of(&parts)
    }

    /// A root as it is stored, vouched for by this token: any that is to open the catalogue.
    pub async fn close(
        &self,
        root: &Root,
        token: &Token,
        deadline: Instant,
    ) -> Result<StoredRoot, Error> {
        let pad = Secret::new(token.root_mac(deadline, INDEX_KEY.to_vec()).await?);
        let nonce = token.random(deadline, 16).await?;
        let nonce = nonce.try_into().map_err(|_| Error::RandomRefused)?;
        let mut stored = StoredRoot {
            token_id: token.id().0,
            generation: root.generation,
            count: root.count,
            sum: root.sum.plus(self.mask(root.generation, &nonce)).to_bytes(),
            nonce,
            index_key: xor(self.index_key.expose_secret(), pad.expose_secret()),
            mac: [0; 32],
        };
        stored.mac = token.root_mac(deadline, message(&stored)).await?;
        Ok(stored)
    }

    fn mask(&self, generation: u64, nonce: &[u8; 16]) -> Sum {
        let parts: [&[u8]; 2] = [&generation.to_be_bytes(), nonce];
        Sum::from_bytes(self.mask.tag_of(&parts))
    }
}

/// This token's root, where the token has vouched for it.
pub(in crate::keys) async fn authentic<'a>(
    roots: &'a [StoredRoot],
    token: &Token,
    deadline: Instant,
) -> Result<&'a StoredRoot, Error> {
    let own = own(roots, token)?;
    let mac = token.root_mac(deadline, message(own)).await?;
    checked(own, mac)
}

/// The same, of any token that has vouched for the newest root.
pub(in crate::keys) async fn authentic_by_any<'a>(
    roots: &'a [StoredRoot],
    fleet: &Fleet,
    deadline: Instant,
) -> Result<&'a StoredRoot, Error> {
    let mut found = Err(hsm::Error::Abandoned.into());
    for token in vouching(roots, fleet) {
        found = authentic(roots, token, deadline).await;
        let failed = |error: &hsm::Error| error.may_try_another();
        if !matches!(&found, Err(Error::TokenUnavailable(error)) if failed(error)) {
            break;
        }
    }
    found
}

/// The tokens whose root is the newest, in the order in which they are to be asked; where there is
/// none, the first of the fleet, which says why it is not.
pub(in crate::keys) fn vouching<'a>(roots: &[StoredRoot], fleet: &'a Fleet) -> Vec<&'a Token> {
    let mut tokens = fleet.by_load(|token| own(roots, token).is_ok());
    if tokens.is_empty() {
        tokens.extend(fleet.tokens().next());
    }
    tokens
}

/// The same, waited for by a thread.
pub(in crate::keys) fn authentic_blocking<'a>(
    roots: &'a [StoredRoot],
    token: &Token,
    deadline: Instant,
) -> Result<&'a StoredRoot, Error> {
    let own = own(roots, token)?;
    let mac = token.root_mac(deadline, message(own)).wait()?;
    checked(own, mac)
}

/// What the token is asked for to unmask the index key.
pub(in crate::keys) fn pad_blocking(
    token: &Token,
    deadline: Instant,
) -> Result<Secret<[u8; 32]>, hsm::Error> {
    let mac = token.root_mac(deadline, INDEX_KEY.to_vec()).wait()?;
    Ok(Secret::new(mac))
}

fn own<'a>(roots: &'a [StoredRoot], token: &Token) -> Result<&'a StoredRoot, Error> {
    let newest = roots.iter().map(|root| root.generation).max();
    let own = roots.iter().find(|root| root.token_id == token.id().0);
    match own {
        None => Err(CatalogueFault::RootMissing.into()),
        Some(own) if Some(own.generation) != newest => Err(CatalogueFault::RootStale.into()),
        Some(own) => Ok(own),
    }
}

fn checked(root: &StoredRoot, mac: [u8; 32]) -> Result<&StoredRoot, Error> {
    if bool::from(root.mac.ct_eq(&mac)) {
        Ok(root)
    } else {
        Err(CatalogueFault::RootForged.into())
    }
}

/// What the token authenticates: everything about a root but the MAC.
fn message(root: &StoredRoot) -> Vec<u8> {
    let StoredRoot {
        token_id,
        generation,
        count,
        sum,
        nonce,
        index_key,
        mac: _,
    } = root;
    let (generation, count) = (generation.to_be_bytes(), count.to_be_bytes());
    let parts: [&[u8]; 7] = [ROOT, token_id, &generation, &count, sum, nonce, index_key];
    parts.concat()
}

/// Labels differ in their first bytes from everything else that is asked of `root`.
const ROOT: &[u8] = b"pintle catalogue root 1\0";
const INDEX_KEY: &[u8] = b"pintle index key 1\0";

fn xor(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| one[at] ^ other[at])
}

fn first_half(whole: [u8; 32]) -> [u8; 16] {
    std::array::from_fn(|at| whole[at])
}
