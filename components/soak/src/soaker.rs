//! Does at random all that one may do with buffers: allocates, keeps, passes on to those it may
//! invoke, gives back, on its own thread and on those that come in. It may be killed at any time.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use rt::cbuf::Cbuf;
use soak::Random;
use soak::parts::{Kept, check, fresh, others, pass};

rt::component! {
    start: start,
    thread: main,
    serve: { stubs::soak::INTERFACE => serve }
}

static KEPT: Kept = Kept::new();
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
        Ok(KEPT.release())
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
        if random.below(4) == 0 && rt::sched::block(rt::time::after(PAUSE)).is_err() {
            rt::component::stop()
        }
    }
}

fn step(random: &mut Random) {
    // Now and then it waits for memory.
    let wait = random.below(4) == 0;
    let Ok(cbuf) = fresh(random, wait) else {
        return;
    };
    let answer = onwards(random, &cbuf);
    check(&cbuf, "of its own");
    match random.below(3) {
        0 => keep(random, cbuf),
        1 => keep(random, answer.unwrap_or(cbuf)),
        _ => {}
    }
}
