//! What a fault means, and memory that comes when it is touched.
//!
//! Nothing here uses the heap, so a fault handler may call it on its small stack.

use crate::object::{Backing, take};
use crate::pager::Pager;
use crate::region::{Mapped, PageSize, Region, RegionId};
use crate::space::Space;
use crate::stock::Stock;
use crate::tables::{Cell, ENTRIES, Tables};
use crate::{Error, Machine, ObjectId};
use abi::CPtr;
use abi::captype::MapFlags;

/// What was tried at the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Read,
    Write,
    Execute,
}

impl Kind {
    /// Of a fault's number ([`abi::op::lifecycle::fault`]); `None` for those that are no page's.
    pub fn of(fault: u64) -> Option<Kind> {
        use abi::op::lifecycle::fault;
        match fault {
            fault::PAGE_READ => Some(Kind::Read),
            fault::PAGE_WRITE => Some(Kind::Write),
            fault::PAGE_EXECUTE => Some(Kind::Execute),
            _ => None,
        }
    }

    fn flag(self) -> MapFlags {
        match self {
            Kind::Read => MapFlags::READ,
            Kind::Write => MapFlags::WRITE,
            Kind::Execute => MapFlags::EXECUTE,
        }
    }
}

/// What became of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The access will succeed now: the thread goes on.
    Resolved,
    /// The page is there, or could be, and does not allow it: the program decides.
    Denied(RegionId),
    /// No region is at that address.
    Elsewhere,
    /// There is no memory for the page, or its store failed.
    Failed(Error),
}

/// Bits of a page-table entry.
pub(crate) const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
pub(crate) const ACCESSED: u64 = 1 << 5;
pub(crate) const DIRTY: u64 = 1 << 6;
const NO_EXECUTE: u64 = 1 << 63;

/// Frames at which a fault looks for one that was not accessed, before it takes the next.
const LOOKS: usize = 16;

/// Does a page that is there allow it?
fn allows(entry: u64, kind: Kind) -> bool {
    match kind {
        Kind::Read => true,
        Kind::Write => entry & WRITE != 0,
        Kind::Execute => entry & NO_EXECUTE == 0,
    }
}

/// The entry of a page of a region; for its page size there is a table.
#[inline]
pub(crate) fn entry<M: Machine>(
    stock: &Stock<M>,
    tables: &Tables,
    address: usize,
    page: PageSize,
) -> u64 {
    // SAFETY: `map` made the table before the region was there, and its view with it; both stay as
    // long as a region is there.
    unsafe { stock.machine.entry(tables.entry_at(address, page)) }
}

impl<M: Machine> Space<M> {
    /// Finds out what a fault at an address means, and brings a page of a lazy or paged object.
    /// At most one page is taken, one stored and one read; no heap.
    #[inline]
    pub fn fault(&mut self, address: usize, kind: Kind) -> Outcome {
        let Some((id, region)) = self.locate(address) else {
            return Outcome::Elsewhere;
        };
        let page = region.page;
        let at = address & !(page.bytes() - 1);
        let now = entry(&self.stock, &self.tables, at, page);
        if now & PRESENT == 0 {
            return self.absent(id, at, kind);
        }
        // Allowed: another thread was faster.
        match allows(now, kind) {
            true => Outcome::Resolved,
            false => Outcome::Denied(id),
        }
    }

    /// A fault at a page that is not there.
    #[inline(never)]
    fn absent(&mut self, id: RegionId, at: usize, kind: Kind) -> Outcome {
        let Some(region) = self.region_at(at) else {
            return Outcome::Elsewhere;
        };
        let allowed = MapFlags::from_bits_truncate(self.tables.cell(at, region.page).allowed());
        if !allowed.contains(kind.flag()) {
            return Outcome::Denied(id);
        }
        match self.bring(&region, at, allowed) {
            Ok(()) => Outcome::Resolved,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Maps the page of a lazy or paged object that belongs at an address.
    fn bring(&mut self, mapped: &Mapped, at: usize, allowed: MapFlags) -> Result<(), Error> {
        let size = mapped.page;
        let index = (mapped.offset as usize + (at - mapped.address)) / size.bytes();
        let place = self.objects.get_mut(usize::from(mapped.object.index));
        let object = place
            .and_then(|p| p.value.as_mut())
            .ok_or(Error::NoObject)?;
        let (stock, tables) = (&mut self.stock, &mut self.tables);
        let page = match &mut object.backing {
            Backing::Lazy(pages) => {
                let place = pages.get_mut(index).ok_or(Error::OutOfRange)?;
                if *place == 0 {
                    let page = take(stock, size, object.colours)?;
                    stock.zero(page, size.pages());
                    *place = page.0 + 1;
                }
                crate::physical::Page(*place - 1)
            }
            Backing::Paged(pager) => {
                let frame = match pager.resident(index) {
                    Some(frame) => frame,
                    None => {
                        let frame = room(stock, tables, pager, Some(mapped))?;
                        pager.load(stock, frame, index, size)?;
                        frame
                    }
                };
                pager.frames[frame].page
            }
            Backing::Fixed { .. } | Backing::Pinned(_) => return Err(Error::NoObject),
        };
        show(stock, tables, at, size, page, allowed)
    }

    /// Gives a paged object more or fewer frames, at least one. Errors: `NoObject`; `BadSize`;
    /// `NoMemory`, `NoSlots`, `NoHeap` (then as many as before); `Store` (then as many as could be
    /// given up).
    pub fn resize(&mut self, id: ObjectId, resident: usize) -> Result<(), Error> {
        let region = self.region_of(id);
        let size = self.object(id)?.page;
        let place = &mut self.objects[usize::from(id.index)];
        let object = place.value.as_mut().ok_or(Error::NoObject)?;
        let Backing::Paged(pager) = &mut object.backing else {
            return Err(Error::NoObject);
        };
        let (stock, tables) = (&mut self.stock, &mut self.tables);
        let now = pager.frames.len();
        if resident == 0 {
            return Err(Error::BadSize);
        }
        if resident >= now {
            return pager.grow(stock, size, object.colours, resident - now);
        }
        for frame in (resident..now).rev() {
            evict(stock, tables, pager, frame, region.as_ref())?;
            pager.shrink(stock, size);
        }
        Ok(())
    }

    /// A region that shows an object.
    fn region_of(&self, id: ObjectId) -> Option<Mapped> {
        let regions = self.regions.iter().filter_map(|place| place.value.as_ref());
        let region = regions.into_iter().find(|region| region.object == id)?;
        self.region_at(region.address)
    }

    /// Notes which pages of a paged object are dirty, before their mappings end or their dirty
    /// bits are cleared by another.
    pub(crate) fn keep_dirty(&mut self, region: &Region, always: bool) {
        let place = self.objects.get_mut(usize::from(region.object.index));
        let object = place.and_then(|place| place.value.as_mut());
        let Some(Backing::Paged(pager)) = object.map(|object| &mut object.backing) else {
            return;
        };
        let (offset, page) = (region.offset as usize, region.page);
        for frame in &mut pager.frames {
            let at = (frame.index as usize).wrapping_mul(page.bytes());
            let Some(at) = at.checked_sub(offset).filter(|at| *at < region.bytes) else {
                continue;
            };
            let now = entry(&self.stock, &self.tables, region.address + at, page);
            let written = now & DIRTY != 0 || (always && now & WRITE != 0);
            frame.dirty |= now & PRESENT != 0 && written;
        }
    }
}

/// Maps one page by itself.
fn show<M: Machine>(
    stock: &mut Stock<M>,
    tables: &mut Tables,
    at: usize,
    size: PageSize,
    page: crate::physical::Page,
    allowed: MapFlags,
) -> Result<(), Error> {
    let (frame, offset) = stock.frame_of(page);
    let table = tables.over(at, size).ok_or(Error::NoRegion)?;
    let first = (at / size.bytes() % ENTRIES) as u16;
    let flags = match size {
        PageSize::Small => allowed,
        PageSize::Large | PageSize::Huge => allowed | MapFlags::LARGE,
    };
    let slot = stock.slot()?;
    match stock
        .machine
        .map(table, frame, first, 1, flags, offset, slot)
    {
        Ok(()) => {
            tables.set_cell(at, size, Cell::new(slot, allowed.bits()));
            Ok(())
        }
        Err(error) => {
            stock.give_slot(slot);
            Err(error.into())
        }
    }
}

/// Where in the region, if at all, a page of the object is.
fn address(region: Option<&Mapped>, index: usize) -> Option<usize> {
    let region = region?;
    let at = index * region.page.bytes();
    let into = at.checked_sub(region.offset as usize)?;
    (into < region.bytes).then_some(region.address + into)
}

/// An empty frame, by emptying one if needed. Errors: `Store`, when every frame looked at holds a
/// page that could not be stored.
fn room<M: Machine>(
    stock: &mut Stock<M>,
    tables: &mut Tables,
    pager: &mut Pager,
    region: Option<&Mapped>,
) -> Result<usize, Error> {
    let mut failed = Error::NoMemory;
    for look in 0..2 * LOOKS {
        let frame = pager.turn();
        if pager.is_empty(frame) {
            return Ok(frame);
        }
        let index = pager.frames[frame].index as usize;
        if let Some(region) = region
            && let Some(at) = address(Some(region), index)
            && entry(stock, tables, at, region.page) & ACCESSED != 0
            && look < LOOKS
        {
            // A second chance: mapped anew, its bits begin anew.
            let allowed = withdraw(stock, tables, pager, frame, at, region.page);
            let page = pager.frames[frame].page;
            // The slot that was just given back is there; and where it is not mapped, it comes
            // back when it is touched.
            let _ = show(stock, tables, at, region.page, page, allowed);
            continue;
        }
        match evict(stock, tables, pager, frame, region) {
            Ok(()) => return Ok(frame),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Ends a page's mapping, and notes whether it is dirty; what the page allows.
fn withdraw<M: Machine>(
    stock: &mut Stock<M>,
    tables: &mut Tables,
    pager: &mut Pager,
    frame: usize,
    at: usize,
    size: PageSize,
) -> MapFlags {
    let cell = tables.cell(at, size);
    let allowed = MapFlags::from_bits_truncate(cell.allowed());
    let resident = &mut pager.frames[frame];
    let mut now = entry(stock, tables, at, size);
    if now & PRESENT != 0 {
        if !resident.dirty && now & DIRTY == 0 && now & WRITE != 0 {
            let first = (at / size.bytes() % ENTRIES) as u16;
            let table = tables.over(at, size).unwrap_or(CPtr::NULL);
            // The entry is there, so it can be changed.
            let _ = stock.machine.modify(table, first, 1, MapFlags::READ);
            now = entry(stock, tables, at, size);
        }
        resident.dirty |= now & DIRTY != 0;
        stock.end(cell.mapping());
        tables.set_cell(at, size, Cell::new(CPtr::NULL, cell.allowed()));
    }
    allowed
}

/// Empties a frame. Errors: `Store` (it stays full, and comes back when it is touched).
fn evict<M: Machine>(
    stock: &mut Stock<M>,
    tables: &mut Tables,
    pager: &mut Pager,
    frame: usize,
    region: Option<&Mapped>,
) -> Result<(), Error> {
    if pager.is_empty(frame) {
        return Ok(());
    }
    let index = pager.frames[frame].index as usize;
    let size = match (region, address(region, index)) {
        (Some(region), Some(at)) => {
            withdraw(stock, tables, pager, frame, at, region.page);
            region.page
        }
        _ => pager.page,
    };
    pager.unload(stock, frame, size)
}
