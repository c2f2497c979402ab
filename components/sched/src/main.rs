//! The scheduler component of a core. It runs with interrupts off, so each of its invocations is
//! atomic; a thread that must not go on is left inside its invocation by switching to another.
//! The event thread is the one that interrupts switch to; when nobody can run, it waits.

#![no_std]
#![no_main]

mod core_state;

use abi::start::{StartInfo, slot};
use abi::{ComponentId, Error, ThreadId};
use rt::{cap, time};
use sched::Wait;

use crate::core_state::{Next, with};

rt::component! {
    start: start,
    thread: events,
    serve: { stubs::sched::INTERFACE => serve, stubs::sched_control::INTERFACE => control }
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::sched::serve(&Service, call)
}

fn control(call: rt::Call) -> rt::Reply {
    stubs::sched_control::serve(&Control, call)
}

fn start(info: &'static StartInfo) -> Result<(), Error> {
    let event_thread = with(|state| state.set_up(info))?;
    cap::kernel::set_event_thread(slot::KERNEL, event_thread)?;
    // Events reach it only while it waits for them: it begins now, and comes back here.
    cap::thread::switch(event_thread).map(drop)
}

/// The event thread: takes events, then continues whoever should run.
fn events(_argument: u64) -> ! {
    // Interrupts that came before this thread existed.
    let mut events = cap::kernel::poll(slot::KERNEL).unwrap_or(0);
    let mut interrupted = u64::MAX;
    loop {
        let next = with(|state| {
            state.take_events(events, interrupted);
            state.next()
        });
        let answer = match next {
            Next::Thread(id, thread) => {
                cap::thread::switch(thread).inspect_err(|_| with(|state| state.threads.exit(id)))
            }
            Next::Nobody => cap::kernel::wait(slot::KERNEL),
        };
        (events, interrupted) = answer.unwrap_or((0, u64::MAX));
    }
}

/// Lets the right thread run; comes back when the invoking one is to go on.
fn reschedule() {
    let me = rt::thread_id();
    loop {
        let (id, thread) = match with(|state| state.next()) {
            Next::Thread(id, _) if id == me => return,
            Next::Thread(id, thread) => (Some(id), thread),
            Next::Nobody => (None, with(|state| state.event_thread())),
        };
        match (cap::thread::switch(thread), id) {
            (Ok(_), _) => return,
            // It cannot run any more: strike it off and decide again.
            (Err(_), Some(id)) => with(|state| state.threads.exit(id)),
            (Err(_), None) => return,
        }
    }
}

struct Service;

impl Service {
    fn wait(&self, caller: ComponentId, wait: Wait, deadline: u64) -> bool {
        let now = time::now();
        match with(|state| state.threads.block(caller, wait, deadline, now)) {
            Some(woken) => woken,
            None => {
                reschedule();
                with(|state| state.threads.woken(rt::thread_id()))
            }
        }
    }
}

/// A thread number as it comes from a component.
fn thread(number: u32) -> Result<ThreadId, Error> {
    let number = u16::try_from(number).map_err(|_| Error::NotFound)?;
    Ok(ThreadId(number))
}

impl stubs::sched::Server for Service {
    fn yield_now(&self, _caller: ComponentId) -> Result<(), Error> {
        with(|state| state.threads.yield_now());
        reschedule();
        Ok(())
    }

    fn block(&self, caller: ComponentId, deadline: u64) -> Result<bool, Error> {
        Ok(self.wait(caller, Wait::Wake, deadline))
    }

    fn block_on(&self, caller: ComponentId, owner: u32, deadline: u64) -> Result<bool, Error> {
        Ok(self.wait(caller, Wait::Owner(thread(owner)?), deadline))
    }

    fn wake(&self, _caller: ComponentId, number: u32) -> Result<(), Error> {
        let woken = thread(number)?;
        with(|state| state.threads.wake(woken))?;
        reschedule();
        Ok(())
    }

    fn wait_irq(&self, caller: ComponentId, deadline: u64) -> Result<u64, Error> {
        let count = with(|state| state.threads.take_interrupts(caller))?;
        if count > 0 {
            return Ok(count);
        }
        self.wait(caller, Wait::Interrupt, deadline);
        with(|state| state.threads.take_interrupts(caller))
    }

    fn priority(&self, _caller: ComponentId, number: u32) -> Result<u32, Error> {
        let asked = thread(number)?;
        with(|state| state.threads.priority(asked))
    }

    fn ran(&self, _caller: ComponentId, number: u32) -> Result<u64, Error> {
        let asked = thread(number)?;
        with(|state| state.threads.ran(asked, time::now()))
    }

    fn kernel_stat(&self, _caller: ComponentId, which: u32) -> Result<u64, Error> {
        cap::kernel::stat(slot::KERNEL, u64::from(which))
    }
}

struct Control;

/// Only the supervisor sets the scheduler up.
fn supervisor(caller: ComponentId) -> Result<(), Error> {
    if caller == ComponentId::INIT {
        Ok(())
    } else {
        Err(Error::Refused)
    }
}

impl stubs::sched_control::Server for Control {
    fn start_thread(&self, caller: ComponentId, number: u32) -> Result<(), Error> {
        supervisor(caller)?;
        let started = thread(number)?;
        with(|state| state.start(started))?;
        reschedule();
        Ok(())
    }

    fn component_died(&self, caller: ComponentId, component: u32) -> Result<(), Error> {
        supervisor(caller)?;
        let component = u16::try_from(component).map_err(|_| Error::NotFound)?;
        with(|state| state.threads.component_died(ComponentId(component)));
        reschedule();
        Ok(())
    }

    fn set_priority(&self, caller: ComponentId, number: u32, priority: u32) -> Result<(), Error> {
        supervisor(caller)?;
        let changed = thread(number)?;
        with(|state| state.threads.set_priority(changed, priority))?;
        reschedule();
        Ok(())
    }
}
