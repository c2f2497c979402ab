//! The manager's capability space and the memory that its own objects are made of: CNodes, page
//! tables, and the pages it shares with clients. They come from a reserve taken at start, so
//! that the figures of the pools do not move when a table is added.

use abi::cptr::{L2_BYTES, L2_SLOTS, SLOT_BYTES};
use abi::layout::PAGE;
use abi::start::slot::{CSPACE, FIRST_GRANTED, RECLAIM};
use abi::{CPtr, CapType, Error};
use alloc::vec::Vec;
use cbuf_mgr::frames::Frames;
use cbuf_mgr::pool::push;
use rt::cap;

const L2_ORDER: u32 = (L2_BYTES / PAGE).trailing_zeros();
/// Pieces of memory that are kept at most. More stay with the kernel: somebody lets go of memory page
/// by page, and slots are for buffers.
const PIECES: usize = 1024;

/// A piece of RAM that the image grants. Page numbers.
#[derive(Clone, Copy)]
pub struct Ram {
    pub cap: CPtr,
    pub first: u64,
    pub pages: u64,
}

pub struct Resources {
    ram: Vec<Ram>,
    reserve: Frames,
    free: Vec<CPtr>,
    /// An empty slot, kept for the next CNode.
    spare: CPtr,
    /// Next index of the root CNode that may be empty, and their number.
    next_l1: u32,
    l1_len: u32,
}

impl Resources {
    pub fn new(ram: Vec<Ram>, reserve: Frames) -> Result<Self, Error> {
        let empty = |at: &CPtr| cap::identify(CSPACE, *at) == Err(Error::NoCapability);
        let spare = (FIRST_GRANTED.0..L2_SLOTS as u32)
            .rev()
            .map(CPtr)
            .find(empty)
            .ok_or(Error::NoMemory)?;
        let l1_bytes = cap::identify(CSPACE, CSPACE)?.bytes;
        Ok(Self {
            ram,
            reserve,
            free: Vec::new(),
            spare,
            next_l1: 1,
            l1_len: u32::try_from(l1_bytes / SLOT_BYTES as u64).unwrap_or(u32::MAX),
        })
    }

    /// Pages set aside, and of these in use.
    pub fn reserve(&self) -> (u64, u64) {
        let total = self.reserve.total_pages();
        (total, total - self.reserve.free_pages())
    }

    /// An empty slot.
    pub fn take_slot(&mut self) -> Result<CPtr, Error> {
        if self.free.is_empty() {
            self.add_slots()?;
        }
        self.free.pop().ok_or(Error::NoMemory)
    }

    /// Gives an emptied slot back. Its place in the list was made when it was added.
    pub fn give_slot(&mut self, slot: CPtr) {
        self.free.push(slot);
    }

    fn add_slots(&mut self) -> Result<(), Error> {
        let all = (self.next_l1 as usize + 1) * L2_SLOTS;
        self.free.try_reserve(all).map_err(|_| Error::NoMemory)?;
        let page = self.reserve.alloc(L2_ORDER).ok_or(Error::NoMemory)?;
        let made = self.make(self.spare, CapType::L2CNode, page, L2_BYTES as u64);
        if let Err(error) = made {
            self.reserve.free(page, L2_ORDER);
            return Err(error);
        }
        while self.next_l1 < self.l1_len {
            let index = self.next_l1;
            self.next_l1 += 1;
            match cap::install_l2(CSPACE, self.spare, index) {
                // In use already: `init` filled it.
                Err(Error::SlotInUse) => continue,
                Err(error) => return Err(error),
                Ok(()) => {}
            }
            self.spare = CPtr::new(index, 0);
            // Low slots first, so that use stays compact.
            let slots = (1..=u8::MAX).rev();
            self.free.extend(slots.map(|n| CPtr::new(index, n)));
            return Ok(());
        }
        cap::delete(CSPACE, self.spare)?;
        self.reserve.free(page, L2_ORDER);
        Err(Error::NoMemory)
    }

    /// Makes one object of `bytes` at page number `page` of the granted RAM.
    fn make(&self, slot: CPtr, captype: CapType, page: u64, bytes: u64) -> Result<(), Error> {
        let ram = self
            .ram
            .iter()
            .find(|r| page >= r.first && page - r.first < r.pages)
            .ok_or(Error::OutOfRange)?;
        let offset = (page - ram.first) * PAGE as u64;
        cap::retype(CSPACE, slot, ram.cap, captype, 1, offset, bytes)
    }

    /// Makes one object of 2^`order` pages at `page`, in a new slot.
    pub fn make_at(&mut self, captype: CapType, page: u64, order: u32) -> Result<CPtr, Error> {
        let slot = self.take_slot()?;
        match self.make(slot, captype, page, (PAGE as u64) << order) {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.give_slot(slot);
                Err(error)
            }
        }
    }

    /// Makes one object of 2^`order` pages from the reserve. Objects of the reserve are kept for
    /// good.
    pub fn make_own(&mut self, captype: CapType, order: u32) -> Result<CPtr, Error> {
        let page = self.reserve.alloc(order).ok_or(Error::NoMemory)?;
        self.make_at(captype, page, order)
            .inspect_err(|_| self.reserve.free(page, order))
    }

    /// Takes memory that nobody holds any more: page number and pages.
    pub fn reclaim(&mut self) -> Option<(u64, u64)> {
        if self.ram.len() >= PIECES {
            return None;
        }
        let slot = self.take_slot().ok()?;
        if self.ram.try_reserve(1).is_err() {
            self.give_slot(slot);
            return None;
        }
        let Ok((base, bytes)) = cap::kernel::reclaim(RECLAIM, slot) else {
            self.give_slot(slot);
            return None;
        };
        let page = PAGE as u64;
        let (first, pages) = (base / page, bytes / page);
        self.ram.push(Ram {
            cap: slot,
            first,
            pages,
        });
        Some((first, pages))
    }

    /// Appends to a list of the manager's.
    pub fn remember<T>(list: &mut Vec<T>, item: T) -> Result<(), Error> {
        push(list, item)
    }
}
