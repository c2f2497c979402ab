//! CSpaces: a capability address is an index into an L1 CNode and one into an L2 CNode.

use crate::captype::info;
use crate::slot::{Slot, SlotRef};
use crate::{Caps, Platform};
use abi::captype::CapType;
use abi::cptr::{L2_SLOTS, SLOT_BYTES};
use abi::{CPtr, Error, Rights};
use core::ptr::NonNull;

/// The root of a CSpace: an L1 CNode, ready for lookups. Like a [`SlotRef`] it is good until the
/// next operation that may delete capabilities.
#[derive(Clone, Copy, Debug)]
pub struct CSpace {
    first: SlotRef,
    slots: u32,
    base: u64,
}

impl CSpace {
    /// Physical address of the root: the same for every capability to one CSpace.
    pub fn base(&self) -> u64 {
        self.base
    }
}

impl PartialEq for CSpace {
    fn eq(&self, other: &CSpace) -> bool {
        self.base == other.base
    }
}

/// Indices that one [`Caps::adopt`] looks at.
pub const MAX_ADOPTED: u32 = L2_SLOTS as u32;

/// Consecutive slots of one CNode, for what `retype` makes.
#[derive(Clone, Copy, Debug)]
pub struct SlotRun {
    first: SlotRef,
    /// At least one.
    count: u32,
}

impl SlotRun {
    pub const fn one(slot: SlotRef) -> SlotRun {
        SlotRun {
            first: slot,
            count: 1,
        }
    }

    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.count
    }

    #[inline(always)]
    pub(crate) fn first(&self) -> SlotRef {
        self.first
    }

    /// Without the first; `None` when nothing is left.
    #[inline(always)]
    pub(crate) fn rest(self) -> Option<SlotRun> {
        (self.count > 1).then(|| SlotRun {
            // SAFETY: a run is only made of slots that lie in one CNode, and another one follows.
            first: unsafe { self.first.plus(1) },
            count: self.count - 1,
        })
    }

    /// Errors: `SlotInUse`.
    #[inline(never)]
    pub(crate) fn check_empty(self) -> Result<(), Error> {
        let mut run = self;
        loop {
            check_empty(run.first)?;
            match run.rest() {
                Some(rest) => run = rest,
                None => return Ok(()),
            }
        }
    }
}

/// Errors: `SlotInUse`.
pub(crate) fn check_empty(slot: SlotRef) -> Result<(), Error> {
    if slot.is_empty() {
        Ok(())
    } else {
        Err(Error::SlotInUse)
    }
}

impl<P: Platform> Caps<P> {
    /// The CSpace whose root is the L1CNode capability in `l1`.
    ///
    /// Errors: `WrongType`.
    #[inline(always)]
    pub fn cspace(&self, l1: SlotRef) -> Result<CSpace, Error> {
        if l1.ty() != CapType::L1CNode {
            return Err(Error::WrongType);
        }
        Ok(CSpace {
            first: self.slots_at(l1.base()),
            slots: (l1.bytes() / SLOT_BYTES as u64) as u32,
            base: l1.base(),
        })
    }

    /// The slot at an address, empty or not. Two loads and three comparisons.
    ///
    /// Errors: `BadSlot` when the CSpace has no such slot.
    #[inline(always)]
    pub fn slot(&self, space: CSpace, at: CPtr) -> Result<SlotRef, Error> {
        if at.l1() >= space.slots {
            return Err(Error::BadSlot);
        }
        // SAFETY: the index was just compared with the number of slots in the root.
        let root = unsafe { space.first.plus(at.l1() as usize) };
        if root.ty() != CapType::L2CNode {
            return Err(Error::BadSlot);
        }
        let leaf = self.slots_at(root.base());
        // SAFETY: an L2 CNode has 256 slots and the index is a byte.
        Ok(unsafe { leaf.plus(usize::from(at.l2())) })
    }

    /// The capability at an address.
    ///
    /// Errors: `NoCapability` when there is none, or one that is being deleted.
    #[inline(always)]
    pub fn lookup(&self, space: CSpace, at: CPtr) -> Result<SlotRef, Error> {
        match self.slot(space, at) {
            Ok(slot) if slot.ty() != CapType::Null => Ok(slot),
            _ => Err(Error::NoCapability),
        }
    }

    /// The capability of type `ty` at an address. Errors: `NoCapability`, `WrongType`.
    #[inline(always)]
    pub fn lookup_typed(&self, space: CSpace, at: CPtr, ty: CapType) -> Result<SlotRef, Error> {
        let slot = self.lookup(space, at)?;
        if slot.ty() == ty {
            Ok(slot)
        } else {
            Err(Error::WrongType)
        }
    }

    /// An empty slot for a new capability. Errors: `BadSlot`, `SlotInUse`.
    pub fn empty_slot(&self, space: CSpace, at: CPtr) -> Result<SlotRef, Error> {
        if at == CPtr::NULL {
            return Err(Error::BadSlot);
        }
        let slot = self.slot(space, at)?;
        check_empty(slot)?;
        Ok(slot)
    }

    /// `count` consecutive slots of one L2 CNode, empty or not. Errors: `BadSize` for none,
    /// `BadSlot`.
    #[inline(always)]
    pub fn slots(&self, space: CSpace, at: CPtr, count: u32) -> Result<SlotRun, Error> {
        if count == 0 {
            return Err(Error::BadSize);
        }
        if at == CPtr::NULL || u64::from(at.l2()) + u64::from(count) > L2_SLOTS as u64 {
            return Err(Error::BadSlot);
        }
        Ok(SlotRun {
            first: self.slot(space, at)?,
            count,
        })
    }

    /// Slot `n` of those inside an object (a CNode, or a Component's own): for a Component, where
    /// the kernel keeps copies of what it is configured with.
    ///
    /// Errors: `WrongType` for an object that holds no slots, `BadSlot` past them.
    pub fn inner_slot(&self, object: SlotRef, n: u32) -> Result<SlotRef, Error> {
        let slots = info(object.ty()).slots(object.bytes());
        if slots == 0 {
            return Err(Error::WrongType);
        }
        if n >= slots {
            return Err(Error::BadSlot);
        }
        // SAFETY: the object at this base has that many slots, and `n` is below.
        Ok(unsafe { self.slots_at(object.base()).plus(n as usize) })
    }

    /// Installs a copy of an L2CNode capability in an L1 CNode, at an L1 index.
    ///
    /// Errors: `WrongType`, `NoRight` (WRITE on the L1 CNode), `BadSlot`, `SlotInUse`.
    pub fn install_l2(&mut self, l1: SlotRef, index: u32, l2: SlotRef) -> Result<(), Error> {
        if l1.ty() != CapType::L1CNode || l2.ty() != CapType::L2CNode {
            return Err(Error::WrongType);
        }
        l1.need(Rights::WRITE)?;
        let dest = self.inner_slot(l1, index)?;
        check_empty(dest)?;
        self.mdb.insert_copy(dest, &l2.cap(), l2);
        Ok(())
    }

    /// Installs copies of the L2CNode capabilities that one L1 CNode has at `count` indices from
    /// `first` on at the same indices of another; where it has none, nothing. All or none.
    /// `foreign`: `to` is not the caller's CSpace.
    ///
    /// Errors: `WrongType`; `NoRight` (WRITE on `to`, READ and WRITE on `from`, GRANT on each L2
    /// CNode where foreign); `BadSize` (no index, or more than [`MAX_ADOPTED`]); `BadSlot` (past the
    /// end of either); `SlotInUse`.
    pub fn adopt(
        &mut self,
        to: SlotRef,
        from: SlotRef,
        first: u32,
        count: u32,
        foreign: bool,
    ) -> Result<(), Error> {
        if to.ty() != CapType::L1CNode || from.ty() != CapType::L1CNode {
            return Err(Error::WrongType);
        }
        to.need(Rights::WRITE)?;
        from.need(Rights::READ | Rights::WRITE)?;
        if count == 0 || count > MAX_ADOPTED {
            return Err(Error::BadSize);
        }
        let last = first.checked_add(count - 1).ok_or(Error::BadSlot)?;
        self.inner_slot(from, last)?;
        self.inner_slot(to, last)?;
        for index in first..=last {
            let source = self.inner_slot(from, index)?;
            if source.ty() != CapType::Null {
                if foreign {
                    source.need(Rights::GRANT)?;
                }
                check_empty(self.inner_slot(to, index)?)?;
            }
        }
        for index in first..=last {
            let source = self.inner_slot(from, index)?;
            if source.ty() != CapType::Null {
                let dest = self.inner_slot(to, index)?;
                self.mdb.insert_copy(dest, &source.cap(), source);
            }
        }
        Ok(())
    }

    /// Puts a copy of the L1CNode capability `new` in the place of another, of which `held` is one of
    /// several copies.
    ///
    /// Errors: `WrongType`, `BadState` (the last copy).
    pub fn replace_root(&mut self, held: SlotRef, new: SlotRef) -> Result<(), Error> {
        if held.ty() != CapType::L1CNode || new.ty() != CapType::L1CNode {
            return Err(Error::WrongType);
        }
        if !self.has_copies(held) {
            return Err(Error::BadState);
        }
        self.mdb.remove(held);
        self.mdb.insert_copy(held, &new.cap(), new);
        Ok(())
    }

    /// The slots in the object at `base`, which must hold some.
    #[inline(always)]
    pub(crate) fn slots_at(&self, base: u64) -> SlotRef {
        let slots = self.platform.virt(base).cast::<Slot>();
        // SAFETY: `base` comes from a capability to an object with slots, so it is page-aligned
        // memory inside a Ram region, cleared when it was made and written by this crate alone;
        // `virt` never gives null for such memory (its contract).
        unsafe { SlotRef::new(NonNull::new_unchecked(slots)) }
    }
}
