//! What a pool would lose at which size, from what it showed so far.
//!
//! A collection brings what the pool holds beyond what is in use: its *room*. The next one comes
//! when the room is used up, so the time lost to collections falls as one over the room:
//! `share(pages) = weight / (pages - base)`, with the pages in use as `base`. Both are measured:
//! the base is what is held less what a collection brings on average, the weight is the share of
//! time lost, times the room. A pool whose threads wait while collections bring nothing says only
//! that its base is larger than it holds: then it is asked for in steps that double.

use crate::plan::TARGETS;
use crate::{BEARABLE, Sample, Terms, WHOLE};

/// Fractions of pages that the model counts in.
const FINE: u64 = 256;
/// More pages than any pool is counted as this many.
const MOST_PAGES: u64 = 1 << 32;
/// More time lost, by many threads at once, is counted as this much.
const MOST_SHARE: u64 = 4 * WHOLE;
/// The first step of a pool whose threads wait: one part in this many, and at least so many pages.
const STEP_SHARE: u64 = 8;
const STEP_LEAST: u64 = 4;
/// Periods without a call to the manager before a pool counts as at rest (a second).
const PATIENCE: u32 = 4;
/// The same where rest turned out to be none (about a minute).
const PATIENCE_MOST: u32 = 256;
/// A pool that wants memory so many periods after it was taken at rest was not at rest.
const REGRET: u32 = 4;
/// One that is at rest for so many periods really was.
const DEEP_REST: u32 = 4 * PATIENCE;

/// What is expected of one pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forecast {
    pub component: u32,
    pub now: u64,
    pub terms: Terms,
    /// Pages below which its threads wait.
    pub need: u64,
    /// Threads wait, and collections bring nothing.
    pub starved: bool,
    /// Threads waited, or an allocation that may not wait failed.
    pub short: bool,
    /// Nothing was asked of the manager for a while.
    pub resting: bool,
    /// More than this it would not use.
    pub useful: u64,
    /// The share of the last period that was lost, in millionths.
    pub lost: u64,
    /// Which target's application it belongs to; [`TARGETS`] for none.
    pub group: usize,
    /// The model: pages in use, in 1/256, and the share of time lost per 1/256 of a page of room.
    base: u64,
    weight: u64,
}

impl Forecast {
    /// The share of time that is lost at that size, in millionths; everything where it is too
    /// small to work with.
    pub fn share_at(&self, pages: u64) -> u64 {
        if self.resting {
            return 0;
        }
        if pages < self.need {
            return WHOLE;
        }
        let room = (pages.min(MOST_PAGES) * FINE).saturating_sub(self.base);
        (self.weight / room.max(1)).min(WHOLE)
    }

    /// The size at which that share is lost, within what the image allows.
    pub fn pages_at(&self, share: u64) -> u64 {
        self.pages_with(self.weight / share.max(1))
    }

    /// Its part where pools with this sum of [`Forecast::pull`] lose that share together, with the
    /// least memory for it.
    pub fn pages_among(&self, pulls: u64, share: u64) -> u64 {
        let room = u128::from(self.pull()) * u128::from(pulls) / u128::from(share.max(1));
        self.pages_with(room.min(u128::from(MOST_PAGES * FINE)) as u64)
    }

    fn pages_with(&self, room: u64) -> u64 {
        // To the nearest page: one more or less is what a share is held with.
        let pages = (self.base.saturating_add(room) + FINE / 2) / FINE;
        self.clamp(pages.max(self.need))
    }

    /// The size at which it loses no more than `share`. It stays where it loses about that much
    /// already, so that noise moves nothing.
    pub fn wants(&self, share: u64) -> u64 {
        if self.resting {
            return self.terms.least;
        }
        if self.starved {
            return self.clamp(self.need);
        }
        let now = self.share_at(self.now);
        let modelled = if now >= share / 2 && now <= share + share / 2 {
            self.clamp(self.now)
        } else {
            self.pages_at(share)
        };
        if self.short {
            modelled.max(self.clamp(self.now.saturating_add(first_step(self.now))))
        } else {
            modelled
        }
    }

    /// What it has to keep when others want memory: where it loses less than it bears, it can give
    /// some.
    pub fn keeps(&self, share: u64) -> u64 {
        let now = self.share_at(self.now);
        let close = now >= share - share / 8 && now <= share + share / 2;
        if close || self.resting || self.starved || self.short {
            self.wants(share)
        } else {
            self.pages_at(share)
        }
    }

    /// What it bears well.
    pub fn wants_bearable(&self) -> u64 {
        self.wants(BEARABLE)
    }

    /// How much it gains from room, for splits that make the sum of losses smallest: the sum of
    /// `weight / room` is least where room goes by the root of the weight.
    pub fn pull(&self) -> u64 {
        self.weight.isqrt()
    }

    /// The largest size that it would make anything of.
    pub fn most_useful(&self) -> u64 {
        if self.resting {
            self.terms.least
        } else {
            self.clamp(u64::MAX)
        }
    }

    pub fn clamp(&self, pages: u64) -> u64 {
        pages
            .min(self.terms.most)
            .min(self.useful)
            .max(self.terms.least)
    }
}

fn first_step(pages: u64) -> u64 {
    (pages / STEP_SHARE).max(STEP_LEAST)
}

/// A pool that collects, and yet did not fill what it was allowed, has all the room that its manager
/// makes for it. What it is left with is more than what counts as full, so that it stays so.
fn useful(last: &Sample, now: &Sample, short: bool) -> u64 {
    let works = now.collections > last.collections && now.held > 0;
    let full = now.held.saturating_add((now.held / 64).max(1)) >= now.limit;
    if works && !full && !short && now.held <= last.held {
        now.held.saturating_add((now.held / 32).max(3))
    } else {
        u64::MAX
    }
}

/// One pool's past.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    last: Option<Sample>,
    base: Option<u64>,
    weight: u64,
    /// By how much it grows next while it starves.
    step: u64,
    /// Periods in a row without a call.
    quiet: u32,
    /// Periods since the memory of a pool at rest was taken; `None` when it was not.
    taken: Option<u32>,
    /// How often in a row it was taken too early: each doubles the patience.
    regrets: u32,
}

impl History {
    /// Learns from what a pool shows `now`, `elapsed` ticks after the last time.
    pub fn observe(&mut self, component: u32, terms: Terms, now: Sample, elapsed: u64) -> Forecast {
        let last = self.last.replace(now).unwrap_or(now);
        let since = |f: fn(&Sample) -> u64| f(&now).saturating_sub(f(&last));
        let blocked = since(|s| s.blocked_ticks);
        let collecting = since(|s| s.collecting_ticks);
        let collections = since(|s| s.collections);
        let collected = since(|s| s.collected);
        let short = blocked > 0 || now.blocked > 0;
        let brought_nothing = collected == 0 && (collections > 0 || now.blocked > 0);
        let starved = short && (brought_nothing || blocked > elapsed / 2);
        let lost = blocked.saturating_add(collecting);
        let share = u128::from(lost) * u128::from(WHOLE) / u128::from(elapsed.max(1));
        let share = share.min(u128::from(MOST_SHARE)) as u64;

        let size = if now.held == 0 { now.limit } else { now.held };
        let size = size.min(MOST_PAGES) * FINE;
        if starved {
            let granted = now.limit > last.limit;
            self.step = match self.step {
                0 => first_step(now.limit),
                step if granted => (2 * step).min(now.limit.max(STEP_LEAST)),
                step => step,
            };
            // What it was known to use while it had more, it still does.
            self.base = self.base.max(Some(size));
        } else {
            self.step = 0;
            self.learn(size, share, collections, collected);
        }
        let resting = self.rest(now.calls == last.calls && now.blocked == 0, short);
        let base = self.base.unwrap_or(0);
        let need = if starved && base <= size {
            now.limit.saturating_add(self.step)
        } else {
            base / FINE + 1
        };
        Forecast {
            component,
            now: now.limit,
            terms,
            need: if resting { terms.least } else { need },
            starved: starved && !resting,
            short,
            resting,
            useful: useful(&last, &now, short),
            lost: share,
            group: TARGETS,
            base,
            weight: self.weight,
        }
    }

    fn learn(&mut self, size: u64, share: u64, collections: u64, collected: u64) {
        if let Some(mean) = (collected.min(MOST_PAGES) * FINE).checked_div(collections) {
            // Where several buffers share a look, or are larger than a page, this is a low guess
            // of the room: steps are then shorter and lead to the same place.
            let base = size.saturating_sub(mean);
            self.base = Some(self.base.map_or(base, |old| old.midpoint(base)));
        }
        let Some(base) = self.base else { return };
        let room = size.saturating_sub(base).max(FINE);
        let weight = share * room;
        let far = weight > 2 * self.weight || weight < self.weight / 2;
        let parts = match (self.weight, far) {
            // The first that is heard of it.
            (0, _) => 1,
            (_, true) => 2,
            (_, false) => 4,
        };
        self.weight = self.weight - self.weight / parts + weight / parts;
    }

    /// Whether a pool counts as at rest.
    fn rest(&mut self, quiet: bool, short: bool) -> bool {
        self.quiet = if quiet {
            self.quiet.saturating_add(1)
        } else {
            0
        };
        if let Some(ago) = self.taken {
            if !quiet || short {
                // Woken up: soon after, or as a matter of course.
                self.regrets = match ago {
                    0..=REGRET => (self.regrets + 1).min((PATIENCE_MOST / PATIENCE).ilog2()),
                    DEEP_REST.. => 0,
                    _ => self.regrets,
                };
                self.taken = None;
            } else {
                self.taken = Some(ago.saturating_add(1));
            }
        }
        let resting = self.quiet >= PATIENCE << self.regrets;
        if resting {
            self.taken.get_or_insert(0);
            (self.base, self.weight, self.step) = (None, 0, 0);
        }
        resting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u64 = 1_000_000;
    const TERMS: Terms = Terms {
        least: 10,
        start: 10,
        most: 1000,
        priority: 0,
        fixed: 10,
        reach: 1,
    };

    struct Pool {
        history: History,
        sample: Sample,
    }

    impl Pool {
        fn new(limit: u64) -> Self {
            let sample = Sample {
                limit,
                held: limit,
                ..Sample::default()
            };
            let mut history = History::default();
            history.observe(1, TERMS, sample, PERIOD);
            Self { history, sample }
        }

        fn period(&mut self, change: impl FnOnce(&mut Sample)) -> Forecast {
            change(&mut self.sample);
            self.history.observe(1, TERMS, self.sample, PERIOD)
        }
    }

    /// Collects `times`, each bringing `room`, and loses that share.
    fn works(sample: &mut Sample, times: u64, room: u64, share: u64) {
        sample.calls += times;
        sample.collections += times;
        sample.collected += times * room;
        sample.collecting_ticks += share;
    }

    #[test]
    fn base_and_weight_are_found() {
        let mut pool = Pool::new(120);
        let mut forecast = None;
        for _ in 0..40 {
            forecast = Some(pool.period(|s| works(s, 10, 20, 50_000)));
        }
        let forecast = forecast.unwrap();
        assert_eq!(forecast.need, 101);
        // 5% at a room of 20: 10% at 10, 2% at 50.
        assert_eq!(forecast.pages_at(100_000), 110);
        assert_eq!(forecast.wants_bearable(), 150);
        assert!(forecast.share_at(110).abs_diff(100_000) < 1000);
        assert_eq!(forecast.share_at(100), WHOLE);
    }

    #[test]
    fn a_pool_about_where_it_wants_to_be_stays() {
        let mut pool = Pool::new(120);
        for share in [21_000, 19_000, 27_000, 14_000, 25_000, 20_000] {
            let forecast = pool.period(|s| works(s, 10, 20, share));
            assert!(forecast.share_at(120) < 30_000);
        }
        let forecast = pool.period(|s| works(s, 10, 20, 24_000));
        assert_eq!(forecast.wants_bearable(), 120);
    }

    #[test]
    fn starving_doubles_the_step_as_long_as_it_is_granted() {
        let mut pool = Pool::new(100);
        let mut wants = |limit| {
            let forecast = pool.period(|s| {
                (s.limit, s.held) = (limit, limit);
                s.blocked = 1;
                s.blocked_ticks += PERIOD;
                s.calls += 50;
                s.collections += 50;
            });
            assert!(forecast.starved);
            forecast.wants_bearable()
        };
        assert_eq!(wants(100), 112);
        assert_eq!(wants(112), 112 + 24);
        // Not granted: it asks for no more than before.
        assert_eq!(wants(112), 112 + 24);
        assert_eq!(wants(136), 136 + 48);
        assert_eq!(wants(990), TERMS.most);
    }

    #[test]
    fn an_allocation_that_may_not_wait_and_fails_asks_for_more() {
        let mut pool = Pool::new(100);
        let forecast = pool.period(|s| {
            works(s, 10, 5, 0);
            s.blocked_ticks += 1;
        });
        assert!(!forecast.starved);
        assert_eq!(forecast.wants_bearable(), 112);
    }

    #[test]
    fn what_a_pool_does_not_fill_it_does_not_want() {
        let mut pool = Pool::new(200);
        let mut with_limit = |limit, held| {
            pool.period(|s| {
                works(s, 10, 20, 50_000);
                (s.limit, s.held) = (limit, held);
            })
        };
        assert_eq!(with_limit(300, 200).clamp(1000), 206);
        assert_eq!(with_limit(206, 200).clamp(1000), 206);
        // Full, or still growing: it may use more.
        assert_eq!(with_limit(206, 204).clamp(1000), TERMS.most);
        assert_eq!(with_limit(206, 204).clamp(1000), TERMS.most);
    }

    #[test]
    fn rest_gives_everything_back() {
        let mut pool = Pool::new(150);
        pool.period(|s| works(s, 10, 20, 50_000));
        for _ in 1..PATIENCE {
            assert!(!pool.period(|_| {}).resting);
        }
        let forecast = pool.period(|_| {});
        assert!(forecast.resting);
        assert_eq!(forecast.wants_bearable(), TERMS.least);
    }

    /// What is served from freelists alone makes no calls and looks like one at rest. Taking its
    /// memory is a mistake, and made ever more rarely.
    #[test]
    fn mistakes_about_rest_become_rare() {
        let mut pool = Pool::new(150);
        let mut taken = Vec::new();
        for period in 0..2000 {
            let at_rest = pool.period(|s| s.calls += u64::from(period == 0)).resting;
            if at_rest {
                taken.push(period);
                pool.period(|s| {
                    s.calls += 9;
                    s.blocked_ticks += 10;
                });
            }
        }
        assert!(taken.len() < 15, "{taken:?}");
        let gaps: Vec<_> = taken.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(gaps.is_sorted());
    }

    #[test]
    fn what_really_rests_is_believed_again() {
        let mut pool = Pool::new(150);
        for _ in 0..5 {
            while !pool.period(|_| {}).resting {}
            pool.period(|s| s.calls += 1);
        }
        let quiet = (1..).find(|_| pool.period(|_| {}).resting);
        assert_eq!(quiet, Some(PATIENCE << 5));
        for _ in 0..DEEP_REST {
            pool.period(|_| {});
        }
        pool.period(|s| s.calls += 1);
        let quiet = (1..).find(|_| pool.period(|_| {}).resting);
        assert_eq!(quiet, Some(PATIENCE));
    }
}
