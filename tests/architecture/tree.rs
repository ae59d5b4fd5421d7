//! The files that the rules read, as text by path, and what a rule says of them.
//!
//! Deliberately not here: any rule.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use walkdir::WalkDir;

/// Paths from the repository's root, with `/`.
pub struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Reads what the rules are about; fixtures are data and left out.
    pub fn read(root: &Path) -> Self {
        let parts = ["src/", "tests/", "benches/", "examples/", "proto/"];
        let wanted = |path: &str| {
            !path.starts_with("tests/architecture/fixtures/")
                && (parts.iter().any(|part| path.starts_with(part))
                    || matches!(path, "Cargo.toml" | "Cargo.lock"))
        };
        Self(files_in(root).filter(|(path, _)| wanted(path)).collect())
    }

    /// Adds or replaces a file.
    pub fn put(&mut self, path: &str, text: String) {
        self.0.insert(path.to_owned(), text);
    }

    /// One file's text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Files under a folder (a prefix ending in `/`) with that ending.
    pub fn under(&self, folder: &str, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        let files = self
            .0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(move |(path, _)| path.starts_with(folder) && path.ends_with(ending))
    }

    /// Rust files under a folder; every one of them with `""`.
    pub fn rust(&self, folder: &str) -> impl Iterator<Item = (&str, &str)> {
        self.under(folder, ".rs")
    }
}

/// Text files below `root` that may matter, with their paths from there.
pub fn files_in(root: &Path) -> impl Iterator<Item = (String, String)> {
    let skipped = |name: &str| name == "target" || (name.starts_with('.') && name.len() > 1);
    let walk = WalkDir::new(root).sort_by_file_name().into_iter();
    let entries = walk.filter_entry(move |entry| {
        entry.depth() == 0 || !entry.file_name().to_str().is_none_or(skipped)
    });
    entries.filter_map(Result::ok).filter_map(move |entry| {
        let path = entry.path().strip_prefix(root).ok()?.to_str()?.to_owned();
        let endings = [".rs", ".proto", ".toml", ".lock"];
        let wanted = entry.file_type().is_file() && endings.iter().any(|e| path.ends_with(e));
        wanted.then(|| {
            std::fs::read_to_string(entry.path())
                .ok()
                .map(|text| (path, text))
        })?
    })
}

/// What a rule has to say about a place, and why it matters.
#[derive(Debug)]
pub struct Finding {
    pub path: String,
    /// Counted from 1; 0 where the whole file is meant.
    pub line: usize,
    pub says: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, says: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            says: says.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.says)
    }
}

/// A planted violation: one file, where it is to be put, and what must be said of it.
///
/// Its head is lines of `//@ ` (or `#@ `) with `as:` a path, `caught:` a sentence, or `lines:` a
/// number of lines to which the file is filled up.
pub struct Fixture {
    pub path: String,
    pub caught: Vec<String>,
    pub text: String,
}

impl Fixture {
    pub fn parse(name: &str, text: &str) -> Self {
        let head = |line: &&str| line.starts_with("//@ ") || line.starts_with("#@ ");
        let mut fixture = Self {
            path: String::new(),
            caught: Vec::new(),
            text: String::new(),
        };
        let mut lines = 0;
        for line in text.lines().take_while(head) {
            let (_, directive) = line.split_once("@ ").unwrap_or_default();
            match directive.split_once(": ") {
                Some(("as", path)) => fixture.path = path.to_owned(),
                Some(("caught", sentence)) => fixture.caught.push(sentence.to_owned()),
                Some(("lines", number)) => lines = number.parse().unwrap_or(0),
                _ => panic!("{name}: `{directive}` is not understood"),
            }
        }
        assert!(
            !fixture.path.is_empty() && !fixture.caught.is_empty(),
            "{name}: no head"
        );
        let body: Vec<&str> = text.lines().skip_while(head).collect();
        let filling = "// Filling.\n".repeat(lines.max(body.len()) - body.len());
        fixture.text = body.join("\n") + "\n" + &filling;
        fixture
    }
}
