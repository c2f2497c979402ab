//! Does at random all that one may do with buffers: allocates, keeps, passes on to those it may
//! invoke, gives back, on its own thread and on those that come in. It may be killed at any time.

#![no_std]
#![no_main]

extern crate alloc;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use rt::cbuf::Cbuf;
use rt::sync::Mutex;
use soak::parts::{Kept, Mail, check, fresh, others, pass, post};
use soak::{Random, fill, is_whole};

rt::component! {
    start: start,
    thread: main,
    serve: { stubs::soak::INTERFACE => serve }
}

static KEPT: Kept = Kept::new();
static MAIL: Mail = Mail::new();
/// Blocks of its heap, which grows by them.
static BLOCKS: Mutex<[Vec<u8>; BLOCKS_KEPT]> = Mutex::new([const { Vec::new() }; BLOCKS_KEPT]);
const BLOCKS_KEPT: usize = 6;
/// Longest block, in words.
const LONGEST: u64 = 20_000;
/// Everything is to end.
static RELEASED: AtomicBool = AtomicBool::new(false);

const PAUSE: Duration = Duration::from_micros(500);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::soak::serve(&Soaker, call)
}

/// SeqCst here and below: nothing to gain from less.
fn is_released() -> bool {
    RELEASED.load(Ordering::SeqCst)
}

/// Keeps it, unless everything is to end.
fn keep(random: &mut Random, cbuf: Cbuf<'static>) {
    if let Some(before) = KEPT.exchange(random, Some(cbuf)) {
        check(&before, "that was kept");
    }
    if is_released() {
        KEPT.release();
    }
}

struct Soaker;

impl stubs::soak::Server for Soaker {
    fn pass(
        &self,
        _caller: ComponentId,
        data: Cbuf<'static>,
        dice: u64,
    ) -> Result<Cbuf<'static>, Error> {
        check(&data, "on arrival");
        MAIL.open();
        let mut random = Random::new(dice);
        if is_released() {
            return Ok(data);
        }
        match random.below(8) {
            0 | 1 => {
                let answer = fresh(&mut random, false).unwrap_or_else(|_| data.clone());
                keep(&mut random, data);
                Ok(answer)
            }
            2 => Ok(KEPT.exchange(&mut random, None).unwrap_or(data)),
            3..=5 => Ok(onwards(&mut random, &data).unwrap_or(data)),
            6 => fresh(&mut random, false).or(Ok(data)),
            _ => Ok(data),
        }
    }

    fn release(&self, _caller: ComponentId) -> Result<u64, Error> {
        RELEASED.store(true, Ordering::SeqCst);
        for place in 0..BLOCKS_KEPT {
            keep_block(place, Vec::new());
        }
        rt::heap::trim();
        MAIL.open();
        Ok(KEPT.release())
    }

    fn post(&self, caller: ComponentId, what: u64, offset: u64) -> Result<(), Error> {
        let mut random = Random::new(what ^ rt::time::now());
        MAIL.put(&mut random, (caller, [what, offset]));
        if is_released() {
            MAIL.open();
        }
        Ok(())
    }
}

/// To one of the others, if there are any and it lives.
fn onwards(random: &mut Random, data: &Cbuf<'static>) -> Option<Cbuf<'static>> {
    let count = others().count() as u64;
    let to = others().nth(random.below(count) as usize)?;
    let answer = pass(to, data, random.word()).ok()?;
    check(&answer, "as an answer");
    Some(answer)
}

fn main(_argument: u64) -> ! {
    let seed = rt::info::argument("seed").and_then(|text| text.parse().ok());
    let own = rt::time::now() ^ u64::from(rt::info().id.0);
    let mut random = Random::new(seed.unwrap_or(1) ^ own);
    loop {
        if !is_released() {
            step(&mut random);
        }
        if random.below(4) == 0 {
            MAIL.open();
        }
        if random.below(4) == 0 && rt::sched::block(rt::time::after(PAUSE)).is_err() {
            rt::component::stop()
        }
    }
}

/// Keeps a block of the heap in place of another, which must be whole.
fn keep_block(place: usize, block: Vec<u8>) {
    let old = core::mem::replace(&mut BLOCKS.lock()[place], block);
    if !old.is_empty() && !is_whole(&old) {
        rt::println!("TEST whole FAILED a block of {} bytes", old.len());
    }
}

/// A block of some length, if the heap has room for it.
fn block(random: &mut Random) -> Vec<u8> {
    let longest = 1 + random.below(LONGEST);
    let len = (1 + random.below(longest)) as usize * size_of::<u64>();
    let mut block = Vec::new();
    if block.try_reserve_exact(len).is_ok() {
        block.resize(len, 0);
        fill(&mut block, random.word());
    }
    block
}

fn step(random: &mut Random) {
    if random.below(8) == 0 {
        let block = block(random);
        keep_block(random.below(BLOCKS_KEPT as u64) as usize, block);
    }
    // Now and then it waits for memory.
    let wait = random.below(4) == 0;
    let Ok(cbuf) = fresh(random, wait) else {
        return;
    };
    if random.below(3) == 0 {
        let count = others().count() as u64;
        if let Some(to) = others().nth(random.below(count) as usize) {
            // It may just be dead.
            let _ = post(to, cbuf);
        }
        return;
    }
    let answer = onwards(random, &cbuf);
    check(&cbuf, "of its own");
    match random.below(3) {
        0 => keep(random, cbuf),
        1 => keep(random, answer.unwrap_or(cbuf)),
        _ => {}
    }
}
