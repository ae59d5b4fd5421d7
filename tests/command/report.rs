//! The papers: an assessor's inventory, and the usage table.

use serde_json::Value;

use crate::operation::{DEV_TEMPLATE, Site};

/// One key under two names, with a weak rule.
const TWINS: &str = r#"
environment = "test"
[[key]]
name = "twin-one"
usage = "mac_iso9797_1_alg1"
mode = "generate_and_verify"
algorithm = "TDES-2"
weak = true
mac = { scheme = "ISO9797_1_ALG1_TDES", padding = 1, length = 8 }
value = "0123456789ABCDEFFEDCBA9876543210"
[[key]]
name = "twin-two"
usage = "data_encryption"
mode = "encrypt_and_decrypt"
algorithm = "TDES-2"
value = "0123456789ABCDEFFEDCBA9876543210"
"#;

#[test]
fn the_inventory_names_every_key_and_fails_where_two_have_one_check_value() {
    let site = Site::new();
    site.init();
    site.must(&["keys", "apply", "-t", DEV_TEMPLATE]);
    let report = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let arguments = ["--output", "json", "report", "keys"];
    let inventory = report(&site.must(&arguments));
    let keys = inventory["keys"].as_array().unwrap();
    let named = |name: &str| keys.iter().find(|key| key["key"] == name).unwrap();
    let tpk = named("tpk-pos-0001");
    assert_eq!(
        (&tpk["algorithm"], &tpk["bits"]),
        (&"TDES-2".into(), &"128".into())
    );
    assert_eq!(
        (&tpk["origin"], &tpk["form"]),
        (&"generated".into(), &"sealed by the token".into())
    );
    assert_eq!(inventory["same_check_value"], Value::Array(Vec::new()));

    std::fs::write(site.folder.path().join("twins.toml"), TWINS).unwrap();
    site.must(&["keys", "import", "twins.toml"]);
    let (code, out, err) = site.run(&arguments);
    assert_eq!(code, 6, "{err}");
    let inventory = report(&out);
    let twins = inventory["same_check_value"].as_array().unwrap();
    let [twins] = twins.as_slice() else {
        panic!("{out}")
    };
    assert_eq!(twins["check_value"], "08D7B4");
    assert_eq!(
        twins["keys"],
        serde_json::json!(["twin-one version 1", "twin-two version 1"])
    );
    let noted = inventory["weak_and_legacy"].as_array().unwrap();
    let weak = noted
        .iter()
        .find(|one| one["key"] == "twin-one version 1")
        .unwrap();
    assert!(
        weak["notes"]
            .to_string()
            .contains("weak, as its policy accepts")
    );
    let (_, table, _) = site.run(&["report", "keys"]);
    assert!(
        table.contains("08D7B4: twin-one version 1, twin-two version 1"),
        "{table}"
    );
}

#[test]
fn the_usage_table_is_printed_without_any_configuration() {
    let site = Site::new();
    let table = site.must(&["--output", "json", "keys", "usages"]);
    let rows: Vec<Value> = serde_json::from_str(&table).unwrap();
    let terminal = rows
        .iter()
        .filter(|row| row["usage"] == "P0" && row["side"] == "terminal")
        .map(|row| (row["algorithms"].as_str(), row["operations"].as_str()))
        .collect::<Vec<_>>();
    let expected = [
        (
            Some("TDES-2 TDES-3 AES-128 AES-192 AES-256 SM4"),
            Some("decrypt PIN blocks, decrypt PIN blocks for verification"),
        ),
        (Some("DES"), Some("decrypt PIN blocks")),
    ];
    assert_eq!(terminal, expected, "{table}");
}
