//! Delete: what happens when the last copy of a capability goes.
//!
//! Most last copies go at once. An object that has something in it or hanging from it (a CNode's
//! and a Component's slots, a page table's entries, a frame's mappings, a Component's Entries) is
//! taken apart first, in bounded pieces. Meanwhile its last copy is marked (nobody can look it
//! up, copy, or look through it) and stands on a list, threaded through the two type-specific words
//! that such types do not use: how far the work is, and the next on the list. A CNode found inside
//! a CNode goes on top of the list, so nothing recurses, however deep they nest, and one that
//! contains itself or the CNode it lies in is met marked and passed over. Its slot may then lie in
//! memory to which nobody holds a capability any more; so while the list is not empty no memory
//! is retyped, whoever asks: they carry the work on instead.

use crate::captype::{Holds, info};
use crate::slot::SlotRef;
use crate::{Caps, Platform};
use abi::Error;
use abi::captype::CapType;

/// Work that one call may do, in about the cost of looking at one word.
pub(crate) const BUDGET: u32 = 4096;
/// What taking a capability out of the database costs.
const REMOVE: u32 = 32;

/// What is left of a call's work.
pub(crate) struct Budget(u32);

impl Budget {
    pub(crate) const fn of(work: u32) -> Budget {
        Budget(work)
    }

    /// Errors: `Again` when the call has done enough. The last piece may overdraw.
    pub(crate) fn spend(&mut self, work: u32) -> Result<(), Error> {
        if self.0 == 0 {
            return Err(Error::Again);
        }
        self.charge(work);
        Ok(())
    }

    /// Accounts for work that has been done, and may overdraw.
    fn charge(&mut self, work: u32) {
        self.0 = self.0.saturating_sub(work);
    }
}

impl<P: Platform> Caps<P> {
    /// Deletes one capability; with the last copy, the object. Find the slot with [`Caps::slot`]:
    /// `lookup` does not show what is half deleted.
    ///
    /// Errors: `NoCapability`, `Again`. A caller that was told `Again` and finds `NoCapability` next
    /// time is done: another's call finished the work.
    pub fn delete(&mut self, slot: SlotRef) -> Result<(), Error> {
        if slot.is_empty() {
            return Err(Error::NoCapability);
        }
        let mut budget = Budget::of(self.budget);
        let mut result = self.begin_delete(slot, &mut budget);
        while result.is_ok() && !slot.is_empty() {
            result = self.delete_step(&mut budget);
        }
        self.flush();
        result
    }

    /// Is something half deleted?
    pub fn deletion_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Does a piece of a pending deletion, and says `Again`.
    pub(crate) fn carry_on(&mut self) -> Result<(), Error> {
        let _ = self.finish_deletions(&mut Budget::of(self.budget));
        self.flush();
        Err(Error::Again)
    }

    /// Removes the capability, or marks it and puts it on the list. Nothing for one that is there.
    pub(crate) fn begin_delete(&mut self, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
        if slot.is_deleting() || slot.is_empty() {
            return Ok(());
        }
        let cap = slot.cap();
        let line = info(cap.ty);
        if line.is_mapping() {
            budget.spend(REMOVE + u32::from(cap.extra))?;
            self.destroy_mapping(slot);
            return Ok(());
        }
        budget.spend(REMOVE)?;
        if self.has_copies(slot) {
            self.mdb.remove(slot);
            return Ok(());
        }
        budget.charge(self.platform.destroyed(&cap));
        if line.is_simple() {
            self.mdb.remove(slot);
            return Ok(());
        }
        let next = self.pending.map_or(0, SlotRef::expose);
        slot.start_deleting();
        slot.set_data([0, next]);
        self.pending = Some(slot);
        Ok(())
    }

    /// Works on the list until it is empty. Errors: `Again`.
    pub(crate) fn finish_deletions(&mut self, budget: &mut Budget) -> Result<(), Error> {
        while self.pending.is_some() {
            self.delete_step(budget)?;
        }
        Ok(())
    }

    /// Works on the newest of the list, until it is gone or another is before it. Errors: `Again`.
    fn delete_step(&mut self, budget: &mut Budget) -> Result<(), Error> {
        let Some(top) = self.pending else {
            return Ok(());
        };
        self.take_apart(top, budget)?;
        if self.pending == Some(top) {
            let [_, next] = top.data();
            // SAFETY: `begin_delete` stored the slot that was first on the list before this one; it
            // is marked, so nothing but this list empties it, and no memory is retyped meanwhile.
            self.pending = unsafe { SlotRef::from_exposed(next) };
            self.mdb.remove(top);
        }
        Ok(())
    }

    /// Takes the object of `top` apart until nothing is left in it, or until a CNode in it went on
    /// the list before it.
    fn take_apart(&mut self, top: SlotRef, budget: &mut Budget) -> Result<(), Error> {
        let cap = top.cap();
        let line = info(cap.ty);
        if let Some(mapping) = line.mapping {
            self.unmap_everywhere(&cap, mapping, budget)?;
        }
        if line.level.is_some() {
            return self.empty_table(top, budget);
        }
        if cap.ty == CapType::Component {
            while let Some(entry) = self.mdb.first_descendant(top) {
                self.begin_delete(entry, budget)?;
            }
        }
        if line.holds == Holds::Nothing {
            return Ok(());
        }
        let slots = u64::from(line.slots(cap.bytes));
        let [mut cursor, next] = top.data();
        while cursor < slots && self.pending == Some(top) {
            budget.spend(1)?;
            // SAFETY: the object holds `slots` slots and the cursor is below.
            let slot = unsafe { self.slots_at(cap.base).plus(cursor as usize) };
            self.begin_delete(slot, budget)?;
            cursor += 1;
            top.set_data([cursor, next]);
        }
        Ok(())
    }
}
