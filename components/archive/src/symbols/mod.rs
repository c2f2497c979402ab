//! Names of functions, for backtraces: one blob of the archive for all programs.
//!
//! Names share most of their words (`core`, `fmt`, a crate's name), so the blob has one table of
//! words, the most frequent first, and a name is a list of indices into it. A program's functions
//! ascend, each at a distance from the one before. All numbers are little-endian groups of seven
//! bits, the last with its upper bit clear.
//!
//! ```text
//! count, words:    length (one byte), text
//! count, programs: length (one byte), name, bytes of its functions, functions
//!   function:      distance, number of words (one byte), words
//!   the last has no words: it is where the text ends
//! ```
//!
//! Reading a damaged table answers nothing or nonsense, and never panics.

mod read;
#[cfg(feature = "std")]
mod write;

pub use read::{Name, Program, Symbols};
#[cfg(feature = "std")]
pub use write::{Source, encode};

/// The archive's entry with the names.
pub const ENTRY: &str = "symbols";
