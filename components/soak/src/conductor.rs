//! Drives the soakers: passes buffers to them, makes their pools smaller and larger, kills them,
//! looks whether every buffer is whole and whether the account balances to the page; last, has all
//! of them let go and waits until every page is back. Prints a line a test and ends the machine.
//! The argument `millis` says for how long, `seed` which run it is.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use core::fmt;
use core::time::Duration;
use rt::suite::Suite;
use soak::Random;
use soak::parts::{Kept, check, fresh, others, pass, post};
use stubs::cbuf_policy::Client as Policy;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

static KEPT: Kept = Kept::new();
const MILLIS: u64 = 3000;
/// Smallest and largest pool that a soaker is given, in pages.
const LEAST: u64 = 2;
const MOST: u64 = 48;
/// In which all memory comes back: longer than the manager waits for what was sent to the dead.
const SETTLING: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_micros(300);

/// Why a test failed.
enum Wrong {
    During(&'static str, Error),
    /// Held, unpaid and unused pages, and how many there are.
    Unbalanced(u64, u64, u64, u64),
    /// Pages free, in limits, and how many there are.
    Limits(u64, u64, u64),
    /// Pages given, in no buffer or nobody's, the manager's own, and all.
    Memory(u64, u64, u64, u64),
    Pages(u64),
    Few(u64),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::During(what, error) => write!(f, "{what}: {error}"),
            Wrong::Unbalanced(held, unpaid, unused, total) => {
                write!(
                    f,
                    "{held} held, {unpaid} unpaid, {unused} unused of {total}"
                )
            }
            Wrong::Limits(free, limits, total) => {
                write!(f, "{free} free and {limits} in limits of {total}")
            }
            Wrong::Memory(given, free, own, total) => {
                write!(
                    f,
                    "{given} given, {free} free, {own} the manager's of {total}"
                )
            }
            Wrong::Pages(count) => write!(f, "{count} pages did not come back"),
            Wrong::Few(count) => write!(f, "only {count} times"),
        }
    }
}

type Outcome<T = ()> = Result<T, Wrong>;

trait During<T> {
    fn during(self, what: &'static str) -> Outcome<T>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, what: &'static str) -> Outcome<T> {
        self.map_err(|error| Wrong::During(what, error))
    }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn number(key: &str, otherwise: u64) -> u64 {
    let given = rt::info::argument(key).and_then(|text| text.parse().ok());
    given.unwrap_or(otherwise)
}

/// What was done.
#[derive(Default)]
struct Done {
    passed: u64,
    /// Sent, and let go of before it was received.
    posted: u64,
    killed: u64,
    /// Of these, with a heap that had grown.
    grown: u64,
    resized: u64,
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    let mut done = Done::default();
    suite.tell("all memory is accounted for", all_memory());
    suite.tell("soaking", soak(&mut done));
    suite.tell("everything comes back", settle());
    suite.tell("all memory is where it was", all_memory());
    let Done {
        passed,
        posted,
        killed,
        grown,
        resized,
    } = done;
    rt::println!(
        "{passed} buffers passed, {posted} posted, {killed} soakers killed, {grown} with a grown heap, {resized} pools resized"
    );
    suite.tell("the manager's lock is counted", lock());
    let enough = [passed / 20, posted / 2, killed, grown, resized]
        .into_iter()
        .min();
    suite.tell(
        "something happened",
        match enough {
            Some(count @ ..3) => Err(Wrong::Few(count)),
            _ => Ok(()),
        },
    );
    suite.finish()
}

fn pause() -> Outcome {
    let deadline = rt::time::after(PAUSE);
    rt::sched::block(deadline).map(drop).during("waiting")
}

fn soak(done: &mut Done) -> Outcome {
    let policy = Policy::bind().during("finding the manager")?;
    let supervisor = stubs::supervisor_control::Client::bind().during("finding the supervisor")?;
    let mut random = Random::new(number("seed", 1));
    let end = rt::time::after(Duration::from_millis(number("millis", MILLIS)));
    let count = others().count() as u64;
    while rt::time::now() < end {
        let Some(to) = others().nth(random.below(count) as usize) else {
            return Err(Wrong::During("finding soakers", Error::NotFound));
        };
        match random.below(64) {
            0 => {
                let number = u32::from(to.peer.0);
                let heap = policy.heap_of(number).during("asking for a heap")?;
                match supervisor.kill(number) {
                    Ok(()) => {
                        done.killed += 1;
                        done.grown += u64::from(heap.1 > 0);
                    }
                    // It is just being started anew.
                    Err(Error::BadState) => pause()?,
                    Err(error) => return Err(Wrong::During("killing", error)),
                }
            }
            1..=6 => {
                let pages = LEAST + random.below(MOST - LEAST);
                policy
                    .set_pool(u32::from(to.peer.0), pages)
                    .during("resizing a pool")?;
                done.resized += 1;
                balances(&policy)?;
            }
            7..=12 => pause()?,
            13..=16 => {
                if let Ok(cbuf) = fresh(&mut random, false) {
                    // It may just be dead.
                    done.posted += u64::from(post(to, cbuf).is_ok());
                }
            }
            17..=20 => {
                if let Some(kept) = KEPT.exchange(&mut random, None) {
                    check(&kept, "kept by the conductor");
                }
            }
            _ => {
                let Ok(cbuf) = fresh(&mut random, false) else {
                    // All that it has is with others.
                    pause()?;
                    continue;
                };
                // It may just be dead.
                if let Ok(answer) = pass(to, &cbuf, random.word()) {
                    check(&answer, "as the conductor's answer");
                    done.passed += 1;
                    drop(KEPT.exchange(&mut random, Some(answer)));
                }
                check(&cbuf, "that the conductor passed");
            }
        }
    }
    balances(&policy).map(drop)
}

/// Every page is somewhere, once. Answers the pages in buffers.
fn balances(policy: &Policy) -> Outcome<u64> {
    let (held, unpaid, unused, total) = policy.totals().during("asking for totals")?;
    if held + unpaid + unused != total {
        return Err(Wrong::Unbalanced(held, unpaid, unused, total));
    }
    // Limits change by this thread alone.
    let mut limits = 0;
    for component in 0..ComponentId::MAX as u32 {
        limits += policy.usage(component).map_or(0, |(limit, ..)| limit);
        limits += policy.heap_of(component).map_or(0, |(limit, ..)| limit);
    }
    let (free, total) = policy.memory().during("asking for memory")?;
    if free + limits != total {
        return Err(Wrong::Limits(free, limits, total));
    }
    Ok(held + unpaid)
}

/// What components have, of whatever kind, what the manager and init keep for themselves, and what
/// is free, is all that the kernel handed over.
fn all_memory() -> Outcome {
    let policy = Policy::bind().during("finding the manager")?;
    let supervisor = stubs::supervisor::Client::bind().during("finding the supervisor")?;
    let total = supervisor.total_pages().during("asking for all pages")?;
    let ungiven = supervisor.free_pages().during("asking for free pages")?;
    let (reserve, _used) = policy.reserve().during("asking for the reserve")?;
    let mut before = policy.totals().during("asking for totals")?;
    let (given, without, (_, unpaid, unused, _)) = loop {
        let (mut given, mut without) = (0, 0);
        for component in 0..ComponentId::MAX as u32 {
            let (fixed, owned, held, _text) = policy
                .memory_of(component)
                .during("asking for a component")?;
            given += fixed + owned + held;
            without += u64::from(fixed > 0);
        }
        // Where the soakers took or gave something meanwhile, once more.
        let after = policy.totals().during("asking for totals")?;
        if core::mem::replace(&mut before, after) == after {
            break (given, without, after);
        }
    };
    // Every component of the image has memory, and so has init.
    let components = others().count() as u64 + 4;
    if without != components || given + unpaid + unused + reserve + ungiven != total {
        return Err(Wrong::Memory(given, unpaid + unused, reserve, total));
    }
    Ok(())
}

/// Tells how often threads met at the manager.
fn lock() -> Outcome {
    let policy = Policy::bind().during("finding the manager")?;
    let (taken, waits, waited) = policy.lock().during("asking about the lock")?;
    let us = rt::time::duration(waited).as_micros();
    rt::println!(
        "the manager's lock was taken {taken} times, {waits} of them after {us} us in all"
    );
    policy.totals().during("taking it")?;
    // That call took it once more.
    match policy.lock().during("asking about the lock")? {
        (more, ..) if more > taken && waits < taken => Ok(()),
        _ => Err(Wrong::Few(taken)),
    }
}

/// Everybody lets go, and every pool is emptied.
fn settle() -> Outcome {
    let policy = Policy::bind().during("finding the manager")?;
    KEPT.release();
    let end = rt::time::after(SETTLING);
    let mut left = u64::MAX;
    while rt::time::now() < end {
        for soaker in others() {
            // One that is dead just now is asked again.
            let _ = rt::invoke(soaker.entry, stubs::soak::method::RELEASE, [0; 4]);
        }
        let own = rt::info().id;
        for peer in others().map(|o| o.peer).chain([own]) {
            policy
                .set_pool(u32::from(peer.0), 0)
                .during("emptying a pool")?;
        }
        left = balances(&policy)?;
        if left == 0 {
            return Ok(());
        }
        for _ in 0..100 {
            pause()?;
        }
    }
    Err(Wrong::Pages(left))
}
