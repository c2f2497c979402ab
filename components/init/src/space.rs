//! Address spaces, built page table by page table with capability invocations. Source:
//! Barrelfish, chapter 3.

use alloc::vec::Vec;

use abi::captype::MapFlags;
use abi::layout::{CALLS, PAGE};
use abi::start::init_slot;
use abi::{CPtr, CapType};
use init::runs::{TABLE_BYTES, runs};
use rt::cap;

use crate::memory::Stock;
use crate::trouble::{Doing, Result};

const READ_WRITE: MapFlags = MapFlags::READ.union(MapFlags::WRITE);

/// Levels below the root: type, and address bits that one entry of the level above covers.
const LEVELS: [(CapType, u32); 3] = [(CapType::Pdpt, 39), (CapType::Pd, 30), (CapType::Pt, 21)];

/// An address space and the tables that it has so far.
pub struct Space {
    root: CPtr,
    /// Level, first address, capability.
    tables: Vec<(usize, u64, CPtr)>,
}

impl Space {
    pub fn new(root: CPtr) -> Self {
        Self {
            root,
            tables: Vec::new(),
        }
    }

    /// The table of `level` (0 is the Pdpt) for an address; made where it is missing.
    pub fn table(&mut self, stock: &mut Stock, level: usize, address: u64) -> Result<CPtr> {
        let mut parent = self.root;
        for (n, (captype, bits)) in LEVELS.iter().enumerate().take(level + 1) {
            let first = address >> bits << bits;
            let known = self
                .tables
                .iter()
                .find(|(l, base, _)| *l == n && *base == first);
            parent = match known {
                Some((.., table)) => *table,
                None => {
                    let table = stock.page(*captype).doing("make a page table")?;
                    let entry = (address >> bits) as u16 & 511;
                    let slot = stock.slot().doing("find a slot")?;
                    cap::map(parent, table, entry, 1, MapFlags::READ, 0, slot)
                        .doing("map a page table")?;
                    self.tables.push((n, first, table));
                    table
                }
            };
        }
        Ok(parent)
    }

    /// Maps `pages` pages of a frame, from `offset` bytes on, at `address`.
    pub fn map(
        &mut self,
        stock: &mut Stock,
        address: u64,
        frame: CPtr,
        offset: u64,
        pages: u64,
        flags: MapFlags,
    ) -> Result<()> {
        for run in runs(address, pages) {
            let table = self.table(stock, LEVELS.len() - 1, run.address)?;
            let slot = stock.slot().doing("find a slot")?;
            let offset = offset + (run.address - address);
            cap::map(table, frame, run.first, run.count, flags, offset, slot)
                .doing("map memory")?;
        }
        Ok(())
    }
}

/// Where the window lies in init: a PML4 slot that the kernel leaves alone.
const WINDOW: usize = 0x100_0000_0000;

/// A place in init's own address space where it looks at frames before others have them.
pub struct Window {
    table: CPtr,
    mapping: CPtr,
}

impl Window {
    pub fn new(stock: &mut Stock, own: &mut Space) -> Result<Self> {
        Ok(Self {
            table: own.table(stock, LEVELS.len() - 1, WINDOW as u64)?,
            mapping: stock.slot().doing("find a slot")?,
        })
    }

    /// Shows `pages` pages (512 at most) of a frame to `f`.
    fn show<R>(
        &self,
        frame: CPtr,
        offset: u64,
        pages: u64,
        f: impl FnOnce(*mut u8) -> R,
    ) -> Result<R> {
        let pages = pages as u16;
        cap::map(
            self.table,
            frame,
            0,
            pages,
            READ_WRITE,
            offset,
            self.mapping,
        )
        .doing("map a frame in the window")?;
        let result = f(WINDOW as *mut u8);
        cap::mapping::destroy(self.mapping).doing("clear the window")?;
        Ok(result)
    }

    /// Fills a fresh frame of `bytes` with `data` from its beginning, zeros behind.
    pub fn fill(&self, frame: CPtr, data: &[u8], bytes: u64) -> Result<()> {
        let (mut offset, mut data) = (0, data);
        while offset < bytes {
            let part = (bytes - offset).min(TABLE_BYTES);
            let (now, later) = data.split_at(data.len().min(part as usize));
            self.show(frame, offset, part / PAGE as u64, |window| {
                // SAFETY: the window has `part` bytes mapped, writable, that nobody else knows;
                // `now` is at most as long and lies elsewhere.
                unsafe {
                    window.copy_from_nonoverlapping(now.as_ptr(), now.len());
                    window
                        .add(now.len())
                        .write_bytes(0, part as usize - now.len());
                }
            })?;
            (offset, data) = (offset + part, later);
        }
        Ok(())
    }

    /// Writes 32-bit device registers in the first page of a device frame.
    pub fn registers(&self, frame: CPtr, writes: &[(u64, u32)]) -> Result<()> {
        self.show(frame, 0, 1, |window| {
            for (offset, value) in writes {
                let at = (*offset as usize % PAGE) & !3;
                // SAFETY: inside the one page that is mapped, aligned; the device's registers
                // are memory to nobody.
                unsafe { window.add(at).cast::<u32>().write_volatile(*value) };
            }
        })
    }
}

/// A frame of `bytes` filled with `data`, zeros behind.
pub fn filled(stock: &mut Stock, window: &Window, data: &[u8], bytes: u64) -> Result<CPtr> {
    let frame = stock
        .make(CapType::Frame, bytes)
        .doing("find memory for it")?;
    window.fill(frame, data, bytes)?;
    Ok(frame)
}

/// Gives every thread but init's own a stack in init, for faults and questions.
pub fn own_stacks(
    stock: &mut Stock,
    own: &mut Space,
    row: u64,
    threads: u16,
    bytes: u64,
) -> Result<()> {
    let stride = abi::layout::STACK_STRIDE as u64;
    for thread in 0..u64::from(threads) {
        let frame = stock
            .make(CapType::Frame, bytes)
            .doing("find memory for init's stacks")?;
        let top = row + (thread + 1) * stride;
        own.map(
            stock,
            top - bytes,
            frame,
            0,
            bytes / PAGE as u64,
            READ_WRITE,
        )?;
    }
    Ok(())
}

/// Where init counts its own invokers: in the second row, since the kernel made the tables of the
/// first.
pub const OWN_CALLS: u64 = CALLS as u64 + crate::ROW;

/// The page for them.
pub fn own_calls(stock: &mut Stock, own: &mut Space, window: &Window) -> Result<CPtr> {
    let bytes = PAGE as u64;
    let frame = filled(stock, window, &[], bytes)?;
    own.map(stock, OWN_CALLS, frame, 0, 1, READ_WRITE)?;
    Ok(frame)
}

/// The root of init's own address space.
pub fn own() -> Space {
    Space::new(init_slot::PML4)
}
