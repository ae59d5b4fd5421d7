//! Who may say what: the words that belong to one layer, those that `domain` never says, and the
//! one file in which a `tonic::Status` is made.
//!
//! Deliberately not here: imports between layers.

use syn::visit::{self, Visit};

use crate::names::{Kind, Token, said_in, tokens_of};
use crate::tree::{Finding, Tree};

/// A word that only some files say.
struct Rule {
    is: fn(&str) -> bool,
    may: fn(&str) -> bool,
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        is: |word| word.starts_with("cryptoki") || word.starts_with("kryoptic"),
        may: |path| within(path, "hsm"),
        why: "only `hsm` says PKCS#11",
    },
    Rule {
        is: |word| matches!(word, "rusqlite" | "libsqlite3_sys"),
        may: |path| within(path, "store"),
        why: "only `store` says SQL",
    },
    Rule {
        is: |word| word == "tonic" || word.starts_with("tonic_"),
        may: |path| within(path, "service") || within(path, "client"),
        why: "only `service` and `client` say gRPC",
    },
    Rule {
        is: |word| word == "anyhow",
        may: |path| path.starts_with("src/bin/"),
        why: "a layer's errors are an enum that says whose fault it is; only `bin` may lump them",
    },
    Rule {
        is: |word| word == "unsafe",
        may: |path| {
            matches!(
                path,
                "src/hsm/embedded.rs" | "src/hsm/raw.rs" | "src/secret.rs"
            )
        },
        why: "unsafe code stands only in `hsm/embedded.rs`, `hsm/raw.rs` and `secret.rs`",
    },
];

fn within(path: &str, layer: &str) -> bool {
    let rest = path
        .strip_prefix("src/")
        .and_then(|path| path.strip_prefix(layer));
    rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// Holds the table above, and that SQL is written in the store alone.
pub fn are_said_only_where_allowed(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust("src/") {
        for (token, line) in tokens_of(text) {
            match token {
                Token::Word(word) => {
                    let broken = RULES
                        .iter()
                        .find(|rule| (rule.is)(&word) && !(rule.may)(path));
                    findings.extend(broken.map(|rule| {
                        Finding::new(path, line, format!("says `{word}`: {}", rule.why))
                    }));
                }
                Token::Text(text) if is_sql(&text) && !within(path, "store") => {
                    findings.push(Finding::new(path, line, "holds SQL: only `store` says SQL"));
                }
                Token::Text(_) => {}
            }
        }
    }
    findings
}

fn is_sql(text: &str) -> bool {
    let pairs = [
        ("SELECT ", " FROM "),
        ("UPDATE ", " SET "),
        ("INSERT ", "INTO "),
    ];
    pairs
        .iter()
        .any(|(verb, then)| text.contains(verb) && text.contains(then))
        || ["DELETE FROM ", "CREATE TABLE ", "PRAGMA "]
            .iter()
            .any(|words| text.contains(words))
}

/// What a pure layer does not touch, by the beginning of the path.
const IMPURE: &[(&[&str], &str)] = &[
    (&["std", "fs"], "files"),
    (&["std", "io"], "input and output"),
    (&["std", "net"], "the network"),
    (&["std", "env"], "the environment"),
    (&["std", "process"], "processes"),
    (&["std", "os"], "the system"),
    (&["std", "thread"], "threads"),
    (&["std", "time", "SystemTime"], "a clock"),
    (&["std", "time", "Instant"], "a clock"),
    (&["std", "time", "*"], "a clock"),
    (&["SystemTime"], "a clock"),
    (&["Instant"], "a clock"),
    (&["jiff", "Timestamp", "now"], "a clock"),
    (&["jiff", "Zoned", "now"], "a clock"),
    (&["Timestamp", "now"], "a clock"),
    (&["Zoned", "now"], "a clock"),
    (&["tokio"], "an asynchronous runtime"),
    (&["getrandom"], "randomness"),
    (&["rand"], "randomness"),
    (&["rand_chacha"], "randomness"),
    (&["aws_lc_rs", "rand"], "randomness"),
    (&["rustix"], "the system"),
    (&["tracing"], "the log"),
    (&["println"], "output"),
    (&["print"], "output"),
    (&["eprintln"], "output"),
    (&["eprint"], "output"),
    (&["dbg"], "output"),
];

/// Holds that `domain` is functions from values to values. Its own tests may read files.
pub fn domain_is_pure(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust("src/").filter(|(path, _)| within(path, "domain")) {
        for said in said_in(path, text).unwrap_or_default() {
            let found = IMPURE.iter().find(|(start, _)| {
                said.segments.len() >= start.len()
                    && start.iter().zip(&said.segments).all(|(a, b)| a == b)
            });
            if let Some((_, what)) = found.filter(|_| !said.in_test) {
                let says = format!(
                    "says `{}`: `domain` is pure and has no part in {what}",
                    said.segments.join("::")
                );
                findings.push(Finding::new(path, said.line, says));
            }
        }
        for (token, line) in tokens_of(text) {
            if let Token::Word(word) = token
                && (word == "async" || word == "await")
            {
                let says = format!("says `{word}`: `domain` computes and never waits");
                findings.push(Finding::new(path, line, says));
            }
        }
    }
    findings
}

/// The two places that write audit records; the journal's own folder aside.
const AUDITORS: &[&str] = &["src/service/stack.rs", "src/keys/lifecycle"];

/// Holds that whether a call is recorded is seen in the request path, and nowhere else.
pub fn audit_records_are_written_in_two_places(tree: &Tree) -> Vec<Finding> {
    let elsewhere = |path: &str| {
        !within(path, "audit") && !AUDITORS.iter().any(|auditor| path.starts_with(auditor))
    };
    let mut findings = Vec::new();
    for (path, text) in tree.rust("src/").filter(|(path, _)| elsewhere(path)) {
        for said in said_in(path, text).unwrap_or_default() {
            if said
                .segments
                .windows(2)
                .any(|pair| pair == ["audit", "Record"])
                && !said.in_test
            {
                let says =
                    "writes an audit record: only `service/stack.rs` and `keys/lifecycle` do";
                findings.push(Finding::new(path, said.line, says));
            }
        }
    }
    findings
}

/// The one file that makes a `tonic::Status`.
const STATUS: &str = "src/service/status.rs";
/// Ways to make one.
const MAKERS: &[&str] = &[
    "new",
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
    "with_details",
    "with_metadata",
    "with_details_and_metadata",
    "with_error_details",
    "with_error_details_vec",
    "from",
    "from_error",
    "from_error_generic",
    "try_from_error",
    "default",
];

/// Holds that what a caller is told about an error is decided in one file.
pub fn one_file_makes_a_status(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust("src/").filter(|(path, _)| *path != STATUS) {
        for said in said_in(path, text).unwrap_or_default() {
            let made = match said.segments.as_slice() {
                [.., of, maker] => of == "Status" && MAKERS.contains(&maker.as_str()),
                _ => false,
            };
            let hidden = said.segments.last().is_some_and(|name| name == "Status")
                && matches!(said.kind, Kind::Use { renamed: true, .. });
            if (made && !said.in_test) || hidden {
                let says = format!(
                    "says `{}`: only `service/status.rs` makes a status",
                    said.segments.join("::")
                );
                findings.push(Finding::new(path, said.line, says));
            }
        }
        let Ok(file) = syn::parse_file(text) else {
            continue;
        };
        let mut conversions = Conversions(Vec::new());
        conversions.visit_file(&file);
        findings.extend(conversions.0.into_iter().map(|line| {
            Finding::new(
                path,
                line,
                "converts into a `Status`: only `service/status.rs` makes a status",
            )
        }));
    }
    findings
}

/// Lines of `impl From<_> for Status` and `impl Into<Status> for _`.
struct Conversions(Vec<usize>);

impl<'ast> Visit<'ast> for Conversions {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let is_status = |ty: &syn::Type| match ty {
            syn::Type::Path(ty) => ty.path.segments.last().is_some_and(|s| s.ident == "Status"),
            _ => false,
        };
        if let Some((_, of, _)) = &item.trait_
            && let Some(of) = of.segments.last()
        {
            let into_status = match &of.arguments {
                syn::PathArguments::AngleBracketed(arguments) => arguments.args.iter().any(
                    |argument| matches!(argument, syn::GenericArgument::Type(ty) if is_status(ty)),
                ),
                _ => false,
            };
            if (of.ident == "From" && is_status(&item.self_ty))
                || (of.ident == "Into" && into_status)
            {
                self.0.push(syn::spanned::Spanned::span(item).start().line);
            }
        }
        visit::visit_item_impl(self, item);
    }
}
