//! A bounded map that gives up what was used longest ago. Holds handles, never keys; deliberately
//! without a lock of its own.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// At most `max` values.
pub(in crate::hsm) struct Lru<K, V> {
    max: usize,
    values: HashMap<K, (V, u64)>,
    order: BTreeMap<u64, K>,
    clock: u64,
}

impl<K: Copy + Eq + Hash, V: Copy> Lru<K, V> {
    /// An empty one.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            values: HashMap::new(),
            order: BTreeMap::new(),
            clock: 0,
        }
    }

    /// The value, which is now the last to go.
    pub fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let (value, used) = self.values.get_mut(key)?;
        self.order.remove(used);
        *used = self.clock;
        self.order.insert(self.clock, *key);
        Some(*value)
    }

    /// Puts a value in; answers what goes for it: the one of the same key, or the oldest.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut gone = self.remove(&key);
        if self.values.len() >= self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            gone = self.values.remove(&oldest).map(|(value, _)| value);
        }
        self.clock += 1;
        self.order.insert(self.clock, key);
        self.values.insert(key, (value, self.clock));
        gone
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (value, used) = self.values.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// Takes a value out if it is this one.
    pub fn remove_if(&mut self, key: &K, is: impl FnOnce(V) -> bool) {
        if self.values.get(key).is_some_and(|(value, _)| is(*value)) {
            self.remove(key);
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.values.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::new(2);
        assert_eq!(lru.insert('a', 1), None);
        assert_eq!(lru.insert('b', 2), None);
        assert_eq!(lru.get(&'a'), Some(1));
        assert_eq!(lru.insert('c', 3), Some(2));
        assert_eq!(
            (lru.get(&'b'), lru.get(&'a'), lru.get(&'c')),
            (None, Some(1), Some(3))
        );
    }

    #[test]
    fn a_value_put_in_again_gives_back_the_former_one() {
        let mut lru = Lru::new(2);
        lru.insert('a', 1);
        lru.insert('b', 2);
        assert_eq!(lru.insert('a', 3), Some(1));
        assert_eq!(lru.remove(&'a'), Some(3));
        assert_eq!(lru.remove(&'a'), None);
        lru.clear();
        assert_eq!(lru.get(&'b'), None);
    }
}
