//! The memory shared with one client, as the manager sees it, with the manager's own copy of
//! the trie's shape. Reading it believes nothing; writing it writes what the manager's tables
//! say.

use crate::machine::{ControlMemory, Machine};
use abi::layout::{LEAF_RECORDS, TRIE_ROOT_ENTRIES};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, Record, State};
use libcbuf::primitive::Ordering;
use libcbuf::ring::Producer;

/// How often a compare-and-swap on a client's word is repeated before the word counts as busy. An
/// honest client changes it a few times at most while the manager looks.
const TRIES: usize = 16;

pub struct Control {
    client: ComponentId,
    memory: ControlMemory,
    /// For each root entry so far: its leaf number plus one, or 0.
    leaves: Vec<u16>,
    leaf_count: usize,
    producer: Producer,
}

// SAFETY: the pointers lead to memory that is shared by design and reached only as atomics.
unsafe impl Send for Control {}

/// What [`Control::withdraw`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withdrawn {
    /// The record is empty now.
    Gone,
    /// It was in a freelist: marked inconsistent, to be discarded by the client.
    Inconsistent,
    /// It is referenced, or changes all the time.
    InUse,
}

impl Control {
    pub fn new<M: Machine>(machine: &mut M, client: ComponentId) -> Result<Self, Error> {
        Ok(Self {
            client,
            memory: machine.make_control(client)?,
            leaves: Vec::new(),
            leaf_count: 0,
            producer: Producer::default(),
        })
    }

    /// The record of `id`; `None` before [`Control::ensure`] for it.
    #[inline]
    pub fn record(&self, id: CbufId) -> Option<&Record> {
        let leaf = *self.leaves.get(id.0 as usize / LEAF_RECORDS)? as usize;
        let place = leaf.checked_sub(1)? * LEAF_RECORDS + id.0 as usize % LEAF_RECORDS;
        // SAFETY: our own table says that this leaf exists; the machine keeps it valid.
        Some(unsafe { &*self.memory.leaves.add(place) })
    }

    /// Makes the record of `id` exist.
    pub fn ensure<M: Machine>(&mut self, machine: &mut M, id: CbufId) -> Result<&Record, Error> {
        let index = id.0 as usize / LEAF_RECORDS;
        if index >= TRIE_ROOT_ENTRIES {
            return Err(Error::NoMemory);
        }
        if index >= self.leaves.len() {
            let more = index + 1 - self.leaves.len();
            self.leaves.try_reserve(more).map_err(|_| Error::NoMemory)?;
            self.leaves.resize(index + 1, 0);
        }
        if self.leaves[index] == 0 {
            machine.add_leaf(self.client, self.leaf_count)?;
            self.leaf_count += 1;
            self.leaves[index] = self.leaf_count as u16;
            // SAFETY: the root has `TRIE_ROOT_ENTRIES` words and the machine keeps it valid.
            let entry = unsafe { &*self.memory.root.add(index) };
            // Release: pairs with the acquire in `Trie::record`; the leaf is zero by now.
            entry.store(self.leaf_count as u32, Ordering::Release);
        }
        self.record(id).ok_or(Error::NoMemory)
    }

    /// Makes a record state that a buffer is here, with no sends or receipts yet, to be received
    /// from `senders`.
    pub fn introduce(record: &Record, state: State, senders: u64) {
        // Relaxed: published by the state.
        record.sent.store(0, Ordering::Relaxed);
        record.received.store(0, Ordering::Relaxed);
        record.receivers.store(0, Ordering::Relaxed);
        record.senders.store(senders, Ordering::Relaxed);
        record.state.store(state.0, Ordering::SeqCst);
    }

    /// Makes the state of a buffer `free`, whatever it was, unless the client references the
    /// buffer; its counters go on. A receipt that is about to be refused may hold a reference.
    pub fn restate(record: &Record, free: State) -> bool {
        for _ in 0..TRIES {
            let state = record.load();
            if state.references() != 0 {
                return false;
            }
            if record.exchange(state, free).is_ok() {
                return true;
            }
        }
        false
    }

    /// Takes the address away from the client, unless it references the buffer. Address and
    /// reference count are one word, so a reference taken meanwhile is not missed.
    pub fn withdraw(record: &Record) -> Withdrawn {
        for _ in 0..TRIES {
            let state = record.load();
            if state.references() != 0 {
                return Withdrawn::InUse;
            }
            let (new, result) = if state.has(State::FREE) {
                let flags = State::FREE | State::INCONSISTENT;
                (State::new(0, state.order(), flags), Withdrawn::Inconsistent)
            } else {
                (State::EMPTY, Withdrawn::Gone)
            };
            if record.exchange(state, new).is_ok() {
                return result;
            }
        }
        Withdrawn::InUse
    }

    /// Hands buffers over to the client; answers how many there was room for.
    pub fn hand_over(&mut self, ids: &[CbufId]) -> usize {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.hand_over(&mut self.producer, ids)
    }

    /// How many ids can be handed over now.
    pub fn space(&self) -> usize {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.space(&self.producer)
    }

    /// Empties every record and the ring, for a client that died and may begin anew.
    pub fn reset(&mut self) {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.reset(&mut self.producer);
        for place in 0..self.leaf_count * LEAF_RECORDS {
            // SAFETY: leaves below `leaf_count` exist and stay valid.
            let record = unsafe { &*self.memory.leaves.add(place) };
            Self::introduce(record, State::EMPTY, 0);
        }
    }
}
