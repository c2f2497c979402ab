//! The threads that test the scheduler, by the argument that their description gives them.
//!
//! Guarantees: nothing here can fail or allocate.
//! Trusts: nothing; there is no input but numbers.
//! Never does: name the runtime. What the threads do is `main.rs`.

#![no_std]
#![forbid(unsafe_code)]

/// A thread's part. The image gives the tester the highest priority, the middle one a lower one,
/// and both equals the lowest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Tester,
    Middle,
    Equal(usize),
}

impl Part {
    pub fn from_argument(argument: u64) -> Part {
        match argument {
            0 => Part::Tester,
            1 => Part::Middle,
            other => Part::Equal((other % 2) as usize),
        }
    }
}

/// Have two counters grown alike: neither more than `factor` times the other?
pub fn alike(a: u64, b: u64, factor: u64) -> bool {
    a > 0 && b > 0 && a / factor <= b && b / factor <= a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(Part::from_argument(0), Part::Tester);
        assert_eq!(Part::from_argument(2), Part::Equal(0));
        assert_eq!(Part::from_argument(3), Part::Equal(1));
    }

    #[test]
    fn alike_is_symmetric_and_wants_both() {
        assert!(alike(10, 30, 3) && alike(30, 10, 3));
        assert!(!alike(0, 1, 3) && !alike(40, 10, 3) && !alike(0, 0, 3));
    }
}
