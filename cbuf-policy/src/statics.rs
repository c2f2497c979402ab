//! No policy: every pool has the size that was said. What the others are compared with.

use crate::{Forecast, allocate};

/// Raises each to its size, the modest first where `budget` is less than their sum.
pub fn split(forecasts: &[Forecast], budget: u64, sizes: &mut [u64]) {
    let mut left = budget;
    for (size, forecast) in sizes.iter_mut().zip(forecasts) {
        *size = forecast.terms.least;
        left = left.saturating_sub(*size);
    }
    let said = |i: usize| forecasts[i].terms.fixed.min(forecasts[i].terms.most);
    allocate::max_min(sizes, said, left);
}
