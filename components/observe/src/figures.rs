//! One look at the machine. Pages are of 4096 bytes; times are in microseconds since boot; counts
//! go on from boot, also through restarts.

use alloc::vec::Vec;

use abi::captype::CapType;
use cbuf_policy::Policy;

/// Everything that is told. `None`: the image has nobody who tells, or who tells is dead.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub uptime_us: u64,
    pub choice: Option<Choice>,
    pub kernel: Kernel,
    /// Capabilities by type, in the order of [`CapType::ALL`].
    pub capabilities: Option<[u64; CapType::ALL.len()]>,
    pub memory: Memory,
    pub components: Vec<Component>,
    pub edges: Vec<Edge>,
}

/// How memory is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    pub policy: Policy,
    /// Pages for all pools together.
    pub limit: Option<u64>,
}

/// The kernel's own counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kernel {
    pub invocations: Option<u64>,
    pub space_switches: Option<u64>,
    pub thread_switches: Option<u64>,
    pub system_calls: Option<u64>,
    pub interrupts: Option<u64>,
    pub faults: Option<u64>,
}

impl Kernel {
    /// Names and values.
    pub fn each(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("invocations", self.invocations),
            ("space_switches", self.space_switches),
            ("thread_switches", self.thread_switches),
            ("system_calls", self.system_calls),
            ("interrupts", self.interrupts),
            ("faults", self.faults),
        ]
    }
}

/// Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// Of all memory that the kernel handed over.
    pub total: Option<u64>,
    /// That `init` has given to nobody.
    pub free: Option<u64>,
    pub buffers: Option<Buffers>,
    pub lock: Option<Lock>,
}

/// The CBUF manager's one lock, since boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lock {
    pub taken: u64,
    /// While another thread had it.
    pub waits: u64,
    pub waited_us: u64,
}

/// Pages of the CBUF manager. `held`, `unpaid` and `unused` make up `total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Buffers {
    pub total: u64,
    /// In no pool's size.
    pub free: u64,
    /// Paid for by pools.
    pub held: u64,
    /// In buffers of the dead that nobody pays for.
    pub unpaid: u64,
    pub unused: u64,
    /// The most pages that were ever in buffers at once.
    pub most: u64,
}

/// What a supervisor says of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    #[default]
    Unknown,
    Running,
    Dead,
    /// Dead, and to be started anew.
    Restarting,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Dead => "dead",
            Self::Restarting => "restarting",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Component {
    pub id: u16,
    pub name: &'static str,
    pub state: State,
    pub faults: u64,
    pub restarts: u64,
    pub given: Option<Given>,
    pub pool: Option<Pool>,
}

/// Memory of a component outside of its pool, in pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// Data and stacks.
    pub fixed: u64,
    /// Heap.
    pub owned: u64,
    /// What it runs of the boot archive.
    pub text: u64,
}

/// A pool of CBUFs: pages where nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pool {
    pub limit: u64,
    pub held: u64,
    /// Of others' buffers that it pays for, and of its own that others pay for.
    pub charged: u64,
    pub lent: u64,
    /// Allocations that called the manager.
    pub allocations: u64,
    /// Threads that wait for memory now.
    pub waiting: u64,
    pub collections: u64,
    /// Buffers that they found.
    pub collected: u64,
    pub blocked_us: u64,
    pub collecting_us: u64,
    pub forecast: Option<Forecast>,
}

/// What the policy thinks of a pool. Pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Forecast {
    pub wants: u64,
    pub needs: u64,
    pub least: u64,
    /// The share of time that its application may lose, in millionths.
    pub target: Option<u64>,
}

/// How often one component invoked another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Edge {
    pub caller: u16,
    pub callee: u16,
    pub calls: u64,
}
