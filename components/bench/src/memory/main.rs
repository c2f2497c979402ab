//! Measures what memory costs a component, prints a line for each figure, and stops the machine:
//! faults that a handler resolves (the cycles of Appel and Li), and mapping, protecting and
//! unmapping memory that exists, by size. It takes the scheduler's place, so that nothing runs
//! beside it: `init` waits in `block`. With QEMU's `-icount shift=0` its figures are instructions.

#![no_std]
#![no_main]

mod appel;
mod area;
mod library;
mod lookup;
mod sizes;

use abi::Error;
use abi::start::StartInfo;
use bench::{BATCHES, middle};
use rt::alone;
use rt::suite::Suite;

use crate::area::{Area, LARGE, SMALL};
use bench::stock::Stock;

rt::component! {
    start: start,
    thread: main,
    fault: appel::fault,
    serve: { stubs::sched::INTERFACE => alone::sched, stubs::sched_control::INTERFACE => alone::control }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

/// Prints a figure: what it is, its size in pages, the operations that were measured together, and
/// the ticks that they took.
fn print(name: impl core::fmt::Display, pages: u64, operations: u64, ticks: [u64; BATCHES]) {
    rt::println!("MEMORY {name} {pages} {operations} {}", middle(ticks));
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    suite.tell("through the library", library::measure());
    suite.tell("by capability calls", by_calls());
    suite.finish()
}

fn by_calls() -> Result<(), Error> {
    let stock = &mut Stock::new()?;
    let (small, large) = (Area::new(stock, &SMALL)?, Area::new(stock, &LARGE)?);
    appel::by_calls(stock, &small)?;
    let (frame, bytes) = sizes::memory(stock)?;
    sizes::measure(&small, frame, bytes)?;
    sizes::measure(&large, frame, bytes)
}
