//! Tests the memory library on the real machine, through its own fault handler: prints a line a
//! test and ends the machine.
//!
//! Of the component's memory the first GiB is one frame, for the test of 1 GiB pages, which uses
//! little of it; the space has the rest.

#![no_std]
#![no_main]

extern crate alloc;

mod cases;

use abi::start::StartInfo;
use abi::start::slot::{CSPACE, KERNEL};
use abi::{CPtr, CapType};
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use memory::component::{Shared, settings};
use memory::{Access, Colours, Error, Mapped, ObjectId, Outcome, PageSize, Settings};
use rt::cap;
use rt::fault::{Fault, Verdict};
use rt::suite::Suite;

rt::component! {
    start: start,
    thread: main,
    fault: fault,
    serve: {}
}

const PAGE: usize = 4096;
const LARGE: usize = 2 << 20;
const HUGE: usize = 1 << 30;
const COLOURS: usize = 16;
/// Slots of the test's own, which the space is not given.
const FRAME: CPtr = CPtr(64);
const REST: CPtr = CPtr(65);
const OWN_SLOTS: u32 = 8;

static SPACE: Shared = Shared::new();
/// Writes that the handler saw denied, and allowed then.
static DENIED: AtomicU64 = AtomicU64::new(0);

/// Why a test failed.
#[derive(Debug)]
enum Why {
    Library(Error),
    Kernel(abi::Error),
    Wrong(&'static str, u64),
}

impl From<Error> for Why {
    fn from(error: Error) -> Why {
        Why::Library(error)
    }
}

impl From<abi::Error> for Why {
    fn from(error: abi::Error) -> Why {
        Why::Kernel(error)
    }
}

impl core::fmt::Display for Why {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Why::Library(error) => write!(f, "{error}"),
            Why::Kernel(error) => write!(f, "the kernel: {error}"),
            Why::Wrong(what, value) => write!(f, "{what}: {value:#x}"),
        }
    }
}

type Result<T> = core::result::Result<T, Why>;

fn expect(what: &'static str, value: u64, expected: u64) -> Result<()> {
    if value == expected {
        return Ok(());
    }
    Err(Why::Wrong(what, value))
}

fn refused<T>(
    what: &'static str,
    result: core::result::Result<T, Error>,
    why: Error,
) -> Result<()> {
    match result {
        Err(error) if error == why => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Why::Wrong(what, 0)),
    }
}

fn start(_info: &'static StartInfo) -> core::result::Result<(), abi::Error> {
    Ok(())
}

/// Brings what the space has, allows a denied write, and has [`attempt`] answer for the rest.
fn fault(fault: &mut Fault) -> Verdict {
    match SPACE.fault(fault) {
        Outcome::Resolved => Verdict::Resume,
        Outcome::Denied(_) if fault.rip != store as *const () as u64 => {
            DENIED.fetch_add(1, Ordering::SeqCst);
            let page = fault.address as usize & !(PAGE - 1);
            let allowed = SPACE.with(|space| space.protect(page, PAGE, Access::ReadWrite));
            match allowed {
                Ok(Ok(())) => Verdict::Resume,
                _ => Verdict::GiveUp,
            }
        }
        _ if fault.rip == store as *const () as u64 => {
            fault.rip += STORE_SKIP;
            Verdict::Resume
        }
        _ => Verdict::GiveUp,
    }
}

/// From the instruction that stores to the one after the first return.
const STORE_SKIP: u64 = 6;

/// Stores a word; 1 if the handler did not help.
#[unsafe(naked)]
extern "C" fn store(address: usize, value: u64) -> u64 {
    naked_asm!(
        "mov qword ptr [rdi], rsi",
        "xor eax, eax",
        "ret",
        "mov eax, 1",
        "ret"
    )
}

fn read(address: usize) -> u64 {
    // SAFETY: in a region of the space that is this test's; a fault ends the component or brings
    // the page.
    unsafe { (address as *const u64).read_volatile() }
}

fn write(address: usize, value: u64) {
    // SAFETY: as in `read`.
    unsafe { (address as *mut u64).write_volatile(value) }
}

fn stat(which: u64) -> Result<u64> {
    Ok(cap::kernel::stat(KERNEL, which)?)
}

/// System calls that something takes, when no interrupt came meanwhile, after which the scheduler
/// makes some: otherwise it is undone, and done again.
fn calls(mut act: impl FnMut() -> Result<()>, mut undo: impl FnMut() -> Result<()>) -> Result<u64> {
    use abi::op::kernel::stat::{INTERRUPTS, SYSTEM_CALLS};
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        let interrupts = stat(INTERRUPTS)?;
        let before = stat(SYSTEM_CALLS)?;
        act()?;
        // The second question counts itself.
        let count = stat(SYSTEM_CALLS)? - before - 1;
        if stat(INTERRUPTS)? == interrupts {
            return Ok(count);
        }
        undo()?;
    }
    Err(Why::Wrong("interrupts without end", 0))
}

fn pinned(bytes: usize, page: PageSize) -> Result<ObjectId> {
    Ok(SPACE.with(|space| space.pinned(bytes as u64, page, Colours::ANY))??)
}

fn map(object: ObjectId, bytes: usize, page: PageSize, access: Access) -> Result<Mapped> {
    Ok(SPACE.with(|space| space.map(object, 0, bytes, page, access, None))??)
}

fn unmap(region: Mapped) -> Result<()> {
    Ok(SPACE.with(|space| space.unmap(region.id))??)
}

fn release(object: ObjectId) -> Result<()> {
    Ok(SPACE.with(|space| space.release(object))??)
}

fn main(argument: u64) -> ! {
    match argument {
        0 => test(),
        _ => cases::page_too(),
    }
}

fn test() -> ! {
    let mut suite = Suite::new();
    let settings = match prepare() {
        Ok(settings) => settings,
        Err(why) => {
            suite.tell("memory", Err(why));
            suite.finish()
        }
    };
    // It fills the pools, whose buffers and their mappings stay: nothing after it takes more.
    suite.tell("paging, to another component", elsewhere(&settings));
    let capabilities = match stat(abi::op::kernel::stat::CAPABILITIES) {
        Ok(capabilities) => capabilities,
        Err(why) => {
            suite.tell("capabilities", Err(why));
            suite.finish()
        }
    };
    suite.tell("a space", SPACE.open(&settings));
    type Test = fn(&Settings) -> Result<()>;
    let tests: [(&str, Test); 10] = [
        (
            "pinned memory, in one call for each table",
            cases::pinned_memory,
        ),
        ("the same memory with pages of two sizes", cases::two_sizes),
        ("pages of 1 GiB beside others", cases::huge_pages),
        (
            "lazy memory is zero and comes when touched",
            cases::lazy_memory,
        ),
        ("protected pages trap and are opened", cases::protection),
        ("what nobody mapped is no one's", cases::elsewhere),
        ("paging, with a store", cases::paging),
        ("two threads page at once", cases::two_threads),
        ("colours are those of physical addresses", cases::colours),
        ("dirty pages without a system call", cases::dirty_pages),
    ];
    for (name, test) in tests {
        suite.tell(name, test(&settings).and_then(|()| empty()));
    }
    suite.tell("exhaustion", cases::exhaustion(&settings));
    suite.tell(
        "everything comes back",
        cases::everything(&settings, capabilities),
    );
    suite.finish()
}

/// In a space of its own.
fn elsewhere(settings: &Settings) -> Result<()> {
    SPACE.open(settings)?;
    cases::paging_elsewhere(settings)?;
    empty()?;
    Ok(SPACE.close()?)
}

/// The frame for the large page, and the rest for the space.
fn prepare() -> Result<Settings> {
    let mut settings = settings()?;
    let (ram, huge) = (settings.ram, HUGE as u64);
    cap::retype(CSPACE, FRAME, ram, CapType::Frame, 1, 0, huge)?;
    let rest = settings.ram_bytes - huge;
    cap::retype(CSPACE, REST, ram, CapType::Ram, 1, huge, rest)?;
    settings.ram = REST;
    settings.ram_base += huge;
    settings.ram_bytes = rest;
    settings.slots = settings.slots.plus(OWN_SLOTS);
    settings.colours = COLOURS;
    Ok(settings)
}

/// A test leaves nothing behind but tables.
fn empty() -> Result<()> {
    let usage = SPACE.with(|space| space.usage())?;
    expect("regions", usage.regions as u64, 0)?;
    expect("objects", usage.objects as u64, 0)
}
