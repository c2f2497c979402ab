//! One processor, the manager's book of pools, and whoever decides.

use crate::client::{Client, Kind};
use crate::trace::{Lane, Period, Trace};
use crate::{PERIOD_STEPS, STEP_NS};
use cbuf_policy::{Controller, Sample, Wish};

/// Sizes from figures: a policy of ours, another rule, or a split that never changes.
pub trait Decide {
    fn decide(&mut self, samples: &[(u32, Sample)], free: u64, elapsed: u64) -> Vec<Wish>;
}

impl Decide for Controller {
    fn decide(&mut self, samples: &[(u32, Sample)], free: u64, elapsed: u64) -> Vec<Wish> {
        self.step(samples.iter().copied(), free, elapsed).to_vec()
    }
}

/// A static split.
pub struct Fixed(pub Vec<(u32, u64)>);

impl Decide for Fixed {
    fn decide(&mut self, samples: &[(u32, Sample)], _free: u64, _elapsed: u64) -> Vec<Wish> {
        let wish = |(component, sample): &(u32, Sample)| {
            let wanted = self.0.iter().find(|f| f.0 == *component)?.1;
            (wanted != sample.limit).then_some(Wish {
                component: *component,
                now: sample.limit,
                wanted,
            })
        };
        let mut wishes: Vec<Wish> = samples.iter().filter_map(wish).collect();
        wishes.sort_by_key(|w| w.wanted > w.now);
        wishes
    }
}

pub struct Simulation {
    total: u64,
    clients: Vec<Client>,
    /// Allocations served and ticks lost when the period began.
    before: Vec<(u64, Sample)>,
    time_ms: u64,
    /// Everyone has a processor.
    apart: bool,
    trace: Trace,
}

impl Simulation {
    pub fn new(total: u64) -> Self {
        Self {
            total,
            clients: Vec::new(),
            before: Vec::new(),
            time_ms: 0,
            apart: false,
            trace: Trace::default(),
        }
    }

    /// The same where every client has a processor of its own, so that memory alone decides.
    pub fn apart(total: u64) -> Self {
        Self {
            apart: true,
            ..Self::new(total)
        }
    }

    /// Adds a client with a pool of that size. Periodic ones run first, in the order of arrival.
    pub fn add(&mut self, mut client: Client, pages: u64) {
        client.sample.limit = pages;
        self.trace.lanes.push(Lane {
            component: client.component,
            name: client.name,
            periods: Vec::new(),
        });
        self.before.push((0, client.sample));
        self.clients.push(client);
    }

    pub fn run(mut self, policy: &mut dyn Decide, length_ms: u64) -> Trace {
        while self.time_ms < length_ms {
            self.step();
            if self.time_ms.is_multiple_of(PERIOD_STEPS) {
                self.period(policy);
            }
        }
        self.trace
    }

    fn step(&mut self) {
        let mut left = STEP_NS;
        for first in [true, false] {
            for client in &mut self.clients {
                if (client.kind != Kind::Server) == first {
                    let used = client.step(self.time_ms, left);
                    left -= if self.apart { 0 } else { used };
                }
            }
        }
        self.time_ms += 1;
    }

    fn period(&mut self, policy: &mut dyn Decide) {
        let samples: Vec<_> = self
            .clients
            .iter()
            .map(|c| (c.component, c.sample))
            .collect();
        let elapsed = PERIOD_STEPS * STEP_NS;
        let free = self.total.saturating_sub(self.pooled());
        for wish in policy.decide(&samples, free, elapsed) {
            let free = self.total.saturating_sub(self.pooled());
            let client = self
                .clients
                .iter_mut()
                .find(|c| c.component == wish.component);
            match client {
                Some(client) if wish.wanted <= client.sample.limit + free => {
                    client.sample.limit = wish.wanted;
                }
                _ => self.trace.refused += 1,
            }
        }
        self.trace.most_pages = self.trace.most_pages.max(self.pooled());
        self.record(elapsed as f64);
    }

    fn pooled(&self) -> u64 {
        self.clients.iter().map(|c| c.sample.limit).sum()
    }

    fn record(&mut self, elapsed: f64) {
        let lanes = self.trace.lanes.iter_mut();
        for ((lane, client), before) in lanes.zip(&self.clients).zip(&mut self.before) {
            let (now, (served, then)) = (client.sample, *before);
            let share = |now: u64, then: u64| (now - then) as f64 / elapsed;
            lane.periods.push(Period {
                time_ms: self.time_ms,
                limit: now.limit,
                held: now.held,
                blocked: share(now.blocked_ticks, then.blocked_ticks),
                collecting: share(now.collecting_ticks, then.collecting_ticks),
                rate: share(client.served, served) * 1e9,
            });
            *before = (client.served, now);
        }
    }
}
