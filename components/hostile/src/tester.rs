//! Invokes every hostile component once and checks that it got what it deserves while the rest
//! goes on. Prints a line a test and ends the machine: 0 when all passed.

#![no_std]
#![no_main]

use abi::start::{Import, StartInfo};
use abi::{CPtr, ComponentId, Error, ThreadId};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use hostile::{Deed, Outcome};
use rt::cbuf::{Buffer, Cbuf};
use rt::suite::Suite;
use stubs::hostile::method;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

const PATTERN: u8 = 0x5a;
const BYTES: usize = 4096;
/// Rounds of waiting for a thread that faults on its own.
const PATIENCE: u32 = 100;
const DEAD: u32 = 2;

/// What the second thread is to invoke, what came of it, and its number.
static VISIT: AtomicU32 = AtomicU32::new(0);
static VISITED: AtomicU64 = AtomicU64::new(0);
/// What the second thread found in the registers that an invocation loses.
static REMAINS: AtomicU64 = AtomicU64::new(0);
static VISITOR: AtomicU32 = AtomicU32::new(0);
/// Whether there is a third thread, what it exchanged, and whether that went wrong.
static EXCHANGING: AtomicBool = AtomicBool::new(false);
static EXCHANGING_WRONG: AtomicBool = AtomicBool::new(false);
static EXCHANGES: AtomicU64 = AtomicU64::new(0);
/// It is to end.
static EXCHANGED: AtomicBool = AtomicBool::new(false);
/// In which all memory of the dead comes back: longer than the manager waits for what they sent.
const SETTLING: Duration = Duration::from_secs(20);

/// Why a test failed.
enum Wrong {
    Error(&'static str, Error),
    Succeeded(u64),
    Answered(Result<u64, Error>),
    NotDead(u32),
    BufferChanged,
    Sum,
    Stranded(u64),
    Remains(u64),
    Exchanges(u64),
    Account([u64; 4]),
    /// Pages held, unpaid, unused and in all, and the last component that holds some.
    Left([u64; 4], u32),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Error(what, error) => write!(f, "{what}: {error}"),
            Wrong::Succeeded(count) => write!(f, "{count} forbidden things succeeded"),
            Wrong::Answered(answer) => write!(f, "it answered {answer:?}"),
            Wrong::NotDead(state) => write!(f, "its supervisor says state {state}"),
            Wrong::BufferChanged => f.write_str("the buffer changed"),
            Wrong::Stranded(status) => {
                write!(f, "the thread inside got status {status}, 0 for none")
            }
            Wrong::Remains(bits) => write!(f, "registers of the dead hold {bits:#x}"),
            Wrong::Exchanges(count) => write!(f, "the exchange stops after {count} buffers"),
            Wrong::Account(figures) => write!(f, "free, total, live, pooled are {figures:?}"),
            Wrong::Left(figures, holder) => {
                write!(
                    f,
                    "held, unpaid, unused, total are {figures:?}, component {holder} holds some"
                )
            }
            Wrong::Sum => f.write_str("echo adds wrongly"),
        }
    }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(argument: u64) -> ! {
    match argument {
        1 => visit(),
        2 => exchange(),
        _ => {}
    }
    let mut suite = Suite::new();
    let info = rt::info();
    for import in &info.imports[..usize::from(info.imports_len)] {
        if import.interface.as_str() != stubs::hostile::NAME {
            continue;
        }
        suite.tell(name(import), test(import));
    }
    if EXCHANGING.load(Ordering::Acquire) {
        suite.tell("exchanges-go-on", exchanged());
        EXCHANGED.store(true, Ordering::Release);
    }
    if rt::import(stubs::cbuf_policy::NAME).is_some() {
        suite.tell("the-dead-give-everything-back", all_back());
    }
    suite.finish()
}

/// The third thread: sends an honest component buffers of all small sizes, each with bytes of its
/// own, and compares what comes back. Ends at the first that is wrong.
fn exchange() -> ! {
    EXCHANGING.store(true, Ordering::Release);
    for round in 0u64.. {
        if EXCHANGED.load(Ordering::Acquire) {
            rest()
        }
        let bytes = 1 + round as usize * 97 % (3 * BYTES);
        match exchange_one(round, bytes) {
            Ok(true) => EXCHANGES.fetch_add(1, Ordering::Release),
            _ => break,
        };
        // Others of its priority run, too.
        if rt::sched::block(rt::time::after(Duration::from_micros(200))).is_err() {
            break;
        }
    }
    EXCHANGING_WRONG.store(true, Ordering::Release);
    rest()
}

/// Does nothing any more.
fn rest() -> ! {
    while rt::sched::block(rt::time::NEVER).is_ok() {}
    rt::component::stop()
}

fn exchange_one(round: u64, bytes: usize) -> Result<bool, Error> {
    let echo = stubs::echo::Client::bind()?;
    let mut buffer = Buffer::alloc(rt::cbuf::client(), bytes)?;
    let byte = |n: usize| (round as usize ^ n.wrapping_mul(31)) as u8;
    for (n, at) in buffer[..bytes].iter_mut().enumerate() {
        *at = byte(n);
    }
    let sent = buffer.freeze(bytes);
    let copy = echo.copy(&sent)?;
    let same = |cbuf: &Cbuf<'_>| cbuf.iter().enumerate().all(|(n, at)| *at == byte(n));
    Ok(copy.len() == bytes && same(&copy) && same(&sent))
}

/// None was wrong, and they go on to the end.
fn exchanged() -> Result<(), Wrong> {
    let before = EXCHANGES.load(Ordering::Acquire);
    for _ in 0..PATIENCE {
        if EXCHANGING_WRONG.load(Ordering::Acquire) {
            return Err(Wrong::BufferChanged);
        }
        if EXCHANGES.load(Ordering::Acquire) > before + 10 {
            return account();
        }
        pause(Duration::from_millis(1))?;
    }
    Err(Wrong::Exchanges(before))
}

/// The manager's figures agree with each other: what is live is in pools, what is in pools is there.
fn account() -> Result<(), Wrong> {
    let memory = rt::cbuf::memory().map_err(|error| Wrong::Error("no account", error))?;
    let [free, total, live, pooled] = memory;
    if live <= pooled && free + pooled <= total && live > 0 {
        Ok(())
    } else {
        Err(Wrong::Account(memory))
    }
}

/// Kills those that attacked the manager, while honest ones have buffers, and has everybody let go:
/// page for page, all memory of the pools is free.
fn all_back() -> Result<(), Wrong> {
    let failed = |error| Wrong::Error("no manager", error);
    let policy = stubs::cbuf_policy::Client::bind().map_err(failed)?;
    let failed = |error| Wrong::Error("no supervisor", error);
    let supervisor = stubs::supervisor_control::Client::bind().map_err(failed)?;
    let (sent, copy) = with_echo(3 * BYTES).map_err(|error| Wrong::Error("no buffer", error))?;
    let info = rt::info();
    let imports = info.imports[..usize::from(info.imports_len)].iter();
    let attackers = imports.filter(|i| i.interface.as_str() == stubs::hostile::NAME);
    for attacker in attackers {
        let number = u32::from(attacker.peer.0);
        if !matches!(deed(attacker), Ok(Deed::FuzzManager | Deed::Corrupt)) {
            continue;
        }
        let held = || {
            let usage = policy.usage(number).map(|(_, held, ..)| held);
            usage.map_err(|error| Wrong::Error("no usage", error))
        };
        if held()? == 0 {
            return Err(Wrong::Succeeded(0));
        }
        let killed = supervisor.kill(number);
        killed.map_err(|error| Wrong::Error("cannot kill", error))?;
        if held()? != 0 {
            return Err(Wrong::Succeeded(held()?));
        }
        if copy.iter().chain(sent.iter()).any(|byte| *byte != PATTERN) {
            return Err(Wrong::BufferChanged);
        }
        the_rest_goes_on()?;
    }
    drop((sent, copy));
    let deadline = rt::time::after(SETTLING);
    loop {
        let (mut held, mut holder) = (0, 0);
        let mut grown = 0;
        for number in 0..ComponentId::MAX as u32 {
            // Who has no pool is not asked.
            let _ = policy.set_pool(number, 0);
            let holds = policy.usage(number).map_or(0, |(_, held, ..)| held);
            if holds != 0 {
                (held, holder) = (held + holds, number);
            }
            grown += policy.heap_of(number).map_or(0, |(_, claimed, _)| claimed);
        }
        let totals = policy.totals();
        let (paid, unpaid, unused, total) =
            totals.map_err(|error| Wrong::Error("no totals", error))?;
        if (held, unpaid) == (0, 0) && paid == grown && paid + unused == total {
            return Ok(());
        }
        if rt::time::now() > deadline {
            return Err(Wrong::Left([held, unpaid, unused, total], holder));
        }
        pause(Duration::from_millis(50))?;
    }
}

/// A buffer of ours, and what echo made of it.
fn with_echo(bytes: usize) -> Result<(Cbuf<'static>, Cbuf<'static>), Error> {
    let mut buffer = Buffer::alloc(rt::cbuf::client(), bytes)?;
    buffer[..bytes].fill(PATTERN);
    let sent = buffer.freeze(bytes);
    let copy = stubs::echo::Client::bind()?.copy(&sent)?;
    Ok((sent, copy))
}

/// The second thread: invokes what the first one asks for, and keeps the error.
fn visit() -> ! {
    // Release and acquire pair with `strand`.
    VISITOR.store(u32::from(rt::thread_id().0), Ordering::Release);
    loop {
        let entry = CPtr(VISIT.swap(0, Ordering::AcqRel));
        if entry != CPtr::NULL {
            let (status, remains) = invoke(entry);
            REMAINS.store(remains, Ordering::Release);
            VISITED.store(status, Ordering::Release);
        } else if rt::sched::block(rt::time::NEVER).is_err() {
            rt::component::stop()
        }
    }
}

/// Invokes `act`. Answers the status, and all that is in the registers that the invocation loses,
/// one over the other.
fn invoke(entry: CPtr) -> (u64, u64) {
    let (status, remains);
    // SAFETY: as the runtime's own invocation: what cannot be named is saved on the stack, all
    // other registers are declared lost.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "por xmm0, xmm6",
            "por xmm0, xmm15",
            "movq rcx, xmm0",
            "psrldq xmm0, 8",
            "movq r11, xmm0",
            "or rcx, r11",
            "or rcx, rbx",
            "or rcx, rbp",
            "or rcx, r12",
            "or rcx, r13",
            "or rcx, r14",
            "or rcx, r15",
            "pop rbp",
            "pop rbx",
            inlateout("rax") method::ACT => status,
            inlateout("r10") u64::from(entry.0) => _,
            lateout("rcx") remains,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    (status, remains)
}

/// Sends the second thread into a component, where it stays.
fn strand(import: &Import) -> Result<(), Wrong> {
    VISITED.store(0, Ordering::Relaxed);
    // It may not have run yet; no thread of ours has number 0, the scheduler's.
    until(|| VISITOR.load(Ordering::Acquire) != 0)?;
    VISIT.store(import.entry.0, Ordering::Release);
    let visitor = ThreadId(VISITOR.load(Ordering::Acquire) as u16);
    rt::sched::wake(visitor).map_err(|error| Wrong::Error("cannot wake", error))?;
    until(|| VISIT.load(Ordering::Acquire) == 0)?;
    pause(Duration::from_millis(20))
}

/// Gives the second thread time, again and again, until it has done something.
fn until(done: impl Fn() -> bool) -> Result<(), Wrong> {
    for _ in 0..PATIENCE {
        if done() {
            return Ok(());
        }
        pause(Duration::from_millis(1))?;
    }
    Err(Wrong::Stranded(VISITED.load(Ordering::Acquire)))
}

fn pause(time: Duration) -> Result<(), Wrong> {
    rt::sched::block(rt::time::after(time))
        .map(drop)
        .map_err(|error| Wrong::Error("cannot wait", error))
}

/// The second thread must have come back with `Dead`, and with nothing of the dead component's.
fn freed() -> Result<(), Wrong> {
    until(|| VISITED.load(Ordering::Acquire) == Error::Dead as u64)?;
    match REMAINS.load(Ordering::Acquire) {
        0 => Ok(()),
        bits => Err(Wrong::Remains(bits)),
    }
}

/// The deed that a hostile component is made for.
fn deed(import: &Import) -> Result<Deed, Error> {
    let [number, ..] = rt::invoke(import.entry, method::DEED, [0; 4])?;
    let number = u32::try_from(number).map_err(|_| Error::Unknown)?;
    Deed::from_number(number).ok_or(Error::Unknown)
}

/// A component whose own thread has killed it already cannot say its deed.
fn name(import: &Import) -> &'static str {
    deed(import).unwrap_or(Deed::ThreadFaults).word()
}

fn test(import: &Import) -> Result<(), Wrong> {
    let deed = deed(import).unwrap_or(Deed::ThreadFaults);
    let mut buffer = Buffer::alloc(rt::cbuf::client(), BYTES)
        .map_err(|error| Wrong::Error("no buffer", error))?;
    buffer[..BYTES].fill(PATTERN);
    let data = buffer.freeze(BYTES);
    let stays = matches!(deed, Deed::Strand | Deed::Remains);
    if stays {
        strand(import)?;
    }
    let answer = act(import, deed, &data);
    match (deed.outcome(), answer) {
        (Outcome::Dies, Err(Error::Dead)) => dead(import.peer)?,
        (Outcome::Refused, Ok(0)) => {}
        (Outcome::Refused, Ok(count)) => return Err(Wrong::Succeeded(count)),
        (Outcome::TooDeep, Ok(1)) => {}
        (_, answer) => return Err(Wrong::Answered(answer)),
    }
    if stays {
        freed()?;
    }
    if data.iter().any(|byte| *byte != PATTERN) {
        return Err(Wrong::BufferChanged);
    }
    the_rest_goes_on()
}

/// There are many providers, so this calls without the stub, which knows one.
fn act(import: &Import, deed: Deed, data: &Cbuf<'static>) -> Result<u64, Error> {
    let reply = if deed.takes_buffer() {
        let [what, offset] = stubs::wire::send(data, import.peer);
        rt::invoke(import.entry, method::ACT_ON, [what, offset, 0, 0])
    } else {
        rt::invoke(import.entry, method::ACT, [0; 4])
    };
    reply.map(|[succeeded, ..]| succeeded)
}

/// Its supervisor knows that it is dead, and so does whoever invokes it again.
fn dead(peer: ComponentId) -> Result<(), Wrong> {
    let supervisor =
        stubs::supervisor::Client::bind().map_err(|error| Wrong::Error("no supervisor", error))?;
    let mut state = 0;
    for _ in 0..PATIENCE {
        (state, ..) = supervisor
            .state(u32::from(peer.0))
            .map_err(|error| Wrong::Error("the supervisor does not answer", error))?;
        if state == DEAD {
            return Ok(());
        }
        pause(Duration::from_millis(1))?;
    }
    Err(Wrong::NotDead(state))
}

/// Invocations, buffers and time still work.
fn the_rest_goes_on() -> Result<(), Wrong> {
    let failed = |error| Wrong::Error("echo does not answer", error);
    let echo = stubs::echo::Client::bind().map_err(failed)?;
    if echo.add(2, 3).map_err(failed)? != 5 {
        return Err(Wrong::Sum);
    }
    let failed = |error| Wrong::Error("a buffer does not come back", error);
    let mut buffer = Buffer::alloc(rt::cbuf::client(), BYTES).map_err(failed)?;
    buffer[..BYTES].fill(!PATTERN);
    let copy = echo.copy(&buffer.freeze(BYTES)).map_err(failed)?;
    if copy.len() != BYTES || copy.iter().any(|byte| *byte != !PATTERN) {
        return Err(Wrong::BufferChanged);
    }
    let deadline = rt::time::after(Duration::from_millis(1));
    match rt::sched::block(deadline) {
        Ok(_) => Ok(()),
        Err(error) => Err(Wrong::Error("time stands still", error)),
    }
}
