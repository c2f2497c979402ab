//! The capability system: typed slots in two-level CSpaces, the mapping database that relates
//! them, and every operation on them.
//!
//! Guarantees: memory is of one type at a time; nothing is mapped, entered or held without a
//! capability that says so; no capability outlives its object; no memory is lost; no argument panics; every call does
//! a bounded amount of work, and says [`abi::Error::Again`] when more is left.
//! Trusts: its [`Platform`] to translate addresses truly, and its user (the kernel) to run it on
//! one core at a time and to forget an object when [`Platform::destroyed`] says so.
//! Never does: allocate, name hardware beyond a page-table entry, touch a user address, decide a
//! policy.
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), ch. 2.6, 3 and 4.5.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod captype;
pub mod check;
pub mod clear;
pub mod cspace;
pub mod delete;
pub mod mapping;
pub mod mdb;
pub mod object;
pub mod platform;
pub mod reclaim;
pub mod retype;
pub mod revoke;
pub mod slot;
#[cfg(test)]
mod tests;
mod tlb;

pub use cspace::{CSpace, SlotRun};
pub use object::Identity;
pub use platform::Platform;
pub use slot::{Cap, Slot, SlotRef};

/// The capabilities of one core: the mapping database, what is being deleted, and the machine.
pub struct Caps<P> {
    mdb: mdb::Mdb,
    /// Last copies whose objects are being taken apart, newest first; see [`delete`].
    pending: Option<SlotRef>,
    /// How far a large retype has cleared its memory.
    clearing: clear::Clearing,
    /// The slot whose deletion is under way, though it may be empty already.
    unfinished: Option<SlotRef>,
    /// Memory that nobody holds, newest first; see [`reclaim`].
    orphans: Option<SlotRef>,
    /// Bytes of RAM that there are: capabilities and orphans always cover them.
    ram: u64,
    tlb: tlb::Tlb,
    /// Work that one call may do; see [`delete`].
    budget: u32,
    pub platform: P,
}

impl<P: Platform> Caps<P> {
    pub const fn new(platform: P) -> Caps<P> {
        Caps {
            mdb: mdb::Mdb::new(),
            pending: None,
            clearing: clear::Clearing::NONE,
            unfinished: None,
            orphans: None,
            ram: 0,
            tlb: tlb::Tlb::new(),
            budget: delete::BUDGET,
            platform,
        }
    }

    /// Capabilities in the database.
    pub fn count(&self) -> u64 {
        self.mdb.len()
    }

    /// Those of them that are of the type with this number; `None` where there is no such type.
    pub fn count_of(&self, ty: usize) -> Option<u64> {
        self.mdb.counts().get(ty).copied()
    }
}
