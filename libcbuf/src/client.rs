//! One component's client: its freelists over its pool, and the paper's four calls. Source:
//! CBUFs, sections 2.3 and 3.6.

use crate::freelist::Freelist;
use crate::meta::{CbufId, ORDERS, Record, State, order_for};
use crate::primitive::{AtomicBool, AtomicU32, Ordering};
use crate::ring::Ring;
use crate::trie::Trie;
use abi::{ComponentId, Error};
use core::ptr::NonNull;
use crossbeam_utils::CachePadded;

/// The manager as the library calls it (interface `cbuf`).
pub trait Manager: Sync {
    /// Hands garbage of at least 2^`order` pages over through the ring, growing the pool where
    /// its limit allows; with `wait`, blocks while there is none. Answers how many; 0 with
    /// `wait` means "look again". [`Error::NoMemory`]: can never be satisfied.
    fn collect(&self, order: u32, wait: bool) -> Result<u32, Error>;
    /// Admits `from` as a sender of a buffer to this component, and maps the buffer and fills
    /// its record where it is not here yet. [`Error::BadBuffer`]: `from` did not send it.
    fn map(&self, id: u32, from: ComponentId) -> Result<(), Error>;
    /// The last reference to a buffer marked [`State::RELINQUISH`] is gone.
    fn relinquish(&self, id: u32) -> Result<(), Error>;
}

/// Receipts stop at this many references, so that clones of what was received have room.
const RECEIVE_LIMIT: u64 = State::REFERENCES / 2;

/// How often a receipt asks the manager to map the buffer.
const MAPS: u32 = 8;

/// The component's one client.
pub struct Client {
    trie: Trie,
    ring: *const Ring,
    /// Each on a cache line of its own: threads that allocate different sizes do not meet.
    free: [CachePadded<Freelist>; ORDERS],
    /// Held by the thread that drains the ring. Never waited for: a preempted holder must not
    /// stop others, they ask the manager instead.
    draining: AtomicBool,
    manager: &'static dyn Manager,
}

// SAFETY: `ring` points at memory that is shared by design and reached only as atomics.
unsafe impl Send for Client {}
// SAFETY: as above; its single-consumer rule is kept by `draining`.
unsafe impl Sync for Client {}

impl Client {
    /// # Safety
    /// For the life of the client: `root` and `leaves` as [`Trie::new`] asks; `ring` points at a
    /// [`Ring`] whose only producer is the manager and whose only consumer is this client; the
    /// manager maps each buffer at the address its record states, readable, writable where the
    /// record came through the ring, and unmaps none that is referenced.
    pub unsafe fn new(
        root: *const AtomicU32,
        ring: *const Ring,
        leaves: *const Record,
        manager: &'static dyn Manager,
    ) -> Self {
        Self {
            // SAFETY: the caller's promise.
            trie: unsafe { Trie::new(root, leaves) },
            ring,
            free: core::array::from_fn(|_| CachePadded::default()),
            draining: AtomicBool::new(false),
            manager,
        }
    }

    /// A buffer of at least `bytes`, referenced once, with whatever its last use left in it.
    /// Calls the manager when the freelist is empty, and **blocks** there while the pool is
    /// exhausted. [`Error::BadSize`]: larger than any buffer; [`Error::NoMemory`]: larger than
    /// the pool will ever be.
    #[inline]
    pub fn cbuf_alloc(&self, bytes: usize) -> Result<(NonNull<u8>, CbufId), Error> {
        self.allocate(bytes, true).map(Allocated::parts)
    }

    /// Like [`Client::cbuf_alloc`] but never waits: [`Error::NoMemory`] when the pool is
    /// exhausted.
    #[inline]
    pub fn try_alloc(&self, bytes: usize) -> Result<(NonNull<u8>, CbufId), Error> {
        self.allocate(bytes, false).map(Allocated::parts)
    }

    #[inline]
    pub(crate) fn allocate(&self, bytes: usize, wait: bool) -> Result<Allocated<'_>, Error> {
        let order = order_for(bytes).ok_or(Error::BadSize)?;
        match self.take(order) {
            Some(taken) => Ok(taken),
            None => self.refill(order, wait),
        }
    }

    /// Drops one reference of this component's. A buffer that was never shared goes straight
    /// back to its freelist; others become garbage for the collector. Calls the manager only
    /// when it asked to hear of this one. [`Error::BadBuffer`]: not referenced here.
    #[inline]
    pub fn cbuf_free(&self, id: CbufId) -> Result<(), Error> {
        let record = self.trie.record(id).ok_or(Error::BadBuffer)?;
        let state = record.load();
        if state.references() == 0 {
            return Err(Error::BadBuffer);
        }
        self.release_from(id, record, state);
        Ok(())
    }

    /// Counts a send to `to`. Before the id leaves the component, and while this component still
    /// holds its reference. [`Error::BadBuffer`]: not referenced here.
    #[inline]
    pub fn cbuf_send(&self, id: CbufId, to: ComponentId) -> Result<(), Error> {
        let record = self.trie.record(id).ok_or(Error::BadBuffer)?;
        let state = record.load();
        if state.references() == 0 {
            return Err(Error::BadBuffer);
        }
        if state.has(State::EXCLUSIVE) {
            self.share(record);
        }
        record.count_send(to);
        Ok(())
    }

    /// The memory of a buffer that `from` sent, after checking that it did and that `offset` and
    /// `len` lie inside; takes a reference and counts the receipt. Calls the manager on the
    /// first receipt of a buffer from `from`. [`Error::BadBuffer`] otherwise: above all for a
    /// buffer that this component has, but not from `from`.
    #[inline]
    pub fn cbuf2buf(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<NonNull<u8>, Error> {
        self.receive(id, offset, len, from)
            .map(|(address, _)| address)
    }

    #[inline]
    pub(crate) fn receive(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<(NonNull<u8>, &Record), Error> {
        if let Some(record) = self.trie.record(id)
            && let Some(address) = self.receive_here(id, record, offset, len, from)?
        {
            return Ok((address, record));
        }
        self.receive_mapped(id, offset, len, from)
    }

    /// The receipt of what is mapped here and admitted from there; `None` when it is not.
    #[inline]
    fn receive_here(
        &self,
        id: CbufId,
        record: &Record,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<Option<NonNull<u8>>, Error> {
        if !record.admits(from) {
            return Ok(None);
        }
        let Some(address) = self.reference(record, offset, len)? else {
            return Ok(None);
        };
        // Once more, now that the record cannot be taken away: before, the id may have come to
        // name another buffer, in the same place, that `from` did not send.
        if !record.admits(from) {
            self.drop_foreign(id, record);
            return Ok(None);
        }
        record.count_receipt();
        Ok(Some(address))
    }

    #[cold]
    fn drop_foreign(&self, id: CbufId, record: &Record) {
        self.release(id, record);
    }

    /// The receipt of what is not here yet, or not from there. [`Error::Busy`]: each time it was
    /// mapped the manager had to take it back, for its owner used it again meanwhile.
    #[cold]
    fn receive_mapped(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<(NonNull<u8>, &Record), Error> {
        if id == CbufId::NONE {
            return Err(Error::BadBuffer);
        }
        for _ in 0..MAPS {
            self.manager.map(id.0, from)?;
            let record = self.trie.record(id).ok_or(Error::BadBuffer)?;
            if let Some(address) = self.receive_here(id, record, offset, len, from)? {
                return Ok((address, record));
            }
        }
        Err(Error::Busy)
    }

    /// Takes back what this component sent, because it will not be received after all: a
    /// reference, and a receipt in the receiver's stead. [`Error::BadBuffer`]: not here (any
    /// more).
    #[cold]
    pub(crate) fn take_back(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
    ) -> Result<(NonNull<u8>, &Record), Error> {
        let record = self.trie.record(id).ok_or(Error::BadBuffer)?;
        let address = self
            .reference(record, offset, len)?
            .ok_or(Error::BadBuffer)?;
        record.count_receipt();
        Ok((address, record))
    }

    /// One reference to what is mapped and shared: the address of `offset`; `None` when the
    /// buffer went away. [`Error::BadBuffer`]: not a shared buffer, or not so long.
    #[inline]
    fn reference(
        &self,
        record: &Record,
        offset: u32,
        len: u32,
    ) -> Result<Option<NonNull<u8>>, Error> {
        let mut state = record.load();
        while state.page_number() != 0 {
            if state.has(State::FREE | State::EXCLUSIVE | State::INCONSISTENT)
                || state.references() >= RECEIVE_LIMIT
                || offset as u64 + len as u64 > state.bytes() as u64
            {
                return Err(Error::BadBuffer);
            }
            // The reference and the address change in one word: an address that is read here
            // cannot be withdrawn without the exchange failing.
            match record.exchange(state, State(state.0 + 1)) {
                Ok(()) => return Ok(NonNull::new((state.address() + offset as usize) as *mut u8)),
                Err(now) => state = now,
            }
        }
        Ok(None)
    }

    /// Ends a buffer's exclusive phase: it may be sent and received from now on.
    #[inline]
    pub(crate) fn share(&self, record: &Record) {
        record.state.fetch_and(!State::EXCLUSIVE, Ordering::SeqCst);
    }

    /// One more reference to a record that the caller already holds one of.
    #[inline]
    pub(crate) fn retain(&self, record: &Record) {
        let old = State(record.state.fetch_add(1, Ordering::SeqCst));
        assert!(
            old.references() < State::REFERENCES - ComponentId::MAX as u64,
            "a buffer has 2^18 references in one component"
        );
    }

    /// Drops one reference that the caller holds.
    #[inline]
    pub(crate) fn release(&self, id: CbufId, record: &Record) {
        self.release_from(id, record, record.load());
    }

    /// As [`Client::release`]; `state` was just read.
    #[inline]
    fn release_from(&self, id: CbufId, record: &Record, mut state: State) {
        loop {
            let last = state.references() <= 1;
            let kept = state.0 & !(State::REFERENCES | State::EXCLUSIVE);
            let new = if !last {
                state.0 - 1
            } else if state.0 & (State::EXCLUSIVE | State::RELINQUISH) == State::EXCLUSIVE {
                kept | State::FREE
            } else {
                kept
            };
            match record.exchange(state, State(new)) {
                Ok(()) if !last => return,
                Ok(()) if new & State::FREE != 0 => {
                    return self.list(State(new).order()).push(id, record);
                }
                Ok(()) if new & State::RELINQUISH != 0 => {
                    // A refusal (the buffer is gone already) leaves nothing to do.
                    let _ = self.manager.relinquish(id.0);
                    return;
                }
                Ok(()) => return,
                Err(now) => state = now,
            }
        }
    }

    #[inline]
    fn list(&self, order: u32) -> &Freelist {
        // The order comes from this component's own record; should it be overwritten there, the
        // component gets its own buffers in the wrong sizes, each as long as its record says.
        &self.free[(order as usize).min(ORDERS - 1)]
    }

    /// Pops a buffer of exactly this order.
    #[inline]
    fn take(&self, order: u32) -> Option<Allocated<'_>> {
        // Each round takes a record out of the list, so the loop ends with the list.
        loop {
            let (id, record) = self.list(order).pop(&self.trie)?;
            record.clear_link();
            let mut state = record.load();
            const CHECKED: u64 = State::REFERENCES | State::INCONSISTENT | State::FREE;
            while state.0 & CHECKED == State::FREE && state.page_number() != 0 {
                let new = State(state.0 - State::FREE + State::EXCLUSIVE + 1);
                match record.exchange(state, new) {
                    Ok(()) => {
                        return Some(Allocated {
                            address: NonNull::new(state.address() as *mut u8)?,
                            id,
                            record,
                            bytes: state.bytes(),
                        });
                    }
                    Err(now) => state = now,
                }
            }
            self.discard(record);
        }
    }

    /// Forgets a popped record that the manager took back: from here on its id may be used for
    /// another buffer.
    #[cold]
    fn discard(&self, record: &Record) {
        record
            .state
            .fetch_and(!(State::INCONSISTENT | State::FREE), Ordering::SeqCst);
    }

    #[cold]
    fn refill(&self, order: u32, wait: bool) -> Result<Allocated<'_>, Error> {
        if self.drain() > 0
            && let Some(taken) = self.take(order)
        {
            return Ok(taken);
        }
        loop {
            let ready = self.manager.collect(order, wait)?;
            self.drain();
            // What was handed over may be larger than asked.
            if let Some(taken) = (order..ORDERS as u32).find_map(|o| self.take(o)) {
                return Ok(taken);
            }
            if !wait && ready == 0 {
                return Err(Error::NoMemory);
            }
        }
    }

    /// Moves what the manager handed over into the freelists, unless another thread is at it.
    fn drain(&self) -> usize {
        // Acquire and the release below: each drainer sees the index its predecessor left.
        if self.draining.swap(true, Ordering::Acquire) {
            return 0;
        }
        // SAFETY: valid for the client's life (contract of `new`); `draining` is ours, so there
        // is one consumer.
        let count = unsafe { &*self.ring }.drain(|id| {
            if let Some(record) = self.trie.record(id) {
                self.list(record.load().order()).push(id, record);
            }
        });
        self.draining.store(false, Ordering::Release);
        count
    }

    /// This component's record of `id`, for inspection.
    pub fn record(&self, id: CbufId) -> Option<&Record> {
        self.trie.record(id)
    }
}

/// A fresh allocation: one reference, exclusive.
pub(crate) struct Allocated<'c> {
    pub address: NonNull<u8>,
    pub id: CbufId,
    pub record: &'c Record,
    pub bytes: usize,
}

impl Allocated<'_> {
    #[inline]
    fn parts(self) -> (NonNull<u8>, CbufId) {
        (self.address, self.id)
    }
}
