//! Certificates for the TLS tests, made when they are needed.

use pintle::client;
use pintle::secret::Secret;
use pintle::service::tls::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Somebody who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new authority.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// What the server shows and whom it believes: this authority.
    pub fn server(&self) -> Tls {
        let (certificate, key) = self.certify(&[dns("localhost")], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        Tls {
            certificate: certificate.into_bytes(),
            private_key: Secret::new(key.into_bytes()),
            client_ca: self.certificate.clone().into_bytes(),
        }
    }

    /// What a client of `server`'s shows: a certificate of this authority with these names.
    pub fn client(&self, names: &[SanType], server: &Self) -> client::Tls {
        self.client_with(names, server, |_| ())
    }

    /// The same, spoiled.
    pub fn client_with(
        &self,
        names: &[SanType],
        server: &Self,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> client::Tls {
        let (certificate, key) = self.certify(names, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            edit(params);
        });
        client::Tls {
            server_ca: server.certificate.clone().into_bytes(),
            certificate: certificate.into_bytes(),
            private_key: Secret::new(key.into_bytes()),
            server_name: "localhost".to_owned(),
        }
    }

    /// This authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.certificate
    }

    fn certify(
        &self,
        names: &[SanType],
        edit: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A URI name.
pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A DNS name.
pub fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}
