//! x86-64 page-table entries, and operations on runs of consecutive entries of one table.
//!
//! Guarantees: an operation on a run checks the whole run first and changes all of it or nothing;
//! no entry is ever writable and executable at once; accessed and dirty bits that the processor
//! sets meanwhile are not lost. Every index is checked and no argument panics.
//! Trusts: whoever makes a [`Table`] that the memory behind it is a page table.
//! Never does: allocate, translate addresses, flush a TLB, or know who owns what. Those are the
//! business of `cistern-cap` and of the kernel.
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), ch. 3 (operations over
//! a run of entries); the processor's manuals (entry format).

#![no_std]

#[cfg(test)]
extern crate std;

pub mod entry;
pub mod run;
pub mod table;

pub use abi::captype::MapFlags;
pub use abi::level::{ENTRIES, Level, USER_ENTRIES};
pub use entry::{Entry, PhysAddr};
pub use run::Run;
pub use table::Table;
