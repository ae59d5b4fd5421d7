//! How a call refers to a key: by its name, `[a-z0-9][a-z0-9._-]{0,62}` within a tenant, and a
//! version; or by a key block under a named protection key, so that terminals by the million need
//! no record; either with a KSN, for the key of one transaction. A bare cryptogram is never a
//! reference, because it carries no usage.

use crate::limits;

/// A key's or tenant's name, checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Takes a name that follows the grammar.
    ///
    /// # Errors
    /// [`NameError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
        match text.as_bytes() {
            [first, rest @ ..]
                if legal(*first)
                    && rest.len() < limits::KEY_NAME_BYTES_MAX
                    && rest
                        .iter()
                        .all(|byte| legal(*byte) || b"._-".contains(byte)) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NameError),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The caller's: a name that does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is [a-z0-9][a-z0-9._-]{{0,62}}")]
pub struct NameError;

/// What a call means by a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyRef {
    /// One of the catalogue's.
    Named(NamedKey),
    /// One that the caller brings.
    Block(BlockRef),
    /// One that a base derivation key derives for one transaction.
    Dukpt(DukptRef),
}

/// A key that is derived for one transaction of one device (DUKPT).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DukptRef {
    /// The base derivation key.
    pub base: BaseRef,
    /// The key serial number, as the device sent it. Public.
    pub ksn: Vec<u8>,
}

/// Where a base derivation key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BaseRef {
    /// In the catalogue.
    Named(NamedKey),
    /// In a block that the caller brings.
    Block(BlockRef),
}

/// A key in an X9.143 key block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// The key that opens the block.
    pub protection_key: NamedKey,
    /// The block, as text. Public: it opens under the protection key alone.
    pub block: String,
}

/// One key of a tenant: by name alone its active version, or one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedKey {
    /// The key.
    pub name: KeyName,
    /// Which version; none means the active one.
    pub version: Option<u32>,
}

impl NamedKey {
    /// Reads a reference as it comes over the wire, where version 0 means the active one.
    ///
    /// # Errors
    /// [`NameError`] where the name does not follow the grammar.
    pub fn parse(name: &str, version: u32) -> Result<Self, NameError> {
        let name = KeyName::parse(name)?;
        Ok(Self {
            name,
            version: (version != 0).then_some(version),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_and_nothing_else_does() {
        let longest = "a".repeat(limits::KEY_NAME_BYTES_MAX);
        for good in ["a", "0", "zpk-acquirer-aes", "a.b_c-d", longest.as_str()] {
            assert_eq!(
                KeyName::parse(good).map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
        let too_long = "a".repeat(limits::KEY_NAME_BYTES_MAX + 1);
        for bad in [
            "",
            "-a",
            ".",
            "A",
            "a b",
            "a/b",
            "键",
            "a\0",
            too_long.as_str(),
        ] {
            assert_eq!(KeyName::parse(bad), Err(NameError), "{bad:?}");
        }
    }

    #[test]
    fn version_0_is_the_active_one() {
        assert_eq!(NamedKey::parse("a", 0).map(|key| key.version), Ok(None));
        assert_eq!(NamedKey::parse("a", 7).map(|key| key.version), Ok(Some(7)));
    }
}
