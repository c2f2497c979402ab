//! Sending, and dropping references. Source: CBUFs, sections 3.2 and 3.6.

use crate::client::Client;
use crate::meta::{CbufId, Record, RecordOffset, State};
use crate::primitive::Ordering;
use crate::shelf::Shelf;
use crate::thread;
use abi::ComponentId;

impl Client {
    /// Drops one reference of this component's. A buffer that was never shared goes straight
    /// back to be allocated; others become garbage for the collector. Calls the manager only
    /// when it asked to hear of this one. What is not referenced here, as far as its record
    /// tells, stays as it is.
    ///
    /// # Safety
    /// `id` names a buffer that this component allocated or received, and the caller gives up a
    /// reference that is its own: not that of a [`crate::Buffer`] or [`crate::Cbuf`].
    #[inline]
    pub unsafe fn cbuf_free(&self, id: CbufId) {
        let offset = RecordOffset::of(id);
        // SAFETY: what was allocated or received has a record.
        let record = unsafe { self.trie.known(offset) };
        if !self.shelve(offset, record) {
            self.free_rarely(offset);
        }
    }

    /// Counts a send to `to`. Before the id leaves the component, and while this component still
    /// holds its reference; what was allocated is not written any more from here on.
    ///
    /// # Safety
    /// `id` names a buffer that this component allocated or received, and the caller holds a
    /// reference to it: not that of a [`crate::Buffer`].
    #[inline]
    pub unsafe fn cbuf_send(&self, id: CbufId, to: ComponentId) {
        // SAFETY: what was allocated or received has a record.
        let record = unsafe { self.trie.known(RecordOffset::of(id)) };
        if !record.was_sent_to(to) {
            self.first_send(record, to);
        }
        record.count_send_again();
    }

    #[inline(never)]
    fn first_send(&self, record: &Record, to: ComponentId) {
        // What nobody was sent may be exclusive yet.
        if record.load().has(State::EXCLUSIVE) {
            self.share(record);
        }
        record.add_receiver(to);
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

    /// Drops the reference to a buffer that nobody else can have, unless it was shared after all.
    #[inline]
    pub(crate) fn release_exclusive(&self, id: CbufId, record: &Record) {
        let offset = RecordOffset::of(id);
        if !self.shelve(offset, record) {
            self.free_rarely(offset);
        }
    }

    /// Keeps a buffer of which this is the one reference for this thread, where there is room and
    /// the record says so; otherwise it is still the caller's.
    #[inline]
    fn shelve(&self, offset: RecordOffset, record: &Record) -> bool {
        let shelf = self.shelves().of(thread::current(), record.load().order());
        shelf.is_some_and(|shelf| shelf.put(offset, record))
    }

    /// Drops a reference to what has no place on a shelf, is shared, or is wanted elsewhere.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_rarely(&self, offset: RecordOffset) {
        let id = offset.id();
        let Some(record) = self.trie.record(id) else {
            return;
        };
        let state = record.load();
        if Shelf::is_idle(state) {
            let order = state.order();
            let shelf = self.shelves().of(thread::current(), order);
            if let Some(shelf) = shelf.filter(|shelf| shelf.is_full()) {
                self.spill(shelf, order);
                if shelf.put(offset, record) {
                    return;
                }
            }
        }
        if state.references() > 0 || state.has(State::INCONSISTENT) {
            self.release_from(id, record, state);
        }
    }

    /// Forgets a record that the manager took back while it lay in a list, in the ring or on a
    /// shelf: from here on its id may be used for another buffer.
    #[cold]
    #[inline(never)]
    pub(crate) fn discard(&self, id: CbufId) {
        let Some(record) = self.trie.record(id) else {
            return;
        };
        let state = record.load();
        let gone = state.has(State::INCONSISTENT)
            && (record.exchange(state, State(state.0 & !State::FREE))).is_ok();
        if !gone {
            // The manager gave it back.
            self.release(id, record);
        }
    }

    /// Drops one reference that the caller holds, or discards what is gone.
    #[inline]
    pub(crate) fn release(&self, id: CbufId, record: &Record) {
        self.release_from(id, record, record.load());
    }

    /// As [`Client::release`]; `state` was just read.
    #[inline]
    fn release_from(&self, id: CbufId, record: &Record, mut state: State) {
        loop {
            if state.has(State::INCONSISTENT) {
                return self.discard(id);
            }
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
}
