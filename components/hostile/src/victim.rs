//! A component to be killed: it counts its visits and its thread's rounds in memory that a
//! restart must clear, keeps visitors inside, faults when told to, or dies at every start.

#![no_std]
#![no_main]

extern crate alloc;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

rt::component! {
    start: start,
    thread: rounds,
    serve: { stubs::victim::INTERFACE => serve }
}

const ROUND: Duration = Duration::from_millis(1);
const MARK: u64 = 0x5a5a;

/// In the data segment, so that a restart must copy it anew.
static VISITS: AtomicU64 = AtomicU64::new(MARK);
static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    if rt::info::argument("start") == Some("die") {
        rt::component::stop()
    }
    // The heap is as good as new, however much of it was lost before.
    let lost = Box::leak(Box::new([MARK; 1024]));
    // Relaxed, here and below: counters that nothing else hangs on.
    if VISITS.load(Ordering::Relaxed) != MARK || lost[0] != MARK {
        return Err(Error::BadState);
    }
    Ok(())
}

fn rounds(_argument: u64) -> ! {
    while rt::sched::block(rt::time::after(ROUND)).is_ok() {
        ROUNDS.fetch_add(1, Ordering::Relaxed);
    }
    rt::component::stop()
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::victim::serve(&Service, call)
}

struct Service;

impl stubs::victim::Server for Service {
    fn rounds(&self, _caller: ComponentId) -> Result<u64, Error> {
        Ok(ROUNDS.load(Ordering::Relaxed))
    }

    fn visit(&self, _caller: ComponentId) -> Result<u64, Error> {
        Ok(VISITS.fetch_add(1, Ordering::Relaxed) + 1 - MARK)
    }

    fn stay(&self, _caller: ComponentId) -> Result<(), Error> {
        loop {
            rt::sched::block(rt::time::NEVER)?;
        }
    }

    fn fall(&self, _caller: ComponentId) -> Result<(), Error> {
        rt::component::stop()
    }
}
