//! Regions: ranges of addresses that show memory objects.

use crate::object::{Backing, ObjectId, Piece};
use crate::space::{Place, Space};
use crate::tables::{Cell, ENTRIES, HUGE, LARGE, Run, SPAN};
use crate::{Error, Machine};
use abi::CPtr;
use abi::captype::MapFlags;
use abi::layout::PAGE;

/// The size of a page, chosen for each mapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PageSize {
    /// 4 KiB.
    Small = 12,
    /// 2 MiB.
    Large = 21,
    /// 1 GiB, where the processor has them.
    Huge = 30,
}

impl PageSize {
    #[inline]
    pub const fn bytes(self) -> usize {
        1 << self as u32
    }
    /// Is it a multiple of the page size?
    #[inline]
    pub(crate) const fn divides(self, number: usize) -> bool {
        number & (self.bytes() - 1) == 0
    }
    /// In pages of 4 KiB.
    pub(crate) const fn pages(self) -> usize {
        self.bytes() / PAGE
    }
}

/// What a region allows. A page that is there can always be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    ReadWrite,
    ReadExecute,
}

impl Access {
    #[inline]
    pub(crate) const fn flags(self) -> MapFlags {
        match self {
            Access::Read => MapFlags::READ,
            Access::ReadWrite => MapFlags::READ.union(MapFlags::WRITE),
            Access::ReadExecute => MapFlags::READ.union(MapFlags::EXECUTE),
        }
    }
}

/// Names a region of a space. One that was unmapped is not mistaken for a later one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RegionId {
    pub(crate) index: u16,
    pub(crate) generation: u16,
}

/// Where a region is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    pub id: RegionId,
    pub address: usize,
    pub bytes: usize,
    pub object: ObjectId,
    /// Byte of the object that is at `address`.
    pub offset: u64,
    pub page: PageSize,
}

#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub address: usize,
    pub bytes: usize,
    pub object: ObjectId,
    pub offset: u64,
    pub page: PageSize,
    /// As it was mapped; the pages may have been protected since.
    pub access: Access,
}

impl Region {
    fn told(&self, id: RegionId) -> Mapped {
        Mapped {
            id,
            address: self.address,
            bytes: self.bytes,
            object: self.object,
            offset: self.offset,
            page: self.page,
        }
    }

    /// Bytes that one entry covers of the table that says whose the addresses are.
    pub fn step(&self) -> usize {
        self.page.bytes().max(LARGE)
    }
}

impl<M: Machine> Space<M> {
    /// The region at an address: a few loads, wherever it is.
    #[inline]
    pub fn region_at(&self, address: usize) -> Option<Mapped> {
        let (id, region) = self.locate(address)?;
        Some(region.told(id))
    }

    #[inline(always)]
    pub(crate) fn locate(&self, address: usize) -> Option<(RegionId, &Region)> {
        let (number, _) = self.tables.find(address)?;
        let number = (number as usize).wrapping_sub(1);
        let place = self.regions.get(number)?;
        let region = place.value.as_ref()?;
        let id = RegionId {
            index: number as u16,
            generation: place.generation,
        };
        // The last 2 MiB may be more than it has.
        (address - region.address < region.bytes).then_some((id, region))
    }

    /// Shows `bytes` of an object, from `offset` on, with pages of that size, at `at` (a multiple
    /// of the page size and of 2 MiB) or where there is room. Memory that is there is mapped at once.
    ///
    /// Errors: `NoObject`; `BadSize`, `BadAlign` (not whole pages); `OutOfRange` (of the object, or
    /// of the addresses); `BadPage`; `NotSupported`; `InUse` (a paged object that is mapped
    /// already); `NoAddresses`; `TooMany`; `NoMemory`, `NoSlots`, `NoHeap` (for page tables);
    /// `Kernel`: a frame allows less, or is not aligned to the page.
    pub fn map(
        &mut self,
        id: ObjectId,
        offset: u64,
        bytes: usize,
        page: PageSize,
        access: Access,
        at: Option<usize>,
    ) -> Result<Mapped, Error> {
        self.supported(page)?;
        let object = self.object(id)?;
        let size = page.bytes();
        if bytes == 0 || !bytes.is_multiple_of(size) {
            return Err(Error::BadSize);
        }
        let demand = object.on_demand();
        if demand && !offset.is_multiple_of(size as u64) || !offset.is_multiple_of(PAGE as u64) {
            return Err(Error::BadAlign);
        }
        let end = offset.checked_add(bytes as u64);
        if end.is_none_or(|end| end > object.bytes) {
            return Err(Error::OutOfRange);
        }
        if page > object.page || (demand && page != object.page) {
            return Err(Error::BadPage);
        }
        if matches!(object.backing, Backing::Paged(_)) && object.regions != 0 {
            return Err(Error::InUse);
        }
        let number = self.free_regions.next(0).ok_or(Error::TooMany)?;
        let address = self.find(bytes, size.max(LARGE), at)?;
        let region = Region {
            address,
            bytes,
            object: id,
            offset,
            page,
            access,
        };
        if let Err(error) = self.fill(&region) {
            self.clear(&region);
            return Err(error);
        }
        self.free.remove(self.blocks(address, bytes));
        self.claim(&region, number as u32 + 1);
        self.free_regions.remove(number..number + 1);
        let place = &mut self.regions[number];
        place.value = Some(region);
        let generation = place.generation;
        if let Ok(object) = self.object_mut(id) {
            object.regions += 1;
        }
        let id = RegionId {
            index: number as u16,
            generation,
        };
        Ok(region.told(id))
    }

    /// Ends a region. Its object stays, and what is written in it. Errors: `NoRegion`.
    pub fn unmap(&mut self, id: RegionId) -> Result<(), Error> {
        let place = self.regions.get(usize::from(id.index));
        let there = |p: &&Place<Region>| p.generation == id.generation && p.value.is_some();
        place.filter(there).ok_or(Error::NoRegion)?;
        self.unmap_number(usize::from(id.index));
        Ok(())
    }

    pub(crate) fn unmap_number(&mut self, number: usize) {
        let place = &mut self.regions[number];
        place.generation = place.generation.wrapping_add(1);
        let Some(region) = place.value.take() else {
            return;
        };
        self.keep_dirty(&region, false);
        self.clear(&region);
        self.claim(&region, 0);
        self.free.insert(self.blocks(region.address, region.bytes));
        self.free_regions.insert(number..number + 1);
        if let Ok(object) = self.object_mut(region.object) {
            object.regions -= 1;
        }
    }

    /// The blocks of 2 MiB that a range of addresses is in.
    fn blocks(&self, address: usize, bytes: usize) -> core::ops::Range<usize> {
        let first = (address - self.tables.base()) / LARGE;
        first..first + bytes.div_ceil(LARGE)
    }

    /// An address for a region: the given one, or one that is free. Errors: `BadAlign`,
    /// `OutOfRange`, `NoAddresses`.
    fn find(&self, bytes: usize, align: usize, at: Option<usize>) -> Result<usize, Error> {
        let base = self.tables.base();
        let Some(at) = at else {
            if bytes > SPAN * HUGE {
                return Err(Error::NoAddresses);
            }
            let run = self.free.run(bytes.div_ceil(LARGE), align / LARGE, 0);
            return Ok(base + run.ok_or(Error::NoAddresses)? * LARGE);
        };
        if !at.is_multiple_of(align) {
            return Err(Error::BadAlign);
        }
        let fits = at >= base
            && at
                .checked_add(bytes)
                .is_some_and(|end| end <= base + SPAN * HUGE);
        if !fits {
            return Err(Error::OutOfRange);
        }
        let mut blocks = self.blocks(at, bytes);
        if !blocks.all(|block| self.free.contains(block)) {
            return Err(Error::NoAddresses);
        }
        Ok(at)
    }

    /// Writes down whose the addresses of a region are.
    fn claim(&mut self, region: &Region, number: u32) {
        for address in (region.address..region.address + region.bytes).step_by(region.step()) {
            let whose = match region.page {
                PageSize::Huge => self.tables.root_mut(address).map(|root| &mut root.region),
                _ => self.tables.granule_mut(address).map(|g| &mut g.region),
            };
            if let Some(whose) = whose {
                *whose = number;
            }
        }
    }

    /// Makes the tables of a region, and maps what is there. What was done on an error is undone
    /// by [`Self::clear`].
    fn fill(&mut self, region: &Region) -> Result<(), Error> {
        let demand = self.object(region.object)?.on_demand();
        let end = region.address + region.bytes;
        let allowed = region.access.flags().bits();
        for address in (region.address..end).step_by(region.step()) {
            let (stock, tables) = (&mut self.stock, &mut self.tables);
            match region.page {
                PageSize::Small => {
                    tables.prepare(stock, address, true)?;
                    if demand {
                        tables.leaf(address, allowed)?;
                    } else {
                        self.map_table(region, address, end.min(address + LARGE))?;
                    }
                }
                PageSize::Large => {
                    tables.prepare(stock, address, false)?;
                    tables.make_room(stock, address);
                    tables.set_cell(address, region.page, Cell::new(CPtr::NULL, allowed));
                }
                PageSize::Huge => {
                    tables.make_large_room(stock, address);
                    tables.set_cell(address, region.page, Cell::new(CPtr::NULL, allowed));
                }
            }
        }
        if !demand && region.page != PageSize::Small {
            self.map_large(region)?;
        }
        Ok(())
    }

    fn piece(&self, region: &Region, address: usize) -> Result<Piece, Error> {
        let at = region.offset + (address - region.address) as u64;
        let piece = self.object(region.object)?.piece(&self.stock, at);
        piece.ok_or(Error::OutOfRange)
    }

    /// Maps the pages of one page table, from `address` to `end`.
    fn map_table(&mut self, region: &Region, address: usize, end: usize) -> Result<(), Error> {
        let mut at = address;
        while at < end {
            let piece = self.piece(region, at)?;
            let pages = (end - at).min(piece.bytes as usize) / PAGE;
            let single = at == address && pages * PAGE == end - address;
            let granule = self.tables.granule(at).ok_or(Error::NoRegion)?;
            let table = granule.table;
            if !single && granule.leaf.is_none() {
                self.tables.leaf(address, region.access.flags().bits())?;
            }
            let first = at / PAGE % ENTRIES;
            let slot = self.map_run(table, piece, first, pages, region.access.flags())?;
            let granule = self.tables.granule_mut(at).ok_or(Error::NoRegion)?;
            match &mut granule.leaf {
                Some(leaf) => leaf[first..first + pages].iter_mut().for_each(|cell| {
                    cell.set_mapping(slot);
                }),
                None => {
                    granule.run = Run {
                        mapping: slot,
                        first: first as u16,
                        count: pages as u16,
                    }
                }
            }
            at += pages * PAGE;
        }
        Ok(())
    }

    /// Maps a region of large pages: as many at once as lie in one table and one frame.
    fn map_large(&mut self, region: &Region) -> Result<(), Error> {
        let size = region.page.bytes();
        let end = region.address + region.bytes;
        let mut at = region.address;
        while at < end {
            let piece = self.piece(region, at)?;
            let first = at / size % ENTRIES;
            let here = (ENTRIES - first).min((end - at) / size);
            let pages = here.min(piece.bytes as usize / size);
            if pages == 0 {
                return Err(Error::BadPage);
            }
            let table = self.tables.over(at, region.page).ok_or(Error::NoRegion)?;
            let flags = region.access.flags() | MapFlags::LARGE;
            let run = Run {
                mapping: self.map_run(table, piece, first, pages, flags)?,
                first: first as u16,
                count: pages as u16,
            };
            for address in (at..at + pages * size).step_by(size) {
                self.tables.set_run(address, region.page, run);
            }
            at += pages * size;
        }
        Ok(())
    }

    /// Maps pages of a frame; the slot of the mapping.
    #[inline]
    fn map_run(
        &mut self,
        table: CPtr,
        piece: Piece,
        first: usize,
        pages: usize,
        flags: MapFlags,
    ) -> Result<CPtr, Error> {
        let slot = self.stock.slot()?;
        let (first, count) = (first as u16, pages as u16);
        let machine = &mut self.stock.machine;
        match machine.map(table, piece.frame, first, count, flags, piece.offset, slot) {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.stock.give_slot(slot);
                Err(error.into())
            }
        }
    }

    /// Destroys every mapping of a region.
    fn clear(&mut self, region: &Region) {
        for address in (region.address..region.address + region.bytes).step_by(region.step()) {
            if region.page == PageSize::Small {
                let Some(granule) = self.tables.granule_mut(address) else {
                    continue;
                };
                if let Some(leaf) = granule.leaf.take() {
                    let mut last = CPtr::NULL;
                    for mapping in leaf.iter().map(|cell| cell.mapping()) {
                        if mapping != last {
                            self.stock.end(mapping);
                            last = mapping;
                        }
                    }
                    continue;
                }
            }
            let run = self.tables.run(address, region.page);
            self.tables.set_run(address, region.page, Run::NONE);
            let size = region.page.bytes();
            let own = run.first == (address / size % ENTRIES) as u16;
            if region.page == PageSize::Small || own {
                self.stock.end(run.mapping);
            }
        }
    }
}
