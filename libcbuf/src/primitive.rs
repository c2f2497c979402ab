//! The atomics that everything here is built from: the machine's, or those of the model checker
//! under `cfg(loom)`, so that the code which ships is the code which is checked.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The cheap half of an asymmetric barrier: keeps what comes before and after it in order for
/// whoever makes every processor pass a barrier in between. No instruction. The model checker
/// knows no such pair, so there both halves are fences.
#[inline]
pub fn light_barrier() {
    #[cfg(not(loom))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}
