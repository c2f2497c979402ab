//! Two programs for which it matters what a system lets them do with pages: RandomAccess, which
//! is faster the larger the pages are, and a garbage collector that asks which pages were written.
//!
//! Guarantees: [`heap`] keeps every object that can be reached from a root, whichever way the
//! written pages are found; nothing here panics or allocates once it is set up.
//! Trusts: a [`heap::Watch`] to name every page that was written.
//! Never does: touch page tables; `main.rs` does, and measures.
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), 3.6.2; HPC Challenge,
//! RandomAccess; H.-J. Boehm, A. Demers, S. Shenker: Mostly parallel garbage collection (1991).

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod gups;
pub mod heap;
pub mod trees;
