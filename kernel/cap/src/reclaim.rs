//! Reclaim: memory that nobody holds a capability to any more.
//!
//! When the last capability to memory goes and no other covers it, the memory becomes an *orphan*: a
//! Ram capability in a slot at the beginning of that very memory, so that no other is needed. It
//! is in the database like any other, so nothing overlaps it, and on a list of the kernel's, threaded
//! through its two words. Neighbours become one: orphans are always as large as they can be. The
//! memory server moves them into its own slots.
//!
//! So at every moment each page of RAM is covered by a capability that somebody holds, or by an
//! orphan. What is covered but cannot be reached (CNodes that hold each other's last capabilities,
//! without Ram above them) is got back by claiming the Ram under it and revoking that.

use crate::captype::{Tree, info};
use crate::cspace::check_empty;
use crate::delete::Budget;
use crate::slot::{Cap, Key, SlotRef};
use crate::{Caps, Platform};
use abi::captype::CapType;
use abi::cptr::SLOT_BYTES;
use abi::{Error, Rights};

/// In the first word of an orphan, below the address of the one before it on the list. Other Ram
/// capabilities have zero there.
pub(crate) const ORPHAN: u64 = 1;

/// Is it Ram that nobody holds?
pub(crate) fn is_orphan(slot: &SlotRef) -> bool {
    slot.ty() == CapType::Ram && slot.data()[0] & ORPHAN != 0
}

impl<P: Platform> Caps<P> {
    /// Moves an orphan to `dest`, as Ram with all rights, and answers its base and size. O(1).
    ///
    /// Errors: `SlotInUse`; `NotFound` when there is none; `Again`: a deletion was under way and was
    /// carried on instead.
    pub fn reclaim(&mut self, dest: SlotRef) -> Result<(u64, u64), Error> {
        if self.deletion_pending() {
            return self.carry_on().map(|()| (0, 0));
        }
        check_empty(dest)?;
        let orphan = self.orphans.ok_or(Error::NotFound)?;
        self.unlink(orphan);
        let (base, bytes) = (orphan.base(), orphan.bytes());
        self.mdb.replace(orphan, dest);
        dest.set_data([0; 2]);
        Ok((base, bytes))
    }

    /// Makes Ram over exactly the outermost object that covers `address`, where there is no Ram: the
    /// object is its descendant then. Answers base and size. O(log n).
    ///
    /// Errors: `SlotInUse`; `NotFound` where no memory is covered, or by an orphan; `Overlaps` where
    /// somebody holds Ram; `Again` as [`Caps::reclaim`].
    pub fn claim(&mut self, dest: SlotRef, address: u64) -> Result<(u64, u64), Error> {
        if self.deletion_pending() {
            return self.carry_on().map(|()| (0, 0));
        }
        check_empty(dest)?;
        let outermost = self
            .mdb
            .first_reaching(Tree::Memory, address)
            .filter(|slot| slot.base() <= address && info(slot.ty()).is_memory())
            .filter(|slot| !is_orphan(slot))
            .ok_or(Error::NotFound)?;
        if outermost.ty() == CapType::Ram {
            return Err(Error::Overlaps);
        }
        let cap = ram(outermost.base(), outermost.bytes());
        self.mdb.insert(dest, &cap);
        Ok((cap.base, cap.bytes))
    }

    /// Does the memory of the last copy in `slot` have nobody else above it?
    pub(crate) fn is_uncovered(&self, slot: SlotRef) -> bool {
        slot.info().is_memory() && !self.mdb.is_covered(slot)
    }

    /// Takes a last copy, in which nothing is left, out of the database; its memory becomes an orphan
    /// if it is uncovered.
    pub(crate) fn finish(&mut self, slot: SlotRef, uncovered: bool) {
        let (base, bytes) = (slot.base(), slot.bytes());
        self.mdb.remove(slot);
        if uncovered {
            self.orphan(base, bytes);
        }
    }

    /// A step of returning the memory of `top`, the last copy of Ram or Frame that nobody covers,
    /// between the descendants that outlive it: what lies before the first of them becomes an
    /// orphan, and what lies after it is left to `top`. Answers whether that has no descendants.
    ///
    /// Errors: `Again`.
    pub(crate) fn cut(&mut self, top: SlotRef, budget: &mut Budget) -> Result<bool, Error> {
        let Some(first) = self.mdb.first_descendant(top) else {
            return Ok(true);
        };
        budget.spend(crate::delete::REMOVE)?;
        let cap = top.cap();
        let gap = first.base().saturating_sub(cap.base);
        let rest = Cap {
            base: first.end(),
            bytes: cap.end().saturating_sub(first.end()),
            ..cap
        };
        self.mdb.remove(top);
        if gap > 0 {
            self.orphan(cap.base, gap);
        }
        if rest.bytes > 0 {
            self.mdb.insert(top, &rest);
            top.start_deleting();
        }
        // What is left may be just what a descendant names, of which it would be a copy.
        if rest.bytes == 0 || self.has_copies(top) {
            self.mdb.remove(top);
            self.pop(cap.data);
        }
        Ok(false)
    }

    /// Makes an orphan of memory that nothing covers and nothing lies in.
    fn orphan(&mut self, base: u64, bytes: u64) {
        let mut cap = ram(base, bytes);
        let place = Key::at(Tree::Memory, base);
        let before = self.mdb.last_upto(&place);
        if let Some(before) = before.filter(|slot| is_orphan(slot) && slot.end() == base) {
            cap.base = before.base();
            cap.bytes += before.bytes();
            self.discard(before);
        }
        let after = self.mdb.first_from(&place);
        if let Some(after) = after.filter(|slot| is_orphan(slot) && slot.base() == base + bytes) {
            cap.bytes += after.bytes();
            self.discard(after);
        }
        // Whatever was in it is no slot.
        self.platform.zero(cap.base, SLOT_BYTES as u64);
        let slot = self.slots_at(cap.base);
        let next = self.orphans;
        cap.data = [ORPHAN, next.map_or(0, SlotRef::expose)];
        self.mdb.insert(slot, &cap);
        if let Some(next) = next {
            next.set_data([slot.expose() | ORPHAN, next.data()[1]]);
        }
        self.orphans = Some(slot);
    }

    /// Takes an orphan away; its memory is another's from now on.
    fn discard(&mut self, orphan: SlotRef) {
        self.unlink(orphan);
        self.mdb.remove(orphan);
    }

    fn unlink(&mut self, orphan: SlotRef) {
        let [before, after] = orphan.data();
        // SAFETY: the words of an orphan on the list hold nothing or orphans on the list.
        let (before, next) = unsafe {
            (
                SlotRef::from_exposed(before & !ORPHAN),
                SlotRef::from_exposed(after),
            )
        };
        if let Some(next) = next {
            next.set_data([before.map_or(0, SlotRef::expose) | ORPHAN, next.data()[1]]);
        }
        match before {
            Some(before) => before.set_data([before.data()[0], after]),
            None => self.orphans = next,
        }
    }
}

fn ram(base: u64, bytes: u64) -> Cap {
    Cap {
        ty: CapType::Ram,
        rights: Rights::all(),
        base,
        bytes,
        ..Cap::NULL
    }
}
