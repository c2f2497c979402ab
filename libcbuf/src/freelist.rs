//! Free buffers of one size class: a Treiber stack whose head is an id and a count of changes in
//! one word, so that a head which came back to the same id is not mistaken for the same stack.
//! Links are ids, and every id goes through the trie: a bad link costs buffers, never a wild
//! access. Source: CBUFs, section 3.4.

use crate::meta::{CbufId, Record};
use crate::primitive::{AtomicU64, Ordering};
use crate::trie::Trie;

#[derive(Debug)]
pub struct Freelist {
    /// Id of the first record ([`Record::END`]: none) | changes << 32.
    head: AtomicU64,
}

const ID: u64 = u32::MAX as u64;
const CHANGE: u64 = 1 << 32;

impl Default for Freelist {
    fn default() -> Self {
        Self {
            head: AtomicU64::new(Record::END as u64),
        }
    }
}

impl Freelist {
    /// Puts `record`, which is `id`'s and in no list, on top. Lock-free.
    #[inline]
    pub fn push(&self, id: CbufId, record: &Record) {
        self.push_all(id, record);
    }

    /// Puts a chain of records, linked from `top` down to `bottom` and in no list, on top.
    /// Lock-free.
    #[inline]
    pub fn push_all(&self, top: CbufId, bottom: &Record) {
        // Relaxed: the exchange below fails unless this is the newest head.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            bottom.set_link(head as u32);
            let new = (head & !ID).wrapping_add(CHANGE) | top.0 as u64;
            // Release: pairs with the acquire in `pop`, which then reads links and states.
            match self
                .head
                .compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the top record. Lock-free. A head or link that names no record (the component
    /// overwrote its own metadata) empties the list.
    #[inline]
    pub fn pop<'t>(&self, trie: &'t Trie) -> Option<(CbufId, &'t Record)> {
        // Acquire: pairs with the release in `push`; later exchanges continue its release
        // sequence, so records further down are visible too.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let id = head as u32;
            if id == Record::END {
                return None;
            }
            let found = trie.record(CbufId(id)).filter(|_| id != 0);
            let next = found.map_or(Record::END, Record::link);
            let new = (head & !ID).wrapping_add(CHANGE) | next as u64;
            match self
                .head
                .compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return found.map(|record| (CbufId(id), record)),
                Err(now) => head = now,
            }
        }
    }
}
