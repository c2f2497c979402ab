//! The component `echo`: passive, it runs on the threads of those who invoke it.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use rt::cbuf::{Buffer, Cbuf};

rt::component! {
    start: start,
    serve: { stubs::echo::INTERFACE => serve }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::echo::serve(&Service, call)
}

struct Service;

impl stubs::echo::Server for Service {
    fn add(&self, _caller: ComponentId, a: u64, b: u64) -> Result<u64, Error> {
        a.checked_add(b).ok_or(Error::OutOfRange)
    }

    /// One copy, into a buffer of our own: that is what the interface promises.
    fn copy(&self, _caller: ComponentId, data: Cbuf<'static>) -> Result<Cbuf<'static>, Error> {
        let mut copy = Buffer::alloc(rt::cbuf::client(), data.len().max(1))?;
        copy[..data.len()].copy_from_slice(&data);
        Ok(copy.freeze(data.len()))
    }
}
