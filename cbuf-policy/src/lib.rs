//! How large each component's pool should be: a prediction of what each needs from what its
//! pool has shown, and an allocation of what there is among the predictions. Source: CBUFs,
//! section 4, which keeps the two apart as we do.
//!
//! Guarantees: the sum of the decisions never exceeds what there is; a pool never goes below the
//! size it was given at start; a system at rest returns to those sizes; the cost of a step is
//! fixed.
//! Trusts: the manager's figures.
//! Never does: block, allocate memory while deciding, or name a component.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod allocate;
pub mod predict;
pub mod throughput;

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
}

/// One pool's size now and as it should be. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    pub component: u32,
    pub now: u64,
    pub wanted: u64,
}
