//! The paper's own rules, as far as its section 4 gives them, to compare with. What it leaves
//! open is filled in with the least that makes them work: a pool whose threads wait grows by a
//! quarter, and so does one below its target while nothing is known of the other side.

use crate::machine::Decide;
use cbuf_policy::{Sample, Wish};
use std::collections::BTreeMap;

/// Growth where the rules say nothing.
const GROWTH: u64 = 4;
/// How near a share must be to its target to count as equal: a tenth of it.
const CLOSE: f64 = 0.1;

#[derive(Clone, Copy, Default)]
struct Run {
    size: u64,
    lost: u64,
    calls: u64,
}

#[derive(Clone, Copy, Default)]
struct Average {
    sum: u64,
    count: u64,
}

impl Average {
    fn add(&mut self, size: u64) {
        self.sum += size;
        self.count += 1;
    }
    fn mean(self) -> Option<u64> {
        self.sum.checked_div(self.count)
    }
}

#[derive(Default)]
struct Past {
    last: Sample,
    runs: [Run; 2],
    least: u64,
    /// Sizes at which the share was larger and smaller than the target, and on it.
    larger: Average,
    smaller: Average,
    equal: Average,
}

/// Who comes first when the sum is too large.
pub enum Order {
    /// All are cut in proportion.
    Proportional,
    /// The component with the target, and its share.
    Target(u32, f64),
}

pub struct PaperRule {
    limit: u64,
    order: Order,
    past: BTreeMap<u32, Past>,
}

impl PaperRule {
    pub fn new(limit: u64, order: Order) -> Self {
        Self {
            limit,
            order,
            past: BTreeMap::new(),
        }
    }
}

impl Past {
    /// The four cases for the least total of time blocked and collecting.
    fn minimize(&mut self, run: Run, waits: bool) -> u64 {
        let [_, before] = self.runs;
        self.runs = [before, run];
        let (size, then) = (run.size, before.size);
        if waits {
            return size + size / GROWTH + 1;
        }
        if run.lost < before.lost {
            // Less was lost: because of more memory, or of fewer requests.
            return if size > then {
                size + (size - then)
            } else {
                size
            };
        }
        if run.lost > before.lost {
            if size < then {
                return then;
            }
            if run.calls > before.calls && before.calls > 0 {
                return size * run.calls / before.calls;
            }
        }
        size
    }

    /// The search by three averages.
    fn search(&mut self, size: u64, share: f64, target: f64) -> u64 {
        if (share - target).abs() <= target * CLOSE {
            self.equal.add(size);
            return size;
        }
        let opposite = if share > target {
            self.larger.add(size);
            self.smaller.mean().or(self.equal.mean())
        } else {
            self.smaller.add(size);
            self.larger.mean().or(self.equal.mean())
        };
        match opposite {
            // What lay on the other side once may not any more.
            Some(opposite) if (opposite > size) == (share > target) && opposite != size => {
                size.midpoint(opposite)
            }
            _ if share > target => size + size / GROWTH + 1,
            _ => size - size / GROWTH,
        }
    }
}

impl Decide for PaperRule {
    fn decide(&mut self, samples: &[(u32, Sample)], _free: u64, elapsed: u64) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for (component, now) in samples {
            let past = self.past.entry(*component).or_insert_with(|| Past {
                last: *now,
                least: now.limit,
                ..Past::default()
            });
            let lost = |s: &Sample| s.blocked_ticks + s.collecting_ticks;
            let waited = now.blocked_ticks - past.last.blocked_ticks;
            let run = Run {
                size: now.limit,
                lost: lost(now) - lost(&past.last),
                calls: now.calls - past.last.calls,
            };
            let first = past.runs[1].size == 0;
            past.last = *now;
            let share = run.lost as f64 / elapsed as f64;
            let wanted = match self.order {
                _ if first => {
                    past.runs[1] = run;
                    now.limit
                }
                Order::Target(bound, target) if bound == *component => {
                    past.search(run.size, share, target)
                }
                _ => past.minimize(run, waited > elapsed / 2),
            };
            wishes.push(Wish {
                component: *component,
                now: now.limit,
                wanted: wanted.max(past.least),
            });
        }
        self.fit(&mut wishes);
        wishes.retain(|w| w.wanted != w.now);
        wishes.sort_by_key(|w| w.wanted > w.now);
        wishes
    }
}

impl PaperRule {
    fn fit(&self, wishes: &mut [Wish]) {
        let least = |component| self.past.get(&component).map_or(0, |p| p.least);
        let sum: u64 = wishes.iter().map(|w| w.wanted).sum();
        if sum <= self.limit {
            return;
        }
        match self.order {
            Order::Proportional => {
                for wish in wishes.iter_mut() {
                    wish.wanted = (wish.wanted * self.limit / sum).max(least(wish.component));
                }
            }
            Order::Target(bound, _) => {
                wishes.sort_by_key(|w| w.component != bound);
                let mut left = self.limit;
                for i in 0..wishes.len() {
                    let below: u64 = wishes[i + 1..].iter().map(|w| least(w.component)).sum();
                    let most = left.saturating_sub(below);
                    wishes[i].wanted = wishes[i].wanted.min(most);
                    left -= wishes[i].wanted;
                }
            }
        }
    }
}
