//! Who may call what. Two tables: one row per RPC, fixed here; one row per caller, from the
//! policy file. **No row means refused**, in both.
//!
//! What a caller may do with a *key* is decided further down, in `keys/policy.rs`; this file only
//! carries the caller's key patterns there.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error as ThisError;

use crate::config::policy::{CallerRow, Policy as PolicyFile};
use crate::keys::policy::{CallerScope, ScopeError};
use crate::limits;
use crate::service::Error;
use crate::service::caller::Caller;

/// Every call of the data plane.
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
}

/// What holds for one RPC, whoever calls it.
#[derive(Clone, Copy, Debug)]
pub struct RpcRow {
    /// The call.
    pub rpc: Rpc,
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
        path: "/pintle.v1.PinService/TranslatePin",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "translate_pin",
    },
    RpcRow {
        rpc: Rpc::GenerateMac,
        path: "/pintle.v1.MacService/GenerateMac",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "generate_mac",
    },
    RpcRow {
        rpc: Rpc::VerifyMac,
        path: "/pintle.v1.MacService/VerifyMac",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_mac",
    },
    RpcRow {
        rpc: Rpc::Verify,
        path: "/pintle.v1.SigningService/Verify",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify",
    },
    RpcRow {
        rpc: Rpc::GetPublicKey,
        path: "/pintle.v1.SigningService/GetPublicKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "get_public_key",
    },
    RpcRow {
        rpc: Rpc::SignRequest,
        path: "/pintle.v1.AlipayService/SignRequest",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_request",
    },
    RpcRow {
        rpc: Rpc::GenerateRandom,
        path: "/pintle.v1.RandomService/GenerateRandom",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "generate_random",
    },
];

impl RpcRow {
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
        let resolve = |row: &CallerRow| Ok((row.uri.clone(), Arc::new(Principal::new(row)?)));
        let callers = file
            .caller
            .iter()
            .map(resolve)
            .collect::<Result<_, PolicyError>>()?;
        Ok(Self { callers })
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
            let before = calls.len();
            calls.extend(
                RPCS.iter()
                    .filter(|row| row.is_meant_by(pattern))
                    .map(|row| row.rpc),
            );
            if calls.len() == before {
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
        Policy::new(&PolicyFile { caller: rows })
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
