//! The tests, one function each.

use crate::{
    COLOURS, DENIED, FRAME, HUGE, LARGE, PAGE, REST, Result, SPACE, Why, calls, empty, expect, map,
    pinned, read, refused, release, stat, store, unmap, write,
};
use abi::CapType;
use abi::start::slot::CSPACE;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use memory::remote::Remote;
use memory::{Access, Colours, Content, Error, Mapped, ObjectId, PageSize, Settings, Store, Trace};
use rt::cap;
use rt::sync::Notify;
use rt::time;

/// Pages that both threads page at once, and frames for them.
const PAGED: usize = 96;
const RESIDENT: usize = 16;

/// Where the other thread counts, or 0; and how often it did.
static PLACE: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static CHANGED: Notify = Notify::new();

pub fn pinned_memory(_: &Settings) -> Result<()> {
    let bytes = 4 * LARGE;
    let object = pinned(bytes, PageSize::Large)?;
    // Makes the tables.
    unmap(map(object, bytes, PageSize::Small, Access::ReadWrite)?)?;
    let region = Cell::new(None);
    let show = || {
        region.set(Some(map(
            object,
            bytes,
            PageSize::Small,
            Access::ReadWrite,
        )?));
        Ok(())
    };
    let shown = || region.get().ok_or(Why::Wrong("no region", 0));
    let hide = || unmap(shown()?);
    expect("calls of map", calls(show, hide)?, 4)?;
    let region = shown()?;
    for at in (0..bytes).step_by(PAGE) {
        expect("pinned memory was", read(region.address + at), 0)?;
        write(region.address + at, at as u64 + 1);
    }
    for at in (0..bytes).step_by(PAGE) {
        expect("a page holds", read(region.address + at), at as u64 + 1)?;
    }
    let protect = |access| {
        let done = SPACE.with(|space| space.protect(region.address, bytes, access));
        Ok(done??)
    };
    let count = calls(|| protect(Access::Read), || protect(Access::ReadWrite))?;
    expect("calls of protect", count, 4)?;
    expect("calls of unmap", calls(hide, show)?, 4)?;
    release(object)
}

pub fn two_sizes(_: &Settings) -> Result<()> {
    let bytes = 3 * LARGE;
    let object = pinned(bytes, PageSize::Large)?;
    let small = map(object, bytes, PageSize::Small, Access::ReadWrite)?;
    let large = map(object, bytes, PageSize::Large, Access::Read)?;
    for at in (0..bytes).step_by(PAGE) {
        write(small.address + at, at as u64 * 3);
    }
    for at in (0..bytes).step_by(PAGE) {
        expect(
            "a large page holds",
            read(large.address + at),
            at as u64 * 3,
        )?;
    }
    expect("a store", store(large.address + 8, 1), 1)?;
    unmap(small)?;
    expect(
        "a large page holds",
        read(large.address + PAGE),
        PAGE as u64 * 3,
    )?;
    unmap(large)?;
    release(object)
}

pub fn huge_pages(settings: &Settings) -> Result<()> {
    let object = SPACE.with(|space| space.fixed(FRAME, 0, HUGE as u64))??;
    let small = map(object, LARGE, PageSize::Small, Access::ReadWrite)?;
    let large = map(object, 8 * LARGE, PageSize::Large, Access::ReadWrite)?;
    let huge =
        SPACE.with(|space| space.map(object, 0, HUGE, PageSize::Huge, Access::ReadWrite, None))?;
    if settings.huge {
        let huge = huge?;
        for (n, at) in [0, PAGE, LARGE, 7 * LARGE, 300 * LARGE].iter().enumerate() {
            write(huge.address + at, 77 + n as u64);
        }
        expect("a small page holds", read(small.address + PAGE), 78)?;
        expect("a large page holds", read(large.address + 7 * LARGE), 80)?;
        write(small.address + 8, 5);
        expect("a huge page holds", read(huge.address + 8), 5)?;
        expect("it holds", read(huge.address + 300 * LARGE), 81)?;
        unmap(huge)?;
    } else {
        refused("a huge page", huge, Error::NotSupported)?;
    }
    unmap(large)?;
    unmap(small)?;
    release(object)
}

pub fn lazy_memory(_: &Settings) -> Result<()> {
    let bytes = 256 << 20;
    for page in [PageSize::Small, PageSize::Large] {
        let object = SPACE.with(|space| space.lazy(bytes as u64, page, Colours::ANY))??;
        let region = map(object, bytes, page, Access::ReadWrite)?;
        for n in 0..4 {
            let at = region.address + n * (64 << 20) + n * PAGE;
            expect("lazy memory was", read(at), 0)?;
            write(at, n as u64 + 1);
        }
        for n in 0..4 {
            let at = region.address + n * (64 << 20) + n * PAGE;
            expect("lazy memory is", read(at), n as u64 + 1)?;
        }
        unmap(region)?;
        release(object)?;
    }
    Ok(())
}

pub fn protection(_: &Settings) -> Result<()> {
    let bytes = LARGE;
    let object = pinned(bytes, PageSize::Small)?;
    let region = map(object, bytes, PageSize::Small, Access::ReadWrite)?;
    SPACE.with(|space| space.protect(region.address, bytes, Access::Read))??;
    let before = DENIED.load(Ordering::SeqCst);
    for n in (0..512).step_by(5) {
        write(region.address + n * PAGE, n as u64);
        write(region.address + n * PAGE + 8, n as u64);
    }
    let denied = DENIED.load(Ordering::SeqCst) - before;
    expect("pages that trapped", denied, 103)?;
    unmap(region)?;
    release(object)
}

pub fn elsewhere(_: &Settings) -> Result<()> {
    let object = pinned(PAGE, PageSize::Small)?;
    let region = map(object, PAGE, PageSize::Small, Access::ReadWrite)?;
    expect("a store inside", store(region.address, 1), 0)?;
    expect("a store behind", store(region.address + PAGE, 1), 1)?;
    unmap(region)?;
    expect("a store afterwards", store(region.address, 1), 1)?;
    // Page tables are there to be read.
    let view = abi::layout::OWN_SPACE + 384 * HUGE;
    expect("a store in a page table", store(view + LARGE / 512, 1), 1)?;
    release(object)
}

/// A store in memory of its own, taken before it is needed.
struct Shelf {
    pages: Vec<[u8; PAGE]>,
}

impl Shelf {
    fn boxed() -> Box<dyn Store> {
        let pages = alloc::vec![[0; PAGE]; PAGED];
        Box::new(Shelf { pages })
    }
}

impl Store for Shelf {
    fn read(&mut self, page: usize, into: &mut [u8]) -> core::result::Result<(), Error> {
        let from = self.pages.get(page).ok_or(Error::Store)?;
        into.copy_from_slice(from);
        Ok(())
    }
    fn write(&mut self, page: usize, from: &[u8]) -> core::result::Result<(), Error> {
        let into = self.pages.get_mut(page).ok_or(Error::Store)?;
        into.copy_from_slice(from);
        Ok(())
    }
}

fn paged() -> Result<(ObjectId, Mapped)> {
    paged_to(Shelf::boxed(), Content::Zeros)
}

fn paged_to(store: Box<dyn Store>, content: Content) -> Result<(ObjectId, Mapped)> {
    let bytes = PAGED * PAGE;
    let object = SPACE.with(|space| {
        let size = PageSize::Small;
        space.paged(bytes as u64, size, Colours::ANY, RESIDENT, content, store)
    })??;
    let region = map(object, bytes, PageSize::Small, Access::ReadWrite)?;
    Ok((object, region))
}

pub fn paging(_: &Settings) -> Result<()> {
    let (object, region) = paged()?;
    rounds_of_paging(object, region)?;
    SPACE.with(|space| space.resize(object, 1))??;
    expect("a paged page is", read(region.address + 8 * PAGE), 32)?;
    unmap(region)?;
    release(object)
}

const ROUNDS_OF_PAGING: u64 = 4;

/// Reads and writes every page several times, which is each time stored and brought back.
fn rounds_of_paging(object: ObjectId, region: Mapped) -> Result<()> {
    for n in 0..PAGED {
        expect("a paged page was", read(region.address + n * PAGE), 0)?;
    }
    let traffic = SPACE.with(|space| space.traffic(object))??;
    expect("pages stored unwritten", traffic.writes, 0)?;
    for round in 0..ROUNDS_OF_PAGING {
        for n in 0..PAGED {
            let at = region.address + n * PAGE + (n % 8) * 8;
            expect("a paged page is", read(at), round * n as u64)?;
            write(at, (round + 1) * n as u64);
        }
    }
    let traffic = SPACE.with(|space| space.traffic(object))??;
    let stored = traffic.writes >= 3 * PAGED as u64;
    expect("pages were stored", u64::from(stored), 1)
}

/// The store is a component, invoked in the fault handler; what it has outlives the object.
pub fn paging_elsewhere(_: &Settings) -> Result<()> {
    let remote = || Ok::<Box<dyn Store>, Why>(Box::new(Remote::bind()?));
    let (object, region) = paged_to(remote()?, Content::Zeros)?;
    rounds_of_paging(object, region)?;
    // With one frame, the last page that is read drives out the last that was written.
    SPACE.with(|space| space.resize(object, 1))??;
    for n in [0, 1] {
        read(region.address + n * PAGE);
    }
    unmap(region)?;
    release(object)?;
    let (object, region) = paged_to(remote()?, Content::Stored)?;
    for n in 0..PAGED {
        let at = region.address + n * PAGE + (n % 8) * 8;
        expect("a stored page is", read(at), ROUNDS_OF_PAGING * n as u64)?;
    }
    let traffic = SPACE.with(|space| space.traffic(object))??;
    expect("pages read from the store", traffic.reads, PAGED as u64)?;
    unmap(region)?;
    release(object)
}

/// The second thread: counts up in the upper half of the paged region.
pub fn page_too() -> ! {
    loop {
        let place = CHANGED.wait_until(time::NEVER, || {
            Some(PLACE.load(Ordering::SeqCst)).filter(|place| *place != 0)
        });
        let Some(place) = place else {
            rt::component::stop()
        };
        for n in PAGED / 2..PAGED {
            let at = place as usize + n * PAGE;
            write(at, read(at) + 1);
        }
        ROUNDS.fetch_add(1, Ordering::SeqCst);
        CHANGED.notify();
    }
}

pub fn two_threads(_: &Settings) -> Result<()> {
    const ENOUGH: u64 = 30;
    let (object, region) = paged()?;
    ROUNDS.store(0, Ordering::SeqCst);
    PLACE.store(region.address as u64, Ordering::SeqCst);
    CHANGED.notify();
    let mut own = 0;
    while own < ENOUGH || ROUNDS.load(Ordering::SeqCst) < ENOUGH {
        for n in 0..PAGED / 2 {
            let at = region.address + n * PAGE;
            write(at, read(at) + 1);
        }
        own += 1;
    }
    PLACE.store(0, Ordering::SeqCst);
    // It finishes the round that it is in.
    let mut rounds = ROUNDS.load(Ordering::SeqCst);
    loop {
        let pause = time::after(core::time::Duration::from_millis(20));
        while time::now() < pause {
            rt::sched::block(pause)?;
        }
        let now = ROUNDS.load(Ordering::SeqCst);
        if now == rounds {
            break;
        }
        rounds = now;
    }
    for n in 0..PAGED {
        let expected = if n < PAGED / 2 { own } else { rounds };
        expect(
            "a counted page is",
            read(region.address + n * PAGE),
            expected,
        )?;
    }
    unmap(region)?;
    release(object)
}

pub fn colours(settings: &Settings) -> Result<()> {
    let wanted = Colours(0b1000_0010_0000_0001);
    let object = SPACE.with(|space| space.pinned(40 * PAGE as u64, PageSize::Small, wanted))??;
    for n in 0..40 {
        let at = n * PAGE as u64;
        let (frame, offset, _) = SPACE.with(|space| space.frame(object, at))??;
        let identity = cap::identify(CSPACE, frame)?;
        let number = (identity.base + offset) / PAGE as u64;
        let inside = identity.base >= settings.ram_base;
        expect("inside the memory", u64::from(inside), 1)?;
        let colour = number % COLOURS as u64;
        if wanted.0 >> colour & 1 == 0 {
            return Err(Why::Wrong("a colour", colour));
        }
    }
    let region = map(object, 40 * PAGE, PageSize::Small, Access::ReadWrite)?;
    for n in 0..40 {
        write(region.address + n * PAGE, n as u64);
    }
    for n in 0..40 {
        expect(
            "a coloured page is",
            read(region.address + n * PAGE),
            n as u64,
        )?;
    }
    unmap(region)?;
    release(object)
}

pub fn dirty_pages(_: &Settings) -> Result<()> {
    let bytes = 2 * LARGE;
    let object = pinned(bytes, PageSize::Large)?;
    let region = map(object, bytes, PageSize::Small, Access::ReadWrite)?;
    let dirty = || {
        let mut pages = Vec::with_capacity(16);
        SPACE.with(|space| {
            space.traced(region.address, bytes, Trace::Dirty, |at| pages.push(at))
        })??;
        Ok::<_, Why>(pages)
    };
    expect("pages dirty at first", dirty()?.len() as u64, 0)?;
    for n in [1, 77, 600, 1023] {
        write(region.address + n * PAGE, 1);
    }
    let mut found = Vec::new();
    let look = || {
        found = dirty()?;
        Ok(())
    };
    let count = calls(look, || Ok(()))?;
    expect("calls to look", count, 0)?;
    let expected = [1, 77, 600, 1023].map(|n| region.address + n * PAGE);
    expect("the dirty ones", u64::from(found == expected), 1)?;
    let clear = || Ok(SPACE.with(|space| space.clear_dirty(region.address, bytes))??);
    let write_again = || {
        for address in expected {
            write(address, 1);
        }
        Ok(())
    };
    expect("calls to clear", calls(clear, write_again)?, 2)?;
    expect("dirty when cleared", dirty()?.len() as u64, 0)?;
    write(region.address + 77 * PAGE, 2);
    expect("dirty again", dirty()?.len() as u64, 1)?;
    unmap(region)?;
    release(object)
}

/// All memory, page by page, until there is none; then it is there again.
pub fn exhaustion(settings: &Settings) -> Result<()> {
    let bytes = settings.ram_bytes as usize + 4 * LARGE;
    let small = PageSize::Small;
    let object = SPACE.with(|space| space.lazy(bytes as u64, small, Colours::ANY))??;
    let region = map(object, bytes, small, Access::ReadWrite)?;
    let mut pages = 0;
    while store(region.address + pages * PAGE, pages as u64) == 0 {
        pages += 1;
    }
    let most = bytes / PAGE;
    expect(
        "there is an end",
        u64::from(pages < most && pages > most / 2),
        1,
    )?;
    let more = SPACE.with(|space| space.pinned(LARGE as u64, PageSize::Large, Colours::ANY))?;
    refused("memory that is not there", more, Error::NoMemory)?;
    for n in (0..pages).step_by(61) {
        expect("a page holds", read(region.address + n * PAGE), n as u64)?;
    }
    unmap(region)?;
    release(object)?;
    let free = SPACE.with(|space| space.usage().free_blocks)?;
    release(pinned((free - 1) * LARGE, PageSize::Large)?)?;
    empty()
}

/// Closed, the space has left nothing; and it can be opened again.
pub fn everything(settings: &Settings, capabilities: u64) -> Result<()> {
    for _ in 0..2 {
        SPACE.close()?;
        let now = stat(abi::op::kernel::stat::CAPABILITIES)?;
        expect("capabilities", now, capabilities)?;
        SPACE.open(settings)?;
        pinned_memory(settings)?;
    }
    SPACE.close()?;
    // All of it in one piece.
    let whole = settings.slots;
    cap::retype(
        CSPACE,
        whole,
        REST,
        CapType::Frame,
        1,
        0,
        settings.ram_bytes,
    )?;
    Ok(cap::delete(CSPACE, whole)?)
}
