//! What a description may grant besides invocations, a heap and a pool.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// A right of a component.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Right {
    /// The console capability.
    Console,
    /// May learn physical addresses of buffers it has mapped.
    Dma,
    /// The core's Kernel capability.
    Kernel,
    /// All memory that `init` does not use itself.
    Ram,
    /// Its own L1CNode, with room for slots.
    CSpace,
    /// The CBUF region of every component that has a pool.
    CbufClients,
    /// The I/O ports of the wall clock.
    Clock,
    /// Every thread, and interrupts off while it runs: the scheduler.
    Threads,
    /// Who is in the image, and how often each component was invoked by whom, to read.
    Observe,
}

impl Right {
    pub const ALL: [Right; 9] = [
        Right::Console,
        Right::Dma,
        Right::Kernel,
        Right::Ram,
        Right::CSpace,
        Right::CbufClients,
        Right::Clock,
        Right::Threads,
        Right::Observe,
    ];

    /// The word that descriptions use.
    pub const fn word(self) -> &'static str {
        match self {
            Right::Console => "console",
            Right::Dma => "dma",
            Right::Kernel => "kernel",
            Right::Ram => "ram",
            Right::CSpace => "cspace",
            Right::CbufClients => "cbuf-clients",
            Right::Clock => "clock",
            Right::Threads => "threads",
            Right::Observe => "observe",
        }
    }

    pub fn from_word(word: &str) -> Option<Right> {
        Self::ALL.into_iter().find(|r| r.word() == word)
    }

    /// All words, for an error message.
    pub fn words() -> String {
        Self::ALL.map(Right::word).join(", ")
    }
}
