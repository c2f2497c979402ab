//! Takes memory for its heap when it is told to: as much as it gets, or without asking whether it gets
//! any. It also tries to end memory that is not its own.

#![no_std]
#![no_main]

extern crate alloc;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use heaps::{block, is_whole};
use rt::sync::Mutex;

rt::component! {
    start: start,
    serve: { stubs::glutton::INTERFACE => serve }
}

static EATEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::glutton::serve(&Glutton, call)
}

/// What is written in the block with that number.
fn seed(number: usize) -> u8 {
    number as u8
}

struct Glutton;

impl stubs::glutton::Server for Glutton {
    fn eat(&self, _caller: ComponentId, bytes: u64) -> Result<(u64, u64), Error> {
        let mut eaten = EATEN.lock();
        loop {
            let next = block(bytes as usize, seed(eaten.len()));
            let (Some(next), Ok(())) = (next, eaten.try_reserve(1)) else {
                break;
            };
            eaten.push(next);
        }
        Ok((eaten.len() as u64, rt::heap::grown().0 as u64))
    }

    fn leave(&self, _caller: ComponentId) -> Result<u64, Error> {
        let all = core::mem::take(&mut *EATEN.lock());
        let whole = |(number, block): &(usize, Vec<u8>)| is_whole(block, seed(*number));
        let whole = all.into_iter().enumerate().filter(whole).count();
        rt::heap::trim();
        Ok(whole as u64)
    }

    fn burst(&self, _caller: ComponentId) -> Result<(), Error> {
        loop {
            EATEN.lock().push(Vec::with_capacity(5000));
        }
    }

    fn steal(&self, _caller: ComponentId, end: u32) -> Result<u32, Error> {
        let manager = stubs::cbuf::Client::bind()?;
        // Twice: what is freed once must not be freed again, either.
        let all = (0..end).chain(0..end).chain([u32::MAX]);
        Ok(all.filter(|id| manager.free_owned(*id).is_ok()).count() as u32)
    }
}
