//! What translation buffers (TLBs) remember of entries that were changed, and how they forget it.
//!
//! Entries that are given more need no flush: using the page through what a buffer still
//! remembers raises a fault, which ends the memory and which [`Caps::is_stale`] recognises, so that
//! the access is tried again. A few pages that are taken away from are flushed one by one, if the
//! table's mappings lead to one address in one address space; everything else by one full flush.

use crate::mapping::{Place, is_intermediate, place};
use crate::slot::{Cap, SlotRef};
use crate::{Caps, Platform};
use abi::captype::CapType;
use paging::Level;
use paging::entry::Access;
use paging::table::Stale;

/// Bytes of a table.
const PAGE: u64 = abi::layout::PAGE as u64;
/// Pages that are flushed one by one; for more, forgetting everything is cheaper.
const FEW: u16 = 16;
/// Mappings of one table that are looked at before it counts as one of many places.
const LOOKED_AT: u32 = 4;

/// What is to be forgotten, and what helps to find out where.
pub(crate) struct Tlb {
    /// Entries were changed that only a full flush makes the buffers forget, which is due.
    pub(crate) wrong: bool,
    /// Since the last full flush, entries were given more than a buffer may remember.
    narrow: bool,
    /// Tables that were asked for, and where they are: each in the place that its address chooses.
    /// Holds until it, or a table above it, is mapped or unmapped.
    known: [(u64, Address); KNOWN],
}

/// Tables whose addresses are remembered.
const KNOWN: usize = 8;
/// No table: those begin at page boundaries.
const NOBODY: (u64, Address) = (u64::MAX, Address { pml4: 0, first: 0 });

/// An address in one address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    pml4: u64,
    first: u64,
}

/// The place where a table is remembered.
fn chosen(table: u64) -> usize {
    (table / PAGE) as usize % KNOWN
}

impl Tlb {
    pub(crate) const fn new() -> Tlb {
        Tlb {
            wrong: false,
            narrow: false,
            known: [NOBODY; KNOWN],
        }
    }
}

impl<P: Platform> Caps<P> {
    /// Does what is due. Called before each operation that may have changed entries returns.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if self.tlb.wrong {
            (self.tlb.wrong, self.tlb.narrow) = (false, false);
            self.platform.flush_tlb();
        }
    }

    /// Entries that map pages were changed.
    #[inline]
    pub(crate) fn changed(&mut self, place: Place, stale: Stale) {
        if stale == Stale::No {
            return;
        }
        // A single page whose place is known is flushed in any case: that costs less than to look at
        // the tables when it is next used.
        if place.run.count() == 1
            && let Some(Address { pml4, first }) = self.known(place.table)
        {
            self.platform.flush_page(pml4, first + place.start());
        } else if stale == Stale::Narrow {
            self.tlb.narrow = true;
        } else {
            self.forget(place);
        }
    }

    /// The mapping's entries were cleared.
    pub(crate) fn cleared(&mut self, mapping: &Cap, place: Place) {
        if is_intermediate(mapping.ty, place.level) {
            self.tlb.wrong = true;
            self.hung_up(mapping.base, place.level);
        } else {
            self.forget(place);
        }
    }

    /// A table was mapped or unmapped, at an entry of a table of `level`: it, and what hangs from it,
    /// may be somewhere else.
    pub(crate) fn hung_up(&mut self, table: u64, level: Level) {
        if level == Level::Pd {
            // Nothing hangs from a Pt.
            if let Some(known) = self.tlb.known.get_mut(chosen(table))
                && known.0 == table
            {
                *known = NOBODY;
            }
        } else {
            self.tlb.known = [NOBODY; KNOWN];
        }
    }

    fn forget(&mut self, place: Place) {
        if self.tlb.wrong {
            return;
        }
        if place.run.count() <= FEW
            && let Some(Address { pml4, first }) = self.address_of(place.table, place.level)
        {
            let mut address = first + place.start();
            for _ in 0..place.run.count() {
                self.platform.flush_page(pml4, address);
                address += place.level.span_bytes();
            }
        } else {
            self.tlb.wrong = true;
        }
    }

    /// Where the table's first entry is; `None` unless it is at one address only.
    #[inline]
    fn address_of(&mut self, table: u64, level: Level) -> Option<Address> {
        self.known(table)
            .or_else(|| self.find_address(table, level))
    }

    #[inline]
    fn known(&self, table: u64) -> Option<Address> {
        let (known, address) = self.tlb.known.get(chosen(table))?;
        (*known == table).then_some(*address)
    }

    /// Finds it table by table, up to one that is known, and remembers it and the table above it:
    /// others below that one are likely to be asked for next.
    #[inline(never)]
    fn find_address(&mut self, table: u64, level: Level) -> Option<Address> {
        let parent = self.only_place(table, level)?;
        let (mut top, mut level, mut first) = (parent.table, parent.level, 0);
        let above = loop {
            if let Some(Address { pml4, first: base }) = self.known(top) {
                first += base;
                break Address { pml4, first };
            }
            if level == Level::Pml4 {
                break Address { pml4: top, first };
            }
            let next = self.only_place(top, level)?;
            first += next.start();
            (top, level) = (next.table, next.level);
        };
        let address = Address {
            first: above.first + parent.start(),
            ..above
        };
        *self.tlb.known.get_mut(chosen(parent.table))? = (parent.table, above);
        *self.tlb.known.get_mut(chosen(table))? = (table, address);
        Some(address)
    }

    /// The only entry that points to a table; `None` where there is none, or more.
    fn only_place(&self, table: u64, level: Level) -> Option<Place> {
        let mapping = match level {
            Level::Pt => CapType::MapPt,
            Level::Pd => CapType::MapPd,
            Level::Pdpt => CapType::MapPdpt,
            Level::Pml4 => return None,
        };
        let first = Cap {
            ty: mapping,
            base: table,
            bytes: PAGE,
            ..Cap::NULL
        }
        .key();
        let last = first.after_region();
        let (mut next, mut found) = (self.mdb.first_from(&first), None);
        for _ in 0..LOOKED_AT {
            let Some(slot) = next.filter(|slot: &SlotRef| slot.key() <= last) else {
                return found;
            };
            let place = place(&slot.cap())?;
            // Tables that are shown as pages lead nowhere.
            if is_intermediate(mapping, place.level) && found.replace(place).is_some() {
                return None;
            }
            next = self.mdb.next(slot);
        }
        None
    }

    /// Is a page fault, where something is mapped, one that only an old entry in a translation
    /// buffer raised? It comes at most once for each, and the access is to be tried again. `write`
    /// and `execute` say what user code did at `address`.
    ///
    /// # Safety
    /// `pml4` is the address of a live object of that type.
    pub unsafe fn is_stale(&self, pml4: u64, address: u64, write: bool, execute: bool) -> bool {
        self.tlb.narrow && self.permits(pml4, address, Access::new(write, execute))
    }

    /// Do the tables let user code do this at `address`?
    #[inline(never)]
    fn permits(&self, pml4: u64, address: u64, access: Access) -> bool {
        let mut base = pml4;
        // Beyond the user's part is nothing that user code may use.
        let mut left = address / Level::Pml4.span_bytes();
        if left >= u64::from(paging::USER_ENTRIES) {
            return false;
        }
        for level in Level::ALL.into_iter().rev() {
            let Ok(entry) = self.table(base).read(left as u16) else {
                return false;
            };
            if !entry.allows(access) {
                return false;
            }
            let Some(next) = level.next().filter(|_| !entry.is_large()) else {
                return true;
            };
            base = entry.address().0;
            left = address / next.span_bytes() % u64::from(paging::ENTRIES);
        }
        false
    }
}
