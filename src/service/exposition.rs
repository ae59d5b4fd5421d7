//! The series, for a collector on this machine: `GET /metrics` over HTTP/1.1, in plaintext and on
//! loopback only. Who calls what and how a token fares is nobody else's; another machine's collector
//! goes by way of one here.
//!
//! Knows no series: whoever assembles the server says what is written.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::limits;
use crate::series::Text;
use crate::service::server::ServeError;

/// What writes the series, anew at each request.
#[derive(Clone)]
pub struct Exposition(Arc<dyn Fn(&mut Text) + Send + Sync>);

impl Exposition {
    /// Of what this writes. It runs on a thread of the runtime and must not block.
    pub fn new(write: impl Fn(&mut Text) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Text::new();
        (self.0)(&mut text);
        text.into_string()
    }

    /// Serves until `stop`; answers under way are cut off, a collector asks again.
    ///
    /// # Errors
    /// On an address that is not loopback.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::Address)?;
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        tokio::select! {
            () = self.accept(&listener) => {}
            () = stop => {}
        }
        Ok(())
    }

    async fn accept(&self, listener: &TcpListener) {
        let places = Arc::new(Semaphore::new(limits::METRICS_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let exposition = self.clone();
                    connections.spawn(async move {
                        exposition.answer(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for metrics could not be accepted");
                    tokio::time::sleep(limits::ACCEPT_BACK_OFF).await;
                }
            }
        }
    }

    /// One connection, one answer.
    async fn answer(self, stream: TcpStream) {
        let service = service_fn(|request| {
            let response = self.respond(&request);
            async { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .max_buf_size(limits::METRICS_REQUEST_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // Too slow, or gone: it asks again.
        let _ = tokio::time::timeout(limits::METRICS_CONNECTION_MAX, connection).await;
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, text) = if request.uri().path() != PATH {
            (StatusCode::NOT_FOUND, format!("the series are at {PATH}\n"))
        } else if request.method() != Method::GET {
            let text = format!("{PATH} is read only\n");
            (StatusCode::METHOD_NOT_ALLOWED, text)
        } else {
            (StatusCode::OK, self.text())
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

const PATH: &str = "/metrics";
