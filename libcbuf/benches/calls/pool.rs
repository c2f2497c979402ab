//! A pool for one client, whose manager makes a buffer whenever one is asked for and collects
//! none: what is measured never calls it.

use libcbuf::meta::{CbufId, Record, State};
use libcbuf::primitive::{AtomicU32, Ordering};
use libcbuf::ring::{Producer, Ring};
use libcbuf::shelf::Shelves;
use libcbuf::trie::Trie;
use libcbuf::{Client, ComponentId, Error, Manager};
use std::alloc::{Layout, alloc_zeroed};
use std::sync::Mutex;

/// Ids that there can be.
const IDS: usize = 2048;
const PAGE: usize = 4096;

struct Pool {
    leaves: Vec<Record>,
    ring: &'static Ring,
    next: Mutex<(u32, Producer)>,
}

// SAFETY: the ring has one producer, which is behind the lock.
unsafe impl Sync for Pool {}

impl Manager for Pool {
    fn collect(&self, order: u32, _wait: bool) -> Result<u32, Error> {
        let Ok(mut next) = self.next.lock() else {
            return Err(Error::BadState);
        };
        let id = next.0;
        let record = self.leaves.get(id as usize).ok_or(Error::NoMemory)?;
        let layout = Layout::from_size_align(PAGE << order, PAGE).map_err(|_| Error::BadSize)?;
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { alloc_zeroed(layout) };
        let state = State::new((memory as usize / PAGE) as u64, order, State::FREE);
        record.state.store(state.0, Ordering::SeqCst);
        next.0 += 1;
        Ok(self.ring.hand_over(&mut next.1, &[CbufId(id)]) as u32)
    }
    fn map(&self, _id: u32, _from: ComponentId) -> Result<(), Error> {
        Err(Error::BadBuffer)
    }
    fn relinquish(&self, _id: u32) -> Result<(), Error> {
        Ok(())
    }
    fn seal(&self, _id: u32) -> Result<(), Error> {
        Err(Error::BadBuffer)
    }
}

/// The process's client.
pub fn client() -> &'static Client {
    let present = |leaf| leaf < IDS / abi::layout::LEAF_RECORDS;
    let word = |leaf| {
        AtomicU32::new(if present(leaf) {
            Trie::PRESENT
        } else {
            Trie::ABSENT
        })
    };
    let root = (0..abi::layout::TRIE_ROOT_ENTRIES).map(word);
    let root: &'static [AtomicU32] = root.collect::<Vec<_>>().leak();
    let ring: &'static Ring = Box::leak(Box::default());
    let pool: &'static Pool = Box::leak(Box::new(Pool {
        leaves: (0..IDS).map(|_| Record::default()).collect(),
        ring,
        next: Mutex::new((1, Producer::default())),
    }));
    let shelves: &'static Shelves = Box::leak(Box::default());
    // SAFETY: all of it is leaked, and as large as the root says; the pool is the ring's one
    // producer.
    let client = unsafe { Client::new(root.as_ptr(), ring, pool.leaves.as_ptr(), shelves, pool) };
    Box::leak(Box::new(client))
}

/// Lets a shared buffer be received from a component, as the manager does.
pub fn admit(client: &Client, id: CbufId, from: ComponentId) {
    if let Some(record) = client.record(id) {
        record.senders.fetch_or(Record::bit(from), Ordering::SeqCst);
    }
}

/// Makes a shared buffer with one reference one that nobody was sent, as the manager does when it
/// collects one and its owner allocates it again.
pub fn settle(client: &Client, id: CbufId) {
    if let Some(record) = client.record(id) {
        record.receivers.store(0, Ordering::SeqCst);
        record.state.fetch_or(State::EXCLUSIVE, Ordering::SeqCst);
    }
}
