//! The shape of the house, held by reading every file of it: who imports whom, who may say what,
//! how a file begins and how long it is, which crates are banned, and what every RPC must have.
//!
//! Each rule is a function from the tree to findings, and each has planted violations under
//! `architecture/fixtures/`, with the sentence that must be said about them. Deliberately not
//! here: what the compiler or clippy already hold.

#[path = "architecture/form.rs"]
mod form;
#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/lockfile.rs"]
mod lockfile;
#[path = "architecture/names.rs"]
mod names;
#[path = "architecture/rpcs.rs"]
mod rpcs;
#[path = "architecture/tree.rs"]
mod tree;
#[path = "architecture/words.rs"]
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use tree::{Finding, Tree};

const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    imports::go_down_only,
    imports::are_not_reexported,
    words::are_said_only_where_allowed,
    words::domain_is_pure,
    words::one_file_makes_a_status,
    words::audit_records_are_written_in_two_places,
    form::of_every_file,
    lockfile::has_no_banned_crate,
    rpcs::have_what_every_rpc_must_have,
];

fn findings(tree: &Tree) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| rule(tree)).collect()
}

#[test]
fn the_tree_keeps_every_rule() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(tree.rust("src/").count() > 10, "the tree was not found");
    let found: Vec<String> = findings(&tree).iter().map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "{} findings:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_small_house_without_faults_has_no_findings() {
    let found: Vec<String> = findings(&small_house())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_planted_violation_is_caught_with_its_sentence() {
    let mut planted = 0;
    for (name, text) in tree::files_in(&fixtures()) {
        if name.starts_with("house/") {
            continue;
        }
        planted += 1;
        let fixture = tree::Fixture::parse(&name, &text);
        let mut house = small_house();
        house.put(&fixture.path, fixture.text);
        let found = findings(&house);
        let said: BTreeSet<&str> = found.iter().map(|finding| finding.says.as_str()).collect();
        let expected: BTreeSet<&str> = fixture.caught.iter().map(String::as_str).collect();
        assert_eq!(said, expected, "{name}");
        assert!(
            found
                .iter()
                .any(|finding| fixture.path.starts_with(&finding.path)),
            "{name}: wrong file"
        );
    }
    assert!(planted >= 10, "only {planted} planted violations");
}

/// The smallest tree that keeps every rule; a fixture replaces or adds one file of it.
fn small_house() -> Tree {
    Tree::read(&fixtures().join("house"))
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/architecture/fixtures")
}
