//! What translation buffers (TLBs) remember of entries that were changed, and how they forget it.
//!
//! Entries that are given more are not flushed at all: using the page through what a buffer still
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
    /// The table that was asked for last, and where it is. Holds until a table is mapped or unmapped.
    known: Option<(u64, Address)>,
}

/// An address in one address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    pml4: u64,
    first: u64,
}

impl Tlb {
    pub(crate) const fn new() -> Tlb {
        Tlb {
            wrong: false,
            narrow: false,
            known: None,
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
        match stale {
            Stale::No => {}
            Stale::Narrow => self.tlb.narrow = true,
            Stale::Wrong => self.forget(place),
        }
    }

    /// A mapping's entries were cleared.
    pub(crate) fn cleared(&mut self, mapping: CapType, place: Place) {
        if is_intermediate(mapping, place.level) {
            (self.tlb.known, self.tlb.wrong) = (None, true);
        } else {
            self.forget(place);
        }
    }

    /// A table was mapped: what it maps may now have an address more.
    pub(crate) fn hung_up(&mut self) {
        self.tlb.known = None;
    }

    fn forget(&mut self, place: Place) {
        if self.tlb.wrong {
            return;
        }
        if place.run.count() <= FEW
            && let Some(Address { pml4, first }) = self.address_of(place.table, place.level)
        {
            for index in place.run.first()..place.run.end() {
                let address = first + u64::from(index) * place.level.span_bytes();
                self.platform.flush_page(pml4, address);
            }
        } else {
            self.tlb.wrong = true;
        }
    }

    /// Where the table's first entry is; `None` unless it is at one address only.
    #[inline]
    fn address_of(&mut self, table: u64, level: Level) -> Option<Address> {
        match self.tlb.known {
            Some((known, address)) if known == table => Some(address),
            _ => {
                let address = self.find_address(table, level)?;
                self.tlb.known = Some((table, address));
                Some(address)
            }
        }
    }

    #[inline(never)]
    fn find_address(&self, table: u64, level: Level) -> Option<Address> {
        let (mut pml4, mut level, mut first) = (table, level, 0);
        while level != Level::Pml4 {
            let above = self.only_place(pml4, level)?;
            first += u64::from(above.run.first()) * above.level.span_bytes();
            (pml4, level) = (above.table, above.level);
        }
        Some(Address { pml4, first })
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
            bytes: abi::layout::PAGE as u64,
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
