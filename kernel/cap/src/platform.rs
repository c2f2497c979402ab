//! What the capability system needs from the machine below.

use crate::slot::Cap;

/// The machine below.
///
/// # Safety
/// For every physical address inside memory that was inserted as `Ram`, `virt` gives a pointer
/// through which that memory can be read and written up to the end of its `Ram` region, always
/// the same one, and no other code reads or writes objects (CNodes, page tables, components,
/// threads) there except as this crate's documentation allows.
pub unsafe trait Platform {
    /// Where the kernel sees physical memory.
    fn virt(&self, base: u64) -> *mut u8;

    /// Page-table entries were cleared or changed: forget all cached translations. Called at most
    /// once an operation, before it returns.
    fn flush_tlb(&mut self);

    /// The entry was cleared or changed that maps the page at `address` of the address space over
    /// `pml4`, and no entry of another page: forget what is cached of it.
    fn flush_page(&mut self, pml4: u64, address: u64);

    /// Fills memory with zero bytes.
    fn zero(&mut self, base: u64, bytes: u64);

    /// `cap` was just made by retype, its memory zeroed if the table of types says so. The place to
    /// fill the kernel's half of a PML4.
    fn created(&mut self, cap: &Cap);

    /// The last copy of `cap` is going: forget the object now, its memory may be another's after
    /// this operation. Called before the slots and entries in it are cleared. Its pointers, a
    /// loaded Pml4, threads inside a component must all go. Not called for mappings. Answers what
    /// that cost, in words looked at, for the deletion's account.
    fn destroyed(&mut self, cap: &Cap) -> u32;

    /// Has the processor 1 GiB pages?
    fn has_gib_pages(&self) -> bool;
}
