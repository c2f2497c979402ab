//! A thread of high priority that needs memory now and then, and takes the time of each
//! allocation, while other threads have the manager collect or shrink pools.

#![no_std]
#![no_main]

extern crate alloc;

use abi::layout::PAGE;
use abi::start::StartInfo;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use rt::cbuf::Buffer;
use rt::time;

rt::component! {
    start: start,
    thread: main,
    serve: { stubs::urgent::INTERFACE => serve }
}

// Every atomic here is sequentially consistent: none of them is in what is measured.

/// Ticks between two allocations; 0: none.
static PERIOD: AtomicU64 = AtomicU64::new(0);
/// Whether what is freed is garbage.
static SHARED: AtomicBool = AtomicBool::new(false);
static LONGEST: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The thread's number, once it runs.
static THREAD: AtomicU64 = AtomicU64::new(u64::MAX);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_argument: u64) -> ! {
    THREAD.store(u64::from(rt::thread_id().0), SeqCst);
    let mut due = 0;
    loop {
        let period = PERIOD.load(SeqCst);
        let asleep = if period == 0 { time::NEVER } else { due };
        if time::now() < asleep {
            if rt::sched::block(asleep).is_err() {
                rt::component::stop();
            }
            continue;
        }
        allocate();
        // So that it meets others at ever new places.
        due = time::now() + period + COUNT.load(SeqCst) * 7919 % (period / 4).max(1);
    }
}

fn allocate() {
    let begun = time::now();
    let buffer = Buffer::try_alloc(rt::cbuf::client(), PAGE);
    let took = time::now() - begun;
    if let Ok(buffer) = buffer {
        LONGEST.fetch_max(took, SeqCst);
        COUNT.fetch_add(1, SeqCst);
        if SHARED.load(SeqCst) {
            drop(buffer.freeze(PAGE));
        }
    }
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::urgent::serve(&Urgent, call)
}

struct Urgent;

impl stubs::urgent::Server for Urgent {
    fn watch(
        &self,
        _caller: ComponentId,
        period_ns: u64,
        shared: bool,
    ) -> Result<(u64, u64), Error> {
        SHARED.store(shared, SeqCst);
        PERIOD.store(time::ticks(Duration::from_nanos(period_ns)), SeqCst);
        let seen = (LONGEST.swap(0, SeqCst), COUNT.swap(0, SeqCst));
        let thread = THREAD.load(SeqCst);
        if thread != u64::MAX {
            rt::sched::wake(abi::ThreadId(thread as u16))?;
        }
        Ok(seen)
    }

    fn fill(&self, _caller: ComponentId, buffers: u32, shared: bool) -> Result<(), Error> {
        let mut held = Vec::new();
        held.try_reserve_exact(buffers as usize)
            .map_err(|_| Error::NoMemory)?;
        for _ in 0..buffers {
            held.push(Buffer::try_alloc(rt::cbuf::client(), PAGE)?);
        }
        for buffer in held {
            if shared {
                drop(buffer.freeze(PAGE));
            }
        }
        Ok(())
    }
}
