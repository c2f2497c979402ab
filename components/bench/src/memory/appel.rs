//! What a collector asks of memory, after A. Appel and K. Li (1991): a fault alone; one page
//! protected, hit and freed again while another is protected; a hundred pages protected at once,
//! then hit one by one in random order and freed by the handler. The figure of the last is per page.

use abi::captype::MapFlags;
use abi::layout::PAGE;
use abi::op::lifecycle;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error};
use bench::{BATCHES, Random};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use memory::{Access, ObjectId, PageSize};
use rt::fault::{Fault, Verdict};
use rt::{cap, time};

use crate::area::Area;
use crate::library::SPACE;
use crate::print;
use bench::stock::{READ_WRITE, Stock};

const PAGES: u64 = 100;
/// Faults in a batch of the first two; the third has as many of each page.
const FAULTS: u64 = 2000;
const ROUNDS: u64 = FAULTS / PAGES;
/// Bytes of the instruction that writes.
const WRITE: u64 = 3;

/// What the handler does.
mod mode {
    pub const GIVE_UP: u64 = 0;
    pub const SKIP: u64 = 1;
    pub const SWAP: u64 = 2;
    pub const FREE: u64 = 3;
}

// The handler runs on the thread that wrote these, so relaxed is enough.
static MODE: AtomicU64 = AtomicU64::new(mode::GIVE_UP);
/// The page that the handler protects next.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Where the pages begin.
static BASE: AtomicU64 = AtomicU64::new(0);
/// The capability of their mapping; null: the library protects them.
static MAPPING: AtomicU64 = AtomicU64::new(0);
/// Faults that were handled.
static FAULTED: AtomicU64 = AtomicU64::new(0);

fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

fn set(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}

/// Changes what pages allow that begin at an address.
#[inline(always)]
fn protect_at(address: u64, count: u64, access: Access) -> Result<(), Error> {
    let mapping = get(&MAPPING);
    if mapping == 0 {
        let bytes = count as usize * PAGE;
        return match SPACE.with(|space| space.protect(address as usize, bytes, access)) {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::Unknown),
        };
    }
    let flags = match access {
        Access::ReadWrite => READ_WRITE,
        _ => MapFlags::READ,
    };
    let first = (address - get(&BASE)) / PAGE as u64;
    cap::mapping::modify(CPtr(mapping as u32), first as u16, count as u16, flags)
}

#[inline(never)]
fn protect(first: u64, count: u64, access: Access) -> Result<(), Error> {
    protect_at(get(&BASE) + first * PAGE as u64, count, access)
}

pub fn fault(fault: &mut Fault) -> Verdict {
    let page = fault.address.wrapping_sub(get(&BASE)) / PAGE as u64;
    if fault.kind() != lifecycle::fault::PAGE_WRITE || page >= PAGES {
        return Verdict::GiveUp;
    }
    let done = match get(&MODE) {
        mode::SKIP => {
            fault.rip += WRITE;
            Ok(())
        }
        mode::SWAP => {
            protect(get(&NEXT), 1, Access::Read).and_then(|()| protect(page, 1, Access::ReadWrite))
        }
        mode::FREE => protect_at(fault.address & !(PAGE as u64 - 1), 1, Access::ReadWrite),
        _ => Err(Error::NotSupported),
    };
    set(&FAULTED, get(&FAULTED) + 1);
    match done {
        Ok(()) => Verdict::Resume,
        Err(_) => Verdict::GiveUp,
    }
}

/// Writes a byte into a page, by an instruction of [`WRITE`] bytes.
#[inline(always)]
fn write(page: u64) {
    let address = get(&BASE) + page * PAGE as u64;
    // SAFETY: the page is the benchmark's own; if it is protected, the handler frees it or goes on
    // behind the instruction.
    unsafe { asm!("mov byte ptr [rax], 1", in("rax") address, options(nostack, preserves_flags)) };
}

/// By capability calls alone.
pub fn by_calls(stock: &mut Stock, area: &Area) -> Result<(), Error> {
    let (frame, bytes) = (stock.slot(), PAGES * PAGE as u64);
    let (ram, offset) = stock.take(bytes, PAGE as u64)?;
    cap::retype(CSPACE, frame, ram, CapType::Frame, 1, offset, bytes)?;
    area.make_tables(PAGES)?;
    area.map(frame, PAGES)?;
    set(&MAPPING, u64::from(area.mapped.0));
    cycles("calls-", area.address)?;
    area.free_tables(PAGES)
}

/// Through the library; the object has at least so many pages.
pub fn through_library(object: ObjectId) -> Result<(), memory::Error> {
    let bytes = PAGES as usize * PAGE;
    let (size, access) = (PageSize::Small, Access::ReadWrite);
    let region = SPACE.with(|space| space.map(object, 0, bytes, size, access, None))??;
    set(&MAPPING, 0);
    cycles("", region.address as u64)?;
    SPACE.with(|space| space.unmap(region.id))?
}

/// Measures the pages that begin at an address and are mapped for writing.
fn cycles(prefix: &str, base: u64) -> Result<(), Error> {
    set(&BASE, base);
    (0..PAGES).for_each(write);
    let result = three(prefix);
    set(&MODE, mode::GIVE_UP);
    result
}

fn three(prefix: &str) -> Result<(), Error> {
    let mut random = Random::new();
    set(&MODE, mode::SKIP);
    protect(0, 1, Access::Read)?;
    let ticks = batches(|| {
        (0..FAULTS).for_each(|_| write(0));
        Ok(())
    })?;
    print(format_args!("{prefix}trap"), 1, FAULTS, ticks);
    protect(0, PAGES, Access::ReadWrite)?;

    set(&MODE, mode::SWAP);
    let mut current = random.below(PAGES);
    protect(current, 1, Access::Read)?;
    let ticks = batches(|| {
        for _ in 0..FAULTS {
            // Any page but the one that is protected.
            let next = random.below(PAGES - 1);
            let next = next + u64::from(next >= current);
            set(&NEXT, next);
            write(current);
            current = next;
        }
        Ok(())
    })?;
    print(
        format_args!("{prefix}protect1-trap-unprotect"),
        PAGES,
        FAULTS,
        ticks,
    );
    protect(0, PAGES, Access::ReadWrite)?;

    set(&MODE, mode::FREE);
    let mut order: [u64; PAGES as usize] = core::array::from_fn(|page| page as u64);
    let ticks = batches(|| {
        random.shuffle(&mut order);
        for _ in 0..ROUNDS {
            protect(0, PAGES, Access::Read)?;
            order.iter().for_each(|page| write(*page));
        }
        Ok(())
    })?;
    print(
        format_args!("{prefix}protectN-trap-unprotect"),
        PAGES,
        FAULTS,
        ticks,
    );
    Ok(())
}

/// Ticks of each batch. Errors: `Unknown` if not each of its writes was a fault.
fn batches(mut batch: impl FnMut() -> Result<(), Error>) -> Result<[u64; BATCHES], Error> {
    let mut ticks = [0; BATCHES];
    for ticks in &mut ticks {
        set(&FAULTED, 0);
        let begun = time::now();
        let result = batch();
        *ticks = time::now() - begun;
        result?;
        if get(&FAULTED) != FAULTS {
            return Err(Error::Unknown);
        }
    }
    Ok(ticks)
}
