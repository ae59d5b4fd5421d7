//! The policy file: which caller may make which call with which keys. Default deny: a caller
//! without a row may do nothing.
//!
//! ```toml
//! [[caller]]
//! uri = "spiffe://acme.example/gateway"
//! tenant = "default"
//! calls = ["pintle.v1.PinService/TranslatePin", "pintle.v1.MacService/*"]
//! keys = ["zpk-*", "tpk-pos-0001"]
//!
//! [approval]
//! calls = ["pintle.admin.v1.KeyService/ImportKey", "pintle.admin.v1.KeyService/ExportKey"]
//! ```
//!
//! What `approval` names is carried out when another caller, who may decide, has approved it.
//!
//! Whether the calls named exist is not known here; `service/authorize.rs` refuses to start on one
//! that does not.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::config::Error;
use crate::limits;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What needs a second person.
    #[serde(default)]
    pub approval: Approval,
    /// One row per caller.
    #[serde(default)]
    pub caller: Vec<CallerRow>,
}

/// What needs a second person.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// `package.Service/Call` of calls that change keys or let them in or out.
    #[serde(default)]
    pub calls: Vec<String>,
}

/// What one caller may do.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CallerRow {
    /// The one URI subject alternative name of the caller's certificate.
    pub uri: String,
    /// The tenant whose keys it uses.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// `package.Service/Call`, or `package.Service/*`.
    pub calls: Vec<String>,
    /// Key names; a trailing `*` stands for any ending.
    #[serde(default)]
    pub keys: Vec<String>,
}

impl Policy {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, holds a word that is not known, or names a
    /// caller twice.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let policy: Self = crate::config::read(path)?;
        match policy.fault() {
            None => Ok(policy),
            Some((key, why)) => Err(Error::Value {
                path: path.to_owned(),
                key,
                why,
            }),
        }
    }

    /// The first row that cannot be meant, as (key, why).
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.approval.calls.len() > limits::CALLER_ROWS_MAX {
            return Some(("approval.calls", "too many calls"));
        }
        if self.caller.len() > limits::CALLERS_MAX {
            return Some(("caller", "too many callers"));
        }
        let mut seen = BTreeSet::new();
        self.caller.iter().find_map(|row| row.fault(&mut seen))
    }
}

impl CallerRow {
    fn fault<'a>(&'a self, seen: &mut BTreeSet<&'a str>) -> Option<(&'static str, &'static str)> {
        let Self {
            uri,
            tenant,
            calls,
            keys,
        } = self;
        if uri.is_empty() || uri.len() > limits::CALLER_URI_BYTES_MAX {
            return Some(("caller.uri", "must have 1 to 255 bytes"));
        }
        if uri.contains('*') {
            return Some(("caller.uri", "names one caller; it has no wildcard"));
        }
        if !seen.insert(uri) {
            return Some(("caller.uri", "the same caller stands twice"));
        }
        if tenant.is_empty() {
            return Some(("caller.tenant", "must not be empty"));
        }
        if calls.is_empty() {
            return Some(("caller.calls", "must name at least one call"));
        }
        if calls.len() > limits::CALLER_ROWS_MAX || keys.len() > limits::CALLER_ROWS_MAX {
            return Some(("caller", "too many calls or keys in one row"));
        }
        let inner_star = |key: &String| key.find('*').is_some_and(|at| at + 1 != key.len());
        if keys.iter().any(inner_star) {
            return Some(("caller.keys", "`*` may stand at the end only"));
        }
        if keys.iter().any(String::is_empty) {
            return Some(("caller.keys", "a key pattern must not be empty"));
        }
        None
    }
}

fn default_tenant() -> String {
    "default".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "[[caller]]\nuri = \"spiffe://a/b\"\ncalls = [\"x/*\"]\n";

    fn parse(text: &str) -> Policy {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_row_without_keys_is_a_row_that_reaches_no_key() {
        let policy = parse(ROW);
        assert_eq!(policy.fault(), None);
        assert_eq!(policy.caller[0].tenant, "default");
        assert!(policy.caller[0].keys.is_empty());
    }

    #[test]
    fn a_caller_named_twice_is_refused() {
        assert_eq!(parse(&ROW.repeat(2)).fault().unwrap().0, "caller.uri");
    }

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        assert!(toml::from_str::<Policy>(&format!("{ROW}cals = []\n")).is_err());
    }

    #[test]
    fn a_star_inside_a_key_pattern_or_in_a_caller_is_refused() {
        let inner = parse(&format!("{ROW}keys = [\"a*b\"]\n"));
        assert_eq!(inner.fault().unwrap().0, "caller.keys");
        let caller = parse("[[caller]]\nuri = \"spiffe://a/*\"\ncalls = [\"x/*\"]\n");
        assert_eq!(caller.fault().unwrap().0, "caller.uri");
    }
}
