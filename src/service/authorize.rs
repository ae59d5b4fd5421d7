//! Who may call what. Two tables: one row per RPC, fixed here; one row per caller, from the
//! policy file. **No row means refused**, in both.
//!
//! What a caller may do with a *key* is decided further down, in `keys/policy.rs`; this file only
//! carries the caller's key patterns there.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error as ThisError;

use crate::config::policy::{Approval, CallerRow, Policy as PolicyFile};
use crate::keys::policy::{CallerScope, ScopeError};
use crate::limits;
use crate::service::Error;
use crate::service::caller::Caller;

/// Every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// `PinService.TranslatePin`
    TranslatePin,
    /// `MacService.GenerateMac`
    GenerateMac,
    /// `MacService.VerifyMac`
    VerifyMac,
    /// `SigningService.Verify`
    Verify,
    /// `SigningService.GetPublicKey`
    GetPublicKey,
    /// `AlipayService.SignRequest`
    SignRequest,
    /// `RandomService.GenerateRandom`
    GenerateRandom,
    /// `KeyService.CreateKey`
    CreateKey,
    /// `KeyService.ImportKey`
    ImportKey,
    /// `KeyService.ImportCryptogram`
    ImportCryptogram,
    /// `KeyService.ExportKey`
    ExportKey,
    /// `KeyService.GetKey`
    GetKey,
    /// `KeyService.ListKeys`
    ListKeys,
    /// `KeyService.RotateKey`
    RotateKey,
    /// `KeyService.SetKeyState`
    SetKeyState,
    /// `KeyService.DestroyKey`
    DestroyKey,
    /// `KeyService.RestoreKey`
    RestoreKey,
    /// `KeyService.UpdateKeyMetadata`
    UpdateKeyMetadata,
    /// `KeyService.TranslateKeyBlock`
    TranslateKeyBlock,
    /// `ApprovalService.ListApprovals`
    ListApprovals,
    /// `ApprovalService.DecideApproval`
    DecideApproval,
}

/// The two listeners. A call stands on one of them and does not exist on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// What gateways call.
    Data,
    /// What those who keep the keys call.
    Admin,
}

/// What holds for one RPC, whoever calls it.
#[derive(Clone, Copy, Debug)]
pub struct RpcRow {
    /// The call.
    pub rpc: Rpc,
    /// Where it stands.
    pub plane: Plane,
    /// Its HTTP/2 path.
    pub path: &'static str,
    /// Its largest message, bytes.
    pub message_bytes_max: usize,
    /// Its name in metrics, and in the names of the tests that call it.
    pub metric: &'static str,
}

/// One row per RPC of `proto/`.
pub const RPCS: &[RpcRow] = &[
    RpcRow {
        rpc: Rpc::TranslatePin,
        plane: Plane::Data,
        path: "/pintle.v1.PinService/TranslatePin",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "translate_pin",
    },
    RpcRow {
        rpc: Rpc::GenerateMac,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/GenerateMac",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "generate_mac",
    },
    RpcRow {
        rpc: Rpc::VerifyMac,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/VerifyMac",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_mac",
    },
    RpcRow {
        rpc: Rpc::Verify,
        plane: Plane::Data,
        path: "/pintle.v1.SigningService/Verify",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify",
    },
    RpcRow {
        rpc: Rpc::GetPublicKey,
        plane: Plane::Data,
        path: "/pintle.v1.SigningService/GetPublicKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "get_public_key",
    },
    RpcRow {
        rpc: Rpc::SignRequest,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/SignRequest",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_request",
    },
    RpcRow {
        rpc: Rpc::GenerateRandom,
        plane: Plane::Data,
        path: "/pintle.v1.RandomService/GenerateRandom",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "generate_random",
    },
    RpcRow {
        rpc: Rpc::CreateKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/CreateKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "create_key",
    },
    RpcRow {
        rpc: Rpc::ImportKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ImportKey",
        message_bytes_max: limits::KEY_MESSAGE_BYTES_MAX,
        metric: "import_key",
    },
    RpcRow {
        rpc: Rpc::ImportCryptogram,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ImportCryptogram",
        message_bytes_max: limits::KEY_MESSAGE_BYTES_MAX,
        metric: "import_cryptogram",
    },
    RpcRow {
        rpc: Rpc::ExportKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ExportKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "export_key",
    },
    RpcRow {
        rpc: Rpc::GetKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/GetKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "get_key",
    },
    RpcRow {
        rpc: Rpc::ListKeys,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ListKeys",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "list_keys",
    },
    RpcRow {
        rpc: Rpc::RotateKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/RotateKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "rotate_key",
    },
    RpcRow {
        rpc: Rpc::SetKeyState,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/SetKeyState",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "set_key_state",
    },
    RpcRow {
        rpc: Rpc::DestroyKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/DestroyKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "destroy_key",
    },
    RpcRow {
        rpc: Rpc::RestoreKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/RestoreKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "restore_key",
    },
    RpcRow {
        rpc: Rpc::UpdateKeyMetadata,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/UpdateKeyMetadata",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "update_key_metadata",
    },
    RpcRow {
        rpc: Rpc::TranslateKeyBlock,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/TranslateKeyBlock",
        message_bytes_max: limits::KEY_MESSAGE_BYTES_MAX,
        metric: "translate_key_block",
    },
    RpcRow {
        rpc: Rpc::ListApprovals,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.ApprovalService/ListApprovals",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "list_approvals",
    },
    RpcRow {
        rpc: Rpc::DecideApproval,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.ApprovalService/DecideApproval",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "decide_approval",
    },
];

impl Rpc {
    /// Whether it changes keys or lets them in or out: what a second person may be asked about.
    #[must_use]
    pub const fn changes(self) -> bool {
        match self {
            Self::CreateKey
            | Self::ImportKey
            | Self::ImportCryptogram
            | Self::ExportKey
            | Self::RotateKey
            | Self::SetKeyState
            | Self::DestroyKey
            | Self::RestoreKey
            | Self::UpdateKeyMetadata
            | Self::TranslateKeyBlock => true,
            Self::TranslatePin
            | Self::GenerateMac
            | Self::VerifyMac
            | Self::Verify
            | Self::GetPublicKey
            | Self::SignRequest
            | Self::GenerateRandom
            | Self::GetKey
            | Self::ListKeys
            | Self::ListApprovals
            | Self::DecideApproval => false,
        }
    }
}

/// The calls that a pattern of the policy file means.
fn meant_by(pattern: &str) -> Vec<Rpc> {
    let rows = RPCS.iter().filter(|row| row.is_meant_by(pattern));
    rows.map(|row| row.rpc).collect()
}

impl RpcRow {
    /// The row of a call.
    ///
    /// Every call has one; a call that had none would get the first row's name.
    #[must_use]
    pub fn of(rpc: Rpc) -> &'static Self {
        RPCS.iter().find(|row| row.rpc == rpc).unwrap_or(&RPCS[0])
    }

    /// The row of an HTTP/2 path.
    #[must_use]
    pub fn of_path(path: &str) -> Option<&'static Self> {
        RPCS.iter().find(|row| row.path == path)
    }

    /// `package.Service/Call`, as policy files name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.strip_prefix('/').unwrap_or(self.path)
    }

    /// Whether `pattern` (a name, or `package.Service/*`) means this call.
    fn is_meant_by(&self, pattern: &str) -> bool {
        match pattern.strip_suffix("/*") {
            Some(service) => self
                .name()
                .strip_prefix(service)
                .is_some_and(|rest| rest.starts_with('/')),
            None => self.name() == pattern,
        }
    }
}

/// The policy file, resolved.
pub struct Policy {
    callers: HashMap<String, Arc<Principal>>,
    approved: Vec<Rpc>,
}

/// One caller and what it may do.
pub struct Principal {
    calls: Vec<Rpc>,
    scope: Arc<CallerScope>,
}

/// A policy file that cannot be served.
#[derive(Debug, ThisError)]
pub enum PolicyError {
    /// A call that this program does not have: a typing error would otherwise refuse silently.
    #[error("caller {uri}: there is no call {call}")]
    CallUnknown {
        /// The caller's row.
        uri: String,
        /// What it names.
        call: String,
    },
    /// A call that needs no second person, or none at all.
    #[error("approval: {call} is no call that changes keys")]
    ApprovalUnknown {
        /// What the policy names.
        call: String,
    },
    /// A value that cannot be meant.
    #[error("{key}: {why}")]
    Value {
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A tenant or key pattern that is not one.
    #[error("caller {uri}: {source}")]
    Scope {
        /// The caller's row.
        uri: String,
        /// What is wrong with it.
        source: ScopeError,
    },
}

impl Policy {
    /// Resolves every row.
    ///
    /// # Errors
    /// When a row names a call that does not exist, or a caller stands twice.
    pub fn new(file: &PolicyFile) -> Result<Self, PolicyError> {
        if let Some((key, why)) = file.fault() {
            return Err(PolicyError::Value { key, why });
        }
        let approved = file
            .approval
            .calls
            .iter()
            .map(|pattern| {
                let calls = meant_by(pattern);
                let admin = RPCS.iter().filter(|row| row.plane == Plane::Admin);
                let needs_none = calls.iter().any(|call| {
                    !admin
                        .clone()
                        .any(|row| row.rpc == *call && row.rpc.changes())
                });
                if calls.is_empty() || needs_none {
                    return Err(PolicyError::ApprovalUnknown {
                        call: pattern.clone(),
                    });
                }
                Ok(calls)
            })
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        let resolve = |row: &CallerRow| Ok((row.uri.clone(), Arc::new(Principal::new(row)?)));
        let callers = file
            .caller
            .iter()
            .map(resolve)
            .collect::<Result<_, PolicyError>>()?;
        Ok(Self { callers, approved })
    }

    /// Whether a second person must approve the call of `row`.
    #[must_use]
    pub fn needs_approval(&self, row: &RpcRow) -> bool {
        self.approved.contains(&row.rpc)
    }

    /// The row that lets `caller` make the call of `row`.
    ///
    /// # Errors
    /// [`Error::CallUnknown`] without a row for the call, [`Error::CallRefused`] without one for
    /// the caller.
    pub fn authorize(
        &self,
        caller: &Caller,
        row: Option<&RpcRow>,
    ) -> Result<Arc<Principal>, Error> {
        let row = row.ok_or(Error::CallUnknown)?;
        match self.callers.get(caller.uri()) {
            Some(principal) if principal.calls.contains(&row.rpc) => Ok(Arc::clone(principal)),
            Some(_) | None => Err(Error::CallRefused),
        }
    }
}

impl Principal {
    fn new(row: &CallerRow) -> Result<Self, PolicyError> {
        let CallerRow {
            uri,
            tenant,
            calls: patterns,
            keys,
        } = row;
        let mut calls = Vec::new();
        for pattern in patterns {
            let meant = meant_by(pattern);
            calls.extend(&meant);
            if meant.is_empty() {
                return Err(PolicyError::CallUnknown {
                    uri: uri.clone(),
                    call: pattern.clone(),
                });
            }
        }
        let scope = CallerScope::new(tenant, keys).map_err(|source| PolicyError::Scope {
            uri: uri.clone(),
            source,
        })?;
        Ok(Self {
            calls,
            scope: Arc::new(scope),
        })
    }

    /// The keys this caller may name.
    #[must_use]
    pub fn scope(&self) -> &Arc<CallerScope> {
        &self.scope
    }
}

/// A policy under which one caller may make every call with every key of the default tenant.
/// Development only.
#[must_use]
pub fn danger_everything_for(uri: &str) -> PolicyFile {
    PolicyFile {
        approval: Approval::default(),
        caller: vec![CallerRow {
            uri: uri.to_owned(),
            tenant: "default".to_owned(),
            calls: RPCS.iter().map(|row| row.name().to_owned()).collect(),
            keys: vec!["*".to_owned()],
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uri: &str, calls: &[&str]) -> CallerRow {
        CallerRow {
            uri: uri.to_owned(),
            tenant: "default".to_owned(),
            calls: calls.iter().map(|call| (*call).to_owned()).collect(),
            keys: Vec::new(),
        }
    }

    fn policy(rows: Vec<CallerRow>) -> Result<Policy, PolicyError> {
        Policy::new(&PolicyFile {
            caller: rows,
            ..PolicyFile::default()
        })
    }

    #[test]
    fn a_call_that_does_not_exist_refuses_to_start() {
        for call in [
            "pintle.v1.PinService/TranslatePins",
            "pintle.v1.PinService",
            "pintle.v1.Pin/*",
            "*",
            "/*",
            "",
        ] {
            assert!(
                matches!(
                    policy(vec![row("a", &[call])]),
                    Err(PolicyError::CallUnknown { .. })
                ),
                "{call}"
            );
        }
    }

    #[test]
    fn a_caller_that_stands_twice_refuses_to_start() {
        let twice = vec![
            row("a", &["pintle.v1.PinService/*"]),
            row("a", &["pintle.v1.MacService/*"]),
        ];
        assert!(matches!(policy(twice), Err(PolicyError::Value { .. })));
    }

    #[test]
    fn a_second_person_is_asked_about_calls_that_change_keys_and_no_other() {
        let with = |calls: &[&str]| {
            Policy::new(&PolicyFile {
                approval: Approval {
                    calls: calls.iter().map(|call| (*call).to_owned()).collect(),
                },
                ..PolicyFile::default()
            })
        };
        let policy = with(&["pintle.admin.v1.KeyService/ExportKey"]).unwrap();
        for row in RPCS {
            assert_eq!(
                policy.needs_approval(row),
                row.rpc == Rpc::ExportKey,
                "{}",
                row.path
            );
        }
        for none in [
            "pintle.admin.v1.KeyService/GetKey",
            "pintle.admin.v1.KeyService/*",
            "pintle.v1.MacService/GenerateMac",
            "pintle.admin.v1.KeyService/ExportKeys",
        ] {
            assert!(with(&[none]).is_err(), "{none}");
        }
    }

    #[test]
    fn a_row_gives_its_calls_and_no_other() {
        let policy = policy(vec![row(
            "a",
            &["pintle.v1.MacService/*", "pintle.v1.SigningService/Verify"],
        )])
        .unwrap();
        let caller = Caller::named("a");
        for row in RPCS {
            let expected = matches!(row.rpc, Rpc::GenerateMac | Rpc::VerifyMac | Rpc::Verify);
            assert_eq!(
                policy.authorize(&caller, Some(row)).is_ok(),
                expected,
                "{}",
                row.path
            );
            assert!(policy.authorize(&Caller::named("b"), Some(row)).is_err());
        }
        assert!(matches!(
            policy.authorize(&caller, None),
            Err(Error::CallUnknown)
        ));
    }
}
