//! Two ways to find the pages of an area that were written: by the dirty bits in its page tables,
//! which are seen read-only, and by protection, where the first write to each page is a fault.

use abi::captype::MapFlags;
use abi::layout::PAGE;
use abi::op::lifecycle;
use abi::{CPtr, Error};
use alloc::vec::Vec;
use bench::stock::READ_WRITE;
use core::sync::atomic::{AtomicU64, Ordering};
use pages::heap::{Cell, Watch};
use rt::cap;
use rt::fault::{Fault, Verdict};

use crate::space::Area;

const ENTRIES: u32 = 512;
const DIRTY: u64 = 1 << 6;
/// Runs of written pages that are so many pages apart are cleared or protected in one call: what
/// lies between is so already, and an entry costs less than a call.
const GAP: u32 = 32;
/// Most pages of an area that is protected.
pub const MOST_PAGES: usize = 8192;
const BITS: usize = u64::BITS as usize;

// The handler runs on the thread that wrote these, so relaxed is enough.
static BASE: AtomicU64 = AtomicU64::new(0);
/// Pages that are protected; 0 while none are.
static PAGES: AtomicU64 = AtomicU64::new(0);
/// Slot of the first mapping.
static MAPPINGS: AtomicU64 = AtomicU64::new(0);
/// Pages that were written since they were protected, as a bit set.
static WRITTEN: [AtomicU64; MOST_PAGES / BITS] = [const { AtomicU64::new(0) }; MOST_PAGES / BITS];
static FAULTS: AtomicU64 = AtomicU64::new(0);

/// Notes the page and lets the write happen.
pub fn fault(fault: &mut Fault) -> Verdict {
    let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let page = fault.address.wrapping_sub(get(&BASE)) / PAGE as u64;
    if fault.kind() != lifecycle::fault::PAGE_WRITE || page >= get(&PAGES) {
        return Verdict::GiveUp;
    }
    let bits = &WRITTEN[page as usize / BITS];
    bits.store(get(bits) | 1 << (page as usize % BITS), Ordering::Relaxed);
    FAULTS.store(get(&FAULTS) + 1, Ordering::Relaxed);
    let (table, entry) = (page as u32 / ENTRIES, page as u32 % ENTRIES);
    let mapping = CPtr(get(&MAPPINGS) as u32).plus(table);
    match cap::mapping::modify(mapping, entry as u16, 1, READ_WRITE) {
        Ok(()) => Verdict::Resume,
        Err(_) => Verdict::GiveUp,
    }
}

/// Calls `act` for runs that cover these pages (ascending): table, first entry, entries.
fn runs(
    pages: &[u32],
    mut act: impl FnMut(u32, u16, u16) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pages = pages.iter().copied();
    let Some(mut first) = pages.next() else {
        return Ok(());
    };
    let mut last = first;
    let mut end = |first: u32, last: u32| {
        let (entry, count) = (first % ENTRIES, last - first + 1);
        act(first / ENTRIES, entry as u16, count as u16)
    };
    for page in pages {
        if page - last > GAP || page / ENTRIES != first / ENTRIES {
            end(first, last)?;
            first = page;
        }
        last = page;
    }
    end(first, last)
}

/// By dirty bits.
pub struct DirtyBits {
    area: Area,
    /// Where the area's page tables are seen.
    view: u64,
}

impl DirtyBits {
    /// Begins to watch an area whose tables are seen at `view`.
    pub fn new(area: Area, view: u64) -> Result<Self, Error> {
        each_table(area, |table, count| {
            cap::clear_dirty(area.tables.plus(table), 0, count)
        })?;
        Ok(Self { area, view })
    }
}

fn pages(area: &Area) -> u32 {
    (area.bytes / PAGE as u64) as u32
}

/// Calls `act` for each table of an area: its number, and entries.
fn each_table(area: Area, mut act: impl FnMut(u32, u16) -> Result<(), Error>) -> Result<(), Error> {
    let pages = pages(&area);
    (0..pages.div_ceil(ENTRIES))
        .try_for_each(|table| act(table, (pages - table * ENTRIES).min(ENTRIES) as u16))
}

impl Watch for DirtyBits {
    type Error = Error;

    fn take(&mut self, _cells: &[Cell], written: &mut Vec<u32>) -> Result<(), Error> {
        let view = self.view as *const u64;
        for page in 0..pages(&self.area) {
            // SAFETY: the tables are mapped there, one entry a page of the area, as long as it is.
            // The processor changes them meanwhile, hence volatile.
            let entry = unsafe { view.add(page as usize).read_volatile() };
            if entry & DIRTY != 0 {
                written.push(page);
            }
        }
        runs(written, |table, first, count| {
            cap::clear_dirty(self.area.tables.plus(table), first, count)
        })
    }
}

/// By protection.
pub struct Protection(Area);

impl Protection {
    /// Protects an area of at most [`MOST_PAGES`].
    pub fn new(area: Area) -> Result<Self, Error> {
        if pages(&area) as usize > MOST_PAGES {
            return Err(Error::BadSize);
        }
        WRITTEN
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
        BASE.store(area.address, Ordering::Relaxed);
        MAPPINGS.store(u64::from(area.mappings.0), Ordering::Relaxed);
        PAGES.store(u64::from(pages(&area)), Ordering::Relaxed);
        protect_all(area, MapFlags::READ)?;
        Ok(Self(area))
    }

    /// Faults since boot.
    pub fn faults() -> u64 {
        FAULTS.load(Ordering::Relaxed)
    }
}

fn protect_all(area: Area, flags: MapFlags) -> Result<(), Error> {
    each_table(area, |table, count| {
        cap::mapping::modify(area.mappings.plus(table), 0, count, flags)
    })
}

impl Watch for Protection {
    type Error = Error;

    fn take(&mut self, _cells: &[Cell], written: &mut Vec<u32>) -> Result<(), Error> {
        let words = pages(&self.0).div_ceil(BITS as u32) as usize;
        for (n, word) in WRITTEN.iter().enumerate().take(words) {
            let mut bits = word.swap(0, Ordering::Relaxed);
            while bits != 0 {
                written.push(n as u32 * BITS as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        runs(written, |table, first, count| {
            let mapping = self.0.mappings.plus(table);
            cap::mapping::modify(mapping, first, count, MapFlags::READ)
        })
    }
}

impl Drop for Protection {
    fn drop(&mut self) {
        // An area that stays protected would be seen at the next write: nobody handles that.
        let _ = protect_all(self.0, READ_WRITE);
        PAGES.store(0, Ordering::Relaxed);
    }
}
