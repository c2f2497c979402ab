//! What the benchmark components share, and how single measurements become a figure.
//!
//! Guarantees: nothing here can fail or allocate.
//! Trusts: nothing; there is no input but numbers.
//! Never does: name the runtime. `main.rs` measures, `callee.rs` and `bare.rs` are invoked by it.

#![no_std]
#![forbid(unsafe_code)]

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_slow_runs_do_not_count() {
        let mut runs = [7; RUNS];
        runs[0] = 5000;
        runs[9] = 1;
        assert_eq!(median(runs), 7);
    }
}
