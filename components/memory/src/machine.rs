//! What the library needs from the machine below: invocations on the component's capabilities,
//! and memory that the library has mapped for itself.

use abi::captype::MapFlags;
use abi::{CPtr, CapType, Error};

/// The machine below. Operations are those of [`abi::op`], in the component's own CSpace, each
/// done to its end.
///
/// # Safety
/// What an operation answers has happened: after a successful `map` the memory is there until the
/// mapping is destroyed.
pub unsafe trait Machine {
    /// Makes `count` objects of `bytes` each from `source`, from `offset` on, in consecutive
    /// slots from `to` on.
    fn retype(
        &mut self,
        to: CPtr,
        source: CPtr,
        captype: CapType,
        count: u32,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error>;
    fn delete(&mut self, slot: CPtr) -> Result<(), Error>;
    /// Deletes every copy and descendant of the capability but itself.
    fn revoke(&mut self, slot: CPtr) -> Result<(), Error>;
    /// Installs a copy of an L2CNode at an index of the CSpace's root.
    fn install_l2(&mut self, l2: CPtr, index: u32) -> Result<(), Error>;
    /// Maps `count` entries of `table` from `first` on to `object` from `offset` bytes on.
    // The arguments are those of the system call.
    #[allow(clippy::too_many_arguments)]
    fn map(
        &mut self,
        table: CPtr,
        object: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        mapping: CPtr,
    ) -> Result<(), Error>;
    /// Changes the flags of mapped entries of a table, whichever mappings they belong to.
    fn modify(&mut self, table: CPtr, first: u16, count: u16, flags: MapFlags)
    -> Result<(), Error>;
    /// Changes the flags of `count` entries from the mapping's entry `first` on.
    fn modify_mapping(
        &mut self,
        mapping: CPtr,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Result<(), Error>;
    /// Clears the mapping's entries and empties its slot.
    fn destroy(&mut self, mapping: CPtr) -> Result<(), Error>;
    /// Clears the dirty bits of entries.
    fn clear_dirty(&mut self, table: CPtr, first: u16, count: u16) -> Result<(), Error>;

    /// The page-table entry that is visible at `address`.
    ///
    /// # Safety
    /// The library has mapped a page table there, and `address` is a multiple of 8 in it.
    unsafe fn entry(&self, address: usize) -> u64;

    /// Memory that the library sees at `address`.
    ///
    /// # Safety
    /// The library has mapped so many bytes there, writable, and nobody else uses them while the
    /// slice lives.
    unsafe fn bytes(&mut self, address: usize, bytes: usize) -> &mut [u8];
}
