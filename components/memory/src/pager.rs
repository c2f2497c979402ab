//! Self-paging: an object of which only so many pages are in memory, the others in a store.
//!
//! Which page goes is decided by a clock over the accessed bits, which are read in the page tables
//! themselves, without a system call. A page that is not dirty is in the store as it is. Before a
//! page is found clean it is made read-only, so that no write is lost between the look and the end
//! of its mapping. Source: Barrelfish, chapter 3.5, which left paging to others.

use crate::bits::filled;
use crate::object::{give, take};
use crate::physical::{Colours, Page};
use crate::region::PageSize;
use crate::stock::Stock;
use crate::{Error, Machine};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Where pages are that are not in memory. Invoked in the fault handler, under whatever lock the
/// space is behind: it must touch no memory that the space pages.
pub trait Store: Send {
    /// Fills `into`, one page, with what was last written as page `page`.
    fn read(&mut self, page: usize, into: &mut [u8]) -> Result<(), Error>;
    /// Keeps one page. On an error the page stays in memory.
    fn write(&mut self, page: usize, from: &[u8]) -> Result<(), Error>;
}

/// What the pages of an object hold before they are first written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Zeros,
    /// What the store reads.
    Stored,
}

/// How often pages went where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    pub reads: u64,
    pub writes: u64,
    pub evictions: u64,
}

/// Whether a page of the object is in the store.
const STORED: u32 = 1 << 31;
const NOWHERE: u32 = u32::MAX;

/// A frame, and the page of the object in it ([`NOWHERE`]: none).
#[derive(Clone, Copy)]
pub(crate) struct Resident {
    pub index: u32,
    pub page: Page,
    /// Differs from what the store has, whatever the page table says.
    pub dirty: bool,
}

pub(crate) struct Pager {
    store: Box<dyn Store>,
    /// The clock's face.
    pub frames: Vec<Resident>,
    hand: usize,
    /// By page of the object: its frame's number plus one (0: none), and [`STORED`].
    places: Vec<u32>,
    pub page: PageSize,
    pub traffic: Traffic,
}

impl Pager {
    /// Takes `resident` pages of memory. Errors: `BadSize` for none, `NoMemory`, `NoSlots`, `NoHeap`.
    pub fn new<M: Machine>(
        stock: &mut Stock<M>,
        pages: usize,
        size: PageSize,
        colours: Colours,
        resident: usize,
        content: Content,
        store: Box<dyn Store>,
    ) -> Result<Pager, Error> {
        if resident == 0 || pages >= STORED as usize {
            return Err(Error::BadSize);
        }
        let first = match content {
            Content::Zeros => 0,
            Content::Stored => STORED,
        };
        let mut pager = Pager {
            store,
            frames: Vec::new(),
            hand: 0,
            places: filled(pages, first)?,
            page: size,
            traffic: Traffic::default(),
        };
        match pager.grow(stock, size, colours, resident) {
            Ok(()) => Ok(pager),
            Err(error) => {
                pager.release(stock, size);
                Err(error)
            }
        }
    }

    /// Takes `count` frames more, all or none.
    pub fn grow<M: Machine>(
        &mut self,
        stock: &mut Stock<M>,
        size: PageSize,
        colours: Colours,
        count: usize,
    ) -> Result<(), Error> {
        let before = self.frames.len();
        self.frames
            .try_reserve_exact(count)
            .map_err(|_| Error::NoHeap)?;
        for _ in 0..count {
            match take(stock, size, colours) {
                Ok(page) => self.frames.push(Resident {
                    index: NOWHERE,
                    page,
                    dirty: false,
                }),
                Err(error) => {
                    for frame in self.frames.drain(before..) {
                        give(stock, frame.page, size);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes the last frame off the clock. It holds no page, and there are others.
    pub fn shrink<M: Machine>(&mut self, stock: &mut Stock<M>, size: PageSize) {
        if let Some(frame) = self.frames.pop() {
            give(stock, frame.page, size);
        }
        self.hand = 0;
    }

    pub fn release<M: Machine>(self, stock: &mut Stock<M>, size: PageSize) {
        for frame in self.frames {
            give(stock, frame.page, size);
        }
    }

    /// The number of the frame that a page of the object is in.
    #[inline]
    pub fn resident(&self, index: usize) -> Option<usize> {
        let place = self.places.get(index)? & !STORED;
        (place as usize).checked_sub(1)
    }

    /// The next frame on the clock, which moves on.
    pub fn turn(&mut self) -> usize {
        let here = self.hand;
        self.hand = (here + 1) % self.frames.len();
        here
    }

    pub fn is_empty(&self, frame: usize) -> bool {
        self.frames[frame].index == NOWHERE
    }

    /// Fills an empty frame with a page of the object.
    pub fn load<M: Machine>(
        &mut self,
        stock: &mut Stock<M>,
        frame: usize,
        index: usize,
        size: PageSize,
    ) -> Result<(), Error> {
        let page = self.frames[frame].page;
        let bytes = stock.bytes(page, size.pages());
        if self.places[index] & STORED != 0 {
            self.store.read(index, bytes)?;
            self.traffic.reads += 1;
        } else {
            bytes.fill(0);
        }
        self.places[index] = self.places[index] & STORED | (frame as u32 + 1);
        self.frames[frame] = Resident {
            index: index as u32,
            page,
            dirty: false,
        };
        Ok(())
    }

    /// Empties a frame, whose page is mapped nowhere any more, after it was stored if it must be.
    pub fn unload<M: Machine>(
        &mut self,
        stock: &mut Stock<M>,
        frame: usize,
        size: PageSize,
    ) -> Result<(), Error> {
        let Resident { index, page, dirty } = self.frames[frame];
        let place = &mut self.places[index as usize];
        if dirty {
            let bytes = stock.bytes(page, size.pages());
            self.store.write(index as usize, bytes)?;
            self.traffic.writes += 1;
            *place |= STORED;
        }
        *place &= STORED;
        self.frames[frame].index = NOWHERE;
        self.frames[frame].dirty = false;
        self.traffic.evictions += 1;
        Ok(())
    }
}
