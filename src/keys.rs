//! Keys: what they are (attributes, sealed records), which must exist (templates), how they come
//! to be (generate, import), how they are found and opened (catalogue), and what they may be used
//! for (policy, grants).
//!
//! No key is usable without a [`grant::Grant`], and only [`policy`] makes one. Nothing here knows
//! PKCS#11 or SQL, and nothing here is reachable from the wire but `catalogue` and `policy`.

pub mod act;
pub mod approval;
pub mod attributes;
pub mod backup;
pub mod budget;
mod cache;
pub mod catalogue;
pub mod ceremony;
pub mod checkpoint;
pub mod component;
pub mod countdown;
pub mod decimalisation;
mod document;
pub mod dukpt;
pub mod enrol;
pub mod entry;
pub mod error;
pub mod exchange;
pub mod fleet;
mod flight;
pub mod grant;
pub mod import;
mod intent;
pub mod key_policy;
pub mod key_ref;
mod ledger;
pub mod lifecycle;
mod make;
mod material;
pub mod open_key;
pub mod partner;
pub mod policy;
pub mod provision;
pub mod reconcile;
pub mod record;
mod recruit;
mod reseal;
pub mod resident;
pub mod root;
pub mod rotation;
pub mod seal;
pub mod sign_in;
pub mod spec;
mod stamp;
mod standing;
pub mod template;
mod tlv;
pub mod words;
