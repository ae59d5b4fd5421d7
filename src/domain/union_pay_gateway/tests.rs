//! The rules one by one; a whole request is a file (`tests/vectors/alipay`).

use crate::domain::rsa;
use crate::domain::union_pay_gateway::{GatewayError, StringToSign};

const SECURE: [(&str, &str); 3] = [("version", "5.1.0"), ("signMethod", "12"), ("a", "1")];

fn built(parameters: &[(&str, &str)]) -> Result<StringToSign, GatewayError> {
    StringToSign::for_request(parameters.iter().copied())
}

#[test]
fn signature_and_empty_values_are_dropped() {
    let mut parameters = SECURE.to_vec();
    parameters.extend([("signature", "x"), ("reserved", "")]);
    let string = built(&parameters).unwrap();
    assert_eq!(string.as_bytes(), b"a=1&signMethod=12&version=5.1.0");
}

#[test]
fn version_5_0_0_signs_the_text_of_a_sha_1_and_has_no_secure_key() {
    let old = [("version", "5.0.0"), ("signMethod", "01"), ("certId", "7")];
    let string = built(&old).unwrap();
    assert_eq!(string.rsa_hash(), rsa::Hash::Sha1);
    assert_eq!(string.rsa_message().len(), 40);
    assert_eq!(string.mac_scheme(), None);
    let keyed = [("version", "5.0.0"), ("signMethod", "11")];
    assert_eq!(built(&keyed), Err(GatewayError::SignMethod));
}

#[test]
fn the_certificate_id_is_decimal() {
    for id in ["", "1F", "-1"] {
        let message = [("version", "5.1.0"), ("signMethod", "01"), ("certId", id)];
        assert_eq!(built(&message), Err(GatewayError::CertId));
    }
}

#[test]
fn values_are_signed_in_their_encoding() {
    let with = |encoding| {
        let mut parameters = SECURE.to_vec();
        parameters.extend([("encoding", encoding), ("b", "花")]);
        built(&parameters)
    };
    let gbk = with("GBK").unwrap();
    assert!(gbk.as_bytes().starts_with(b"a=1&b=\xBB\xA8&"));
    assert_eq!(with("latin1"), Err(GatewayError::Encoding));
}
