//! Memory, slots and page tables of the component's own.

use abi::captype::MapFlags;
use abi::layout::{MANAGER_CONTROL, PAGE};
use abi::start::Grant;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error};
use rt::cap;

pub const READ_WRITE: MapFlags = MapFlags::READ.union(MapFlags::WRITE);
/// Where frames are shown in this component's own address space: the first entries of one table.
pub const WINDOW: u64 = MANAGER_CONTROL as u64;
/// First slot that `init` leaves empty for sure.
const FIRST_SLOT: CPtr = CPtr::new(0, 128);

pub struct Stock {
    ram: CPtr,
    base: u64,
    bytes: u64,
    offset: u64,
    next: CPtr,
    /// The component's own Pdpt, whose first entry covers [`WINDOW`].
    pub own: CPtr,
    /// The page table over [`WINDOW`].
    pub window: CPtr,
}

impl Stock {
    /// The largest piece of memory that was granted.
    pub fn ram() -> Option<&'static Grant> {
        let grants = rt::info().grants.iter();
        grants
            .take(usize::from(rt::info().grants_len))
            .filter(|grant| grant.name.as_str() == "ram")
            .max_by_key(|grant| grant.bytes)
    }

    pub fn new() -> Result<Self, Error> {
        let ram = Self::ram().ok_or(Error::NotFound)?;
        let own = rt::grant("own-pdpt").ok_or(Error::NotFound)?.cap;
        let mut stock = Self {
            ram: ram.cap,
            base: cap::identify(CSPACE, ram.cap)?.base,
            bytes: ram.bytes,
            offset: 0,
            next: FIRST_SLOT,
            own,
            window: CPtr::NULL,
        };
        let directory = stock.table(own, 0, CapType::Pd)?;
        stock.window = stock.table(directory, 0, CapType::Pt)?;
        Ok(stock)
    }

    /// An empty slot.
    pub fn slot(&mut self) -> CPtr {
        let slot = self.next;
        self.next = slot.plus(1);
        slot
    }

    /// The first of so many empty slots, one after another.
    pub fn slots(&mut self, count: u32) -> CPtr {
        let first = self.next;
        self.next = first.plus(count);
        first
    }

    /// Memory that is not used yet: its capability, and where it begins in there.
    pub fn untyped(&self) -> (CPtr, u64) {
        (self.ram, self.offset)
    }

    /// Takes memory of which no other object is made: its capability, and where it begins in
    /// there. Errors: `NoMemory`.
    pub fn take(&mut self, bytes: u64, align: u64) -> Result<(CPtr, u64), Error> {
        let offset = (self.base + self.offset).next_multiple_of(align) - self.base;
        let end = offset + bytes;
        if end > self.bytes {
            return Err(Error::NoMemory);
        }
        self.offset = end;
        Ok((self.ram, offset))
    }

    /// The slot handed out last is empty again.
    pub fn give_back(&mut self, slot: CPtr) {
        if slot.plus(1) == self.next {
            self.next = slot;
        }
    }

    /// A fresh object.
    pub fn object(&mut self, captype: CapType, bytes: u64) -> Result<CPtr, Error> {
        let (ram, offset) = self.take(bytes, PAGE as u64)?;
        let slot = self.slot();
        cap::retype(CSPACE, slot, ram, captype, 1, offset, bytes)?;
        Ok(slot)
    }

    /// Takes all that is left: its capability, where it begins in there, and its bytes.
    pub fn rest(&mut self) -> (CPtr, u64, u64) {
        let begin = core::mem::replace(&mut self.offset, self.bytes);
        (self.ram, begin, self.bytes - begin)
    }

    /// A fresh object of one page.
    pub fn page(&mut self, captype: CapType) -> Result<CPtr, Error> {
        self.object(captype, PAGE as u64)
    }

    /// A fresh table of the next level, at an entry of `parent`.
    pub fn table(&mut self, parent: CPtr, entry: u16, captype: CapType) -> Result<CPtr, Error> {
        let table = self.page(captype)?;
        let mapping = self.slot();
        cap::map(parent, table, entry, 1, MapFlags::READ, 0, mapping)?;
        Ok(table)
    }
}
