//! One client and its pool. What it frees becomes garbage; when it has used up what the last
//! collection brought, it collects again, at a price that grows with what it owns; when a
//! collection brings nothing, its pool grows into its limit; when that is reached, it waits.

use crate::STEP_NS;
use cbuf_policy::Sample;

/// Buffers made ahead where a collection brings less than a quarter of what is owned, as in the
/// manager.
const AHEAD: u64 = 32;
/// A collection, and each buffer that it looks at, in nanoseconds.
const COLLECT_NS: u64 = 5_500;
const LOOK_NS: u64 = 82;
/// A new buffer.
const MAKE_NS: u64 = 2_000;
/// What a server of many requests waits for one of them to end.
const TURN_NS: u64 = 60_000;

/// How it works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Takes all the processor that is left; with too little memory it still serves, ever fewer
    /// requests at a time.
    Server,
    /// So many allocations every ten milliseconds, before everyone else; with too little memory
    /// its thread waits.
    Periodic { allocations: u64 },
}

/// The pages that a client cannot do without at a time in milliseconds; `None` while it is at rest.
pub type Demand = Box<dyn Fn(u64) -> Option<u64>>;

pub struct Client {
    pub component: u32,
    pub name: &'static str,
    pub kind: Kind,
    /// Processor time between two allocations, in nanoseconds.
    pub work_ns: u64,
    pub demand: Demand,
    /// By how much that varies to both sides.
    pub noise: u64,
    pub sample: Sample,
    /// Allocations that were served, since the start.
    pub served: u64,
    pending: u64,
    ready: u64,
    garbage: u64,
    seed: u64,
}

impl Client {
    pub fn new(
        component: u32,
        name: &'static str,
        kind: Kind,
        work_ns: u64,
        demand: impl Fn(u64) -> Option<u64> + 'static,
    ) -> Self {
        Self {
            component,
            name,
            kind,
            work_ns,
            demand: Box::new(demand),
            noise: 0,
            sample: Sample::default(),
            served: 0,
            pending: 0,
            ready: 0,
            garbage: 0,
            seed: u64::from(component) + 1,
        }
    }

    pub fn with_noise(mut self, pages: u64) -> Self {
        self.noise = pages;
        self
    }

    fn vary(&mut self, live: u64) -> u64 {
        // A multiplicative congruential generator: enough to be irregular.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let span = 2 * self.noise + 1;
        (live + (self.seed >> 33) % span).saturating_sub(self.noise)
    }

    /// Runs for a step at most; `left` is the processor time that is left of it. Answers what it
    /// took.
    pub fn step(&mut self, time_ms: u64, left: u64) -> u64 {
        self.sample.blocked = 0;
        let Some(live) = (self.demand)(time_ms) else {
            self.pending = 0;
            self.shrink(0);
            return 0;
        };
        let live = self.vary(live).max(1);
        self.shrink(live);
        if let Kind::Periodic { allocations } = self.kind
            && time_ms.is_multiple_of(10)
        {
            self.pending = allocations;
        }
        let mut time = 0;
        let mut used = 0;
        while time < left && (self.kind == Kind::Server || self.pending > 0) {
            if self.ready == 0 {
                let cost = self.collect(live);
                (time, used) = (time + cost, used + cost);
                self.sample.collecting_ticks += cost;
                if self.ready > 0 {
                    continue;
                }
                self.sample.blocked = 1;
                if self.kind == Kind::Server {
                    // The fewer pages, the fewer requests at once.
                    let missing = live.saturating_sub(self.sample.held) + 1;
                    let wait = (TURN_NS * missing).min(STEP_NS.saturating_sub(time));
                    self.sample.blocked_ticks += wait;
                    time += wait.max(1);
                    self.ready = 1;
                    self.sample.collected += 1;
                    continue;
                }
                self.sample.blocked_ticks += STEP_NS.saturating_sub(used);
                break;
            }
            let fits = (left - time).div_ceil(self.work_ns);
            let count = match self.kind {
                Kind::Server => fits.min(self.ready),
                Kind::Periodic { .. } => fits.min(self.ready).min(self.pending),
            };
            self.ready -= count;
            self.garbage += count;
            self.served += count;
            self.pending = self.pending.saturating_sub(count);
            (time, used) = (time + count * self.work_ns, used + count * self.work_ns);
        }
        used.min(left)
    }

    /// Looks for garbage and grows into the limit where there is little. Answers the time.
    fn collect(&mut self, live: u64) -> u64 {
        let idle = self.sample.held.saturating_sub(live);
        self.sample.calls += 1;
        self.sample.collections += 1;
        let brought = self.garbage.min(idle);
        self.sample.collected += brought;
        // What it needs more than it did was ready or garbage before.
        self.ready = brought;
        self.garbage = 0;
        let mut cost = COLLECT_NS + LOOK_NS * self.sample.held;
        let room = self.sample.limit.saturating_sub(self.sample.held);
        let wanted = match brought {
            0 => (live + 1).saturating_sub(self.sample.held).max(1),
            _ => (self.sample.limit / 8).min(AHEAD),
        };
        let made = wanted.min(room);
        self.sample.held += made;
        cost += made * MAKE_NS;
        if self.ready == 0 {
            // What nobody has is as good as new: unused so far, or taken from what is gone.
            self.ready = self.sample.held.saturating_sub(live);
        } else {
            self.ready += made;
        }
        cost
    }

    /// What exceeds the limit goes as it becomes free.
    fn shrink(&mut self, live: u64) {
        let held = self.sample.held;
        if held > self.sample.limit {
            self.sample.held = self.sample.limit.max(live.min(held));
        }
        let idle = self.sample.held.saturating_sub(live);
        self.ready = self.ready.min(idle);
        self.garbage = idle - self.ready;
    }
}
