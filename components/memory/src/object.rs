//! Memory objects: what a region shows, and where its memory comes from.
//!
//! | kind | memory | given back |
//! |---|---|---|
//! | fixed | a frame that somebody gave | never ours |
//! | pinned | zeroed when the object is made | with the object |
//! | lazy | zeroed at the first touch | with the object |
//! | paged | so many frames, for the pages in use ([`crate::pager`]) | with the object |
//!
//! Source: Barrelfish, chapter 3.5 (memory objects).

use crate::bits::filled;
use crate::pager::Pager;
use crate::physical::{BLOCK_PAGES, Colours, GIB_BLOCKS, Page};
use crate::region::PageSize;
use crate::stock::Stock;
use crate::{Error, Machine};
use abi::CPtr;
use abi::layout::PAGE;
use alloc::vec::Vec;

/// Names a memory object of a space. One that was released is not mistaken for a later one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ObjectId {
    pub(crate) index: u16,
    pub(crate) generation: u16,
}

/// Pages that lie in a row in one Frame.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// First page of the object.
    first: u32,
    page: Page,
    pages: u32,
}

pub(crate) enum Backing {
    Fixed {
        frame: CPtr,
        offset: u64,
    },
    Pinned(Vec<Extent>),
    /// First memory page of each of the object's pages, plus one; 0: not touched yet.
    Lazy(Vec<u32>),
    Paged(Pager),
}

pub(crate) struct Object {
    pub bytes: u64,
    /// The largest pages that its memory comes in (fixed: whatever the frame's address allows).
    pub page: PageSize,
    pub colours: Colours,
    /// Regions that show it.
    pub regions: u32,
    pub backing: Backing,
}

/// A piece of an object that lies in one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub frame: CPtr,
    pub offset: u64,
    pub bytes: u64,
}

fn pages(bytes: u64) -> Result<usize, Error> {
    usize::try_from(bytes / PAGE as u64)
        .ok()
        .filter(|pages| *pages <= u32::MAX as usize)
        .ok_or(Error::BadSize)
}

/// Are so many bytes whole pages of that size, and may those colours be asked for?
pub(crate) fn check(bytes: u64, page: PageSize, colours: Colours) -> Result<(), Error> {
    if bytes == 0 || !bytes.is_multiple_of(page.bytes() as u64) {
        return Err(Error::BadSize);
    }
    let any = colours == Colours::ANY;
    if colours.0 == 0 || (!any && page != PageSize::Small) {
        return Err(Error::BadColours);
    }
    Ok(())
}

impl Object {
    /// The memory of a frame that somebody gave.
    pub fn fixed(frame: CPtr, offset: u64, bytes: u64) -> Result<Object, Error> {
        check(bytes, PageSize::Small, Colours::ANY)?;
        if !offset.is_multiple_of(PAGE as u64) {
            return Err(Error::BadAlign);
        }
        Ok(Object::new(
            bytes,
            PageSize::Huge,
            Colours::ANY,
            Backing::Fixed { frame, offset },
        ))
    }

    fn new(bytes: u64, page: PageSize, colours: Colours, backing: Backing) -> Object {
        Object {
            bytes,
            page,
            colours,
            regions: 0,
            backing,
        }
    }

    /// Zeroed memory, all of it taken now.
    pub fn pinned<M: Machine>(
        stock: &mut Stock<M>,
        bytes: u64,
        page: PageSize,
        colours: Colours,
    ) -> Result<Object, Error> {
        check(bytes, page, colours)?;
        let total = pages(bytes)?;
        let mut extents = Vec::new();
        let mut first = 0;
        while first < total {
            let room = extents.try_reserve(1).map_err(|_| Error::NoHeap);
            match room.and_then(|()| extent(stock, total - first, page, colours)) {
                Ok((page, pages)) => {
                    stock.zero(page, pages);
                    extents.push(Extent {
                        first: first as u32,
                        page,
                        pages: pages as u32,
                    });
                    first += pages;
                }
                Err(error) => {
                    give_extents(stock, &extents);
                    return Err(error);
                }
            }
        }
        Ok(Object::new(bytes, page, colours, Backing::Pinned(extents)))
    }

    /// Memory that is taken, zeroed, when it is first touched.
    pub fn lazy(bytes: u64, page: PageSize, colours: Colours) -> Result<Object, Error> {
        check(bytes, page, colours)?;
        let count = pages(bytes)? / page.pages();
        let backing = Backing::Lazy(filled(count, 0)?);
        Ok(Object::new(bytes, page, colours, backing))
    }

    /// Memory in a store, of which the pager keeps a part.
    pub fn paged(bytes: u64, page: PageSize, colours: Colours, pager: Pager) -> Object {
        Object::new(bytes, page, colours, Backing::Paged(pager))
    }

    /// The memory from a byte of the object on, as far as it lies in a row in one frame; `None`
    /// where there is none.
    pub fn piece<M: Machine>(&self, stock: &Stock<M>, at: u64) -> Option<Piece> {
        match &self.backing {
            Backing::Fixed { frame, offset } => Some(Piece {
                frame: *frame,
                offset: offset.checked_add(at)?,
                bytes: self.bytes.checked_sub(at)?,
            }),
            Backing::Pinned(extents) => {
                let page = (at / PAGE as u64) as u32;
                let n = extents.partition_point(|extent| extent.first <= page);
                let extent = extents.get(n.checked_sub(1)?)?;
                let into = page.checked_sub(extent.first)?;
                let (frame, offset) = stock.frame_of(Page(extent.page.0 + into));
                Some(Piece {
                    frame,
                    offset,
                    bytes: u64::from(extent.pages.checked_sub(into)?) * PAGE as u64,
                })
            }
            Backing::Lazy(_) | Backing::Paged(_) => None,
        }
    }

    /// Is its memory mapped where it is touched, page by page?
    pub fn on_demand(&self) -> bool {
        matches!(self.backing, Backing::Lazy(_) | Backing::Paged(_))
    }

    /// Gives all its memory back; nothing of it is mapped.
    pub fn release<M: Machine>(self, stock: &mut Stock<M>) {
        match self.backing {
            Backing::Fixed { .. } => {}
            Backing::Pinned(extents) => give_extents(stock, &extents),
            Backing::Lazy(pages) => {
                for page in pages.into_iter().filter(|page| *page != 0) {
                    give(stock, Page(page - 1), self.page);
                }
            }
            Backing::Paged(pager) => pager.release(stock, self.page),
        }
    }
}

/// Memory for one page of an object. Errors: `NoMemory`, `NoSlots`.
pub(crate) fn take<M: Machine>(
    stock: &mut Stock<M>,
    size: PageSize,
    colours: Colours,
) -> Result<Page, Error> {
    match size {
        PageSize::Small => stock.page(colours),
        PageSize::Large => stock.run(1, 1),
        PageSize::Huge => stock.run(GIB_BLOCKS, GIB_BLOCKS),
    }
}

pub(crate) fn give<M: Machine>(stock: &mut Stock<M>, page: Page, size: PageSize) {
    match size {
        PageSize::Small => stock.give_pages(page, 1),
        PageSize::Large | PageSize::Huge => stock.give_run(page),
    }
}

/// As much of `left` pages as can be had in one piece: its first page, and how many.
fn extent<M: Machine>(
    stock: &mut Stock<M>,
    left: usize,
    size: PageSize,
    colours: Colours,
) -> Result<(Page, usize), Error> {
    if colours != Colours::ANY {
        return Ok((stock.page(colours)?, 1));
    }
    let align = size.pages().div_ceil(BLOCK_PAGES);
    let mut blocks = left / BLOCK_PAGES;
    while blocks >= align.max(1) {
        blocks -= blocks % align;
        match stock.run(blocks, align) {
            Err(Error::NoMemory) => blocks /= 2,
            other => return Ok((other?, blocks * BLOCK_PAGES)),
        }
    }
    let mut pages = match size {
        PageSize::Small => left.min(BLOCK_PAGES - 1),
        PageSize::Large | PageSize::Huge => return Err(Error::NoMemory),
    };
    loop {
        match stock.row(pages) {
            Err(Error::NoMemory) if pages > 1 => pages = pages.div_ceil(2),
            other => return Ok((other?, pages)),
        }
    }
}

fn give_extents<M: Machine>(stock: &mut Stock<M>, extents: &[Extent]) {
    for extent in extents {
        // A run is a whole number of blocks, a row less than one.
        if (extent.pages as usize).is_multiple_of(BLOCK_PAGES) {
            stock.give_run(extent.page);
        } else {
            stock.give_pages(extent.page, extent.pages as usize);
        }
    }
}
