//! Slots for as many capabilities as there shall be: L2 CNodes that are made as they are needed.

use abi::cptr::{L2_BYTES, L2_SLOTS};
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error};
use bench::stock::Stock;
use rt::cap;

/// First of the slots that stay empty between measurements: all of a CNode but the last.
pub const SCRATCH: CPtr = CPtr::new(FIRST, 0);
/// L1 index of the first CNode made here; `init` uses the first few.
const FIRST: u32 = 1024;
/// CNodes at most.
const NODES: u32 = 300;
/// Slots of a CNode that are given out. The last holds the capability of the next CNode.
const EACH: u32 = L2_SLOTS as u32 - 1;

pub struct Slots {
    ram: CPtr,
    /// Where in `ram` the CNodes lie.
    offset: u64,
    /// Given out so far, those from [`SCRATCH`] on among them.
    used: u32,
    /// Where the next CNode's capability goes.
    next_node: CPtr,
}

impl Slots {
    pub fn new(stock: &mut Stock) -> Result<Self, Error> {
        let (ram, offset) = stock.take(u64::from(NODES) * L2_BYTES as u64, L2_BYTES as u64)?;
        let mut slots = Self {
            ram,
            offset,
            used: EACH,
            next_node: stock.slot(),
        };
        slots.node(0)?;
        Ok(slots)
    }

    /// An empty slot.
    pub fn slot(&mut self) -> Result<CPtr, Error> {
        let node = self.used / EACH;
        if self.used.is_multiple_of(EACH) {
            self.node(node)?;
        }
        self.used += 1;
        Ok(self.nth(self.given() - 1))
    }

    /// Slots given out.
    pub fn given(&self) -> u32 {
        self.used - EACH
    }

    /// The slot that was given out as number `n`.
    pub fn nth(&self, n: u32) -> CPtr {
        CPtr::new(FIRST + 1 + n / EACH, (n % EACH) as u8)
    }

    fn node(&mut self, node: u32) -> Result<(), Error> {
        if node >= NODES {
            return Err(Error::NoMemory);
        }
        let offset = self.offset + u64::from(node) * L2_BYTES as u64;
        let (cnode, l1) = (self.next_node, FIRST + node);
        cap::retype(CSPACE, cnode, self.ram, CapType::L2CNode, 1, offset, 0)?;
        cap::install_l2(CSPACE, cnode, l1)?;
        self.next_node = CPtr::new(l1, EACH as u8);
        Ok(())
    }
}
