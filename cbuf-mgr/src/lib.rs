//! The CBUF manager: which component's pool owns which memory, where it is mapped, and when a
//! buffer is nobody's any more. Source: CBUFs, sections 2.4 and 3.2 to 3.7.
//!
//! Guarantees: a buffer that any component references is neither unmapped nor handed out again;
//! a component receives a buffer only from one that has it mapped and sent it there;
//! memory is cleared before another component gets it; a pool never grows beyond its limit;
//! every page is on one account, exactly, whatever kind of buffer it is in.
//! Trusts: its own tables, and [`machine::Machine`] (the capability system).
//! Never does: believe a word that a client can write, beyond the three liveness counters, with
//! which a client can harm what it was itself given, and memory accounted to it; fault on such a
//! word; loop on one without a bound; touch the contents of a buffer in use.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod account;
pub mod charge;
pub mod collect;
pub mod control;
pub mod death;
pub mod extend;
pub mod frames;
pub mod grow;
pub mod liveness;
pub mod machine;
pub mod manager;
pub mod map;
pub mod owned;
pub mod pool;
pub mod region;
pub mod shrink;
pub mod stalled;
pub mod sweep;
pub mod wait;

pub use abi::{ComponentId, Error, ThreadId};
pub use collect::{Round, Step};
pub use manager::Manager;
pub use wait::Wakes;
