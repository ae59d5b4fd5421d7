//! What every RPC of `proto/` must have: a sentence saying who may call it, a row in the
//! authorization table with a limit and a metric, and one accepting and one refusing test.
//!
//! Deliberately not here: whether the row is right, which those two tests show.

use std::collections::{BTreeMap, BTreeSet};

use protox::file::{File, FileResolver, GoogleFileResolver};
use syn::visit::{self, Visit};

use crate::names::{Token, tokens_of};
use crate::tree::{Finding, Tree};

const TABLE: &str = "src/service/authorize/calls.rs";
const TESTS: &str = "tests/service/";
const BUILD: &str = "proto/build.rs";

/// Holds all of it.
pub fn have_what_every_rpc_must_have(tree: &Tree) -> Vec<Finding> {
    let rpcs = match rpcs(tree) {
        Ok(rpcs) => rpcs,
        Err(error) => return vec![Finding::new("proto/", 0, error)],
    };
    let rows = rows(tree.text(TABLE).unwrap_or_default());
    let tests = tests(tree);
    let mut findings = not_compiled(tree);
    for rpc in &rpcs {
        if !rpc.comment.contains("Who may call it:") {
            let says = format!("{} does not say who may call it", rpc.path);
            findings.push(Finding::new(&rpc.file, rpc.line, says));
        }
        match rows.get(&rpc.path) {
            Some(row) => findings.extend(lacking(&rpc.path, row, &tests)),
            None => {
                let why = "has no authorization row: nobody decided who may call it";
                findings.push(Finding::new(TABLE, 0, format!("{} {why}", rpc.path)));
            }
        }
    }
    findings.extend(stale_or_shared(&rows, &rpcs));
    findings
}

/// What an RPC lacks that has a row.
fn lacking(path: &str, row: &Row, tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |place, line, says| findings.push(Finding::new(place, line, says));
    if !row.fields.contains("message_bytes_max") {
        let says = format!("{path} has no limit in its row: its messages are unbounded");
        find(TABLE, row.line, says);
    }
    let Some(metric) = &row.metric else {
        let says = format!("{path} has no metric in its row: nobody would see it fail");
        find(TABLE, row.line, says);
        return findings;
    };
    let shown = [
        ("accepts", "that it works"),
        ("refuses", "that it can be refused"),
    ];
    for (kind, why) in shown {
        let prefix = format!("{metric}_{kind}_");
        if !tests.iter().any(|test| test.starts_with(&prefix)) {
            let says = format!("{path} has no test `{prefix}…`: nothing shows {why}");
            find(TESTS, 0, says);
        }
    }
    findings
}

fn stale_or_shared(rows: &BTreeMap<String, Row>, rpcs: &[Rpc]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut metrics = BTreeSet::new();
    for (path, row) in rows {
        if !rpcs.iter().any(|rpc| rpc.path == *path) {
            let says = format!("{path} has a row but is no RPC: a stale row may allow a later one");
            findings.push(Finding::new(TABLE, row.line, says));
        }
        if row
            .metric
            .as_ref()
            .is_some_and(|metric| !metrics.insert(metric))
        {
            let says = format!("{path} shares its metric with another RPC");
            findings.push(Finding::new(TABLE, row.line, says));
        }
    }
    findings
}

struct Rpc {
    file: String,
    /// As on the wire: `/package.Service/Method`.
    path: String,
    line: usize,
    comment: String,
}

fn rpcs(tree: &Tree) -> Result<Vec<Rpc>, String> {
    let files: BTreeMap<String, String> = tree
        .under("proto/", ".proto")
        .map(|(path, text)| {
            (
                path.trim_start_matches("proto/").to_owned(),
                text.to_owned(),
            )
        })
        .collect();
    let names: Vec<String> = files.keys().cloned().collect();
    let mut compiler = protox::Compiler::with_file_resolver(InMemory(files));
    compiler
        .include_source_info(true)
        .open_files(&names)
        .map_err(|error| error.to_string())?;
    let mut rpcs = Vec::new();
    for file in compiler.file_descriptor_set().file {
        let locations = file
            .source_code_info
            .as_ref()
            .map(|info| info.location.as_slice());
        for (service, at) in file.service.iter().zip(0..) {
            for (method, of) in service.method.iter().zip(0..) {
                // Fields: 6 is FileDescriptorProto.service, 2 is ServiceDescriptorProto.method.
                let place = locations
                    .unwrap_or_default()
                    .iter()
                    .find(|l| l.path == [6, at, 2, of]);
                let line = place
                    .and_then(|place| place.span.first())
                    .copied()
                    .unwrap_or(0);
                rpcs.push(Rpc {
                    file: format!("proto/{}", file.name()),
                    path: format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                    line: usize::try_from(line).unwrap_or(0) + 1,
                    comment: place
                        .map(|p| p.leading_comments().to_owned())
                        .unwrap_or_default(),
                });
            }
        }
    }
    Ok(rpcs)
}

/// The tree's proto files, and Google's own that protox carries.
struct InMemory(BTreeMap<String, String>);

impl FileResolver for InMemory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => GoogleFileResolver::new().open_file(name),
        }
    }

    fn resolve_path(&self, path: &std::path::Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }
}

struct Row {
    line: usize,
    fields: BTreeSet<String>,
    metric: Option<String>,
}

/// Struct expressions with a `path`, inside `const RPCS`.
fn rows(text: &str) -> BTreeMap<String, Row> {
    let mut rows = Rows {
        inside: false,
        rows: BTreeMap::new(),
    };
    if let Ok(file) = syn::parse_file(text) {
        rows.visit_file(&file);
    }
    rows.rows
}

struct Rows {
    inside: bool,
    rows: BTreeMap<String, Row>,
}

impl<'ast> Visit<'ast> for Rows {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.inside = item.ident == "RPCS";
        visit::visit_item_const(self, item);
        self.inside = false;
    }

    fn visit_expr_struct(&mut self, row: &'ast syn::ExprStruct) {
        let mut fields = BTreeMap::new();
        for field in &row.fields {
            let syn::Member::Named(name) = &field.member else {
                continue;
            };
            let text = match &field.expr {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            };
            fields.insert(name.to_string(), text);
        }
        if self.inside
            && let Some(Some(path)) = fields.get("path").cloned()
        {
            let line = syn::spanned::Spanned::span(row).start().line;
            let metric = fields
                .get("metric")
                .cloned()
                .flatten()
                .filter(|name| !name.is_empty());
            let fields = fields.into_keys().collect();
            self.rows.insert(
                path,
                Row {
                    line,
                    fields,
                    metric,
                },
            );
        }
        visit::visit_expr_struct(self, row);
    }
}

/// Names of the functions under `tests/service` that the test runner will call.
fn tests(tree: &Tree) -> BTreeSet<String> {
    let mut tests = Tests(BTreeSet::new());
    for (_, text) in tree.rust(TESTS.trim_end_matches('/')) {
        if let Ok(file) = syn::parse_file(text) {
            tests.visit_file(&file);
        }
    }
    tests.0
}

struct Tests(BTreeSet<String>);

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let is = |attribute: &syn::Attribute, name: &str| {
            attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == name)
        };
        let runs = item.attrs.iter().any(|attribute| is(attribute, "test"));
        if runs && !item.attrs.iter().any(|attribute| is(attribute, "ignore")) {
            self.0.insert(item.sig.ident.to_string());
        }
        visit::visit_item_fn(self, item);
    }
}

/// A proto file that `build.rs` does not name is part of no contract.
fn not_compiled(tree: &Tree) -> Vec<Finding> {
    let named: BTreeSet<String> = tokens_of(tree.text(BUILD).unwrap_or_default())
        .into_iter()
        .filter_map(|(token, _)| match token {
            Token::Text(text) => Some(format!("proto/{text}")),
            Token::Word(_) => None,
        })
        .collect();
    let files = tree
        .under("proto/", ".proto")
        .filter(|(path, _)| !named.contains(*path));
    let says = "is not named in `proto/build.rs`: its calls would not exist";
    files.map(|(path, _)| Finding::new(path, 0, says)).collect()
}
