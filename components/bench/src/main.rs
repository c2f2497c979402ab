//! Measures what the kernel does, prints a line for each figure, tests faults on the way, and
//! stops the machine. It takes the scheduler's place, so that nothing runs beside it: `init` waits
//! in `block`, the component's own thread measures.

#![no_std]
#![no_main]

mod longest;
mod measure;
mod other;

use abi::op::lifecycle;
use abi::start::StartInfo;
use abi::{CPtr, Error, ThreadId};
use bench::method;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use rt::fault::{Fault, Verdict};
use rt::suite::Suite;
use rt::{alone, cap};

use crate::other::Between;
use bench::stock::{READ_WRITE, Stock, WINDOW};

rt::component! {
    start: start,
    thread: main,
    fault: fault,
    serve: { stubs::sched::INTERFACE => sched, stubs::sched_control::INTERFACE => alone::control }
}

// Every atomic here is sequentially consistent: one core, and none of them is in what is measured.

/// Whether `init` is to go on when it gets the processor.
static INIT_GOES_ON: AtomicBool = AtomicBool::new(false);
/// What the handler maps: page table, frame, slot for the mapping.
static PAGING: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
/// Entry of the window's table that pages are mapped at on demand.
const DEMAND: u16 = 1;
const DEMAND_ADDRESS: u64 = WINDOW + DEMAND as u64 * abi::layout::PAGE as u64;
/// Bytes of `ud2`.
const UD2: u64 = 2;
/// Thread numbers of the components made by hand.
const OTHER: ThreadId = ThreadId(ThreadId::MAX as u16 - 1);
const CHECKER: ThreadId = ThreadId(ThreadId::MAX as u16 - 2);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn fault(fault: &mut Fault) -> Verdict {
    match fault.kind() {
        lifecycle::fault::ILLEGAL => {
            fault.rip += UD2;
            Verdict::Resume
        }
        lifecycle::fault::PAGE_WRITE if fault.address == DEMAND_ADDRESS => {
            let [table, frame, mapping] = PAGING.each_ref().map(|c| CPtr(c.load(Ordering::SeqCst)));
            match cap::map(table, frame, DEMAND, 1, READ_WRITE, 0, mapping) {
                Ok(()) => Verdict::Resume,
                Err(_) => Verdict::GiveUp,
            }
        }
        _ => Verdict::GiveUp,
    }
}

fn thread(name: &str) -> Result<CPtr, Error> {
    rt::grant(name).map(|g| g.cap).ok_or(Error::NotFound)
}

/// `init` waits here while the measurements run.
fn sched(call: rt::Call) -> rt::Reply {
    if call.method == rt::sched::method::BLOCK {
        let own = alone::own_thread()?;
        loop {
            cap::thread::switch(own)?;
            if INIT_GOES_ON.swap(false, Ordering::SeqCst) {
                break;
            }
        }
    }
    Ok([0; 4])
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    match Stock::new() {
        Ok(mut stock) => {
            suite.tell("measurements", measurements(&mut stock));
            suite.tell("what a switch keeps", switch_keeps(&mut stock));
            suite.tell("the longest calls", longest::measure(&mut stock));
        }
        Err(error) => suite.tell("memory", Err::<(), Error>(error)),
    }
    suite.tell("own faults", own_faults());
    suite.finish()
}

/// Entries of the two callees, in the order of the description.
fn callees() -> Result<[CPtr; 2], Error> {
    match rt::info().imports {
        [callee, bare, ..] if rt::info().imports_len == 2 => Ok([callee.entry, bare.entry]),
        _ => Err(Error::NotFound),
    }
}

fn measurements(stock: &mut Stock) -> Result<(), Error> {
    let [callee, bare] = callees()?;
    measure::invocations(callee, bare)?;
    measure::objects(stock)?;
    // `init` is in `block`, which is in this component, and switches back.
    measure::switches("switch-here", thread("thread:init.0")?)?;
    let own = alone::own_thread()?;
    let other = other::make(stock, own, OTHER, Between::Nothing)?;
    measure::switches("switch-there", other)?;
    measure::switch_parts(other, own)?;
    measure::faults(__FAULT)?;

    let paging = [stock.window, stock.page(abi::CapType::Frame)?, stock.slot()];
    for (place, cap) in PAGING.iter().zip(paging) {
        place.store(cap.0, Ordering::SeqCst);
    }
    measure::pages(DEMAND_ADDRESS, || cap::mapping::destroy(paging[2]))
}

/// A switch to another component and back keeps what a call keeps, and shows neither side anything
/// of the other's. (The other side ends the machine when it sees something.)
fn switch_keeps(stock: &mut Stock) -> Result<(), Error> {
    let checker = other::make(stock, alone::own_thread()?, CHECKER, Between::Checks)?;
    for _ in 0..3 {
        if measure::full_switch(checker) != 0 {
            return Err(Error::Unknown);
        }
    }
    Ok(())
}

/// What another component's handler does not handle ends that component and no other, and it
/// comes back, handler included.
fn own_faults() -> Result<(), Error> {
    let [callee, _] = callees()?;
    for fatal in [method::GIVE_UP, method::FAULT_AGAIN, method::LOSE_STACK] {
        let skipped = rt::invoke(callee, method::SKIP, [41, 0, 0, 0])?;
        if skipped[0] != 42 {
            return Err(Error::Unknown);
        }
        if rt::invoke(callee, fatal, [0; 4]) != Err(Error::Dead) {
            return Err(Error::BadState);
        }
        for _ in 0..1_000_000 {
            if rt::invoke(callee, method::ECHO, [0; 4]).is_ok() {
                break;
            }
            INIT_GOES_ON.store(true, Ordering::SeqCst);
            cap::thread::switch(thread("thread:init.0")?)?;
        }
    }
    rt::invoke(callee, method::ECHO, [0; 4]).map(drop)
}
