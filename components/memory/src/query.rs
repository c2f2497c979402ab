//! Protection of ranges, and accessed and dirty bits, which are read in the page tables themselves.

use crate::fault::{ACCESSED, DIRTY, PRESENT, entry};
use crate::region::{Access, PageSize, Region};
use crate::space::Space;
use crate::tables::{ENTRIES, LARGE};
use crate::{Error, Machine};
use abi::CPtr;
use abi::layout::PAGE;
use core::ops::Range;

/// What the processor notes of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    Accessed,
    Dirty,
}

/// The part of a range that one table has: its first entry, and how many.
struct Span {
    address: usize,
    first: u16,
    count: u16,
}

/// Cuts a range of whole pages at the ends of tables.
fn spans(range: Range<usize>, page: PageSize) -> impl Iterator<Item = Span> {
    let size = page.bytes();
    let mut at = range.start;
    core::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let (address, first) = (at, at / size % ENTRIES);
        let count = (ENTRIES - first).min((range.end - at) / size);
        at += count * size;
        Some(Span {
            address,
            first: first as u16,
            count: count as u16,
        })
    })
}

impl<M: Machine> Space<M> {
    /// The region that a range of whole pages is in. Errors: `NoRegion`, `BadSize`, `BadAlign`,
    /// `OutOfRange`.
    #[inline]
    fn region_over(&self, address: usize, bytes: usize) -> Result<&Region, Error> {
        let (_, region) = self.locate(address).ok_or(Error::NoRegion)?;
        if bytes == 0 || !region.page.divides(bytes) {
            return Err(Error::BadSize);
        }
        if !region.page.divides(address) {
            return Err(Error::BadAlign);
        }
        let end = (address - region.address).checked_add(bytes);
        if end.is_none_or(|end| end > region.bytes) {
            return Err(Error::OutOfRange);
        }
        Ok(region)
    }

    /// Changes what a range of whole pages of one region allows; pages that are not there yet get
    /// it when they come. One system call for each page table that it meets, as long as its
    /// pages are there.
    ///
    /// Errors: `NoRegion`, `BadSize`, `BadAlign`, `OutOfRange`, `Kernel` (a fixed frame allows less).
    #[inline]
    pub fn protect(&mut self, address: usize, bytes: usize, access: Access) -> Result<(), Error> {
        // What one mapping holds together, without a look at the region: a part of a page table
        // that a single mapping fills, which is not longer than the region.
        if let Some((_, Some(granule))) = self.tables.find(address)
            && granule.table != CPtr::NULL
            && granule.leaf.is_none()
        {
            let run = granule.run;
            let (first, count) = (address / PAGE % ENTRIES, bytes / PAGE);
            let whole = PageSize::Small.divides(address | bytes) && count != 0;
            if whole && count <= usize::from(run.count).saturating_sub(first) {
                let (first, count) = (first as u16, count as u16);
                let machine = &mut self.stock.machine;
                return Ok(machine.modify_mapping(run.mapping, first, count, access.flags())?);
            }
        }
        self.protect_each(address, bytes, access)
    }

    #[inline(never)]
    fn protect_each(&mut self, address: usize, bytes: usize, access: Access) -> Result<(), Error> {
        let region = *self.region_over(address, bytes)?;
        let flags = access.flags();
        for span in spans(address..address + bytes, region.page) {
            let single = match region.page {
                PageSize::Small => self
                    .tables
                    .granule(span.address)
                    .filter(|g| g.leaf.is_none()),
                PageSize::Large | PageSize::Huge => None,
            };
            if let Some(granule) = single {
                let mapping = granule.run.mapping;
                let machine = &mut self.stock.machine;
                machine.modify_mapping(mapping, span.first, span.count, flags)?;
                continue;
            }
            self.each_mapped(region.page, &span, |space, table, first, count| {
                Ok(space.stock.machine.modify(table, first, count, flags)?)
            })?;
            for n in 0..usize::from(span.count) {
                let at = span.address + n * region.page.bytes();
                self.tables.set_allowed(at, region.page, flags.bits());
            }
        }
        Ok(())
    }

    /// Does something with each row of pages of a span that are mapped: table, first, count.
    fn each_mapped(
        &mut self,
        page: PageSize,
        span: &Span,
        mut act: impl FnMut(&mut Self, CPtr, u16, u16) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let table = self
            .tables
            .over(span.address, page)
            .ok_or(Error::NoRegion)?;
        let there = |space: &Self, n: u16| {
            let at = span.address + usize::from(n) * page.bytes();
            entry(&space.stock, &space.tables, at, page) & PRESENT != 0
        };
        let mut n = 0;
        while n < span.count {
            let first = n;
            while n < span.count && there(self, n) {
                n += 1;
            }
            if n > first {
                act(self, table, span.first + first, n - first)?;
            } else {
                n += 1;
            }
        }
        Ok(())
    }

    /// Tells the address of each page of a range of one region that was accessed, or written to,
    /// since it was mapped or its bit was cleared. No system call.
    ///
    /// Errors: `NoRegion`, `BadSize`, `BadAlign`, `OutOfRange`.
    #[inline]
    pub fn traced(
        &self,
        address: usize,
        bytes: usize,
        trace: Trace,
        mut tell: impl FnMut(usize),
    ) -> Result<(), Error> {
        let page = self.region_over(address, bytes)?.page;
        let mask = PRESENT
            | match trace {
                Trace::Accessed => ACCESSED,
                Trace::Dirty => DIRTY,
            };
        let first = self.tables.entry_at(address, page);
        for n in 0..bytes >> page as u32 {
            // SAFETY: as in `entry`: the tables of a region are visible, in a row.
            let entry = unsafe { self.stock.machine.entry(first + n * size_of::<u64>()) };
            if entry & mask == mask {
                tell(address + (n << page as u32));
            }
        }
        Ok(())
    }

    /// The raw page-table entry of the page at an address; 0 where nothing is mapped. No system
    /// call. Errors: `NoRegion`.
    #[inline]
    pub fn entry(&self, address: usize) -> Result<u64, Error> {
        let page = self.locate(address).ok_or(Error::NoRegion)?.1.page;
        let at = address & !(page.bytes() - 1);
        Ok(entry(&self.stock, &self.tables, at, page))
    }

    /// Clears the dirty bits of a range of one region. One system call for each table in which a
    /// page of the range is dirty (more where pages between are not there).
    ///
    /// Errors: `NoRegion`, `BadSize`, `BadAlign`, `OutOfRange`, `Kernel`.
    pub fn clear_dirty(&mut self, address: usize, bytes: usize) -> Result<(), Error> {
        let region = *self.region_over(address, bytes)?;
        // The pager needs to know what the bits would have told it; a page that is written between
        // this look and the clearing counts as dirty, too.
        self.keep_dirty(&region, true);
        let page = region.page;
        for span in spans(address..address + bytes, page) {
            let dirty = |space: &Self, n: u16| {
                let at = span.address + usize::from(n) * page.bytes();
                entry(&space.stock, &space.tables, at, page) & DIRTY != 0
            };
            let Some(first) = (0..span.count).find(|n| dirty(self, *n)) else {
                continue;
            };
            let last = (first..span.count)
                .rfind(|n| dirty(self, *n))
                .unwrap_or(first);
            let part = Span {
                address: span.address + usize::from(first) * page.bytes(),
                first: span.first + first,
                count: last - first + 1,
            };
            self.each_mapped(page, &part, |space, table, first, count| {
                Ok(space.stock.machine.clear_dirty(table, first, count)?)
            })?;
        }
        Ok(())
    }
}

const _: () = assert!(LARGE == ENTRIES * PAGE);
