//! The memory shared with one client, as the manager sees it, with the manager's own copy of
//! the trie's shape. Reading it believes nothing; writing it writes what the manager's tables
//! say.

use crate::machine::{ControlMemory, Machine};
use abi::layout::{LEAF_RECORDS, TRIE_ROOT_ENTRIES};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use core::ptr::NonNull;
use libcbuf::meta::{CbufId, Record, State};
use libcbuf::primitive::Ordering;
use libcbuf::ring::Producer;
use libcbuf::shelf::{Shelf, Shelves};
use libcbuf::trie::Trie;

/// How often a compare-and-swap on a client's word is repeated before the word counts as busy. An
/// honest client changes it a few times at most while the manager looks.
const TRIES: usize = 16;

pub struct Control {
    client: ComponentId,
    memory: ControlMemory,
    /// For each root entry so far: whether its leaf exists.
    leaves: Vec<bool>,
    producer: Producer,
}

// SAFETY: the pointers lead to memory that is shared by design and reached only as atomics.
unsafe impl Send for Control {}

/// A record that exists, found without a look at the tables above.
#[derive(Clone, Copy, Debug)]
pub struct SharedRecord(NonNull<Record>);

// SAFETY: as for `Control`.
unsafe impl Send for SharedRecord {}

impl SharedRecord {
    #[inline]
    pub fn get(&self) -> &Record {
        // SAFETY: made from a record that exists, and the machine keeps those valid for its life,
        // which is the manager's.
        unsafe { self.0.as_ref() }
    }
}

/// What [`Control::withdraw`] asks of a record besides that nothing references it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// That it is not free either: then its owner may be allocating it.
    Owner,
    Receiver,
}

impl Control {
    pub fn new<M: Machine>(machine: &mut M, client: ComponentId) -> Result<Self, Error> {
        let mut control = Self {
            client,
            memory: machine.make_control(client)?,
            leaves: Vec::new(),
            producer: Producer::default(),
        };
        // Where the client looks for what is not here.
        control.ensure(machine, CbufId::NONE)?;
        Ok(control)
    }

    /// The record of `id`; `None` before [`Control::ensure`] for it.
    #[inline]
    pub fn record(&self, id: CbufId) -> Option<&Record> {
        if !*self.leaves.get(id.0 as usize / LEAF_RECORDS)? {
            return None;
        }
        // SAFETY: our own table says that this leaf exists; the machine keeps it valid.
        Some(unsafe { &*self.memory.leaves.add(id.0 as usize) })
    }

    /// The record of `id`, to be kept; `None` before [`Control::ensure`] for it.
    pub fn shared(&self, id: CbufId) -> Option<SharedRecord> {
        self.record(id).map(|record| SharedRecord(record.into()))
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
            self.leaves.resize(index + 1, false);
        }
        if !self.leaves[index] {
            machine.add_leaf(self.client, index)?;
            self.leaves[index] = true;
            self.clear_leaf(index);
            // SAFETY: the root has `TRIE_ROOT_ENTRIES` words and the machine keeps it valid.
            let entry = unsafe { &*self.memory.root.add(index) };
            // Release: pairs with the acquire in `Trie::record`; the leaf is zero by now.
            entry.store(Trie::PRESENT, Ordering::Release);
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

    /// Makes the state of a buffer, which was just read, `free`, whatever it is, unless the client
    /// references the buffer, or it is free already: then it lies where the client finds it, and to
    /// hand it over once more would give it to two; its counters go on. A receipt that is about to be
    /// refused may hold a reference.
    #[inline]
    pub fn restate(record: &Record, mut state: State, free: State) -> bool {
        for _ in 0..TRIES {
            if state.has(State::REFERENCES | State::FREE) {
                return false;
            }
            match record.exchange(state, free) {
                Ok(()) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Tells the client that the buffer may change from here on, unless it references it and was
    /// told otherwise. Flag and reference count are one word, as address and reference count are.
    pub fn unseal(record: &Record) -> bool {
        for _ in 0..TRIES {
            let state = record.load();
            if !state.has(State::SEALED) {
                return true;
            }
            if state.references() != 0 {
                return false;
            }
            if record
                .exchange(state, State(state.0 & !State::SEALED))
                .is_ok()
            {
                return true;
            }
        }
        false
    }

    /// Takes the address away from a client that lets go of the buffer, unless it references it.
    /// Address and reference count are one word, so a reference taken meanwhile is not missed.
    pub fn withdraw(record: &Record, whose: Whose) -> bool {
        let refused = match whose {
            Whose::Owner => State::REFERENCES | State::FREE,
            Whose::Receiver => State::REFERENCES,
        };
        for _ in 0..TRIES {
            let state = record.load();
            if state.has(refused) {
                return false;
            }
            if record.exchange(state, State::EMPTY).is_ok() {
                return true;
            }
        }
        false
    }

    /// Takes what lies in a freelist, the ring or on a shelf of its owner's, of 2^`order` pages,
    /// whatever the owner's threads do meanwhile: from then on it is not allocated, and whoever
    /// finds it discards it. Answers what its record said; nothing where it is allocated again,
    /// though it may have been freed since: then it may be on its way.
    pub fn take_unused<M: Machine>(&self, machine: &M, id: CbufId, order: u32) -> Option<State> {
        let record = self.record(id)?;
        let on_a_shelf = || self.shelves().lists(id, order);
        let listed = || Self::is_listed(record, on_a_shelf);
        Self::take_free(record, order)
            .or_else(|| Self::take_idle(record, order, listed, || machine.barrier()))
    }

    /// [`Control::take_unused`] of what was handed over and not allocated since.
    pub fn take_free(record: &Record, order: u32) -> Option<State> {
        for _ in 0..TRIES {
            let state = record.load();
            if state.references() != 0 || !state.has(State::FREE) {
                return None;
            }
            if record.exchange(state, Self::taken(order)).is_ok() {
                return Some(state);
            }
        }
        None
    }

    /// [`Control::take_unused`] of what is idle and `listed`, in a freelist or on a shelf, unless it is
    /// not any more once every processor has passed the `barrier`.
    pub fn take_idle(
        record: &Record,
        order: u32,
        listed: impl Fn() -> bool,
        barrier: impl FnOnce(),
    ) -> Option<State> {
        if !listed() {
            return None;
        }
        record.state.fetch_or(State::RELINQUISH, Ordering::SeqCst);
        barrier();
        if !listed() {
            return None;
        }
        let state = record.load();
        let idle = Shelf::IDLE | State::RELINQUISH;
        let taken = Self::taken(order);
        (state.0 & Shelf::MASK == idle && record.exchange(state, taken).is_ok()).then_some(state)
    }

    /// Whether a buffer lies in a freelist or `on_a_shelf`. From a shelf to a list it goes by way of
    /// both, so the list is asked once more.
    pub fn is_listed(record: &Record, on_a_shelf: impl Fn() -> bool) -> bool {
        record.is_linked() || on_a_shelf() || record.is_linked()
    }

    /// What the record of a buffer says that was taken back where it lies.
    fn taken(order: u32) -> State {
        State::new(0, order, State::FREE | State::INCONSISTENT)
    }

    /// Gives back what was taken, where it lies: it is as it `was`. Where the owner discarded it
    /// meanwhile it lies nowhere, and is `garbage`.
    pub fn give_back(record: &Record, was: State, garbage: State) {
        if record.exchange(Self::taken(was.order()), was).is_err() {
            record.state.store(garbage.0, Ordering::SeqCst);
        }
    }

    /// What its threads keep for themselves, as the client says.
    pub fn shelves(&self) -> &Shelves {
        // SAFETY: the machine keeps the shelves valid.
        unsafe { &*self.memory.shelves }
    }

    /// Gets buffers ready to be handed over; answers how many there was room for.
    pub fn put(&mut self, ids: &[CbufId]) -> usize {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.put(&mut self.producer, ids)
    }

    /// Gets one buffer ready, where the caller knows that there is room.
    #[inline]
    pub fn put_one(&mut self, id: CbufId) {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.put_one(&mut self.producer, id);
    }

    /// Hands buffers over to the client, and those that were put before; answers how many there was room for.
    pub fn hand_over(&mut self, ids: &[CbufId]) -> usize {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.hand_over(&mut self.producer, ids)
    }

    /// How many ids can be handed over now.
    pub fn space(&self) -> usize {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.space(&self.producer)
    }

    /// Empties every record, the shelves and the ring, for a client that died and may begin anew.
    pub fn reset(&mut self) {
        // SAFETY: the machine keeps the ring valid.
        unsafe { &*self.memory.ring }.reset(&mut self.producer);
        self.shelves().reset();
        let leaves = self
            .leaves
            .iter()
            .enumerate()
            .filter(|(_, exists)| **exists);
        for (leaf, _) in leaves {
            self.clear_leaf(leaf);
        }
    }

    /// Empties the records of a leaf that exists.
    fn clear_leaf(&self, leaf: usize) {
        for id in leaf * LEAF_RECORDS..(leaf + 1) * LEAF_RECORDS {
            if let Some(record) = self.record(CbufId(id as u32)) {
                Self::introduce(record, State::EMPTY, 0);
            }
        }
    }
}
