//! Tests the scheduler and the locks with threads of three priorities, prints a line a test and
//! ends the machine. Each test sets a mode; the helpers look at it whenever they run.

#![no_std]
#![no_main]

extern crate alloc;

use abi::Error;
use abi::start::StartInfo;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use rt::suite::Suite;
use rt::sync::{Mutex, Notify};
use rt::time;
use threads::{Part, alike};

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// What helpers do.
mod mode {
    pub const REST: u32 = 0;
    /// The equals count as fast as they can.
    pub const COUNT: u32 = 1;
    /// The middle one spins.
    pub const MIDDLE_SPINS: u32 = 2;
    /// Both of it.
    pub const BOTH: u32 = 3;
    /// One of the equals holds the lock for a while, and the middle one spins.
    pub const HOLD: u32 = 4;
    /// All allocate, fill, check and free.
    pub const ALLOCATE: u32 = 5;
}

static MODE: AtomicU32 = AtomicU32::new(mode::REST);
static CHANGED: Notify = Notify::new();
static COUNTS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static LOCK: Mutex<u64> = Mutex::new(0);
static HELD: AtomicBool = AtomicBool::new(false);
static CORRUPT: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(argument: u64) -> ! {
    match Part::from_argument(argument) {
        Part::Tester => test(),
        part => help(part),
    }
}

// Every atomic here is sequentially consistent: a test has nothing to gain from less.
fn mode() -> u32 {
    MODE.load(Ordering::SeqCst)
}

fn set(mode: u32) {
    MODE.store(mode, Ordering::SeqCst);
    CHANGED.notify();
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn sleep(duration: Duration) -> Result<(), Error> {
    let deadline = time::after(duration);
    while time::now() < deadline {
        rt::sched::block(deadline)?;
    }
    Ok(())
}

fn spin(duration: Duration) {
    let deadline = time::after(duration);
    while time::now() < deadline {
        core::hint::spin_loop();
    }
}

fn help(part: Part) -> ! {
    loop {
        let now = CHANGED.wait_until(time::NEVER, || Some(mode()).filter(|m| *m != mode::REST));
        match (now, part) {
            (None, _) => rt::component::stop(),
            (Some(mode::COUNT | mode::BOTH), Part::Equal(n)) => {
                COUNTS[n].fetch_add(1, Ordering::SeqCst);
            }
            (Some(mode::MIDDLE_SPINS | mode::BOTH), Part::Middle) => spin(millis(1)),
            (Some(mode::HOLD), Part::Equal(0)) if !HELD.load(Ordering::SeqCst) => {
                let mut value = LOCK.lock();
                HELD.store(true, Ordering::SeqCst);
                spin(millis(20));
                *value += 1;
            }
            // Keeps the owner of the lock from running, unless it inherits.
            (Some(mode::HOLD), Part::Middle) if HELD.load(Ordering::SeqCst) => spin(millis(1)),
            (Some(mode::ALLOCATE), _) => allocate(),
            // Nothing to do in this mode: looks again later.
            _ => {
                if rt::sched::block(time::after(millis(1))).is_err() {
                    rt::component::stop();
                }
            }
        }
    }
}

/// Allocates blocks of many sizes, fills them, and checks that nobody else wrote there.
fn allocate() {
    let seed = time::now();
    let mut blocks: Vec<Vec<u64>> = Vec::new();
    for n in 0..16 {
        let words = 1 + (seed.wrapping_mul(n + 1) >> 7) % 200;
        blocks.push(alloc::vec![seed ^ n; words as usize]);
    }
    for (n, block) in blocks.iter().enumerate() {
        if block.iter().any(|word| *word != seed ^ n as u64) {
            CORRUPT.fetch_add(1, Ordering::SeqCst);
        }
    }
    ROUNDS.fetch_add(1, Ordering::SeqCst);
}

fn test() -> ! {
    type Test = fn() -> Result<(), Error>;
    let tests: [(&str, Test); 6] = [
        ("equals share the processor", equals_share),
        ("a sleeper preempts whoever runs", sleeper_preempts),
        ("lower priorities wait", lower_waits),
        ("a lock's owner inherits", owner_inherits),
        ("a lock that was tried stays shut", tried_stays_shut),
        ("the heap survives all threads", heap_survives),
    ];
    let mut suite = Suite::new();
    for (name, test) in tests {
        let result = test();
        set(mode::REST);
        suite.tell(name, result.and_then(|()| sleep(millis(5))));
    }
    suite.finish()
}

/// `Unknown` stands for "it went otherwise".
fn ensure(condition: bool) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(Error::Unknown)
    }
}

fn counts() -> [u64; 2] {
    [0, 1].map(|n: usize| COUNTS[n].load(Ordering::SeqCst))
}

fn equals_share() -> Result<(), Error> {
    set(mode::COUNT);
    sleep(millis(300))?;
    let [a, b] = counts();
    ensure(alike(a, b, 4))
}

fn sleeper_preempts() -> Result<(), Error> {
    set(mode::BOTH);
    for _ in 0..20 {
        let deadline = time::after(millis(3));
        rt::sched::block(deadline)?;
        // Generous, since the machine under us may be busy; without preemption it is for ever.
        ensure(time::now() < deadline + time::ticks(millis(500)))?;
    }
    Ok(())
}

fn lower_waits() -> Result<(), Error> {
    set(mode::BOTH);
    sleep(millis(5))?;
    let before = counts();
    sleep(millis(100))?;
    ensure(counts() == before)
}

fn owner_inherits() -> Result<(), Error> {
    HELD.store(false, Ordering::SeqCst);
    set(mode::HOLD);
    while !HELD.load(Ordering::SeqCst) {
        sleep(millis(1))?;
    }
    // The owner has the lowest priority and the middle one never stops: without inheritance
    // this takes for ever.
    ensure(*LOCK.lock() == 1)
}

fn tried_stays_shut() -> Result<(), Error> {
    let held = LOCK.lock();
    // The second would find what the first opened.
    let tried = [LOCK.try_lock().is_none(), LOCK.try_lock().is_none()];
    drop(held);
    match (tried, LOCK.try_lock()) {
        ([true, true], Some(_)) => Ok(()),
        _ => Err(Error::BadState),
    }
}

fn heap_survives() -> Result<(), Error> {
    set(mode::ALLOCATE);
    for _ in 0..100 {
        allocate();
        rt::sched::block(time::after(millis(2)))?;
    }
    let rounds = ROUNDS.load(Ordering::SeqCst);
    ensure(rounds > 200 && CORRUPT.load(Ordering::SeqCst) == 0)
}
