//! The policy by priority: pools of the highest get what they want, then those of the next, and
//! so on. Everyone has its least size; what the higher do not want reaches the lower within a
//! period, so nobody starves once memory is free.

use crate::{BEARABLE, Forecast, limited};

/// Splits `budget` pages. `forecasts` come with the highest priority first.
pub fn split(forecasts: &[Forecast], budget: u64, sizes: &mut [u64]) {
    let least = |f: &[Forecast]| f.iter().map(|f| f.terms.least).fold(0, u64::saturating_add);
    let mut left = budget;
    let mut start = 0;
    while let Some(first) = forecasts.get(start) {
        let same = |f: &&Forecast| f.terms.priority == first.terms.priority;
        let end = start + forecasts[start..].iter().take_while(same).count();
        let share = left.saturating_sub(least(&forecasts[end..]));
        let class = &mut sizes[start..end];
        limited::split(&forecasts[start..end], share, BEARABLE, class);
        // What a class has but does not want goes where someone below wants it.
        let spare = share.saturating_sub(total(class));
        let wanted = |f: &Forecast| f.wants_bearable().saturating_sub(f.terms.least);
        let wanted = forecasts[end..]
            .iter()
            .map(wanted)
            .fold(0, u64::saturating_add);
        limited::trim(
            &forecasts[start..end],
            BEARABLE,
            wanted.saturating_sub(spare),
            class,
        );
        left = left.saturating_sub(total(class));
        start = end;
    }
}

fn total(sizes: &[u64]) -> u64 {
    sizes.iter().copied().fold(0, u64::saturating_add)
}
