//! The atomics that everything here is built from: the machine's, or those of the model checker
//! under `cfg(loom)`, so that the code which ships is the code which is checked.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
