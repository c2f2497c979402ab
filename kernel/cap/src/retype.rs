//! Retype: objects out of a part of a capability's region.

use crate::captype::{MAX_NESTING, MAX_ZEROED, Tree, info, is_made_from};
use crate::cspace::{SlotRun, check_empty};
use crate::slot::{Cap, SlotRef};
use crate::{Caps, Platform};
use abi::captype::CapType;
use abi::{Error, Rights};

impl<P: Platform> Caps<P> {
    /// Makes one object of `ty` for each slot of `dest`, `bytes` each, one after another from
    /// `offset` in the source's region on. They have the source's rights.
    ///
    /// Errors: `NoCapability`; `BadRetype` (not from that type, or frames nested too deep);
    /// `NoRight` (a kernel object from what may not be written); `BadSize`; `BadAlign`;
    /// `OutOfRange`; `Overlaps`; `SlotInUse`; `Again`: a piece of the memory was cleared, or a
    /// deletion was under way and was carried on instead (memory changes hands only when nothing is
    /// half deleted). After `Again` look the slots up anew.
    #[inline(never)]
    pub fn retype(
        &mut self,
        source: SlotRef,
        dest: SlotRun,
        ty: CapType,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        self.retype_inline(source, dest, ty, offset, bytes)
    }

    /// One object, as [`Caps::retype`] makes it. This is the usual case, and a system call of its
    /// own; with the number known, a third of the work is gone.
    #[inline(always)]
    pub fn retype_one(
        &mut self,
        source: SlotRef,
        dest: SlotRef,
        ty: CapType,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        self.retype_inline(source, SlotRun::one(dest), ty, offset, bytes)
    }

    #[inline(always)]
    fn retype_inline(
        &mut self,
        source: SlotRef,
        dest: SlotRun,
        ty: CapType,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        if self.deletion_pending() {
            return self.carry_on();
        }
        let (slot, rest) = (dest.first(), dest.rest());
        check_empty(slot)?;
        if let Some(rest) = rest {
            rest.check_empty()?;
        }
        let from = source.ty();
        if from == CapType::Null {
            return Err(Error::NoCapability);
        }
        if !is_made_from(ty, from) {
            return Err(Error::BadRetype);
        }
        let line = info(ty);
        let bytes = line.object_bytes(bytes)?;
        let total = bytes
            .checked_mul(u64::from(dest.count()))
            .ok_or(Error::BadSize)?;
        if line.zeroed {
            source.need(Rights::WRITE)?;
            if total > MAX_ZEROED {
                return Err(Error::BadSize);
            }
        }
        let mut nesting = 0;
        if ty == from {
            // The same type over the same region would be a copy, not a descendant.
            if bytes >= source.bytes() {
                return Err(Error::BadSize);
            }
            if line.is_frame() {
                nesting = source.extra() + 1;
                if nesting > MAX_NESTING {
                    return Err(Error::BadRetype);
                }
            }
        }
        if offset
            .checked_add(total)
            .is_none_or(|end| end > source.bytes())
        {
            return Err(Error::OutOfRange);
        }
        // The whole region ends at `MAX_END` at most.
        let base = source.base().wrapping_add(offset);
        if base & (line.alignment() - 1) != 0 {
            return Err(Error::BadAlign);
        }
        let next = self.next_descendant(source, line.tree, base);
        if next.is_some_and(|slot| slot.base() < base.wrapping_add(total)) {
            return Err(Error::Overlaps);
        }
        if line.zeroed {
            self.clear(base, total)?;
        }
        self.made_in(base, base.wrapping_add(total));
        let child = Cap {
            ty,
            rights: source.rights(),
            base,
            bytes,
            data: [0; 2],
            extra: nesting,
        };
        self.mdb.insert_before(slot, &child, line.tree, next);
        self.platform.created(&child);
        if let Some(rest) = rest {
            self.make_rest(rest, child, next);
        }
        Ok(())
    }

    /// More of `child` behind it.
    #[inline(never)]
    fn make_rest(&mut self, dest: SlotRun, mut child: Cap, next: Option<SlotRef>) {
        let tree = info(child.ty).tree;
        let mut rest = Some(dest);
        while let Some(run) = rest {
            child.base = child.base.wrapping_add(child.bytes);
            self.mdb.insert_before(run.first(), &child, tree, next);
            self.platform.created(&child);
            rest = run.rest();
        }
    }

    /// The first after the capability and its copies that ends after `base`, a place in its
    /// region. If it begins before the end of a range from `base` on, it is a descendant in that
    /// range; else the range is free, and what is made there stands before it.
    #[inline(always)]
    fn next_descendant(&self, slot: SlotRef, tree: Tree, base: u64) -> Option<SlotRef> {
        self.mdb
            .reaching_from(self.mdb.after_copies(slot)?, tree, base)
    }

    /// Has the capability a descendant (other than a mapping) that meets `[base, base + bytes)`?
    pub fn has_descendant_in(&self, slot: SlotRef, base: u64, bytes: u64) -> bool {
        let line = slot.info();
        !line.is_leaf()
            && self
                .next_descendant(slot, line.tree, base)
                .is_some_and(|found| found.base() < base.saturating_add(bytes))
    }

    /// Has the capability any descendant other than a mapping?
    pub fn has_descendants(&self, slot: SlotRef) -> bool {
        self.mdb.first_descendant(slot).is_some()
    }

    /// Is there another capability to the same object?
    pub fn has_copies(&self, slot: SlotRef) -> bool {
        self.mdb.other_copy(slot).is_some()
    }
}
