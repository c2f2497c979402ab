//! Whole components, as the meddler makes them.

use crate::programs::{LOW, TOP};
use crate::{
    CODE, GROUND, GROUND_PAGES, ID, MEMORY, MEMORY_BYTES, Meddler, NEIGHBOUR, OTHERS, OWN, PAGE,
    ROOT,
};
use abi::captype::MapFlags;
use abi::op::{cspace, thread};
use abi::{Badge, CPtr, CapType, Error, Rights, ThreadId};
use rt::cap;

impl Meddler {
    /// A whole component at a place of its own, able to ruin itself, with a thread.
    pub fn assemble(&mut self) -> Result<(), Error> {
        let ground = self.empty();
        let bytes = GROUND_PAGES * PAGE;
        let place = self.below(MEMORY_BYTES / bytes) * bytes;
        cap::retype(OWN, ground, MEMORY, CapType::Ram, 1, place, bytes)?;
        let mut offset = 0;
        let mut make = |this: &mut Self, captype: CapType, pages: u64| {
            let to = this.empty();
            cap::retype(OWN, to, ground, captype, 1, offset, pages * PAGE)?;
            offset += pages * PAGE;
            Ok::<CPtr, Error>(to)
        };
        let l1 = make(self, CapType::L1CNode, 1)?;
        let l2 = make(self, CapType::L2CNode, 4)?;
        let pml4 = make(self, CapType::Pml4, 1)?;
        let object = make(self, CapType::Component, 1)?;
        let first = make(self, CapType::Thread, 1)?;
        cap::install_l2(l1, l2, 0)?;
        for address in [LOW, TOP] {
            let mut parent = pml4;
            for (captype, bits) in [(CapType::Pdpt, 39), (CapType::Pd, 30), (CapType::Pt, 21)] {
                let table = make(self, captype, 1)?;
                let entry = (address >> bits) as u16 & 511;
                cap::map(parent, table, entry, 1, MapFlags::READ, 0, self.empty())?;
                parent = table;
            }
            let (entry, flags) = (
                (address / PAGE) as u16 & 511,
                MapFlags::READ | MapFlags::EXECUTE,
            );
            cap::map(parent, CODE, entry, 1, flags, 0, self.empty())?;
        }
        // All that it consists of, at places that `OBEY` and `THREAD` reach.
        let parts = [l1, first, object, pml4, l2, ground];
        for (n, part) in parts.into_iter().enumerate() {
            cap::copy(l1, CPtr(n as u32 + 1), part, Rights::all())?;
        }
        for n in 8..15 {
            // Empty slots and mappings are not copied.
            let _ = cap::copy(l1, CPtr(n), self.any(), Rights::all());
        }
        let (entry, supervisor) = (self.entry(), self.supervisor());
        cap::component::configure(object, l1, pml4, entry, supervisor, ID, self.below(2))?;
        let (way_in, badge) = (self.empty(), Badge(self.below(4)));
        cap::component::make_entry(object, OWN, way_in, badge)?;
        let (id, argument) = (ThreadId(self.thread() as u16), self.argument() as u32);
        cap::thread::configure(first, object, id, argument)?;
        if let Some((root, entry)) = self.last.replace((l1, way_in)) {
            cap::copy(l1, CPtr(NEIGHBOUR as u32), entry, Rights::all())?;
            cap::copy(root, CPtr(OTHERS as u32), ground, Rights::all())?;
        }
        match self.below(4) {
            0 => self.call(way_in, cspace::REVOKE, [GROUND, 0, 0, ROOT, 0]),
            1 => self.call(way_in, cspace::REVOKE, [OTHERS, 0, ROOT, NEIGHBOUR, 0]),
            2 => self.call(first, thread::SWITCH, [0; 5]),
            _ => 0,
        };
        Ok(())
    }
}
