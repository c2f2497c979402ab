//! How large each component's pool should be: a prediction of what each would lose at which size,
//! from what its pool has shown ([`predict`]), and an allocation of what there is among the
//! predictions, by one of four policies ([`throughput`], [`limited`], [`priority`], [`qos`]).
//! Source: CBUFs, section 4, which keeps the two apart as we do; where the rules differ from
//! that paper's, and why, is in docs/policies.md.
//!
//! Guarantees: the sum of the decisions never exceeds what there is, nor the limit that was set
//! (or the sum of the least sizes, where that is more); a pool never goes below the least size
//! that its image gives it; a system at rest returns to the sizes that it started with, as far as the
//! limit allows; the cost of a step is bounded
//! by the number of pools.
//! Trusts: the manager's figures and the image's terms.
//! Never does: block, allocate memory while deciding, use floating point, or read a clock.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod allocate;
pub mod controller;
pub mod limited;
pub mod plan;
pub mod predict;
pub mod priority;
pub mod qos;
pub mod settings;
pub mod statics;
pub mod throughput;

pub use controller::Controller;
pub use plan::{Plan, Policy, Target};
pub use predict::Forecast;

/// Shares of time are in millionths.
pub const WHOLE: u64 = 1_000_000;
/// The share of time blocked or collecting that is no reason to want more memory: 2%.
pub const BEARABLE: u64 = WHOLE / 50;

/// What the manager tells of one pool: pages, and ticks and events since boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sample {
    pub limit: u64,
    pub held: u64,
    /// Allocations that called the manager.
    pub calls: u64,
    /// Threads blocked now.
    pub blocked: u64,
    pub blocked_ticks: u64,
    pub collecting_ticks: u64,
    /// Looks for garbage.
    pub collections: u64,
    /// Buffers that they found.
    pub collected: u64,
}

/// What the image says of a pool. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// No policy goes below it.
    pub least: u64,
    /// The size at start, to which it returns where nobody wants the memory.
    pub start: u64,
    pub most: u64,
    /// A larger number is served first.
    pub priority: u32,
    /// Its size where nothing decides.
    pub fixed: u64,
    /// Components with a pool that this one's threads come to, itself included, as a bit set.
    pub reach: u64,
}

/// One pool's size now and as it should be. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    pub component: u32,
    pub now: u64,
    pub wanted: u64,
}
