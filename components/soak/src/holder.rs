//! Keeps all buffers that it is passed, and lets go of them one by one, when it is told to.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use rt::cbuf::{Buffer, Cbuf};
use rt::sync::Mutex;

rt::component! {
    start: start,
    serve: { stubs::soak::INTERFACE => serve }
}

/// Most that it keeps; what comes then goes in another's place.
const MOST: usize = 32;
static KEPT: Mutex<[Option<Cbuf<'static>>; MOST]> = Mutex::new([const { None }; MOST]);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::soak::serve(&Holder, call)
}

struct Holder;

impl stubs::soak::Server for Holder {
    /// Keeps the buffer and as many pages of its own as `dice` says.
    fn pass(
        &self,
        _caller: ComponentId,
        data: Cbuf<'static>,
        dice: u64,
    ) -> Result<Cbuf<'static>, Error> {
        let mut kept = KEPT.lock();
        for place in kept.iter_mut().filter(|p| p.is_none()).take(dice as usize) {
            *place = Some(Buffer::try_alloc(rt::cbuf::client(), 1)?.freeze(1));
        }
        let free = kept.iter().position(Option::is_none).unwrap_or(0);
        kept[free] = Some(data.clone());
        Ok(data)
    }

    /// Lets go of the first.
    fn release(&self, _caller: ComponentId) -> Result<u64, Error> {
        let first = KEPT.lock().iter_mut().find_map(Option::take);
        Ok(u64::from(first.is_some()))
    }

    /// Keeps no words: what they name would have to be taken from here.
    fn post(&self, caller: ComponentId, what: u64, offset: u64) -> Result<(), Error> {
        stubs::wire::receive(what, offset, caller).map(drop)
    }
}
