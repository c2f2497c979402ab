//! The policy for enough memory: every pool gets what it is predicted to want, as long as there
//! is any. Nothing is taken from a pool that works.

use crate::{Forecast, allocate};

/// Raises each to what it wants, with at most `budget` pages in all; pools at rest give theirs
/// back.
pub fn split(forecasts: &[Forecast], budget: u64, sizes: &mut [u64]) {
    let mut left = budget;
    for (size, forecast) in sizes.iter_mut().zip(forecasts) {
        *size = forecast.terms.least;
        left = left.saturating_sub(*size);
    }
    let keeps = |i: usize| match forecasts[i] {
        f if f.resting => f.terms.least,
        f => f.now,
    };
    left = allocate::max_min(sizes, keeps, left);
    let wants = |i: usize| forecasts[i].wants_bearable();
    allocate::weighted(
        sizes,
        wants,
        |i| wants(i).saturating_sub(forecasts[i].now),
        left,
    );
}
