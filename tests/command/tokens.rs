//! An operator's two tokens: enrolled by one command, counted by another, rotated by a third, and
//! the day on which one of them is gone.

use crate::operation::{DEV_TEMPLATE, Site};

/// A site with keys, and a second token whose own configuration is `other.toml`.
fn two_tokens() -> Site {
    let site = Site::new();
    site.init();
    site.apply();
    let first = configuration(&site);
    let label = "label = \"pintle-operation\"";
    let other = first.replace(label, "label = \"pintle-other\"");
    std::fs::write(site.folder.path().join("other.toml"), &other).unwrap();
    // The store is there already, and `init` of another token leaves it alone.
    let init = [
        "init",
        "--config",
        "other.toml",
        "--create-token-so-pin-file",
    ];
    site.must(&[&init[..], &["so.pin"]].concat());
    site
}

fn configuration(site: &Site) -> String {
    std::fs::read_to_string(site.folder.path().join("pintle.toml")).unwrap()
}

/// Writes the first token's configuration with another under `[[hsm.token]]`.
fn name_enrolled(site: &Site, first: &str, label: &str) {
    let library = first
        .lines()
        .find(|line| line.contains("library ="))
        .unwrap();
    let entry =
        format!("[[hsm.token]]\n{library}\nlabel = \"{label}\"\npin_file = \"user.pin\"\n[store]");
    let text = first.replace("[store]", &entry);
    std::fs::write(site.folder.path().join("pintle.toml"), text).unwrap();
}

#[test]
fn a_second_token_is_enrolled_and_what_is_written_is_sealed_by_both() {
    let site = two_tokens();
    let (code, _, err) = site.run(&["keys", "--config", "other.toml", "list"]);
    assert_eq!(code, 6, "{err}");
    let (code, out, err) = site.run(&["token", "enroll", "--other", "other.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("pintle-other"), "{out}");
    for bound in ["alipay-app-rsa ", "alipay-app-rsa2 "] {
        assert!(
            err.contains(&format!("cannot follow: key {bound}")),
            "{err}"
        );
    }
    let first = configuration(&site);
    name_enrolled(&site, &first, "pintle-other");
    site.must(&["keys", "disable", "zak-acquirer"]);
    site.must(&["keys", "enable", "zak-acquirer"]);
    let enroll = site.must(&["--output", "json", "token", "enroll", "pintle-other"]);
    let enroll: serde_json::Value = serde_json::from_str(&enroll).unwrap();
    assert_eq!(enroll["sealed"], 0, "{enroll}");
    let listed = list(&site, "pintle.toml");
    assert!(
        listed.iter().all(|line| line["vouches"] == "yes"),
        "{listed:?}"
    );
    let doctor = site.must(&["doctor"]);
    assert!(doctor.contains("a token that is not at hand"), "{doctor}");
    // One that is away is named before anything is written.
    name_enrolled(&site, &first, "pintle-away");
    let (code, _, err) = site.run(&["keys", "apply", "-t", DEV_TEMPLATE]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("pintle-away"), "{err}");
}

#[test]
fn what_a_lost_token_has_sealed_is_written_once_it_is_dismissed() {
    let site = two_tokens();
    site.must(&["token", "enroll", "--other", "other.toml"]);
    let disable = ["keys", "--config", "other.toml", "disable", "zak-acquirer"];
    let (code, _, err) = site.run(&disable);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("not at hand"), "{err}");
    let listed = list(&site, "pintle.toml");
    let lost = listed
        .iter()
        .find(|line| line["token"] != listed[0]["token"]);
    assert!(lost.is_some(), "both are counted: {listed:?}");
    let lost = listed
        .iter()
        .find(|line| line["label"] == "pintle-operation");
    let lost = lost.unwrap()["token"].as_str().unwrap().to_owned();
    let dismiss = [
        "token",
        "--config",
        "other.toml",
        "dismiss",
        &lost,
        "--confirm",
    ];
    let (code, _, err) = site.run(&[&dismiss[..], &["yes"]].concat());
    assert_eq!(code, 2, "{err}");
    site.must(&[&dismiss[..], &[&lost]].concat());
    site.must(&disable);
}

#[test]
fn seal_is_rotated_and_the_old_key_destroyed_only_when_it_is_confirmed_and_unused() {
    let site = Site::new();
    site.init();
    site.apply();
    let before = list(&site, "pintle.toml");
    let [only] = before.as_slice() else {
        panic!("{before:?}")
    };
    assert_eq!(only["seal_key_is"], "current");
    let rotated = site.must(&["--output", "json", "token", "rotate-seal"]);
    let rotated: serde_json::Value = serde_json::from_str(&rotated).unwrap();
    assert_eq!(
        (&rotated["made"], &rotated["written"]),
        (&true.into(), &only["records"])
    );
    let after = list(&site, "pintle.toml");
    let records = |standing: &str| {
        let line = after.iter().find(|line| line["seal_key_is"] == standing);
        line.map(|line| line["records"].clone())
    };
    assert_eq!(records("current"), Some(only["records"].clone()));
    assert_eq!(records("older"), Some(0.into()));
    let destroy = ["token", "rotate-seal", "--destroy-old"];
    assert_eq!(site.run(&destroy).0, 2);
    let (code, _, err) = site.run(&[&destroy[..], &["--confirm", "another"]].concat());
    assert_eq!(code, 2, "{err}");
    assert_eq!(list(&site, "pintle.toml").len(), 2, "nothing was destroyed");
    site.must(&[&destroy[..], &["--confirm", "pintle-operation"]].concat());
    assert_eq!(list(&site, "pintle.toml").len(), 1);
    assert!(site.must(&["keys", "list"]).contains("tak-pos-0001"));
}

fn list(site: &Site, config: &str) -> Vec<serde_json::Value> {
    let listed = site.must(&["token", "--config", config, "list", "--output", "json"]);
    serde_json::from_str(&listed).unwrap()
}

#[test]
fn production_serves_only_what_two_tokens_can_open_or_what_somebody_has_accepted() {
    let site = Site::new();
    let path = site.folder.path().join("pintle.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let accepted = "accepted-by: A. Owner, 2026-11-23";
    let production = text.replace("environment = \"test\"", "environment = \"production\"");
    let production = format!("host_pin_processing = \"{accepted}\"\n{production}");
    std::fs::write(&path, &production).unwrap();
    let other = production.replace("label = \"pintle-operation\"", "label = \"pintle-other\"");
    std::fs::write(site.folder.path().join("other.toml"), other).unwrap();
    site.init();
    site.apply();
    let refused = |why: &str| {
        let (code, _, err) = site.run(&["serve"]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(why), "{err}");
    };
    refused("one token alone can open");
    let init = [
        "init",
        "--config",
        "other.toml",
        "--create-token-so-pin-file",
    ];
    site.must(&[&init[..], &["so.pin"]].concat());
    site.must(&["token", "enroll", "--other", "other.toml"]);
    refused("is in one token only");
    let text = format!("single_token_keys = \"{accepted}\"\n{production}");
    std::fs::write(&path, text).unwrap();
    // The last thing in the way is that this HSM is none.
    refused("software token");
}
