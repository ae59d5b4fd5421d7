//! Mutual TLS: the server shows its certificate, the caller must show one that leads to the
//! configured authority. tonic's own TLS (rustls over aws-lc-rs) does the work.
//!
//! Not here: which name in the caller's certificate counts (`caller`), revocation, reloading.

use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::limits;
use crate::secret::Secret;

/// What the server shows, and whom it believes. PEM.
pub struct Tls {
    /// The server's certificate chain.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS #8.
    pub private_key: Secret<Vec<u8>>,
    /// The authorities of callers' certificates.
    pub client_ca: Vec<u8>,
}

/// A file that could not be read.
#[derive(Debug, ThisError)]
#[error("{}: cannot be read: {source}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    source: std::io::Error,
}

impl Tls {
    /// Reads the three files.
    ///
    /// # Errors
    /// When one cannot be read; it is named.
    pub fn load(
        certificate: &Path,
        private_key: &Path,
        client_ca: &Path,
    ) -> Result<Self, Unreadable> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            certificate: read(certificate)?,
            private_key: Secret::new(read(private_key)?),
            client_ca: read(client_ca)?,
        })
    }

    /// tonic's form of it. A caller without a certificate is refused in the handshake.
    pub(in crate::service) fn server_config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(Identity::from_pem(
                &self.certificate,
                self.private_key.expose_secret(),
            ))
            .client_ca_root(Certificate::from_pem(&self.client_ca))
            .client_auth_optional(false)
            .timeout(limits::TLS_HANDSHAKE_MAX)
    }
}
