//! The freelist, the ring, and the record's transitions under every interleaving of two or three
//! threads. Run with `RUSTFLAGS="--cfg loom" cargo test -p libcbuf --test loom --release`.

#![cfg(loom)]

use abi::layout::LEAF_RECORDS;
use libcbuf::freelist::Freelist;
use libcbuf::meta::{CbufId, Record, RecordOffset, State};
use libcbuf::primitive::{AtomicU32, Ordering, light_barrier};
use libcbuf::ring::{Producer, Ring};
use libcbuf::shelf::{Shelf, Shelves};
use libcbuf::trie::Trie;
use loom::sync::Arc;
use loom::thread;

/// A root with one leaf; records are made before the threads start.
struct Memory {
    root: Vec<AtomicU32>,
    leaves: Vec<Record>,
    shelves: Shelves,
}

impl Memory {
    fn new() -> Self {
        Self {
            root: vec![AtomicU32::new(Trie::PRESENT)],
            leaves: (0..LEAF_RECORDS).map(|_| Record::default()).collect(),
            shelves: Shelves::default(),
        }
    }

    /// Only for ids of the first leaf.
    fn trie(&self) -> Trie {
        // SAFETY: ids below `LEAF_RECORDS` look at entry 0 and leaf 0 only, which exist as long
        // as `self`, and so as the threads that share it.
        unsafe { Trie::new(self.root.as_ptr(), self.leaves.as_ptr()) }
    }
}

fn push(list: &Freelist, memory: &Memory, id: u32) {
    list.push(CbufId(id), &memory.leaves[id as usize]);
}

/// Takes the top.
fn pop(list: &Freelist, trie: &Trie) -> Option<u32> {
    let mut ids = [CbufId::NONE];
    (list.pop_some(trie, &mut ids) == 1).then_some(ids[0].0)
}

fn drain(list: &Freelist, memory: &Memory) -> Vec<u32> {
    let trie = memory.trie();
    std::iter::from_fn(|| pop(list, &trie)).collect()
}

#[test]
fn a_stack_that_came_back_to_the_same_top_is_another_stack() {
    loom::model(|| {
        let shared = Arc::new((Memory::new(), Freelist::default()));
        push(&shared.1, &shared.0, 2);
        push(&shared.1, &shared.0, 1);
        let other = shared.clone();
        // Pops both, pushes the former top back: the other's link from 1 to 2 is stale.
        let thread = thread::spawn(move || {
            let (memory, list) = &*other;
            let trie = memory.trie();
            let first = pop(list, &trie);
            let second = pop(list, &trie);
            if let Some(first) = first {
                push(list, memory, first);
            }
            second
        });
        let (memory, list) = &*shared;
        let mine = pop(list, &memory.trie());
        let theirs = thread.join().unwrap();
        let mut all: Vec<u32> = mine.into_iter().chain(theirs).collect();
        all.extend(drain(list, memory));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

#[test]
fn what_was_written_before_a_push_is_seen_after_the_pop() {
    loom::model(|| {
        let shared = Arc::new((Memory::new(), Freelist::default()));
        let other = shared.clone();
        let thread = thread::spawn(move || {
            let (memory, list) = &*other;
            for id in [3, 4] {
                memory.leaves[id as usize].sent.store(id, Ordering::Relaxed);
                push(list, memory, id);
            }
        });
        let (memory, list) = &*shared;
        let mut seen = Vec::new();
        if let Some(id) = pop(list, &memory.trie()) {
            let record = &memory.leaves[id as usize];
            assert_eq!(record.sent.load(Ordering::Relaxed), id);
            seen.push(id);
        }
        thread.join().unwrap();
        seen.extend(drain(list, memory));
        seen.sort_unstable();
        assert_eq!(seen, [3, 4]);
    });
}

#[test]
fn the_ring_hands_each_id_over_once_with_its_record() {
    loom::model(|| {
        let shared = Arc::new((Memory::new(), Ring::default()));
        let other = shared.clone();
        let thread = thread::spawn(move || {
            let (memory, ring) = &*other;
            let mut producer = Producer::default();
            let mut handed = 0;
            for ids in [[1, 2], [3, 4], [5, 6]].map(|ids| ids.map(CbufId)) {
                for id in ids {
                    let record = &memory.leaves[id.0 as usize];
                    record.sent.store(id.0, Ordering::Relaxed);
                }
                // The ring has four places: the last two fit if the others were taken out.
                handed += ring.hand_over(&mut producer, &ids) as u32;
            }
            handed
        });
        let (memory, ring) = &*shared;
        let mut seen = Vec::new();
        let mut take = |id: CbufId| {
            let record = &memory.leaves[id.0 as usize];
            assert_eq!(record.sent.load(Ordering::Relaxed), id.0);
            seen.push(id.0);
        };
        ring.take(usize::MAX, &mut take);
        let handed = thread.join().unwrap();
        ring.take(usize::MAX, &mut take);
        assert!(handed == 4 || handed == 6);
        assert!(seen.iter().copied().eq(1..=handed));
    });
}

/// The manager takes a free buffer away while the client allocates it: one of them gets it.
#[test]
fn a_free_record_is_allocated_or_taken_back_but_not_both() {
    loom::model(|| {
        let record = Arc::new(Record::default());
        record
            .state
            .store(State::new(7, 0, State::FREE).0, Ordering::SeqCst);
        let other = record.clone();
        let manager = thread::spawn(move || {
            let state = other.load();
            let gone = State::new(0, 0, State::FREE | State::INCONSISTENT);
            state.references() == 0 && state.has(State::FREE) && other.exchange(state, gone).is_ok()
        });
        let state = record.load();
        let allocated = state.page_number() != 0
            && state.has(State::FREE)
            && record
                .exchange(state, State(state.0 - State::FREE + 1))
                .is_ok();
        let taken = manager.join().unwrap();
        assert!(allocated != taken);
        assert_eq!(record.load().page_number() != 0, allocated);
    });
}

/// The manager takes an idle buffer away and gives its id, at the same place, to another sender's
/// while a receipt is on its way: who receives gets what its sender sent, or nothing.
#[test]
fn a_receipt_never_gets_what_its_sender_did_not_send() {
    struct Refuses;
    impl libcbuf::Manager for Refuses {
        fn collect(&self, _: u32, _: bool) -> Result<u32, abi::Error> {
            Ok(0)
        }
        fn map(&self, _: u32, _: abi::ComponentId) -> Result<(), abi::Error> {
            Err(abi::Error::BadBuffer)
        }
        fn relinquish(&self, _: u32) -> Result<(), abi::Error> {
            Ok(())
        }
        fn seal(&self, _: u32) -> Result<(), abi::Error> {
            Err(abi::Error::BadBuffer)
        }
    }
    const SENDER: abi::ComponentId = abi::ComponentId(1);
    const OTHER: abi::ComponentId = abi::ComponentId(2);
    loom::model(|| {
        let shared = Arc::new((Memory::new(), Ring::default()));
        let record = &shared.0.leaves[3];
        let here = State::new(7, 0, 0);
        record.state.store(here.0, Ordering::SeqCst);
        let bit = |component| Record::bit(component);
        record.senders.store(bit(SENDER), Ordering::SeqCst);
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let record = &other.0.leaves[3];
            if record.exchange(here, State::EMPTY).is_err() {
                return false;
            }
            record.received.store(0, Ordering::Relaxed);
            record.senders.store(bit(OTHER), Ordering::Relaxed);
            record.state.store(here.0, Ordering::SeqCst);
            true
        });
        let (memory, ring) = &*shared;
        // SAFETY: ids below `LEAF_RECORDS` look at memory that outlives the client; nothing is
        // ever handed over through the ring.
        let client = unsafe {
            libcbuf::Client::new(
                memory.root.as_ptr(),
                ring,
                memory.leaves.as_ptr(),
                &memory.shelves,
                &Refuses,
            )
        };
        let received = client.cbuf2buf(CbufId(3), 0, 1, SENDER).is_ok();
        let replaced = manager.join().unwrap();
        let record = &memory.leaves[3];
        // A reference keeps the buffer from being replaced, and one that was refused is gone.
        assert!(!(received && replaced));
        assert_eq!(record.load().references(), u64::from(received));
        assert_eq!(record.received.load(Ordering::SeqCst), u32::from(received));
    });
}

/// The last free and the flag that asks to hear of it: the free sees the flag, or the manager,
/// looking after it set the flag, sees the free.
#[test]
fn a_last_free_is_seen_or_told() {
    loom::model(|| {
        let record = Arc::new(Record::default());
        record
            .state
            .store(State::new(7, 0, 0).0 + 1, Ordering::SeqCst);
        let other = record.clone();
        let manager = thread::spawn(move || {
            other.state.fetch_or(State::RELINQUISH, Ordering::SeqCst);
            other.load().references() == 0
        });
        let mut state = record.load();
        while let Err(now) = record.exchange(state, State(state.0 - 1)) {
            state = now;
        }
        let told = state.has(State::RELINQUISH);
        assert!(manager.join().unwrap() || told);
    });
}

/// A thread puts a buffer on its shelf and allocates it again, while the manager takes it as
/// `cbuf_mgr::control` does: one of them has it in the end, and the other knows.
#[test]
fn a_shelved_buffer_is_allocated_or_taken_but_not_both() {
    loom::model(|| {
        let shared = Arc::new((Record::default(), Shelf::default()));
        let idle = State(State::new(7, 0, State::EXCLUSIVE).0 + 1);
        shared.0.state.store(idle.0, Ordering::SeqCst);
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let (record, shelf) = &*other;
            record.state.fetch_or(State::RELINQUISH, Ordering::SeqCst);
            light_barrier();
            if shelf.at(0) != Some(CbufId(5)) {
                return false;
            }
            let gone = State::new(0, 0, State::FREE | State::INCONSISTENT);
            let wanted = State(idle.0 | State::RELINQUISH);
            record.load() == wanted && record.exchange(wanted, gone).is_ok()
        });
        let (record, shelf) = &*shared;
        // The thread frees it, and allocates it again if it still has it.
        let mut told = !shelf.put(RecordOffset::of(CbufId(5)), record);
        let mut allocated = false;
        if !told {
            assert_eq!(shelf.take(), Some(RecordOffset::of(CbufId(5))));
            allocated = record.load() == idle;
            told = !allocated;
        }
        // What it is told of, it releases like any other: unless that fails, the manager hears.
        let heard = told && {
            let state = record.load();
            let released = State::new(7, 0, State::RELINQUISH);
            state.page_number() != 0 && record.exchange(state, released).is_ok()
        };
        let taken = manager.join().unwrap();
        assert_eq!([allocated, heard, taken].iter().filter(|b| **b).count(), 1);
        assert_eq!(taken, record.load().page_number() == 0);
    });
}

/// A place on a shelf is used for another buffer: the manager never takes the first for it.
#[test]
fn a_place_used_again_names_the_new_buffer() {
    loom::model(|| {
        let shared = Arc::new((Memory::new(), Shelf::default()));
        let idle = State(State::new(7, 0, State::EXCLUSIVE).0 + 1);
        for id in [1, 2] {
            shared.0.leaves[id].state.store(idle.0, Ordering::SeqCst);
        }
        assert!(
            shared
                .1
                .put(RecordOffset::of(CbufId(1)), &shared.0.leaves[1])
        );
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let (memory, shelf) = &*other;
            let record = &memory.leaves[1];
            record.state.fetch_or(State::RELINQUISH, Ordering::SeqCst);
            light_barrier();
            let wanted = State(idle.0 | State::RELINQUISH);
            let gone = State::new(0, 0, State::FREE | State::INCONSISTENT);
            shelf.at(0) == Some(CbufId(1)) && record.exchange(wanted, gone).is_ok()
        });
        let (memory, shelf) = &*shared;
        assert_eq!(shelf.take(), Some(RecordOffset::of(CbufId(1))));
        let allocated = memory.leaves[1].load() == idle;
        shelf.put(RecordOffset::of(CbufId(2)), &memory.leaves[2]);
        assert!(!(allocated && manager.join().unwrap()));
    });
}
