//! Mapping: page-table entries and the capabilities that stand for them.
//!
//! Each map makes one mapping capability, of the type that belongs to what is mapped, over the same
//! region as what is mapped; its words say where:
//!
//! | word | holds |
//! |---|---|
//! | `data[0]` | physical address of the table, with its level in bits 10 to 9 and the first entry in bits 8 to 0 |
//! | `data[1]` | offset in the frame, in bytes |
//! | `extra` | entries |
//! | `rights` | what the capability that was mapped allowed: `modify` never gives more |
//!
//! So all mappings of an object stand side by side in the database, and from an entry one gets to its
//! mapping through the address in it. Every entry in use in the user part of a table belongs to exactly
//! one mapping capability. Mappings are never copied.

use crate::captype::{Tree, info};
use crate::cspace::check_empty;
use crate::delete::Budget;
use crate::slot::{Cap, Key, SlotRef};
use crate::{Caps, Platform};
use abi::captype::{CapType, MapFlags};
use abi::{Error, Rights};
use core::ptr::NonNull;
use paging::entry::{self, Change};
use paging::{Entry, Level, PhysAddr, Run, Table};

const PAGE_BITS: u32 = 12;
const LEVEL_SHIFT: u32 = 9;
const FIRST_MASK: u64 = (1 << LEVEL_SHIFT) - 1;
const TABLE_MASK: u64 = !((1 << PAGE_BITS) - 1);

/// Mappings that one call looks up to change their entries.
const PIECES: u32 = 64;

/// Where a mapping's entries are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub table: u64,
    pub level: Level,
    pub run: Run,
}

impl Place {
    /// Where the first entry is in the addresses that its table covers.
    pub(crate) fn start(&self) -> u64 {
        u64::from(self.run.first()) * self.level.span_bytes()
    }
}

/// The first word of a mapping whose entries begin at `first`.
fn word(table: u64, level: Level, first: u16) -> u64 {
    table | ((level as u64) << LEVEL_SHIFT) | u64::from(first)
}

/// Where the entries of the mapping are; `None` for what is no mapping.
pub fn place(cap: &Cap) -> Option<Place> {
    if !info(cap.ty).is_mapping() {
        return None;
    }
    let level = Level::ALL
        .get((cap.data[0] >> LEVEL_SHIFT) as usize & 3)
        .copied()?;
    let first = (cap.data[0] & FIRST_MASK) as u16;
    Some(Place {
        table: cap.data[0] & TABLE_MASK,
        level,
        run: Run::new(level, first, cap.extra).ok()?,
    })
}

/// First entry | entries << 16 | offset in pages << 32.
pub(crate) fn describe(cap: &Cap) -> u64 {
    let offset_pages = cap.data[1] >> PAGE_BITS;
    (cap.data[0] & FIRST_MASK) | (u64::from(cap.extra) << 16) | (offset_pages << 32)
}

/// Is the entry one that points to a next-level table, rather than one that maps memory?
pub(crate) fn is_intermediate(mapping: CapType, level: Level) -> bool {
    let of_frame = matches!(mapping, CapType::MapFrame | CapType::MapDevFrame);
    !of_frame && level != Level::Pt
}

/// The flags that entries of `mapping` get when `asked` is what the caller wants. Whether they go
/// together is for the entry to say.
///
/// Errors: `BadFlags` for more than the rights allow.
fn allowed(mapping: CapType, rights: Rights, asked: MapFlags) -> Result<MapFlags, Error> {
    let need = asked & (MapFlags::READ | MapFlags::WRITE | MapFlags::EXECUTE);
    // The three have the same bits in both.
    if !rights.contains(Rights::from_bits_truncate(need.bits())) {
        return Err(Error::BadFlags);
    }
    Ok(match mapping {
        CapType::MapDevFrame => asked | MapFlags::UNCACHED,
        _ => asked,
    })
}

const _: () = assert!(
    Rights::READ.bits() == MapFlags::READ.bits()
        && Rights::WRITE.bits() == MapFlags::WRITE.bits()
        && Rights::EXECUTE.bits() == MapFlags::EXECUTE.bits()
);

/// What becomes of entries of the mapping when `asked` is what the caller wants.
///
/// Errors: `WrongType` (entries that point to a table), `BadFlags`.
#[inline]
fn check_modify(cap: &Cap, part: Place, asked: MapFlags) -> Result<Change, Error> {
    if is_intermediate(cap.ty, part.level) {
        return Err(Error::WrongType);
    }
    if asked.contains(MapFlags::LARGE) && part.level == Level::Pt {
        return Err(Error::BadFlags);
    }
    Change::to(allowed(cap.ty, cap.rights, asked)?)
}

/// Between which keys the mappings (of type `mapping`) of the object stand.
fn mappings(object: &Cap, mapping: CapType) -> (Key, Key) {
    let first = Cap {
        ty: mapping,
        data: [0; 2],
        ..*object
    }
    .key();
    (first, first.after_region())
}

/// A table capability, checked. Errors: `WrongType`, `NoRight`.
fn table_of(slot: SlotRef, rights: Rights) -> Result<(u64, Level), Error> {
    let level = info(slot.ty()).level.ok_or(Error::WrongType)?;
    slot.need(rights)?;
    Ok((slot.base(), level))
}

impl<P: Platform> Caps<P> {
    /// Maps `count` consecutive entries of a table from `first` on, and makes the mapping
    /// capability in `dest`.
    ///
    /// - A Frame or DevFrame: pages of it from `offset` on, 4 KiB in a Pt; with `LARGE` 2 MiB in a
    ///   Pd and 1 GiB in a Pdpt.
    /// - The next level's table: one entry; `flags` may only be valid, the pages' entries decide.
    /// - Any table but a Pml4, in a Pt: one page of it, with the flags `READ` alone, so that
    ///   accessed and dirty bits can be read without a system call.
    ///
    /// Errors: `WrongType`; `NoRight` (WRITE on `table`, READ and WRITE on a next-level table);
    /// `BadSize` (no entries, several for a table); `OutOfRange` (entries or bytes); `BadFlags`;
    /// `BadAlign`; `NotSupported` (1 GiB pages); `EntryInUse`; `SlotInUse`.
    // The arguments are those of the system call.
    #[allow(clippy::too_many_arguments)]
    pub fn map(
        &mut self,
        table: SlotRef,
        source: SlotRef,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        dest: SlotRef,
    ) -> Result<(), Error> {
        let (base, level) = table_of(table, Rights::WRITE)?;
        let run = Run::new(level, first, count)?;
        let cap = source.cap();
        let line = info(source.ty());
        let mapping = line.mapping.ok_or(Error::WrongType)?;
        check_empty(dest)?;
        let mut made = Cap {
            ty: mapping,
            rights: cap.rights & (Rights::READ | Rights::WRITE | Rights::EXECUTE),
            base: cap.base,
            bytes: cap.bytes,
            data: [word(base, level, first), offset],
            extra: count,
        };
        let view = self.table(base);
        if line.is_frame() {
            let page_bytes = level.page_bytes().ok_or(Error::WrongType)?;
            if flags.contains(MapFlags::LARGE) != (level != Level::Pt) {
                return Err(Error::BadFlags);
            }
            if level == Level::Pdpt && !self.platform.has_gib_pages() {
                return Err(Error::NotSupported);
            }
            let flags = allowed(mapping, made.rights, flags)?;
            let bytes = u64::from(count) * page_bytes;
            if offset.checked_add(bytes).is_none_or(|end| end > cap.bytes) {
                return Err(Error::OutOfRange);
            }
            let address = cap.base.checked_add(offset).ok_or(Error::OutOfRange)?;
            view.map_pages(run, PhysAddr(address), page_bytes, flags)?;
            if mapping == CapType::MapDevFrame {
                view.note_device(run);
            }
        } else {
            if count != 1 {
                return Err(Error::BadSize);
            }
            if offset != 0 {
                return Err(Error::OutOfRange);
            }
            if flags.contains(MapFlags::LARGE) {
                return Err(Error::BadFlags);
            }
            if level == Level::Pt {
                made.rights &= Rights::READ;
                let flags = allowed(mapping, made.rights, flags)?;
                view.map_pages(run, PhysAddr(cap.base), cap.bytes, flags)?;
            } else if level.next() == line.level {
                source.need(Rights::READ | Rights::WRITE)?;
                entry::check(flags)?;
                view.map_table(first, PhysAddr(cap.base))?;
                self.hung_up(cap.base, level);
            } else {
                return Err(Error::WrongType);
            }
        }
        // Entries that were not present are in no TLB: nothing to flush.
        self.mdb.insert(dest, &made);
        Ok(())
    }

    /// Removes a mapping of this table: clears its entries and empties its slot.
    ///
    /// Errors: `WrongType`, `NoRight` (WRITE on the table), `NotMapped` (of another table).
    pub fn unmap(&mut self, table: SlotRef, mapping: SlotRef) -> Result<(), Error> {
        let (base, _) = table_of(table, Rights::WRITE)?;
        let place = place(&mapping.cap()).ok_or(Error::WrongType)?;
        if place.table != base {
            return Err(Error::NotMapped);
        }
        self.mapping_destroy(mapping)
    }

    /// Changes the flags of entries of a table, whichever mappings they belong to.
    ///
    /// Errors: `WrongType` (also for an entry that points to a table), `NoRight` (WRITE), `BadSize`,
    /// `OutOfRange`, `EntryEmpty`, `BadFlags` (also for more than a mapped capability allowed),
    /// `Again`: entries of [`PIECES`] mappings are changed.
    pub fn modify(
        &mut self,
        table: SlotRef,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), Error> {
        let (base, level) = table_of(table, Rights::WRITE)?;
        let run = Run::new(level, first, count)?;
        entry::check(flags)?;
        if !self.table(base).is_full(run) {
            return Err(Error::EntryEmpty);
        }
        let (cap, part) = self.piece(base, level, run)?;
        let result = if part.run == run {
            self.modify_piece(&cap, part, flags)
        } else {
            self.modify_pieces(base, level, run, flags)
        };
        self.flush();
        result
    }

    /// Changes a run that several mappings share: [`PIECES`] of them, all checked before the first
    /// is changed. Entries that are right already are not looked up, so calls that go on after
    /// `Again` get further.
    ///
    /// Errors: as `modify`.
    fn modify_pieces(
        &mut self,
        table: u64,
        level: Level,
        run: Run,
        flags: MapFlags,
    ) -> Result<(), Error> {
        if flags.contains(MapFlags::LARGE) && level == Level::Pt {
            return Err(Error::BadFlags);
        }
        let (change, of_device) = (Change::to(flags)?, Change::to(flags | MapFlags::UNCACHED)?);
        let right = |table: Table, at| {
            let entry = table.read(at)?;
            let change = if entry.is_device() { of_device } else { change };
            Ok(change.bits(entry, entry) == (0, 0))
        };
        let mut at = run.first();
        while at < run.end() && right(self.table(table), at)? {
            at += 1;
        }
        if at == run.end() {
            return Ok(());
        }
        let rest = Run::new(level, at, run.end() - at)?;
        let end = self.for_each_piece(table, level, rest, |_, cap, part| {
            check_modify(cap, part, flags).map(drop)
        })?;
        let some = Run::new(level, at, end - at)?;
        self.for_each_piece(table, level, some, |caps, cap, part| {
            caps.modify_piece(cap, part, flags)
        })?;
        if end < run.end() {
            Err(Error::Again)
        } else {
            Ok(())
        }
    }

    /// Clears the dirty bits of entries.
    ///
    /// Errors: `WrongType`, `NoRight` (WRITE), `BadSize`, `OutOfRange`, `EntryEmpty`.
    pub fn clear_dirty(&mut self, table: SlotRef, first: u16, count: u16) -> Result<(), Error> {
        let (base, level) = table_of(table, Rights::WRITE)?;
        let run = Run::new(level, first, count)?;
        let table = base;
        let stale = self.table(table).clear_dirty(run)?;
        self.changed(Place { table, level, run }, stale);
        self.flush();
        Ok(())
    }

    /// A raw entry. Errors: `WrongType`, `NoRight` (READ), `OutOfRange`.
    pub fn read(&self, table: SlotRef, index: u16) -> Result<Entry, Error> {
        let (base, level) = table_of(table, Rights::READ)?;
        let run = Run::new(level, index, 1)?;
        self.table(base).read(run.first())
    }

    /// Changes the flags of entries `first` to `first + count` of the mapping itself.
    ///
    /// Errors: `WrongType`, `BadSize`, `OutOfRange`, `BadFlags`.
    pub fn mapping_modify(
        &mut self,
        mapping: SlotRef,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), Error> {
        let cap = mapping.cap();
        let place = place(&cap).ok_or(Error::WrongType)?;
        let part = Place {
            run: place.run.part(first, count)?,
            ..place
        };
        self.modify_piece(&cap, part, flags)?;
        self.flush();
        Ok(())
    }

    /// Clears the mapping's entries and empties its slot. Errors: `WrongType`.
    pub fn mapping_destroy(&mut self, mapping: SlotRef) -> Result<(), Error> {
        place(&mapping.cap()).ok_or(Error::WrongType)?;
        self.destroy_mapping(mapping);
        self.flush();
        Ok(())
    }

    /// Changes entries of one mapping; all or, with an error, none.
    fn modify_piece(&mut self, cap: &Cap, part: Place, flags: MapFlags) -> Result<(), Error> {
        let change = check_modify(cap, part, flags)?;
        let stale = self.table(part.table).modify(part.run, change)?;
        self.changed(part, stale);
        Ok(())
    }

    /// Cuts a run of entries in use into pieces of one mapping each, at most [`PIECES`]; where it
    /// stopped.
    fn for_each_piece(
        &mut self,
        table: u64,
        level: Level,
        run: Run,
        mut act: impl FnMut(&mut Self, &Cap, Place) -> Result<(), Error>,
    ) -> Result<u16, Error> {
        let mut at = run.first();
        for _ in 0..PIECES {
            if at == run.end() {
                break;
            }
            let rest = Run::new(level, at, run.end() - at)?;
            let (cap, part) = self.piece(table, level, rest)?;
            act(self, &cap, part)?;
            at = part.run.end();
        }
        Ok(at)
    }

    /// The mapping that the run's first entry belongs to, and what part of the run does too.
    fn piece(&self, table: u64, level: Level, run: Run) -> Result<(Cap, Place), Error> {
        let found = self.find_mapping(table, level, run.first());
        let cap = found.ok_or(Error::EntryEmpty)?.cap();
        let whole = place(&cap).ok_or(Error::EntryEmpty)?.run;
        let end = whole.end().min(run.end());
        let run = Run::new(level, run.first(), end.saturating_sub(run.first()))?;
        Ok((cap, Place { table, level, run }))
    }

    /// The mapping that an entry in use belongs to. The regions over one address nest, a bounded
    /// number deep, and inside a region mappings are ordered by table and first entry: so this is a
    /// bounded number of searches.
    pub(crate) fn find_mapping(&self, table: u64, level: Level, index: u16) -> Option<SlotRef> {
        let entry = self.table(table).read(index).ok()?;
        if !entry.is_present() {
            return None;
        }
        let mapped = entry.address().0;
        let mut next = self.mdb.first_reaching(Tree::Mappings, mapped);
        while let Some(slot) = next
            && slot.base() <= mapped
        {
            let region = slot.key();
            let last = Key {
                eq: [word(table, level, index), u64::MAX],
                ..region
            };
            let hit = self.mdb.last_upto(&last).filter(|slot| {
                place(&slot.cap()).is_some_and(|place| {
                    place.table == table && place.level == level && place.run.contains(index)
                })
            });
            if hit.is_some() {
                return hit;
            }
            let after = self.mdb.first_after(&region.after_region())?;
            next = self.mdb.reaching_from(after, Tree::Mappings, mapped);
        }
        None
    }

    /// Clears the entries of the mapping in `slot` and empties the slot.
    pub(crate) fn destroy_mapping(&mut self, slot: SlotRef) {
        let cap = slot.cap();
        if let Some(place) = place(&cap) {
            self.table(place.table).unmap(place.run);
            self.cleared(&cap, place);
        }
        self.mdb.remove(slot);
    }

    /// Has the object a mapping, of type `mapping`?
    pub(crate) fn is_mapped(&self, object: &Cap, mapping: CapType) -> bool {
        let found = self.mdb.first_from(&mappings(object, mapping).0);
        found.is_some_and(|slot| {
            let same_region = slot.base() == object.base && slot.bytes() == object.bytes;
            same_region && slot.ty() == mapping
        })
    }

    /// Destroys every mapping (of type `mapping`) of the object. Errors: `Again`.
    pub(crate) fn unmap_everywhere(
        &mut self,
        object: &Cap,
        mapping: CapType,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let (first, last) = mappings(object, mapping);
        while let Some(slot) = self.mdb.first_from(&first) {
            if slot.key() > last {
                break;
            }
            self.begin_delete(slot, budget)?;
        }
        Ok(())
    }

    /// Destroys every mapping in the table whose last capability is `top`, from the entry that its
    /// first word names on. Errors: `Again`.
    pub(crate) fn empty_table(&mut self, top: SlotRef, budget: &mut Budget) -> Result<(), Error> {
        let Some(level) = info(top.cap().ty).level else {
            return Ok(());
        };
        let base = top.base();
        let [cursor, next] = top.data();
        let mut index = u16::try_from(cursor).unwrap_or(u16::MAX);
        let end = level.user_entries();
        while index < end {
            let found = self.table(base).next_in_use(index, end);
            let at = found.unwrap_or(end);
            // Empty entries are passed over eight at a time.
            budget.spend(1 + u32::from(at - index) / 8)?;
            index = at;
            if let Some(slot) = found.and_then(|at| self.find_mapping(base, level, at)) {
                self.begin_delete(slot, budget)?;
            }
            index = index.saturating_add(1);
            top.set_data([u64::from(index), next]);
        }
        Ok(())
    }

    pub(crate) fn table(&self, base: u64) -> Table {
        let table = self.platform.virt(base);
        // SAFETY: `base` comes from a table capability, from a mapping, which never outlives its
        // table's last capability, or from an entry that points to a table: so this is a page-aligned, cleared page of a Ram region that only
        // such views and the page walker touch. `virt` never gives null for it.
        unsafe { Table::new(NonNull::new_unchecked(table)) }
    }
}
