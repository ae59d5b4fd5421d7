//! HTTP/1.1 as the till needs it: a POST with a limit of time, and a listener for notifications.
//! Plain, on loopback: the Alipay of these examples is a local one.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest answer or notification.
const BODY_BYTES_MAX: usize = 1 << 16;

/// Posts a form; nothing where the answer does not come in time, or not whole.
pub async fn post(url: &str, form: String, patience: Duration) -> Option<Vec<u8>> {
    tokio::time::timeout(patience, posted(url, form))
        .await
        .ok()?
}

async fn posted(url: &str, form: String) -> Option<Vec<u8>> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let stream = TcpStream::connect(authority).await.ok()?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.ok()?;
    let driven = tokio::spawn(connection);
    let request = Request::post(uri.path())
        .header("host", authority)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX)
        .collect()
        .await
        .ok();
    driven.abort();
    Some(body?.to_bytes().to_vec())
}

/// A listener that hands each body to `take`, which says whether it was understood.
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// Listens on loopback; port 0 takes a free one.
    pub async fn start<F, R>(port: u16, take: F) -> io::Result<Self>
    where
        F: Fn(Vec<u8>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = bool> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let take = take.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, take.clone()));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer<F, R>(request: Request<Incoming>, take: F) -> hyper::Result<Response<Full<Bytes>>>
where
    F: Fn(Vec<u8>) -> R,
    R: Future<Output = bool>,
{
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let understood = match body {
        Ok(body) => take(body.to_bytes().to_vec()).await,
        Err(_) => false,
    };
    let text = if understood { "success" } else { "failure" };
    Ok(Response::new(Full::new(Bytes::from_static(
        text.as_bytes(),
    ))))
}

/// A form in one charset: every byte that is not a letter, a digit or one of `-._` escaped.
pub fn form(fields: &[(&str, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        for byte in value {
            if byte.is_ascii_alphanumeric() || b"-._".contains(byte) {
                text.push(char::from(*byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}
