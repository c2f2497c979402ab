//! A small machine to test on, and the checks that must hold in it after every operation.

mod boot;
mod call;
mod check;
mod choose;
mod clear;
mod cover;
mod delete;
mod dice;
mod mapping;
mod model;
mod object;
mod page;
mod random;
mod retype;
mod rules;
mod spoil;
mod tlb;
mod tree;

use crate::captype::info;
use crate::slot::Reach;
use crate::{CSpace, Cap, Caps, Platform, Slot, SlotRef, SlotRun};
use abi::captype::{CapType, MapFlags};
use abi::{CPtr, Error, Rights};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::boxed::Box;
use std::cell::Cell;
use std::ptr::NonNull;
use std::vec::Vec;

pub const PAGE: u64 = 4096;
/// Physical address of the machine's memory.
pub const BASE: u64 = 0x10_0000;
/// Enough for two large pages in its middle; less where each byte is kept account of.
pub const PAGES: u64 = if cfg!(miri) { 96 } else { 1280 };

/// What the machine's fresh top-level tables have in their kernel half, as the kernel's own have.
pub fn kernel_entry(index: u16) -> u64 {
    0x7eed_0003 ^ u64::from(index) << 32
}
/// Device memory that nothing backs.
pub const DEVICE: u64 = 1 << 30;
pub const DEVICE_BYTES: u64 = 4 << 30;

/// Memory, and a log of what the capability system told the machine.
pub struct Machine {
    memory: NonNull<u8>,
    pub flushes: usize,
    /// Top table and address.
    pub flushed_pages: Vec<(u64, u64)>,
    pub created: Vec<Cap>,
    pub destroyed: Vec<Cap>,
    pub gib_pages: bool,
    /// What it costs the machine to forget an object.
    pub forgetting: u32,
    /// Most bytes that were filled with zeros at once.
    pub largest_zeroed: u64,
    /// How often an object's memory was asked for.
    pub looks: Cell<usize>,
}

fn layout() -> Layout {
    Layout::from_size_align((PAGES * PAGE) as usize, PAGE as usize).unwrap()
}

impl Machine {
    fn new() -> Machine {
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout()) };
        Machine {
            memory: NonNull::new(memory).unwrap(),
            flushes: 0,
            flushed_pages: Vec::new(),
            created: Vec::new(),
            destroyed: Vec::new(),
            gib_pages: true,
            forgetting: 0,
            largest_zeroed: 0,
            looks: Cell::new(0),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.memory.as_ptr(), layout()) }
    }
}

// SAFETY: an address inside the one Ram region of the tests is translated to its place in the
// allocation; others are a bug in the tests and caught.
unsafe impl Platform for Machine {
    fn virt(&self, base: u64) -> *mut u8 {
        assert!((BASE..BASE + PAGES * PAGE).contains(&base), "{base:#x}");
        self.looks.set(self.looks.get() + 1);
        self.memory.as_ptr().wrapping_add((base - BASE) as usize)
    }
    fn flush_tlb(&mut self) {
        self.flushes += 1;
    }
    fn flush_page(&mut self, pml4: u64, address: u64) {
        self.flushed_pages.push((pml4, address));
    }
    fn zero(&mut self, base: u64, bytes: u64) {
        assert!(base >= BASE && base + bytes <= BASE + PAGES * PAGE);
        self.largest_zeroed = self.largest_zeroed.max(bytes);
        // SAFETY: inside the allocation; retype found nobody else using it.
        unsafe { self.virt(base).write_bytes(0, bytes as usize) }
    }
    fn created(&mut self, cap: &Cap) {
        self.created.push(*cap);
        if cap.ty == CapType::Pml4 {
            let table = self.virt(cap.base).cast::<u64>();
            for index in paging::USER_ENTRIES..paging::ENTRIES {
                // SAFETY: an entry of the table that was just made.
                unsafe { table.add(usize::from(index)).write(kernel_entry(index)) }
            }
        }
    }
    fn destroyed(&mut self, cap: &Cap) -> u32 {
        self.destroyed.push(*cap);
        self.forgetting
    }
    fn has_gib_pages(&self) -> bool {
        self.gib_pages
    }
}

/// Slots that are part of "the kernel's image".
pub const BOOT_SLOTS: usize = 64;

pub struct World {
    pub caps: Caps<Machine>,
    boot: NonNull<[Slot; BOOT_SLOTS]>,
}

/// Boot slots of a [`World`].
pub const RAM: usize = 0;
pub const DEV: usize = 1;
pub const PORTS: usize = 2;
pub const KERNEL: usize = 3;
pub const CONSOLE: usize = 4;
pub const L1: usize = 5;
pub const L2: usize = 6;
/// First that stays empty.
pub const FREE: usize = 8;
/// First byte of RAM, from its start, that `World::new` left untouched.
pub const FREE_RAM: u64 = 8 * PAGE;

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: leaked from a box in `new`, and the slots are used by nobody any more.
        drop(unsafe { Box::from_raw(self.boot.as_ptr()) });
    }
}

impl World {
    /// Root capabilities and a CSpace of 64 L2 places with one L2 CNode in place 0, made as a
    /// kernel makes them at boot.
    pub fn new() -> World {
        let boot = Box::new([const { Slot::EMPTY }; BOOT_SLOTS]);
        let mut world = World {
            caps: Caps::new(Machine::new()),
            boot: NonNull::from(Box::leak(boot)),
        };
        let w = &mut world;
        let roots = [
            (RAM, CapType::Ram, BASE, PAGES * PAGE),
            (DEV, CapType::DevFrame, DEVICE, DEVICE_BYTES),
            (PORTS, CapType::IoPorts, 0, 1 << 16),
            (KERNEL, CapType::Kernel, 0, 1),
            (CONSOLE, CapType::Console, 0, 1),
        ];
        for (slot, ty, base, bytes) in roots {
            w.caps.insert_root(w.boot(slot), ty, base, bytes).unwrap();
        }
        w.make(RAM, CapType::L1CNode, 0, PAGE, L1).unwrap();
        w.make(RAM, CapType::L2CNode, 4 * PAGE, 0, L2).unwrap();
        let (l1, l2) = (w.boot(L1), w.boot(L2));
        w.caps.install_l2(l1, 0, l2).unwrap();
        world
    }

    pub fn boot(&self, n: usize) -> SlotRef {
        assert!(n < BOOT_SLOTS);
        // SAFETY: one of the leaked slots, which live as long as the world.
        unsafe { SlotRef::new(self.boot.cast::<Slot>().add(n)) }
    }

    pub fn space(&self) -> CSpace {
        self.caps.cspace(self.boot(L1)).unwrap()
    }

    /// Slot `n` of the L2 CNode in place 0.
    pub fn at(&self, n: u8) -> SlotRef {
        self.caps.slot(self.space(), CPtr::new(0, n)).unwrap()
    }

    /// One object into a boot slot.
    pub fn make(
        &mut self,
        from: usize,
        ty: CapType,
        offset: u64,
        bytes: u64,
        to: usize,
    ) -> Result<(), Error> {
        let run = SlotRun::one(self.boot(to));
        self.caps.retype(self.boot(from), run, ty, offset, bytes)
    }

    /// One table of each level, from the beginning of the free RAM on, the highest in slot `to`.
    pub fn make_tables(&mut self, to: usize) {
        let tables = [CapType::Pml4, CapType::Pdpt, CapType::Pd, CapType::Pt];
        for (n, ty) in tables.into_iter().enumerate() {
            self.make(RAM, ty, FREE_RAM + n as u64 * PAGE, 0, to + n)
                .unwrap();
        }
    }

    /// The same, each mapped at entry 5 of the one above, with the mappings in slots from `mappings` on.
    pub fn make_tree(&mut self, to: usize, mappings: usize) {
        self.make_tables(to);
        for n in 0..3 {
            self.map(to + n, to + n + 1, (5, 1), RW, 0, mappings + n)
                .unwrap();
        }
    }

    /// An L2 CNode, with so many capabilities in it.
    pub fn make_cnode(&mut self, offset: u64, to: usize, copies: u32) -> SlotRef {
        self.make(RAM, CapType::L2CNode, offset, 0, to).unwrap();
        let (node, console) = (self.boot(to), self.boot(CONSOLE));
        for n in 0..copies {
            let inner = self.caps.inner_slot(node, n).unwrap();
            self.caps
                .copy(inner, console, Rights::all(), false)
                .unwrap();
        }
        node
    }

    pub fn map(
        &mut self,
        table: usize,
        source: usize,
        entries: (u16, u16),
        flags: MapFlags,
        offset: u64,
        to: usize,
    ) -> Result<(), Error> {
        let (first, count) = entries;
        self.caps.map(
            self.boot(table),
            self.boot(source),
            first,
            count,
            flags,
            offset,
            self.boot(to),
        )
    }

    pub fn copy(&mut self, to: usize, from: usize, mask: Rights) -> Result<(), Error> {
        self.caps.copy(self.boot(to), self.boot(from), mask, false)
    }

    pub fn entry(&self, table: usize, index: u16) -> paging::Entry {
        self.caps.read(self.boot(table), index).unwrap()
    }

    /// Runs `act` until it no longer says `Again`; how often it did.
    pub fn until_done(
        &mut self,
        mut act: impl FnMut(&mut Caps<Machine>) -> Result<(), Error>,
    ) -> (Result<(), Error>, usize) {
        let mut again = 0;
        loop {
            match act(&mut self.caps) {
                Err(Error::Again) => again += 1,
                result => return (result, again),
            }
            assert!(again < 100_000, "no end");
        }
    }

    pub fn delete(&mut self, slot: SlotRef) -> Result<(), Error> {
        let mut begun = false;
        self.until_done(|caps| match caps.delete(slot) {
            Err(Error::NoCapability) if begun => Ok(()),
            result => {
                begun = true;
                result
            }
        })
        .0
    }

    pub fn revoke(&mut self, slot: SlotRef) -> Result<(), Error> {
        let mut begun = false;
        self.until_done(|caps| match caps.revoke(slot) {
            Err(Error::NoCapability) if begun => Ok(()),
            result => {
                begun = true;
                result
            }
        })
        .0
    }

    /// Finishes every deletion.
    pub fn settle(&mut self) {
        let mut rounds = 0;
        while self.caps.deletion_pending() {
            assert_eq!(self.caps.carry_on(), Err(Error::Again));
            rounds += 1;
            assert!(rounds < 100_000, "no end");
        }
    }

    /// The slots inside an object.
    pub fn inner(&self, cap: &Cap) -> Vec<SlotRef> {
        let count = info(cap.ty).slots(cap.bytes);
        let first = (count > 0).then(|| self.caps.slots_at(cap.base));
        // SAFETY: that many slots are in the object.
        (0..count as usize)
            .filter_map(|n| Some(unsafe { first?.plus(n) }))
            .collect()
    }
}

pub const R: MapFlags = MapFlags::READ;
pub const RW: MapFlags = MapFlags::READ.union(MapFlags::WRITE);
pub const RX: MapFlags = MapFlags::READ.union(MapFlags::EXECUTE);
pub const LARGE: MapFlags = MapFlags::LARGE;
