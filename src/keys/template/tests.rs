//! What a template may say, and how it is told what it may not.

use crate::domain::mac::{Padding, Scheme};
use crate::domain::pin_block::Format;
use crate::keys::attributes::{Algorithm, Residence, Usage};
use crate::keys::entry::Why;

use super::*;

const TPK: &str = r#"
[[key]]
name = "tpk"
usage = "pin_encryption"
mode = "decrypt"
side = "terminal"
algorithm = "TDES-2"
pin = { inputs = ["ISO_0", "ISO_3"] }
"#;
const MAC: &str = r#"
[[key]]
name = "mac"
usage = "mac_iso9797_1_alg1"
mode = "generate_and_verify"
algorithm = "SM4"
mac = { scheme = "ISO9797_1_ALG1_SM4", padding = 2, length = 8 }
"#;
const RSA: &str = r#"
[[key]]
name = "rsa"
usage = "signature"
mode = "sign"
algorithm = "RSA-2048"
signature = { scheme = "RSA2" }
"#;

fn parse(text: &str) -> Result<Template, Error> {
    Template::parse(Path::new("keys.toml"), text)
}

/// The fields that are wrong, and that the message names the file and the key.
fn faults(text: &str) -> Vec<&'static str> {
    let error = parse(text).expect_err("this must be refused");
    let message = error.to_string();
    assert!(message.starts_with("keys.toml: "), "{message}");
    match error {
        Error::FileRefused { faults, .. } => {
            for fault in &faults {
                assert!(message.contains(&format!("{fault}")), "{message}");
                assert!(message.contains(&format!("({:?})", fault.key)), "{message}");
            }
            faults.iter().map(|fault| fault.field).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_template_of_the_tree_is_sound() {
    for file in ["dev", "acquirer", "alipay", "neighbours", "terminal"] {
        let path = format!("{}/keys-template/{file}.toml", env!("CARGO_MANIFEST_DIR"));
        let template = Template::read(Path::new(&path)).unwrap();
        assert!(!template.keys().is_empty(), "{file}");
    }
}

#[test]
fn a_template_becomes_specs() {
    let template = parse(&[TPK, MAC, RSA].concat()).unwrap();
    let [tpk, mac, rsa] = template.keys() else {
        panic!("three keys")
    };
    assert_eq!(tpk.algorithm, Algorithm::Tdes2);
    assert_eq!(
        tpk.policy.pin_inputs.iter().collect::<Vec<_>>(),
        [Format::Iso0, Format::Iso3]
    );
    assert_eq!(mac.policy.mac.map(|rule| rule.length), Some(8));
    assert_eq!(
        (mac.residence, rsa.residence),
        (Residence::Process, Residence::Token)
    );
}

#[test]
fn words_that_are_none_are_told_with_those_that_are() {
    for (from, to, field) in [
        ("pin_encryption", "P0", "usage"),
        ("\"decrypt\"", "\"decrypts\"", "mode"),
        ("terminal", "till", "side"),
        ("TDES-2", "TDES", "algorithm"),
        ("\"ISO_0\"", "\"ISO_2\"", "pin.inputs"),
        ("\"tpk\"", "\"Tpk\"", "name"),
    ] {
        assert_eq!(faults(&TPK.replace(from, to)), [field], "{to}");
    }
    let error = parse(&TPK.replace("terminal", "till")).unwrap_err();
    let Error::FileRefused { faults, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        faults[0].why,
        Why::NotOneOf(vec!["terminal", "zone", "issuer"])
    );
}

#[test]
fn every_fault_of_every_key_is_told_at_once() {
    let text = [
        TPK.replace("terminal", "till").replace("TDES-2", "TDES"),
        MAC.to_owned(),
        RSA.replace("RSA2", "RSA3"),
    ]
    .concat();
    assert_eq!(faults(&text), ["side", "algorithm", "signature.scheme"]);
}

#[test]
fn pin_keys_follow_their_side_their_mode_and_their_cipher() {
    let change = |from: &str, to: &str| faults(&TPK.replace(from, to));
    assert_eq!(change("side = \"terminal\"\n", ""), ["side", "pin.inputs"]);
    assert_eq!(change("\"decrypt\"", "\"encrypt\""), ["mode", "pin.inputs"]);
    assert_eq!(
        change("inputs = [\"ISO_0\", \"ISO_3\"]", ""),
        ["pin.inputs"]
    );
    assert_eq!(change("\"ISO_3\"", "\"ISO_4\""), ["pin.inputs"]);
    assert_eq!(
        change("\"ISO_3\"]", "\"ISO_3\"], output = \"ISO_0\""),
        ["pin.output"]
    );
    assert_eq!(
        change("TDES-2", "SM2"),
        ["algorithm", "pin.inputs", "pin.inputs"]
    );
    let out = TPK
        .replace("\"decrypt\"", "\"encrypt\"")
        .replace("terminal", "zone")
        .replace("inputs = [\"ISO_0\", \"ISO_3\"]", "output = \"ISO_0\"");
    assert!(parse(&out).is_ok());
    assert_eq!(faults(&out.replace("ISO_0", "ISO_1")), ["pin.output"]);
    assert_eq!(faults(&out.replace("ISO_0", "ISO_4")), ["pin.output"]);
    assert_eq!(
        faults(&out.replace("output = \"ISO_0\"", "")),
        ["pin.output"]
    );
}

#[test]
fn mac_keys_name_a_rule_of_their_usage() {
    let change = |from: &str, to: &str| faults(&MAC.replace(from, to));
    assert_eq!(change("padding = 2, ", ""), ["mac.padding"]);
    assert_eq!(change("padding = 2", "padding = 4"), ["mac.padding"]);
    assert_eq!(change("length = 8", "length = 3"), ["mac.length"]);
    assert_eq!(change("length = 8", "length = 17"), ["mac.length"]);
    assert_eq!(change("ALG1_SM4", "ALG1_TDES"), ["mac.scheme"]);
    assert_eq!(
        change("algorithm = \"SM4\"", "algorithm = \"AES-128\""),
        ["mac.scheme"]
    );
    assert_eq!(
        change("algorithm = \"SM4\"", "algorithm = \"HMAC-SM3\""),
        ["algorithm", "mac.scheme"]
    );
    let without = MAC
        .lines()
        .filter(|line| !line.starts_with("mac ="))
        .collect::<Vec<_>>();
    assert_eq!(faults(&without.join("\n")), ["mac"]);
    assert_eq!(faults(&format!("{MAC}side = \"zone\"\n")), ["side"]);
    let with_pin = format!("{MAC}pin = {{ inputs = [\"SM4_FMT4_LAYOUT\"] }}\n");
    assert_eq!(faults(&with_pin), ["pin"]);
}

#[test]
fn what_is_weak_says_so_and_what_is_not_does_not() {
    let sha1 = RSA.replace("RSA2", "RSA");
    assert_eq!(faults(&sha1), ["weak"]);
    assert!(parse(&format!("{sha1}weak = true\n")).is_ok());
    assert_eq!(faults(&format!("{RSA}weak = true\n")), ["weak"]);
    let zeros = MAC.replace("padding = 2", "padding = 1");
    assert_eq!(faults(&zeros), ["weak"]);
    assert!(parse(&format!("{zeros}weak = true\n")).is_ok());
}

#[test]
fn macs_that_are_weak_by_construction_say_so() {
    let key = |usage: &str, algorithm: &str, mac: &str| {
        format!(
            "[[key]]\nname = \"mac\"\nusage = \"{usage}\"\nmode = \"generate\"\n\
             algorithm = \"{algorithm}\"\nmac = {{ scheme = {mac} }}\n"
        )
    };
    for (usage, algorithm, mac) in [
        (
            "M1",
            "DES",
            "\"ISO9797_1_ALG1_DES\", padding = 2, length = 8",
        ),
        ("M1", "DES", "\"X9_9\", length = 4"),
        ("M1", "DES", "\"UNIONPAY_ECB_HEX8\", length = 8"),
        ("M1", "TDES-2", "\"UNIONPAY_ECB_RAW8\", length = 8"),
        ("M1", "SM4", "\"SM4_POS_HEX8_LOWER\", length = 8"),
        ("M1", "SM4", "\"SM4_ONLINE\", length = 16"),
        ("M7", "HMAC-SHA1", "\"HMAC_SHA1\", length = 20"),
    ] {
        let usage = Usage::of_code_or_word(usage).unwrap().word();
        let text = key(usage, algorithm, mac);
        assert_eq!(faults(&text), ["weak"], "{text}");
        assert!(parse(&format!("{text}weak = true\n")).is_ok(), "{text}");
        let leaving = format!("{text}weak = true\nexportable = true\n");
        match algorithm {
            "DES" => assert_eq!(faults(&leaving), ["exportable"], "{text}"),
            _ => assert!(parse(&leaving).is_ok(), "{text}"),
        }
    }
    let strong = key("mac_cmac", "SM4", "\"CMAC_SM4\", length = 16");
    assert!(parse(&strong).is_ok());
    let x9_19 = key("mac_iso9797_1_alg3", "TDES-2", "\"X9_19\", length = 8");
    let rule = parse(&x9_19).unwrap().keys()[0].policy.mac.unwrap();
    assert_eq!(
        (rule.scheme, rule.padding),
        (Scheme::Iso9797Alg3Des, Some(Padding::Method1))
    );
    let other = x9_19.replace("length", "padding = 2, length");
    assert_eq!(faults(&other), ["mac.padding"]);
    let single = key("mac_cmac", "DES", "\"X9_9\", length = 4");
    assert!(faults(&single).contains(&"algorithm"));
}

#[test]
fn keys_live_where_their_algorithm_lives() {
    assert_eq!(
        faults(&format!("{RSA}residence = \"PROCESS\"\n")),
        ["residence"]
    );
    assert_eq!(
        faults(&format!("{TPK}residence = \"TOKEN\"\n")),
        ["residence"]
    );
    assert!(parse(&format!("{TPK}residence = \"PROCESS\"\n")).is_ok());
    assert_eq!(faults(&RSA.replace("RSA2", "SM2")), ["signature.scheme"]);
    // What only verifies is a partner's.
    let partners = RSA.replace("\"sign\"", "\"verify\"");
    let spec = parse(&partners).unwrap().keys()[0].clone();
    assert_eq!(spec.residence, Residence::Public);
    for residence in ["TOKEN", "TOKEN_WRAPPED", "PROCESS"] {
        let text = format!("{partners}residence = \"{residence}\"\n");
        assert_eq!(faults(&text), ["residence"], "{residence}");
    }
    assert_eq!(
        faults(&format!("{RSA}residence = \"PUBLIC\"\n")),
        ["residence"]
    );
}

#[test]
fn an_sm2_key_lives_in_the_token_only_where_that_is_said_and_it_only_signs() {
    let sm2 = RSA.replace("RSA-2048", "SM2").replace("RSA2", "SM2");
    let spec = |text: &str| parse(text).unwrap().keys()[0].clone();
    assert_eq!(spec(&sm2).residence, Residence::Process);
    let in_token = format!("{sm2}residence = \"TOKEN\"\n");
    assert_eq!(spec(&in_token).residence, Residence::Token);
    let both = in_token.replace("\"sign\"", "\"sign_and_decrypt\"");
    assert_eq!(faults(&both), ["residence"]);
    let wrapped = format!("{sm2}residence = \"TOKEN_WRAPPED\"\n");
    assert_eq!(faults(&wrapped), ["residence"]);
}

const KBPK: &str = r#"
[[key]]
name = "kbpk"
usage = "key_block_protection"
mode = "encrypt_and_decrypt"
algorithm = "TDES-3"
"#;
const ZMK: &str = r#"
[[key]]
name = "zmk"
usage = "key_encryption"
mode = "decrypt"
side = "zone"
algorithm = "TDES-2"
[key.cryptogram]
usages = ["pin_encryption", "mac_iso9797_1_alg3"]
"#;

#[test]
fn keys_that_protect_others_live_in_the_token_unless_the_process_is_named() {
    for (text, residence) in [
        (KBPK.to_owned(), Residence::Token),
        (ZMK.to_owned(), Residence::Token),
        (
            format!("{KBPK}residence = \"PROCESS\"\n"),
            Residence::Process,
        ),
    ] {
        assert_eq!(parse(&text).unwrap().keys()[0].residence, residence);
    }
    let wrapped = |text: &str| format!("{text}residence = \"TOKEN_WRAPPED\"\n");
    assert_eq!(faults(&wrapped(KBPK)), ["residence"]);
    assert!(parse(&wrapped(RSA)).is_ok());
}

#[test]
fn a_protection_key_takes_old_versions_until_a_day_and_in_the_process_only() {
    let until =
        |day: &str, rest: &str| format!("{KBPK}{rest}[key.key_block]\nlegacy_until = \"{day}\"\n");
    let process = "residence = \"PROCESS\"\n";
    let template = parse(&until("2027-01-01", process)).unwrap();
    let seconds = template.keys()[0].policy.legacy_blocks_until;
    assert_eq!(seconds, Some(1_798_761_600));
    assert_eq!(faults(&until("2027-01-01", "")), ["residence"]);
    assert_eq!(faults(&until("soon", process)), ["key_block.legacy_until"]);
    let aes = until("2027-01-01", process).replace("TDES-3", "AES-256");
    assert_eq!(faults(&aes), ["key_block.legacy_until"]);
    let code = format!("{KBPK}[key.key_block]\nsm4_code = 10\n");
    assert_eq!(faults(&code), ["key_block.sm4_code"]);
    assert_eq!(
        faults(&format!("{TPK}[key.key_block]\nsm4_code = 1\n")),
        ["key_block"]
    );
}

#[test]
fn a_key_encryption_key_names_the_usages_under_it_and_faces_a_way() {
    assert!(parse(ZMK).is_ok());
    assert_eq!(faults(&ZMK.replace("side = \"zone\"\n", "")), ["side"]);
    let other =
        |usages: &str| faults(&ZMK.replace("\"pin_encryption\", \"mac_iso9797_1_alg3\"", usages));
    assert_eq!(other(""), ["cryptogram.usages"]);
    assert_eq!(other("\"signature\""), ["cryptogram.usages"]);
    assert_eq!(other("\"key_encryption\""), ["cryptogram.usages"]);
}

#[test]
fn a_name_stands_in_a_file_once() {
    assert_eq!(faults(&[TPK, TPK].concat()), ["name"]);
}

#[test]
fn a_template_holds_no_values() {
    assert_eq!(faults(&format!("{TPK}value = \"00\"\n")), ["value"]);
    assert_eq!(faults(&format!("{RSA}pkcs8 = \"a.pem\"\n")), ["value"]);
    let labelled = format!("{TPK}labels = {{ serial = \"A0\" }}\n");
    assert_eq!(faults(&labelled), ["labels"]);
}

#[test]
fn what_is_no_toml_of_this_form_is_told_by_its_line() {
    for (text, line) in [
        (format!("{TPK}\nkcv = \"00\"\n"), 10),
        ("[[key]]\nname = \"a\n".to_owned(), 2),
        ("[[keys]]\n".to_owned(), 1),
    ] {
        match parse(&text) {
            Err(Error::FileSyntax {
                path, line: found, ..
            }) => {
                assert_eq!((path, found), (PathBuf::from("keys.toml"), line), "{text}");
            }
            other => panic!("{text}: {:?}", other.err()),
        }
    }
}

#[test]
fn a_syntax_error_in_a_value_does_not_show_the_value() {
    let error = parse(&format!("{TPK}value = 1234567890\n"))
        .unwrap_err()
        .to_string();
    assert!(!error.contains("1234567890"), "{error}");
    let error = parse(&format!("{TPK}value = \"00112233\n"))
        .unwrap_err()
        .to_string();
    assert!(!error.contains("00112233"), "{error}");
}

#[test]
fn a_missing_file_and_one_too_long_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    assert!(matches!(
        Template::read(&path),
        Err(Error::FileUnreadable { .. })
    ));
    let length = usize::try_from(limits::FILE_BYTES_MAX).unwrap() + 1;
    std::fs::write(&path, "#".repeat(length)).unwrap();
    assert!(matches!(
        Template::read(&path),
        Err(Error::FileUnreadable { .. })
    ));
}
