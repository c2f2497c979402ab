//! Shadow page tables: what the library knows of each entry of the component's own tables.
//!
//! They have the shape of the tables themselves, so that an address finds its place in three loads.
//! A region begins at a multiple of 2 MiB (address space is plenty), so a page table belongs to one
//! region, and the entry of the page directory says which: no page has a record of its own as long
//! as one mapping fills its table. Tables are made when a region first needs them and kept.
//!
//! Of the 512 GiB that the Pdpt covers, the first half is for regions. Then comes the window on the
//! component's memory ([`crate::stock`]), and then, page by page, every page table and page
//! directory, read-only: the entry of the page at `base + x` is at `VIEWS + x / 512`.

use crate::region::PageSize;
use crate::stock::Stock;
use crate::{Error, Machine};
use abi::layout::PAGE;
use abi::{CPtr, CapType};
use alloc::boxed::Box;
use alloc::vec::Vec;

pub const ENTRIES: usize = 512;
/// Bytes that one page directory entry covers, and one of the Pdpt.
pub const LARGE: usize = 2 << 20;
pub const HUGE: usize = 1 << 30;
/// GiB for regions.
pub const SPAN: usize = 256;
/// First GiB of the window on memory, and how many there are.
pub const WINDOW: usize = SPAN;
pub const WINDOW_GIB: usize = 128;
/// The GiB in which tables are visible.
const VIEWS: usize = WINDOW + WINDOW_GIB;
/// Number, in pages, of the first view of a page directory: behind those of all page tables.
const DIRECTORY_VIEWS: usize = SPAN * ENTRIES;
/// The view of the Pdpt itself.
const ROOT_VIEW: usize = DIRECTORY_VIEWS + SPAN;

/// The mapping capability over a run of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub mapping: CPtr,
    /// Entry where the mapping begins, and how many it has.
    pub first: u16,
    pub count: u16,
}

impl Run {
    pub const NONE: Run = Run {
        mapping: CPtr::NULL,
        first: 0,
        count: 0,
    };
}

/// A page-table entry by itself: its mapping's slot, and what the page shall allow (kept also
/// while nothing is mapped).
#[derive(Clone, Copy)]
pub(crate) struct Cell(u32);

const ALLOWED_SHIFT: u32 = 24;

impl Cell {
    pub fn new(mapping: CPtr, allowed: u8) -> Cell {
        Cell(mapping.0 | u32::from(allowed) << ALLOWED_SHIFT)
    }
    pub fn mapping(self) -> CPtr {
        CPtr(self.0 & ((1 << ALLOWED_SHIFT) - 1))
    }
    pub fn allowed(self) -> u8 {
        (self.0 >> ALLOWED_SHIFT) as u8
    }
    pub fn set_mapping(&mut self, mapping: CPtr) {
        *self = Cell::new(mapping, self.allowed());
    }
}

/// An entry of a page directory.
pub(crate) struct Granule {
    /// Number of the region that it belongs to, plus one; 0: none.
    pub region: u32,
    /// The page table; [`CPtr::NULL`] until one is needed.
    pub table: CPtr,
    /// The one mapping in the page table, or (large page) the one this entry belongs to.
    pub run: Run,
    /// What each page of the table is, where no single mapping fills it.
    pub leaf: Option<Box<[Cell]>>,
    /// As in [`Cell`], of a large page.
    pub allowed: u8,
}

const NO_GRANULE: Granule = Granule {
    region: 0,
    table: CPtr::NULL,
    run: Run::NONE,
    leaf: None,
    allowed: 0,
};

/// A page directory.
pub(crate) struct Directory {
    pub table: CPtr,
    /// The page table through which its page tables are visible, once it has any.
    views: CPtr,
    granules: Box<[Granule; ENTRIES]>,
}

/// An entry of the Pdpt.
pub(crate) struct Root {
    pub region: u32,
    pub run: Run,
    pub allowed: u8,
    directory: Option<Directory>,
}

const NO_ROOT: Root = Root {
    region: 0,
    run: Run::NONE,
    allowed: 0,
    directory: None,
};

pub(crate) struct Tables {
    base: usize,
    pub pdpt: CPtr,
    roots: Box<[Root]>,
    /// The page directory of the views, and the page table of those of directories.
    views: CPtr,
    directory_views: CPtr,
}

/// So many values on the heap. Errors: `NoHeap`.
fn boxed<T>(len: usize, make: impl FnMut() -> T) -> Result<Box<[T]>, Error> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len).map_err(|_| Error::NoHeap)?;
    vec.resize_with(len, make);
    Ok(vec.into_boxed_slice())
}

impl Tables {
    /// `pdpt` covers the addresses from `base` on.
    pub fn new<M: Machine>(stock: &mut Stock<M>, pdpt: CPtr, base: usize) -> Result<Self, Error> {
        let roots = boxed(SPAN, || NO_ROOT)?;
        let views = stock.table(CapType::Pd, pdpt, VIEWS as u16, None)?;
        let place = (DIRECTORY_VIEWS / ENTRIES) as u16;
        let directory_views = stock.table(CapType::Pt, views, place, None)?;
        stock.view(pdpt, directory_views, (ROOT_VIEW % ENTRIES) as u16)?;
        Ok(Tables {
            base,
            pdpt,
            roots,
            views,
            directory_views,
        })
    }

    /// Number of the region at an address, plus one (0: none), and the entry of the page directory,
    /// where there is one: then no huge page is there.
    #[inline(always)]
    pub fn find(&self, address: usize) -> Option<(u32, Option<&Granule>)> {
        let at = address.wrapping_sub(self.base);
        let root = self.roots.get(at / HUGE)?;
        match &root.directory {
            Some(directory) => {
                let granule = &directory.granules[at / LARGE % ENTRIES];
                Some((granule.region, Some(granule)))
            }
            None => Some((root.region, None)),
        }
    }

    #[inline]
    pub fn root(&self, address: usize) -> Option<&Root> {
        self.roots.get(address.wrapping_sub(self.base) / HUGE)
    }
    #[inline]
    pub fn root_mut(&mut self, address: usize) -> Option<&mut Root> {
        self.roots.get_mut(address.wrapping_sub(self.base) / HUGE)
    }

    /// The entry for an address in its page directory, where there is one.
    #[inline]
    pub fn granule(&self, address: usize) -> Option<&Granule> {
        let directory = self.root(address)?.directory.as_ref()?;
        Some(&directory.granules[self.large(address) % ENTRIES])
    }
    #[inline]
    pub fn granule_mut(&mut self, address: usize) -> Option<&mut Granule> {
        let at = self.large(address) % ENTRIES;
        let directory = self.root_mut(address)?.directory.as_mut()?;
        Some(&mut directory.granules[at])
    }

    #[inline]
    fn large(&self, address: usize) -> usize {
        address.wrapping_sub(self.base) / LARGE
    }

    /// Makes the page directory for an address, and the page table if `pages`, where they are
    /// missing. What was made stays when something else fails.
    ///
    /// Errors: `NoMemory`, `NoSlots`, `NoHeap`, `OutOfRange`.
    pub fn prepare<M: Machine>(
        &mut self,
        stock: &mut Stock<M>,
        address: usize,
        pages: bool,
    ) -> Result<(), Error> {
        let at = address.wrapping_sub(self.base);
        let (gib, entry) = (at / HUGE, at / LARGE % ENTRIES);
        let root = self.roots.get_mut(gib).ok_or(Error::OutOfRange)?;
        if root.directory.is_none() {
            let granules = boxed(ENTRIES, || NO_GRANULE)?;
            let granules = granules.try_into().map_err(|_| Error::NoHeap)?;
            let view = (self.directory_views, gib as u16);
            root.directory = Some(Directory {
                table: stock.table(CapType::Pd, self.pdpt, gib as u16, Some(view))?,
                views: CPtr::NULL,
                granules,
            });
        }
        let directory = root.directory.as_mut().ok_or(Error::NoHeap)?;
        let granule = &mut directory.granules[entry];
        if !pages || granule.table != CPtr::NULL {
            return Ok(());
        }
        if directory.views == CPtr::NULL {
            directory.views = stock.table(CapType::Pt, self.views, gib as u16, None)?;
        }
        let view = (directory.views, entry as u16);
        granule.table = stock.table(CapType::Pt, directory.table, entry as u16, Some(view))?;
        Ok(())
    }

    /// A page directory entry cannot lead to a page table and be a large page: takes the page
    /// table away before the entry becomes one.
    pub fn make_room<M: Machine>(&mut self, stock: &mut Stock<M>, address: usize) {
        if let Some(granule) = self.granule_mut(address) {
            let table = core::mem::replace(&mut granule.table, CPtr::NULL);
            if table != CPtr::NULL {
                stock.drop_table(table);
            }
        }
    }

    /// The same one level up, where no region is in the page directory.
    pub fn make_large_room<M: Machine>(&mut self, stock: &mut Stock<M>, address: usize) {
        let Some(directory) = self
            .root_mut(address)
            .and_then(|root| root.directory.take())
        else {
            return;
        };
        let tables = directory.granules.iter().map(|granule| granule.table);
        for table in tables.chain([directory.table, directory.views]) {
            if table != CPtr::NULL {
                stock.drop_table(table);
            }
        }
    }

    /// Room for what each page of a table is. Errors: `NoHeap`, `NoRegion`.
    pub fn leaf(&mut self, address: usize, allowed: u8) -> Result<(), Error> {
        let leaf = boxed(ENTRIES, || Cell::new(CPtr::NULL, allowed))?;
        self.granule_mut(address).ok_or(Error::NoRegion)?.leaf = Some(leaf);
        Ok(())
    }

    pub fn base(&self) -> usize {
        self.base
    }

    /// The table whose entries are the pages of that size around an address.
    #[inline]
    pub fn over(&self, address: usize, page: PageSize) -> Option<CPtr> {
        match page {
            PageSize::Small => Some(self.granule(address)?.table),
            PageSize::Large => Some(self.root(address)?.directory.as_ref()?.table),
            PageSize::Huge => Some(self.pdpt),
        }
    }

    /// The mapping that the page at an address belongs to, where no leaf says it.
    #[inline]
    pub fn run(&self, address: usize, page: PageSize) -> Run {
        let run = match page {
            PageSize::Small | PageSize::Large => self.granule(address).map(|granule| granule.run),
            PageSize::Huge => self.root(address).map(|root| root.run),
        };
        run.unwrap_or(Run::NONE)
    }

    pub fn set_run(&mut self, address: usize, page: PageSize, run: Run) {
        match page {
            PageSize::Small | PageSize::Large => {
                if let Some(granule) = self.granule_mut(address) {
                    granule.run = run;
                }
            }
            PageSize::Huge => {
                if let Some(root) = self.root_mut(address) {
                    root.run = run;
                }
            }
        }
    }

    /// The cell of a page of a region that is mapped on demand.
    #[inline]
    pub fn cell(&self, address: usize, page: PageSize) -> Cell {
        let cell = match page {
            PageSize::Small => self.granule(address).and_then(|granule| {
                let leaf = granule.leaf.as_ref()?;
                leaf.get(address / PAGE % ENTRIES).copied()
            }),
            PageSize::Large => self
                .granule(address)
                .map(|granule| Cell::new(granule.run.mapping, granule.allowed)),
            PageSize::Huge => self
                .root(address)
                .map(|root| Cell::new(root.run.mapping, root.allowed)),
        };
        cell.unwrap_or(Cell::new(CPtr::NULL, 0))
    }

    #[inline]
    pub fn set_cell(&mut self, address: usize, page: PageSize, cell: Cell) {
        let run = Run {
            mapping: cell.mapping(),
            first: (address / page.bytes() % ENTRIES) as u16,
            count: 1,
        };
        match page {
            PageSize::Small => {
                let leaf = self.granule_mut(address).and_then(|g| g.leaf.as_mut());
                if let Some(place) = leaf.and_then(|l| l.get_mut(address / PAGE % ENTRIES)) {
                    *place = cell;
                }
            }
            PageSize::Large => {
                if let Some(granule) = self.granule_mut(address) {
                    (granule.run, granule.allowed) = (run, cell.allowed());
                }
            }
            PageSize::Huge => {
                if let Some(root) = self.root_mut(address) {
                    (root.run, root.allowed) = (run, cell.allowed());
                }
            }
        }
    }

    /// Sets what a page allows, and leaves its mapping, which may be one of several pages.
    pub fn set_allowed(&mut self, address: usize, page: PageSize, allowed: u8) {
        match page {
            PageSize::Small => {
                let leaf = self.granule_mut(address).and_then(|g| g.leaf.as_mut());
                if let Some(place) = leaf.and_then(|l| l.get_mut(address / PAGE % ENTRIES)) {
                    *place = Cell::new(place.mapping(), allowed);
                }
            }
            PageSize::Large => {
                if let Some(granule) = self.granule_mut(address) {
                    granule.allowed = allowed;
                }
            }
            PageSize::Huge => {
                if let Some(root) = self.root_mut(address) {
                    root.allowed = allowed;
                }
            }
        }
    }

    /// Where the entry of the page of that size is visible. There must be a table for it.
    #[inline]
    pub fn entry_at(&self, address: usize, page: PageSize) -> usize {
        let first = match page {
            PageSize::Small => 0,
            PageSize::Large => DIRECTORY_VIEWS,
            PageSize::Huge => ROOT_VIEW,
        };
        let entry = address.wrapping_sub(self.base) / page.bytes();
        self.base + VIEWS * HUGE + first * PAGE + entry * size_of::<u64>()
    }
}

/// Where the window begins in the addresses from `base` on.
pub(crate) fn window_at(base: usize) -> usize {
    base + WINDOW * HUGE
}
