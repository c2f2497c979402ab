//! The policy for a limit: the sum of what all lose is made as small as the limit allows.
//!
//! First everyone gets what its threads need to run at all, the modest before the greedy; what
//! is left goes in proportion to the root of each pool's weight, which makes the sum of
//! `weight / room` smallest. A split is changed only for a gain that the model finds worth it, so
//! that noise in the figures moves no memory.

use crate::{Forecast, WHOLE, allocate};

/// A new split must save this part of what is lost, and at least so much of the time.
const WORTH_PART: u64 = 10;
const WORTH_SHARE: u64 = WHOLE / 500;

/// Splits `budget` pages, of which the least sizes are given in any case. `bearable`: the share
/// at which a pool wants no more. Answers the pages that nobody wants.
pub fn split(forecasts: &[Forecast], budget: u64, bearable: u64, sizes: &mut [u64]) -> u64 {
    let left = fresh(forecasts, budget, bearable, sizes);
    let now = |f: &Forecast| {
        if f.resting {
            f.terms.least
        } else {
            f.clamp(f.now)
        }
    };
    let stays: u64 = forecasts.iter().map(now).fold(0, u64::saturating_add);
    if stays > budget {
        return left;
    }
    let lazy = |f: &Forecast, size: u64| now(f).max(size);
    let grown = forecasts.iter().zip(&*sizes).map(|(f, s)| lazy(f, *s));
    let grown = grown.fold(0, u64::saturating_add);
    if grown <= budget {
        // Room for all growth: nothing needs to be taken from anybody who works.
        for (size, forecast) in sizes.iter_mut().zip(forecasts) {
            *size = lazy(forecast, *size);
        }
        return budget - grown;
    }
    let helped = forecasts
        .iter()
        .zip(&*sizes)
        .any(|(f, s)| f.starved && *s > f.now);
    if !helped && !worth(forecasts, now, sizes) {
        for (size, forecast) in sizes.iter_mut().zip(forecasts) {
            *size = now(forecast);
        }
        return budget - stays;
    }
    left
}

/// The split that the model finds best.
fn fresh(forecasts: &[Forecast], budget: u64, bearable: u64, sizes: &mut [u64]) -> u64 {
    let mut left = budget;
    for (size, forecast) in sizes.iter_mut().zip(forecasts) {
        *size = forecast.terms.least;
        left = left.saturating_sub(*size);
    }
    left = allocate::max_min(sizes, |i| forecasts[i].clamp(forecasts[i].need), left);
    left = allocate::weighted(
        sizes,
        |i| forecasts[i].wants(bearable),
        |i| forecasts[i].pull().max(1),
        left,
    );
    // What nobody wants is there for whoever still gains.
    allocate::weighted(
        sizes,
        |i| forecasts[i].most_useful(),
        |i| forecasts[i].pull(),
        left,
    )
}

fn worth(forecasts: &[Forecast], now: impl Fn(&Forecast) -> u64, sizes: &[u64]) -> bool {
    let stay: u64 = forecasts.iter().map(|f| f.share_at(now(f))).sum();
    let change = forecasts.iter().zip(sizes).map(|(f, s)| f.share_at(*s));
    let saved = stay.saturating_sub(change.sum());
    saved >= WORTH_SHARE && saved >= stay / WORTH_PART
}

/// Takes up to `missing` pages from what pools have beyond what they want. Answers how many.
pub fn trim(forecasts: &[Forecast], bearable: u64, missing: u64, sizes: &mut [u64]) -> u64 {
    let mut left = missing;
    for (size, forecast) in sizes.iter_mut().zip(forecasts) {
        let surplus = size.saturating_sub(forecast.keeps(bearable)).min(left);
        *size -= surplus;
        left -= surplus;
    }
    missing - left
}
