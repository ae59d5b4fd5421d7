//! Every failpoint by its name: as the sources have them, and as one run of everything passes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use walkdir::WalkDir;

/// The names in the sources.
pub fn in_the_sources() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in WalkDir::new(source).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once("failpoint::hit(\"") {
                let (name, after) = after.split_once('"').unwrap();
                names.insert(name.to_owned());
                rest = after;
            }
        }
    }
    names
}

/// How often each was passed.
pub fn counted(passed: &[String]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in passed {
        *counts.entry(name.clone()).or_default() += 1;
    }
    counts
}
