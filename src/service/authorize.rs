//! Who may call what. Two tables: one row per RPC, fixed in `calls`; one row per caller, from the
//! policy file. **No row means refused**, in both.
//!
//! What a caller may do with a *key* is decided further down, in `keys/policy.rs`; this file only
//! carries the caller's key patterns there.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error as ThisError;

use crate::config::policy::{Approval, CallerRow, Policy as PolicyFile};
use crate::keys::policy::{CallerScope, ScopeError};
use crate::service::Error;
use crate::service::caller::Caller;

mod calls;
mod row;
mod rpc;

pub use self::calls::RPCS;
use self::row::meant_by;
pub use self::row::{Plane, RpcRow};
pub use self::rpc::Rpc;

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
            "pintle.v1.PinService/Translate",
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
            let macs = row.path.starts_with("/pintle.v1.MacService/");
            let expected = macs || row.rpc == Rpc::Verify;
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
