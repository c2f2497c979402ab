//! A split virtqueue whose chains all have the same length: one descriptor to receive, two to
//! send (header, frame). So a slot owns its descriptors for good, and a chain is published by
//! writing one index. Source: VIRTIO 1.2, section 2.7.
//!
//! The device may write anything anywhere in this memory: what the driver relies on (which
//! slots are out, how long their chains are) is kept in private memory.

use alloc::vec::Vec;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// Descriptors of a queue, at most.
pub const SIZE: usize = 256;
const AVAILABLE: usize = SIZE * 16;
const USED: usize = AVAILABLE + 1024;
/// Bytes of a queue's memory; physically contiguous, page-aligned.
pub const BYTES: usize = USED + 4 + SIZE * 8 + 4;

const NEXT: u16 = 1;
const DEVICE_WRITES: u16 = 2;
/// `available.flags`: the driver wants no interrupt.
const NO_INTERRUPT: u16 = 1;
/// `used.flags`: the device wants no notification.
const NO_NOTIFY: u16 = 1;

#[repr(C)]
struct Descriptor {
    address: AtomicU64,
    bytes: AtomicU32,
    flags: AtomicU16,
    next: AtomicU16,
}

#[repr(C)]
struct Available {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [AtomicU16; SIZE],
}

#[repr(C)]
struct UsedEntry {
    id: AtomicU32,
    bytes: AtomicU32,
}

#[repr(C)]
struct Used {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [UsedEntry; SIZE],
}

#[repr(C)]
struct Memory {
    descriptors: [Descriptor; SIZE],
    available: Available,
    padding: [u8; USED - AVAILABLE - size_of::<Available>()],
    used: Used,
}

const _: () = assert!(size_of::<Memory>() <= BYTES);

/// A stretch of physical memory that the device reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    pub address: u64,
    pub bytes: u32,
}

/// A queue of chains of `C` descriptors; `T` is what a slot holds while the device has it.
pub struct Queue<T, const C: usize> {
    memory: &'static Memory,
    size: u16,
    device_writes: bool,
    /// What each slot holds, and the bytes the device may write there.
    slots: Vec<Option<(T, u32)>>,
    free: Vec<u16>,
    /// Next index to fill in the available ring; published by `publish`.
    index: u16,
    published: u16,
    /// Next index to read in the used ring.
    seen: u16,
    /// Entries of the used ring that made no sense.
    pub nonsense: u64,
}

/// Physical addresses of the three parts, for the device.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
}

impl Parts {
    pub fn at(physical: u64) -> Parts {
        Parts {
            descriptors: physical,
            available: physical + AVAILABLE as u64,
            used: physical + USED as u64,
        }
    }
}

impl<T, const C: usize> Queue<T, C> {
    /// A queue of `size` descriptors (a power of two, at most [`SIZE`]) in `memory`, which is
    /// cleared. Interrupts are off.
    ///
    /// # Safety
    /// `memory` is [`BYTES`] long, page-aligned, stays mapped for good, and nothing but the
    /// device and this queue touches it.
    pub unsafe fn new(memory: NonNull<u8>, size: u16, device_writes: bool) -> Queue<T, C> {
        // SAFETY: long enough and ours alone by contract.
        unsafe { memory.write_bytes(0, BYTES) };
        // SAFETY: aligned, long enough, zero is a valid value of every field, and the fields are
        // atomics, so that the device's writes are no violation.
        let memory = unsafe { memory.cast::<Memory>().as_ref() };
        let slots = usize::from(size) / C;
        for slot in 0..slots {
            for link in 0..C {
                let d = &memory.descriptors[slot * C + link];
                let chained = if link + 1 < C { NEXT } else { 0 };
                let writes = if device_writes { DEVICE_WRITES } else { 0 };
                // Relaxed, here and for every descriptor: ordered by `publish`.
                d.flags.store(chained | writes, Ordering::Relaxed);
                d.next
                    .store((slot * C + link + 1) as u16, Ordering::Relaxed);
            }
        }
        // Relaxed: the device does not run yet.
        memory
            .available
            .flags
            .store(NO_INTERRUPT, Ordering::Relaxed);
        Queue {
            memory,
            size,
            device_writes,
            slots: (0..slots).map(|_| None).collect(),
            free: (0..slots as u16).rev().collect(),
            index: 0,
            published: 0,
            seen: 0,
            nonsense: 0,
        }
    }

    /// Slots that nothing is in.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// Slots that the device has.
    pub fn out(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slot that the next `push` takes.
    pub fn next_slot(&self) -> Option<usize> {
        self.free.last().map(|s| usize::from(*s))
    }

    /// Puts a chain into the next slot; the device sees it after `publish`. Gives the token
    /// back when no slot is free.
    pub fn push(&mut self, areas: [Area; C], token: T) -> Result<(), T> {
        let Some(slot) = self.free.pop() else {
            return Err(token);
        };
        let slot = usize::from(slot);
        let mut writable = 0;
        for (link, area) in areas.iter().enumerate() {
            let d = &self.memory.descriptors[slot * C + link];
            d.address.store(area.address, Ordering::Relaxed);
            d.bytes.store(area.bytes, Ordering::Relaxed);
            writable += if self.device_writes { area.bytes } else { 0 };
        }
        self.slots[slot] = Some((token, writable));
        let at = usize::from(self.index % self.size);
        let head = (slot * C) as u16;
        // Relaxed: ordered by `publish`.
        self.memory.available.ring[at].store(head, Ordering::Relaxed);
        self.index = self.index.wrapping_add(1);
        Ok(())
    }

    /// Shows the device what was pushed. `true` when it has to be notified.
    pub fn publish(&mut self) -> bool {
        if self.index == self.published {
            return false;
        }
        self.published = self.index;
        // Release: the device sees the chains once it sees the index.
        self.memory
            .available
            .index
            .store(self.index, Ordering::Release);
        // The index before the look at the flag, against the device's opposite order; it is a
        // store and a load, so only a full fence keeps them apart.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        self.memory.used.flags.load(Ordering::Relaxed) & NO_NOTIFY == 0
    }

    /// The device has finished something.
    pub fn finished(&self) -> bool {
        // Relaxed: `pop` orders what it reads.
        self.memory.used.index.load(Ordering::Relaxed) != self.seen
    }

    /// Takes one finished chain and the bytes that the device says it wrote, at most what there
    /// was room for. Ids that are not out are counted and passed over, a bounded number a call.
    pub fn pop(&mut self) -> Option<(T, u32)> {
        // Acquire: pairs with the device's store of the index, after it wrote entry and data.
        let index = self.memory.used.index.load(Ordering::Acquire);
        let waiting = index.wrapping_sub(self.seen);
        if waiting > self.size {
            // More than can be: the index itself is nonsense.
            self.nonsense += 1;
            self.seen = index;
            return None;
        }
        for _ in 0..waiting {
            let entry = &self.memory.used.ring[usize::from(self.seen % self.size)];
            self.seen = self.seen.wrapping_add(1);
            // Relaxed: ordered by the load of the index.
            let id = entry.id.load(Ordering::Relaxed) as usize;
            let bytes = entry.bytes.load(Ordering::Relaxed);
            let slot = if id.is_multiple_of(C) { id / C } else { SIZE };
            match self.slots.get_mut(slot).and_then(Option::take) {
                Some((token, room)) if bytes <= room || !self.device_writes => {
                    self.free.push(slot as u16);
                    return Some((token, bytes.min(room)));
                }
                Some((token, _)) => {
                    self.nonsense += 1;
                    self.free.push(slot as u16);
                    return Some((token, 0));
                }
                None => self.nonsense += 1,
            }
        }
        None
    }

    /// Asks for interrupts. `true` when something had finished already: there may be none.
    pub fn enable_interrupts(&mut self) -> bool {
        // Relaxed, then a full fence: the flag before the look at the index (see `publish`).
        self.memory.available.flags.store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.finished()
    }

    pub fn disable_interrupts(&mut self) {
        // Relaxed: an interrupt too many is harmless.
        self.memory
            .available
            .flags
            .store(NO_INTERRUPT, Ordering::Relaxed);
    }
}
