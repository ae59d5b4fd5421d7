//! The rules one by one; a whole request is a file (`tests/vectors/alipay`).

use crate::domain::alipay::SignType;
use crate::domain::wechat_pay::{
    Merchant, Request, WechatPayError, app_payment, authorization, jsapi_payment, request, response,
};
use crate::limits::MESSAGE_BYTES_MAX;

const GET: Request<'static> = Request {
    method: "GET",
    url: "/v3/certificates?a=b",
    timestamp: 1_554_208_460,
    nonce: "N1",
    body: b"",
};

#[test]
fn an_empty_body_still_has_its_newline() {
    let signed = request(GET).unwrap();
    assert_eq!(signed, b"GET\n/v3/certificates?a=b\n1554208460\nN1\n\n");
    assert_eq!(response(1, "N1", b"").unwrap(), b"1\nN1\n\n");
}

#[test]
fn an_app_signs_the_bare_prepay_id_and_jsapi_names_it() {
    assert_eq!(
        jsapi_payment("wx1", 2, "N1", "wx20").unwrap(),
        b"wx1\n2\nN1\nprepay_id=wx20\n"
    );
    assert_eq!(
        app_payment("wx1", 2, "N1", "wx20").unwrap(),
        b"wx1\n2\nN1\nwx20\n"
    );
}

#[test]
fn a_part_that_could_be_read_as_two_is_refused() {
    let nonce = Request {
        nonce: "a\nb",
        ..GET
    };
    assert_eq!(request(nonce), Err(WechatPayError::Word("nonce")));
    let url = Request {
        url: "/a\nb",
        ..GET
    };
    assert_eq!(request(url), Err(WechatPayError::Url));
    let method = Request {
        method: "get",
        ..GET
    };
    assert_eq!(request(method), Err(WechatPayError::Method));
    assert_eq!(
        app_payment("wx1", 2, "N1", "a\nb"),
        Err(WechatPayError::PrepayId)
    );
}

#[test]
fn the_header_names_the_keys_scheme_and_sha_1_has_none() {
    let merchant = Merchant {
        mchid: "1900000001",
        serial_number: "1DDE55AD",
    };
    let header = |scheme| authorization(scheme, merchant, 5, "N1", "c2ln");
    assert_eq!(
        header(SignType::Sm2).unwrap(),
        "WECHATPAY2-SM2-WITH-SM3 mchid=\"1900000001\",nonce_str=\"N1\",timestamp=\"5\",\
         serial_no=\"1DDE55AD\",signature=\"c2ln\""
    );
    assert_eq!(header(SignType::Rsa), Err(WechatPayError::Scheme));
    let quoted = Merchant {
        mchid: "1\",x=\"",
        ..merchant
    };
    let broken = authorization(SignType::Rsa2, quoted, 5, "N1", "c2ln");
    assert_eq!(broken, Err(WechatPayError::Word("mchid")));
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let long = vec![0; MESSAGE_BYTES_MAX];
    let sent = Request { body: &long, ..GET };
    assert_eq!(request(sent), Err(WechatPayError::TooLong));
}
