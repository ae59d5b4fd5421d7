//! Values that must not be seen: zeroized when dropped, without `Debug`, `Display`, `Clone`,
//! `Serialize` or `==`. [`Secret`] wipes; [`Locked`] also lives in memory that is never swapped,
//! dumped or inherited by a fork.
//!
//! Deliberately not here: protection against whoever can read this process's memory, and wiping
//! of what a value points to. A key schedule is plain words, so all of it is inside the slot.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use rustix::process::{Resource, Rlimit};
use zeroize::Zeroize;

use self::slots::{BLOCK_BYTES, CLASSES, FreeSlots, class_of};
use crate::limits::{LOCKED_BYTES_DEFAULT, LOCKED_BYTES_MAX, STACK_WIPED_BYTES};

/// A secret, read only by [`Secret::expose_secret`] (greppable) and wiped on drop.
///
/// It cannot be printed, copied or compared:
///
/// ```compile_fail,E0277
/// println!("{:?}", pintle::secret::Secret::new(vec![1u8]));
/// ```
/// ```compile_fail,E0277
/// println!("{}", pintle::secret::Secret::new(String::from("1234")));
/// ```
/// ```compile_fail,E0599
/// let copy = pintle::secret::Secret::new(vec![1u8]).clone();
/// ```
/// ```compile_fail,E0369
/// use pintle::secret::Secret;
/// let same = Secret::new(vec![1u8]) == Secret::new(vec![1u8]);
/// ```
/// ```
/// use pintle::secret::Secret;
/// assert_eq!(Secret::new(vec![1u8]).expose_secret(), &[1]);
/// ```
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value that is already where it will stay (a `Vec` or `Box`).
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Is born in place: `fill` writes into storage that this secret owns.
    pub fn init_with_mut(fill: impl FnOnce(&mut T)) -> Self
    where
        T: Default,
    {
        let mut secret = Self(T::default());
        fill(&mut secret.0);
        secret
    }

    /// The value.
    pub fn expose_secret(&self) -> &T {
        &self.0
    }

    /// The value, to write.
    pub fn expose_secret_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A value in a slot of the process's [`slab`], wiped on drop.
///
/// ```compile_fail,E0277
/// println!("{:?}", pintle::secret::Locked::new(1u8).ok());
/// ```
/// ```compile_fail,E0599
/// let copy = pintle::secret::Locked::new(1u8).map(|key| key.clone());
/// ```
/// ```compile_fail,E0080
/// let too_large = pintle::secret::Locked::new([0u8; 4097]);
/// ```
pub struct Locked<T> {
    slot: NonNull<T>,
    slab: &'static LockedSlab,
    owns: PhantomData<T>,
}

impl<T: Send + Sync> Locked<T> {
    /// Moves `value` into a slot and wipes the copy that was passed.
    ///
    /// # Errors
    /// [`SlabFull`], with the value dropped. A `T` of more than 4,096 bytes does not compile.
    pub fn new(value: T) -> Result<Self, SlabFull> {
        Self::new_in(slab(), value)
    }

    #[expect(
        unsafe_code,
        reason = "moves a value into memory that is not the heap's"
    )]
    fn new_in(slab: &'static LockedSlab, value: T) -> Result<Self, SlabFull> {
        let class = const {
            assert!(
                align_of::<T>() <= SLOT_ALIGN,
                "too strictly aligned for a slot"
            );
            assert!(size_of::<T>() <= BLOCK_BYTES, "too large for a slot");
            class_of(size_of::<T>())
        };
        let offset = slab.free().take(class).ok_or(SlabFull)?;
        let mut value = ManuallyDrop::new(value);
        // SAFETY: `take` hands out each slot once, in bounds, of at least the size and alignment
        // asserted above. The value is moved: its old place is wiped and never dropped.
        let slot = unsafe {
            let slot = slab.start.add(offset).cast::<T>();
            ptr::copy_nonoverlapping(&raw const *value, slot.as_ptr(), 1);
            wipe((&raw mut *value).cast(), size_of::<T>());
            slot
        };
        Ok(Self {
            slot,
            slab,
            owns: PhantomData,
        })
    }
}

impl<T> Locked<T> {
    /// The value.
    #[expect(unsafe_code, reason = "reads memory that is not the heap's")]
    pub fn expose_secret(&self) -> &T {
        // SAFETY: the slot holds a `T` from `new` to `drop` and is this value's alone.
        unsafe { self.slot.as_ref() }
    }

    /// The value, to write.
    #[expect(unsafe_code, reason = "writes memory that is not the heap's")]
    pub fn expose_secret_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` is the only way to it.
        unsafe { self.slot.as_mut() }
    }
}

impl<T> Drop for Locked<T> {
    #[expect(
        unsafe_code,
        reason = "drops the value in place and wipes the whole slot"
    )]
    fn drop(&mut self) {
        /// Wipes and gives back even when dropping the value panics.
        struct GiveBack(&'static LockedSlab, NonNull<u8>, usize);
        impl Drop for GiveBack {
            fn drop(&mut self) {
                // SAFETY: the slot is in bounds and nothing refers to it any more.
                unsafe { wipe(self.1.as_ptr(), self.2) };
                self.0
                    .free()
                    .give_back(self.1.addr().get() - self.0.start.addr().get());
            }
        }
        let slot = self.slot.cast();
        let _give_back = GiveBack(self.slab, slot, CLASSES[class_of(size_of::<T>())]);
        // SAFETY: the value is valid, and not used after this.
        unsafe { self.slot.drop_in_place() };
    }
}

// SAFETY: `Locked` owns its value as a `Box` does.
#[expect(unsafe_code, reason = "the pointer is an owner")]
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: only `&T` is given out.
#[expect(unsafe_code, reason = "the pointer is an owner")]
unsafe impl<T: Sync> Sync for Locked<T> {}

/// Writes zeros over the stack below the caller, where functions that have returned may have left
/// copies of what they worked on. What the caller's own frame holds stays.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [MaybeUninit::<u8>::uninit(); STACK_WIPED_BYTES];
    below.as_mut_slice().zeroize();
    std::hint::black_box(&mut below);
}

/// No free slot: the caller evicts an open key or refuses the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no locked memory is left for another open key")]
pub struct SlabFull;

/// The process's locked memory: mapped once, between two guard regions, and never given back.
///
/// Blocks of 4,096 bytes are split into slots of one size class while any of them is in use.
pub struct LockedSlab {
    start: NonNull<u8>,
    bytes: usize,
    locked: bool,
    free: Mutex<FreeSlots>,
}

/// What the slab holds, for `doctor` and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabCapacity {
    /// Size of the slab.
    pub bytes: usize,
    /// False where the system refused to lock it: keys may then be swapped to disk.
    pub locked: bool,
    /// Free slots of the smallest class, 256 bytes.
    pub slots_free: usize,
    /// All slots of the smallest class.
    pub slots_total: usize,
}

/// The process's slab, made on first use: as large as RLIMIT_MEMLOCK allows, less an eighth for
/// the token's library, and at most [`LOCKED_BYTES_MAX`].
pub fn slab() -> &'static LockedSlab {
    static SLAB: OnceLock<LockedSlab> = OnceLock::new();
    SLAB.get_or_init(|| LockedSlab::map(lockable_bytes()))
}

impl LockedSlab {
    /// Size, state and room.
    pub fn capacity(&self) -> SlabCapacity {
        SlabCapacity {
            bytes: self.bytes,
            locked: self.locked,
            slots_free: self.free().room(0),
            slots_total: self.bytes / CLASSES[0],
        }
    }

    /// How many more values of type `T` fit.
    pub fn room_for<T>(&self) -> usize {
        self.free().room(const { class_of(size_of::<T>()) })
    }

    /// Maps `bytes`, halving while the system refuses to lock so much. An unlocked slab works too.
    fn map(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(GUARD_BYTES).min(LOCKED_BYTES_MAX);
        let halves = std::iter::successors(Some(bytes), |bytes| Some(bytes / 2));
        halves
            .map(|bytes| bytes / GUARD_BYTES * GUARD_BYTES)
            .take_while(|&bytes| bytes > 0)
            .find_map(|bytes| Self::map_exactly(bytes, true))
            .or_else(|| Self::map_exactly(bytes, false))
            .unwrap_or_else(|| Self {
                start: NonNull::dangling(),
                bytes: 0,
                locked: false,
                free: Mutex::new(FreeSlots::new(0)),
            })
    }

    #[expect(
        unsafe_code,
        reason = "memory with these properties comes from mmap only"
    )]
    fn map_exactly(bytes: usize, lock: bool) -> Option<Self> {
        let whole = bytes + 2 * GUARD_BYTES;
        // SAFETY: a fresh anonymous mapping; every later call stays inside it, and it is unmapped
        // only where nobody has seen it.
        unsafe {
            let map = rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                whole,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )
            .ok()?;
            let start = map.cast::<u8>().add(GUARD_BYTES);
            let area = start.cast::<c_void>();
            let ready =
                rustix::mm::mprotect(area, bytes, MprotectFlags::READ | MprotectFlags::WRITE)
                    .and_then(|()| rustix::mm::madvise(area, bytes, Advice::LinuxDontDump))
                    .and_then(|()| rustix::mm::madvise(area, bytes, Advice::LinuxWipeOnFork))
                    .and_then(|()| {
                        if lock {
                            rustix::mm::mlock(area, bytes)
                        } else {
                            Ok(())
                        }
                    });
            if ready.is_err() {
                rustix::mm::munmap(map, whole).ok();
                return None;
            }
            Some(Self {
                start: NonNull::new(start)?,
                bytes,
                locked: lock,
                free: Mutex::new(FreeSlots::new(bytes / BLOCK_BYTES)),
            })
        }
    }

    /// What stands in the first `length` bytes, used or not.
    #[cfg(test)]
    #[expect(unsafe_code, reason = "shows that freed slots are wiped")]
    fn peek(&self, length: usize) -> Vec<u8> {
        assert!(length <= self.bytes);
        // SAFETY: in bounds; anonymous memory is never uninitialised; the tests that look have no
        // other thread that writes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), length) }.to_vec()
    }

    fn free(&self) -> MutexGuard<'_, FreeSlots> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: the pointer is the mapping's address; which slots are whose is behind the mutex.
#[expect(unsafe_code, reason = "the pointer is an owner")]
unsafe impl Send for LockedSlab {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the pointer is an owner")]
unsafe impl Sync for LockedSlab {}

fn lockable_bytes() -> usize {
    let Rlimit { current, maximum } = rustix::process::getrlimit(Resource::Memlock);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        // Refused: the limit as it stands is then the limit.
        rustix::process::setrlimit(Resource::Memlock, raised).ok();
    }
    match rustix::process::getrlimit(Resource::Memlock).current {
        None => LOCKED_BYTES_MAX,
        Some(limit) => match usize::try_from(limit - limit / 8).unwrap_or(LOCKED_BYTES_MAX) {
            usable if usable < GUARD_BYTES => LOCKED_BYTES_DEFAULT,
            usable => usable.min(LOCKED_BYTES_MAX) / GUARD_BYTES * GUARD_BYTES,
        },
    }
}

/// # Safety
/// `start` must be valid for writes of `bytes`, and what is there is not used as a value again.
#[expect(unsafe_code, reason = "volatile zeros over memory that held a value")]
unsafe fn wipe(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise; padding is allowed by `MaybeUninit`.
    unsafe { std::slice::from_raw_parts_mut(start.cast::<MaybeUninit<u8>>(), bytes) }.zeroize();
}

const SLOT_ALIGN: usize = 64;
/// Unreadable memory on each side; also the largest page size of the systems we run on.
const GUARD_BYTES: usize = 64 * 1024;

mod slots;
#[cfg(test)]
mod tests;
