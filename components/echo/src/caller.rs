//! Tests invocations, buffers, time and a second thread from inside, prints a line a test and
//! stops the machine.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{Error, ThreadId};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use rt::cbuf::Buffer;
use rt::suite::Suite;
use rt::time;
use stubs::echo::Client;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// Times that the second thread was woken.
static WOKEN: AtomicU32 = AtomicU32::new(0);
/// The second thread's number once it runs; 0 is `init`'s.
static HELPER: AtomicU32 = AtomicU32::new(0);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

type Test = fn() -> Result<(), Error>;

/// Thread argument 1 is the helper, 0 runs the tests.
fn main(argument: u64) -> ! {
    if argument == 1 {
        help()
    }
    let tests: [(&str, Test); 7] = [
        ("add", add),
        ("errors come back", errors_come_back),
        ("ten thousand invocations", many),
        ("copy through buffers", copy),
        ("a thousand buffers", thousand_buffers),
        ("sleep until a deadline", sleep),
        ("wake another thread", wake),
    ];
    let mut suite = Suite::new();
    for (name, test) in tests {
        suite.tell(name, test());
    }
    suite.finish()
}

/// `Unknown` stands for "it succeeded with the wrong result".
fn ensure(condition: bool) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(Error::Unknown)
    }
}

fn add() -> Result<(), Error> {
    let echo = Client::bind()?;
    ensure(echo.add(2, 3)? == 5 && echo.add(u64::MAX, 0)? == u64::MAX)
}

fn errors_come_back() -> Result<(), Error> {
    let echo = Client::bind()?;
    ensure(echo.add(u64::MAX, 1) == Err(Error::OutOfRange))?;
    let import = rt::import(stubs::echo::NAME).ok_or(Error::NotFound)?;
    ensure(rt::invoke(import.entry, 99, [0; 4]) == Err(Error::BadMethod))?;
    // A buffer that nobody sent.
    ensure(
        rt::invoke(
            import.entry,
            stubs::echo::method::COPY,
            [77 | 1 << 32, 0, 0, 0],
        )
        .is_err(),
    )
}

fn many() -> Result<(), Error> {
    let echo = Client::bind()?;
    (0..10_000).try_for_each(|i| ensure(echo.add(i, 1)? == i + 1))
}

fn copied(bytes: usize) -> Result<(), Error> {
    let seed = bytes as u64;
    let mut buffer = Buffer::alloc(rt::cbuf::client(), bytes)?;
    echo::fill(seed, &mut buffer[..bytes]);
    let answer = Client::bind()?.copy(&buffer.freeze(bytes))?;
    ensure(answer.len() == bytes && echo::first_difference(seed, &answer).is_none())
}

fn copy() -> Result<(), Error> {
    [1, 100, 4096, 5000, 65536].into_iter().try_for_each(copied)
}

/// More than both pools hold at once: collected buffers come back.
fn thousand_buffers() -> Result<(), Error> {
    (0..1000).try_for_each(|i| copied(1 + i * 8))
}

fn sleep() -> Result<(), Error> {
    let begun = time::now();
    let deadline = time::after(Duration::from_millis(20));
    ensure(!rt::sched::block(deadline)?)?;
    let slept = time::now() - begun;
    ensure(slept >= time::ticks(Duration::from_millis(20)))
}

fn helper() -> Result<ThreadId, Error> {
    for _ in 0..100 {
        // Acquire: what the helper did before it stored its number.
        if let number @ 1.. = HELPER.load(Ordering::Acquire) {
            return Ok(ThreadId(number as u16));
        }
        rt::sched::block(time::after(Duration::from_millis(10)))?;
    }
    Err(Error::TimedOut)
}

fn wake() -> Result<(), Error> {
    let helper = helper()?;
    for round in 0..50 {
        // Acquire: pairs with the helper's release.
        let before = WOKEN.load(Ordering::Acquire);
        rt::sched::wake(helper)?;
        while WOKEN.load(Ordering::Acquire) == before {
            rt::sched::yield_now()?;
            rt::sched::block(time::after(Duration::from_millis(1)))?;
        }
        ensure(WOKEN.load(Ordering::Acquire) == round + 1)?;
    }
    Ok(())
}

/// Counts how often it is woken.
fn help() -> ! {
    // Release: pairs with the acquire in `helper`.
    HELPER.store(u32::from(rt::thread_id().0), Ordering::Release);
    loop {
        match rt::sched::block(u64::MAX) {
            // Release: pairs with the acquire in `wake`.
            Ok(true) => WOKEN.fetch_add(1, Ordering::Release),
            Ok(false) => 0,
            Err(_) => rt::component::stop(),
        };
    }
}
