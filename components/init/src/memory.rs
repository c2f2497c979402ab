//! Memory and capability slots that init makes objects from and in.

use alloc::vec::Vec;

use abi::layout::PAGE;
use abi::start::{BootInfo, init_slot};
use abi::{CPtr, CapType, Error};
use rt::cap;

use crate::trouble::{Doing, Result};

/// One Ram capability, used from its beginning up.
struct Region {
    ram: CPtr,
    bytes: u64,
    used: u64,
}

/// All memory that the kernel handed over, and the empty slots of init's own CSpace.
pub struct Stock {
    /// The smallest first, so that the large ones stay whole.
    regions: Vec<Region>,
    next_slot: CPtr,
}

/// A piece of memory left over.
pub struct Rest {
    pub ram: CPtr,
    pub base: u64,
    pub bytes: u64,
}

/// Last slot of an L2 CNode: kept for the capability of the next one.
const LAST: u8 = u8::MAX;

impl Stock {
    pub fn new(boot: &BootInfo) -> Result<Self> {
        let mut regions = Vec::new();
        for n in 0..boot.ram_len {
            let ram = boot.ram_first.plus(n);
            let identity = cap::identify(init_slot::CSPACE, ram).doing("identify memory")?;
            regions.push(Region {
                ram,
                bytes: identity.bytes,
                used: 0,
            });
        }
        regions.sort_by_key(|r| r.bytes);
        Ok(Self {
            regions,
            next_slot: boot.free_first,
        })
    }

    /// Bytes of all memory, used or not.
    pub fn total_bytes(&self) -> u64 {
        self.regions.iter().map(|r| r.bytes).sum()
    }

    /// Pages that nobody has been given.
    pub fn free_pages(&self) -> u64 {
        let bytes: u64 = self.regions.iter().map(|r| r.bytes - r.used).sum();
        bytes / PAGE as u64
    }

    /// An empty slot of init's CSpace. Grows the CSpace by an L2 CNode where the kernel's own
    /// are used up.
    pub fn slot(&mut self) -> core::result::Result<CPtr, Error> {
        if self.next_slot.l2() == LAST {
            let (l2, next) = (self.next_slot, self.next_slot.l1() + 1);
            if next >= init_slot::L2_NODES {
                self.retype_into(l2, CapType::L2CNode, abi::cptr::L2_BYTES as u64)?;
                cap::install_l2(init_slot::CSPACE, l2, next)?;
            }
            self.next_slot = CPtr::new(next, 0);
        }
        let slot = self.next_slot;
        self.next_slot = slot.plus(1);
        Ok(slot)
    }

    fn retype_into(
        &mut self,
        slot: CPtr,
        captype: CapType,
        bytes: u64,
    ) -> core::result::Result<(), Error> {
        let region = self
            .regions
            .iter_mut()
            .find(|r| r.bytes - r.used >= bytes)
            .ok_or(Error::NoMemory)?;
        cap::retype(
            init_slot::CSPACE,
            slot,
            region.ram,
            captype,
            1,
            region.used,
            bytes,
        )?;
        region.used += bytes;
        Ok(())
    }

    /// A new object of `bytes` (whole pages).
    pub fn make(&mut self, captype: CapType, bytes: u64) -> core::result::Result<CPtr, Error> {
        let slot = self.slot()?;
        self.retype_into(slot, captype, bytes)?;
        Ok(slot)
    }

    /// A new object of one page.
    pub fn page(&mut self, captype: CapType) -> core::result::Result<CPtr, Error> {
        self.make(captype, PAGE as u64)
    }

    /// Everything that is left, as Ram capabilities in init's CSpace; init makes nothing more
    /// afterwards. The largest pieces first, at most `most` of them.
    pub fn rest(&mut self, most: usize) -> core::result::Result<Vec<Rest>, Error> {
        let mut rest = Vec::new();
        for n in (0..self.regions.len()).rev().take(most) {
            let Region { ram, bytes, used } = self.regions[n];
            if bytes == used {
                continue;
            }
            let piece = if used == 0 {
                ram
            } else {
                let slot = self.slot()?;
                let left = self.regions[n].bytes - self.regions[n].used;
                self.retype_last(n, slot, left)?;
                slot
            };
            let identity = cap::identify(init_slot::CSPACE, piece)?;
            rest.push(Rest {
                ram: piece,
                base: identity.base,
                bytes: identity.bytes,
            });
            self.regions[n].used = self.regions[n].bytes;
        }
        Ok(rest)
    }

    fn retype_last(&mut self, n: usize, slot: CPtr, left: u64) -> core::result::Result<(), Error> {
        let region = &self.regions[n];
        let (ram, used) = (region.ram, region.used);
        cap::retype(init_slot::CSPACE, slot, ram, CapType::Ram, 1, used, left)
    }
}
