//! Runs the tests, one after another, and ends the machine.

#![no_std]
#![no_main]

extern crate alloc;

mod bits;
mod cspace;
mod cycle;
mod kernel;
mod objects;
mod own;
mod puppet;
mod table;
mod trace;
mod work;

use abi::Error;
use abi::start::StartInfo;
use abi::start::slot::{CONSOLE, CSPACE, KERNEL};
use alloc::string::String;
use rt::alone;
use rt::suite::Suite;

use crate::trace::{Trace, unknown_operations};
use crate::work::{Failed, Work};

rt::component! {
    start: start,
    thread: main,
    serve: { stubs::sched::INTERFACE => alone::sched, stubs::sched_control::INTERFACE => alone::control }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    suite.tell("all memory, many times", cycle::all_memory());
    let mut trace = Trace::default();
    match Work::new(&mut trace) {
        Ok(mut work) => {
            suite.tell("copy and mint", work.case(cspace::copy));
            suite.tell("retype", work.case(cspace::retype));
            suite.tell("delete and revoke", work.case(cspace::delete_and_revoke));
            suite.tell("identify, install, move", work.case(cspace::places));
            suite.tell("resize", work.case(cspace::resize));
            suite.tell("map and unmap", work.case(table::map));
            suite.tell("modify, clear dirty, read", work.case(table::modify));
            suite.tell("mappings by themselves", work.case(table::mapping));
            suite.tell("pages of two sizes", work.case(table::pages));
            suite.tell("components", work.case(objects::component));
            suite.tell("threads", work.case(objects::thread));
            suite.tell("what is left of an object", work.case(objects::leftovers));
            suite.tell("as many as a core takes", work.case(objects::crowd));
            suite.tell("a component itself", work.case(own::operations));
            suite.tell("core", work.case(kernel::core));
            suite.tell("taken away in use", work.case(own::in_use));
            suite.tell("interrupts", work.case(kernel::interrupts));
            suite.tell("memory that nobody holds", work.case(kernel::reclaim));
            suite.tell("console", work.case(kernel::console));
            suite.tell("ports", work.case(kernel::ports));
            suite.tell("bits without meaning", work.case(bits::without_meaning));
            suite.tell("unknown operations", work.case(unknown));
        }
        Err(Failed(why)) => suite.tell::<String>("memory to work with", Err(why)),
    }
    suite.tell("every outcome in the table", trace.compare());
    suite.finish()
}

fn unknown(work: &mut Work) -> Result<(), Failed> {
    work.some_of_each()?;
    for slot in work.made() {
        unknown_operations(work.trace, slot)?;
    }
    for slot in [CSPACE, CONSOLE, KERNEL] {
        unknown_operations(work.trace, slot)?;
    }
    Ok(())
}
