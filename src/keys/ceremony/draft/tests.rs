//! Every sequence of steps against a model: who may, once, and never back.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const FILE: &str = r#"
environment = "test"
custodians = ["alice", "bob", "carol"]
[key]
name = "zpk"
usage = "pin_encryption"
mode = "decrypt"
side = "zone"
algorithm = "AES-128"
[key.pin]
inputs = ["ISO_4"]
"#;

fn file() -> CeremonyFile {
    CeremonyFile::parse(std::path::Path::new("ceremony.toml"), FILE.to_owned()).unwrap()
}

fn draft() -> Draft {
    Draft {
        id: "00".to_owned(),
        opened: 0,
        machine: "m".to_owned(),
        file: FILE.to_owned(),
        sittings: Vec::new(),
    }
}

fn sitting(custodian: &KeyName, package: u8, check_value: u8) -> Sitting {
    Sitting {
        custodian: custodian.to_string(),
        at: 1,
        machine: "m".to_owned(),
        package: package.to_string(),
        check_value: Some(check_value.to_string()),
        masked: hex::encode([check_value; 16]),
        pad: String::new(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u8, u8, u8),
    Close(u8),
}

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dora", "erin"];

fn person(number: u8) -> KeyName {
    KeyName::parse(PEOPLE[usize::from(number) % PEOPLE.len()]).unwrap()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..5, 0u8..8, 0u8..8).prop_map(|(who, package, value)| {
            Step::Enter(who, package, value)
        }),
        1 => (0u8..5).prop_map(Step::Close),
    ];
    prop::collection::vec(step, 0..24)
}

proptest! {
    #[test]
    fn each_custodian_sits_once_and_only_an_outsider_closes_a_whole_ceremony(steps in steps()) {
        let (file, mut draft) = (file(), draft());
        let (mut sat, mut packages, mut values) =
            (HashSet::new(), HashSet::new(), HashSet::new());
        for step in steps {
            match step {
                Step::Enter(who, package, value) => {
                    let person = person(who);
                    let before = draft.sittings.len();
                    let entered = draft.enter(&file, &person, sitting(&person, package, value));
                    let allowed = who < 3
                        && !sat.contains(&who)
                        && !packages.contains(&package)
                        && !values.contains(&value);
                    prop_assert_eq!(entered.is_ok(), allowed, "{:?}", entered);
                    prop_assert_eq!(draft.sittings.len(), before + usize::from(allowed));
                    if allowed {
                        sat.insert(who);
                        packages.insert(package);
                        values.insert(value);
                    }
                }
                Step::Close(who) => {
                    let closed = draft.may_close(&file, &person(who));
                    prop_assert_eq!(closed.is_ok(), who >= 3 && sat.len() == 3, "{:?}", closed);
                }
            }
        }
    }
}

#[test]
fn pads_that_are_not_one_for_each_sitting_make_no_key() {
    let (file, mut draft) = (file(), draft());
    for (who, value) in [(0, 1), (1, 2), (2, 4)] {
        let person = person(who);
        let entered = draft.enter(&file, &person, sitting(&person, value, value));
        assert_eq!(entered, Ok(()));
    }
    let pads = |lengths: &[usize]| -> Vec<Secret<Vec<u8>>> {
        let pads = lengths.iter().map(|length| Secret::new(vec![0; *length]));
        pads.collect()
    };
    for wrong in [&[][..], &[16, 16], &[16, 16, 15], &[17, 16, 16], &[16; 4]] {
        assert!(draft.combine(&file, &pads(wrong)).is_err(), "{wrong:?}");
    }
    let key = draft.combine(&file, &pads(&[16; 3])).unwrap();
    assert_eq!(key.expose_secret().as_slice(), [1 ^ 2 ^ 4; 16]);
}

#[test]
fn a_serial_number_is_printable_and_short() {
    for good in ["A", "TE-0004711", &"9".repeat(64)] {
        assert!(is_serial(good), "{good}");
    }
    for bad in ["", "a b", "a\u{7}", "é", &"9".repeat(65)] {
        assert!(!is_serial(bad), "{bad:?}");
    }
}

#[test]
fn a_file_names_two_or_three_distinct_people_and_a_symmetric_key_of_the_process() {
    let with = |from: &str, to: &str| {
        assert!(FILE.contains(from));
        let text = FILE.replace(from, to);
        CeremonyFile::parse(std::path::Path::new("c"), text).map_err(|error| error.to_string())
    };
    assert!(with("\"alice\", ", "").is_ok());
    for (from, to, field) in [
        ("\"alice\", \"bob\", ", "", "custodians"),
        ("\"alice\"", "\"alice\", \"dora\"", "custodians"),
        ("\"alice\"", "\"bob\"", "custodians"),
        ("\"alice\"", "\"Alice!\"", "custodians"),
        ("\"test\"", "\"tset\"", "environment"),
        ("[key]\n", "[key]\nvalue = \"00\"\n", "value"),
        ("[key]\n", "[key]\ncheck_value = \"0102\"\n", "check_value"),
        (
            "[key]\n",
            "[key]\ncheck_value = \"010203zz\"\n",
            "check_value",
        ),
        ("[key]\n", "[key]\nresidence = \"TOKEN\"\n", "residence"),
    ] {
        let refused = with(from, to).unwrap_err();
        assert!(refused.contains(field), "{field}: {refused}");
    }
    assert!(with("[key]\n", "[key]\ncheck_value = \"0102030405\"\n").is_ok());
}
