//! Who may do what with a key: the one place that makes a [`Grant`].
//!
//! Three questions, in this order: does the caller's scope hold the key's name, does the usage
//! table grant the operation to the key's usage, mode, side and algorithm, and does the key's state
//! allow it. Which caller may call which RPC is not asked here but in `service::authorize`.

mod scope;
mod table;

use std::sync::Arc;

use crate::keys::attributes::{Residence, State};
use crate::keys::dukpt::KsnFault;
use crate::keys::error::Error;
use crate::keys::grant::{Grant, Operation, OperationKind};
use crate::keys::material::Material;
use crate::keys::open_key::OpenKey;

pub use self::scope::{CallerScope, KeyPattern, ScopeError};
pub(in crate::keys) use self::table::{OperationSet, first_obstacle, operations};
pub use self::table::{Row, TABLE};

/// The proof that this file checked a key. Nobody else can make one.
pub struct Checked(());

/// Grants `Op` on `key` to a caller with `scope`, or says why not.
///
/// # Errors
/// [`Error::UnknownKey`] outside the scope, the same answer as for a key that does not exist;
/// [`Error::UsageRefused`] and [`Error::StateRefused`] within it.
pub fn grant<Op: Operation>(scope: &CallerScope, key: Arc<OpenKey>) -> Result<Grant<Op>, Error> {
    let header = key.header();
    if !scope.holds(header.tenant.as_str(), header.name.as_str()) {
        return Err(Error::UnknownKey);
    }
    if !key.operations().contains(Op::KIND) {
        return Err(Error::UsageRefused { what: Op::KIND });
    }
    // A partner may begin to sign with its new key before anybody here has activated that.
    let may_begin = header.residence == Residence::Public
        && header.state == State::Pending
        && Op::KIND == OperationKind::VerifySignature;
    if !may_begin && !state_allows(header.state, Op::KIND) {
        return Err(Error::state_refused(header));
    }
    let part = Op::part(&key).ok_or_else(|| without_part(&key, Op::KIND))?;
    if let Material::Transaction(transaction) = key.material()
        && !transaction.is_noted(Op::KIND)
    {
        return Err(KsnFault::NotNoted.into());
    }
    Ok(Grant::new(Checked(()), key, part))
}

/// Why a key that the table grants an operation has nothing for it.
fn without_part(key: &OpenKey, what: OperationKind) -> Error {
    match key.material() {
        Material::Base(_) => KsnFault::Missing.into(),
        Material::Transaction(transaction) if transaction.is_full() => Error::SlabFull,
        _ => Error::UsageRefused { what },
    }
}

/// Active versions do everything, retiring ones only what takes in, pending ones only show their
/// public half and ask for its certificate, so that a partner can be told before the first signature.
const fn state_allows(state: State, operation: OperationKind) -> bool {
    use OperationKind::{
        DecryptData, DecryptFields, DecryptPin, DecryptPinToReference, DecryptPinToVerify,
        EncryptData, EncryptFields, EncryptPin, GenerateMac, GiveCryptogram, ImportCryptogram,
        MakePinReference, OpenTransport, ReadPublicKey, RequestCertificate, Sign, UnwrapKeyBlock,
        VerifyMac, VerifyPin, VerifySignature, WrapKeyBlock,
    };
    match (state, operation) {
        (State::Active, _) => true,
        (
            State::Retiring,
            DecryptPin
            | DecryptPinToVerify
            | DecryptPinToReference
            | VerifyPin
            | VerifyMac
            | VerifySignature
            | ReadPublicKey
            | RequestCertificate
            | DecryptData
            | DecryptFields
            | UnwrapKeyBlock
            | ImportCryptogram
            | OpenTransport,
        ) => true,
        (
            State::Retiring,
            EncryptPin | MakePinReference | GenerateMac | Sign | EncryptData | EncryptFields
            | WrapKeyBlock | GiveCryptogram,
        ) => false,
        (State::Pending, operation) => matches!(operation, ReadPublicKey | RequestCertificate),
        (State::Disabled | State::Destroying | State::Destroyed, _) => false,
    }
}
