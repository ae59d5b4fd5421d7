//! What the stack hands to a handler, and takes back: the proof that a request was admitted, the
//! call it became, and the handler's error.
//!
//! A handler that runs outside the stack finds no proof in its request and does nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::ops;
use crate::ops::context::Call;
use crate::service::Error;
use crate::service::authorize::{Rpc, RpcRow};
use crate::service::status::{self, Fault};

/// The proof, in a request's extensions, that it came through the stack. A handler without one
/// does nothing.
#[derive(Clone)]
pub(in crate::service) struct Admitted(Arc<AdmittedCall>);

struct AdmittedCall {
    row: &'static RpcRow,
    call: Call,
    refused: Mutex<Option<Error>>,
    handled: AtomicBool,
}

impl Admitted {
    pub(in crate::service) fn new(row: &'static RpcRow, call: Call) -> Self {
        let (refused, handled) = (Mutex::default(), false.into());
        Self(Arc::new(AdmittedCall {
            row,
            call,
            refused,
            handled,
        }))
    }

    pub(in crate::service) fn call(&self) -> &Call {
        &self.0.call
    }

    fn refuse(&self, error: Error) {
        *self
            .0
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What became of the call: the handler's own error, or tonic's, which decodes before the
    /// handler runs.
    pub(in crate::service) fn outcome(
        &self,
        response: http::Response<Body>,
    ) -> Result<http::Response<Body>, Error> {
        let refused = self
            .0
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(error) = refused {
            return Err(error);
        }
        let Some(status) = Status::from_header_map(response.headers()) else {
            return Ok(response);
        };
        let handled = self.0.handled.load(Ordering::Relaxed);
        match status.code() {
            Code::Ok => Ok(response),
            _ if handled => Err(Error::Invariant("the answer could not be encoded")),
            code => Err(undecoded(code)),
        }
    }
}

/// Runs one handler on a request that the stack admitted for `rpc`, and leaves its error to the
/// stack.
pub(in crate::service) async fn handle<M, R, F>(
    rpc: Rpc,
    request: Request<M>,
    operation: F,
) -> Result<Response<R>, Status>
where
    M: Message,
    F: AsyncFnOnce(&Call, M) -> Result<R, Error>,
{
    let (admitted, message) = admitted(rpc, request)?;
    let outcome = if message.encoded_len() > admitted.0.row.message_bytes_max {
        Err(Error::MessageTooLarge)
    } else {
        operation(admitted.call(), message).await
    };
    answered(&admitted, outcome)
}

/// The same for a call whose messages come in a stream; the handler ends within the call's deadline
/// as any other.
pub(in crate::service) async fn handle_stream<M, R, F>(
    rpc: Rpc,
    request: Request<Streaming<M>>,
    operation: F,
) -> Result<Response<R>, Status>
where
    M: Message,
    F: AsyncFnOnce(&Call, Incoming<M>) -> Result<R, Error>,
{
    let (admitted, stream) = admitted(rpc, request)?;
    let incoming = Incoming {
        stream,
        message_bytes_max: admitted.0.row.message_bytes_max,
    };
    let outcome = operation(admitted.call(), incoming).await;
    answered(&admitted, outcome)
}

/// The messages of one call, as they come.
pub(in crate::service) struct Incoming<M> {
    stream: Streaming<M>,
    message_bytes_max: usize,
}

impl<M: Message> Incoming<M> {
    /// The next message; none after the last.
    pub(in crate::service) async fn message(&mut self) -> Result<Option<M>, Error> {
        let message = self.stream.message().await;
        let message = message.map_err(|status| undecoded(status.code()))?;
        let too_large = |message: &M| message.encoded_len() > self.message_bytes_max;
        if message.as_ref().is_some_and(too_large) {
            return Err(Error::MessageTooLarge);
        }
        Ok(message)
    }
}

fn admitted<M>(rpc: Rpc, request: Request<M>) -> Result<(Admitted, M), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let proof = extensions.remove::<Admitted>();
    let Some(admitted) = proof.filter(|it| it.0.row.rpc == rpc) else {
        return Err(Fault::of(&Error::Invariant("not admitted by the stack")).status());
    };
    admitted.0.handled.store(true, Ordering::Relaxed);
    Ok((admitted, message))
}

fn answered<R>(admitted: &Admitted, outcome: Result<R, Error>) -> Result<Response<R>, Status> {
    outcome.map(Response::new).map_err(|error| {
        admitted.refuse(error);
        status::held_by_the_stack()
    })
}

/// What was asked, as its repetition would ask it: the message's own bytes.
pub(in crate::service) struct Asked {
    call: &'static str,
    message: Vec<u8>,
}

impl Asked {
    /// Under the caller's name for it.
    pub(in crate::service) fn under<'a>(&'a self, id: &'a str) -> ops::keys::Request<'a> {
        ops::keys::Request {
            id,
            call: self.call,
            message: &self.message,
        }
    }
}

/// Runs a handler that changes something, as [`handle`] does.
pub(in crate::service) async fn changing<M, R, F>(
    rpc: Rpc,
    request: Request<M>,
    operation: F,
) -> Result<Response<R>, Status>
where
    M: Message,
    F: AsyncFnOnce(&Call, &Asked, M) -> Result<R, Error>,
{
    handle(rpc, request, async |call, message: M| {
        let asked = Asked {
            call: RpcRow::of(rpc).name(),
            message: message.encode_to_vec(),
        };
        operation(call, &asked, message).await
    })
    .await
}

/// What tonic means by a code when it could not give us a message.
fn undecoded(code: Code) -> Error {
    match code {
        Code::OutOfRange => Error::MessageTooLarge,
        // Not protobuf, none at all, or compressed.
        Code::Internal | Code::InvalidArgument | Code::Unimplemented => Error::MessageMalformed,
        // The message broke off.
        _ => Error::Cancelled,
    }
}
