//! Delete: what happens when the last copy of a capability goes.
//!
//! Most last copies go at once. An object that has something in it or hanging from it (a CNode's
//! and a Component's slots, a page table's entries, a frame's mappings, a Component's Entries) is
//! taken apart first, in bounded pieces. Meanwhile its last copy is marked (nobody can look it
//! up, copy, or look through it) and stands on a list, threaded through the two type-specific words
//! that such types do not use: how far the work is, and the next on the list. A CNode found inside
//! a CNode goes on top of the list, so nothing recurses, however deep they nest.
//!
//! What holds slots first *goes home*: its marked capability moves into its own first slot, and
//! what was there is deleted before (or, if that holds slots itself, changes places with it and is
//! next to go home). So however CNodes contain themselves and each other, none of the list lies in
//! the memory of another that goes before it, and the slot that was deleted is soon empty.
//!
//! Only one deletion that needs the list is under way at a time: who wants another, or memory by
//! retype, carries the first one on instead. Copies and mappings are deleted at any time.
//!
//! What becomes of the memory: [`crate::reclaim`].

use crate::captype::{Holds, info};
use crate::slot::{Cap, SlotRef};
use crate::{Caps, Platform};
use abi::Error;
use abi::captype::CapType;

/// Work that one call may do, in about the cost of looking at one word.
pub(crate) const BUDGET: u32 = 4096;
/// What taking a capability out of the database costs.
pub(crate) const REMOVE: u32 = 32;

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
    /// `lookup` does not show what is half deleted. After `Again` look it up anew and call again.
    ///
    /// Errors: `NoCapability`, `Again`.
    pub fn delete(&mut self, slot: SlotRef) -> Result<(), Error> {
        let result = self.delete_some(slot, &mut Budget::of(self.budget));
        self.flush();
        result
    }

    fn delete_some(&mut self, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
        // What a slot held may be under way when the slot is empty again.
        let continued = self.unfinished == Some(slot) && slot.is_empty();
        if slot.is_empty() && !continued {
            return Err(Error::NoCapability);
        }
        if !continued && !slot.is_deleting() {
            if slot.info().is_mapping() || self.has_copies(slot) {
                return self.begin_delete(slot, budget);
            }
            if self.deletion_pending() {
                let _ = self.finish_deletions(budget);
                return Err(Error::Again);
            }
            budget.spend(REMOVE)?;
            self.begin_last(slot, budget);
            if !self.deletion_pending() {
                return Ok(());
            }
        }
        self.unfinished = Some(slot);
        self.finish_deletions(budget)?;
        self.unfinished = None;
        Ok(())
    }

    /// Is something half deleted?
    pub fn deletion_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Carries what is half deleted to its end, however long that takes.
    pub fn settle(&mut self) {
        while self.deletion_pending() {
            // It always says `Again`.
            let _ = self.carry_on();
        }
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
        self.begin_last(slot, budget);
        Ok(())
    }

    /// Removes a last copy, with its object, or marks it and puts it on the list.
    fn begin_last(&mut self, slot: SlotRef, budget: &mut Budget) {
        let cap = slot.cap();
        budget.charge(self.platform.destroyed(&cap));
        if self.has_something_in(&cap) {
            return self.push(slot);
        }
        let uncovered = self.is_uncovered(slot);
        if uncovered && self.has_descendants(slot) {
            return self.push(slot);
        }
        self.finish(slot, uncovered);
    }

    /// Is there anything to take apart in the object, or may there be?
    fn has_something_in(&self, cap: &Cap) -> bool {
        let line = info(cap.ty);
        line.holds != Holds::Nothing
            || line.level.is_some()
            || line
                .mapping
                .is_some_and(|mapping| self.is_mapped(cap, mapping))
    }

    /// Marks a last copy and puts it on top of the list.
    fn push(&mut self, slot: SlotRef) {
        let next = self.pending.map_or(0, SlotRef::expose);
        slot.start_deleting();
        slot.set_data([0, next]);
        self.pending = Some(slot);
    }

    /// The top of the list, whose words are `data`, is gone.
    pub(crate) fn pop(&mut self, data: [u64; 2]) {
        let [_, next] = data;
        // SAFETY: `push` stored the slot that was first on the list before this one; it is marked
        // and in its own memory, so nothing but this list empties it, and no memory is retyped
        // meanwhile.
        self.pending = unsafe { SlotRef::from_exposed(next) };
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
        if self.take_apart(top, budget)? {
            let uncovered = self.is_uncovered(top);
            self.pop(top.data());
            self.finish(top, uncovered);
        }
        Ok(())
    }

    /// Takes the object of `top` apart until nothing is left in it, which it answers, or until
    /// another is on top. Errors: `Again`.
    fn take_apart(&mut self, top: SlotRef, budget: &mut Budget) -> Result<bool, Error> {
        let cap = top.cap();
        let line = info(cap.ty);
        if let Some(mapping) = line.mapping {
            self.unmap_everywhere(&cap, mapping, budget)?;
        }
        if line.level.is_some() {
            self.empty_table(top, budget)?;
            return Ok(true);
        }
        if cap.ty == CapType::Component {
            while let Some(entry) = self.mdb.first_descendant(top) {
                self.begin_delete(entry, budget)?;
            }
        }
        if line.holds != Holds::Nothing {
            return self.empty_slots_of(top, budget);
        }
        if self.is_uncovered(top) {
            return self.cut(top, budget);
        }
        Ok(true)
    }

    /// Deletes what is in the slots of `top`, which goes home before. As [`Caps::take_apart`].
    fn empty_slots_of(&mut self, top: SlotRef, budget: &mut Budget) -> Result<bool, Error> {
        let cap = top.cap();
        let home = self.slots_at(cap.base);
        if top != home {
            self.go_home(top, home, budget)?;
            return Ok(false);
        }
        let slots = u64::from(info(cap.ty).slots(cap.bytes));
        let [mut cursor, next] = cap.data;
        while cursor < slots && self.pending == Some(top) {
            budget.spend(1)?;
            // SAFETY: the object holds `slots` slots and the cursor is below.
            let slot = unsafe { home.plus(cursor as usize) };
            self.begin_delete(slot, budget)?;
            cursor += 1;
            top.set_data([cursor, next]);
        }
        Ok(self.pending == Some(top))
    }

    /// Moves `top` to the first slot of its object, or gets that slot nearer to being empty. Nothing
    /// below `top` on the list is away from home, so what it meets there is not on the list.
    fn go_home(&mut self, top: SlotRef, home: SlotRef, budget: &mut Budget) -> Result<(), Error> {
        budget.spend(REMOVE)?;
        let there = home.cap();
        let cap = top.cap();
        let exchange = info(there.ty).holds != Holds::Nothing && !self.has_copies(home);
        if !home.is_empty() && !exchange {
            return self.begin_delete(home, budget);
        }
        self.mdb.remove(top);
        if exchange {
            budget.charge(self.platform.destroyed(&there));
            self.mdb.remove(home);
            self.mdb.insert(top, &there);
        }
        self.mdb.insert(home, &cap);
        home.start_deleting();
        self.pending = Some(home);
        if exchange {
            self.push(top);
        }
        Ok(())
    }
}
