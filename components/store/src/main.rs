//! The component `store`: passive, it runs on the threads of those whose pages it keeps.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use rt::cbuf::{Buffer, Cbuf};
use rt::sync::Mutex;
use store::Shelf;

rt::component! {
    start: start,
    serve: { stubs::store::INTERFACE => serve }
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf::new());

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::store::serve(&Service, call)
}

struct Service;

impl stubs::store::Server for Service {
    fn read(&self, caller: ComponentId, page: u32) -> Result<Cbuf<'static>, Error> {
        let shelf = SHELF.lock();
        let kept = shelf.read(caller, page)?;
        let mut buffer = Buffer::alloc(rt::cbuf::client(), kept.len().max(1))?;
        buffer[..kept.len()].copy_from_slice(kept);
        Ok(buffer.freeze(kept.len()))
    }

    fn write(&self, caller: ComponentId, page: u32, data: Cbuf<'static>) -> Result<(), Error> {
        SHELF.lock().write(caller, page, &data)
    }
}
