//! Kills components in every way and checks that they come back as new, that no memory is lost,
//! and that what cannot start stays dead. Prints a line a test and ends the machine: 0 when all
//! passed.

#![no_std]
#![no_main]

use abi::start::{Import, StartInfo};
use abi::{CPtr, ComponentId, Error, ThreadId};
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use rt::cbuf::Buffer;
use rt::suite::Suite;
use stubs::victim::method;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

const BYTES: usize = 8192;
/// Rounds of them in which pools have filled.
const FILLING: usize = 16;
const KILLS: u64 = 20;
/// Milliseconds that a component may take to come back, or to be given up.
const PATIENCE: u32 = 2000;
const RUNNING: u32 = 1;
const DEAD: u32 = 2;

/// What the second thread is to invoke, what came of it, and its number.
static VISIT: AtomicU32 = AtomicU32::new(0);
static VISITED: AtomicU64 = AtomicU64::new(0);
static VISITOR: AtomicU32 = AtomicU32::new(0);

/// Why a test failed: what was done, and what came of it.
struct Wrong(&'static str, Result<u64, Error>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Ok(answer) => write!(f, "{}: {answer}", self.0),
            Err(error) => write!(f, "{}: {error}", self.0),
        }
    }
}

type Outcome = Result<(), Wrong>;
type Test = fn() -> Outcome;

/// Puts what was being done before an error.
trait During<T> {
    fn during(self, what: &'static str) -> Result<T, Wrong>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, what: &'static str) -> Result<T, Wrong> {
        self.map_err(|error| Wrong(what, Err(error)))
    }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(argument: u64) -> ! {
    if argument == 1 {
        visit()
    }
    let tests: [(&str, Test); 8] = [
        ("who-may-be-killed", who_may_be_killed),
        ("killed-20-times", killed_often),
        ("pages-are-the-same", pages_are_the_same),
        ("killed-with-a-thread-inside", killed_with_a_thread_inside),
        ("memory-is-as-new", memory_is_as_new),
        ("threads-begin-anew", threads_begin_anew),
        ("faults-in-a-row", faults_in_a_row),
        ("given-up-when-it-cannot-start", given_up),
    ];
    let mut suite = Suite::new();
    for (name, test) in tests {
        suite.tell(name, test());
    }
    suite.finish()
}

/// The second thread: stays in the component that the first one names, and keeps the error.
fn visit() -> ! {
    // Release and acquire pair with the first thread's.
    VISITOR.store(u32::from(rt::thread_id().0), Ordering::Release);
    loop {
        if rt::sched::block(rt::time::NEVER).is_err() {
            rt::component::stop()
        }
        let entry = CPtr(VISIT.swap(0, Ordering::AcqRel));
        if entry != CPtr::NULL
            && let Err(error) = rt::invoke(entry, method::STAY, [0; 4])
        {
            VISITED.store(error as u64, Ordering::Release);
        }
    }
}

fn pause() -> Outcome {
    let deadline = rt::time::after(Duration::from_millis(1));
    rt::sched::block(deadline).map(drop).during("waiting")
}

/// Tries until it succeeds, or too long.
fn until(what: &'static str, mut done: impl FnMut() -> Result<Option<u64>, Wrong>) -> Outcome {
    for _ in 0..PATIENCE {
        if done()?.is_some() {
            return Ok(());
        }
        pause()?;
    }
    Err(Wrong(what, Err(Error::TimedOut)))
}

/// The `n`th provider of `victim` in the image's order: one that works, one that cannot start.
fn victim(n: usize) -> Result<&'static Import, Wrong> {
    let info = rt::info();
    let imports = info.imports[..usize::from(info.imports_len)].iter();
    let mut victims = imports.filter(|i| i.interface.as_str() == stubs::victim::NAME);
    let found = victims.nth(n).ok_or(Error::NotFound);
    found.during("finding a victim")
}

fn state(component: ComponentId) -> Result<(u32, u64, u64), Wrong> {
    stubs::supervisor::Client::bind()
        .and_then(|s| s.state(u32::from(component.0)))
        .during("asking the supervisor")
}

fn kill(component: ComponentId) -> Result<(), Error> {
    stubs::supervisor_control::Client::bind()?.kill(u32::from(component.0))
}

/// One number of the victim's.
fn ask(victim: &Import, method: u64) -> Result<u64, Error> {
    rt::invoke(victim.entry, method, [0; 4]).map(|[number, ..]| number)
}

/// Waits until the victim answers again.
fn back(victim: &Import) -> Outcome {
    until("coming back", || match ask(victim, method::ROUNDS) {
        Ok(_) => Ok(Some(0)),
        Err(Error::Dead) => Ok(None),
        Err(error) => Err(Wrong("a victim answers", Err(error))),
    })
}

/// Echo answers, with buffers that go both ways.
fn echoes() -> Result<(), Error> {
    let echo = stubs::echo::Client::bind()?;
    let mut buffer = Buffer::alloc(rt::cbuf::client(), BYTES)?;
    for (n, byte) in buffer.iter_mut().enumerate() {
        *byte = n as u8;
    }
    let data = buffer.freeze(BYTES);
    let copy = echo.copy(&data)?;
    match copy.len() == BYTES && *copy == *data {
        true => Ok(()),
        false => Err(Error::Unknown),
    }
}

/// Kills echo so many times; each time it must answer again.
fn kill_echo(times: u64) -> Outcome {
    let echo = stubs::echo::Client::bind().during("finding echo")?.peer();
    let (.., before) = state(echo)?;
    for _ in 0..times {
        echoes().during("echo before a kill")?;
        kill(echo).during("killing echo")?;
        until("echo coming back", || match echoes() {
            Ok(()) => Ok(Some(0)),
            Err(Error::Dead) => Ok(None),
            Err(error) => Err(Wrong("echo after a kill", Err(error))),
        })?;
    }
    match state(echo)? {
        (RUNNING, 0, after) if after == before + times => Ok(()),
        (.., after) => Err(Wrong("restarts of echo", Ok(after))),
    }
}

fn who_may_be_killed() -> Outcome {
    let sched = rt::import("sched").ok_or(Error::NotFound);
    let sched = sched.during("finding the scheduler")?.peer;
    for (id, expected) in [
        (sched, Error::Refused),
        (ComponentId::INIT, Error::NotFound),
        (ComponentId(63), Error::NotFound),
        (ComponentId(u16::MAX), Error::NotFound),
    ] {
        match kill(id) {
            Err(error) if error == expected => {}
            other => return Err(Wrong("killing what must live", other.map(|()| 0))),
        }
    }
    // Who may only look has no method that kills.
    let look = rt::import(stubs::supervisor::NAME).ok_or(Error::NotFound);
    let look = look.during("finding the supervisor")?.entry;
    for method in stubs::supervisor::method::TOTAL_PAGES + 1..8 {
        match rt::invoke(look, method, [u64::from(victim(0)?.peer.0), 0, 0, 0]) {
            Err(Error::BadMethod) => {}
            other => return Err(Wrong("a method too many", other.map(|[word, ..]| word))),
        }
    }
    Ok(())
}

fn killed_often() -> Outcome {
    kill_echo(KILLS)
}

/// Free pages of the supervisor, and the CBUF manager's account, before and after.
fn pages_are_the_same() -> Outcome {
    let pages = || -> Result<[u64; 5], Wrong> {
        let free = stubs::supervisor::Client::bind().and_then(|s| s.free_pages());
        let [a, b, c, d] = rt::cbuf::memory().during("asking the manager")?;
        Ok([free.during("asking the supervisor")?, a, b, c, d])
    };
    let mut before = pages()?;
    // Pools first fill what they are allowed; what leaks never comes to an end.
    for _ in 0..FILLING {
        kill_echo(KILLS)?;
        let after = pages()?;
        if before == after {
            return Ok(());
        }
        before = after;
    }
    rt::println!("pages at last {before:?}");
    Err(Wrong("pages differ, those in buffers", Ok(before[4])))
}

fn killed_with_a_thread_inside() -> Outcome {
    let victim = victim(0)?;
    for _ in 0..3 {
        VISITED.store(0, Ordering::Release);
        VISIT.store(victim.entry.0, Ordering::Release);
        let visitor = ThreadId(VISITOR.load(Ordering::Acquire) as u16);
        // It runs before us, until it waits inside.
        rt::sched::wake(visitor).during("waking the visitor")?;
        kill(victim.peer).during("killing a victim")?;
        until("the visitor coming out", || {
            Ok(match VISITED.load(Ordering::Acquire) {
                0 => None,
                status => Some(status),
            })
        })?;
        match VISITED.load(Ordering::Acquire) {
            status if status == Error::Dead as u64 => {}
            status => return Err(Wrong("the visitor's status", Ok(status))),
        }
        back(victim)?;
    }
    Ok(())
}

/// Visits are numbered from 1 after each restart.
fn memory_is_as_new() -> Outcome {
    let victim = victim(0)?;
    for round in 0..6 {
        for expected in 1..=3 {
            match ask(victim, method::VISIT) {
                Ok(number) if round == 0 || number == expected => {}
                other => return Err(Wrong("the number of a visit", other)),
            }
        }
        kill(victim.peer).during("killing a victim")?;
        back(victim)?;
    }
    Ok(())
}

fn threads_begin_anew() -> Outcome {
    let victim = victim(0)?;
    for _ in 0..6 {
        for least in [1, 4] {
            until("its thread going round", || {
                match ask(victim, method::ROUNDS) {
                    Ok(rounds) if rounds >= least => Ok(Some(rounds)),
                    Ok(_) => Ok(None),
                    Err(error) => Err(Wrong("asking for rounds", Err(error))),
                }
            })?;
        }
        kill(victim.peer).during("killing a victim")?;
        back(victim)?;
    }
    Ok(())
}

/// By its own fault, soon after each start: it comes back every time.
fn faults_in_a_row() -> Outcome {
    let victim = victim(0)?;
    let (_, faults, _) = state(victim.peer)?;
    for _ in 0..6 {
        match ask(victim, method::FALL) {
            Err(Error::Dead) => back(victim)?,
            other => return Err(Wrong("letting it fall", other)),
        }
    }
    match state(victim.peer)? {
        (RUNNING, after, _) if after == faults + 6 => Ok(()),
        (_, after, _) => Err(Wrong("faults", Ok(after))),
    }
}

/// Started once and eight times more; then it is left alone, and everything else goes on.
fn given_up() -> Outcome {
    let victim = victim(1)?;
    until("being given up", || {
        Ok((state(victim.peer)?.0 == DEAD).then_some(0))
    })?;
    match (state(victim.peer)?, ask(victim, method::VISIT)) {
        ((DEAD, 9, 8), Err(Error::Dead)) => echoes().during("echo"),
        ((_, _, restarts), Err(Error::Dead)) => Err(Wrong("restarts", Ok(restarts))),
        (_, other) => Err(Wrong("what cannot start answers", other)),
    }
}
