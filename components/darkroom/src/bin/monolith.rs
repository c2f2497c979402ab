//! The darkroom with all stages in it, which [`darkroom`] is compared with.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use darkroom::desk::Desk;
use rt::abi::Error;
use rt::abi::start::StartInfo;
use stage::Pool;

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
    DESK.work(|stage, parts| stage.run(&Pool, parts))
}
