//! The darkroom with each stage in a component of its own.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use darkroom::desk::Desk;
use rt::abi::Error;
use rt::abi::start::StartInfo;
use stage::Remote;

rt::component! {
    start: start,
    thread: main,
    serve: { stubs::stitch::INTERFACE => serve }
}

static DESK: Desk = Desk::new();

fn start(_: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::stitch::serve(&DESK, call)
}

fn main(_: u64) -> ! {
    let stages = Remote::bind().unwrap_or_else(|error| panic!("a stage is missing: {error}"));
    DESK.work(|stage, parts| stages.run(stage, parts))
}
