//! What the manager knows of each buffer and each client. These tables are the truth; what the
//! clients' records say is only ever compared with them.

use crate::account::Timing;
use crate::control::{Control, SharedRecord};
use crate::liveness::Counts;
use crate::owned::Heap;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, ORDERS, Record, State};
use libcbuf::primitive::Ordering;

/// A component that has a buffer mapped.
pub struct Holder<T> {
    pub component: ComponentId,
    /// What it says of the buffer.
    pub record: SharedRecord,
    pub mapping: T,
}

pub struct Buffer<F, T> {
    /// `None` after the owner died: destroyed as soon as it is garbage.
    pub owner: Option<ComponentId>,
    pub order: u32,
    /// Number of its first page.
    pub page: u64,
    /// What a record says of where it is, and how large.
    pub home: State,
    pub frame: F,
    /// Owner first, while it has one.
    pub holders: Vec<Holder<T>>,
    /// Counts of former holders.
    pub settled: Counts,
    /// Holders that died since the buffer was last free: what they sent is still received, even
    /// when they live again.
    pub dead: u64,
    /// Since when nobody references it although something seems to be on its way, and the
    /// counts then.
    pub stalled: Option<(u64, Counts)>,
    /// The component besides the owner that was last seen to have it, and since when, while the
    /// owner had no reference.
    pub kept: Option<(ComponentId, u64)>,
    /// Who pays for it in the owner's stead.
    pub payer: Option<ComponentId>,
    /// Write-protected at its owner's until it is collected.
    pub sealed: bool,
    /// Its place in its owner's list (or the orphans').
    pub place: usize,
}

impl<F, T> Buffer<F, T> {
    pub fn pages(&self) -> u64 {
        1 << self.order
    }
    /// What each holder says, the owner first.
    #[inline]
    pub fn records(&self) -> impl Iterator<Item = &Record> + Clone {
        self.holders.iter().map(|holder| holder.record.get())
    }
    /// Whether nothing is to be done before its owner may use it again, once it is garbage.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.payer.is_none() && !self.sealed && self.dead == 0
    }
    /// It is free for its owner: what it holds next was sent to nobody yet. Who was sent what it held
    /// before and never took it shall not map it now. `sets` is 0 where the holders besides the owner
    /// say of nobody that they sent it there.
    #[inline]
    pub fn begin_anew(&mut self, sets: u64) {
        if sets != 0 {
            // The owner's set ends when it allocates. Relaxed: who takes a reference again does so
            // long after the owner saw what is handed over.
            for holder in self.holders.iter().skip(1) {
                holder.record.get().receivers.store(0, Ordering::Relaxed);
            }
        }
        self.settled.receivers = 0;
        self.kept = None;
    }
    pub fn held_by(&self, component: ComponentId) -> bool {
        self.holders.iter().any(|h| h.component == component)
    }
}

/// What the image description grants a client.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub component: ComponentId,
    /// Pages at start.
    pub pages: u64,
    /// Most pages that a policy may give it.
    pub max_pages: u64,
    /// Pages that its heap may grow by.
    pub heap_pages: u64,
    /// Pages of these that are set aside for it; the others come from what is in no limit.
    pub heap_kept: u64,
    /// May ask for physical addresses.
    pub dma: bool,
    /// Components that it shares an edge with, as a bit set.
    pub peers: u64,
}

impl Terms {
    /// Whom it can send to and receive from: its peers, and itself.
    pub fn reach(&self) -> u64 {
        self.peers | bit(self.component)
    }
}

/// A client and its pool.
pub struct Pool {
    pub terms: Terms,
    pub control: Control,
    /// Pages it may hold.
    pub limit: u64,
    /// Pages it pays for: buffers that it owns, whatever their state, without those that others
    /// pay for, and others' buffers that it held for too long.
    pub held: u64,
    /// Others' buffers that it pays for.
    pub charged: Vec<CbufId>,
    /// Pages of its own that others pay for.
    pub lent: u64,
    /// The buffers it owns.
    pub owned: Vec<CbufId>,
    /// Place in `owned` that was looked at last: the next collection begins below.
    pub looked_at: usize,
    /// Ids of destroyed buffers that its freelists still contain.
    pub quarantine: Vec<CbufId>,
    /// Place there that was looked at last.
    pub discarded_at: usize,
    /// What it owns besides.
    pub heap: Heap,
    pub alive: bool,
    /// Threads that wait for memory here, as a bit set.
    pub waiting: u64,
    /// When an allocation that may not wait failed last, unless somebody asked since.
    pub refused: Option<u64>,
    pub timing: Timing,
}

pub const fn bit(component: ComponentId) -> u64 {
    1 << (component.0 as u32 % 64)
}

/// Appends, without the panic of an allocation that fails.
pub fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), Error> {
    list.try_reserve(1).map_err(|_| Error::NoMemory)?;
    list.push(item);
    Ok(())
}

/// So many items, on the heap: the manager's stack is small.
pub fn list<T>(len: usize, item: impl FnMut() -> T) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| Error::NoMemory)?;
    list.resize_with(len, item);
    Ok(list)
}

/// 2^`order`, for an order from outside.
pub fn pages_of(order: u32) -> Result<u64, Error> {
    if order < ORDERS as u32 {
        Ok(1 << order)
    } else {
        Err(Error::BadSize)
    }
}
