//! The index: which keys and versions exist, and the tag each one's row must have. 36 bytes a
//! record in sorted shards, built at the start and consulted by every cold load; a name that is
//! not in it does not exist.

use crate::store::change::RowTag;

/// 128 bits of a keyed hash over tenant and name.
pub(in crate::keys) type NameTag = [u8; 16];

/// One version of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::keys) struct Row {
    pub name: NameTag,
    pub version: u32,
    pub tag: RowTag,
}

const _: () = assert!(size_of::<Row>() == 36);

/// All records of a catalogue.
pub(in crate::keys) struct Index {
    shards: Vec<Vec<Row>>,
    count: u64,
}

impl Index {
    /// An index of nothing.
    pub fn new() -> Self {
        Self {
            shards: vec![Vec::new(); SHARDS],
            count: 0,
        }
    }

    /// An index of these rows.
    pub fn of(parts: &[Vec<Row>]) -> Self {
        // Counted first, so that each shard is as large as it need be.
        let mut sizes = vec![0; SHARDS];
        for row in parts.iter().flatten() {
            sizes[shard(&row.name)] += 1;
        }
        let mut shards: Vec<Vec<Row>> = sizes.into_iter().map(Vec::with_capacity).collect();
        for row in parts.iter().flatten() {
            shards[shard(&row.name)].push(*row);
        }
        for rows in &mut shards {
            rows.sort_unstable();
        }
        let count = parts.iter().map(|part| part.len() as u64).sum();
        Self { shards, count }
    }

    /// How many records there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Every version of a key, oldest first; empty where there is none.
    pub fn versions(&self, name: &NameTag) -> &[Row] {
        let rows = &self.shards[shard(name)];
        let first = rows.partition_point(|row| row.name < *name);
        let after = rows.partition_point(|row| row.name <= *name);
        &rows[first..after]
    }

    /// The tag of one version.
    pub fn tag(&self, name: &NameTag, version: u32) -> Option<RowTag> {
        let row = self
            .versions(name)
            .iter()
            .find(|row| row.version == version);
        row.map(|row| row.tag)
    }

    /// Makes `rows` all that there is of a key.
    pub fn replace(&mut self, name: &NameTag, rows: impl IntoIterator<Item = Row>) {
        let shard = &mut self.shards[shard(name)];
        let first = shard.partition_point(|row| row.name < *name);
        let after = shard.partition_point(|row| row.name <= *name);
        let before = shard.len();
        shard.splice(first..after, rows);
        shard[first..].sort_unstable();
        self.count = self.count + shard.len() as u64 - before as u64;
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        let rows: usize = self.shards.iter().map(Vec::capacity).sum();
        rows * size_of::<Row>() + SHARDS * size_of::<Vec<Row>>()
    }
}

/// A change moves at most one shard's rows: some hundred of a million.
const SHARDS: usize = 4096;

fn shard(name: &NameTag) -> usize {
    usize::from(u16::from_be_bytes([name[0], name[1]])) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn name(number: u8) -> NameTag {
        // Few shards, so that names meet in one.
        let mut name = [number; 16];
        name[..2].copy_from_slice(&[0, number % 2]);
        name
    }

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds_after_any_changes(
            changes in proptest::collection::vec((0u8..12, 0u32..4, any::<[u8; 16]>()), 0..200),
        ) {
            let mut map: BTreeMap<NameTag, Vec<Row>> = BTreeMap::new();
            let mut index = Index::new();
            for (number, versions, tag) in changes {
                let name = name(number);
                let rows: Vec<_> = (0..versions).rev().map(|version| Row { name, version, tag }).collect();
                index.replace(&name, rows.clone());
                map.insert(name, rows.into_iter().rev().collect());
            }
            for (name, rows) in &map {
                prop_assert_eq!(index.versions(name), rows.as_slice());
                for row in rows {
                    prop_assert_eq!(index.tag(name, row.version), Some(row.tag));
                }
                prop_assert_eq!(index.tag(name, 9), None);
            }
            let count: usize = map.values().map(Vec::len).sum();
            prop_assert_eq!(index.count(), count as u64);
            let rows: Vec<Row> = map.into_values().flatten().collect();
            let (one, other) = rows.split_at(rows.len() / 2);
            let built = Index::of(&[other.to_vec(), one.to_vec()]);
            prop_assert_eq!(built.shards, index.shards);
        }
    }

    #[test]
    fn a_million_records_of_one_version_take_no_more_than_64_bytes_each() {
        let rows = (0..100_000u32).map(|number| {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
            Row {
                name,
                version: 1,
                tag: [0; 16],
            }
        });
        let index = Index::of(&[rows.collect()]);
        assert!(index.bytes() <= 64 * 100_000, "{} bytes", index.bytes());
    }
}
