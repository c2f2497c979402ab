//! The first component. The kernel starts it with all memory and all rights; it builds every
//! other component from the image description in the boot archive, with capability invocations
//! alone, starts them in the order of their dependencies, and supervises them from then on.
//!
//! Its thread 0 begins on the stack that the kernel made. Threads of other components that come
//! in (with a fault, or a question) run on a second row of stacks, which init makes itself.

#![no_std]
#![no_main]

extern crate alloc;

mod built;
mod device;
mod grants;
mod image;
mod keeper;
mod memory;
mod observe;
mod report;
mod space;
mod supervise;
mod trouble;
mod wall;

use alloc::boxed::Box;
use alloc::format;

use abi::op::lifecycle;
use abi::start::{BootInfo, MAGIC, init_slot};
use abi::{Badge, layout};
use archive::Archive;
use manifest::Image;
use rt::cap;

use crate::image::Builder;
use crate::keeper::Keeper;
use crate::memory::Stock;
use crate::space::Window;
use crate::trouble::{Result, Trouble};

rt::entry!(
    dispatch,
    // The kernel's own start of thread 0 has no badge; everything else comes in on stacks of
    // the second row.
    "test r9, r9",
    "jz 2f",
    "movabs rcx, 0x10000000000",
    "add rsp, rcx",
    "2:"
);
rt::support!();

/// Distance of the second row of stacks from the first; `dispatch` adds it.
const ROW: u64 = 0x100_0000_0000;
/// Each of them.
const STACK_BYTES: u64 = 16 << 10;
const HEAP_BYTES: usize = 512 << 10;
/// Exit code when the image cannot be built.
const NOT_BUILT: u64 = 1;

#[repr(align(4096))]
struct Heap(core::cell::UnsafeCell<[u8; HEAP_BYTES]>);

// SAFETY: the allocator alone uses it, behind its lock.
unsafe impl Sync for Heap {}

static HEAP: Heap = Heap(core::cell::UnsafeCell::new([0; HEAP_BYTES]));

extern "C" fn dispatch(
    a0: u64,
    a1: u64,
    a2: u64,
    method: u64,
    a3: u64,
    badge: u64,
    out: &mut [u64; 5],
) {
    let badge = Badge(badge);
    if badge != Badge::default() {
        observe::count(badge.client());
    }
    let args = [a0, a1, a2, a3];
    let reply = match (badge.interface(), method) {
        _ if badge == Badge::default() => run(),
        (Badge::LIFECYCLE, lifecycle::FAULT) => supervise::fault(args),
        (Badge::LIFECYCLE, lifecycle::TRACE) => report::note(badge.client(), args),
        (interface, _) => {
            let call = rt::Call {
                method,
                args,
                caller: badge.client(),
                thread: rt::thread_id(),
            };
            serve(interface, call)
        }
    };
    rt::component::put(reply, out);
}

const _: rt::component::Dispatch = dispatch;

fn serve(interface: u16, call: rt::Call) -> rt::Reply {
    match interface {
        stubs::supervisor::INTERFACE => stubs::supervisor::serve(&supervise::Service, call),
        stubs::supervisor_control::INTERFACE => {
            stubs::supervisor_control::serve(&supervise::Control, call)
        }
        _ => Err(abi::Error::BadMethod),
    }
}

/// Thread 0.
fn run() -> ! {
    rt::info::install(&supervise::OWN_FIRST);
    // SAFETY: a static that nothing else names, claimed once: thread 0 begins here once.
    unsafe { rt::heap::claim_range(HEAP.0.get().cast(), HEAP_BYTES) };
    match boot() {
        Ok(mut keeper) => {
            let error = keeper.watch();
            rt::println!("the scheduler is gone: {error}");
        }
        Err(Trouble(sentence)) => rt::println!("{sentence}"),
    }
    let _ = cap::kernel::shutdown(init_slot::KERNEL, NOT_BUILT);
    rt::component::stop()
}

/// Builds and starts everything; afterwards there is only to watch over it.
fn boot() -> Result<Keeper<'static>> {
    // SAFETY: the kernel mapped this page, read-only, before it started us.
    let boot = unsafe { &*(layout::START_INFO as *const BootInfo) };
    if boot.magic != MAGIC {
        return Err(Trouble::new(
            "the kernel's boot information is of another version",
        ));
    }
    // SAFETY: the kernel mapped so many bytes there, read-only.
    let file: &'static [u8] = unsafe {
        core::slice::from_raw_parts(
            layout::INIT_ARCHIVE as *const u8,
            boot.archive_bytes as usize,
        )
    };
    let archive = Archive::open(file).map_err(|e| unusable(e.text()))?;
    let image = archive
        .blob(archive::MANIFEST)
        .map_err(|e| unusable(e.text()))?;
    let image = Image::decode(image).map_err(|e| unusable(&format!("{e}")))?;
    let image: &'static Image = Box::leak(Box::new(image));
    report::prepare(&archive, image);
    let mut stock = Stock::new(boot)?;
    enough_memory(image, stock.total_bytes() + boot.archive_bytes)?;

    let mut own = space::own();
    let window = Window::new(&mut stock, &mut own)?;
    let threads: usize = image.components.iter().map(|c| c.threads.len()).sum();
    let row = layout::STACKS as u64 + ROW;
    space::own_stacks(&mut stock, &mut own, row, threads as u16 + 1, STACK_BYTES)?;

    let own_calls = space::own_calls(&mut stock, &mut own, &window)?;

    let mut builder = Builder {
        boot,
        archive,
        image,
        stock,
        window,
        own_calls,
    };
    let (built, own_info) = builder.build()?;
    rt::info::install(Box::leak(Box::new(own_info)));
    let stock = &builder.stock;
    let total_pages = stock.total_bytes() / layout::PAGE as u64;
    supervise::watch(&built, stock.free_pages(), total_pages);
    let used_pages = stock.used_pages();
    let mut keeper = Keeper::new(image, built, builder.window)?;
    keeper.start(used_pages)?;
    Ok(keeper)
}

fn unusable(why: &str) -> Trouble {
    Trouble(format!("the boot archive cannot be used: {why}"))
}

fn enough_memory(image: &Image, bytes: u64) -> Result<()> {
    let need = image.memory_min_bytes;
    if bytes >= need {
        return Ok(());
    }
    Err(Trouble(format!(
        "image '{}' needs {} MiB of memory, this machine has {} MiB to give: stopping",
        image.name,
        need >> 20,
        bytes >> 20
    )))
}
