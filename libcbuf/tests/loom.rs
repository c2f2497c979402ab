//! The freelist and the ring under every interleaving of two or three threads; what records go
//! through is in `cbuf-mgr/tests/loom.rs`, with the manager's half as it ships. Run with `RUSTFLAGS="--cfg loom" cargo test -p libcbuf --test loom --release`.

#![cfg(loom)]

use abi::layout::LEAF_RECORDS;
use libcbuf::freelist::Freelist;
use libcbuf::meta::{CbufId, Record};
use libcbuf::primitive::{AtomicU32, Ordering};
use libcbuf::ring::{Producer, Ring};
use libcbuf::trie::Trie;
use loom::sync::Arc;
use loom::thread;

/// A root with one leaf; records are made before the threads start.
struct Memory {
    root: Vec<AtomicU32>,
    leaves: Vec<Record>,
}

impl Memory {
    fn new() -> Self {
        Self {
            root: vec![AtomicU32::new(Trie::PRESENT)],
            leaves: (0..LEAF_RECORDS).map(|_| Record::default()).collect(),
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
