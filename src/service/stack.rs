//! The request path: **one list, in one function**, `Passage::through`, and its way back,
//! `Passage::answer`.
//!
//! The stack stands *before* tonic's generated code, so a refused caller's message is not even
//! decoded; the handlers inside it run only on what `Passage::through` admitted. Refused and
//! abandoned calls are audited like all others.
//!
//! What is not here: who may use which key (`keys/policy.rs`), what a status looks like
//! (`status`).

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::audit;
use crate::limits;
use crate::ops::context::Call;
use crate::service::Error;
use crate::service::admitted::Admitted;
use crate::service::authorize::{Plane, Policy, RpcRow};
use crate::service::caller::{self, Caller};
use crate::service::deadline::Deadlines;
use crate::service::metrics::Metrics;
use crate::service::status::{Fault, Reason};

/// The request path of one listener.
#[derive(Clone)]
pub struct Stack(Arc<Shared>);

/// What a stack is made of.
pub struct Options {
    /// Which calls stand on the listener.
    pub plane: Plane,
    /// Who may call what.
    pub policy: Arc<Policy>,
    /// Where records go.
    pub audit: Audit,
    /// Every answer says that this is no production server.
    pub development: bool,
    /// Calls in flight, at most [`limits::CALLS_IN_FLIGHT_MAX`]; a batch counts as several.
    pub calls_in_flight: usize,
    /// The deadline of a call that brings none.
    pub deadline_default: Duration,
    /// The longest deadline a caller may ask for.
    pub deadline_max: Duration,
}

/// Where audit records go.
pub enum Audit {
    /// The hash-chained file: no answer before its record is durable. The listeners of one server
    /// share it.
    Journal(Arc<audit::Journal>),
    /// Nowhere. For measuring only.
    DangerNone,
}

struct Shared {
    plane: Plane,
    policy: Arc<Policy>,
    audit: Audit,
    development: bool,
    in_flight: Semaphore,
    places: u32,
    deadlines: Deadlines,
    metrics: Metrics,
    request_ids: RequestIds,
}

impl Stack {
    /// A stack with counters at zero.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options {
            plane,
            policy,
            audit,
            development,
            calls_in_flight,
            deadline_default,
            deadline_max,
        } = options;
        let places = calls_in_flight.min(limits::CALLS_IN_FLIGHT_MAX);
        Self(Arc::new(Shared {
            plane,
            policy,
            audit,
            development,
            in_flight: Semaphore::new(places),
            places: u32::try_from(places).unwrap_or(u32::MAX),
            deadlines: Deadlines::new(deadline_default, deadline_max),
            metrics: Metrics::new(),
            request_ids: RequestIds::new(),
        }))
    }

    /// Puts the stack before one of tonic's generated servers.
    pub fn before<S>(&self, inner: S) -> Guarded<S> {
        Guarded {
            stack: self.clone(),
            inner,
        }
    }

    /// Whether no record can be written any more.
    #[must_use]
    pub fn journal_has_failed(&self) -> bool {
        match &self.0.audit {
            Audit::Journal(journal) => journal.has_failed(),
            Audit::DangerNone => false,
        }
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}

/// One call on its way. Dropped before its answer (the caller went away, the handler panicked),
/// it still leaves its audit record.
struct Passage {
    shared: Arc<Shared>,
    started: Instant,
    request_id: String,
    row: Option<&'static RpcRow>,
    caller: Option<Caller>,
    admitted: Option<Admitted>,
    recorded: bool,
}

impl Passage {
    fn begin(shared: &Arc<Shared>, path: &str) -> Self {
        Self {
            shared: Arc::clone(shared),
            started: Instant::now(),
            request_id: shared.request_ids.next(),
            row: RpcRow::of_path(path),
            caller: None,
            admitted: None,
            recorded: false,
        }
    }

    /// The way in. Nothing here may be left out, and the order is the design's.
    async fn through<S>(
        &mut self,
        mut request: http::Request<Body>,
        inner: &mut S,
    ) -> Result<http::Response<Body>, Error>
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    {
        let shared = Arc::clone(&self.shared);
        let deadline = self.started + shared.deadlines.of(request.headers())?;
        let caller = self
            .caller
            .insert(caller::of_connection(request.extensions())?);
        let row = self.row.filter(|row| row.plane == shared.plane);
        let principal = shared.policy.authorize(caller, row)?;
        let row = row.ok_or(Error::CallUnknown)?;
        let _places = shared
            .in_flight
            .try_acquire_many(row.places().min(shared.places.max(1)))
            .map_err(|_| Error::Overloaded)?;

        let call = Call::new(caller.shared(), Arc::clone(principal.scope()), deadline)
            .needing_approval(shared.policy.needs_approval(row));
        let admitted = self.admitted.insert(Admitted::new(row, call)).clone();
        request.extensions_mut().insert(admitted.clone());
        let decode_and_operate = inner.call(request);
        let answered = tokio::time::timeout_at(deadline.into(), decode_and_operate).await;
        let Ok(response) = answered.map_err(|_| Error::DeadlineExceeded)?;
        admitted.outcome(response)
    }

    /// The way back: the record is durable before the answer leaves, and what is counted is what
    /// was answered.
    async fn answer(
        mut self,
        outcome: Result<http::Response<Body>, Error>,
    ) -> http::Response<Body> {
        let durable = self.append_records(outcome.as_ref().err());
        self.recorded = true;
        let outcome = durable.await.and(outcome);
        let fault = outcome.as_ref().err().map(Fault::of);
        self.shared.metrics.record(
            self.row,
            fault.map(|fault| fault.reason),
            self.started.elapsed(),
        );

        let mut response = match outcome {
            Ok(response) => response,
            Err(error) => {
                self.log(&error);
                Fault::status_of(&error).into_http()
            }
        };
        if let Ok(request_id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert("x-request-id", request_id);
        }
        if self.shared.development {
            let development = HeaderValue::from_static("development");
            response
                .headers_mut()
                .insert("x-pintle-environment", development);
        }
        response
    }

    /// Queues the call's records at once: one, or where a batch used many keys as many as it takes
    /// to name each of them once. The future is done when all are durable.
    fn append_records(
        &self,
        refused: Option<&Error>,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        let keys = self
            .admitted
            .as_ref()
            .map(|admitted| admitted.call().keys());
        let keys = keys.unwrap_or_default();
        let mut parts: Vec<_> = keys
            .chunks(limits::AUDIT_KEYS_MAX)
            .map(<[_]>::to_vec)
            .collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let record = |keys| self.shared.audit.append(self.record(refused, keys));
        let queued: Vec<_> = parts.into_iter().map(record).collect();
        async {
            for durable in queued {
                durable.await?;
            }
            Ok(())
        }
    }

    fn record(&self, refused: Option<&Error>, keys: Vec<(String, u32)>) -> audit::Record {
        let reason = refused.map(|error| Fault::of(error).reason);
        audit::Record {
            caller: self
                .caller
                .as_ref()
                .map(|caller| caller.uri().to_owned())
                .unwrap_or_default(),
            rpc: self.row.map_or("", RpcRow::name),
            request_id: self.request_id.clone(),
            keys,
            outcome: reason.map_or("OK", Reason::code_name),
            reason: reason.map(Reason::as_str),
        }
    }

    /// Internal text, for the log only.
    fn log(&self, error: &Error) {
        let Fault { reason, logged, .. } = Fault::of(error);
        let rpc = self.row.map_or("", RpcRow::name);
        let request_id = &self.request_id;
        if reason.is_ours() && !logged {
            tracing::error!(request_id, rpc, reason = reason.as_str(), cause = %Causes(error));
        } else {
            tracing::debug!(request_id, rpc, reason = reason.as_str(), cause = %Causes(error));
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.recorded {
            return;
        }
        let error = if std::thread::panicking() {
            Error::Invariant("a handler panicked")
        } else {
            Error::Cancelled
        };
        self.log(&error);
        let reason = Fault::of(&error).reason;
        self.shared
            .metrics
            .record(self.row, Some(reason), self.started.elapsed());
        // Queued at once and written whether or not anybody waits.
        drop(self.append_records(Some(&error)));
    }
}

impl Audit {
    /// Queues a record at once; the future is done when it is durable.
    fn append(&self, record: audit::Record) -> impl Future<Output = Result<(), Error>> + use<> {
        let queued = match self {
            Self::DangerNone => None,
            Self::Journal(journal) => Some(journal.append(record)),
        };
        async {
            let Some(durable) = queued else { return Ok(()) };
            match tokio::time::timeout(limits::AUDIT_WAIT_MAX, durable).await {
                Ok(durable) => durable.map_err(Error::AuditUnavailable),
                Err(_) => Err(Error::AuditSlow),
            }
        }
    }
}

/// One of tonic's generated servers, behind the stack.
#[derive(Clone)]
pub struct Guarded<S> {
    stack: Stack,
    inner: S,
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut passage = Passage::begin(&self.stack.0, request.uri().path());
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let outcome = passage.through(request, &mut inner).await;
            Ok(passage.answer(outcome).await)
        })
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

/// Names that no two calls share: random at start, then counting.
struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        Self {
            start: getrandom::u64().unwrap_or_default(),
            next: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        format!(
            "{:016x}{:012x}",
            self.start,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// An error and what caused it, on one line.
struct Causes<'a>(&'a Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = self.0.to_string();
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some say their cause themselves.
            if !said.ends_with(&text) {
                said = format!("{said}: {text}");
            }
            cause = error.source();
        }
        formatter.write_str(&said)
    }
}
