//! The ladder: imports go down only, and nobody gives another layer's names a second address.
//!
//! Tests, benches and examples stand outside it and may import what they like.

use crate::names::{Kind, Said, said_in};
use crate::tree::{Finding, Tree};

/// Layers from the bottom, each with what it may import besides itself.
const LADDER: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("failpoint", &[]),
    ("series", &[]),
    ("secret", &["limits"]),
    ("process", &["limits"]),
    ("config", &["limits", "secret"]),
    ("domain", &["limits", "secret", "config"]),
    ("hsm", &["limits", "secret", "series", "config", "domain"]),
    (
        "store",
        &["limits", "secret", "failpoint", "config", "domain"],
    ),
    // `keys::lifecycle` writes audit records.
    (
        "keys",
        &[
            "limits",
            "secret",
            "failpoint",
            "config",
            "domain",
            "hsm",
            "store",
            "audit",
        ],
    ),
    (
        "audit",
        &["limits", "secret", "failpoint", "config", "domain", "store"],
    ),
    // The station reaches the token through `keys`.
    (
        "station",
        &[
            "limits", "secret", "config", "domain", "store", "keys", "audit",
        ],
    ),
    (
        "ops",
        &[
            "limits", "secret", "config", "domain", "hsm", "store", "keys", "audit", "station",
        ],
    ),
    (
        "service",
        &[
            "limits", "secret", "series", "process", "config", "domain", "store", "keys", "audit",
            "station", "ops",
        ],
    ),
    // Of `service` only the generated messages, see `CLIENT_MAY_SAY`.
    ("client", &["limits", "secret", "config", "domain"]),
];

/// The generated messages are the wire itself: both of its ends speak them.
const CLIENT_MAY_SAY: &str = "pb";
/// The one file of `service` that knows the token's errors, to translate each of them.
const STATUS: &str = "src/service/status.rs";

/// Holds the ladder.
pub fn go_down_only(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust("src/") {
        let said = match said_in(path, text) {
            Ok(said) => said,
            Err(error) => {
                findings.push(Finding::new(path, 0, error));
                continue;
            }
        };
        let place = Place::of(path);
        for said in &said {
            if let Some(says) = complaint(path, &place, said) {
                findings.push(Finding::new(path, said.line, says));
            }
        }
    }
    findings
}

/// Holds that every type has one address.
pub fn are_not_reexported(tree: &Tree) -> Vec<Finding> {
    let crates = crates_of(tree);
    let mut findings = Vec::new();
    for (path, text) in tree.rust("src/") {
        let place = Place::of(path);
        for said in said_in(path, text).unwrap_or_default() {
            let Kind::Use { public: true, .. } = said.kind else {
                continue;
            };
            let written = said.segments.join("::");
            let another_layer = place
                .resolve(&said)
                .and_then(|target| target.first().cloned())
                .is_some_and(|layer| layer != place.layer);
            let another_crate = said
                .segments
                .first()
                .is_some_and(|name| crates.contains(name));
            if another_layer || another_crate {
                let says = format!(
                    "re-exports `{written}` of another layer or crate: a type has one address"
                );
                findings.push(Finding::new(path, said.line, says));
            }
        }
    }
    findings
}

fn complaint(path: &str, place: &Place, said: &Said) -> Option<String> {
    let written = said.segments.join("::");
    let supers = said
        .segments
        .iter()
        .filter(|segment| *segment == "super")
        .count();
    if supers > 1 {
        return Some(format!(
            "says `{written}`: nobody can tell where `super::super` is; say `crate::…`"
        ));
    }
    if said.segments.iter().any(|segment| segment == "prelude") && said.segments[0] == "crate" {
        return Some(format!(
            "says `{written}`: a prelude hides who imports whom"
        ));
    }
    let imports = matches!(said.kind, Kind::Use { .. });
    let target = place.resolve(said)?;
    let Some(layer) = target.first() else {
        let plain = !imports && said.segments.len() == 1;
        return (!plain).then(|| format!("takes `{written}` whole: the ladder cannot be checked"));
    };
    if layer == "*" || layer == "$" {
        return Some(format!(
            "takes `{written}` whole: the ladder cannot be checked"
        ));
    }
    if *layer == place.layer {
        return None;
    }
    let Some((_, may)) = LADDER.iter().find(|(name, _)| *name == place.layer) else {
        return match place.layer.as_str() {
            "bin" => None,
            other => Some(format!(
                "`{other}` is not a layer of the ladder and imports `{layer}`"
            )),
        };
    };
    if may.contains(&layer.as_str()) {
        return None;
    }
    match (place.layer.as_str(), layer.as_str()) {
        ("client", "service") if target.get(1).is_some_and(|name| name == CLIENT_MAY_SAY) => None,
        ("service", "hsm") if path == STATUS => None,
        ("service" | "audit" | "station", "hsm") => Some(format!(
            "`{}` imports `hsm`: only `keys`, `ops` and `bin` reach the token",
            place.layer
        )),
        (from, to) => Some(format!(
            "`{from}` imports `{to}`, which is not below it: imports go down the ladder only"
        )),
    }
}

/// Where a file stands.
struct Place {
    /// Its layer; `bin` for the command, `lib` for the root.
    layer: String,
    module: Vec<String>,
    /// The name by which it says the library.
    root: &'static str,
}

impl Place {
    fn of(path: &str) -> Self {
        let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
        let inner = inner.trim_end_matches("/mod");
        let module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        match module[0].as_str() {
            "bin" => Self {
                layer: "bin".into(),
                module: Vec::new(),
                root: "pintle",
            },
            "lib" => Self {
                layer: "lib".into(),
                module: Vec::new(),
                root: "crate",
            },
            layer => Self {
                layer: layer.into(),
                root: "crate",
                module,
            },
        }
    }

    /// The path from the library's root, where it is one.
    fn resolve(&self, said: &Said) -> Option<Vec<String>> {
        let mut segments = said.segments.as_slice();
        let first = segments.first()?;
        if first == self.root {
            return Some(segments[1..].to_vec());
        }
        if self.layer == "bin" || !(first == "self" || first == "super") {
            return None;
        }
        let mut module = [self.module.as_slice(), &said.inside].concat();
        while let Some(segment) = segments.first().filter(|s| *s == "self" || *s == "super") {
            if segment == "super" {
                module.pop();
            }
            segments = &segments[1..];
        }
        Some([module.as_slice(), segments].concat())
    }
}

/// The crates that a path may begin with.
fn crates_of(tree: &Tree) -> Vec<String> {
    let manifest: toml::Table = tree
        .text("Cargo.toml")
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let tables = ["dependencies", "dev-dependencies"].into_iter();
    let named = tables.filter_map(|table| manifest.get(table)?.as_table());
    let named = named.flat_map(|table| table.keys().map(|name| name.replace('-', "_")));
    named
        .chain(["std", "core", "alloc"].map(str::to_owned))
        .collect()
}
