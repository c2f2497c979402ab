//! Where a thread's shelf is filled from when it is empty, and spilt to when it is full: the
//! freelist of the size, which all threads share, then the ring, then the manager. Several buffers
//! go at once, so what is paid each time (a locked instruction, the lock of the ring) is shared.
//! Source: CBUFs, sections 3.4 and 3.6.

use crate::client::{Allocated, Client};
use crate::meta::{CbufId, ORDERS, Record, RecordOffset, State, order_with};
use crate::primitive::{Ordering, light_barrier};
use crate::shelf::{PLACES, Shelf};
use crate::thread;
use abi::Error;
use abi::layout::MAX_CBUFS;

/// Buffers that go from a full shelf to the freelist at once. Half of it: so a thread that allocates
/// and frees in turn, whatever its shelf has, does not go there each time.
const BATCH: usize = PLACES.div_ceil(2);
/// Most buffers that one look through a freelist discards, for the manager took them back. It bounds
/// how long an allocation takes; what lies below is found by the next look.
const STALE: usize = 512;

impl Client {
    /// An allocation for which the thread's shelf has nothing, or has what is not as it should be.
    #[cold]
    #[inline(never)]
    pub(crate) fn allocate_rarely(&self, last: usize, wait: bool) -> Result<Allocated<'_>, Error> {
        let order = order_with(last).ok_or(Error::BadSize)?;
        let shelf = self.own_shelf(order);
        let mut taken = None;
        loop {
            if let Some(taken) = taken.or_else(|| self.unshelve(shelf)) {
                return Ok(taken);
            }
            if !self.list(order).is_empty() {
                taken = self.unlist(order);
                if taken.is_some() {
                    continue;
                }
            }
            taken = self.unload(order, shelf);
            if taken.is_some() || shelf.is_some_and(|shelf| !shelf.is_empty()) {
                continue;
            }
            // Where there may be more in the list, nobody waits.
            let all = self.list(order).is_empty();
            let ready = self.manager.collect(order, wait && all)?;
            taken = self.unload(order, shelf);
            if taken.is_some() || shelf.is_some_and(|shelf| !shelf.is_empty()) {
                continue;
            }
            // What was handed over may be larger than asked.
            taken = (order..ORDERS as u32).find_map(|order| self.unlist(order));
            if taken.is_none() && ready == 0 && self.purge() == 0 && !wait && all {
                return Err(Error::NoMemory);
            }
        }
    }

    /// Discards what the manager took back and what lies in freelists, wherever in them: as long as
    /// there is much of it the manager takes nothing from them, and what is idle there is no use to who
    /// needs another size. Answers how many. Costs a look at all that is free, where there was nothing
    /// for an allocation.
    #[cold]
    #[inline(never)]
    fn purge(&self) -> usize {
        let mut discarded = 0;
        for order in 0..ORDERS as u32 {
            let mut kept = None;
            // A list that this component made a circle ends too.
            for _ in 0..MAX_CBUFS / PLACES {
                let mut ids = [CbufId::NONE; PLACES];
                let count = self.list(order).pop_some(&self.trie, &mut ids);
                if count == 0 {
                    break;
                }
                for id in &ids[..count] {
                    // SAFETY: what is popped has a record.
                    let record = unsafe { self.trie.known(RecordOffset::of(*id)) };
                    if record.load().has(State::INCONSISTENT) {
                        self.discard(*id);
                        discarded += 1;
                    } else {
                        chain(&mut kept, *id, record);
                    }
                }
            }
            if let Some((top, bottom)) = kept {
                self.list(order).push_all(top, bottom);
            }
        }
        discarded
    }

    /// The running thread's shelf for an order.
    #[inline]
    fn own_shelf(&self, order: u32) -> Option<&Shelf> {
        self.shelves().of(thread::current(), order)
    }

    /// Takes a buffer from the running thread's shelf.
    #[inline]
    fn unshelve(&self, shelf: Option<&Shelf>) -> Option<Allocated<'_>> {
        while let Some(offset) = shelf?.take() {
            // SAFETY: what lies on a shelf was allocated, so it has a record.
            let record = unsafe { self.trie.known(offset) };
            let state = record.load();
            if Shelf::is_idle(state) {
                return Some(Allocated::new(offset.id(), record, state));
            }
            self.free_rarely(offset);
        }
        None
    }

    /// Moves some buffers of an order from their freelist to the running thread's shelf, and takes
    /// one. `None` where there is none, or after [`STALE`] that were taken back.
    #[inline(never)]
    fn unlist(&self, order: u32) -> Option<Allocated<'_>> {
        let shelf = self.own_shelf(order);
        let most = shelf.map_or(1, |_| PLACES);
        let mut stale = 0;
        while stale < STALE {
            let mut ids = [CbufId::NONE; PLACES];
            let count = self.list(order).pop_some(&self.trie, &mut ids[..most]);
            if count == 0 {
                return None;
            }
            let mut taken = None;
            for id in &ids[..count] {
                let offset = RecordOffset::of(*id);
                // SAFETY: what is popped has a record.
                let record = unsafe { self.trie.known(offset) };
                if !shelf.is_some_and(|shelf| shelf.adopt(offset, record, order)) {
                    self.stock_rarely(*id, record, &mut taken);
                }
            }
            if let Some(taken) = taken.or_else(|| self.unshelve(shelf)) {
                return Some(taken);
            }
            stale += count;
        }
        None
    }

    /// Moves buffers of an order from the ring to the running thread's shelf until that is full,
    /// unless another thread is at it. Others that lie before them go to their freelists. Answers one
    /// that has no place on the shelf.
    #[inline]
    fn unload(&self, order: u32, shelf: Option<&Shelf>) -> Option<Allocated<'_>> {
        // Acquire and the release below: each thread sees the index its predecessor left.
        if self.draining.swap(true, Ordering::Acquire) {
            return None;
        }
        let mut taken = None;
        // SAFETY: valid for the client's life (contract of `new`).
        let ring = unsafe { &*self.ring };
        // `draining` is ours, so there is one consumer.
        while ring.take(shelf.map_or(1, |_| PLACES), |id| {
            let offset = RecordOffset::of(id);
            // SAFETY: what the manager hands over has a record.
            let record = unsafe { self.trie.known(offset) };
            if !shelf.is_some_and(|shelf| shelf.adopt(offset, record, order)) {
                self.unload_rarely(id, record, order, &mut taken);
            }
        }) > 0
            && taken.is_none()
            && shelf.is_none_or(Shelf::is_empty)
        {}
        self.draining.store(false, Ordering::Release);
        taken
    }

    /// What came out of the ring for no shelf.
    #[cold]
    #[inline(never)]
    fn unload_rarely<'c>(
        &'c self,
        id: CbufId,
        record: &'c Record,
        order: u32,
        taken: &mut Option<Allocated<'c>>,
    ) {
        let state = record.load();
        if state.order() == order {
            self.stock_rarely(id, record, taken);
        } else {
            self.list(state.order()).push(id, record);
        }
    }

    /// What has no place on a shelf: for the manager took it back or wants it, or there is no shelf.
    #[cold]
    #[inline(never)]
    fn stock_rarely<'c>(
        &'c self,
        id: CbufId,
        record: &'c Record,
        taken: &mut Option<Allocated<'c>>,
    ) {
        let state = record.load();
        if state.has(State::INCONSISTENT) {
            return self.discard(id);
        }
        if taken.is_some() && state.has(State::FREE) {
            return self.list(state.order()).push(id, record);
        }
        match Self::claim(record) {
            Some(state) if taken.is_none() => *taken = Some(Allocated::new(id, record, state)),
            _ => self.free_rarely(RecordOffset::of(id)),
        }
    }

    /// Allocates a buffer that is in no list: what its record says then. `None` where the manager
    /// took it back, or wants it.
    fn claim(record: &Record) -> Option<State> {
        record.clear_link();
        // Who sees it neither linked nor on a shelf finds it in use, and says that it is wanted
        // before we look (see `shelf`).
        light_barrier();
        let mut state = record.load();
        if Shelf::is_idle(state) {
            return Some(state);
        }
        const CHECKED: u64 = State::REFERENCES | State::INCONSISTENT | State::FREE;
        while state.0 & CHECKED == State::FREE {
            let new = State(state.0 - State::FREE + Shelf::IDLE);
            match record.exchange(state, new) {
                Ok(()) => return Some(new),
                Err(now) => state = now,
            }
        }
        None
    }

    /// Makes room on a shelf of the running thread's.
    pub(crate) fn spill(&self, shelf: &Shelf, order: u32) {
        let mut spilt = None;
        shelf.take_some(BATCH, |offset| {
            // SAFETY: what lies on a shelf was allocated, so it has a record.
            let record = unsafe { self.trie.known(offset) };
            chain(&mut spilt, offset.id(), record);
        });
        if let Some((top, bottom)) = spilt {
            self.list(order).push_all(top, bottom);
        }
    }
}

/// Puts a record on top of a chain for [`crate::freelist::Freelist::push_all`]: its top, and its bottom.
#[inline]
fn chain<'r>(chain: &mut Option<(CbufId, &'r Record)>, id: CbufId, record: &'r Record) {
    let (next, bottom) = chain.map_or((Record::END, record), |(top, bottom)| (top.0, bottom));
    record.set_link(next);
    *chain = Some((id, bottom));
}
