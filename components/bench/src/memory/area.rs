//! A part of the address space that one kind of page fills, and the capability calls that fill it.

use abi::captype::MapFlags;
use abi::layout::PAGE;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error};
use rt::cap;

use bench::stock::{READ_WRITE, Stock, WINDOW};

/// Entries in a page table.
const ENTRIES: u64 = 512;
const SPAN: u64 = 1 << 30;

/// A kind of page.
pub struct Pages {
    pub name: &'static str,
    pub bytes: u64,
    /// Tables for the largest size, 64 MiB.
    most_tables: u32,
    /// What maps them, and the tables over those.
    table: CapType,
    parent: CapType,
    /// Entry of the component's own Pdpt at which the area begins.
    place: u16,
    extra: MapFlags,
}

pub const SMALL: Pages = Pages {
    name: "4k",
    bytes: PAGE as u64,
    most_tables: 32,
    table: CapType::Pt,
    parent: CapType::Pd,
    place: 1,
    extra: MapFlags::empty(),
};

pub const LARGE: Pages = Pages {
    name: "2m",
    bytes: ENTRIES * PAGE as u64,
    most_tables: 1,
    table: CapType::Pd,
    parent: CapType::Pdpt,
    place: 2,
    extra: MapFlags::LARGE,
};

/// Capabilities and addresses of an area.
pub struct Area {
    pub pages: &'static Pages,
    /// The table whose entries lead to the area's tables, and the first of those entries.
    parent: CPtr,
    entry: u16,
    /// Address of the first page.
    pub address: u64,
    /// Memory that the tables are made of, again and again.
    ram: CPtr,
    offset: u64,
    /// Slots: of the tables, of their mappings, and of the pages' mappings, one a table.
    tables: CPtr,
    hung: CPtr,
    pub mapped: CPtr,
}

impl Area {
    pub fn new(stock: &mut Stock, pages: &'static Pages) -> Result<Self, Error> {
        let (parent, entry) = match pages.parent {
            CapType::Pd => (stock.table(stock.own, pages.place, CapType::Pd)?, 0),
            _ => (stock.own, pages.place),
        };
        let tables = pages.most_tables;
        let (ram, offset) = stock.take(u64::from(tables) * PAGE as u64, PAGE as u64)?;
        Ok(Self {
            pages,
            parent,
            entry,
            address: WINDOW + u64::from(pages.place) * SPAN,
            ram,
            offset,
            tables: stock.slots(tables),
            hung: stock.slots(tables),
            mapped: stock.slots(tables),
        })
    }

    /// Tables for so many pages.
    fn tables(&self, pages: u64) -> u32 {
        pages.div_ceil(ENTRIES) as u32
    }

    /// First page and number of pages under each table.
    fn pieces(&self, pages: u64) -> impl Iterator<Item = (u32, u16)> {
        (0..self.tables(pages)).map(move |table| {
            (
                table,
                (pages - u64::from(table) * ENTRIES).min(ENTRIES) as u16,
            )
        })
    }

    /// Makes the tables for so many pages and hangs them up.
    #[inline(never)]
    pub fn make_tables(&self, pages: u64) -> Result<(), Error> {
        let (count, table) = (self.tables(pages), self.pages.table);
        let (ram, bytes) = (self.ram, PAGE as u64);
        cap::retype(CSPACE, self.tables, ram, table, count, self.offset, bytes)?;
        for n in 0..count {
            let (table, mapping) = (self.tables.plus(n), self.hung.plus(n));
            cap::map(
                self.parent,
                table,
                self.entry + n as u16,
                1,
                MapFlags::READ,
                0,
                mapping,
            )?;
        }
        Ok(())
    }

    /// Maps the first so many pages of a frame, tables being there.
    #[inline(never)]
    pub fn map(&self, frame: CPtr, pages: u64) -> Result<(), Error> {
        let flags = READ_WRITE | self.pages.extra;
        for (n, count) in self.pieces(pages) {
            let (table, mapping) = (self.tables.plus(n), self.mapped.plus(n));
            let offset = u64::from(n) * ENTRIES * self.pages.bytes;
            cap::map(table, frame, 0, count, flags, offset, mapping)?;
        }
        Ok(())
    }

    /// Gives the pages other flags.
    #[inline(never)]
    pub fn protect(&self, pages: u64, flags: MapFlags) -> Result<(), Error> {
        for (n, count) in self.pieces(pages) {
            cap::mapping::modify(self.mapped.plus(n), 0, count, flags)?;
        }
        Ok(())
    }

    /// Unmaps the pages; the tables stay.
    #[inline(never)]
    pub fn unmap(&self, pages: u64) -> Result<(), Error> {
        (0..self.tables(pages)).try_for_each(|n| cap::mapping::destroy(self.mapped.plus(n)))
    }

    /// Frees the tables, and with them whatever is mapped there.
    #[inline(never)]
    pub fn free_tables(&self, pages: u64) -> Result<(), Error> {
        (0..self.tables(pages)).try_for_each(|n| cap::delete(CSPACE, self.tables.plus(n)))
    }
}
