//! A mapping database as a system that has run for a while may have it. Memory is divided into
//! places of one size, which are taken in an order that jumps about. Each is a Ram; out of three in
//! four, objects are made: frames of random sizes, smaller Ram with a frame in it, page tables, threads
//! and CNodes. Every fifth capability has a copy. The other places stay whole.

extern crate alloc;

use abi::cptr::L2_BYTES;
use abi::layout::PAGE;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error, Rights};
use alloc::vec::Vec;
use bench::Random;
use bench::stock::Stock;
use rt::cap;

use crate::slots::Slots;

const PAGE_BYTES: u64 = PAGE as u64;
/// Pages of a place.
pub const PAGES: u64 = 128;
const PLACE_BYTES: u64 = PAGES * PAGE_BYTES;
/// Page of a place in use that stays free, for what is measured.
pub const FREE_PAGE: u64 = PAGES - 1;
/// One in so many places stays whole.
const WHOLE_ONE_IN: u64 = 4;
/// One in so many capabilities is copied.
const COPIED_ONE_IN: u64 = 5;
/// Objects have at most two to the power of this pages.
const LARGEST_LOG2: u32 = 3;
/// Places are taken this far apart: a prime larger than their number, so that each comes once.
const STRIDE: u64 = 1_000_003;

pub struct Database {
    ram: CPtr,
    /// Where the places begin.
    offset: u64,
    places: u64,
    taken: u64,
    slots: Slots,
    pub random: Random,
    /// Ram of places with objects.
    pub filled: Vec<CPtr>,
    /// Ram of places with none, and without copies.
    pub whole: Vec<CPtr>,
}

impl Database {
    /// Over all memory of the stock.
    pub fn new(stock: &mut Stock) -> Result<Self, Error> {
        let slots = Slots::new(stock)?;
        let (ram, offset, bytes) = stock.rest();
        Ok(Self {
            ram,
            offset,
            places: bytes / PLACE_BYTES,
            taken: 0,
            slots,
            random: Random::new(),
            filled: Vec::new(),
            whole: Vec::new(),
        })
    }

    /// Any capability in the database.
    pub fn any(&mut self) -> CPtr {
        let n = self.random.below(u64::from(self.slots.given()));
        self.slots.nth(n as u32)
    }

    /// Makes at least so many capabilities in all. Errors: `NoMemory`.
    pub fn fill(&mut self, capabilities: u32) -> Result<(), Error> {
        while self.slots.given() < capabilities {
            if self.taken == self.places {
                return Err(Error::NoMemory);
            }
            let place = self.taken * STRIDE % self.places;
            self.taken += 1;
            self.place(self.offset + place * PLACE_BYTES)?;
        }
        Ok(())
    }

    fn place(&mut self, offset: u64) -> Result<(), Error> {
        if self.random.below(WHOLE_ONE_IN) == 0 {
            let place = self.one(self.ram, CapType::Ram, offset, PLACE_BYTES)?;
            self.whole.push(place);
            return Ok(());
        }
        let place = self.make(self.ram, CapType::Ram, offset, PLACE_BYTES)?;
        let mut page = 0;
        while page < FREE_PAGE {
            // Half as likely as half the size.
            let log2 = (0..LARGEST_LOG2).find(|_| self.random.below(2) == 0);
            let pages = (1 << log2.unwrap_or(LARGEST_LOG2)).min(FREE_PAGE - page);
            page += self.object(place, page * PAGE_BYTES, pages)?;
        }
        self.filled.push(place);
        Ok(())
    }

    /// Makes an object of at most `pages` pages; how many it has.
    fn object(&mut self, place: CPtr, offset: u64, pages: u64) -> Result<u64, Error> {
        let cnode = L2_BYTES as u64 / PAGE_BYTES;
        let (ty, pages) = match self.random.below(10) {
            0 => (CapType::Pt, 1),
            1 => (CapType::Thread, 1),
            2 | 3 if pages >= 2 => (CapType::Ram, pages),
            4 if pages >= cnode => (CapType::L2CNode, cnode),
            _ => (CapType::Frame, pages),
        };
        let made = self.make(place, ty, offset, pages * PAGE_BYTES)?;
        if ty == CapType::Ram {
            self.make(made, CapType::Frame, 0, PAGE_BYTES)?;
        }
        Ok(pages)
    }

    /// An object, and sometimes a copy of its capability.
    fn make(&mut self, from: CPtr, ty: CapType, offset: u64, bytes: u64) -> Result<CPtr, Error> {
        let slot = self.one(from, ty, offset, bytes)?;
        if self.random.below(COPIED_ONE_IN) == 0 {
            cap::copy(CSPACE, self.slots.slot()?, slot, Rights::all())?;
        }
        Ok(slot)
    }

    fn one(&mut self, from: CPtr, ty: CapType, offset: u64, bytes: u64) -> Result<CPtr, Error> {
        let slot = self.slots.slot()?;
        cap::retype(CSPACE, slot, from, ty, 1, offset, bytes)?;
        Ok(slot)
    }
}
