//! What a key block of this service says besides what X9.143 has words for: whose key it is, which
//! way it faces, and its policy. It stands as canonical TLV in hexadecimal in a proprietary optional
//! block, under the block's MAC like all the rest.
//!
//! A partner's HSM skips the block: numeric ids are left to their owners (X9.143, 6.3.6). Without it
//! a terminal's PIN key would come back as a zone's.

use crate::keys::attributes::{Environment, Side};
use crate::keys::key_policy::KeyPolicy;
use crate::keys::key_ref::KeyName;
use crate::keys::tlv::{Malformed, Reader, Writer};

/// The id of the optional block.
pub const BLOCK_ID: [u8; 2] = *b"71";

/// What a block of this service says for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Which kind of catalogue may open it.
    pub environment: Environment,
    /// The tenant that owns the key.
    pub tenant: KeyName,
    /// Which way the key faces.
    pub side: Option<Side>,
    /// Formats, MAC rule and so on.
    pub policy: KeyPolicy,
}

impl Profile {
    /// The text of the optional block.
    pub fn encode(&self) -> String {
        let mut writer = Writer::default();
        writer.put(tag::ENVIRONMENT, &[self.environment.code()]);
        writer.put(tag::TENANT, self.tenant.as_str().as_bytes());
        let side = self.side.map(|side| [side.code()]);
        writer.put_some(tag::SIDE, side.as_ref().map(<[u8; 1]>::as_slice));
        writer.put(tag::POLICY, &self.policy.encode());
        hex::encode_upper(writer.finish())
    }

    /// Reads the text of the optional block; none for any other text than [`Profile::encode`]'s.
    pub fn decode(text: &str) -> Option<Self> {
        let profile = read(&hex::decode(text).ok()?).ok()?;
        (profile.encode() == text).then_some(profile)
    }
}

fn read(bytes: &[u8]) -> Result<Profile, Malformed> {
    let mut reader = Reader::new(bytes);
    let one = |value: &[u8]| match value {
        [byte] => Ok(*byte),
        _ => Err(Malformed),
    };
    let profile = Profile {
        environment: Environment::from_code(one(reader.take(tag::ENVIRONMENT)?)?)
            .ok_or(Malformed)?,
        tenant: std::str::from_utf8(reader.take(tag::TENANT)?)
            .ok()
            .and_then(|tenant| KeyName::parse(tenant).ok())
            .ok_or(Malformed)?,
        side: match reader.take_if(tag::SIDE)? {
            Some(side) => Some(Side::from_code(one(side)?).ok_or(Malformed)?),
            None => None,
        },
        policy: KeyPolicy::decode(reader.take(tag::POLICY)?)?,
    };
    reader.end()?;
    Ok(profile)
}

/// Optional blocks as a sealed header keeps them: id and text by turns.
pub(in crate::keys) fn write_blocks(blocks: &[([u8; 2], String)]) -> Vec<u8> {
    let mut writer = Writer::default();
    for (id, data) in blocks {
        writer.put(tag::BLOCK_ID, id);
        writer.put(tag::BLOCK_DATA, data.as_bytes());
    }
    writer.finish()
}

/// Reads what [`write_blocks`] wrote.
pub(in crate::keys) fn read_blocks(bytes: &[u8]) -> Option<Vec<([u8; 2], String)>> {
    let mut reader = Reader::new(bytes);
    let mut blocks = Vec::new();
    while let Some(id) = reader.take_if(tag::BLOCK_ID).ok()? {
        let data = std::str::from_utf8(reader.take(tag::BLOCK_DATA).ok()?).ok()?;
        blocks.push((id.try_into().ok()?, data.to_owned()));
    }
    reader.end().ok()?;
    Some(blocks)
}

mod tag {
    pub(super) const ENVIRONMENT: u8 = 1;
    pub(super) const TENANT: u8 = 2;
    pub(super) const SIDE: u8 = 3;
    pub(super) const POLICY: u8 = 4;
    pub(super) const BLOCK_ID: u8 = 1;
    pub(super) const BLOCK_DATA: u8 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            environment: Environment::Test,
            tenant: KeyName::parse("default").unwrap(),
            side: Some(Side::Terminal),
            policy: KeyPolicy {
                weak: true,
                ..KeyPolicy::default()
            },
        }
    }

    #[test]
    fn a_profile_is_read_back_and_any_other_text_is_none() {
        let text = profile().encode();
        assert_eq!(Profile::decode(&text), Some(profile()));
        assert_eq!(Profile::decode(&text.to_lowercase()), None);
        assert_eq!(Profile::decode(&text[..text.len() - 2]), None);
        assert_eq!(Profile::decode(&format!("{text}00")), None);
        proptest::proptest!(|(text: String)| {
            let _ = Profile::decode(&text);
        });
    }

    #[test]
    fn kept_blocks_are_read_back_and_other_bytes_are_none() {
        let blocks = vec![
            (*b"KS", "00604B120F9292800000".to_owned()),
            (*b"LB", String::new()),
        ];
        let bytes = write_blocks(&blocks);
        assert_eq!(read_blocks(&bytes), Some(blocks));
        assert_eq!(read_blocks(&bytes[..bytes.len() - 1]), None);
        assert_eq!(read_blocks(&[9, 0, 0]), None);
        proptest::proptest!(|(bytes: Vec<u8>)| {
            let _ = read_blocks(&bytes);
        });
    }
}
