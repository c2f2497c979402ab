//! From a buffer's id to its record: a root that only the manager writes, and leaves of 128
//! records. Source: CBUFs, section 3.1 and figure 2.

use crate::meta::{CbufId, Record};
use crate::primitive::{AtomicU32, Ordering};
use abi::layout::{LEAF_RECORDS, TRIE_ROOT_ENTRIES};
use core::ptr::NonNull;

/// A component's view of its trie, or the manager's view of it at another address.
#[derive(Clone, Copy, Debug)]
pub struct Trie {
    /// [`TRIE_ROOT_ENTRIES`] words: 0, or the number of the leaf plus one.
    root: *const AtomicU32,
    /// Leaf number 0.
    leaves: NonNull<Record>,
}

// SAFETY: the memory behind both pointers is shared by design; it is reached only as atomics.
unsafe impl Send for Trie {}
// SAFETY: as above.
unsafe impl Sync for Trie {}

impl Trie {
    /// # Safety
    /// As long as the trie or a record from it is used, `root` points at [`TRIE_ROOT_ENTRIES`]
    /// words that nobody but the manager writes, and for each word `n` that is not zero,
    /// `leaves + (n - 1) * LEAF_RECORDS` at [`LEAF_RECORDS`] records that stay mapped.
    pub const unsafe fn new(root: *const AtomicU32, leaves: *const Record) -> Self {
        // SAFETY: memory that the caller promises to be there is not at address 0.
        let leaves = unsafe { NonNull::new_unchecked(leaves.cast_mut()) };
        Self { root, leaves }
    }

    /// The record of `id`, unless the id is out of range or its leaf absent. Costs two loads.
    #[inline]
    pub fn record(&self, id: CbufId) -> Option<&Record> {
        let index = id.0 as usize / LEAF_RECORDS;
        if index >= TRIE_ROOT_ENTRIES {
            return None;
        }
        // SAFETY: `index` is below the root's length.
        let entry = unsafe { &*self.root.add(index) };
        // Acquire: pairs with the manager's release when it installs the leaf, whose records it
        // wrote before.
        let leaf = entry.load(Ordering::Acquire) as usize;
        if leaf == 0 {
            return None;
        }
        let place = (leaf - 1) * LEAF_RECORDS + id.0 as usize % LEAF_RECORDS;
        // SAFETY: the manager wrote the entry, so the leaf is mapped (contract of `new`), and
        // only atomics are reached through the record.
        Some(unsafe { self.leaves.add(place).as_ref() })
    }
}
