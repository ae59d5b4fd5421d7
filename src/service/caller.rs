//! Who is calling: the one URI subject alternative name (RFC 5280, 4.2.1.6) of the leaf
//! certificate that the TLS handshake verified. Never the common name, never a header.
//!
//! The certificate is read once per connection: the answer is kept beside the socket. Whether the
//! chain leads to the right CA is TLS's work, not this file's.

use std::sync::{Arc, OnceLock};

use tonic::transport::server::TlsConnectInfo;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::limits;
use crate::service::Error;

/// The caller of every call on a plaintext listener, which exists in development only.
pub const DANGER_DEV_PLAINTEXT: &str = "danger-dev-plaintext";

/// A caller, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Arc<str>);

impl Caller {
    /// A caller whose name something else has established.
    pub(in crate::service) fn named(uri: &str) -> Self {
        Self(Arc::from(uri))
    }

    /// Its name, shared.
    pub(in crate::service) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Its name in the policy file.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.0
    }
}

/// What is known of a connection, cloned into each of its requests.
#[derive(Clone)]
pub struct Peer {
    listener: Listener,
    caller: Arc<OnceLock<Option<Caller>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    Tls,
    DangerPlaintext,
}

impl Peer {
    /// A connection whose caller the handshake will show.
    #[must_use]
    pub fn over_tls() -> Self {
        Self {
            listener: Listener::Tls,
            caller: Arc::default(),
        }
    }

    /// A plaintext connection: every call on it is [`DANGER_DEV_PLAINTEXT`].
    #[must_use]
    pub fn danger_over_plaintext() -> Self {
        let caller = Some(Caller::named(DANGER_DEV_PLAINTEXT));
        Self {
            listener: Listener::DangerPlaintext,
            caller: Arc::new(OnceLock::from(caller)),
        }
    }
}

/// The caller of a request, from what its connection left in the extensions.
///
/// # Errors
/// [`Error::CallerUnknown`], one and the same, whatever is wrong with the certificate.
pub fn of_connection(extensions: &http::Extensions) -> Result<Caller, Error> {
    let caller = if let Some(tls) = extensions.get::<TlsConnectInfo<Peer>>() {
        let certified = || caller_of_leaf(tls.peer_certs()?.first()?.as_ref());
        tls.get_ref().caller.get_or_init(certified).clone()
    } else {
        let plain = extensions.get::<Peer>();
        let plain = plain.filter(|peer| peer.listener == Listener::DangerPlaintext);
        plain.and_then(|peer| peer.caller.get().cloned().flatten())
    };
    caller.ok_or(Error::CallerUnknown)
}

/// The one URI of a leaf certificate, if it is a leaf and has one.
fn caller_of_leaf(der: &[u8]) -> Option<Caller> {
    let certificate = Certificate::from_der(der).ok()?;
    let leaf = certificate.tbs_certificate();
    if let Some((_, constraints)) = leaf.get_extension::<BasicConstraints>().ok()?
        && constraints.ca
    {
        return None;
    }
    if let Some((_, usage)) = leaf.get_extension::<KeyUsage>().ok()?
        && !usage.digital_signature()
    {
        return None;
    }
    let (_, SubjectAltName(names)) = leaf.get_extension::<SubjectAltName>().ok()??;
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    });
    let only = uris.next()?;
    let sound = uris.next().is_none()
        && (1..=limits::CALLER_URI_BYTES_MAX).contains(&only.len())
        && only.bytes().all(|byte| byte.is_ascii_graphic());
    sound.then(|| Caller::named(only))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints as Constraints, CertificateParams, IsCa, KeyPair, SanType};

    fn leaf(names: &[SanType], edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        edit(&mut params);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn the_one_uri_is_the_caller_whatever_other_names_stand_beside_it() {
        let der = leaf(&[dns("till.example"), uri("spiffe://a/till")], |_| ());
        assert_eq!(caller_of_leaf(&der).unwrap().uri(), "spiffe://a/till");
    }

    #[test]
    fn no_uri_two_uris_or_a_certificate_authority_is_no_caller() {
        let authority = |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(Constraints::Unconstrained);
        };
        assert!(caller_of_leaf(&leaf(&[], |_| ())).is_none());
        assert!(caller_of_leaf(&leaf(&[dns("till.example")], |_| ())).is_none());
        assert!(
            caller_of_leaf(&leaf(&[uri("spiffe://a/b"), uri("spiffe://a/c")], |_| ())).is_none()
        );
        assert!(caller_of_leaf(&leaf(&[uri("spiffe://a/b")], authority)).is_none());
        assert!(caller_of_leaf(&leaf(&[uri("spiffe://a/ b")], |_| ())).is_none());
        assert!(caller_of_leaf(b"not a certificate").is_none());
    }

    #[test]
    fn a_request_that_came_over_no_listener_of_ours_has_no_caller() {
        let mut extensions = http::Extensions::new();
        assert!(of_connection(&extensions).is_err());
        extensions.insert(Peer::over_tls());
        assert!(of_connection(&extensions).is_err());
        extensions.insert(Peer::danger_over_plaintext());
        assert_eq!(
            of_connection(&extensions).unwrap().uri(),
            DANGER_DEV_PLAINTEXT
        );
    }
}
