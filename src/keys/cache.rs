//! The cache of open keys: sharded, bounded, a read lock and no allocation on a hit. A full shard
//! drops the keys that were not used since it was last full.
//!
//! It also keeps the *epoch*, which counts evictions: a key that was read before an eviction is
//! never put in after it, so that a load under way cannot bring a revoked key back.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::limits;

/// Open keys of type `K`, by tenant, name and version.
pub(in crate::keys) struct Cache<K> {
    shards: [RwLock<Shard<K>>; limits::CACHE_SHARDS],
    shard_capacity: usize,
    hasher: RandomState,
    epoch: AtomicU64,
}

struct Shard<K> {
    tenants: HashMap<Box<str>, HashMap<Box<str>, Versions<K>>>,
    keys: usize,
}

struct Versions<K> {
    /// The version that answers a reference without one.
    active: Option<u32>,
    keys: Vec<Slot<K>>,
}

struct Slot<K> {
    version: u32,
    key: Arc<K>,
    used: AtomicBool,
}

impl<K> Cache<K> {
    /// A cache of at most about `capacity` keys.
    pub(in crate::keys) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| {
                RwLock::new(Shard {
                    tenants: HashMap::new(),
                    keys: 0,
                })
            }),
            shard_capacity: capacity.div_ceil(limits::CACHE_SHARDS).max(1),
            hasher: RandomState::new(),
            epoch: AtomicU64::new(0),
        }
    }

    /// The epoch that a load must hand to [`Cache::insert`], taken before it reads the store.
    pub(in crate::keys) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(in crate::keys) fn find(
        &self,
        tenant: &str,
        name: &str,
        version: Option<u32>,
    ) -> Option<Arc<K>> {
        let shard = self.read(tenant, name);
        let versions = shard.tenants.get(tenant)?.get(name)?;
        let version = version.or(versions.active)?;
        let slot = versions.keys.iter().find(|slot| slot.version == version)?;
        // Written only when it changes, so that readers of a hot key share its cache line.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&slot.key))
    }

    /// Puts a key in, as the active version too where `active`; false, and nothing done, when
    /// something was evicted since `epoch`.
    pub(in crate::keys) fn insert(
        &self,
        epoch: u64,
        (tenant, name, version): (&str, &str, u32),
        active: bool,
        key: &Arc<K>,
    ) -> bool {
        let mut dropped = Vec::new();
        let mut shard = self.write(tenant, name);
        // Under the shard's lock: an eviction raises the epoch first and takes this lock later.
        if self.epoch() != epoch {
            return false;
        }
        if shard.keys >= self.shard_capacity {
            shard.sweep(&mut dropped);
        }
        let names = shard.tenants.entry(tenant.into()).or_default();
        let versions = names.entry(name.into()).or_insert_with(|| Versions {
            active: None,
            keys: Vec::new(),
        });
        if active {
            versions.active = Some(version);
        } else if versions.active == Some(version) {
            // Asked for by its version it was not compared with newer ones, whose moment may have come.
            versions.active = None;
        }
        let slot = Slot {
            version,
            key: Arc::clone(key),
            used: AtomicBool::new(true),
        };
        match versions
            .keys
            .iter_mut()
            .find(|slot| slot.version == version)
        {
            Some(old) => dropped.push(std::mem::replace(old, slot)),
            None => {
                versions.keys.push(slot);
                shard.keys += 1;
            }
        }
        // Keys are wiped after the lock is gone.
        drop(shard);
        true
    }

    /// Drops every version of these keys.
    pub(in crate::keys) fn evict<'a>(&self, names: impl Iterator<Item = (&'a str, &'a str)>) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for (tenant, name) in names {
            let mut shard = self.write(tenant, name);
            let Some(versions) = shard
                .tenants
                .get_mut(tenant)
                .and_then(|names| names.remove(name))
            else {
                continue;
            };
            shard.keys -= versions.keys.len();
            drop(shard);
        }
    }

    /// Drops every key.
    pub(in crate::keys) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let dropped = std::mem::take(&mut shard.tenants);
            shard.keys = 0;
            drop(shard);
            drop(dropped);
        }
    }

    /// Drops keys that were not used lately, from every shard; no reason to read anything again.
    pub(in crate::keys) fn make_room(&self) {
        for shard in &self.shards {
            let mut dropped = Vec::new();
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .sweep(&mut dropped);
        }
    }

    /// How many keys are open.
    pub(in crate::keys) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).keys)
            .sum()
    }

    /// What `of` makes of each open key.
    pub(in crate::keys) fn each<T>(&self, of: impl Fn(&K) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let names = shard.tenants.values().flat_map(HashMap::values);
            let slots = names.flat_map(|versions| &versions.keys);
            found.extend(slots.filter_map(|slot| of(&slot.key)));
        }
        found
    }

    fn read(&self, tenant: &str, name: &str) -> RwLockReadGuard<'_, Shard<K>> {
        self.shard(tenant, name)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, tenant: &str, name: &str) -> RwLockWriteGuard<'_, Shard<K>> {
        self.shard(tenant, name)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, tenant: &str, name: &str) -> &RwLock<Shard<K>> {
        let hash = self.hasher.hash_one((tenant, name));
        let shards = self.shards.len() as u64;
        &self.shards[usize::try_from(hash % shards).unwrap_or_default()]
    }
}

impl<K> Shard<K> {
    /// Takes out what was not used since the last sweep; at least an eighth, used or not.
    fn sweep(&mut self, dropped: &mut Vec<Slot<K>>) {
        let enough = self.keys / 8 + 1;
        self.take_out(dropped, |slot, _| !slot.used.swap(false, Ordering::Relaxed));
        if dropped.len() < enough {
            self.take_out(dropped, |_, taken| taken < enough);
        }
        self.keys -= dropped.len();
    }

    fn take_out(&mut self, dropped: &mut Vec<Slot<K>>, chosen: impl Fn(&Slot<K>, usize) -> bool) {
        for names in self.tenants.values_mut() {
            names.retain(|_, versions| {
                let mut index = 0;
                while let Some(slot) = versions.keys.get(index) {
                    if chosen(slot, dropped.len()) {
                        dropped.push(versions.keys.swap_remove(index));
                    } else {
                        index += 1;
                    }
                }
                !versions.keys.is_empty()
            });
        }
        self.tenants.retain(|_, names| !names.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &Cache<u32>, name: &str, version: u32, active: bool) -> bool {
        cache.insert(
            cache.epoch(),
            ("t", name, version),
            active,
            &Arc::new(version),
        )
    }

    #[test]
    fn a_key_is_found_by_its_version_and_the_active_one_without() {
        let cache = Cache::new(100);
        assert!(put(&cache, "a", 1, false));
        assert_eq!(cache.find("t", "a", None), None);
        assert!(put(&cache, "a", 2, true));
        assert_eq!(cache.find("t", "a", None).as_deref(), Some(&2));
        assert_eq!(cache.find("t", "a", Some(1)).as_deref(), Some(&1));
        assert_eq!(cache.find("t", "a", Some(3)), None);
        assert_eq!(cache.find("u", "a", Some(1)), None);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_version_that_was_read_alone_is_not_taken_for_the_active_one() {
        let cache = Cache::new(100);
        assert!(put(&cache, "a", 1, true) && put(&cache, "a", 1, false));
        assert_eq!(cache.find("t", "a", None), None);
        assert_eq!(cache.find("t", "a", Some(1)).as_deref(), Some(&1));
        assert!(put(&cache, "a", 2, true) && put(&cache, "a", 1, false));
        assert_eq!(cache.find("t", "a", None).as_deref(), Some(&2));
    }

    #[test]
    fn an_eviction_takes_every_version_of_its_names_and_nothing_else() {
        let cache = Cache::new(100);
        for (name, version) in [("a", 1), ("a", 2), ("b", 1)] {
            assert!(put(&cache, name, version, true));
        }
        cache.evict([("t", "a"), ("t", "absent")].into_iter());
        assert_eq!(cache.find("t", "a", Some(1)), None);
        assert_eq!(cache.find("t", "a", None), None);
        assert_eq!(cache.find("t", "b", None).as_deref(), Some(&1));
        assert_eq!(cache.len(), 1);
        cache.clear();
        assert_eq!((cache.find("t", "b", None), cache.len()), (None, 0));
    }

    #[test]
    fn a_key_read_before_an_eviction_is_not_put_in_after_it() {
        let cache = Cache::new(100);
        let before = cache.epoch();
        cache.evict([("t", "other")].into_iter());
        assert!(!cache.insert(before, ("t", "a", 1), true, &Arc::new(1)));
        assert_eq!(cache.find("t", "a", None), None);
    }

    #[test]
    fn the_cache_stays_within_its_capacity_and_keeps_what_is_used() {
        let cache = Cache::new(160);
        put(&cache, "hot", 1, true);
        for number in 0..5000 {
            put(&cache, &format!("cold-{number}"), 1, true);
            if cache.find("t", "hot", None).is_none() {
                put(&cache, "hot", 1, true);
            }
        }
        assert!(
            cache.len() <= 160 + limits::CACHE_SHARDS,
            "{} keys",
            cache.len()
        );
        assert!(cache.find("t", "cold-4999", None).is_some());
    }

    #[test]
    fn making_room_frees_keys_even_when_all_were_used() {
        let cache = Cache::new(1000);
        for number in 0..500 {
            put(&cache, &format!("k{number}"), 1, true);
        }
        let before = cache.len();
        cache.make_room();
        assert!(cache.len() < before);
        cache.make_room();
        assert_eq!(cache.len(), 0, "nothing was used since");
    }
}
