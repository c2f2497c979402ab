//! Memory management for a component, over the capability system: a component that is granted
//! memory of its own builds its address space from it, with a few system calls, and pages itself.
//!
//! - [`Space`]: virtual regions ([`region`]), each of which shows a part of a memory object.
//! - Memory objects ([`object`]): a frame that somebody gave (fixed), memory that is there from the
//!   beginning (pinned) or from the first touch (lazy), and memory of which only a bounded part is
//!   resident while a [`Store`] has the rest (paged, [`pager`]).
//! - Shadow page tables ([`tables`]): from an address to its region, mapping and page-table entry in
//!   a few loads. Page tables are made once, kept, and visible to the component read-only, so that
//!   accessed and dirty bits are read without a system call ([`query`]).
//! - Physical memory ([`physical`]): 4 KiB by colour, 2 MiB and 1 GiB pages.
//!
//! Guarantees: an operation that answers an error has changed nothing; no call waits, unless the
//! store does; what was taken comes back, and after [`Space::close`] the CSpace and the memory are as they were.
//! A fault allocates nothing from the heap. One system call for each run of up to 512
//! consecutive entries that belong together.
//! Trusts: its [`Machine`], and its user to be the only one who touches the granted table and memory.
//! Never does: decide where a fault comes from beyond the region that it hits; take a lock.
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), chapter 3.5. Its shadow
//! tables held much for each page and were its slow part. Here a region begins at a 2 MiB boundary, so
//! that a page table belongs to one region, and is described by one word where one mapping fills it.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod bits;
#[cfg(feature = "component")]
pub mod component;
mod error;
pub mod fault;
pub mod machine;
pub mod object;
pub mod pager;
pub mod physical;
pub mod query;
pub mod region;
#[cfg(feature = "component")]
pub mod remote;
mod slots;
pub mod space;
mod stock;
pub mod tables;

pub use error::Error;
pub use fault::{Kind, Outcome};
pub use machine::Machine;
pub use object::ObjectId;
pub use pager::{Content, Store, Traffic};
pub use physical::Colours;
pub use query::Trace;
pub use region::{Access, Mapped, PageSize, RegionId};
pub use space::{Settings, Space, Usage};
