//! The database of the product.

use super::Design;
use cap::captype::Tree;
use cap::mdb::Mdb;
use cap::{Cap, Slot, SlotRef};
use std::ptr::NonNull;

pub struct Wavl {
    slots: &'static [Slot],
    mdb: Mdb,
}

impl Design for Wavl {
    const NAME: &'static str = "weak AVL tree";
    type Slot = SlotRef;

    fn with_room(slots: usize) -> Wavl {
        let slots: Vec<Slot> = (0..slots).map(|_| Slot::EMPTY).collect();
        Wavl {
            slots: slots.leak(),
            mdb: Mdb::new(),
        }
    }

    fn slot(&self, n: usize) -> SlotRef {
        // SAFETY: leaked memory, used by this database and thread alone.
        unsafe { SlotRef::new(NonNull::from(&self.slots[n])) }
    }

    fn insert(&mut self, slot: SlotRef, cap: &Cap) {
        self.mdb.insert(slot, cap);
    }

    fn insert_copy(&mut self, slot: SlotRef, cap: &Cap, source: SlotRef) {
        self.mdb.insert_copy(slot, cap, source);
    }

    fn remove(&mut self, slot: SlotRef) {
        self.mdb.remove(slot);
    }

    fn next(&self, slot: SlotRef) -> Option<SlotRef> {
        self.mdb.next(slot)
    }

    fn has_copies(&self, slot: SlotRef) -> bool {
        self.mdb.other_copy(slot).is_some()
    }

    fn has_ancestors(&self, slot: SlotRef) -> bool {
        self.mdb.ancestor(slot).is_some()
    }

    fn has_descendants(&self, slot: SlotRef) -> bool {
        self.mdb.first_descendant(slot).is_some()
    }

    fn meets(&self, base: u64, bytes: u64) -> bool {
        self.mdb
            .first_reaching(Tree::Memory, base)
            .is_some_and(|found| found.base() < base + bytes)
    }
}
