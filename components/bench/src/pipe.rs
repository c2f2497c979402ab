//! The other end of a pipe: it receives a buffer, and frees it, or sends it back and frees it.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use rt::cbuf::Cbuf;

rt::component! {
    start: start,
    serve: { stubs::pipe::INTERFACE => serve }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::pipe::serve(&Pipe, call)
}

struct Pipe;

impl stubs::pipe::Server for Pipe {
    fn echo(&self, _caller: ComponentId, data: Cbuf<'static>) -> Result<Cbuf<'static>, Error> {
        Ok(data)
    }

    fn take(&self, _caller: ComponentId, data: Cbuf<'static>) -> Result<(), Error> {
        drop(data);
        Ok(())
    }
}
