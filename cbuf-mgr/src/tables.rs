//! Page tables under one PDPT: made when first needed, kept for good.

use crate::slots::Resources;
use abi::captype::MapFlags;
use abi::layout::PAGE;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error};
use alloc::vec::Vec;
use rt::cap;

/// Entries of a page table, and so pages that one covers.
const ENTRIES: u64 = 512;

/// A run of pages mapped somewhere: a mapping capability for each page table it touches.
pub struct Run {
    mappings: Vec<CPtr>,
}

/// What lies under one PDPT: the whole of one PML4 slot.
pub struct Space {
    pdpt: CPtr,
    /// Page directories by their index, sorted.
    directories: Vec<(u64, CPtr)>,
    /// Page tables by virtual page number / 512 (within the slot), sorted.
    tables: Vec<(u64, CPtr)>,
}

impl Space {
    pub const fn new(pdpt: CPtr) -> Self {
        Self {
            pdpt,
            directories: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Maps 2^`order` pages of `frame` at virtual page number `place`, a multiple of that.
    pub fn map(
        &mut self,
        resources: &mut Resources,
        frame: CPtr,
        place: u64,
        order: u32,
        writable: bool,
    ) -> Result<Run, Error> {
        let mut flags = MapFlags::READ;
        flags.set(MapFlags::WRITE, writable);
        let pages = 1u64 << order;
        let each = pages.min(ENTRIES);
        let mut run = Run {
            mappings: Vec::new(),
        };
        run.mappings
            .try_reserve_exact((pages / each) as usize)
            .map_err(|_| Error::NoMemory)?;
        for part in (0..pages).step_by(each as usize) {
            let made = self.table(resources, place + part).and_then(|table| {
                let slot = resources.take_slot()?;
                let first = ((place + part) % ENTRIES) as u16;
                let offset = part * PAGE as u64;
                cap::map(table, frame, first, each as u16, flags, offset, slot)
                    .inspect_err(|_| resources.give_slot(slot))?;
                Ok(slot)
            });
            match made {
                Ok(slot) => run.mappings.push(slot),
                Err(error) => {
                    Self::unmap(resources, run);
                    return Err(error);
                }
            }
        }
        Ok(run)
    }

    /// Gives or takes the right to write 2^`order` pages.
    pub fn protect(run: &Run, order: u32, writable: bool) -> Result<(), Error> {
        let mut flags = MapFlags::READ;
        flags.set(MapFlags::WRITE, writable);
        let each = (1u64 << order).min(ENTRIES) as u16;
        let mut slots = run.mappings.iter();
        slots.try_for_each(|slot| cap::mapping::modify(*slot, 0, each, flags))
    }

    pub fn unmap(resources: &mut Resources, run: Run) {
        for slot in run.mappings {
            // The slot is used again only when it is known to be empty.
            if cap::mapping::destroy(slot).is_ok() {
                resources.give_slot(slot);
            }
        }
    }

    /// The page table for virtual page number `place`.
    fn table(&mut self, resources: &mut Resources, place: u64) -> Result<CPtr, Error> {
        // 2^27 pages in the PML4 slot: what is above is the slot's own number.
        let key = place % (1 << 27) / ENTRIES;
        let at = match self.tables.binary_search_by_key(&key, |t| t.0) {
            Ok(at) => return Ok(self.tables[at].1),
            Err(at) => at,
        };
        self.tables.try_reserve(1).map_err(|_| Error::NoMemory)?;
        let directory = self.directory(resources, key / ENTRIES)?;
        let table = Self::add(resources, directory, CapType::Pt, key % ENTRIES)?;
        self.tables.insert(at, (key, table));
        Ok(table)
    }

    fn directory(&mut self, resources: &mut Resources, index: u64) -> Result<CPtr, Error> {
        let at = match self.directories.binary_search_by_key(&index, |d| d.0) {
            Ok(at) => return Ok(self.directories[at].1),
            Err(at) => at,
        };
        self.directories
            .try_reserve(1)
            .map_err(|_| Error::NoMemory)?;
        let directory = Self::add(resources, self.pdpt, CapType::Pd, index)?;
        self.directories.insert(at, (index, directory));
        Ok(directory)
    }

    /// Makes a table and installs it in its parent.
    fn add(
        resources: &mut Resources,
        parent: CPtr,
        captype: CapType,
        entry: u64,
    ) -> Result<CPtr, Error> {
        let table = resources.make_own(captype, 0)?;
        let flags = MapFlags::READ | MapFlags::WRITE;
        let installed = resources.take_slot().and_then(|slot| {
            cap::map(parent, table, entry as u16, 1, flags, 0, slot)
                .inspect_err(|_| resources.give_slot(slot))
        });
        if let Err(error) = installed {
            if cap::delete(CSPACE, table).is_ok() {
                resources.give_slot(table);
            }
            return Err(error);
        }
        Ok(table)
    }
}
