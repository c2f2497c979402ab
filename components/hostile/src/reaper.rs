//! Kills components in turn, for ever: `kill=4,5,6` says which, `every=2000` after how many
//! milliseconds. For images that are watched from outside.

#![no_std]
#![no_main]

use abi::Error;
use abi::start::StartInfo;
use core::time::Duration;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_argument: u64) -> ! {
    let list = rt::info::argument("kill").unwrap_or_default();
    let every = rt::info::argument("every").and_then(|ms| ms.parse().ok());
    let every = Duration::from_millis(every.unwrap_or(2000));
    loop {
        for component in list.split(',') {
            if rt::sched::block(rt::time::after(every)).is_err() {
                rt::component::stop()
            }
            kill(component);
        }
    }
}

fn kill(component: &str) {
    let killed = component
        .parse()
        .map_err(|_| Error::BadArgument)
        .and_then(|number| stubs::supervisor_control::Client::bind()?.kill(number));
    match killed {
        Ok(()) => rt::println!("killed component {component}"),
        Err(error) => rt::println!("cannot kill component {component}: {error}"),
    }
}
