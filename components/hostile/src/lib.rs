//! What hostile components do, shared by those who do it and those who watch.
//!
//! Guarantees: every deed has a name, a number and what must come of it.
//! Trusts: nothing; there is no input but numbers and words.
//! Never does: anything hostile itself; `main.rs` does, `tester.rs` watches.

#![no_std]
#![forbid(unsafe_code)]

pub mod tally;

/// What must come of a deed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The component dies, its invoker gets the error `Dead`.
    Dies,
    /// Every attempt is refused with an error and the component lives on.
    Refused,
    /// A component of a chain finds the invocation stack full, waits nevertheless, and dies of a
    /// fault; the others live on.
    TooDeep,
}

macro_rules! deeds {
    ($($name:ident $word:literal $outcome:ident,)*) => {
        /// One thing that a component must not do.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Deed { $($name,)* }

        impl Deed {
            pub const ALL: &[Deed] = &[$(Deed::$name,)*];

            /// The word that image descriptions use, which is also the test's name.
            pub const fn word(self) -> &'static str {
                match self { $(Deed::$name => $word,)* }
            }
            pub const fn outcome(self) -> Outcome {
                match self { $(Deed::$name => Outcome::$outcome,)* }
            }
        }
    };
}

deeds! {
    WriteBuffer "write-received-buffer" Dies,
    WriteFarBuffer "write-unsent-buffer" Dies,
    WriteSealed "write-sealed-buffer" Dies,
    ReadKernel "read-kernel-memory" Dies,
    WriteKernel "write-kernel-memory" Dies,
    ReadNull "read-null" Dies,
    WriteInfo "write-start-information" Dies,
    WriteText "write-text" Dies,
    WriteConstant "write-constant" Dies,
    JumpNowhere "jump-to-a-bad-address" Dies,
    JumpKernel "jump-into-the-kernel" Dies,
    ExecuteData "execute-data" Dies,
    ExecuteStack "execute-stack" Dies,
    ExecuteHeap "execute-heap" Dies,
    OverflowStack "overflow-stack" Dies,
    BadStack "lose-the-stack-pointer" Dies,
    Divide "divide-by-zero" Dies,
    Panic "panic" Dies,
    Privileged "privileged-instruction" Dies,
    Port "touch-a-port" Dies,
    Breakpoint "raise-an-interrupt" Dies,
    ThreadFaults "fault-in-its-own-thread" Dies,
    Strand "die-with-another-thread-inside" Dies,
    Remains "die-with-registers-full" Dies,
    CorruptFrames "corrupt-its-frames" Dies,
    Segment "load-a-local-segment" Dies,
    ForgeTrace "tell-a-trace-and-live" Refused,
    NoCapability "use-no-capability" Refused,
    MapWithout "map-without-a-capability" Refused,
    Escalate "widen-its-rights" Refused,
    TakeBack "take-back-what-others-have" Refused,
    FuzzKernel "random-system-calls" Refused,
    FuzzManager "random-manager-calls" Refused,
    Corrupt "corrupt-shared-metadata" Refused,
    Relay "invoke-too-deep" TooDeep,
}

impl Deed {
    /// Does it take a buffer of its invoker's, and so a pool of its own?
    pub fn takes_buffer(self) -> bool {
        use Deed::{Corrupt, FuzzManager, WriteBuffer, WriteFarBuffer};
        matches!(self, Corrupt | FuzzManager | WriteBuffer | WriteFarBuffer)
    }
    pub fn number(self) -> u32 {
        self as u32
    }
    pub fn from_number(number: u32) -> Option<Deed> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
    pub fn from_word(word: &str) -> Option<Deed> {
        Self::ALL.iter().copied().find(|d| d.word() == word)
    }
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit.max(1)
    }

    /// A number of the kind that finds mistakes: small, a border, a power of two, or anything.
    pub fn nasty(&mut self) -> u64 {
        let word = self.word();
        match self.below(6) {
            0 => word % 8,
            1 => word % 300,
            2 => 1 << (word % 64),
            3 => (1u64 << (word % 64)).wrapping_sub(1 + word % 2),
            4 => (word % 64) * 4096,
            _ => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_lead_back() {
        for deed in Deed::ALL {
            assert_eq!(Deed::from_word(deed.word()), Some(*deed));
            assert_eq!(Deed::from_number(deed.number()), Some(*deed));
        }
        assert_eq!(Deed::from_number(Deed::ALL.len() as u32), None);
        assert_eq!(Deed::from_word(""), None);
    }

    #[test]
    fn random_numbers_repeat_and_differ() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        let first = a.word();
        assert_eq!(first, b.word());
        assert_ne!(a.nasty(), first);
        assert!((0..1000).all(|_| a.below(10) < 10));
    }
}
