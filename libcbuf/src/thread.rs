//! Which thread runs, as a small number: shelves belong to threads. In a component the stack
//! pointer tells, on a host with `std` a thread-local word; elsewhere nobody knows, and every
//! thread goes without shelves.

/// Numbers are below this; what is not has no shelves.
#[cfg(not(loom))]
pub const THREADS: usize = abi::ThreadId::MAX;
/// The model checker knows no threads by number; shelves are checked one by one.
#[cfg(loom)]
pub const THREADS: usize = 0;

/// The running thread. Costs four instructions in a component.
#[cfg(cistern)]
#[inline]
pub fn current() -> usize {
    use abi::layout::{STACK_STRIDE, STACKS};
    let rsp: usize;
    // SAFETY: reads a register, touches no memory.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) rsp, options(pure, nomem, nostack, preserves_flags));
    }
    // Modulo, because the supervisor takes faults on a second row of stacks.
    const { assert!(STACKS.is_multiple_of(STACK_STRIDE * THREADS)) };
    rsp / STACK_STRIDE % THREADS
}

/// The running thread: numbered as threads first ask, never again the same.
#[cfg(all(not(cistern), feature = "std", not(loom)))]
#[inline]
pub fn current() -> usize {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    std::thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    #[cold]
    fn number() -> usize {
        // Relaxed: only the numbers must differ.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(number);
        number
    }
    match NUMBER.get() {
        usize::MAX => number(),
        known => known,
    }
}

#[cfg(all(not(cistern), any(not(feature = "std"), loom)))]
#[inline]
pub fn current() -> usize {
    usize::MAX
}
