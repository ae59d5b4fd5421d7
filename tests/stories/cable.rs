//! The cable between till and Pintle, which can be pulled out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A cable; what goes over it ends when it is pulled out.
pub struct Cable {
    /// Where the till connects.
    pub address: SocketAddr,
    plugged: Arc<watch::Sender<bool>>,
}

impl Cable {
    /// Lays one to a server.
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let plugged = Arc::new(watch::Sender::new(true));
        let own = Arc::clone(&plugged);
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let (server, mut plugged) = (server.clone(), own.subscribe());
                tokio::spawn(carry(near, server, async move {
                    let _ = plugged.wait_for(|plugged| !plugged).await;
                }));
            }
        });
        Self { address, plugged }
    }

    /// Pulls it out, or puts it in again.
    pub fn plug(&self, plugged: bool) {
        self.plugged.send_replace(plugged);
    }
}

async fn carry(mut near: TcpStream, server: String, pulled: impl Future<Output = ()>) {
    let both = async {
        let mut far = TcpStream::connect(server).await.ok()?;
        tokio::io::copy_bidirectional(&mut near, &mut far)
            .await
            .ok()
    };
    tokio::select! {
        () = pulled => {}
        _ = both => {}
    }
}
