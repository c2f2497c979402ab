//! How long requests took: a histogram with fixed bounds, cheap enough for every request.

/// Upper bounds, in microseconds; one more bucket is for all that took longer.
pub const BOUNDS_US: [u64; 15] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000,
    2_500_000,
];
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Durations in ticks of some clock, counted. The owner alone writes it: no locked instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Histogram {
    ticks_per_second: u64,
    /// [`BOUNDS_US`] in ticks.
    bounds: [u64; BOUNDS_US.len()],
    /// By bucket, not summed up.
    counts: [u64; BUCKETS],
    sum: u64,
}

impl Histogram {
    pub fn new(ticks_per_second: u64) -> Self {
        let bound = |us: u64| u128::from(us) * u128::from(ticks_per_second) / 1_000_000;
        Self {
            ticks_per_second: ticks_per_second.max(1),
            bounds: BOUNDS_US.map(|us| u64::try_from(bound(us)).unwrap_or(u64::MAX)),
            counts: [0; BUCKETS],
            sum: 0,
        }
    }

    /// Counts one. Most end within the first few bounds.
    #[inline]
    pub fn note(&mut self, ticks: u64) {
        let place = self.bounds.iter().position(|bound| ticks <= *bound);
        self.counts[place.unwrap_or(BOUNDS_US.len())] += 1;
        self.sum = self.sum.wrapping_add(ticks);
    }

    pub fn counts(&self) -> &[u64; BUCKETS] {
        &self.counts
    }

    /// All durations together, in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        let ns = u128::from(self.sum) * 1_000_000_000 / u128::from(self.ticks_per_second);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::new(3_000_000);
        for us in BOUNDS_US {
            histogram.note(3 * us);
            histogram.note(3 * us + 1);
        }
        let mut expected = [2; BUCKETS];
        (expected[0], expected[BUCKETS - 1]) = (1, 1);
        assert_eq!(histogram.counts(), &expected);
        let ticks: u64 = BOUNDS_US.iter().map(|us| 6 * us + 1).sum();
        assert_eq!(histogram.sum_ns(), ticks * 1000 / 3);
    }

    proptest! {
        #[test]
        fn everything_is_counted_once(hz in 0u64.., all in proptest::collection::vec(0u64.., 0..50)) {
            let mut histogram = Histogram::new(hz);
            all.iter().for_each(|ticks| histogram.note(*ticks));
            prop_assert_eq!(histogram.counts().iter().sum::<u64>(), all.len() as u64);
            let _ = histogram.sum_ns();
        }
    }
}
