//! What a thread freed last, kept for its next allocation: a few buffers a size class, which only
//! that thread puts there and takes away, with plain loads and stores. A buffer on a shelf stays
//! as an allocation leaves it (one reference, [`State::EXCLUSIVE`]), so neither step changes its
//! record. Source: CBUFs, section 3.8 (each thread allocates from memory of its own).
//!
//! The manager reads the shelves, and takes what lies on one when it needs the memory, also while
//! the thread sleeps. It asks with [`State::RELINQUISH`], has every processor pass a barrier, and
//! looks whether the buffer is listed still: then every later look of the thread's at the record
//! sees the flag, and the thread looks each time after it took a buffer away and after it put one
//! there. So the thread's half of the exchange costs no barrier.

use crate::meta::{CbufId, Record, RecordOffset, State};
use crate::primitive::{AtomicU32, Ordering, light_barrier};
use crate::thread::THREADS;

/// Buffers on one shelf.
#[cfg(not(loom))]
pub const PLACES: usize = 7;
/// Few enough for the model checker, and more than go to a freelist at once.
#[cfg(loom)]
pub const PLACES: usize = 3;
/// Shelves of a thread: one an order, and a power of two.
#[cfg(not(loom))]
pub const CLASSES: usize = 16;
#[cfg(not(loom))]
const _: () = assert!(CLASSES >= crate::meta::ORDERS);
/// The model checker's buffers are all of one size.
#[cfg(loom)]
pub const CLASSES: usize = 1;

/// One thread's free buffers of one size.
#[repr(C, align(32))]
#[derive(Debug, Default)]
pub struct Shelf {
    /// Of `records`, so many from the first are of buffers that lie here.
    count: AtomicU32,
    /// Where they lie in the trie's leaves, which is the id in other words.
    records: [AtomicU32; PLACES],
}

/// All shelves of one component, as the manager sees them too. Zero is all empty.
#[cfg_attr(not(loom), repr(C, align(4096)))]
#[derive(Debug)]
pub struct Shelves([[Shelf; CLASSES]; THREADS]);

#[cfg(not(any(loom, miri)))]
const _: () = assert!(size_of::<Shelves>() == abi::layout::SHELF_BYTES);

impl Shelf {
    /// What a record says of a buffer that lies here, or was just allocated.
    pub const IDLE: u64 = State::EXCLUSIVE | 1;
    /// Where it says so.
    pub const MASK: u64 = State::REFERENCES | State::FLAGS;

    /// Whether a record says so.
    #[inline]
    pub const fn is_idle(state: State) -> bool {
        state.0.wrapping_sub(Self::IDLE) & Self::MASK == 0
    }

    /// As [`Shelf::is_idle`], also where the manager wants the buffer.
    pub const fn may_be_idle(state: State) -> bool {
        state.0 & Self::MASK & !State::RELINQUISH == Self::IDLE
    }

    /// Takes the buffer that was put here last. Only the owning thread. The caller looks at the
    /// record next: unless it says [`Shelf::IDLE`], the manager wants the buffer.
    #[inline]
    pub fn take(&self) -> Option<RecordOffset> {
        // Relaxed, here and below: one thread, and a manager to whom the barrier speaks.
        let count = self.count.load(Ordering::Relaxed).wrapping_sub(1);
        let record = self.records.get(count as usize)?.load(Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
        light_barrier();
        Some(RecordOffset(record))
    }

    /// Puts a buffer here that the caller has a reference to; answers false, and has not, where
    /// there is no room or the record does not say [`Shelf::IDLE`]. Only the owning thread.
    #[inline]
    pub fn put(&self, offset: RecordOffset, record: &Record) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let Some(place) = self.records.get(count as usize) else {
            return false;
        };
        place.store(offset.0, Ordering::Relaxed);
        // Release: who sees the count sees the record, not one that was taken from here before. Loaded
        // anew, since so the compiler adds in memory.
        let more = self.count.load(Ordering::Relaxed) + 1;
        self.count.store(more, Ordering::Release);
        light_barrier();
        // One look, after the buffer is listed: one before could miss what the manager wants.
        if Self::is_idle(record.load()) {
            return true;
        }
        self.count.store(count, Ordering::Relaxed);
        false
    }

    /// Puts a buffer of this order here that was in a freelist or the ring, and is the caller's to
    /// find a place for; answers false, and has not, where there is no room, or the manager took it
    /// back or wants it. Only the owning thread. No look is wanted afterwards, as [`Shelf::put`] has
    /// one: it is listed here before it is idle, or before it ceases to be linked.
    #[inline]
    pub fn adopt(&self, offset: RecordOffset, record: &Record, order: u32) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let Some(place) = self.records.get(count as usize) else {
            return false;
        };
        let state = record.load();
        let order = u64::from(order) << State::ORDER_SHIFT;
        let says = state.0 & (Self::MASK | State::ORDER);
        if says == State::FREE | order {
            record.clear_link();
            place.store(offset.0, Ordering::Relaxed);
            self.count.store(count + 1, Ordering::Release);
            let idle = State(state.0 - State::FREE + Self::IDLE);
            if record.exchange(state, idle).is_ok() {
                return true;
            }
            self.count.store(count, Ordering::Relaxed);
        } else if says == Self::IDLE | order {
            place.store(offset.0, Ordering::Relaxed);
            self.count.store(count + 1, Ordering::Release);
            light_barrier();
            // It is listed here from now on.
            record.clear_link();
            return true;
        }
        false
    }

    /// Whether nothing is here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether there is room for no more.
    pub fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) as usize >= PLACES
    }

    /// Takes the `most` buffers that were put here last, after `link` has each listed elsewhere: so
    /// at no time is one of them listed nowhere. Only the owning thread.
    pub fn take_some(&self, most: usize, mut link: impl FnMut(RecordOffset)) {
        let count = (self.count.load(Ordering::Relaxed) as usize).min(PLACES);
        let left = count.saturating_sub(most);
        for place in &self.records[left..count] {
            link(RecordOffset(place.load(Ordering::Relaxed)));
        }
        // Release: who sees the count sees where the others are listed.
        self.count.store(left as u32, Ordering::Release);
        light_barrier();
    }

    /// What is listed at a place, for the manager: whatever the component wrote.
    pub fn at(&self, place: usize) -> Option<CbufId> {
        let listed = place < self.count.load(Ordering::SeqCst) as usize;
        listed.then(|| RecordOffset(self.records[place].load(Ordering::SeqCst)).id())
    }
}

impl Shelves {
    /// Where a thread keeps buffers of an order; `None` for one that has no shelves.
    #[inline]
    pub fn of(&self, thread: usize, order: u32) -> Option<&Shelf> {
        Some(&self.0.get(thread)?[order as usize % CLASSES])
    }

    /// Places on all shelves.
    pub const PLACES: usize = THREADS * CLASSES * PLACES;

    /// The last buffer that is listed before a place of [`Shelves::PLACES`], and its place. Costs
    /// one look at each shelf that is empty.
    pub fn last_before(&self, place: usize) -> Option<(usize, CbufId)> {
        let end = place.min(Self::PLACES);
        (0..end.div_ceil(PLACES)).rev().find_map(|n| {
            let shelf = &self.0[n / CLASSES][n % CLASSES];
            let listed = shelf.count.load(Ordering::SeqCst) as usize;
            let most = listed.min(PLACES).min(end - n * PLACES).checked_sub(1)?;
            Some((n * PLACES + most, shelf.at(most)?))
        })
    }

    /// Every id on every shelf.
    pub fn ids(&self) -> impl Iterator<Item = CbufId> {
        let mut end = Self::PLACES;
        core::iter::from_fn(move || {
            let (place, id) = self.last_before(end)?;
            end = place;
            Some(id)
        })
    }

    /// Whether a buffer of this order is on a shelf.
    pub fn lists(&self, id: CbufId, order: u32) -> bool {
        self.0.iter().any(|shelves| {
            let shelf = &shelves[order as usize % CLASSES];
            (0..PLACES).any(|place| shelf.at(place) == Some(id))
        })
    }

    /// Empties all shelves, when no thread uses them.
    pub fn reset(&self) {
        for shelf in self.0.iter().flatten() {
            shelf.count.store(0, Ordering::SeqCst);
        }
    }
}

impl Default for Shelves {
    fn default() -> Self {
        Self(core::array::from_fn(|_| {
            core::array::from_fn(|_| Shelf::default())
        }))
    }
}
