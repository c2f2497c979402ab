//! Memory, page tables and slots of the component's own: areas of the address space that the same
//! memory can be shown in, by pages of any size.

use abi::captype::MapFlags;
use abi::layout::PAGE;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error, cptr};
use bench::stock::{READ_WRITE, Stock, WINDOW};
use rt::cap;

/// What one entry of a Pdpt, a Pd and a Pt covers.
pub const GIB: u64 = 1 << 30;
const MIB_2: u64 = 2 << 20;
const ENTRIES: u64 = 512;
/// First and last index of the CSpace's root at which there is nothing yet.
const FIRST_L2: u32 = 1;
const LAST_L2: u32 = 63;

/// A size of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    Small,
    Large,
    Huge,
}

impl Size {
    pub const ALL: [Size; 3] = [Size::Small, Size::Large, Size::Huge];

    pub fn name(self) -> &'static str {
        match self {
            Size::Small => "4k",
            Size::Large => "2m",
            Size::Huge => "1g",
        }
    }

    pub fn bytes(self) -> u64 {
        match self {
            Size::Small => PAGE as u64,
            Size::Large => MIB_2,
            Size::Huge => GIB,
        }
    }
}

/// Memory that is shown somewhere.
#[derive(Clone, Copy)]
pub struct Area {
    pub address: u64,
    pub bytes: u64,
    /// Tables and mappings are in slots one after the other, one for each table.
    pub tables: CPtr,
    pub mappings: CPtr,
}

pub struct Space {
    stock: Stock,
    next_l2: u32,
    /// Slots that are left of the last L2 CNode.
    slots: CPtr,
    left: u32,
    /// Entry of the component's own Pdpt that nothing uses; the first is the stock's.
    next_gib: u16,
    /// A page table with nothing in it, a frame that fills it, and a slot for that mapping.
    scratch: [CPtr; 3],
}

impl Space {
    pub fn new() -> Result<Self, Error> {
        let mut space = Self {
            stock: Stock::new()?,
            next_l2: FIRST_L2,
            slots: CPtr::NULL,
            left: 0,
            next_gib: 1,
            scratch: [CPtr::NULL; 3],
        };
        let (_, entry) = space.gib();
        let directory = space.stock.table(space.stock.own, entry, CapType::Pd)?;
        let table = space.stock.table(directory, 0, CapType::Pt)?;
        space.scratch = [table, space.frame(MIB_2, MIB_2)?, space.slots(1)?];
        Ok(space)
    }

    /// Has the processor forget all address translations, as a change of so many pages does.
    pub fn forget_translations(&self) -> Result<(), Error> {
        let [table, frame, mapping] = self.scratch;
        cap::map(table, frame, 0, ENTRIES as u16, READ_WRITE, 0, mapping)?;
        cap::mapping::destroy(mapping)
    }

    /// So many empty slots in a row, at most those of an L2 CNode.
    fn slots(&mut self, count: u32) -> Result<CPtr, Error> {
        if self.left < count {
            if self.next_l2 > LAST_L2 {
                return Err(Error::NoMemory);
            }
            let (slot, bytes) = (self.stock.slot(), cptr::L2_BYTES as u64);
            let (ram, offset) = self.stock.take(bytes, bytes)?;
            cap::retype(CSPACE, slot, ram, CapType::L2CNode, 1, offset, bytes)?;
            cap::install_l2(CSPACE, slot, self.next_l2)?;
            self.slots = CPtr::new(self.next_l2, 0);
            self.left = cptr::L2_SLOTS as u32;
            self.next_l2 += 1;
        }
        let first = self.slots;
        self.slots = first.plus(count);
        self.left -= count;
        Ok(first)
    }

    /// A frame whose address is a multiple of `align`. Its contents are anything.
    pub fn frame(&mut self, bytes: u64, align: u64) -> Result<CPtr, Error> {
        let slot = self.slots(1)?;
        let (ram, offset) = self.stock.take(bytes, align)?;
        cap::retype(CSPACE, slot, ram, CapType::Frame, 1, offset, bytes)?;
        Ok(slot)
    }

    /// Objects of one page each, in consecutive slots.
    fn objects(&mut self, captype: CapType, count: u32) -> Result<CPtr, Error> {
        let slots = self.slots(count)?;
        let bytes = u64::from(count) * PAGE as u64;
        let (ram, offset) = self.stock.take(bytes, PAGE as u64)?;
        cap::retype(CSPACE, slots, ram, captype, count, offset, PAGE as u64)?;
        Ok(slots)
    }

    /// The next GiB of addresses, and the entry that leads to it.
    fn gib(&mut self) -> (u64, u16) {
        let entry = self.next_gib;
        self.next_gib += 1;
        (WINDOW + u64::from(entry) * GIB, entry)
    }

    /// Shows the first `bytes` (whole pages, at most a GiB) of a frame, in pages of that size; of
    /// a frame of 1 GiB pages all of it. Errors: `NotSupported` where the processor has no such
    /// pages, `NoMemory`.
    pub fn show(&mut self, frame: CPtr, bytes: u64, size: Size) -> Result<Area, Error> {
        let (address, entry) = self.gib();
        let own = self.stock.own;
        let large = READ_WRITE | MapFlags::LARGE;
        if size == Size::Huge {
            let mappings = self.slots(1)?;
            cap::map(own, frame, entry, 1, large, 0, mappings)?;
            return Ok(Area {
                address,
                bytes,
                tables: own,
                mappings,
            });
        }
        let directory = self.stock.table(own, entry, CapType::Pd)?;
        if size == Size::Large {
            let (mappings, pages) = (self.slots(1)?, bytes.div_ceil(MIB_2) as u16);
            cap::map(directory, frame, 0, pages, large, 0, mappings)?;
            return Ok(Area {
                address,
                bytes,
                tables: directory,
                mappings,
            });
        }
        let pages = bytes / PAGE as u64;
        let count = pages.div_ceil(ENTRIES) as u32;
        let tables = self.objects(CapType::Pt, count)?;
        let (hung, mappings) = (self.slots(count)?, self.slots(count)?);
        for n in 0..count {
            let (table, hung) = (tables.plus(n), hung.plus(n));
            cap::map(directory, table, n as u16, 1, MapFlags::READ, 0, hung)?;
            let first = u64::from(n) * ENTRIES;
            let (here, offset) = ((pages - first).min(ENTRIES), first * PAGE as u64);
            let mapping = mappings.plus(n);
            cap::map(table, frame, 0, here as u16, READ_WRITE, offset, mapping)?;
        }
        Ok(Area {
            address,
            bytes,
            tables,
            mappings,
        })
    }

    /// Shows an area's page tables, read-only, one after the other. Where.
    pub fn show_tables(&mut self, area: &Area) -> Result<u64, Error> {
        let (address, entry) = self.gib();
        let directory = self.stock.table(self.stock.own, entry, CapType::Pd)?;
        let through = self.stock.table(directory, 0, CapType::Pt)?;
        let count = area.bytes.div_ceil(MIB_2) as u32;
        let views = self.slots(count)?;
        for n in 0..count {
            let (table, view) = (area.tables.plus(n), views.plus(n));
            cap::map(through, table, n as u16, 1, MapFlags::READ, 0, view)?;
        }
        Ok(address)
    }
}
