//! The library in a component of Cistern: the real machine, what the image grants, and a lock for
//! components with several threads.

use crate::fault::{Kind, Outcome};
use crate::{Error, Machine, Settings, Space};
use abi::captype::MapFlags;
use abi::layout::OWN_SPACE;
use abi::start::slot::{CSPACE, FIRST_GRANTED};
use abi::start::{MAX_GRANTS, MAX_IMPORTS};
use abi::{CPtr, CapType};
use rt::cap;
use rt::fault::Fault;
use rt::sync::Mutex;

/// The kernel, through the component's own CSpace.
pub struct Kernel(());

// SAFETY: each operation is the system call of that name, repeated until it is done; the kernel
// maps before it answers, and nobody else has the mappings' slots.
unsafe impl Machine for Kernel {
    fn retype(
        &mut self,
        to: CPtr,
        source: CPtr,
        captype: CapType,
        count: u32,
        offset: u64,
        bytes: u64,
    ) -> Result<(), abi::Error> {
        cap::retype(CSPACE, to, source, captype, count, offset, bytes)
    }
    fn delete(&mut self, slot: CPtr) -> Result<(), abi::Error> {
        cap::delete(CSPACE, slot)
    }
    fn revoke(&mut self, slot: CPtr) -> Result<(), abi::Error> {
        cap::revoke(CSPACE, slot)
    }
    fn install_l2(&mut self, l2: CPtr, index: u32) -> Result<(), abi::Error> {
        cap::install_l2(CSPACE, l2, index)
    }
    #[inline]
    fn map(
        &mut self,
        table: CPtr,
        object: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        mapping: CPtr,
    ) -> Result<(), abi::Error> {
        cap::map(table, object, first, count, flags, offset, mapping)
    }
    #[inline]
    fn modify(
        &mut self,
        table: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), abi::Error> {
        cap::modify(table, first, count, flags)
    }
    #[inline]
    fn modify_mapping(
        &mut self,
        mapping: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), abi::Error> {
        cap::mapping::modify(mapping, first, count, flags)
    }
    #[inline]
    fn destroy(&mut self, mapping: CPtr) -> Result<(), abi::Error> {
        cap::mapping::destroy(mapping)
    }
    #[inline]
    fn clear_dirty(&mut self, table: CPtr, first: u16, count: u16) -> Result<(), abi::Error> {
        cap::clear_dirty(table, first, count)
    }

    #[inline]
    unsafe fn entry(&self, address: usize) -> u64 {
        // SAFETY: a page table is mapped there, readable, and the address is aligned (the caller's
        // promise). Volatile: processor and kernel write it.
        unsafe { core::ptr::with_exposed_provenance::<u64>(address).read_volatile() }
    }
    #[inline]
    unsafe fn bytes(&mut self, address: usize, bytes: usize) -> &mut [u8] {
        let first = core::ptr::with_exposed_provenance_mut(address);
        // SAFETY: so many bytes are mapped there and nobody else uses them (the caller's promise).
        unsafe { core::slice::from_raw_parts_mut(first, bytes) }
    }
}

/// Whether the processor has 1 GiB pages.
pub fn has_huge_pages() -> bool {
    use core::arch::x86_64::__cpuid;
    const EXTENDED: u32 = 0x8000_0000;
    const PAGE_1GIB: u32 = 1 << 26;
    __cpuid(EXTENDED).eax > EXTENDED && __cpuid(EXTENDED + 1).edx & PAGE_1GIB != 0
}

/// What the image grants this component, with limits that suit most: change what does not.
///
/// Errors: `NotGranted`.
pub fn settings() -> Result<Settings, Error> {
    let ram = rt::grant("memory").ok_or(Error::NotGranted)?;
    let pdpt = rt::grant("own-pdpt").ok_or(Error::NotGranted)?.cap;
    Ok(Settings {
        ram: ram.cap,
        ram_base: ram.base,
        ram_bytes: ram.bytes,
        pdpt,
        base: OWN_SPACE,
        // Behind all that `init` can have put there.
        slots: FIRST_GRANTED.plus((MAX_IMPORTS + MAX_GRANTS) as u32),
        roots: ROOTS,
        colours: 1,
        huge: has_huge_pages(),
        regions: 256,
        objects: 256,
    })
}

/// Places for L2 CNodes in the root CNode of a component with the right `cspace`.
const ROOTS: u32 = 4096;

/// The component's space: one of these is enough, and only one may exist at a time.
///
/// Errors: as [`Space::new`].
pub fn open(settings: &Settings) -> Result<Space<Kernel>, Error> {
    Space::new(Kernel(()), settings)
}

/// A space that all threads of a component share, their fault handler included.
///
/// The lock blocks, so a contended one needs the import `sched`. A thread that has it must touch no
/// memory of the space that may have to be brought (stores included): its fault would wait for
/// itself, and ends the component.
pub struct Shared {
    space: Mutex<Option<Space<Kernel>>>,
}

impl Shared {
    pub const fn new() -> Shared {
        Shared {
            space: Mutex::new(None),
        }
    }

    /// Makes the space. Errors: as [`Space::new`]; `InUse` when there is one.
    pub fn open(&self, settings: &Settings) -> Result<(), Error> {
        let mut space = self.space.lock();
        if space.is_some() {
            return Err(Error::InUse);
        }
        *space = Some(open(settings)?);
        Ok(())
    }

    /// Gives everything back. Errors: `NotGranted` when there is no space.
    pub fn close(&self) -> Result<(), Error> {
        let space = self.space.lock().take();
        space.ok_or(Error::NotGranted)?.close();
        Ok(())
    }

    /// Does something with the space, locked. Errors: `NotGranted` when there is none.
    #[inline]
    pub fn with<R>(&self, act: impl FnOnce(&mut Space<Kernel>) -> R) -> Result<R, Error> {
        let mut space = self.space.lock();
        space.as_mut().map(act).ok_or(Error::NotGranted)
    }

    /// What a fault of this component means: for its handler. [`Outcome::Elsewhere`] also for what
    /// is no fault of a page.
    #[inline]
    pub fn fault(&self, fault: &Fault) -> Outcome {
        let Some(kind) = Kind::of(fault.kind()) else {
            return Outcome::Elsewhere;
        };
        match &mut *self.space.lock() {
            Some(space) => space.fault(fault.address as usize, kind),
            None => Outcome::Elsewhere,
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}
