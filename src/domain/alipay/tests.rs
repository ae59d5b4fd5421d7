//! The rules one by one; whole requests of real SDKs are files (`tests/vectors/alipay`).

use proptest::prelude::*;

use crate::domain::alipay::content::{self, ContentForm};
use crate::domain::alipay::{AlipayError, SignType, StringToSign};
use crate::domain::cipher::{Aes, PinCipher, Sm4};
use crate::limits::{ALIPAY_NAME_BYTES_MAX, ALIPAY_PARAMETERS_MAX, MESSAGE_BYTES_MAX};

fn text(parameters: &[(&str, &str)]) -> String {
    String::from_utf8(bytes(parameters).unwrap()).unwrap()
}

fn bytes(parameters: &[(&str, &str)]) -> Result<Vec<u8>, AlipayError> {
    StringToSign::for_request(parameters.iter().copied()).map(StringToSign::into_bytes)
}

#[test]
fn sign_is_dropped_and_sign_type_is_kept() {
    assert_eq!(
        text(&[("sign", "x"), ("sign_type", "RSA2"), ("a", "1")]),
        "a=1&sign_type=RSA2"
    );
}

#[test]
fn empty_values_are_dropped_and_blank_ones_are_not() {
    let request = [
        ("notify_url", ""),
        ("b", " "),
        ("sign_type", "SM2"),
        ("charset", ""),
    ];
    assert_eq!(text(&request), "b= &sign_type=SM2");
}

#[test]
fn parameters_are_sorted_by_name_and_not_by_joined_text() {
    // As text `a-b=` comes before `a=`; by name `a` is first.
    let request = [("sign_type", "RSA"), ("a-b", "1"), ("a", "2"), ("B", "3")];
    assert_eq!(text(&request), "B=3&a=2&a-b=1&sign_type=RSA");
}

#[test]
fn values_are_signed_exactly_as_given() {
    let value = "{\"a\": \"1&2=3%20+\\/\n\" } ";
    let request = [("biz_content", value), ("sign_type", "RSA2")];
    assert_eq!(
        text(&request),
        format!("biz_content={value}&sign_type=RSA2")
    );
}

#[test]
fn every_sign_type_is_known_by_its_label_alone() {
    for scheme in SignType::ALL {
        assert_eq!(SignType::parse(scheme.label()), Some(scheme));
        let string = StringToSign::for_request([("sign_type", scheme.label())]).unwrap();
        assert_eq!(string.sign_type(), scheme);
    }
    for label in ["rsa2", " RSA2", "RSA3", "SM3withSM2"] {
        assert_eq!(
            bytes(&[("sign_type", label)]),
            Err(AlipayError::SignTypeUnknown),
            "{label}"
        );
    }
    for request in [&[("a", "1")][..], &[("sign_type", "")]] {
        assert_eq!(bytes(request), Err(AlipayError::SignTypeMissing));
    }
}

#[test]
fn the_charset_parameter_decides_the_bytes_in_any_case() {
    let signed = |charset: &str| bytes(&[("charset", charset), ("n", "花"), ("sign_type", "RSA")]);
    for charset in ["UTF-8", "utf-8", "utf8", ""] {
        let signed = signed(charset).unwrap();
        assert!(
            signed.windows(5).any(|part| part == b"n=\xE8\x8A\xB1"),
            "{charset}"
        );
    }
    for charset in ["GBK", "gbk", "gb2312", "GB18030"] {
        let signed = signed(charset).unwrap();
        assert!(
            signed.windows(4).any(|part| part == b"n=\xBB\xA8"),
            "{charset}"
        );
    }
    for charset in ["utf-16", "iso-8859-1", "utf 8", " gbk", "big5", "x-gbk"] {
        assert_eq!(
            signed(charset),
            Err(AlipayError::CharsetUnknown),
            "{charset}"
        );
    }
}

#[test]
fn a_character_that_the_charset_lacks_is_refused_by_its_parameters_name() {
    // 镕 is in GBK only, 😀 in neither, € in GB 18030 and in Windows' GBK only.
    for (charset, value, lacks) in [
        ("gb2312", "镕", true),
        ("gbk", "镕", false),
        ("gbk", "😀", true),
        ("gb18030", "😀", false),
        ("gbk", "€", true),
        ("gbk", "€1", true),
        ("gb2312", "€", true),
        ("gb18030", "€", false),
        ("gb2312", "花呗 ￥１２", false),
    ] {
        let request = [
            ("charset", charset),
            ("subject", value),
            ("sign_type", "RSA2"),
        ];
        let signed = StringToSign::for_request(request);
        assert_eq!(signed.is_err(), lacks, "{charset} {value}");
        if let Err(error) = signed {
            assert_eq!(error.parameter(), Some("subject"));
            assert!(error.to_string().contains("subject"), "{error}");
        }
    }
}

#[test]
fn a_name_given_twice_is_refused_even_without_a_value() {
    let request = [("sign_type", "RSA2"), ("a", "1"), ("a", "")];
    let refused = AlipayError::DuplicateParameter {
        parameter: "a".to_owned(),
    };
    assert_eq!(bytes(&request), Err(refused));
}

#[test]
fn names_that_would_let_two_requests_sign_alike_are_refused() {
    let named = |name: &str| bytes(&[(name, "1"), ("sign_type", "RSA2")]);
    assert_eq!(named(""), Err(AlipayError::EmptyName));
    assert_eq!(
        named(&"n".repeat(ALIPAY_NAME_BYTES_MAX + 1)),
        Err(AlipayError::NameTooLong)
    );
    assert!(named(&"n".repeat(ALIPAY_NAME_BYTES_MAX)).is_ok());
    for name in ["a=b", "a&b", "a b", "花", "a\n", "a\0"] {
        assert_eq!(named(name), Err(AlipayError::NameCharacters), "{name:?}");
    }
}

#[test]
fn the_bounds_of_one_request_hold() {
    let names: Vec<String> = (0..ALIPAY_PARAMETERS_MAX)
        .map(|n| format!("p{n}"))
        .collect();
    let mut request: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    request[0] = ("sign_type", "RSA2");
    assert!(bytes(&request).is_ok());
    request.push(("more", ""));
    assert_eq!(bytes(&request), Err(AlipayError::TooManyParameters));

    let fixed = "biz_content=&sign_type=RSA2".len();
    let longest = "x".repeat(MESSAGE_BYTES_MAX - fixed);
    assert!(bytes(&[("biz_content", &longest), ("sign_type", "RSA2")]).is_ok());
    let longer = longest + "x";
    let refused = bytes(&[("biz_content", &longer), ("sign_type", "RSA2")]);
    assert_eq!(refused, Err(AlipayError::TooLong));
}

#[test]
fn gb2312_and_gbk_have_their_own_characters_and_ascii_and_no_more() {
    let count = |charset: &str| {
        let has = |character: &char| {
            let mut utf8 = [0; 4];
            let value = character.encode_utf8(&mut utf8);
            bytes(&[("charset", charset), ("v", value), ("sign_type", "RSA")]).is_ok()
        };
        ('\u{80}'..=char::MAX).filter(has).count()
    };
    assert_eq!(count("gb2312"), 7445);
    // As many as Windows' code page 936 without its euro sign.
    assert_eq!(count("gbk"), 21_791);
}

proptest! {
    #[test]
    fn content_is_decrypted_or_rejected_whatever_comes(
        content in "[A-Za-z0-9+/=]{0,120}",
        data in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let aes = || PinCipher::Aes(Aes::new(&[7; 16]).unwrap());
        let sm4 = || PinCipher::Sm4(Sm4::new(&[7; 16]).unwrap());
        for (form, key) in [
            (ContentForm::Aes, aes()),
            (ContentForm::AesV2, aes()),
            (ContentForm::Sm4, sm4()),
        ] {
            let _ = content::decrypt(&key, form, &content);
            let sealed = content::encrypt(&key, form, &[9; 16], &data).unwrap();
            let opened = content::decrypt(&key, form, &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), &data);
        }
        prop_assert!(content::encrypt(&sm4(), ContentForm::Aes, &[9; 16], &data).is_err());
        prop_assert!(content::decrypt(&aes(), ContentForm::Sm4, &content).is_err());
    }
}
