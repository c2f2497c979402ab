//! The policy for enough memory: every pool gets what it is predicted to need, as long as there
//! is any.

use crate::predict::History;
use crate::{Sample, Wish, allocate};
use abi::{ComponentId, Error};
use alloc::vec::Vec;

pub struct EnoughMemory {
    histories: Vec<History>,
    wishes: Vec<Wish>,
}

impl EnoughMemory {
    /// Takes all the memory it will ever need.
    pub fn new() -> Result<Self, Error> {
        let (mut histories, mut wishes) = (Vec::new(), Vec::new());
        histories
            .try_reserve_exact(ComponentId::MAX)
            .map_err(|_| Error::NoMemory)?;
        wishes
            .try_reserve_exact(ComponentId::MAX)
            .map_err(|_| Error::NoMemory)?;
        histories.resize(ComponentId::MAX, History::default());
        Ok(Self { histories, wishes })
    }

    /// Decides, `elapsed` ticks after the last time, with `free` pages in no pool. Answers the
    /// pools whose size should change, those that shrink first.
    pub fn step(
        &mut self,
        samples: impl Iterator<Item = (u32, Sample)>,
        free: u64,
        elapsed: u64,
    ) -> &[Wish] {
        self.wishes.clear();
        for (component, sample) in samples.take(ComponentId::MAX) {
            if let Some(history) = self.histories.get_mut(component as usize) {
                self.wishes.push(Wish {
                    component,
                    now: sample.limit,
                    wanted: history.demand(sample, elapsed),
                });
            }
        }
        allocate::proportional(&mut self.wishes, free);
        self.wishes.retain(|w| w.now != w.wanted);
        self.wishes.sort_unstable_by_key(|w| w.wanted > w.now);
        &self.wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_load_and_its_end_leave_every_pool_as_it_was() {
        let mut policy = EnoughMemory::new().unwrap();
        let mut pools = [(1u32, 100u64), (2, 40)];
        let mut free = 500;
        let mut blocked_ticks = 0;
        for period in 0..100 {
            let busy = (10..40).contains(&period);
            blocked_ticks += u64::from(busy) * 1000;
            let samples = pools.map(|(component, limit)| {
                let sample = Sample {
                    limit,
                    calls: period.min(40),
                    blocked_ticks: if component == 2 { blocked_ticks } else { 0 },
                    ..Sample::default()
                };
                (component, sample)
            });
            for wish in policy.step(samples.into_iter(), free, 1_000_000) {
                let pool = pools.iter_mut().find(|p| p.0 == wish.component).unwrap();
                free = free + pool.1 - wish.wanted;
                pool.1 = wish.wanted;
            }
            if period == 39 {
                assert_eq!((pools[1].1, free), (540, 0));
            }
        }
        assert_eq!((pools, free), ([(1, 100), (2, 40)], 500));
    }

    proptest! {
        #[test]
        fn nonsense_figures_never_overcommit(
            steps in prop::collection::vec(
                prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..3, any::<u64>()), 4),
                1..30,
            ),
        ) {
            let mut policy = EnoughMemory::new().unwrap();
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
                }));
                for wish in policy.step(samples, free, 250).to_vec() {
                    let limit = &mut limits[wish.component as usize];
                    prop_assert!(wish.wanted <= *limit + free);
                    free = free + *limit - wish.wanted;
                    *limit = wish.wanted;
                }
                prop_assert!(limits[0] >= 10 && limits[2] >= 300 && limits[3] >= 77);
                prop_assert_eq!(limits.iter().sum::<u64>() + free, 1387);
            }
        }
    }
}
