//! One header, one encoding: what is read back, and what is refused.

use crate::domain::alipay::SignType;
use crate::domain::mac::{Padding, Rule, Scheme};
use crate::domain::pin_block::Format;

use super::*;

/// A terminal's PIN key.
fn header() -> Header {
    Header {
        environment: Environment::Test,
        tenant: KeyName::parse("default").unwrap(),
        name: KeyName::parse("tpk-pos-0001").unwrap(),
        version: 1,
        usage: Usage::PinEncryption,
        mode: Mode::Decrypt,
        side: Some(Side::Terminal),
        algorithm: Algorithm::Tdes2,
        exportability: Exportability::NonExportable,
        residence: Residence::Process,
        origin: Origin::Generated,
        state: State::Active,
        state_epoch: 0,
        created: 1_700_000_000,
        expiry: None,
        check_value: Some(KeyCheckValue {
            method: Method::TdesZero,
            bytes: vec![1, 2, 3],
        }),
        public_key: None,
        token_object: None,
        policy: KeyPolicy {
            pin_inputs: [Format::Iso0, Format::Iso3].into_iter().collect(),
            ..KeyPolicy::default()
        },
        activates: None,
        destroys: None,
        custodians: Vec::new(),
        parent: None,
        legacy: false,
        optional_blocks: None,
        labels: Labels::default(),
    }
}

fn headers() -> Vec<Header> {
    let mac = Header {
        usage: Usage::MacAlgorithm3,
        mode: Mode::GenerateAndVerify,
        side: None,
        expiry: Some(1_800_000_000),
        policy: KeyPolicy {
            mac: Rule::new(Scheme::Iso9797Alg3Des, Some(Padding::Method2), 8).ok(),
            ..KeyPolicy::default()
        },
        ..header()
    };
    let rsa = Header {
        usage: Usage::Signature,
        mode: Mode::Sign,
        side: None,
        algorithm: Algorithm::Rsa2048,
        residence: Residence::Token,
        check_value: None,
        public_key: Some(vec![0x30; 294]),
        token_object: Some([7; 16]),
        policy: KeyPolicy {
            signature: Some(SignType::Rsa2),
            ..KeyPolicy::default()
        },
        ..header()
    };
    let name = |text| KeyName::parse(text).unwrap();
    let brought_in = Header {
        state: State::Pending,
        activates: Some(1_750_000_000),
        custodians: vec![name("alice"), name("bob")],
        parent: Some(name("zmk-partner")),
        legacy: true,
        optional_blocks: Some(b"KS1800604B120F9292800000".to_vec()),
        labels: labels(&[("owner", "acquiring"), ("till", "7")]),
        ..header()
    };
    let destroying = Header {
        state: State::Destroying,
        destroys: Some(1_760_000_000),
        ..header()
    };
    vec![header(), mac, rsa, brought_in, destroying]
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs
        .iter()
        .map(|(name, text)| (KeyName::parse(name).unwrap(), (*text).to_owned()));
    Labels::new(pairs.collect()).unwrap()
}

#[test]
fn a_pending_version_is_active_from_its_moment_on() {
    let pending = &headers()[3];
    assert_eq!(pending.state_at(1_749_999_999), State::Pending);
    assert_eq!(pending.state_at(1_750_000_000), State::Active);
    let never = Header {
        activates: None,
        ..pending.clone()
    };
    assert_eq!(never.state_at(u64::MAX), State::Pending);
}

#[test]
fn labels_are_few_short_and_printable() {
    let name = |text: &str| KeyName::parse(text).unwrap();
    let one = |text: String| Labels::new([(name("a"), text)].into());
    assert!(one("x".repeat(limits::LABEL_BYTES_MAX)).is_ok());
    assert!(one("x".repeat(limits::LABEL_BYTES_MAX + 1)).is_err());
    assert!(one("a\nb".to_owned()).is_err());
    let many = (0..=limits::LABELS_MAX).map(|n| (name(&format!("n{n}")), String::new()));
    assert!(Labels::new(many.collect()).is_err());
}

#[test]
fn every_header_is_read_back() {
    for header in headers() {
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
}

#[test]
fn every_changed_byte_is_refused_or_makes_another_header() {
    for header in headers() {
        let bytes = header.encode();
        for place in 0..bytes.len() {
            for change in 1..=u8::MAX {
                let mut other = bytes.clone();
                other[place] ^= change;
                if let Ok(read) = Header::decode(&other) {
                    assert_ne!(read, header, "byte {place} means nothing");
                    assert_eq!(read.encode(), other);
                }
            }
        }
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    for header in headers() {
        let bytes = header.encode();
        for length in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..length]), Err(HeaderError));
        }
        for byte in 0..=u8::MAX {
            assert_eq!(
                Header::decode(&[&bytes[..], &[byte]].concat()),
                Err(HeaderError)
            );
            let field = [byte, 0, 0];
            assert_eq!(
                Header::decode(&[&bytes[..], &field].concat()),
                Err(HeaderError)
            );
        }
    }
}

#[test]
fn unknown_tags_and_tags_out_of_order_are_refused() {
    let bytes = header().encode();
    let fields = &bytes[MAGIC.len()..];
    let unknown = [MAGIC, &[0, 0, 0], fields].concat();
    assert_eq!(Header::decode(&unknown), Err(HeaderError));
    let (first, rest) = fields.split_at(4);
    assert_eq!(
        Header::decode(&[MAGIC, rest, first].concat()),
        Err(HeaderError)
    );
    assert_eq!(
        Header::decode(&[MAGIC, first, first, rest].concat()),
        Err(HeaderError)
    );
}

#[test]
fn fields_that_do_not_go_together_are_refused() {
    let incoherent = [
        Header {
            version: 0,
            ..header()
        },
        Header {
            side: None,
            ..header()
        },
        Header {
            check_value: None,
            ..header()
        },
        Header {
            public_key: Some(vec![1]),
            ..header()
        },
        Header {
            token_object: Some([1; 16]),
            ..header()
        },
        Header {
            residence: Residence::Token,
            ..header()
        },
        Header {
            algorithm: Algorithm::Sm2,
            ..header()
        },
        Header {
            activates: Some(1),
            ..header()
        },
        Header {
            state: State::Destroying,
            ..header()
        },
        Header {
            destroys: Some(1),
            ..header()
        },
        Header {
            custodians: vec![header().name; limits::CUSTODIANS_MAX + 1],
            ..header()
        },
    ];
    for header in incoherent {
        assert_eq!(
            Header::decode(&header.encode()),
            Err(HeaderError),
            "{header:?}"
        );
    }
}

#[test]
fn a_header_longer_than_the_limit_is_refused() {
    let mut long = headers().remove(2);
    long.public_key = Some(vec![0; limits::RECORD_HEADER_BYTES_MAX]);
    assert_eq!(Header::decode(&long.encode()), Err(HeaderError));
}

#[test]
fn any_bytes_are_decoded_without_panic() {
    proptest::proptest!(|(tail: Vec<u8>)| {
        let _ = Header::decode(&tail);
        let _ = Header::decode(&[MAGIC, &tail].concat());
    });
}
