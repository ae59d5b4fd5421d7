//! Serials, bundles that are none, and bytes of any kind; good certificates are files and openssl's work
//! (`tests/vectors/alipay`, `tests/crosscheck`).

use super::*;

use proptest::prelude::*;

#[test]
fn a_serial_is_written_as_java_writes_it() {
    for (bytes, text) in [
        (&[][..], "0"),
        (&[0], "0"),
        (&[0x7F], "127"),
        (&[0, 0x80], "128"),
        (&[0x80], "-128"),
        (&[0xFF], "-1"),
        (&[0x3B, 0x9A, 0xCA, 0], "1000000000"),
        (&[0x3B, 0x9A, 0xC9, 0xFF], "999999999"),
        (
            &[0x0D, 0xE0, 0xB6, 0xB3, 0xA7, 0x64, 0, 0],
            "1000000000000000000",
        ),
        (
            &[0x20, 0x21, 0x20, 1, 0x23, 0x45, 0x67, 0x89, 1, 0x23, 0x45],
            "38842054699398719793603397",
        ),
    ] {
        assert_eq!(decimal(bytes), text, "{bytes:?}");
    }
}

#[test]
fn what_is_no_bundle_is_named() {
    let refused = |bytes: &[u8]| Certificate::read_all(bytes).unwrap_err();
    assert_eq!(refused(b""), CertificateError::Missing);
    assert_eq!(refused(b" \r\n"), CertificateError::Missing);
    assert_eq!(refused(b"hello, world"), CertificateError::Encoding);
    assert_eq!(refused(&[0x30, 0]), CertificateError::Malformed);
    assert_eq!(refused(b"MAA="), CertificateError::Malformed);
    let key = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    assert_eq!(refused(key), CertificateError::OtherBlock);
    let open = b"-----BEGIN CERTIFICATE-----\nMAA=\n";
    assert_eq!(refused(open), CertificateError::Encoding);
    let one = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert_eq!(
        refused(&one.repeat(CERTIFICATES_MAX + 1)),
        CertificateError::TooMany
    );
    let long = vec![b'\n'; CERTIFICATE_BUNDLE_BYTES_MAX + 1];
    assert_eq!(refused(&long), CertificateError::TooLong);
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Certificate::read_all(&bytes);
        let mut der = vec![0x30, 0x82, 1, 0x20];
        der.extend(&bytes);
        let _ = Certificate::from_der(&der);
    }
}
