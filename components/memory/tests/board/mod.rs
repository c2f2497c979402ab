//! A machine for the library's tests: the kernel's own capability system over memory on the heap,
//! and a processor that sets accessed and dirty bits and remembers translations until it is told
//! to forget them.

use abi::captype::MapFlags;
use abi::{CPtr, CapType, Error, Rights};
use cap::{CSpace, Cap, Caps, Platform, Slot, SlotRef, SlotRun};
use memory::{Kind, Machine, Outcome, Settings, Space};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub const PAGE: u64 = 4096;
/// The component's own memory, at 1 GiB.
pub const RAM: u64 = 1 << 30;
/// In front of it: CSpace and top table.
const BOOT: u64 = RAM - (1 << 20);
/// Addresses that the component lays out itself.
pub const BASE: usize = abi::layout::OWN_SPACE;
/// Device memory, which nothing backs.
pub const DEVICE: u64 = 4 << 30;
pub const DEVICE_BYTES: u64 = 4 << 30;

pub const RAM_SLOT: CPtr = CPtr(2);
pub const PDPT_SLOT: CPtr = CPtr(3);
pub const DEVICE_SLOT: CPtr = CPtr(4);
const FIRST: CPtr = CPtr(64);

/// Physical memory from [`BOOT`] on.
pub struct Board {
    memory: *mut u8,
    bytes: u64,
    /// What a processor may remember of each page that was used: address, size and entry.
    cached: BTreeMap<usize, (usize, u64)>,
}

impl Board {
    fn layout(bytes: u64) -> Layout {
        Layout::from_size_align(bytes as usize, 1 << 21).unwrap()
    }
    fn word(&self, at: u64) -> *mut u64 {
        assert!(at.is_multiple_of(8));
        self.virt(at).cast()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: allocated in `Model::new` with this layout.
        unsafe { dealloc(self.memory, Self::layout(self.bytes)) }
    }
}

// SAFETY: an address inside the two Ram regions is translated to its place in the allocation.
unsafe impl Platform for Board {
    fn virt(&self, base: u64) -> *mut u8 {
        assert!((BOOT..BOOT + self.bytes).contains(&base), "{base:#x}");
        self.memory.wrapping_add((base - BOOT) as usize)
    }
    fn flush_tlb(&mut self) {
        self.cached.clear();
    }
    fn zero(&mut self, base: u64, bytes: u64) {
        // SAFETY: inside the allocation (`virt` checks the beginning, retype the size).
        unsafe { self.virt(base).write_bytes(0, bytes as usize) }
    }
    fn created(&mut self, _cap: &Cap) {}
    fn flush_page(&mut self, _pml4: u64, address: u64) {
        self.cached
            .retain(|first, (bytes, _)| !(*first..*first + *bytes).contains(&(address as usize)));
    }
    fn destroyed(&mut self, _cap: &Cap) -> u32 {
        0
    }
    fn has_gib_pages(&self) -> bool {
        true
    }
}

/// The kernel, as the component's capabilities see it.
pub struct Model {
    pub caps: Caps<Board>,
    boot: &'static [Slot],
    space: CSpace,
    l1: SlotRef,
    pdpt: u64,
    /// Calls that make something and still succeed.
    pub patience: u64,
    /// All calls.
    pub calls: u64,
    /// Capabilities when the machine was dropped.
    pub left: Arc<AtomicU64>,
}

impl Model {
    pub fn new(ram_bytes: u64) -> Model {
        let bytes = ram_bytes + (RAM - BOOT);
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc_zeroed(Board::layout(bytes)) };
        let board = Board {
            memory,
            bytes,
            cached: BTreeMap::new(),
        };
        let boot: &'static [Slot] = Box::leak(Box::new([const { Slot::EMPTY }; 8]));
        let slot = |n: usize| {
            // SAFETY: one of the leaked slots.
            unsafe { SlotRef::new(std::ptr::NonNull::from(&boot[n])) }
        };
        let mut caps = Caps::new(board);
        caps.insert_root(slot(0), CapType::Ram, BOOT, RAM - BOOT)
            .unwrap();
        caps.insert_root(slot(1), CapType::Ram, RAM, ram_bytes)
            .unwrap();
        caps.insert_root(slot(2), CapType::DevFrame, DEVICE, DEVICE_BYTES)
            .unwrap();
        let l1_bytes = 256 << 10;
        let made = [
            (3, CapType::L1CNode, 0, l1_bytes),
            (4, CapType::L2CNode, l1_bytes, 0),
            (5, CapType::Pdpt, l1_bytes + (64 << 10), 0),
            (6, CapType::Pml4, l1_bytes + (68 << 10), 0),
        ];
        for (to, ty, offset, bytes) in made {
            let run = SlotRun::one(slot(to));
            while let Err(error) = caps.retype(slot(0), run, ty, offset, bytes) {
                assert_eq!(error, Error::Again);
            }
        }
        caps.install_l2(slot(3), 0, slot(4)).unwrap();
        let (entry, flags) = ((BASE >> 39) as u16, MapFlags::READ);
        caps.map(slot(6), slot(5), entry, 1, flags, 0, slot(7))
            .unwrap();
        let space = caps.cspace(slot(3)).unwrap();
        for (to, from) in [(RAM_SLOT, 1), (PDPT_SLOT, 5), (DEVICE_SLOT, 2)] {
            let to = caps.slot(space, to).unwrap();
            caps.copy(to, slot(from), Rights::all(), false).unwrap();
        }
        Model {
            pdpt: slot(5).base(),
            l1: slot(3),
            caps,
            boot,
            space,
            patience: u64::MAX,
            calls: 0,
            left: Arc::default(),
        }
    }

    pub fn settings(ram_bytes: u64) -> Settings {
        Settings {
            ram: RAM_SLOT,
            ram_base: RAM,
            ram_bytes,
            pdpt: PDPT_SLOT,
            base: BASE,
            slots: FIRST,
            roots: 4096,
            colours: 1,
            huge: true,
            regions: 32,
            objects: 32,
        }
    }

    pub fn at(&self, slot: CPtr) -> Result<SlotRef, Error> {
        self.caps.lookup(self.space, slot)
    }

    fn call(&mut self) {
        self.calls += 1;
    }

    /// A call that makes something, and may be refused.
    fn make(&mut self) -> Result<(), Error> {
        self.call();
        self.patience = self.patience.checked_sub(1).ok_or(Error::NoMemory)?;
        Ok(())
    }

    fn until_done(
        &mut self,
        mut act: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut begun = false;
        loop {
            match act(self) {
                Err(Error::Again) => begun = true,
                Err(Error::NoCapability) if begun => return Ok(()),
                result => return result,
            }
        }
    }

    /// The physical address of the entry that decides about an address, and the page's size.
    pub fn walk(&self, address: usize) -> Option<(u64, u64)> {
        let mut table = self.pdpt;
        for bits in [30, 21, 12] {
            let at = table + (address >> bits & 511) as u64 * 8;
            // SAFETY: a table that the capability system made, in the board's memory.
            let entry = unsafe { self.caps.platform.word(at).read() };
            if entry & 1 == 0 {
                return None;
            }
            if bits == 12 || entry & 1 << 7 != 0 {
                return Some((at, 1 << bits));
            }
            table = entry & 0x000f_ffff_ffff_f000;
        }
        None
    }

    pub fn entry_at(&self, address: usize) -> Option<u64> {
        let (at, _) = self.walk(address)?;
        // SAFETY: as in `walk`.
        Some(unsafe { self.caps.platform.word(at).read() })
    }

    /// What the processor does: the physical address, with the bits set, if the access is allowed.
    /// It looks no further where it remembers an entry that allows it.
    pub fn translate(&mut self, address: usize, kind: Kind) -> Option<u64> {
        let bits = match kind {
            Kind::Write => 1 << 5 | 1 << 6,
            Kind::Read | Kind::Execute => 1 << 5,
        };
        let allows = |entry: u64| match kind {
            Kind::Read => true,
            Kind::Write => entry & 2 != 0,
            Kind::Execute => entry >> 63 == 0,
        };
        let physical = |entry: u64, bytes: usize| {
            (entry & 0x000f_ffff_ffff_f000 & !(bytes as u64 - 1)) + (address & (bytes - 1)) as u64
        };
        let cached = &self.caps.platform.cached;
        if let Some((first, (bytes, entry))) = cached.range(..=address).next_back()
            && first + bytes > address
            && allows(*entry)
            && entry & bits == bits
        {
            return Some(physical(*entry, *bytes));
        }
        let (at, bytes) = self.walk(address)?;
        let bytes = bytes as usize;
        let word = self.caps.platform.word(at);
        // SAFETY: as in `walk`.
        let entry = unsafe { word.read() } | bits;
        if !allows(entry) {
            return None;
        }
        // SAFETY: as in `walk`.
        unsafe { word.write(entry) };
        let first = address & !(bytes - 1);
        self.caps.platform.cached.insert(first, (bytes, entry));
        Some(physical(entry, bytes))
    }

    /// A word of physical memory.
    pub fn read(&self, at: u64) -> u64 {
        // SAFETY: inside the board's memory, aligned (both checked).
        unsafe { self.caps.platform.word(at).read() }
    }
    pub fn write(&mut self, at: u64, value: u64) {
        // SAFETY: inside the board's memory, aligned (both checked).
        unsafe { self.caps.platform.word(at).write(value) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.left.store(self.caps.count(), Ordering::SeqCst);
        let slots: *const [Slot] = self.boot;
        // SAFETY: leaked from a box in `new`; the database that used them goes, too.
        drop(unsafe { Box::from_raw(slots.cast_mut().cast::<[Slot; 8]>()) });
    }
}

// SAFETY: every operation is the kernel's; `bytes` and `entry` go through its page tables.
unsafe impl Machine for Model {
    fn retype(
        &mut self,
        to: CPtr,
        source: CPtr,
        captype: CapType,
        count: u32,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        self.make()?;
        let source = self.at(source)?;
        let run = self.caps.slots(self.space, to, count)?;
        self.until_done(|m| m.caps.retype(source, run, captype, offset, bytes))
    }
    fn delete(&mut self, slot: CPtr) -> Result<(), Error> {
        self.call();
        let slot = self.caps.slot(self.space, slot)?;
        self.until_done(|m| m.caps.delete(slot))
    }
    fn revoke(&mut self, slot: CPtr) -> Result<(), Error> {
        self.call();
        let slot = self.caps.slot(self.space, slot)?;
        self.until_done(|m| m.caps.revoke(slot))
    }
    fn install_l2(&mut self, l2: CPtr, index: u32) -> Result<(), Error> {
        self.make()?;
        let l2 = self.at(l2)?;
        self.caps.install_l2(self.l1, index, l2)
    }
    fn map(
        &mut self,
        table: CPtr,
        object: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        mapping: CPtr,
    ) -> Result<(), Error> {
        self.make()?;
        let (table, object) = (self.at(table)?, self.at(object)?);
        let dest = self.caps.empty_slot(self.space, mapping)?;
        self.caps
            .map(table, object, first, count, flags, offset, dest)
    }
    fn modify(
        &mut self,
        table: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), Error> {
        self.call();
        let table = self.at(table)?;
        self.until_done(|m| m.caps.modify(table, first, count, flags))
    }
    fn modify_mapping(
        &mut self,
        mapping: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), Error> {
        self.call();
        let mapping = self.at(mapping)?;
        self.caps.mapping_modify(mapping, first, count, flags)
    }
    fn destroy(&mut self, mapping: CPtr) -> Result<(), Error> {
        self.call();
        let mapping = self.at(mapping)?;
        self.caps.mapping_destroy(mapping)
    }
    fn clear_dirty(&mut self, table: CPtr, first: u16, count: u16) -> Result<(), Error> {
        self.call();
        let table = self.at(table)?;
        self.caps.clear_dirty(table, first, count)
    }
    unsafe fn entry(&self, address: usize) -> u64 {
        let entry = self.entry_at(address).expect("no table is visible there");
        assert_eq!(entry & 2, 0, "a page table is writable");
        self.read((entry & 0x000f_ffff_ffff_f000) + (address as u64 & (PAGE - 1)))
    }
    unsafe fn bytes(&mut self, address: usize, bytes: usize) -> &mut [u8] {
        let first = self.translate(address, Kind::Write).expect("not mapped");
        for at in (0..bytes).step_by(PAGE as usize) {
            let found = self.translate(address + at, Kind::Write);
            assert_eq!(found, Some(first + at as u64), "not in a row");
        }
        // SAFETY: in the board's memory from its first to its last page, as just seen.
        unsafe { std::slice::from_raw_parts_mut(self.caps.platform.virt(first), bytes) }
    }
}

/// Accesses an address as a thread does that handles its faults with the library.
pub fn touch(space: &mut Space<Model>, address: usize, kind: Kind) -> Result<u64, Outcome> {
    for _ in 0..2 {
        if let Some(at) = space.machine().translate(address, kind) {
            return Ok(at);
        }
        match space.fault(address, kind) {
            Outcome::Resolved => {}
            outcome => return Err(outcome),
        }
    }
    panic!("a resolved fault comes again at {address:#x}");
}

pub fn load(space: &mut Space<Model>, address: usize) -> Result<u64, Outcome> {
    let at = touch(space, address, Kind::Read)?;
    Ok(space.machine().read(at))
}

pub fn store(space: &mut Space<Model>, address: usize, value: u64) -> Result<(), Outcome> {
    let at = touch(space, address, Kind::Write)?;
    space.machine().write(at, value);
    Ok(())
}
