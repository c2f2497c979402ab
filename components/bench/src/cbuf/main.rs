//! Measures what a client's calls on buffers cost, and what a message to another component does,
//! prints a line for each figure, tests what it measures, and stops the machine.

#![no_std]
#![no_main]

mod calls;
mod messages;

use abi::Error;
use abi::start::StartInfo;
use rt::suite::Suite;

rt::component! {
    start: start,
    thread: main,
    serve: {}
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
