//! The policy by targets: an application gets the memory with which it loses the share of time
//! that was agreed, no more while others want it, and what nobody wants on top.
//!
//! An application is those components with a pool that its component's threads reach; their
//! losses add up. The size for a target is read off the model, and the model is measured anew four
//! times a second, so an error of the model is corrected by what it causes.

use crate::plan::TARGETS;
use crate::{Forecast, Plan, WHOLE, allocate, limited};

/// Those without a target may take memory while they lose more than this: 0.5%.
const OTHERS_BEAR: u64 = WHOLE / 200;
/// A share is on target while it is this part of the target away from it.
const CLOSE: u64 = 10;

/// What each application was due in all, in the order of the targets: it stays while it serves.
pub type Dues = [u64; TARGETS];

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
    allocate::max_min(&mut sizes[..others], more, left);
}

/// The sizes with which an application loses the share `target`.
fn due(pools: &[Forecast], target: u64, held: &mut u64, sizes: &mut [u64]) {
    let now = pools.iter().map(|f| f.now).fold(0, u64::saturating_add);
    let share: u64 = pools.iter().map(|f| f.share_at(f.now)).sum();
    let on_target = *held == now && share.abs_diff(target) <= target / CLOSE;
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
    *held = total(sizes);
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
