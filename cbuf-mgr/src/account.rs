//! The figures: what policies decide by, and what shows that no page is lost.

/// One pool now. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub limit: u64,
    /// What it pays for ([`crate::charge`]).
    pub held: u64,
    /// Allocations that called the manager, since boot.
    pub calls: u64,
    /// Threads blocked now.
    pub blocked: u64,
}

/// One pool, or one thread in all pools, since boot. Ticks of the time-stamp counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timing {
    pub calls: u64,
    pub blocked_ticks: u64,
    pub collecting_ticks: u64,
    /// Calls that looked for garbage.
    pub collections: u64,
    /// Buffers found to be garbage.
    pub collected: u64,
}

/// All memory. Pages. `free` = `total` minus the limits of all pools; it depends on limits
/// alone, so it is the same before and after any load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    pub free: u64,
    pub total: u64,
    /// In buffers that a component references or that are on their way.
    pub live: u64,
    /// In buffers, whatever their state.
    pub pooled: u64,
}

/// Where all pages are, each from tables of its own: the first three make up the last. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Held by pools.
    pub held: u64,
    /// In buffers of owners that died, on nobody's account.
    pub unpaid: u64,
    /// In no buffer.
    pub unused: u64,
    pub total: u64,
}

/// What a component has outside of any pool: memory of the other two kinds. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// Static: text, data, stacks.
    pub fixed: u64,
    /// Owned: heaps.
    pub owned: u64,
}
