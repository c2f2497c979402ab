//! What a pool needs next, from what it showed in the last period: more where threads waited, or
//! where the collector took more than its share because the pool is full, its first size again after a time of rest.

use crate::Sample;

/// A pool that spends more than one part in this many of the time collecting is too small.
const COLLECTING_SHARE: u64 = 50;
/// A pool that holds all but one part in this many of its limit is full.
const FULL_SHARE: u64 = 8;
/// Growth is one part in this many, and at least so many pages.
const GROWTH_SHARE: u64 = 4;
const GROWTH_LEAST: u64 = 16;
/// Periods without a call to the manager before a pool counts as at rest (two seconds).
const REST_PERIODS: u32 = 8;

/// One pool's past.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    last: Option<Sample>,
    /// The limit at first sight.
    start: u64,
    rested: u32,
}

impl History {
    /// The pages a pool should have, given what it shows `now`, `elapsed` ticks after the last
    /// time. Never less than at first sight.
    pub fn demand(&mut self, now: Sample, elapsed: u64) -> u64 {
        let Some(last) = self.last.replace(now) else {
            self.start = now.limit;
            return now.limit;
        };
        let blocked = now.blocked_ticks.saturating_sub(last.blocked_ticks);
        let collecting = now.collecting_ticks.saturating_sub(last.collecting_ticks);
        if now.calls == last.calls && now.blocked == 0 {
            self.rested = self.rested.saturating_add(1);
        } else {
            self.rested = 0;
        }
        let full = now.held >= now.limit - now.limit / FULL_SHARE;
        let strained = full && collecting > elapsed / COLLECTING_SHARE;
        let wanting = now.blocked > 0 || blocked > 0 || strained;
        if wanting {
            let more = (now.limit / GROWTH_SHARE).max(GROWTH_LEAST);
            now.limit.saturating_add(more)
        } else if self.rested >= REST_PERIODS {
            self.start
        } else {
            now.limit.max(self.start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u64 = 1_000_000;

    fn sample(limit: u64, calls: u64) -> Sample {
        Sample {
            limit,
            calls,
            ..Sample::default()
        }
    }

    #[test]
    fn first_sight_changes_nothing() {
        assert_eq!(History::default().demand(sample(100, 7), PERIOD), 100);
    }

    #[test]
    fn blocking_grows_the_pool() {
        let mut history = History::default();
        history.demand(sample(100, 0), PERIOD);
        let mut now = sample(100, 1);
        now.blocked = 1;
        assert_eq!(history.demand(now, PERIOD), 125);
        now.blocked = 0;
        now.blocked_ticks = 1;
        assert_eq!(history.demand(now, PERIOD), 125);
        assert_eq!(history.demand(now, PERIOD), 100);
    }

    #[test]
    fn collecting_does_where_it_costs_much_and_the_pool_is_full() {
        let mut history = History::default();
        history.demand(sample(20, 0), PERIOD);
        let mut now = sample(20, 900);
        now.collecting_ticks = PERIOD / COLLECTING_SHARE;
        assert_eq!(history.demand(now, PERIOD), 20);
        now.collecting_ticks *= 3;
        assert_eq!(history.demand(now, PERIOD), 20);
        now.collecting_ticks *= 2;
        now.held = 18;
        assert_eq!(history.demand(now, PERIOD), 36);
    }

    #[test]
    fn rest_gives_back_what_was_added() {
        let mut history = History::default();
        history.demand(sample(100, 0), PERIOD);
        for _ in 0..REST_PERIODS {
            assert_eq!(history.demand(sample(150, 1), PERIOD), 150);
        }
        assert_eq!(history.demand(sample(150, 1), PERIOD), 100);
    }
}
