//! Memory and capability slots that init makes objects from and in.

use alloc::vec::Vec;

use abi::layout::PAGE;
use abi::start::{BootInfo, init_slot};
use abi::{CPtr, CapType, Error};
use rt::cap;

use crate::trouble::{Doing, Result};

/// A part of a Ram capability, used from its beginning up.
#[derive(Clone, Copy)]
struct Region {
    ram: CPtr,
    /// Physical address where the capability's memory begins.
    base: u64,
    /// Whether nothing of the capability lies outside of this part.
    whole: bool,
    /// Bytes of the capability before the end of this part.
    end: u64,
    /// Bytes before what is not in use.
    used: u64,
}

impl Region {
    fn left(&self) -> u64 {
        self.end - self.used
    }
}

/// All memory that the kernel handed over, and the empty slots of init's own CSpace.
pub struct Stock {
    /// The smallest first, so that the large ones stay whole.
    regions: Vec<Region>,
    next_slot: CPtr,
    total_bytes: u64,
    /// Bytes of all that was made, or that nobody can be given.
    used_bytes: u64,
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
                base: identity.base,
                whole: true,
                end: identity.bytes,
                used: 0,
            });
        }
        regions.sort_by_key(|r| r.end);
        Ok(Self {
            total_bytes: regions.iter().map(|r| r.end).sum(),
            used_bytes: 0,
            regions,
            next_slot: boot.free_first,
        })
    }

    /// Bytes of all memory, used or not.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Pages of all that was made so far, for components or for init itself; what could not be
    /// handed over counts among it.
    pub fn used_pages(&self) -> u64 {
        self.used_bytes / PAGE as u64
    }

    /// Pages that nobody has been given.
    pub fn free_pages(&self) -> u64 {
        let bytes: u64 = self.regions.iter().map(Region::left).sum();
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
            .find(|r| r.left() >= bytes)
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
        self.used_bytes += bytes;
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

    /// A Ram capability of `bytes` whose physical address is a multiple of `align` (a power of
    /// two). From the end of the largest piece that has room; what lies beside it stays to be used.
    pub fn aligned(&mut self, bytes: u64, align: u64) -> core::result::Result<Rest, Error> {
        let ram = self.slot()?;
        let fit = |r: &Region| {
            let first = (r.base + r.end).checked_sub(bytes)? & !(align - 1);
            let offset = first.checked_sub(r.base)?;
            (offset >= r.used).then_some(offset)
        };
        let mut found = self.regions.iter().enumerate().rev();
        let (n, offset) = found
            .find_map(|(n, r)| Some((n, fit(r)?)))
            .ok_or(Error::NoMemory)?;
        let region = self.regions[n];
        self.used_bytes += bytes;
        cap::retype(
            init_slot::CSPACE,
            ram,
            region.ram,
            CapType::Ram,
            1,
            offset,
            bytes,
        )?;
        let before = Region {
            whole: false,
            end: offset,
            ..region
        };
        let behind = Region {
            whole: false,
            used: offset + bytes,
            ..region
        };
        self.regions[n] = before;
        if behind.left() > 0 {
            self.regions.push(behind);
        }
        self.regions.retain(|r| r.left() > 0);
        self.regions.sort_by_key(Region::left);
        Ok(Rest {
            ram,
            base: region.base + offset,
            bytes,
        })
    }

    /// Everything that is left, as Ram capabilities in init's CSpace; init makes nothing more
    /// afterwards. The largest pieces first, at most `most` of them.
    pub fn rest(&mut self, most: usize) -> core::result::Result<Vec<Rest>, Error> {
        let mut rest = Vec::new();
        for n in (0..self.regions.len()).rev().take(most) {
            let region = self.regions[n];
            if region.left() == 0 {
                continue;
            }
            let piece = if region.whole && region.used == 0 {
                region.ram
            } else {
                let slot = self.slot()?;
                let Region { ram, used, end, .. } = self.regions[n];
                cap::retype(
                    init_slot::CSPACE,
                    slot,
                    ram,
                    CapType::Ram,
                    1,
                    used,
                    end - used,
                )?;
                slot
            };
            let identity = cap::identify(init_slot::CSPACE, piece)?;
            rest.push(Rest {
                ram: piece,
                base: identity.base,
                bytes: identity.bytes,
            });
            self.regions[n].used = self.regions[n].end;
        }
        Ok(rest)
    }

    /// Lets go of all memory, once the pieces of [`Stock::rest`] are with their new holder, who alone
    /// has a say over it then. What init made stays; what nobody got is the holder's to reclaim.
    pub fn let_go(&mut self, boot: &BootInfo, pieces: &[Rest]) -> core::result::Result<(), Error> {
        let first = boot.ram_first.0;
        let roots = first..first + boot.ram_len;
        let parts = pieces.iter().map(|piece| piece.ram.0);
        let parts = parts.filter(|at| !roots.contains(at));
        for at in parts.chain(roots.clone()) {
            cap::delete(init_slot::CSPACE, CPtr(at))?;
        }
        self.used_bytes += self.regions.iter().map(Region::left).sum::<u64>();
        self.regions.clear();
        Ok(())
    }
}
