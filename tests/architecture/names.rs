//! Every path that a Rust file says: in nested `use` trees, in expressions, types, patterns and
//! attributes, and in the tokens given to macros, which `syn` does not parse.
//!
//! Deliberately not here: what follows from it. Text in strings and comments is not said.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Macro, Meta, UseTree, Visibility};

/// One path, as written.
#[derive(Debug)]
pub struct Said {
    /// A glob's last segment is `*`.
    pub segments: Vec<String>,
    pub line: usize,
    /// Inline modules around it, from the file's own.
    pub inside: Vec<String>,
    /// Under `#[cfg(test)]`, or in a file of tests.
    pub in_test: bool,
    pub kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Named where it is used.
    Plain,
    Use {
        public: bool,
        renamed: bool,
    },
}

/// All paths of a file; a file that does not parse is a fault of its own.
pub fn said_in(path: &str, text: &str) -> Result<Vec<Said>, String> {
    let file = syn::parse_file(text).map_err(|error| format!("does not parse: {error}"))?;
    let in_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    let mut reader = Reader {
        inside: Vec::new(),
        in_test,
        said: Vec::new(),
    };
    reader.visit_file(&file);
    Ok(reader.said)
}

struct Reader {
    inside: Vec<String>,
    in_test: bool,
    said: Vec<Said>,
}

impl Reader {
    fn say(&mut self, segments: Vec<String>, line: usize, kind: Kind) {
        let inside = self.inside.clone();
        self.said.push(Said {
            segments,
            line,
            inside,
            in_test: self.in_test,
            kind,
        });
    }

    fn tokens(&mut self, tokens: &TokenStream) {
        for (segments, line) in paths_in_tokens(tokens) {
            self.say(segments, line, Kind::Plain);
        }
    }

    fn use_tree(&mut self, tree: &UseTree, before: &[String], public: bool) {
        let with = |name: String| [before, &[name]].concat();
        let line = tree.span().start().line;
        let mut leaf = |segments, renamed| {
            self.say(segments, line, Kind::Use { public, renamed });
        };
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string()), public),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, before, public);
                }
            }
            UseTree::Name(name) if name.ident == "self" && !before.is_empty() => {
                leaf(before.to_vec(), false);
            }
            UseTree::Name(name) => leaf(with(name.ident.to_string()), false),
            UseTree::Rename(name) if name.ident == "self" => leaf(before.to_vec(), true),
            UseTree::Rename(name) => leaf(with(name.ident.to_string()), name.rename != "_"),
            UseTree::Glob(_) => leaf(with("*".to_owned()), false),
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let before = self.in_test;
        self.in_test |= attributes_of(item).iter().any(is_cfg_test);
        visit::visit_item(self, item);
        self.in_test = before;
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, Visibility::Inherited);
        self.use_tree(&item.tree, &[], public);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let name = if item.ident == "self" {
            "crate".into()
        } else {
            item.ident.to_string()
        };
        let renamed = item.rename.is_some();
        let public = !matches!(item.vis, Visibility::Inherited);
        self.say(
            vec![name],
            item.span().start().line,
            Kind::Use { public, renamed },
        );
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.say(segments, path.span().start().line, Kind::Plain);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.tokens(&call.tokens);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.tokens(&list.tokens);
        }
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

/// Paths of two or more segments in raw tokens, `use`-like groups (`a::{b, c::d}`) included.
fn paths_in_tokens(tokens: &TokenStream) -> Vec<(Vec<String>, usize)> {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut paths = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let line = tokens[at].span().start().line;
        match &tokens[at] {
            TokenTree::Ident(ident) => {
                path.push(ident.to_string());
                at += 1;
                if !is_separator(&tokens, at) {
                    finish(&mut path, line, &mut paths);
                    continue;
                }
                at += 2;
                match tokens.get(at) {
                    Some(TokenTree::Ident(_)) => {}
                    Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                        branches(group, &path, &mut paths);
                        path.clear();
                        at += 1;
                    }
                    Some(TokenTree::Punct(punct)) if "*$".contains(punct.as_char()) => {
                        path.push(punct.as_char().to_string());
                        finish(&mut path, line, &mut paths);
                        at += 1;
                    }
                    _ => finish(&mut path, line, &mut paths),
                }
            }
            TokenTree::Group(group) => {
                paths.extend(paths_in_tokens(&group.stream()));
                at += 1;
            }
            _ => at += 1,
        }
    }
    paths
}

fn branches(group: &Group, before: &[String], paths: &mut Vec<(Vec<String>, usize)>) {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    for branch in tokens.split(is_comma).filter(|branch| !branch.is_empty()) {
        let line = branch[0].span().start().line;
        let mut found = paths_in_tokens(&branch.iter().cloned().collect());
        if found.is_empty() {
            // A branch of one word.
            found.push((vec![branch[0].to_string()], line));
        }
        paths.extend(
            found
                .into_iter()
                .map(|(rest, line)| ([before, &rest].concat(), line)),
        );
    }
}

fn finish(path: &mut Vec<String>, line: usize, paths: &mut Vec<(Vec<String>, usize)>) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        paths.push((path, line));
    }
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => Some(punct.spacing()),
        _ => None,
    };
    colon(at) == Some(Spacing::Joint) && colon(at + 1).is_some()
}

/// A word or a string of a file, wherever it stands; comments are not given.
pub enum Token {
    Word(String),
    Text(String),
}

/// Every word and string of a file with its line.
pub fn tokens_of(text: &str) -> Vec<(Token, usize)> {
    let mut found = Vec::new();
    if let Ok(tokens) = text.parse() {
        flatten(tokens, &mut found);
    }
    found
}

fn flatten(tokens: TokenStream, found: &mut Vec<(Token, usize)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(ident) => found.push((Token::Word(ident.to_string()), line)),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push((Token::Text(text.value()), line));
                }
            }
            TokenTree::Group(group) if is_doc(&group) => {}
            TokenTree::Group(group) => flatten(group.stream(), found),
            TokenTree::Punct(_) => {}
        }
    }
}

/// Comments of documentation reach the tokens as `#[doc = "…"]`.
fn is_doc(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(i)) if i == "doc")
}
