//! The policy by targets: an application gets the memory with which it loses the share of time
//! that was agreed, no more while others want it, and what nobody wants on top.
//!
//! An application is those components with a pool that its component's threads reach; their
//! losses add up. The size for a target is read off the model, and the model is measured anew four
//! times a second, so an error of the model is corrected by what it causes.

use crate::plan::TARGETS;
use crate::{BEARABLE, Forecast, Plan, WHOLE, allocate, limited};

/// Those without a target may take memory while they lose more than this: 0.5%.
const OTHERS_BEAR: u64 = WHOLE / 200;
/// A share is on target while it is this part of the target away from it.
const CLOSE: u64 = 10;

/// What is kept of each application, in the order of the targets.
pub type Dues = [Due; TARGETS];

/// What an application was due in all, which stays while it serves, and by how much more than its
/// target it may lose next, because it lost less so far. Sizes are whole pages, and one page can be
/// the difference between twice the target and half of it: this way the mean is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Due {
    held: u64,
    credit: i64,
    /// Whether it lost too much when it was last off its target, and how often that turned round
    /// since the target binds.
    above: bool,
    turns: u32,
    /// It had what it was due in the last period, no more and no less.
    binds: bool,
}

impl Due {
    /// Counts a period in which it had what it was due, and answers the share that it may lose.
    fn settle(&mut self, now: u64, lost: u64, target: u64) -> u64 {
        self.binds = self.held == now;
        let most = target as i64 * CREDIT;
        if self.binds {
            let less = target as i64 - lost.min(target * MOST_LOST) as i64;
            // What is close enough stays as it is.
            if less.unsigned_abs() > ENOUGH.max(target / 8) {
                self.credit = (self.credit + less).clamp(-most, most);
                self.turns += u32::from(self.above != (less < 0));
                self.above = less < 0;
            }
        } else {
            // It has more than that, or cannot have it: nothing to learn.
            self.credit -= self.credit / PATIENCE;
            self.turns = 0;
        }
        // The more often it turns round, the less is settled: who goes to and fro between two sizes
        // comes to rest at one of them.
        let settled = (self.credit / PATIENCE) >> (self.turns / FREE_TURNS).min(HALVES);
        let corrected = target as i64 + settled;
        (corrected as u64).clamp(target / 2, target * 2)
    }

    /// Notes what it is due from now on.
    fn note(&mut self, held: u64, rests: bool) {
        if rests {
            self.turns = 0;
        }
        self.held = held;
    }
}

/// So many periods of the target can be owed, one part in so many of which is settled in the next.
const CREDIT: i64 = 8;
const PATIENCE: i64 = 8;
/// So many turns halve what is settled, because the first ones look for the right size...
const FREE_TURNS: u32 = 4;
/// ... and after so many halves nothing is.
const HALVES: u32 = 40;
/// A share so close to its target is right: a point.
const ENOUGH: u64 = WHOLE / 100;
/// A period in which more was lost than so many times the target counts as that.
const MOST_LOST: u64 = 4;

/// Splits `budget` pages. `forecasts` come in the order of their groups.
pub fn split(plan: &Plan, dues: &mut Dues, forecasts: &[Forecast], budget: u64, sizes: &mut [u64]) {
    let others = forecasts.partition_point(|f| f.group < TARGETS);
    let mut left = budget;
    for (size, forecast) in sizes.iter_mut().zip(forecasts) {
        *size = forecast.terms.least;
        left = left.saturating_sub(*size);
    }
    let bound = &forecasts[..others];
    let mut start = 0;
    for (group, target) in plan.targets.iter().enumerate() {
        let end = bound.partition_point(|f| f.group <= group);
        if let Some(target) = target {
            // What it is due counts from the least sizes; those have been given.
            due(
                &bound[start..end],
                target.share,
                &mut dues[group],
                &mut sizes[start..end],
            );
        }
        start = end;
    }
    left = cut(bound, left, &mut sizes[..others]);

    let rest = &forecasts[others..];
    let least = rest
        .iter()
        .map(|f| f.terms.least)
        .fold(0, u64::saturating_add);
    limited::split(
        rest,
        left.saturating_add(least),
        OTHERS_BEAR,
        &mut sizes[others..],
    );
    let taken = total(&sizes[others..]).saturating_sub(least);
    left = left.saturating_sub(taken);

    // What others have but do not want any more, then what nobody has.
    let more = |i: usize| forecasts[i].wants_bearable();
    let missing = (0..others).map(|i| more(i).saturating_sub(sizes[i]));
    let missing = missing.fold(0, u64::saturating_add);
    left += limited::trim(
        rest,
        OTHERS_BEAR,
        missing.saturating_sub(left),
        &mut sizes[others..],
    );
    let missing = (0..others).map(|i| more(i).saturating_sub(sizes[i]));
    let missing = missing.fold(0, u64::saturating_add);
    if missing > left {
        allocate::max_min(&mut sizes[..others], more, left);
    } else {
        // Enough for all that they want: where it helps most.
        let budget = left.saturating_add(total(&sizes[..others]));
        limited::split(bound, budget, BEARABLE, &mut sizes[..others]);
    }
}

/// The sizes with which an application loses the share `target`.
fn due(pools: &[Forecast], target: u64, due: &mut Due, sizes: &mut [u64]) {
    let sum = |f: fn(&Forecast) -> u64| pools.iter().map(f).fold(0, u64::saturating_add);
    let now = sum(|f| f.now);
    let target = due.settle(now, sum(|f| f.lost), target);
    let share: u64 = pools.iter().map(|f| f.share_at(f.now)).sum();
    let on_target = due.held == now && share.abs_diff(target) <= target / CLOSE;
    let pulls = pools
        .iter()
        .map(Forecast::pull)
        .fold(0, u64::saturating_add);
    for (size, forecast) in sizes.iter_mut().zip(pools) {
        *size = if forecast.resting {
            forecast.terms.least
        } else if forecast.starved {
            forecast.clamp(forecast.need)
        } else if on_target {
            forecast.clamp(forecast.now)
        } else {
            forecast.pages_among(pulls, target)
        };
    }
    due.note(total(sizes), pools.iter().all(|f| f.resting));
}

/// Where all dues are more than there is, what is modest is met first.
fn cut(bound: &[Forecast], left: u64, sizes: &mut [u64]) -> u64 {
    let least = bound
        .iter()
        .map(|f| f.terms.least)
        .fold(0, u64::saturating_add);
    let wanted = total(sizes).saturating_sub(least);
    if wanted <= left {
        return left - wanted;
    }
    let mut dues = [0; 64];
    for ((due, size), forecast) in dues.iter_mut().zip(&mut *sizes).zip(bound) {
        (*due, *size) = (*size, forecast.terms.least);
    }
    allocate::max_min(sizes, |i| dues.get(i).copied().unwrap_or(0), left)
}

fn total(sizes: &[u64]) -> u64 {
    sizes.iter().copied().fold(0, u64::saturating_add)
}
