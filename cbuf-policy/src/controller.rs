//! One period: figures in, sizes out, by the policy that is chosen now.

use crate::plan::TARGETS;
use crate::predict::History;
use crate::qos::Dues;
use crate::{Forecast, Plan, Policy, Sample, Terms, Wish, allocate};
use crate::{limited, priority, qos, statics, throughput};
use abi::{ComponentId, Error};
use alloc::vec::Vec;

pub struct Controller {
    plan: Plan,
    histories: Vec<History>,
    terms: Vec<Option<Terms>>,
    forecasts: Vec<Forecast>,
    sizes: Vec<u64>,
    wishes: Vec<Wish>,
    dues: Dues,
}

fn room<T>() -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(ComponentId::MAX)
        .map_err(|_| Error::NoMemory)?;
    Ok(list)
}

impl Controller {
    /// Takes all the memory it will ever need.
    pub fn new(plan: Plan) -> Result<Self, Error> {
        let (mut histories, mut terms) = (room()?, room()?);
        histories.resize(ComponentId::MAX, History::default());
        terms.resize(ComponentId::MAX, None);
        Ok(Self {
            plan,
            histories,
            terms,
            forecasts: room()?,
            sizes: room()?,
            wishes: room()?,
            dues: Dues::default(),
        })
    }

    /// What the image says of a component's pool. A pool of which it says nothing keeps the size
    /// at which it is first seen as its least.
    pub fn set_terms(&mut self, component: u32, terms: Terms) {
        if let Some(place) = self.terms.get_mut(component as usize) {
            *place = Some(terms);
        }
    }

    pub fn terms(&self, component: u32) -> Option<Terms> {
        self.terms.get(component as usize).copied().flatten()
    }

    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// From the next period on. What was learnt of the pools stays.
    pub fn set_plan(&mut self, plan: Plan) {
        self.plan = plan;
        self.dues = Dues::default();
    }

    /// What the last period made of the pools.
    pub fn forecasts(&self) -> &[Forecast] {
        &self.forecasts
    }

    /// Decides, `elapsed` ticks after the last time, with `free` pages in no pool. Answers the
    /// pools whose size should change, those that shrink first.
    pub fn step(
        &mut self,
        samples: impl Iterator<Item = (u32, Sample)>,
        free: u64,
        elapsed: u64,
    ) -> &[Wish] {
        self.observe(samples, elapsed);
        self.order();
        let sum =
            |f: fn(&Forecast) -> u64| self.forecasts.iter().map(f).fold(0, u64::saturating_add);
        let there = sum(|f| f.now).saturating_add(free);
        let least = sum(|f| f.terms.least);
        let budget = there.min(self.plan.limit.unwrap_or(there)).max(least);
        self.sizes.clear();
        self.sizes.resize(self.forecasts.len(), 0);
        let (forecasts, sizes) = (&self.forecasts[..], &mut self.sizes[..]);
        match self.plan.policy {
            Policy::Throughput => throughput::split(forecasts, budget, sizes),
            Policy::Limited => {
                limited::split(forecasts, budget, crate::BEARABLE, sizes);
            }
            Policy::Priority => priority::split(forecasts, budget, sizes),
            Policy::Static => statics::split(forecasts, budget, sizes),
            Policy::Qos => qos::split(&self.plan, &mut self.dues, forecasts, budget, sizes),
        }
        // What nobody wants goes where it was at start.
        let given = sizes.iter().copied().fold(0, u64::saturating_add);
        let start = |i: usize| forecasts[i].terms.start.min(forecasts[i].terms.most);
        allocate::max_min(sizes, start, budget.saturating_sub(given));
        self.wishes.clear();
        self.wishes
            .extend(forecasts.iter().zip(&*sizes).map(|(f, s)| Wish {
                component: f.component,
                now: f.now,
                wanted: *s,
            }));
        // Whatever was decided: never more than there is.
        allocate::proportional(&mut self.wishes, free);
        self.wishes.retain(|w| w.now != w.wanted);
        self.wishes.sort_unstable_by_key(|w| w.wanted > w.now);
        &self.wishes
    }

    /// The sizes to begin with, where the limit is less than what `pools` (components and their
    /// pages) have: those that shrink. `free` pages are in no pool.
    pub fn begin(&self, pools: &[(u32, u64)], free: u64) -> Vec<Wish> {
        let have = pools.iter().map(|p| p.1).fold(0, u64::saturating_add);
        let there = have.saturating_add(free);
        let budget = there.min(self.plan.limit.unwrap_or(there));
        if have <= budget {
            return Vec::new();
        }
        let least = |(component, now): &(u32, u64)| {
            let terms = self.terms(*component);
            terms.map_or(*now, |terms| terms.least.min(*now))
        };
        let mut sizes: Vec<u64> = pools.iter().map(least).collect();
        let given = sizes.iter().copied().fold(0, u64::saturating_add);
        allocate::max_min(&mut sizes, |i| pools[i].1, budget.saturating_sub(given));
        let wishes = pools
            .iter()
            .zip(sizes)
            .map(|(&(component, now), wanted)| Wish {
                component,
                now,
                wanted,
            });
        wishes.filter(|w| w.wanted < w.now).collect()
    }

    fn observe(&mut self, samples: impl Iterator<Item = (u32, Sample)>, elapsed: u64) {
        self.forecasts.clear();
        for (component, sample) in samples.take(ComponentId::MAX) {
            let place = component as usize;
            let Some(history) = self.histories.get_mut(place) else {
                continue;
            };
            let terms = *self.terms[place].get_or_insert(Terms {
                least: sample.limit,
                start: sample.limit,
                most: u64::MAX,
                priority: 0,
                fixed: sample.limit,
                reach: 1 << (component % 64),
            });
            let mut forecast = history.observe(component, terms, sample, elapsed);
            forecast.group = group(&self.plan, &self.terms, component);
            self.forecasts.push(forecast);
        }
    }

    /// The order in which policies serve; among equals that of the components.
    fn order(&mut self) {
        let policy = self.plan.policy;
        self.forecasts.sort_unstable_by_key(|f| {
            let rank = match policy {
                Policy::Priority => u64::from(u32::MAX - f.terms.priority),
                Policy::Qos => f.group as u64,
                Policy::Throughput | Policy::Limited | Policy::Static => 0,
            };
            (rank, f.component)
        });
    }
}

/// The first target whose component reaches this one.
fn group(plan: &Plan, terms: &[Option<Terms>], component: u32) -> usize {
    let reaches = |t: u32| {
        let terms = terms.get(t as usize).copied().flatten();
        t == component || terms.is_some_and(|t| t.reach >> (component % 64) & 1 == 1)
    };
    let groups = plan.targets.iter();
    groups
        .take(TARGETS)
        .position(|t| t.is_some_and(|t| reaches(t.component)))
        .unwrap_or(TARGETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use proptest::prelude::*;

    #[test]
    fn a_load_and_its_end_leave_every_pool_as_it_was() {
        for policy in Policy::ALL.into_iter().filter(|p| *p != Policy::Static) {
            let plan = Plan {
                policy,
                ..Plan::default()
            };
            let mut controller = Controller::new(plan).unwrap();
            let mut pools = [(1u32, 100u64), (2, 40)];
            let mut free = 500;
            let mut blocked_ticks = 0;
            for period in 0..100 {
                let busy = (10..40).contains(&period);
                blocked_ticks += u64::from(busy) * 600_000;
                let samples = pools.map(|(component, limit)| {
                    let sample = Sample {
                        limit,
                        calls: period.min(40),
                        blocked_ticks: if component == 2 { blocked_ticks } else { 0 },
                        ..Sample::default()
                    };
                    (component, sample)
                });
                for wish in controller.step(samples.into_iter(), free, 1_000_000) {
                    let pool = pools.iter_mut().find(|p| p.0 == wish.component).unwrap();
                    free = free + pool.1 - wish.wanted;
                    pool.1 = wish.wanted;
                }
                if period == 39 {
                    assert_eq!((pools[1].1, free), (540, 0), "{policy}");
                }
            }
            assert_eq!((pools, free), ([(1, 100), (2, 40)], 500), "{policy}");
        }
    }

    proptest! {
        #[test]
        fn nonsense_figures_never_overcommit(
            policy in 0..Policy::ALL.len(),
            limit in prop::option::of(any::<u64>()),
            steps in prop::collection::vec(
                prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..3, any::<u64>()), 4),
                1..30,
            ),
        ) {
            let mut plan = Plan { policy: Policy::ALL[policy], limit, ..Plan::default() };
            plan.set_target(Target { component: 2, share: 50_000 });
            plan.set_target(Target { component: 0, share: 1 });
            let mut controller = Controller::new(plan).unwrap();
            let mut limits = [10u64, 0, 300, 77];
            let mut free = 1000;
            for step in steps {
                let samples = step.iter().enumerate().map(|(i, s)| (i as u32, Sample {
                    limit: limits[i],
                    held: s.0,
                    calls: s.1,
                    blocked: s.2,
                    blocked_ticks: s.3,
                    collecting_ticks: s.0,
                    collections: s.1 ^ s.3,
                    collected: s.0 ^ s.1,
                }));
                for wish in controller.step(samples, free, 250).to_vec() {
                    let limit = &mut limits[wish.component as usize];
                    prop_assert!(wish.wanted <= *limit + free);
                    free = free + *limit - wish.wanted;
                    *limit = wish.wanted;
                }
                prop_assert!(limits[0] >= 10 && limits[2] >= 300 && limits[3] >= 77);
                let sum = limits.iter().sum::<u64>();
                prop_assert_eq!(sum + free, 1387);
                prop_assert!(limit.is_none_or(|l| sum <= l.max(387)));
            }
        }
    }
}
