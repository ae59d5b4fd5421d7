//! The gRPC service: the wire, and the path of every request from the socket to the answer.
//!
//! | file | what stands there |
//! |---|---|
//! | `stack` | the request path: one list, in one function |
//! | `authorize` | one row per RPC, and what each caller may do |
//! | `caller` | who is calling, read from the connection |
//! | `admitted` | what the path hands to a handler, and takes back |
//! | `deadline` | `grpc-timeout`, bounded |
//! | `status` | the only file that makes a `tonic::Status` |
//! | `pin`, `mac`, `terminal`, `signing`, `alipay`, `random` | wire to domain and back, one file per noun |
//! | `outcome` | the refusal of one item of a batch |
//! | `keys`, `approval`, `decimalisation` | the same on the control plane |
//! | `accept`, `tls`, `server` | listeners |
//! | `health`, `metrics`, `exposition` | readiness, counters, and who may read them |
//!
//! Nothing here computes: a handler decodes, calls one function of `ops`, and encodes.

pub mod accept;
mod admitted;
pub mod alipay;
pub mod approval;
pub mod authorize;
pub mod caller;
pub mod data;
pub mod deadline;
pub mod decimalisation;
pub mod exposition;
pub mod health;
pub mod keys;
pub mod mac;
pub mod metrics;
mod outcome;
pub mod pb;
pub mod pin;
pub mod random;
mod sensitive_field;
pub mod server;
pub mod signing;
pub mod stack;
pub mod status;
pub mod terminal;
pub mod tls;
pub mod union_pay_gateway;
pub mod wechat_pay;
mod wire;

use thiserror::Error;

use crate::ops;

/// Why a call was refused. The text is for the log; what the caller sees stands in
/// [`crate::service::status`].
#[derive(Debug, Error)]
pub enum Error {
    // The caller's fault.
    /// The connection does not name one caller.
    #[error("the connection does not name one caller")]
    CallerUnknown,
    /// The caller has no row for this call.
    #[error("the caller has no row for this call")]
    CallRefused,
    /// No RPC of this name has a row.
    #[error("no row for this path")]
    CallUnknown,
    /// The `grpc-timeout` header cannot be read.
    #[error("grpc-timeout cannot be read")]
    DeadlineMalformed,
    /// The message is larger than the call's row allows.
    #[error("the message is too large")]
    MessageTooLarge,
    /// The message is not the protobuf message of the call.
    #[error("the message cannot be read")]
    MessageMalformed,
    /// A field that must be there is not.
    #[error("{0} is missing")]
    FieldMissing(Field),
    /// A field that must be empty is not.
    #[error("{0} must be empty")]
    FieldSuperfluous(Field),
    /// A field's value cannot be meant.
    #[error("{0} cannot be read")]
    FieldMalformed(Field),
    /// More items than a batch may have.
    #[error("more {0} than a batch may have")]
    ItemsTooMany(Field),
    /// A key name that is not one.
    #[error("{0} is not a key name")]
    KeyNameMalformed(Field),
    /// An enum value that this version does not know.
    #[error("{0} is not a value of its enum")]
    EnumUnknown(Field),
    // Nobody's fault, or ours.
    /// The deadline passed.
    #[error("the deadline passed")]
    DeadlineExceeded,
    /// The caller went away before the answer.
    #[error("the caller went away")]
    Cancelled,
    /// Too many calls in flight.
    #[error("too many calls in flight")]
    Overloaded,
    /// The journal cannot take the record, so there is no answer.
    #[error("the journal takes no record")]
    AuditUnavailable(#[source] crate::audit::Error),
    /// The journal took too long to make the record durable.
    #[error("the journal took too long")]
    AuditSlow,
    /// A state the program says cannot be.
    #[error("{0}")]
    Invariant(&'static str),
    /// The operation's own error.
    #[error(transparent)]
    Operation(#[from] ops::Error),
}

/// A field of a request, as the caller knows it.
pub type Field = &'static str;
