//! What one row of `calls` says, and what follows from it: the message its decoder must take, its
//! places among the calls in flight, and whether a pattern of the policy file means it.

use crate::limits;
use crate::service::authorize::calls::RPCS;
use crate::service::authorize::rpc::Rpc;

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
    /// Its largest message, bytes; of a stream, each of its messages.
    pub message_bytes_max: usize,
    /// Its name in metrics, and in the names of the tests that call it.
    pub metric: &'static str,
}

/// The calls that a pattern of the policy file means.
pub(in crate::service) fn meant_by(pattern: &str) -> Vec<Rpc> {
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

    /// The largest message of any call of a service, bytes: what its decoder must take.
    #[must_use]
    pub fn largest_message(service: &str) -> usize {
        let of_service = |row: &&Self| {
            let call = row.name().strip_prefix(service);
            call.is_some_and(|rest| rest.starts_with('/'))
        };
        let sizes = RPCS
            .iter()
            .filter(of_service)
            .map(|row| row.message_bytes_max);
        sizes.max().unwrap_or(0).max(limits::GRPC_MESSAGE_BYTES_MAX)
    }

    /// The places it takes among the calls in flight: one for each ordinary message that its
    /// largest could be, so that batches do not multiply the memory that calls in flight hold.
    #[must_use]
    pub fn places(&self) -> u32 {
        let places = self
            .message_bytes_max
            .div_ceil(limits::GRPC_MESSAGE_BYTES_MAX);
        u32::try_from(places).unwrap_or(u32::MAX)
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
