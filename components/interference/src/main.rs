//! Wants memory by a profile: every few milliseconds it allocates and lets go of a number of
//! buffers, while it holds as many as the profile says it cannot do without. What is done to each
//! buffer is chosen so that all of it takes the profile's share of the processor. Each buffer is
//! frozen as one that is passed on, so it comes back by a collection. Source: CBUFs, section 5.3.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::Error;
use abi::start::StartInfo;
use alloc::collections::VecDeque;
use core::hint::black_box;
use core::time::Duration;
use interference::{MOST_PAGES, Profile};
use rt::cbuf::{Buffer, Cbuf};
use rt::sync::Mutex;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

static PROFILE: Mutex<Profile> = Mutex::new(Profile::PAPER);

/// Rounds that are timed to know what one takes.
const TIMED: u64 = 20_000;
/// Between two tries while there is no memory: as often as a waiting thread would look again.
const RETRY: Duration = Duration::from_millis(5);
/// Between two lines that tell of its own time.
const TOLD: Duration = Duration::from_secs(1);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    let profile = Profile::parse(rt::info::arguments()).map_err(|problem| {
        rt::println!("{problem}");
        Error::BadArgument
    })?;
    *PROFILE.lock() = profile;
    Ok(())
}

/// What is done to a buffer; `rounds` of it.
fn work(bytes: &mut [u8], rounds: u64) {
    let mut left = rounds;
    while left > 0 && !bytes.is_empty() {
        for place in bytes.iter_mut().take(left as usize) {
            *place = black_box(left as u8);
            left -= 1;
        }
    }
}

/// This thread's own time.
fn ran() -> u64 {
    rt::sched::ran(rt::thread_id()).unwrap_or(0)
}

/// Rounds of work for each buffer, so that those of a period take the share.
fn calibrate(profile: &Profile) -> u64 {
    let mut bytes = [0; 4096];
    let before = ran();
    work(black_box(&mut bytes), TIMED);
    let taken = (ran() - before).max(1);
    let period = rt::time::ticks(Duration::from_millis(profile.period));
    let wanted = period * profile.share / 100 / profile.allocations;
    wanted * TIMED / taken
}

fn sleep_until(deadline: u64) {
    while rt::time::now() < deadline {
        if rt::sched::block(deadline).is_err() {
            rt::println!("no scheduler, so no periods");
            rt::component::stop();
        }
    }
}

fn main(_argument: u64) -> ! {
    let profile = *PROFILE.lock();
    let rounds = calibrate(&profile);
    let period = rt::time::ticks(Duration::from_millis(profile.period));
    let began = rt::time::now();
    let mut held: VecDeque<Cbuf<'static>> = VecDeque::with_capacity(MOST_PAGES as usize);
    let mut told = Told::new();
    let mut next = began;
    let since = || rt::time::duration(rt::time::now() - began).as_millis() as u64;
    loop {
        // A period that took longer than it should moves the next ones.
        next = (next + period).max(rt::time::now());
        sleep_until(next);
        let ms = since();
        match profile.demand(ms) {
            Some(pages) => {
                for _ in 0..profile.allocations {
                    told.made += u64::from(once(&mut held, rounds, || profile.demand(since())));
                }
                told.tell(pages);
            }
            None => {
                held.clear();
                if ms >= profile.end {
                    rt::println!("ends");
                    sleep_until(rt::time::NEVER);
                }
                told = Told::new();
            }
        }
    }
}

/// One allocation, holding no more than it cannot do without at that moment, however long it has
/// to wait for memory; `false` where it ended meanwhile.
fn once(held: &mut VecDeque<Cbuf<'static>>, rounds: u64, demand: impl Fn() -> Option<u64>) -> bool {
    while let Some(pages) = demand() {
        while held.len() as u64 >= pages {
            held.pop_front();
        }
        if let Ok(mut buffer) = Buffer::try_alloc(rt::cbuf::client(), 1) {
            work(&mut buffer, rounds);
            held.push_back(buffer.freeze(1));
            return true;
        }
        sleep_until(rt::time::after(RETRY));
    }
    false
}

/// When it last told of its own time.
struct Told {
    at: u64,
    ran: u64,
    /// Allocations since then.
    made: u64,
}

impl Told {
    fn new() -> Self {
        Self {
            at: rt::time::now(),
            ran: ran(),
            made: 0,
        }
    }

    fn tell(&mut self, pages: u64) {
        let (now, ran) = (rt::time::now(), ran());
        let passed = now - self.at;
        if passed >= rt::time::ticks(TOLD) {
            let thousandths = (ran - self.ran) * 1000 / passed;
            rt::println!(
                "holds {pages} pages, made {} allocations in {} ms, took {}.{}% of the processor",
                self.made,
                rt::time::duration(passed).as_millis(),
                thousandths / 10,
                thousandths % 10
            );
            (self.at, self.ran, self.made) = (now, ran, 0);
        }
    }
}
