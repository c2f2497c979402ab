//! What is kept of one thread.

use abi::{ComponentId, ThreadId};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The image has no such thread.
    Absent,
    /// Not started yet.
    Stopped,
    /// Runs or could run.
    Ready,
    Blocked,
    Exited,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    pub state: State,
    /// The priority that the image gives it.
    pub base: u32,
    /// The highest effective priority among those blocked on it; 0 without any.
    pub lent: u32,
    /// A wake-up that came while it was not blocked.
    pub token: bool,
    /// Its last block ended by a wake-up, not by the deadline.
    pub woken: bool,
    /// While blocked: when to give up.
    pub deadline: u64,
    /// While blocked: the thread it waits for.
    pub on: Option<ThreadId>,
    /// While blocked: it waits for its blocker's interrupt.
    pub irq: bool,
    /// The component that blocked it last.
    pub blocker: ComponentId,
    /// Place in the round of its priority: lower runs first.
    pub turn: u64,
    /// Ticks left of its slice.
    pub left: u64,
    /// Ticks for which it ran.
    pub ran: u64,
}

impl Thread {
    pub const ABSENT: Self = Self {
        state: State::Absent,
        base: 0,
        lent: 0,
        token: false,
        woken: false,
        deadline: u64::MAX,
        on: None,
        irq: false,
        blocker: ComponentId::INIT,
        turn: 0,
        left: 0,
        ran: 0,
    };

    /// The priority it runs at.
    pub fn effective(&self) -> u32 {
        self.base.max(self.lent)
    }
}

/// The thread numbers in a set, lowest first.
pub(crate) fn members(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let next = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(next)
    })
}
