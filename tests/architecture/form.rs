//! How a file looks: it opens with what it is, it is not long, it has a noun for a name, and it
//! waives a lint or skips a test nowhere in silence.
//!
//! Deliberately not here: what rustfmt and clippy hold (lines, functions).

use syn::Attribute;
use syn::visit::{self, Visit};

use crate::tree::{Finding, Tree};

const LINES_MAX: usize = 600;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "manager", "types", "misc", "prelude",
];

/// Code that is generated keeps its own rules.
const GENERATED: &str = "src/service/pb.rs";

/// Holds all of it, for every Rust file of the repository.
pub fn of_every_file(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust("") {
        let mut find = |line, says: String| findings.push(Finding::new(path, line, says));
        if !text.starts_with("//! ") {
            find(
                1,
                "does not open with `//!`: a file says first what it is".into(),
            );
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            let says = format!("has {lines} lines, more than {LINES_MAX}: split it by noun");
            find(LINES_MAX + 1, says);
        }
        let name = path
            .rsplit('/')
            .next()
            .unwrap_or(path)
            .trim_end_matches(".rs");
        if name == "mod" {
            find(
                0,
                "is a `mod.rs`: a layer's file is `<layer>.rs`, so that tabs can be told apart"
                    .into(),
            );
        }
        if EMPTY_NAMES.contains(&name) {
            find(
                0,
                format!("is called `{name}`, which says nothing: name it by its noun"),
            );
        }
        let Some(file) = syn::parse_file(text).ok().filter(|_| path != GENERATED) else {
            continue;
        };
        let mut waivers = Waivers(Vec::new());
        waivers.visit_file(&file);
        for (line, says) in waivers.0 {
            find(line, says.into());
        }
    }
    findings
}

struct Waivers(Vec<(usize, &'static str)>);

impl<'ast> Visit<'ast> for Waivers {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let line = syn::spanned::Spanned::span(attribute).start().line;
        if attribute.path().is_ident("allow") {
            self.0.push((
                line,
                "has `#[allow]`: waive by `#[expect(…, reason = …)]`, which ends by itself",
            ));
        }
        if attribute.path().is_ident("ignore") {
            self.0.push((
                line,
                "has `#[ignore]`: a test that does not run shows nothing",
            ));
        }
        visit::visit_attribute(self, attribute);
    }
}
