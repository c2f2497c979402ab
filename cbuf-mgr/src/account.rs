//! The figures: what policies decide by, and what shows that no page is lost.

use abi::ComponentId;
use libcbuf::meta::CbufId;

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

/// All memory. Pages. `free` = `total` minus the limits of all pools, what is set aside for heaps, and what
/// heaps have beyond that. Where no heap may grow beyond what is set aside, it depends on limits alone, so
/// it is the same before and after any load.
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
    /// What components pay for: held by pools, or owned.
    pub held: u64,
    /// In buffers of owners that died, on nobody's account.
    pub unpaid: u64,
    /// In no buffer.
    pub unused: u64,
    pub total: u64,
}

/// What a component has outside of any pool: memory of the kinds that are not collected. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// Static: text, data, stacks.
    pub fixed: u64,
    /// Owned: heaps.
    pub owned: u64,
    /// Static, but the boot archive's: text, which all who run the same program share.
    pub text: u64,
}

impl Given {
    pub(crate) fn add(&mut self, kind: Kind, pages: u64) {
        match kind {
            Kind::Collected => {}
            Kind::Owned => self.owned += pages,
            Kind::Static => self.fixed += pages,
            Kind::Text => self.text += pages,
        }
    }
}

/// For whose lifetime a buffer is there. Source: CBUFs, section 2.1. An aggregate is a collected
/// buffer, whose contents nobody but its receivers look at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// As long as anybody has it.
    Collected = 0,
    /// As long as its owner wants it.
    Owned = 1,
    /// As long as its owner is there.
    Static = 2,
    /// The same, in pages of the boot archive, which are not among the memory that the kernel hands
    /// over.
    Text = 3,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Collected, Self::Owned, Self::Static, Self::Text];

    /// By its number in interface `cbuf_policy`.
    pub fn by_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// A buffer as it is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    pub id: CbufId,
    pub kind: Kind,
    /// Nobody, where the owner died.
    pub owner: Option<ComponentId>,
    pub pages: u64,
}
