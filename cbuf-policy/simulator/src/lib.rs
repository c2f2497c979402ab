//! Pools under a policy, on the host: clients that allocate, collect and wait, on one processor,
//! in steps of a millisecond.
//!
//! Guarantees: the same input gives the same trace, on every machine; a pool's figures are those
//! that the manager would give.
//! Trusts: nothing; what a policy decides is checked as the manager checks it ([`Trace::refused`]).
//! Never does: read a clock, or use randomness beyond a counter's.
//! Source: CBUFs, section 5.3, for the profile; sections 3 and 4 for what pools do.

#![forbid(unsafe_code)]

pub mod client;
pub mod machine;
pub mod paper;
pub mod profile;
pub mod scene;
pub mod trace;

pub use client::{Client, Kind};
pub use machine::{Decide, Fixed, Simulation};
pub use trace::{Period, Trace};

/// One step in nanoseconds, which are the simulation's ticks.
pub const STEP_NS: u64 = 1_000_000;
/// Steps between two looks of the policy: four in a second.
pub const PERIOD_STEPS: u64 = 250;
