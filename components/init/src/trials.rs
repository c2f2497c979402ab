//! When a component that died is started anew: at once the first time, and after pauses that
//! double where that does not help. One that does not get through its START is given up.

/// Failures of START in a row after which a component stays dead: the first and eight restarts.
pub const TRIES: u32 = 9;
/// A component that ran for so long is sound again: its next death counts as the first.
pub const STEADY_MS: u64 = 100;
/// The longest pause is 2^10 ms.
const DOUBLINGS: u32 = 10;

/// What is remembered of a component's deaths.
#[derive(Clone, Copy, Default, Debug)]
pub struct Trials {
    /// Failures of START since one succeeded.
    failures: u32,
    /// Deaths in a row, each soon after a START.
    relapses: u32,
}

impl Trials {
    /// START did not succeed. Answers the pause before the next in milliseconds, `None` after
    /// the last.
    pub fn failed(&mut self) -> Option<u64> {
        self.failures += 1;
        (self.failures < TRIES).then_some(1 << (self.failures - 1))
    }

    /// START succeeded.
    pub fn started(&mut self) {
        self.failures = 0;
    }

    /// It died by its own fault, so many milliseconds after its START. Answers the pause.
    pub fn died(&mut self, lived_ms: u64) -> u64 {
        if lived_ms >= STEADY_MS {
            self.relapses = 0;
        }
        let pause = 1 << self.relapses;
        self.relapses = (self.relapses + 1).min(DOUBLINGS);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn one_that_never_starts_is_given_up() {
        let mut trials = Trials::default();
        let pauses: Vec<_> = core::iter::from_fn(|| trials.failed()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128]);
    }

    #[test]
    fn a_start_that_succeeds_begins_the_count_anew() {
        let mut trials = Trials::default();
        for _ in 0..100 {
            for _ in 1..TRIES {
                assert!(trials.failed().is_some());
            }
            trials.started();
        }
    }

    #[test]
    fn pauses_grow_to_a_second_and_end_with_a_steady_life() {
        let mut trials = Trials::default();
        let pauses: Vec<_> = (0..13).map(|_| trials.died(STEADY_MS - 1)).collect();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024];
        assert_eq!(pauses, expected);
        assert_eq!(trials.died(STEADY_MS), 1);
        assert_eq!(trials.died(0), 2);
    }
}
