//! One look at everything: a few dozen invocations that answer from registers.

use abi::captype::CapType;
use abi::layout::PAGE;
use abi::op::kernel::stat;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use cbuf_policy::Policy;
use observe::figures::{
    Buffers, Choice, Component, Edge, Figures, Forecast, Given, Kernel, Lock, Memory, Pool, State,
};
use observe::json::PAGE_BYTES;
use rt::abi;
use rt::observe::Observed;
use stubs::{cbuf_figures, policy, sched, supervisor};

const _: () = assert!(PAGE as u64 == PAGE_BYTES);

/// Whom there is to ask. What the image does not offer is `None`, and its figures are missing.
pub struct Collector {
    image: Observed,
    sched: Option<sched::Client>,
    manager: Option<cbuf_figures::Client>,
    policy: Option<policy::Client>,
    supervisor: Option<supervisor::Client>,
}

impl Collector {
    /// Errors: without the right `observe`.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            image: Observed::new()?,
            sched: sched::Client::bind().ok(),
            manager: cbuf_figures::Client::bind().ok(),
            policy: policy::Client::bind().ok(),
            supervisor: supervisor::Client::bind().ok(),
        })
    }

    pub fn look(&self) -> Figures {
        let pools = self.manager.and_then(|m| m.clients().ok()).unwrap_or(0);
        Figures {
            uptime_us: micros(rt::time::now()),
            choice: self.choice(),
            kernel: self.kernel(),
            capabilities: self.capabilities(),
            memory: self.memory(),
            components: self
                .image
                .ids()
                .map(|id| self.component(id, pools))
                .collect(),
            edges: self.edges(),
        }
    }

    /// A component with a pool by its name.
    pub fn with_pool(&self, name: &str) -> Option<u32> {
        let clients = self.manager?.clients().ok()?;
        let mut ids = self.image.ids().filter(|id| clients >> id.0 & 1 == 1);
        let id = ids.find(|id| self.image.name(*id) == name)?;
        Some(u32::from(id.0))
    }

    /// Names of all components with a pool.
    pub fn pools(&self) -> impl Iterator<Item = &'static str> {
        let clients = self.manager.and_then(|m| m.clients().ok()).unwrap_or(0);
        let ids = self.image.ids().filter(move |id| clients >> id.0 & 1 == 1);
        ids.map(|id| self.image.name(id))
    }

    /// Components that have a target, as a bit set.
    pub fn targets(&self, policy: &policy::Client) -> u64 {
        let has = |id: &ComponentId| {
            let pool = policy.pool(u32::from(id.0));
            pool.is_ok_and(|(.., target)| target > 0)
        };
        self.image
            .ids()
            .filter(has)
            .fold(0, |set, id| set | 1 << id.0)
    }

    fn choice(&self) -> Option<Choice> {
        let (first, second, limit) = self.policy?.chosen().ok()?;
        Some(Choice {
            policy: Policy::from_words([first, second])?,
            limit: (limit > 0).then_some(limit),
        })
    }

    fn stat(&self, which: u64) -> Option<u64> {
        self.sched?.kernel_stat(which as u32).ok()
    }

    fn kernel(&self) -> Kernel {
        Kernel {
            invocations: self.stat(stat::INVOCATIONS),
            space_switches: self.stat(stat::SPACE_SWITCHES),
            thread_switches: self.stat(stat::THREAD_SWITCHES),
            system_calls: self.stat(stat::SYSTEM_CALLS),
            interrupts: self.stat(stat::INTERRUPTS),
            faults: self.stat(stat::FAULTS),
        }
    }

    fn capabilities(&self) -> Option<[u64; CapType::ALL.len()]> {
        let mut counts = [0; CapType::ALL.len()];
        for (ty, count) in CapType::ALL.iter().zip(&mut counts) {
            *count = self.stat(stat::CAPABILITIES_OF + *ty as u64)?;
        }
        Some(counts)
    }

    fn memory(&self) -> Memory {
        Memory {
            total: self.supervisor.and_then(|s| s.total_pages().ok()),
            free: self.supervisor.and_then(|s| s.free_pages().ok()),
            buffers: self.manager.and_then(|m| buffers(&m).ok()),
            lock: self.manager.and_then(|m| lock(&m).ok()),
        }
    }

    fn component(&self, id: ComponentId, pools: u64) -> Component {
        let number = u32::from(id.0);
        let told = self.supervisor.and_then(|s| s.state(number).ok());
        let (state, faults, restarts) = told.unwrap_or_default();
        let given = self.manager.and_then(|m| m.memory_of(number).ok());
        let has_pool = pools >> id.0 & 1 == 1;
        Component {
            id: id.0,
            name: self.image.name(id),
            state: match state {
                1 => State::Running,
                2 => State::Dead,
                3 => State::Restarting,
                // `init` does not supervise itself; it runs, or nothing does.
                _ if id == ComponentId::INIT => State::Running,
                _ => State::Unknown,
            },
            faults,
            restarts,
            given: given.map(|(fixed, owned, _, text)| Given { fixed, owned, text }),
            pool: has_pool.then(|| self.pool(number)).flatten(),
        }
    }

    fn pool(&self, component: u32) -> Option<Pool> {
        let manager = self.manager?;
        let (limit, held, allocations, waiting) = manager.usage(component).ok()?;
        let (blocked, collecting, collections, collected) = manager.timing(component).ok()?;
        let (charged, lent) = manager.charges(component).unwrap_or_default();
        Some(Pool {
            limit,
            held,
            charged,
            lent,
            allocations,
            waiting,
            collections,
            collected,
            blocked_us: micros(blocked),
            collecting_us: micros(collecting),
            forecast: self.forecast(component),
        })
    }

    fn forecast(&self, component: u32) -> Option<Forecast> {
        let (wants, needs, least, target) = self.policy?.pool(component).ok()?;
        Some(Forecast {
            wants,
            needs,
            least,
            target: (target > 0).then_some(target),
        })
    }

    /// Every edge that the image allows.
    fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for caller in self.image.ids() {
            let allowed = self.image.invokes(caller);
            for callee in self.image.ids() {
                if allowed >> callee.0 & 1 == 1 {
                    edges.push(Edge {
                        caller: caller.0,
                        callee: callee.0,
                        calls: self.image.calls(caller, callee),
                    });
                }
            }
        }
        edges
    }
}

fn buffers(manager: &cbuf_figures::Client) -> Result<Buffers, Error> {
    let (free, _) = manager.memory()?;
    let (held, unpaid, unused, total) = manager.totals()?;
    Ok(Buffers {
        total,
        free,
        held,
        unpaid,
        unused,
        most: manager.high_water()?,
    })
}

fn lock(manager: &cbuf_figures::Client) -> Result<Lock, Error> {
    let (taken, waits, waited) = manager.lock()?;
    Ok(Lock {
        taken,
        waits,
        waited_us: micros(waited),
    })
}

/// Ticks in microseconds.
fn micros(ticks: u64) -> u64 {
    let us = rt::time::duration(ticks).as_micros();
    u64::try_from(us).unwrap_or(u64::MAX)
}
