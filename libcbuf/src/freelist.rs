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

    /// Whether there is nothing to pop at that moment.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: a pop finds out.
        self.head.load(Ordering::Relaxed) as u32 == Record::END
    }

    /// Takes as many records from the top as there are places in `ids`, or all; answers how many.
    /// Lock-free. A head or link that names no record (the component overwrote its own metadata)
    /// ends the list.
    #[inline]
    pub fn pop_some(&self, trie: &Trie, ids: &mut [CbufId]) -> usize {
        // Acquire: pairs with the release in `push_all`; later exchanges continue its release
        // sequence, so records further down are visible too.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            if head as u32 == Record::END {
                return 0;
            }
            let (mut next, mut count) = (head as u32, 0);
            while next != Record::END
                && let Some(place) = ids.get_mut(count)
            {
                let id = CbufId(next);
                next = match trie.record(id).filter(|_| id != CbufId::NONE) {
                    Some(record) => {
                        *place = id;
                        count += 1;
                        record.link()
                    }
                    None => Record::END,
                };
            }
            // As long as nobody changed the head, nobody changed the links below it.
            let new = (head & !ID).wrapping_add(CHANGE) | next as u64;
            match self
                .head
                .compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return count,
                Err(now) => head = now,
            }
        }
    }
}
