//! Invokes every hostile component once and checks that it got what it deserves while the rest
//! goes on. Prints a line a test and ends the machine: 0 when all passed.

#![no_std]
#![no_main]

use abi::start::{Import, StartInfo, slot};
use abi::{ComponentId, Error};
use core::fmt;
use core::time::Duration;
use hostile::{Deed, Outcome};
use rt::cbuf::{Buffer, Cbuf};
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

/// Why a test failed.
enum Wrong {
    Error(&'static str, Error),
    Succeeded(u64),
    Answered(Result<u64, Error>),
    NotDead(u32),
    BufferChanged,
    Sum,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Error(what, error) => write!(f, "{what}: {error}"),
            Wrong::Succeeded(count) => write!(f, "{count} forbidden things succeeded"),
            Wrong::Answered(answer) => write!(f, "it answered {answer:?}"),
            Wrong::NotDead(state) => write!(f, "its supervisor says state {state}"),
            Wrong::BufferChanged => f.write_str("the buffer changed"),
            Wrong::Sum => f.write_str("echo adds wrongly"),
        }
    }
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_argument: u64) -> ! {
    let mut failed = 0;
    let info = rt::info();
    for import in &info.imports[..usize::from(info.imports_len)] {
        if import.interface.as_str() != stubs::hostile::NAME {
            continue;
        }
        let name = name(import);
        match test(import) {
            Ok(()) => rt::println!("TEST {name} ok"),
            Err(wrong) => {
                failed += 1;
                rt::println!("TEST {name} FAILED {wrong}");
            }
        }
    }
    if let Err(error) = rt::cap::kernel::shutdown(slot::KERNEL, failed) {
        rt::println!("TEST shutdown FAILED {error}");
    }
    rt::component::stop()
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
    let answer = act(import, deed, &data);
    match (deed.outcome(), answer) {
        (Outcome::Dies, Err(Error::Dead)) => dead(import.peer)?,
        (Outcome::Refused, Ok(0)) => {}
        (Outcome::Refused, Ok(count)) => return Err(Wrong::Succeeded(count)),
        (Outcome::TooDeep, Err(Error::TooDeep)) => {}
        (_, answer) => return Err(Wrong::Answered(answer)),
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
        (state, _) = supervisor
            .state(u32::from(peer.0))
            .map_err(|error| Wrong::Error("the supervisor does not answer", error))?;
        if state == DEAD {
            return Ok(());
        }
        let deadline = rt::time::after(Duration::from_millis(1));
        rt::sched::block(deadline).map_err(|error| Wrong::Error("cannot wait", error))?;
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
