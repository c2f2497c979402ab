//! Which thread runs, as a small number: shelves belong to threads. In a component the stack
//! pointer tells, on a host with `std` a thread-local word; elsewhere nobody knows, and every
//! thread goes without shelves.

/// Numbers are below this; what is not has no shelves.
#[cfg(not(any(loom, miri)))]
pub const THREADS: usize = abi::ThreadId::MAX;
/// Few enough for those that walk through all shelves step by step.
#[cfg(any(loom, miri))]
pub const THREADS: usize = 2;

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

/// The running thread: the lowest number that is free when it first asks, until it ends. What it
/// leaves on its shelves is the next one's.
#[cfg(all(not(cistern), feature = "std", not(loom)))]
#[inline]
pub fn current() -> usize {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicU64, Ordering};
    const _: () = assert!(THREADS <= u64::BITS as usize);
    /// Numbers that running threads have, as a bit set.
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    /// Gives a number back when its thread ends.
    struct Number(Cell<usize>);
    impl Drop for Number {
        fn drop(&mut self) {
            NUMBER.set(THREADS);
            if let Some(bit) = 1u64.checked_shl(self.0.get() as u32) {
                // Release: pairs with the acquire below, for the shelves that go with it.
                TAKEN.fetch_and(!bit, Ordering::Release);
            }
        }
    }
    std::thread_local! {
        // Without a destructor, so that asking is one load.
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
        static GUARD: Number = const { Number(Cell::new(THREADS)) };
    }
    #[cold]
    fn number() -> usize {
        let take = |taken: u64| {
            let free = (!taken).trailing_zeros() as usize;
            (free < THREADS).then(|| taken | 1 << free)
        };
        let taken = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, take);
        let number = taken.map_or(THREADS, |taken| (!taken).trailing_zeros() as usize);
        GUARD.with(|guard| guard.0.set(number));
        NUMBER.set(number);
        number
    }
    match NUMBER.get() {
        usize::MAX => number(),
        known => known,
    }
}

#[cfg(loom)]
loom::thread_local! {
    static NUMBER: core::cell::Cell<usize> = core::cell::Cell::new(usize::MAX);
}

/// Gives the running thread shelves, which a model's thread has not.
#[cfg(loom)]
pub fn enter(number: usize) {
    NUMBER.with(|place| place.set(number));
}

#[cfg(loom)]
pub fn current() -> usize {
    NUMBER.with(core::cell::Cell::get)
}

#[cfg(all(not(cistern), not(feature = "std"), not(loom)))]
#[inline]
pub fn current() -> usize {
    usize::MAX
}
