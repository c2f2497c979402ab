//! The component's memory with its capabilities: page tables, CNodes, frames, and the window in
//! which the library itself sees every frame that it made.

use crate::physical::{BLOCK, BLOCK_PAGES, Colours, GIB_BLOCKS, Page, Physical, Use};
use crate::slots::Slots;
use crate::{Error, Machine};
use abi::captype::MapFlags;
use abi::cptr::L2_BYTES;
use abi::layout::PAGE;
use abi::{CPtr, CapType};
use alloc::vec::Vec;

const READ_WRITE: MapFlags = MapFlags::READ.union(MapFlags::WRITE);
const L2_PAGES: usize = L2_BYTES / PAGE;
/// Below so many empty slots another L2 CNode is added. The last ones are for its own capability.
const LOW: usize = 8;
const LAST: usize = 1;

pub(crate) struct Stock<M> {
    pub machine: M,
    ram: CPtr,
    pub physical: Physical,
    slots: Slots,
    /// Where the window begins.
    window_at: usize,
    /// Page directories of the window, one for each GiB of memory.
    window: Vec<CPtr>,
    made: Vec<(CPtr, Table)>,
}

/// What belongs to a table that was made.
struct Table {
    page: Page,
    mapping: CPtr,
    /// Of its view, if it has one.
    view: CPtr,
}

impl<M: Machine> Stock<M> {
    pub fn new(machine: M, ram: CPtr, physical: Physical, slots: Slots, window_at: usize) -> Self {
        Stock {
            machine,
            ram,
            physical,
            slots,
            window_at,
            window: Vec::new(),
            made: Vec::new(),
        }
    }

    /// Makes the window's page directories, as entries `first` and following of the Pdpt.
    pub fn open_window(&mut self, pdpt: CPtr, first: u16) -> Result<(), Error> {
        let count = self.physical.blocks().div_ceil(GIB_BLOCKS);
        self.window
            .try_reserve_exact(count)
            .map_err(|_| Error::NoHeap)?;
        for n in 0..count {
            let made = self.table(CapType::Pd, pdpt, first + n as u16, None)?;
            self.window.push(made);
        }
        Ok(())
    }

    /// An empty slot. Errors: `NoSlots`.
    #[inline]
    pub fn slot(&mut self) -> Result<CPtr, Error> {
        if self.slots.left() <= LOW {
            self.grow();
        }
        if self.slots.left() <= LAST {
            return Err(Error::NoSlots);
        }
        self.slots.take()
    }

    #[inline]
    pub fn give_slot(&mut self, slot: CPtr) {
        self.slots.give(slot);
    }

    /// Destroys a mapping, if there is one, and takes its slot back.
    #[inline]
    pub fn end(&mut self, mapping: CPtr) {
        if mapping != CPtr::NULL {
            // It is there, so it can be destroyed.
            let _ = self.machine.destroy(mapping);
            self.slots.give(mapping);
        }
    }

    /// Adds an L2 CNode if it can: whether there are slots enough is seen by who takes one.
    #[cold]
    fn grow(&mut self) {
        let Ok(index) = self.slots.vacancy() else {
            return;
        };
        let Some(page) = self.physical.take_object(L2_PAGES) else {
            return;
        };
        let Ok(slot) = self.slots.take() else {
            return self.physical.give_object(page, L2_PAGES);
        };
        let made = self.retype(slot, CapType::L2CNode, page, L2_PAGES);
        let installed = made.and_then(|()| Ok(self.machine.install_l2(slot, index)?));
        match installed {
            Ok(()) => self.slots.add(index, slot),
            Err(_) => self.drop_object(slot, page, L2_PAGES),
        }
    }

    fn retype(&mut self, to: CPtr, ty: CapType, page: Page, pages: usize) -> Result<(), Error> {
        let (offset, bytes) = (u64::from(page.0) * PAGE as u64, (pages * PAGE) as u64);
        Ok(self.machine.retype(to, self.ram, ty, 1, offset, bytes)?)
    }

    /// Deletes a capability, if one was made, and takes slot and memory back.
    fn drop_object(&mut self, slot: CPtr, page: Page, pages: usize) {
        // Fails only where none was made.
        let _ = self.machine.delete(slot);
        self.slots.give(slot);
        self.physical.give_object(page, pages);
    }

    /// A fresh table of a level at an entry of `parent`; with a view, visible at an entry of that
    /// page table.
    pub fn table(
        &mut self,
        ty: CapType,
        parent: CPtr,
        entry: u16,
        view: Option<(CPtr, u16)>,
    ) -> Result<CPtr, Error> {
        self.made.try_reserve(1).map_err(|_| Error::NoHeap)?;
        let mut table = Table {
            page: Page(0),
            mapping: self.slot()?,
            view: CPtr::NULL,
        };
        let made = self.object(ty).and_then(|(cap, page)| {
            table.page = page;
            let flags = MapFlags::READ;
            let mapped = self
                .machine
                .map(parent, cap, entry, 1, flags, 0, table.mapping);
            let shown = mapped.map_err(Error::from).and_then(|()| match view {
                Some((through, entry)) => self.view(cap, through, entry),
                None => Ok(CPtr::NULL),
            });
            // With the table go its mappings.
            let shown = shown.inspect_err(|_| self.drop_object(cap, page, 1))?;
            table.view = shown;
            Ok(cap)
        });
        match made {
            Ok(cap) => {
                self.made.push((cap, table));
                Ok(cap)
            }
            Err(error) => {
                self.slots.give(table.mapping);
                Err(error)
            }
        }
    }

    /// Deletes a table, in which nothing is mapped.
    #[cold]
    pub fn drop_table(&mut self, cap: CPtr) {
        let Some(n) = self.made.iter().position(|(other, _)| *other == cap) else {
            return;
        };
        let (_, table) = self.made.swap_remove(n);
        self.drop_object(cap, table.page, 1);
        self.slots.give(table.mapping);
        if table.view != CPtr::NULL {
            self.slots.give(table.view);
        }
    }

    /// A fresh kernel object of one page.
    fn object(&mut self, ty: CapType) -> Result<(CPtr, Page), Error> {
        let slot = self.slot()?;
        let Some(page) = self.physical.take_object(1).or_else(|| {
            self.trim();
            self.physical.take_object(1)
        }) else {
            self.slots.give(slot);
            return Err(Error::NoMemory);
        };
        match self.retype(slot, ty, page, 1) {
            Ok(()) => Ok((slot, page)),
            Err(error) => {
                self.drop_object(slot, page, 1);
                Err(error)
            }
        }
    }

    /// Makes a table visible, read-only, at an entry of a page table; the mapping.
    pub fn view(&mut self, table: CPtr, through: CPtr, entry: u16) -> Result<CPtr, Error> {
        let slot = self.slot()?;
        let flags = MapFlags::READ;
        match self.machine.map(through, table, entry, 1, flags, 0, slot) {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.slots.give(slot);
                Err(error.into())
            }
        }
    }

    /// One Frame over `count` blocks whose physical address is a multiple of `align` blocks.
    pub fn run(&mut self, count: usize, align: usize) -> Result<Page, Error> {
        let taken = self.physical.take_run(count, align).or_else(|| {
            self.trim();
            self.physical.take_run(count, align)
        });
        let first = taken.ok_or(Error::NoMemory)?;
        match self.frame(first, count) {
            Ok(()) => Ok(Page::of_block(first)),
            Err(error) => {
                self.physical.give_run(first);
                Err(error)
            }
        }
    }

    /// Gives a run back that begins at a page.
    pub fn give_run(&mut self, page: Page) {
        let first = page.block();
        if let Use::Run(count) = self.physical.block(first).used {
            self.unframe(first, count as usize);
            self.physical.give_run(first);
        }
    }

    /// Makes the Frame over blocks and shows it in the window.
    fn frame(&mut self, first: usize, count: usize) -> Result<(), Error> {
        let slot = self.slot()?;
        if let Err(error) = self.retype(
            slot,
            CapType::Frame,
            Page::of_block(first),
            count * BLOCK_PAGES,
        ) {
            self.slots.give(slot);
            return Err(error);
        }
        self.physical.block_mut(first).frame = slot;
        let mut at = first;
        while at < first + count {
            let end = (at / GIB_BLOCKS + 1) * GIB_BLOCKS;
            let part = end.min(first + count) - at;
            if let Err(error) = self.show(slot, at, part, (at - first) * BLOCK) {
                self.unframe(first, at - first);
                return Err(error);
            }
            at += part;
        }
        Ok(())
    }

    fn show(&mut self, frame: CPtr, at: usize, count: usize, offset: usize) -> Result<(), Error> {
        let table = *self.window.get(at / GIB_BLOCKS).ok_or(Error::OutOfRange)?;
        let slot = self.slot()?;
        let (entry, count) = ((at % GIB_BLOCKS) as u16, count as u16);
        let flags = READ_WRITE | MapFlags::LARGE;
        let shown = self
            .machine
            .map(table, frame, entry, count, flags, offset as u64, slot);
        match shown {
            Ok(()) => self.physical.block_mut(at).window = slot,
            Err(_) => self.slots.give(slot),
        }
        Ok(shown?)
    }

    /// Takes the Frame and what the window shows of its first `count` blocks away.
    fn unframe(&mut self, first: usize, count: usize) {
        for n in first..first + count {
            let slot = core::mem::replace(&mut self.physical.block_mut(n).window, CPtr::NULL);
            self.end(slot);
        }
        let slot = core::mem::replace(&mut self.physical.block_mut(first).frame, CPtr::NULL);
        let _ = self.machine.delete(slot);
        self.slots.give(slot);
    }

    /// A single page of one of the colours. Errors: `NoMemory`, `NoSlots`.
    #[inline]
    pub fn page(&mut self, colours: Colours) -> Result<Page, Error> {
        if let Some(page) = self.physical.take_page(colours) {
            return Ok(page);
        }
        self.open_pages()?;
        self.physical.take_page(colours).ok_or(Error::BadColours)
    }

    /// `count` single pages in a row, fewer than a block has.
    pub fn row(&mut self, count: usize) -> Result<Page, Error> {
        if let Some(page) = self.physical.take_row(count) {
            return Ok(page);
        }
        self.open_pages()?;
        self.physical.take_row(count).ok_or(Error::NoMemory)
    }

    #[cold]
    fn open_pages(&mut self) -> Result<(), Error> {
        let block = self.physical.open_pages().ok_or(Error::NoMemory)?;
        let made = self.frame(block, 1);
        if made.is_err() {
            self.physical.close_pages(block);
        }
        made
    }

    /// Gives single pages back. One block without any in use is kept for the next.
    pub fn give_pages(&mut self, page: Page, count: usize) {
        self.physical.give_pages(page, count);
        self.give_idle(1);
    }

    /// Makes blocks of single pages free that have none in use.
    pub fn trim(&mut self) {
        self.give_idle(0);
    }

    fn give_idle(&mut self, keep: usize) {
        while let Some(block) = self.physical.idle(keep) {
            self.unframe(block, 1);
            self.physical.close_pages(block);
        }
    }

    /// The Frame that a page is in, and where.
    #[inline]
    pub fn frame_of(&self, page: Page) -> (CPtr, u64) {
        let head = self.physical.head(page);
        let first = Page::of_block(head);
        let offset = u64::from(page.0 - first.0) * PAGE as u64;
        (self.physical.block(head).frame, offset)
    }

    /// The memory of `pages` pages, which are in one Frame, through the window. Nobody else may use
    /// them meanwhile: they are not mapped for writing anywhere else.
    pub fn bytes(&mut self, page: Page, pages: usize) -> &mut [u8] {
        let at = self.window_at + page.0 as usize * PAGE;
        // SAFETY: the window shows every Frame that `frame` made from its beginning to its end, at
        // the place of its pages, as long as the pages are taken; callers have just taken the
        // pages or have just taken them out of every mapping but the window's.
        unsafe { self.machine.bytes(at, pages * PAGE) }
    }

    pub fn zero(&mut self, page: Page, pages: usize) {
        self.bytes(page, pages).fill(0);
    }

    /// Deletes everything that is left, once nothing of it is used any more, and gives the
    /// machine back.
    pub fn close(mut self) -> M {
        self.trim();
        // The newest first: what is mapped in a table goes with it, and what it was mapped in stays.
        for (table, _) in core::mem::take(&mut self.made).into_iter().rev() {
            // It is there: nobody else deletes tables.
            let _ = self.machine.delete(table);
        }
        while let Some(node) = self.slots.pop() {
            // First the copy by which it is part of the CSpace, then the CNode.
            let _ = self.machine.revoke(node);
            let _ = self.machine.delete(node);
        }
        self.machine
    }
}
