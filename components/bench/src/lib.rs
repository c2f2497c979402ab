//! What the benchmark components share, and how single measurements become a figure.
//!
//! Guarantees: nothing here panics or allocates.
//! Trusts: what `init` grants, in [`stock`]; the rest has no input but numbers.
//! Never does: measure. `main.rs` measures the kernel, `callee.rs` and `bare.rs` are invoked by it;
//! `memory/` measures what memory costs, `caps/` capability operations in a large database.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "component")]
pub mod stock;

/// What the callee does, as method numbers.
pub mod method {
    /// Answers its arguments.
    pub const ECHO: u64 = 0;
    /// Faults; its handler gives up.
    pub const GIVE_UP: u64 = 1;
    /// Faults; its handler faults, too.
    pub const FAULT_AGAIN: u64 = 2;
    /// Faults; its handler has it go on behind the instruction.
    pub const SKIP: u64 = 3;
    /// Faults as `GIVE_UP`, with its stack pointer lost.
    pub const LOSE_STACK: u64 = 4;
}

/// Times that each figure is measured.
pub const RUNS: usize = 31;

/// The median: what a run costs that neither fills a cache first nor is interrupted.
pub fn median(mut runs: [u64; RUNS]) -> u64 {
    runs.sort_unstable();
    runs[RUNS / 2]
}

/// Batches that a figure about memory is measured in.
pub const BATCHES: usize = 5;

/// The one in the middle, of an odd number.
pub fn middle<const COUNT: usize>(mut values: [u64; COUNT]) -> u64 {
    const { assert!(COUNT % 2 == 1) };
    values.sort_unstable();
    values[COUNT / 2]
}

/// Pseudo-random numbers (xorshift), the same in every run.
pub struct Random(u32);

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl Random {
    pub const fn new() -> Self {
        Self(12345)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        u64::from(self.0) % end.max(1)
    }

    /// Puts things in another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            things.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_batch() {
        assert_eq!(middle([9, 1, 8, 2, 7]), 7);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut things: [u64; 100] = core::array::from_fn(|n| n as u64);
        let sorted = things;
        Random::new().shuffle(&mut things);
        assert_ne!(things, sorted);
        things.sort_unstable();
        assert_eq!(things, sorted);
        let mut random = Random::new();
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[random.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
    }

    #[test]
    fn a_few_slow_runs_do_not_count() {
        let mut runs = [7; RUNS];
        runs[0] = 5000;
        runs[9] = 1;
        assert_eq!(median(runs), 7);
    }
}
