//! Threads of three priorities that wait for memory: who gets it first, what is written down about
//! their waiting, and who pays for what another holds. Prints a line a test and ends the machine.

#![no_std]
#![no_main]

use abi::start::{Import, StartInfo};
use abi::{ComponentId, Error, ThreadId};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use rt::cbuf::{Buffer, Cbuf};
use rt::suite::Suite;
use rt::sync::Mutex;
use soak::parts::{others, pass};
use stubs::cbuf_policy::Client as Policy;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// Pages of this component's pool, and threads that wait, by their argument from 1 to this, the
/// last the most urgent.
const POOL: u64 = 4;
const WAITERS: u64 = 3;
const PAUSE: Duration = Duration::from_millis(1);
/// Pauses that anything here takes at most.
const PATIENCE: u32 = 3000;

/// The argument of a thread less urgent than those, which does what memory comes by: so whoever is
/// told first runs first, and has it.
const GIVER: u64 = 4;
/// What it is to do: a pool size, or [`RELEASE`]; 0 when it is done.
static GIVE: AtomicU64 = AtomicU64::new(0);
const RELEASE: u64 = u64::MAX;
static GIVER_NUMBER: AtomicU64 = AtomicU64::new(0);
/// What came of it.
static GIVEN: AtomicU64 = AtomicU64::new(0);

/// Threads that are to ask for memory, as a bit set by argument, and what they got.
static WANTED: AtomicU64 = AtomicU64::new(0);
static GOT: Mutex<[Option<Buffer<'static>>; WAITERS as usize]> =
    Mutex::new([const { None }; WAITERS as usize]);
/// Arguments of those that got something, the last in the lowest four bits.
static ORDER: AtomicU64 = AtomicU64::new(0);
/// Numbers of the threads, each plus one, sixteen bits each.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What was being done, and what came of it.
struct Wrong(&'static str, Result<u64, Error>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Ok(number) => write!(f, "{}: {number:#x}", self.0),
            Err(error) => write!(f, "{}: {error}", self.0),
        }
    }
}

type Outcome<T = ()> = Result<T, Wrong>;
type Test = fn(&Policy) -> Outcome;

trait During<T> {
    fn during(self, what: &'static str) -> Outcome<T>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, what: &'static str) -> Outcome<T> {
        self.map_err(|error| Wrong(what, Err(error)))
    }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(argument: u64) -> ! {
    match argument {
        0 => {}
        GIVER => give(),
        _ => wait_for_memory(argument),
    }
    let tests: [(&str, Test); 5] = [
        ("what-comes-back-goes-to-the-most-urgent", comes_back),
        ("what-a-pool-grows-by-goes-to-the-most-urgent", grows),
        ("time-waited-is-on-both-accounts", sums),
        ("who-holds-for-too-long-pays", pays),
        ("a-death-releases-everything", dies),
    ];
    let mut suite = Suite::new();
    for (name, test) in tests {
        let policy = Policy::bind().during("finding the manager");
        suite.tell(name, policy.and_then(|policy| test(&policy)));
    }
    suite.finish()
}

/// One of the waiting threads: when it is told to, asks for a page, and notes when it got it.
fn wait_for_memory(argument: u64) -> ! {
    let number = u64::from(rt::thread_id().0) + 1;
    // SeqCst here and below: nothing to gain from less.
    NUMBERS.fetch_or(number << (16 * (argument - 1)), Ordering::SeqCst);
    let bit = 1 << argument;
    loop {
        if WANTED.fetch_and(!bit, Ordering::SeqCst) & bit == 0 {
            if rt::sched::block(rt::time::NEVER).is_err() {
                rt::component::stop()
            }
            continue;
        }
        if let Ok(buffer) = Buffer::alloc(rt::cbuf::client(), 1) {
            let note = |order| Some(order << 4 | argument);
            let _ = ORDER.fetch_update(Ordering::SeqCst, Ordering::SeqCst, note);
            GOT.lock()[argument as usize - 1] = Some(buffer);
        }
    }
}

fn give() -> ! {
    GIVER_NUMBER.store(u64::from(rt::thread_id().0) + 1, Ordering::SeqCst);
    while rt::sched::block(rt::time::NEVER).is_ok() {
        let given = match GIVE.load(Ordering::SeqCst) {
            0 => continue,
            RELEASE => release(),
            pages => Policy::bind()
                .and_then(|policy| policy.set_pool(own(), pages))
                .during("setting the pool"),
        };
        GIVEN.store(u64::from(given.is_ok()), Ordering::SeqCst);
        GIVE.store(0, Ordering::SeqCst);
    }
    rt::component::stop()
}

/// Has the least urgent thread do something.
fn have_given(what: u64) -> Outcome {
    until("the giver starting", || {
        Ok(GIVER_NUMBER.load(Ordering::SeqCst) != 0)
    })?;
    GIVE.store(what, Ordering::SeqCst);
    let giver = ThreadId(GIVER_NUMBER.load(Ordering::SeqCst) as u16 - 1);
    rt::sched::wake(giver).during("waking the giver")?;
    until("giving", || Ok(GIVE.load(Ordering::SeqCst) == 0))?;
    expect("giving", GIVEN.load(Ordering::SeqCst), 1)
}

fn pause() -> Outcome {
    let deadline = rt::time::after(PAUSE);
    rt::sched::block(deadline).map(drop).during("waiting")
}

fn until(what: &'static str, mut done: impl FnMut() -> Outcome<bool>) -> Outcome {
    for _ in 0..PATIENCE {
        if done()? {
            return Ok(());
        }
        pause()?;
    }
    Err(Wrong(what, Err(Error::TimedOut)))
}

fn expect(what: &'static str, got: u64, expected: u64) -> Outcome {
    if got == expected {
        Ok(())
    } else {
        Err(Wrong(what, Ok(got)))
    }
}

fn own() -> u32 {
    u32::from(rt::info().id.0)
}

fn holder() -> Outcome<&'static Import> {
    others()
        .next()
        .ok_or(Error::NotFound)
        .during("finding the holder")
}

/// Has the holder let go of one.
fn release() -> Outcome {
    let [count, ..] =
        rt::invoke(holder()?.entry, stubs::soak::method::RELEASE, [0; 4]).during("releasing")?;
    expect("releasing", count, 1)
}

fn threads() -> [ThreadId; WAITERS as usize] {
    let numbers = NUMBERS.load(Ordering::SeqCst);
    core::array::from_fn(|n| ThreadId((numbers >> (16 * n)) as u16 - 1))
}

/// Passes all of the pool to the holder, which keeps it.
fn give_all_away() -> Outcome {
    for _ in 0..POOL {
        let page = Buffer::try_alloc(rt::cbuf::client(), 1).during("filling the pool")?;
        let back: Cbuf<'_> = pass(holder()?, &page.freeze(1), 0).during("passing a page")?;
        drop(back);
    }
    match Buffer::try_alloc(rt::cbuf::client(), 1) {
        Err(Error::NoMemory) => Ok(()),
        other => Err(Wrong(
            "one page too many",
            other.map(|b| u64::from(b.id().0)),
        )),
    }
}

/// Has all threads ask, the least urgent first, and each wait before the next.
fn all_ask(policy: &Policy) -> Outcome {
    until("threads starting", || {
        Ok((0..WAITERS).all(|n| NUMBERS.load(Ordering::SeqCst) >> (16 * n) & 0xffff != 0))
    })?;
    ORDER.store(0, Ordering::SeqCst);
    for argument in 1..=WAITERS {
        WANTED.fetch_or(1 << argument, Ordering::SeqCst);
        rt::sched::wake(threads()[argument as usize - 1]).during("waking a thread")?;
        until("blocking", || {
            let (.., blocked) = policy.usage(own()).during("asking who waits")?;
            Ok(blocked == argument)
        })?;
    }
    Ok(())
}

/// One page comes, as often as there are threads: each time the most urgent has it that is left.
fn one_by_one(policy: &Policy, mut come: impl FnMut(u64) -> Outcome) -> Outcome {
    all_ask(policy)?;
    let mut expected = 0;
    for n in 0..WAITERS {
        come(n)?;
        expected = expected << 4 | (WAITERS - n);
        until("getting the page", || {
            Ok(ORDER.load(Ordering::SeqCst) >= 1 << (4 * n))
        })?;
        // Long enough for all to have looked again.
        for _ in 0..12 {
            pause()?;
        }
        expect("the order", ORDER.load(Ordering::SeqCst), expected)?;
        let (.., blocked) = policy.usage(own()).during("asking who waits")?;
        // One that looks just now is not blocked.
        if blocked > WAITERS - n - 1 {
            return Err(Wrong("threads blocked", Ok(blocked)));
        }
    }
    GOT.lock().iter_mut().for_each(|got| *got = None);
    Ok(())
}

fn comes_back(policy: &Policy) -> Outcome {
    give_all_away()?;
    one_by_one(policy, |_| have_given(RELEASE))?;
    release()
}

fn grows(policy: &Policy) -> Outcome {
    give_all_away()?;
    let result = one_by_one(policy, |n| have_given(POOL + n + 1));
    for _ in 0..POOL {
        release()?;
    }
    policy.set_pool(own(), POOL).during("shrinking the pool")?;
    result
}

type Figures = [u64; 4];

fn figures(answer: (u64, u64, u64, u64)) -> Figures {
    let (blocked, collecting, collections, collected) = answer;
    [blocked, collecting, collections, collected]
}

fn sum(all: impl Iterator<Item = Figures>) -> Figures {
    all.fold([0; 4], |sum, figures| {
        core::array::from_fn(|n| sum[n] + figures[n])
    })
}

/// No tick and no collection is on one account alone, and who is less urgent waited longer.
fn sums(policy: &Policy) -> Outcome {
    let thread = |number: u32| policy.thread_timing(number).map_or([0; 4], figures);
    let component = |number: u32| policy.timing(number).map_or([0; 4], figures);
    let by_thread = sum((0..ThreadId::MAX as u32).map(thread));
    let by_component = sum((0..ComponentId::MAX as u32).map(component));
    for (mine, other) in by_thread.into_iter().zip(by_component) {
        expect("a sum over threads", mine, other)?;
    }
    let [first, second, third] = threads().map(|t| thread(u32::from(t.0))[0]);
    if !(first > second && second > third && third > 0) {
        return Err(Wrong("the most urgent waited", Ok(third)));
    }
    // Ours that may not wait is noted with a tick each time.
    let blocked = component(own())[0];
    if blocked < first + second + third || by_component[1] == 0 || by_component[2] == 0 {
        return Err(Wrong("the component waited", Ok(blocked)));
    }
    Ok(())
}

fn charges(policy: &Policy) -> Outcome<(u64, u64)> {
    let holder = u32::from(holder()?.peer.0);
    let (charged, _) = policy.charges(holder).during("asking what it pays")?;
    let (_, lent) = policy.charges(own()).during("asking what is lent")?;
    Ok((charged, lent))
}

fn pays(policy: &Policy) -> Outcome {
    give_all_away()?;
    if charges(policy)? != (0, 0) {
        return Err(Wrong("paying at once", Ok(charges(policy)?.0)));
    }
    // It wants memory all the time, and has none until the other pays.
    let started = rt::time::now();
    let mut again = [const { None }; POOL as usize];
    for place in &mut again {
        until("having a page again", || {
            *place = Buffer::try_alloc(rt::cbuf::client(), 1).ok();
            Ok(place.is_some())
        })?;
        let waited = rt::time::duration(rt::time::now() - started);
        if waited < Duration::from_millis(900) {
            return Err(Wrong(
                "milliseconds until it paid",
                Ok(waited.as_millis() as u64),
            ));
        }
    }
    if charges(policy)? != (POOL, POOL) {
        return Err(Wrong("pages charged", Ok(charges(policy)?.0)));
    }
    drop(again);
    // What is let go is ours again, and nobody's charge.
    for _ in 0..POOL {
        release()?;
    }
    if charges(policy)? != (0, 0) {
        return Err(Wrong("paying still", Ok(charges(policy)?.0)));
    }
    balances(policy)
}

/// Every page is somewhere, once.
fn balances(policy: &Policy) -> Outcome {
    let (held, unpaid, unused, total) = policy.totals().during("asking for totals")?;
    expect("all pages", held + unpaid + unused, total)
}

/// The holder dies with pages of ours and of its own: page for page, it is as if it had never had
/// any.
fn dies(policy: &Policy) -> Outcome {
    let supervisor = stubs::supervisor_control::Client::bind().during("finding the supervisor")?;
    let number = u32::from(holder()?.peer.0);
    let held = || {
        policy
            .usage(number)
            .map(|(_, held, ..)| held)
            .during("asking what it holds")
    };
    let totals = || policy.totals().during("asking for totals");
    let before = totals()?;
    let others = before.0 - held()?;
    for _ in 0..2 {
        let page = Buffer::try_alloc(rt::cbuf::client(), 1).during("taking a page")?;
        pass(holder()?, &page.freeze(1), 3).during("passing a page")?;
    }
    if held()? < 6 {
        return Err(Wrong("pages that it has", Ok(held()?)));
    }
    supervisor.kill(number).during("killing the holder")?;
    expect("pages that the dead has", held()?, 0)?;
    let (after, unpaid, unused, total) = totals()?;
    // Ours had four at most, before and after.
    let ours = policy
        .usage(own())
        .map(|(_, held, ..)| held)
        .during("asking what we hold")?;
    if ours > POOL || unpaid != 0 {
        return Err(Wrong("pages nobody pays for", Ok(unpaid)));
    }
    expect("pages of all others", after, others)?;
    expect("pages in no buffer", unused, total - others)?;
    // All of our pool is there, and the next holder works.
    until("the holder coming back", || {
        let page = Buffer::try_alloc(rt::cbuf::client(), 1).during("taking a page")?;
        match pass(holder()?, &page.freeze(1), 0) {
            Ok(_) => Ok(true),
            Err(Error::Dead) => Ok(false),
            Err(error) => Err(Wrong("passing a page", Err(error))),
        }
    })?;
    release()?;
    give_all_away()?;
    balances(policy)
}
