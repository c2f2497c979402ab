//! From a buffer's id to its record: a root that only the manager writes, and leaves of 128
//! records. Source: CBUFs, section 3.1 and figure 2.

use crate::meta::{CbufId, Record, RecordOffset};
use crate::primitive::{AtomicU32, Ordering};
use abi::layout::{LEAF_RECORDS, TRIE_ROOT_ENTRIES};
use core::ptr::NonNull;

/// A component's view of its trie.
#[derive(Clone, Copy, Debug)]
pub struct Trie {
    /// [`TRIE_ROOT_ENTRIES`] words: [`Trie::PRESENT`] or [`Trie::ABSENT`].
    root: *const AtomicU32,
    /// The record of id 0. A leaf's place follows from its ids, so the page tables of the
    /// processor are the trie's inner level, and a known id's record is one addition away.
    leaves: NonNull<Record>,
}

// SAFETY: the memory behind both pointers is shared by design; it is reached only as atomics.
unsafe impl Send for Trie {}
// SAFETY: as above.
unsafe impl Sync for Trie {}

impl Trie {
    /// The root's word for a leaf that exists: a mask that changes no offset.
    pub const PRESENT: u32 = u32::MAX;
    /// The root's word for one that does not: every id in it leads to the record of id 0.
    pub const ABSENT: u32 = 0;

    /// # Safety
    /// As long as the trie or a record from it is used, `root` points at [`TRIE_ROOT_ENTRIES`]
    /// words that nobody but the manager writes, the first of them [`Trie::PRESENT`], and for each
    /// word `n` that is, `leaves + n * LEAF_RECORDS` at [`LEAF_RECORDS`] records that stay mapped.
    pub const unsafe fn new(root: *const AtomicU32, leaves: *const Record) -> Self {
        // SAFETY: memory that the caller promises to be there is not at address 0.
        let leaves = unsafe { NonNull::new_unchecked(leaves.cast_mut()) };
        Self { root, leaves }
    }

    /// The record of `id`, unless the id is out of range or its leaf absent. Costs one load.
    #[inline]
    pub fn record(&self, id: CbufId) -> Option<&Record> {
        let here = self.leaf(id)?;
        // SAFETY: the manager wrote the entry, so the leaf is there.
        (here != Self::ABSENT).then(|| unsafe { self.known(RecordOffset::of(id)) })
    }

    /// As [`Trie::record`], without a branch for a leaf that is absent: then, the record of id 0,
    /// which says that nothing is here.
    #[inline]
    pub fn record_or_none(&self, id: CbufId) -> Option<&Record> {
        let here = self.leaf(id)?;
        // SAFETY: the leaf is there, or the record is that of id 0, whose leaf always is.
        Some(unsafe { self.known(RecordOffset(RecordOffset::of(id).0 & here)) })
    }

    /// The root's word about the leaf of `id`.
    #[inline]
    fn leaf(&self, id: CbufId) -> Option<u32> {
        let index = id.0 as usize / LEAF_RECORDS;
        if index >= TRIE_ROOT_ENTRIES {
            return None;
        }
        // SAFETY: `index` is below the root's length.
        let entry = unsafe { &*self.root.add(index) };
        // Acquire: pairs with the manager's release when it installs the leaf, whose records it
        // wrote before.
        Some(entry.load(Ordering::Acquire))
    }

    /// The record of an id that has one.
    ///
    /// # Safety
    /// [`Trie::record`] answers a record for this id.
    #[inline]
    pub unsafe fn known(&self, offset: RecordOffset) -> &Record {
        // SAFETY: the leaf is mapped (contract of `new`), and only atomics are reached through
        // the record.
        unsafe {
            // Under the model checker records are larger.
            #[cfg(loom)]
            let record = self.leaves.add(offset.id().0 as usize);
            #[cfg(not(loom))]
            let record = self.leaves.byte_add(offset.0 as usize);
            record.as_ref()
        }
    }
}
