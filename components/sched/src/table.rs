//! The threads of a core and the one that runs.

use abi::{ComponentId, Error, ThreadId};

use crate::thread::{State, Thread, members};

/// What a thread blocks for, besides a wake-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Nothing else.
    Wake,
    /// A lock that this thread holds.
    Owner(ThreadId),
    /// The interrupt of the component that blocks it.
    Interrupt,
}

/// All threads of a core.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(crate) threads: [Thread; ThreadId::MAX],
    /// Runnable threads, the running one included.
    pub(crate) ready: u64,
    pub(crate) blocked: u64,
    current: Option<ThreadId>,
    /// When the running thread's slice was last charged.
    charged: u64,
    next_turn: u64,
    /// Ticks in a slice.
    slice: u64,
    /// Components that have an interrupt.
    bound: u64,
    /// By component: interrupts that nobody waited for yet.
    pending: [u64; ComponentId::MAX],
}

fn bit(thread: usize) -> u64 {
    1 << thread
}

impl Scheduler {
    /// A core without threads, whose slices are `slice` ticks.
    pub const fn new(slice: u64) -> Self {
        Self {
            threads: [Thread::ABSENT; ThreadId::MAX],
            ready: 0,
            blocked: 0,
            current: None,
            charged: 0,
            next_turn: 0,
            slice: if slice == 0 { 1 } else { slice },
            bound: 0,
            pending: [0; ComponentId::MAX],
        }
    }

    /// Makes a thread known; it does not run before [`Scheduler::start`].
    pub fn define(&mut self, thread: ThreadId, priority: u32) -> Result<(), Error> {
        let slot = self.threads.get_mut(usize::from(thread.0));
        let slot = slot.ok_or(Error::BadArgument)?;
        if slot.state != State::Absent {
            return Err(Error::BadState);
        }
        *slot = Thread {
            state: State::Stopped,
            base: priority,
            ..Thread::ABSENT
        };
        Ok(())
    }

    /// `component` has an interrupt.
    pub fn bind(&mut self, component: ComponentId) -> Result<(), Error> {
        let index = usize::from(component.0);
        if index >= ComponentId::MAX {
            return Err(Error::BadArgument);
        }
        self.bound |= 1 << index;
        Ok(())
    }

    /// The thread that runs.
    pub fn current(&self) -> Option<ThreadId> {
        self.current
    }

    /// Says that `thread`, started, is the one that runs (at boot; afterwards
    /// [`Scheduler::pick`] decides).
    pub fn running(&mut self, thread: ThreadId, now: u64) {
        self.current = Some(thread);
        self.charged = now;
    }

    /// The thread may run from now on: one that never did, or one that has exited and begins anew.
    pub fn start(&mut self, thread: ThreadId) -> Result<(), Error> {
        let slot = self.known(thread)?;
        match slot.state {
            State::Stopped => {}
            // What was meant for the old one is not for the new one.
            State::Exited => slot.token = false,
            _ => return Err(Error::BadState),
        }
        self.make_ready(usize::from(thread.0));
        Ok(())
    }

    /// The thread is gone.
    pub fn exit(&mut self, thread: ThreadId) {
        let index = usize::from(thread.0);
        let Ok(slot) = self.known(thread) else { return };
        slot.state = State::Exited;
        let on = slot.on.take();
        self.ready &= !bit(index);
        self.blocked &= !bit(index);
        if self.current == Some(thread) {
            self.current = None;
        }
        if let Some(owner) = on {
            self.lend(owner);
        }
    }

    /// The running thread lets its equals go first.
    pub fn yield_now(&mut self) {
        if let Some(current) = self.current {
            self.renew(usize::from(current.0));
        }
    }

    /// The running thread, inside `blocker`, blocks. `Some` is an answer without blocking: there
    /// was a token (`true`) or the deadline has passed (`false`). After `None`,
    /// [`Scheduler::pick`] another thread; [`Scheduler::woken`] has the answer when it runs
    /// again.
    pub fn block(
        &mut self,
        blocker: ComponentId,
        wait: Wait,
        deadline: u64,
        now: u64,
    ) -> Option<bool> {
        let Some(current) = self.current else {
            return Some(false);
        };
        let index = usize::from(current.0);
        let thread = &mut self.threads[index];
        if core::mem::take(&mut thread.token) {
            return Some(true);
        }
        if deadline <= now {
            return Some(false);
        }
        self.charge(now);
        let on = match wait {
            Wait::Owner(owner) if self.known(owner).is_ok() => Some(owner),
            _ => None,
        };
        let thread = &mut self.threads[index];
        thread.state = State::Blocked;
        thread.deadline = deadline;
        thread.on = on;
        thread.irq = wait == Wait::Interrupt;
        thread.blocker = blocker;
        self.ready &= !bit(index);
        self.blocked |= bit(index);
        if let Some(owner) = on {
            self.lend(owner);
        }
        None
    }

    /// Whether the thread's last block ended by a wake-up.
    pub fn woken(&self, thread: ThreadId) -> bool {
        let slot = self.threads.get(usize::from(thread.0));
        slot.is_some_and(|t| t.woken)
    }

    /// Wakes a thread, or leaves it the token.
    pub fn wake(&mut self, thread: ThreadId) -> Result<(), Error> {
        let slot = self.known(thread)?;
        match slot.state {
            State::Blocked => self.unblock(usize::from(thread.0), true),
            State::Ready | State::Stopped => slot.token = true,
            State::Exited | State::Absent => return Err(Error::NotFound),
        }
        Ok(())
    }

    /// The interrupt of `component` came.
    pub fn interrupt(&mut self, component: ComponentId) {
        let Some(count) = self.pending.get_mut(usize::from(component.0)) else {
            return;
        };
        *count = count.saturating_add(1);
        for index in members(self.blocked) {
            let thread = &self.threads[index];
            if thread.irq && thread.blocker == component {
                self.unblock(index, true);
            }
        }
    }

    /// Takes the number of interrupts that came for `component`; refused where it has none.
    pub fn take_interrupts(&mut self, component: ComponentId) -> Result<u64, Error> {
        let index = usize::from(component.0);
        if index >= ComponentId::MAX || self.bound & 1 << index == 0 {
            return Err(Error::Refused);
        }
        Ok(core::mem::take(&mut self.pending[index]))
    }

    /// Threads that `component` blocked may leave it.
    pub fn component_died(&mut self, component: ComponentId) {
        for index in members(self.blocked) {
            if self.threads[index].blocker == component {
                self.unblock(index, false);
            }
        }
    }

    /// The priority at which a thread runs, or would if it were ready.
    pub fn priority(&self, thread: ThreadId) -> Result<u32, Error> {
        let slot = self.threads.get(usize::from(thread.0));
        let slot = slot.filter(|t| !matches!(t.state, State::Absent | State::Exited));
        slot.map(Thread::effective).ok_or(Error::NotFound)
    }

    /// Ticks for which a thread has run so far; no more for one that has exited.
    pub fn ran(&self, thread: ThreadId, now: u64) -> Result<u64, Error> {
        let slot = self.threads.get(usize::from(thread.0));
        let slot = slot.filter(|t| !matches!(t.state, State::Absent | State::Exited));
        let slot = slot.ok_or(Error::NotFound)?;
        Ok(if self.current == Some(thread) {
            slot.ran.wrapping_add(now.saturating_sub(self.charged))
        } else {
            slot.ran
        })
    }

    /// Changes a thread's own priority.
    pub fn set_priority(&mut self, thread: ThreadId, priority: u32) -> Result<(), Error> {
        let slot = self.known(thread)?;
        slot.base = priority;
        if let Some(owner) = slot.on {
            self.lend(owner);
        }
        Ok(())
    }

    /// Decides who runs from now on; `None` when nobody can.
    pub fn pick(&mut self, now: u64) -> Option<ThreadId> {
        self.expire(now);
        self.charge(now);
        let best = members(self.ready).max_by_key(|t| {
            let thread = &self.threads[*t];
            (thread.effective(), core::cmp::Reverse(thread.turn))
        });
        self.current = best.map(|t| ThreadId(t as u16));
        self.current
    }

    /// When to look again, if nothing else happens: the end of the running thread's slice where
    /// it has an equal, or the first deadline of a thread that would not have to wait for it.
    pub fn timer(&self, now: u64) -> u64 {
        let running = self.current.map(|t| usize::from(t.0));
        let level = running.map_or(0, |t| self.threads[t].effective());
        let equals =
            members(self.ready).any(|t| Some(t) != running && self.threads[t].effective() == level);
        let slice = match running {
            Some(t) if equals => now.saturating_add(self.threads[t].left),
            _ => u64::MAX,
        };
        members(self.blocked)
            .map(|t| &self.threads[t])
            .filter(|t| t.effective() >= level)
            .map(|t| t.deadline)
            .fold(slice, u64::min)
    }

    fn known(&mut self, thread: ThreadId) -> Result<&mut Thread, Error> {
        match self.threads.get_mut(usize::from(thread.0)) {
            Some(slot) if slot.state != State::Absent => Ok(slot),
            _ => Err(Error::NotFound),
        }
    }

    /// Puts a thread last in the round of its priority, with a whole slice.
    fn renew(&mut self, index: usize) {
        let thread = &mut self.threads[index];
        thread.turn = self.next_turn;
        thread.left = self.slice;
        self.next_turn += 1;
    }

    fn make_ready(&mut self, index: usize) {
        self.threads[index].state = State::Ready;
        self.blocked &= !bit(index);
        self.ready |= bit(index);
        self.renew(index);
    }

    fn unblock(&mut self, index: usize, woken: bool) {
        self.make_ready(index);
        let thread = &mut self.threads[index];
        thread.woken = woken;
        thread.irq = false;
        if let Some(owner) = thread.on.take() {
            self.lend(owner);
        }
    }

    /// Ends the blocks whose deadline has passed, the earliest first.
    fn expire(&mut self, now: u64) {
        while let Some(index) = members(self.blocked)
            .filter(|t| self.threads[*t].deadline <= now)
            .min_by_key(|t| self.threads[*t].deadline)
        {
            self.unblock(index, false);
        }
    }

    /// Takes the time since the last charge off the running thread's slice; when it is used up,
    /// the thread goes to the end of its round.
    fn charge(&mut self, now: u64) {
        let used = now.saturating_sub(self.charged);
        self.charged = now;
        let Some(current) = self.current else { return };
        let index = usize::from(current.0);
        let thread = &mut self.threads[index];
        thread.ran = thread.ran.wrapping_add(used);
        if thread.state != State::Ready {
            return;
        }
        thread.left = thread.left.saturating_sub(used);
        if thread.left == 0 {
            self.renew(index);
        }
    }
}
