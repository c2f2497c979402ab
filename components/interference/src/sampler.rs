//! Tells four times a second what all pools do, one line each time, for whoever measures from
//! outside: `sample MS`, then for each pool `COMPONENT:LIMIT,HELD,BLOCKED,COLLECTING,COLLECTIONS,
//! COLLECTED,CALLS,WAITING`. Pages, microseconds and events since boot, and threads that wait now.
//! The argument `millis` says how often.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use core::fmt;
use core::time::Duration;
use stubs::cbuf_policy::Client;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// A quarter of a second, as policies decide.
const MILLIS: u64 = 250;

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Client::bind().map(drop)
}

struct Pools<'a>(&'a Client);

impl fmt::Display for Pools<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.0.clients().unwrap_or(0);
        let us = |ticks| rt::time::duration(ticks).as_micros();
        for component in (0..ComponentId::MAX as u32).filter(|c| clients >> c & 1 != 0) {
            let figures = self.0.usage(component).and_then(|usage| {
                let timing = self.0.timing(component)?;
                Ok((usage, timing))
            });
            // One that went away since is left out.
            if let Ok(((limit, held, calls, waiting), (blocked, collecting, looks, found))) =
                figures
            {
                let (blocked, collecting) = (us(blocked), us(collecting));
                write!(
                    f,
                    " {component}:{limit},{held},{blocked},{collecting},{looks},{found},{calls},{waiting}"
                )?;
            }
        }
        Ok(())
    }
}

fn main(_argument: u64) -> ! {
    let millis = rt::info::argument("millis").and_then(|text| text.parse().ok());
    let interval = Duration::from_millis(millis.unwrap_or(MILLIS));
    let mut next = rt::time::now();
    loop {
        while rt::time::now() < next {
            if rt::sched::block(next).is_err() {
                rt::component::stop();
            }
        }
        if let Ok(manager) = Client::bind() {
            let ms = rt::time::duration(rt::time::now()).as_millis();
            rt::println!("sample {ms}{}", Pools(&manager));
        }
        next = rt::time::after(interval);
    }
}
