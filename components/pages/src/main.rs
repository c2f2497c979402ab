//! Runs both programs, prints what they took, and stops the machine: RandomAccess in a table of
//! 4 KiB, 2 MiB and 1 GiB pages, which show the same memory; the collector with each way to find
//! written pages. It takes the scheduler's place, so that nothing runs beside it: `init` waits in
//! `block`. With QEMU's `-icount shift=0` its figures are instructions.

#![no_std]
#![no_main]

extern crate alloc;

mod collector;
mod space;
mod tables;
mod watch;

use abi::Error;
use abi::start::StartInfo;
use rt::alone;
use rt::suite::Suite;

use crate::space::Space;

rt::component! {
    start: start,
    thread: main,
    fault: watch::fault,
    serve: { stubs::sched::INTERFACE => alone::sched, stubs::sched_control::INTERFACE => alone::control }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

/// Prints a figure: what it is, its size in bytes or 0, the operations that were measured
/// together, and the ticks that they took, or what else there is of it.
fn print(name: impl core::fmt::Display, bytes: u64, operations: u64, ticks: u64) {
    rt::println!("PAGES {name} {bytes} {operations} {ticks}");
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    print("clock", 0, 1, rt::info().tsc_hz);
    match Space::new() {
        Ok(mut space) => {
            collector::run(&mut suite, &mut space);
            tables::run(&mut suite, &mut space);
        }
        Err(error) => suite.tell("memory", Err(error)),
    }
    suite.finish()
}

/// The number that an argument of the image or the command line gives.
fn number(key: &str, otherwise: u64) -> u64 {
    let given = rt::info::argument(key).and_then(|text| text.parse().ok());
    given.unwrap_or(otherwise)
}
