//! Locks between the threads of a component. Nobody spins: a waiter blocks in the scheduler and
//! names the owner, which runs meanwhile at no lower a priority than the waiter's.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering};

use abi::ThreadId;

use crate::{sched, thread_id, time};

/// A set of thread numbers, one bit each ([`ThreadId::MAX`] is 64).
struct Waiters(AtomicU64);

impl Waiters {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    fn bit(thread: ThreadId) -> u64 {
        1 << (usize::from(thread.0) % ThreadId::MAX)
    }
    /// SeqCst: comes before the re-check of what is waited for, in the one order that the other
    /// side's change and [`Waiters::wake_all`] share; one of the two sees the other.
    fn enter(&self, thread: ThreadId) {
        self.0.fetch_or(Self::bit(thread), Ordering::SeqCst);
    }
    fn leave(&self, thread: ThreadId) {
        // Relaxed: a wake-up too many is harmless.
        self.0.fetch_and(!Self::bit(thread), Ordering::Relaxed);
    }
    #[inline]
    fn wake_all(&self) {
        // SeqCst: see `enter`.
        let set = self.0.load(Ordering::SeqCst);
        if set != 0 {
            Self::wake(set);
        }
    }
    #[cold]
    fn wake(mut set: u64) {
        while set != 0 {
            let thread = ThreadId(set.trailing_zeros() as u16);
            set &= set - 1;
            // A thread that is gone needs no waking.
            let _ = sched::wake(thread);
        }
    }
}

const FREE: u64 = u64::MAX;

/// A blocking lock with priority inheritance. Locking and unlocking without contention cost one
/// atomic operation each and call nobody. A contended lock needs the import `sched`.
pub struct Mutex<T: ?Sized> {
    /// Number of the owner, or [`FREE`].
    owner: AtomicU64,
    waiters: Waiters,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves between threads only under the lock.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: the lock admits one thread at a time.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Self {
            owner: AtomicU64::new(FREE),
            waiters: Waiters::new(),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks, blocking while another thread has the lock. Panics when this thread has it already,
    /// or when it is contended and the image grants this component no scheduler.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        let me = thread_id();
        if !self.take(me) {
            self.wait(me);
        }
        Guard { mutex: self }
    }

    /// Locks if nobody has it.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        // Only then: a guard that is made and dropped opens the lock.
        self.take(thread_id()).then(|| Guard { mutex: self })
    }

    fn take(&self, me: ThreadId) -> bool {
        // SeqCst (acquire is what the value needs): ordered after a waiter's `enter`.
        self.owner
            .compare_exchange(FREE, u64::from(me.0), Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self, me: ThreadId) {
        self.waiters.enter(me);
        while !self.take(me) {
            // Relaxed: a hint; the scheduler's wake token makes a stale one harmless.
            let owner = self.owner.load(Ordering::Relaxed);
            assert!(owner != u64::from(me.0), "a thread locks a mutex twice");
            if owner != FREE {
                let blocked = sched::block_on(ThreadId(owner as u16), time::NEVER);
                assert!(blocked.is_ok(), "a contended lock needs the scheduler");
            }
        }
        self.waiters.leave(me);
    }

    /// The value, when the borrow checker already shows that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Access to a locked value; unlocks when dropped.
pub struct Guard<'m, T: ?Sized> {
    mutex: &'m Mutex<T>,
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock while the guard lives.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SeqCst (release is what the value needs): before the look at the waiters; pairs with
        // `enter` and `take` in `wait`.
        self.mutex.owner.swap(FREE, Ordering::SeqCst);
        self.mutex.waiters.wake_all();
    }
}

/// Threads wait here for a condition that others make true.
pub struct Notify {
    waiters: Waiters,
}

impl Notify {
    pub const fn new() -> Self {
        Self {
            waiters: Waiters::new(),
        }
    }

    /// Blocks until `ready` answers something or the deadline passes. A notification between the
    /// check and the block is not lost. `None` also where the image grants no scheduler.
    pub fn wait_until<R>(&self, deadline: u64, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        if let Some(result) = ready() {
            return Some(result);
        }
        let me = thread_id();
        loop {
            self.waiters.enter(me);
            let result = ready();
            if result.is_some() || time::now() >= deadline || sched::block(deadline).is_err() {
                self.waiters.leave(me);
                return result;
            }
        }
    }

    /// Lets every waiting thread check again. Calls nobody when nobody waits.
    pub fn notify(&self) {
        // SeqCst fence: the change that the caller made comes before the look at the waiters.
        core::sync::atomic::fence(Ordering::SeqCst);
        self.waiters.wake_all();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}
