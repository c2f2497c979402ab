//! Threads that wait for memory, in the order in which they are told that there may be some: by
//! priority, among equals who came first. Whoever is told looks again, and finds memory, or waits
//! on. Source: CBUFs, sections 2.4 and 3.5.
//!
//! No wake-up is lost: a thread is registered after every buffer of its pool was
//! marked to be told of, and before they are looked at once more; what is handed over while it waits is
//! marked as well. A wake-up between its registration and its block leaves the scheduler's token.

use crate::machine::Machine;
use crate::manager::Manager;
use abi::{ComponentId, ThreadId};
use libcbuf::meta::State;

const THREADS: usize = ThreadId::MAX;

/// All that wait, whatever for.
pub(crate) struct Waiters {
    /// Threads to tell, as a bit set.
    told: u64,
    /// Of those that wait, the threads whose pools allow what they ask for: they wait for frames
    /// that any pool gives back.
    for_frames: u64,
    /// When each came, by a count of those that came before.
    turns: [u64; THREADS],
    next_turn: u64,
}

/// Threads to wake.
#[derive(Clone, Copy, Debug)]
pub struct Wakes {
    set: u64,
    turns: [u64; THREADS],
}

/// A thread in a set of threads.
const fn thread_bit(thread: ThreadId) -> u64 {
    1 << (thread.0 as usize % THREADS)
}

impl Waiters {
    pub const fn new() -> Self {
        Self {
            told: 0,
            for_frames: 0,
            turns: [0; THREADS],
            next_turn: 0,
        }
    }
}

impl<M: Machine> Manager<M> {
    pub(crate) fn wait(&mut self, caller: ComponentId, thread: ThreadId) {
        let waiters = &mut self.waiters;
        if let Some(Some(pool)) = self.pools.get_mut(caller.0 as usize) {
            pool.waiting |= thread_bit(thread);
            waiters.turns[thread.0 as usize % THREADS] = waiters.next_turn;
            waiters.next_turn += 1;
        }
    }

    /// It waits for frames that any pool gives back, too.
    pub(crate) fn wait_for_frames(&mut self, thread: ThreadId) {
        self.waiters.for_frames |= thread_bit(thread);
    }

    /// Whether there is such a pool.
    pub(crate) fn stop_waiting(&mut self, caller: ComponentId, thread: ThreadId) -> bool {
        let Ok(pool) = self.pool_mut(caller) else {
            return false;
        };
        pool.waiting &= !thread_bit(thread);
        self.waiters.for_frames &= !thread_bit(thread);
        // It runs: to be told of what it sees by itself would only wake it from another wait.
        self.waiters.told &= !thread_bit(thread);
        true
    }

    /// After [`crate::Step::Block`]: the thread runs again, `ticks` later.
    pub fn unblocked(&mut self, caller: ComponentId, thread: ThreadId, ticks: u64) {
        if self.stop_waiting(caller, thread) {
            self.note(caller, thread, |timing| timing.blocked_ticks += ticks);
        }
    }

    /// Whether there are threads that should look again.
    #[inline]
    pub fn has_wakes(&self) -> bool {
        self.waiters.told != 0
    }

    /// Threads that should look again, once; `None` while there are none.
    pub fn take_wakes(&mut self) -> Option<Wakes> {
        let set = core::mem::take(&mut self.waiters.told);
        if set == 0 {
            return None;
        }
        let turns = self.waiters.turns;
        Some(Wakes { set, turns })
    }

    pub(crate) fn wake(&mut self, component: ComponentId) {
        if let Ok(pool) = self.pool(component) {
            self.waiters.told |= pool.waiting;
        }
    }

    pub(crate) fn wake_all(&mut self) {
        let all = self.pools.iter().flatten();
        self.waiters.told |= all.fold(0, |set, p| set | p.waiting);
    }

    /// Nobody of a component waits any more: all its threads are told to leave it.
    pub(crate) fn wake_for_good(&mut self, component: ComponentId) {
        self.wake(component);
        if let Ok(pool) = self.pool_mut(component) {
            pool.waiting = 0;
        }
    }

    /// What a record is to say of a buffer besides that it is there: whether the manager is told
    /// of the last free, for its owner waits, holds too much, or is dead.
    pub(crate) fn wanted(&self, owner: Option<ComponentId>) -> u64 {
        let pool = owner.and_then(|owner| self.pool(owner).ok());
        if pool.is_none_or(|p| p.waiting != 0 || p.held > p.limit) {
            State::RELINQUISH
        } else {
            0
        }
    }

    /// Frames came back: whoever waits for frames is told.
    pub(crate) fn wake_for_frames(&mut self) {
        self.waiters.told |= self.waiters.for_frames;
    }
}

impl Wakes {
    /// As a bit set.
    pub fn set(&self) -> u64 {
        self.set
    }

    /// The most urgent first. `priority` is asked about each, once, where there are several.
    pub fn by_priority(
        self,
        mut priority: impl FnMut(ThreadId) -> u32,
    ) -> impl Iterator<Item = ThreadId> {
        let members = |set: u64| (0..THREADS).filter(move |n| set >> n & 1 != 0);
        let mut priorities = [0; THREADS];
        if self.set.count_ones() > 1 {
            for n in members(self.set) {
                priorities[n] = priority(ThreadId(n as u16));
            }
        }
        let mut left = self.set;
        core::iter::from_fn(move || {
            let key = |n: &usize| (core::cmp::Reverse(priorities[*n]), self.turns[*n]);
            let next = members(left).min_by_key(key)?;
            left &= !(1 << next);
            Some(ThreadId(next as u16))
        })
    }
}
