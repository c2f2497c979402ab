//! The one state of the component: the table of threads, their capabilities, the timer.

use core::cell::UnsafeCell;
use core::time::Duration;

use abi::op::kernel::event;
use abi::start::{StartInfo, slot};
use abi::{CPtr, ComponentId, Error, ThreadId};
use rt::{cap, time};
use sched::Scheduler;

/// How long a thread runs before an equal gets its turn.
const SLICE: Duration = Duration::from_millis(10);
/// Bits of an event word that are interrupts.
const INTERRUPTS: u64 = !(event::TIMER | event::EXITED);

/// Who is to run.
pub enum Next {
    Thread(ThreadId, CPtr),
    Nobody,
}

pub struct State {
    pub threads: Scheduler,
    capabilities: [CPtr; ThreadId::MAX],
    event_thread: Option<ThreadId>,
    /// By event bit.
    interrupts: [Option<ComponentId>; 64],
    /// What the kernel's timer is set to.
    programmed: u64,
}

struct Core(UnsafeCell<State>);

// SAFETY: reached through `with` only.
unsafe impl Sync for Core {}

static CORE: Core = Core(UnsafeCell::new(State {
    threads: Scheduler::new(1),
    capabilities: [CPtr::NULL; ThreadId::MAX],
    event_thread: None,
    interrupts: [None; 64],
    programmed: u64::MAX,
}));

/// Lends the state for as long as `f` runs, which must not switch threads.
pub fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: one core, and this component runs with interrupts off, so between two thread
    // switches nobody else is here; no `f` in this program switches threads or calls `with`.
    f(unsafe { &mut *CORE.0.get() })
}

impl State {
    /// Reads the grants. Thread 0, which runs this, is the first to run; the thread that the
    /// image describes for this component takes the events. Answers the event thread.
    pub fn set_up(&mut self, info: &StartInfo) -> Result<CPtr, Error> {
        self.threads = Scheduler::new(time::ticks(SLICE));
        for grant in rt::info::grants() {
            let name = grant.name.as_str();
            if name.starts_with("thread:") {
                let id = ThreadId(u16::try_from(grant.base).map_err(|_| Error::BadArgument)?);
                let capability = self.capabilities.get_mut(usize::from(id.0));
                *capability.ok_or(Error::BadArgument)? = grant.cap;
                if grant.bytes >> 32 == u64::from(info.id.0) {
                    self.event_thread = Some(id);
                } else {
                    self.threads.define(id, grant.bytes as u32)?;
                }
            } else if name.starts_with("irq-of:") {
                let component = ComponentId(grant.bytes as u16);
                let entry = self.interrupts.get_mut(grant.base as usize);
                *entry.ok_or(Error::BadArgument)? = Some(component);
                self.threads.bind(component)?;
            }
        }
        let first = rt::thread_id();
        self.threads.start(first)?;
        self.threads.running(first, time::now());
        self.event_thread.ok_or(Error::NotFound)?;
        Ok(self.event_thread())
    }

    /// The capability of the event thread.
    pub fn event_thread(&self) -> CPtr {
        let thread = self.event_thread.unwrap_or_default();
        self.capabilities[usize::from(thread.0)]
    }

    /// A thread may run. The event thread needs no start: the first event is one.
    pub fn start(&mut self, thread: ThreadId) -> Result<(), Error> {
        if self.event_thread == Some(thread) {
            return Ok(());
        }
        self.threads.start(thread)
    }

    /// What an interrupt, or the end of a thread, means for the threads.
    pub fn take_events(&mut self, events: u64, interrupted: u64) {
        if events & event::TIMER != 0 {
            self.programmed = u64::MAX;
        }
        if events & event::EXITED != 0
            && let Ok(id) = u16::try_from(interrupted)
        {
            self.threads.exit(ThreadId(id));
        }
        let mut set = events & INTERRUPTS;
        while set != 0 {
            let bit = set.trailing_zeros() as usize;
            set &= set - 1;
            if let Some(component) = self.interrupts[bit] {
                self.threads.interrupt(component);
            }
        }
    }

    /// Decides who runs, and sets the timer for when that may change. A timer that comes too
    /// early is harmless and cheaper than setting it anew at every switch.
    pub fn next(&mut self) -> Next {
        let now = time::now();
        let next = self.threads.pick(now);
        let alarm = self.threads.timer(now);
        if alarm < self.programmed && cap::kernel::set_timer(slot::KERNEL, alarm).is_ok() {
            self.programmed = alarm;
        }
        match next {
            Some(id) => Next::Thread(id, self.capabilities[usize::from(id.0)]),
            None => Next::Nobody,
        }
    }
}
