//! Measures what a client's calls on buffers cost, and what a message to another component does,
//! prints a line for each figure, tests what it measures, and stops the machine.

#![no_std]
#![no_main]

mod calls;
mod messages;
mod pools;
mod sealed;
mod shrinking;

use abi::Error;
use abi::start::StartInfo;
use rt::fault::{Fault, Verdict};
use rt::suite::Suite;

rt::component! {
    start: start,
    thread: main,
    fault: fault,
    serve: {}
}

fn fault(fault: &mut Fault) -> Verdict {
    sealed::fault(fault)
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

/// Sizes measured, in pages.
const PAGES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    suite.tell("calls", calls::measure());
    suite.tell("messages", messages::measure());
    suite.tell("messages arrive", messages::arrive());
    suite.tell("sealed buffers are read-only", sealed::read_only());
    suite.tell("sealed buffers are collected", sealed::collected());
    suite.tell("allocation by pool size", pools::measure());
    suite.tell("shrinking", shrinking::measure());
    suite.tell("all comes back", messages::comes_back());
    suite.finish()
}

/// `Unknown` stands for "it succeeded with the wrong result".
fn ensure(condition: bool) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(Error::Unknown)
    }
}
