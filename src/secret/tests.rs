//! The slab's claims: wiped, bounded, aligned, shared by threads, locked and left out of dumps.
//! That another process cannot read it is the system's to show, not a unit test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A schedule's size and alignment, without a secret.
#[repr(align(64))]
struct Schedule([u8; 900]);

fn small_slab(blocks: usize) -> &'static LockedSlab {
    let slab = LockedSlab {
        free: Mutex::new(FreeSlots::new(blocks)),
        ..LockedSlab::map(1)
    };
    Box::leak(Box::new(slab))
}

#[test]
fn a_value_is_read_back_from_its_slot() {
    let slab = small_slab(1);
    let key = Locked::new_in(slab, Schedule([7; 900])).unwrap();
    assert!(key.expose_secret().0.iter().all(|&byte| byte == 7));
    assert_eq!(slab.peek(900), [7; 900]);
}

#[test]
fn a_freed_slot_is_all_zeros() {
    let slab = small_slab(1);
    let keys: Vec<_> = (0..4)
        .map(|_| Locked::new_in(slab, [0xA5u8; 1024]).unwrap())
        .collect();
    assert!(slab.peek(BLOCK_BYTES).iter().all(|&byte| byte == 0xA5));
    drop(keys);
    assert!(slab.peek(BLOCK_BYTES).iter().all(|&byte| byte == 0));
}

#[test]
fn a_value_whose_drop_panics_is_wiped_all_the_same() {
    struct Panics([u8; 300]);
    impl Drop for Panics {
        fn drop(&mut self) {
            assert_eq!(self.0[0], 0, "on purpose");
        }
    }
    let slab = small_slab(1);
    let key = Locked::new_in(slab, Panics([1; 300])).unwrap();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(key)));
    assert!(dropped.is_err());
    assert!(slab.peek(BLOCK_BYTES).iter().all(|&byte| byte == 0));
    assert_eq!(slab.free().room(0), 16);
}

#[test]
fn a_full_slab_refuses_and_recovers() {
    let slab = small_slab(3);
    let mut keys: Vec<_> = (0..12)
        .map(|_| Locked::new_in(slab, [1u8; 1000]).unwrap())
        .collect();
    assert_eq!(Locked::new_in(slab, [1u8; 1000]).err(), Some(SlabFull));
    assert_eq!(
        Locked::new_in(slab, 1u8).err(),
        Some(SlabFull),
        "no block is left to split"
    );
    keys.remove(5);
    keys.push(Locked::new_in(slab, [2u8; 1000]).unwrap());
    assert_eq!(slab.room_for::<[u8; 1000]>(), 0);
    drop(keys);
    assert_eq!(
        slab.room_for::<[u8; 4096]>(),
        3,
        "empty blocks serve every class again"
    );
}

#[test]
fn a_refused_value_is_dropped_once() {
    struct Counted<'a>(&'a AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = AtomicUsize::new(0);
    assert!(Locked::new_in(small_slab(0), Counted(&drops)).is_err());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(Locked::new_in(small_slab(1), Counted(&drops)));
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[test]
fn slots_of_all_classes_are_apart_and_aligned() {
    fn place<T>(key: &Locked<T>) -> (usize, usize) {
        let start = key.slot.addr().get();
        assert_eq!(start % SLOT_ALIGN, 0);
        (start, start + size_of::<T>())
    }
    let slab = small_slab(16);
    let a: Vec<_> = (0..9)
        .map(|_| Locked::new_in(slab, [0u8; 1]).unwrap())
        .collect();
    let b: Vec<_> = (0..9)
        .map(|_| Locked::new_in(slab, [0u8; 257]).unwrap())
        .collect();
    let c: Vec<_> = (0..9)
        .map(|_| Locked::new_in(slab, Schedule([0; 900])).unwrap())
        .collect();
    let d: Vec<_> = (0..3)
        .map(|_| Locked::new_in(slab, [0u8; 2048]).unwrap())
        .collect();
    let e: Vec<_> = (0..3)
        .map(|_| Locked::new_in(slab, [0u8; 4096]).unwrap())
        .collect();
    let mut places: Vec<(usize, usize)> = a.iter().map(place).collect();
    places.extend(b.iter().map(place));
    places.extend(c.iter().map(place));
    places.extend(d.iter().map(place));
    places.extend(e.iter().map(place));
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    assert!(
        places
            .iter()
            .all(|p| p.1 <= slab.start.addr().get() + slab.bytes)
    );
}

#[test]
fn threads_share_the_slab_without_sharing_a_slot() {
    let threads: Vec<_> = (1..=8u8)
        .map(|mark| {
            std::thread::spawn(move || {
                for round in 0..2000usize {
                    let keys: Vec<_> = (0..round % 7 + 1)
                        .map(|_| Locked::new([mark; 512]))
                        .collect();
                    for key in keys {
                        assert_eq!(key.unwrap().expose_secret(), &[mark; 512]);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_locked_value_can_be_shared_by_threads() {
    let key = Arc::new(Locked::new(*b"0123456789abcdef").unwrap());
    let other = Arc::clone(&key);
    let seen = std::thread::spawn(move || *other.expose_secret())
        .join()
        .unwrap();
    assert_eq!(&seen, key.expose_secret());
}

#[test]
fn the_slab_fits_the_limit_and_says_so() {
    let capacity = slab().capacity();
    assert!(capacity.bytes > 0 && capacity.bytes <= LOCKED_BYTES_MAX);
    assert!(capacity.slots_free <= capacity.slots_total);
    assert_eq!(capacity.slots_total, capacity.bytes / 256);
}

#[test]
fn the_slab_is_left_out_of_dumps_and_forks_and_is_locked_where_it_says_so() {
    let start = format!("{:x}-", slab().start.addr());
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let ours = maps.lines().skip_while(|line| !line.starts_with(&start));
    let flags = ours
        .clone()
        .find(|line| line.starts_with("VmFlags:"))
        .unwrap();
    for flag in ["dd", "wf"] {
        assert!(
            flags.split(' ').any(|word| word == flag),
            "{flag} missing in {flags}"
        );
    }
    assert_eq!(
        flags.split(' ').any(|word| word == "lo"),
        slab().capacity().locked
    );
}

#[test]
fn guard_regions_stand_on_both_sides() {
    let slab = slab();
    let (start, end) = (
        slab.start.addr().get(),
        slab.start.addr().get() + slab.bytes,
    );
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let unreadable = |edge: String| {
        maps.lines()
            .any(|line| line.contains(&edge) && line.contains("---p"))
    };
    assert!(unreadable(format!("-{start:x} ")), "before");
    assert!(
        maps.lines()
            .any(|line| line.starts_with(&format!("{end:x}-")) && line.contains("---p")),
        "after"
    );
}
