//! A hostile component: when invoked it does the one forbidden thing that its argument names.

#![no_std]
#![no_main]

mod attack;
mod fuzz;
mod raw;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use hostile::Deed;
use rt::cbuf::Cbuf;

rt::component! {
    start: start,
    thread: thread,
    serve: { stubs::hostile::INTERFACE => serve }
}

/// How long a thread may take to fault.
const PATIENCE: Duration = Duration::from_millis(500);
/// Number of the deed that this component is made for.
static DEED: AtomicU32 = AtomicU32::new(0);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    let word = rt::info::argument("deed").ok_or(Error::BadArgument)?;
    let deed = Deed::from_word(word).ok_or(Error::BadArgument)?;
    // Relaxed: START comes before any other call.
    DEED.store(deed.number(), Ordering::Relaxed);
    Ok(())
}

fn thread(_argument: u64) -> ! {
    attack::read(0);
    rt::component::stop()
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::hostile::serve(&Service, call)
}

struct Service;

impl stubs::hostile::Server for Service {
    fn deed(&self, _caller: ComponentId) -> Result<u32, Error> {
        // Relaxed: see `start`.
        Ok(DEED.load(Ordering::Relaxed))
    }

    fn act(&self, caller: ComponentId) -> Result<u64, Error> {
        let number = self.deed(caller)?;
        act(Deed::from_number(number).ok_or(Error::BadState)?)
    }

    fn act_on(&self, caller: ComponentId, data: Cbuf<'static>) -> Result<u64, Error> {
        let number = self.deed(caller)?;
        act_on(Deed::from_number(number).ok_or(Error::BadState)?, &data)
    }
}

fn act_on(deed: Deed, data: &Cbuf<'static>) -> Result<u64, Error> {
    match deed {
        Deed::WriteBuffer => attack::write(data.as_ptr() as usize),
        Deed::WriteFarBuffer => attack::write(data.as_ptr() as usize + (1 << 30)),
        Deed::FuzzManager => return Ok(fuzz::manager(data)),
        Deed::Corrupt => return Ok(fuzz::corrupt(data)),
        _ => return Err(Error::BadArgument),
    }
    Ok(1)
}

fn act(deed: Deed) -> Result<u64, Error> {
    match deed {
        Deed::WriteSealed => attack::write_sealed()?,
        Deed::ReadKernel => attack::read(0xffff_8000_0010_0000),
        Deed::WriteKernel => attack::write(0xffff_ffff_8010_0000),
        Deed::ReadNull => attack::read(0),
        Deed::WriteInfo => attack::write(abi::layout::START_INFO),
        Deed::WriteText => attack::write(act as *const () as usize),
        Deed::WriteConstant => attack::write(deed.word().as_ptr() as usize),
        Deed::JumpNowhere => attack::jump(0xdead_0000),
        Deed::JumpKernel => attack::jump(0xffff_ffff_8010_0000),
        Deed::ExecuteData => attack::execute_data(),
        Deed::ExecuteStack => attack::execute_stack(),
        Deed::ExecuteHeap => attack::execute_heap(),
        Deed::OverflowStack => {
            attack::overflow(0);
        }
        Deed::BadStack => attack::lose_stack(),
        Deed::Divide => attack::divide(),
        Deed::Panic => panic!("on purpose"),
        Deed::Privileged => attack::privileged(),
        Deed::Port => attack::port(),
        Deed::Breakpoint => attack::interrupt(),
        Deed::ThreadFaults => {
            // Its own thread has killed it, or does while this waits.
            rt::sched::block(rt::time::after(PATIENCE))?;
        }
        Deed::Strand => strand()?,
        Deed::Remains => remains(),
        Deed::CorruptFrames => attack::corrupt_frames(),
        Deed::Segment => attack::segment(),
        Deed::ForgeTrace => return Ok(attack::forge_trace()),
        Deed::NoCapability => return Ok(fuzz::no_capability()),
        Deed::MapWithout => return Ok(fuzz::map_without()),
        Deed::Escalate => return Ok(fuzz::escalate()),
        Deed::TakeBack => return Ok(fuzz::take_back()),
        Deed::FuzzKernel => return fuzz::kernel(),
        Deed::Relay => return relay(),
        Deed::WriteBuffer | Deed::WriteFarBuffer | Deed::FuzzManager | Deed::Corrupt => {
            return Err(Error::BadArgument);
        }
    }
    Ok(1)
}

/// Brings the component down for every thread but the first that comes.
fn only_first() {
    static VISITORS: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the count matters.
    if VISITORS.fetch_add(1, Ordering::Relaxed) > 0 {
        attack::read(0);
    }
}

/// The first thread that comes waits for ever; the second brings the component down.
fn strand() -> Result<(), Error> {
    only_first();
    loop {
        rt::sched::block(rt::time::NEVER)?;
    }
}

/// The same, but the first thread is busy, its registers full.
fn remains() -> ! {
    only_first();
    attack::fill_registers()
}

/// Invokes the next of the chain. The one that cannot, since it was itself invoked so deep, can
/// still wait, and its fault is still its supervisor's: so whoever invoked it finds it dead.
fn relay() -> Result<u64, Error> {
    let Ok(next) = stubs::hostile::Client::bind() else {
        return Ok(0);
    };
    match next.act() {
        Err(Error::TooDeep) => {
            rt::sched::block(rt::time::after(Duration::from_millis(1)))?;
            attack::read(0);
            Ok(0)
        }
        Err(Error::Dead) => Ok(1),
        other => other,
    }
}
