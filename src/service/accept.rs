//! Accepting connections: at most so many at once, and no spinning when the process has run out
//! of file descriptors (tonic's own loop does both wrong).
//!
//! TLS is not here; see `tls`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::limits;
use crate::service::caller::Peer;

/// One accepted connection. Its place is free again when it is dropped.
pub struct Connection {
    stream: TcpStream,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

/// Accepts until the stream is dropped. `peer` makes what is known of each connection.
pub fn connections(
    listener: TcpListener,
    peer: fn() -> Peer,
) -> ReceiverStream<io::Result<Connection>> {
    let (accepted, incoming) = mpsc::channel(limits::ACCEPT_QUEUE_MAX);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        tokio::select! {
            () = accepted.closed() => {}
            () = accept(&listener, &places, peer, &accepted) => {}
        }
    });
    ReceiverStream::new(incoming)
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    peer: fn() -> Peer,
    accepted: &mpsc::Sender<io::Result<Connection>>,
) {
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(limits::ACCEPT_BACK_OFF).await;
                }
            }
        };
        if stream.set_nodelay(true).is_err() {
            continue; // gone already
        }
        let connection = Connection {
            stream,
            peer: peer(),
            _place: place,
        };
        if accepted.send(Ok(connection)).await.is_err() {
            return;
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
