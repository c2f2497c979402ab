//! Does everything hold together? One look at all that there is, for the end of a test: it takes as
//! long as it takes, allocates nothing and changes nothing.
//!
//! What must hold:
//! - the database's trees are in order, in balance and threaded, and know how far they reach;
//! - regions nest as the table of types allows, or lie apart, and each finds its nearest ancestor;
//! - what the slots of CNodes and components hold is in the database, and nothing else is;
//! - capabilities and orphans together cover all RAM; orphans lie apart from what is held and from
//!   each other, at their own beginning, and are on the list, once;
//! - every page-table entry in use is one of one mapping, whose table and object exist, leads into
//!   that object, and allows no more than the mapping; none allows writing and executing; tables
//!   can be read at most, and the kernel's half of a top table is the kernel's.
//!
//! From the second and the last follows that no kernel object can be written from user space: frames
//! nest in frames and hold nothing else.

use crate::captype::{MAX_NESTING, PAGE, Size, Tree, info};
use crate::mapping::{self, Place};
use crate::reclaim::{ORPHAN, is_orphan};
use crate::slot::{Cap, SlotRef};
use crate::{Caps, Platform};
use abi::Rights;
use abi::captype::CapType;
use core::fmt;
use paging::{ENTRIES, Entry, Level};

/// What does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A slot and the one above it in the tree do not know each other.
    Parent,
    Order,
    Balance,
    Thread,
    Reach,
    /// There are more slots in the database, or fewer, than it counted.
    Count,
    /// Half deleted, though nothing is being deleted.
    Deleting,
    /// No object of its type has this size or place.
    Region,
    /// It lies in something, or partly, where it may not.
    Nesting,
    /// Its nearest ancestor is another than the database finds.
    Ancestor,
    /// The slot is in use and not in the database.
    Unlinked,
    /// Slots of the database lie in nothing that exists.
    Nowhere,
    /// Memory that nobody holds is held, or not as large as it could be, or not at its beginning.
    Orphan,
    /// The list of memory that nobody holds is not what the database says.
    Orphans,
    /// RAM has no capability any more.
    Lost,
    /// A mapping's table or object does not exist, or not its place.
    Mapping,
    /// An entry is not what its mapping says, or belongs to another as well.
    Entry,
    /// An entry allows more than its mapping, or writing and executing, or is of the wrong kind.
    Permission,
    /// An entry in use belongs to no mapping.
    Unmapped,
    /// The kernel's half of an address space was changed.
    KernelHalf,
}

impl Wrong {
    pub(crate) fn at(self, slot: SlotRef) -> Fault {
        self.of(slot.cap())
    }

    pub(crate) fn of(self, cap: Cap) -> Fault {
        Fault { wrong: self, cap }
    }

    pub(crate) fn nowhere(self) -> Fault {
        self.of(Cap::NULL)
    }

    fn unless(self, holds: bool, slot: SlotRef) -> Result<(), Fault> {
        if holds { Ok(()) } else { Err(self.at(slot)) }
    }
}

/// What does not hold, and of which capability; `Cap::NULL` where of none in particular.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub wrong: Wrong,
    pub cap: Cap,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.wrong {
            Wrong::Parent => "a slot and the one above it in its tree do not know each other",
            Wrong::Order => "the database is out of order",
            Wrong::Balance => "a tree of the database is out of balance",
            Wrong::Thread => "a slot leads to the wrong neighbour",
            Wrong::Reach => "a slot does not know how far its subtree reaches",
            Wrong::Count => "the database has another number of slots of a type than it counted",
            Wrong::Deleting => "a slot is half deleted and on no list",
            Wrong::Region => "no object of this type has this size or place",
            Wrong::Nesting => "an object lies where it may not",
            Wrong::Ancestor => "the database finds the wrong ancestor",
            Wrong::Unlinked => "a slot in use is not in the database",
            Wrong::Nowhere => "slots of the database lie in nothing that exists",
            Wrong::Orphan => "memory that nobody holds is not kept as it should be",
            Wrong::Orphans => "the list of memory that nobody holds is broken",
            Wrong::Lost => "RAM has no capability any more",
            Wrong::Mapping => "the table or the object of a mapping does not exist",
            Wrong::Entry => "a page-table entry is not what its mapping says",
            Wrong::Permission => "a page-table entry allows what it may not",
            Wrong::Unmapped => "a page-table entry in use belongs to no mapping",
            Wrong::KernelHalf => "the kernel's half of an address space was changed",
        };
        write!(f, "{text}: {:?}", self.cap)
    }
}

/// How much there was to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub capabilities: u64,
    /// Page-table entries in use.
    pub entries: u64,
    /// Bytes that nobody holds.
    pub orphaned: u64,
}

impl<P: Platform> Caps<P> {
    /// Looks at everything, when no deletion is pending ([`Caps::settle`]). `own` are the slots
    /// outside of all objects; `kernel_half` is what entry `n` of every top table must be, from
    /// [`paging::USER_ENTRIES`] on.
    ///
    /// Errors: the first thing that does not hold.
    pub fn check(
        &self,
        own: impl Iterator<Item = SlotRef>,
        kernel_half: impl Fn(u16) -> u64,
    ) -> Result<Seen, Fault> {
        if self.deletion_pending() {
            return Err(Wrong::Deleting.nowhere());
        }
        self.mdb.check()?;
        for tree in Tree::ALL {
            self.check_regions(tree)?;
        }
        self.check_places(own)?;
        let orphaned = self.check_memory()?;
        let mapped = self.check_mappings()?;
        let entries = self.check_tables(kernel_half)?;
        if mapped != entries {
            return Err(Wrong::Unmapped.nowhere());
        }
        Ok(Seen {
            capabilities: self.mdb.len(),
            entries,
            orphaned,
        })
    }

    fn in_order(&self, tree: Tree) -> impl Iterator<Item = SlotRef> {
        core::iter::successors(self.mdb.first_of(tree), |slot| self.mdb.next(*slot))
    }

    /// The objects of the memory tree, each once.
    fn objects(&self) -> impl Iterator<Item = SlotRef> {
        self.in_order(Tree::Memory)
            .filter(|slot| self.mdb.prev(*slot).is_none_or(|p| !p.is_copy_of(slot)))
    }

    /// Is there an object of exactly this type and region?
    pub fn exists(&self, ty: CapType, base: u64, bytes: u64) -> bool {
        let cap = Cap {
            ty,
            base,
            bytes,
            ..Cap::NULL
        };
        let found = self.mdb.first_from(&cap.key());
        found.is_some_and(|slot| slot.key() == cap.key())
    }

    fn check_regions(&self, tree: Tree) -> Result<(), Fault> {
        let mut before = None;
        for slot in self.in_order(tree) {
            let cap = slot.cap();
            let line = info(cap.ty);
            Wrong::Deleting.unless(!slot.is_deleting(), slot)?;
            if line.is_mapping() {
                continue;
            }
            let limit = match line.size {
                Size::Multiple { limit, .. } => limit,
                Size::Fixed(_) => u64::MAX,
            };
            let fits = line.object_bytes(cap.bytes) == Ok(cap.bytes)
                && cap.base.is_multiple_of(line.alignment())
                && (tree != Tree::Ports || cap.end() <= limit)
                && (!line.is_frame() || cap.extra <= MAX_NESTING);
            Wrong::Region.unless(fits, slot)?;
            let above = self.enclosing(before, slot);
            let nests = above.is_none_or(|above| may_contain(&above.cap(), &cap));
            Wrong::Nesting.unless(nests, slot)?;
            let key = |slot: Option<SlotRef>| slot.map(SlotRef::key);
            let found = self.mdb.ancestor(slot);
            Wrong::Ancestor.unless(key(found) == key(above), slot)?;
            before = Some(slot);
        }
        Ok(())
    }

    /// The innermost of those before `slot` that it meets, given the one right before it: what holds
    /// that one is known to be what the database says.
    fn enclosing(&self, before: Option<SlotRef>, slot: SlotRef) -> Option<SlotRef> {
        let mut at = before?;
        let beside = at.is_copy_of(&slot)
            || (slot.info().is_leaf()
                && (at.ty(), at.base(), at.bytes()) == (slot.ty(), slot.base(), slot.bytes()));
        if beside {
            return self.mdb.ancestor(at);
        }
        while at.end() <= slot.base() {
            at = self.mdb.ancestor(at)?;
        }
        Some(at)
    }

    fn check_places(&self, own: impl Iterator<Item = SlotRef>) -> Result<(), Fault> {
        let mut used = 0;
        let mut look = |slot: SlotRef| {
            if !slot.is_empty() {
                used += 1;
                Wrong::Unlinked.unless(self.mdb.contains(slot), slot)?;
            }
            Ok(())
        };
        for slot in own {
            look(slot)?;
        }
        for object in self.objects() {
            let slots = info(object.ty()).slots(object.bytes());
            if slots == 0 && !is_orphan(&object) {
                continue;
            }
            let first = self.slots_at(object.base());
            if is_orphan(&object) {
                Wrong::Orphan.unless(first == object, object)?;
                look(first)?;
            }
            for n in 0..slots as usize {
                // SAFETY: the object has that many slots.
                look(unsafe { first.plus(n) })?;
            }
        }
        // All of those were different ones in the database: as many are all of it.
        if used == self.mdb.len() {
            Ok(())
        } else {
            Err(Wrong::Nowhere.nowhere())
        }
    }

    /// Answers how many bytes nobody holds.
    fn check_memory(&self) -> Result<u64, Fault> {
        let (mut end, mut orphan_end) = (0, 0);
        let (mut covered, mut orphaned, mut orphans) = (0, 0, 0u64);
        for slot in self.in_order(Tree::Memory) {
            if !slot.info().is_memory() {
                continue;
            }
            let alone = if is_orphan(&slot) {
                orphans += 1;
                orphaned += slot.bytes();
                let alone = slot.base() >= end && (orphans == 1 || slot.base() != orphan_end);
                orphan_end = slot.end();
                alone
            } else {
                slot.base() >= orphan_end
            };
            Wrong::Orphan.unless(alone, slot)?;
            covered += slot.end().saturating_sub(slot.base().max(end));
            end = end.max(slot.end());
        }
        if covered != self.ram {
            return Err(Wrong::Lost.nowhere());
        }
        let (mut next, mut before) = (self.orphans, 0);
        for _ in 0..orphans {
            let slot = next.ok_or(Wrong::Orphans.nowhere())?;
            let listed =
                is_orphan(&slot) && self.mdb.contains(slot) && slot.data()[0] == before | ORPHAN;
            Wrong::Orphans.unless(listed, slot)?;
            before = slot.expose();
            // SAFETY: the second word of an orphan is nothing, or the next on the list.
            next = unsafe { SlotRef::from_exposed(slot.data()[1]) };
        }
        match next {
            None => Ok(orphaned),
            Some(slot) => Err(Wrong::Orphans.at(slot)),
        }
    }

    /// Answers how many entries belong to mappings.
    fn check_mappings(&self) -> Result<u64, Fault> {
        let mut mapped = 0;
        for slot in self.in_order(Tree::Mappings) {
            let cap = slot.cap();
            let place = mapping::place(&cap).ok_or(Wrong::Mapping.of(cap))?;
            let is_table = |ty: &CapType| info(*ty).level == Some(place.level);
            let table = CapType::ALL.into_iter().find(is_table);
            let object = CapType::ALL
                .into_iter()
                .find(|ty| info(*ty).mapping == Some(cap.ty));
            let (Some(table), Some(object)) = (table, object) else {
                return Err(Wrong::Mapping.of(cap));
            };
            let exist = self.exists(table, place.table, PAGE)
                && self.exists(object, cap.base, cap.bytes)
                && place.run.end() <= place.level.user_entries();
            Wrong::Mapping.unless(exist, slot)?;
            for n in 0..place.run.count() {
                let index = place.run.first() + n;
                let entry = self.table(place.table).read(index);
                let entry = entry.map_err(|_| Wrong::Mapping.of(cap))?;
                check_entry(&cap, object, place, n, entry)?;
                let found = self.find_mapping(place.table, place.level, index);
                Wrong::Entry.unless(found == Some(slot), slot)?;
                mapped += 1;
            }
        }
        Ok(mapped)
    }

    /// Answers how many entries are in use in the user's part of all tables.
    fn check_tables(&self, kernel_half: impl Fn(u16) -> u64) -> Result<u64, Fault> {
        const SEEN: u64 = Entry::ACCESSED | Entry::DIRTY;
        let mut used = 0;
        for object in self.objects() {
            let Some(level) = info(object.ty()).level else {
                continue;
            };
            for index in 0..ENTRIES {
                let entry = self.table(object.base()).read(index);
                let entry = entry.map_err(|_| Wrong::Mapping.at(object))?;
                if index < level.user_entries() {
                    used += u64::from(entry.is_present());
                } else {
                    let same = entry.0 & !SEEN == kernel_half(index) & !SEEN;
                    Wrong::KernelHalf.unless(level == Level::Pml4 && same, object)?;
                }
            }
        }
        Ok(used)
    }
}

/// Entry `n` of a mapping of an `object`.
fn check_entry(
    cap: &Cap,
    object: CapType,
    place: Place,
    n: u16,
    entry: Entry,
) -> Result<(), Fault> {
    let [_, offset] = cap.data;
    let step = place.level.page_bytes().unwrap_or(0);
    let at = offset + step * u64::from(n);
    if !entry.is_present() || entry.address().0 != cap.base + at {
        return Err(Wrong::Entry.of(*cap));
    }
    let line = info(object);
    if mapping::is_intermediate(cap.ty, place.level) {
        let next = place.level.next() == line.level && at == 0 && !entry.is_large();
        return if next && place.run.count() == 1 {
            Ok(())
        } else {
            Err(Wrong::Permission.of(*cap))
        };
    }
    if at + step > cap.bytes {
        return Err(Wrong::Entry.of(*cap));
    }
    let (writes, executes) = (entry.is_writable(), entry.0 & Entry::NO_EXECUTE == 0);
    let may = |wants: bool, right| !wants || (cap.rights.contains(right) && line.level.is_none());
    let allowed = cap.rights.contains(Rights::READ)
        && may(writes, Rights::WRITE)
        && may(executes, Rights::EXECUTE)
        && !(writes && executes)
        && entry.is_large() == (place.level != Level::Pt)
        && (object != CapType::DevFrame || entry.0 & Entry::NO_CACHE != 0);
    if allowed {
        Ok(())
    } else {
        Err(Wrong::Permission.of(*cap))
    }
}

/// May `outer` be the nearest ancestor of `inner`?
fn may_contain(outer: &Cap, inner: &Cap) -> bool {
    if inner.base < outer.base || inner.end() > outer.end() {
        return false;
    }
    match inner.ty {
        CapType::Entry => {
            outer.ty == CapType::Component && (outer.base, outer.bytes) == (inner.base, inner.bytes)
        }
        CapType::Irq => outer.ty == CapType::Kernel,
        _ => {
            let strictly = outer.bytes > inner.bytes || outer.ty != inner.ty;
            strictly && info(inner.ty).parents.contains(&outer.ty)
        }
    }
}
