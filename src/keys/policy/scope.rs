//! Which keys a caller may know of: a tenant and patterns of names, from the policy file.

use crate::keys::key_ref::{KeyName, NameError};
use crate::limits;

/// The keys a caller may name. Everything else does not exist for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerScope {
    tenant: KeyName,
    patterns: Vec<KeyPattern>,
}

impl CallerScope {
    /// A scope within one tenant. Without patterns it holds nothing.
    ///
    /// # Errors
    /// [`ScopeError`] where the tenant or a pattern does not follow the grammar, or there are more
    /// than [`limits::SCOPE_PATTERNS_MAX`].
    pub fn new<P: AsRef<str>>(
        tenant: &str,
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Self, ScopeError> {
        let tenant = KeyName::parse(tenant).map_err(|NameError| ScopeError::Tenant)?;
        let patterns = patterns
            .into_iter()
            .map(|pattern| KeyPattern::parse(pattern.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if patterns.len() > limits::SCOPE_PATTERNS_MAX {
            return Err(ScopeError::TooManyPatterns);
        }
        Ok(Self { tenant, patterns })
    }

    /// The caller's tenant.
    pub fn tenant(&self) -> &str {
        self.tenant.as_str()
    }

    /// Whether a key of this name in this tenant exists for the caller, if it exists at all.
    pub fn holds(&self, tenant: &str, name: &str) -> bool {
        self.tenant.as_str() == tenant && self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

/// One name, or with a trailing `*` every name that begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    stem: String,
    open_ended: bool,
}

impl KeyPattern {
    /// Reads a pattern: a key name, a beginning of one and `*`, or `*` alone.
    ///
    /// # Errors
    /// [`ScopeError::Pattern`] for anything else, such as a `*` elsewhere.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let (stem, open_ended) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        if !(open_ended && stem.is_empty()) {
            KeyName::parse(stem).map_err(|NameError| ScopeError::Pattern)?;
        }
        Ok(Self {
            stem: stem.to_owned(),
            open_ended,
        })
    }

    /// Whether the pattern holds `name`.
    pub fn matches(&self, name: &str) -> bool {
        if self.open_ended {
            name.starts_with(&self.stem)
        } else {
            name == self.stem
        }
    }
}

/// The operator's: a scope that does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The tenant is no name.
    #[error("a tenant is [a-z0-9][a-z0-9._-]{{0,62}}")]
    Tenant,
    /// A pattern is no name, with or without a trailing `*`.
    #[error("a key pattern is a key name, a beginning of one with a trailing *, or * alone")]
    Pattern,
    /// More patterns than one caller may have.
    #[error("more than {} key patterns", limits::SCOPE_PATTERNS_MAX)]
    TooManyPatterns,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_what_its_patterns_name_in_its_own_tenant() {
        let scope = CallerScope::new("shop", ["zpk-*", "tak-pos-0001"]).unwrap();
        assert!(scope.holds("shop", "zpk-acquirer"));
        assert!(scope.holds("shop", "zpk-"));
        assert!(scope.holds("shop", "tak-pos-0001"));
        assert!(!scope.holds("shop", "tak-pos-00012"));
        assert!(!scope.holds("shop", "tpk-zpk-1"));
        assert!(!scope.holds("other", "zpk-acquirer"));
        assert!(
            !CallerScope::new("shop", [""; 0])
                .unwrap()
                .holds("shop", "a")
        );
        assert!(CallerScope::new("shop", ["*"]).unwrap().holds("shop", "a"));
    }

    #[test]
    fn patterns_outside_the_grammar_are_refused() {
        for bad in ["", "**", "a*b", "*a", "A*", "-*", "a b"] {
            assert_eq!(
                CallerScope::new("shop", [bad]),
                Err(ScopeError::Pattern),
                "{bad:?}"
            );
        }
        assert_eq!(CallerScope::new("Shop", ["a"]), Err(ScopeError::Tenant));
        let many = vec!["a"; limits::SCOPE_PATTERNS_MAX + 1];
        assert_eq!(
            CallerScope::new("shop", many),
            Err(ScopeError::TooManyPatterns)
        );
    }
}
