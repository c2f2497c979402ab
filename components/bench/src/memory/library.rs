//! Map, protect and unmap through the memory library, which is what programs use: each size as a
//! region that shows a part of a frame. Tables are made when a region first needs them, and kept.

use abi::layout::{OWN_SPACE, PAGE};
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType};
use bench::BATCHES;
use bench::stock::Stock;
use core::cell::RefCell;
use memory::component::{Kernel, open, settings};
use memory::{Access, Error, Mapped, ObjectId, PageSize, Space};
use rt::{cap, time};

use crate::sizes::{LARGEST, SMALLEST, STEP, repetitions};
use crate::{appel, lookup, print};

/// The space, which the fault handler changes as well: not while other code does, since that touches
/// none of its memory meanwhile.
pub static SPACE: Alone = Alone(RefCell::new(None));

/// For a component with one thread.
pub struct Alone(RefCell<Option<Space<Kernel>>>);

// SAFETY: the image gives this component one thread, and nobody invokes it but `init`, which waits in
// `block` and does not come here.
unsafe impl Sync for Alone {}

impl Alone {
    /// Does something with the space. Errors: `NotGranted` when there is none.
    #[inline]
    pub fn with<R>(&self, act: impl FnOnce(&mut Space<Kernel>) -> R) -> Result<R, Error> {
        let mut space = self.0.try_borrow_mut().map_err(|_| Error::InUse)?;
        space.as_mut().map(act).ok_or(Error::NotGranted)
    }
}

/// A kind of page.
struct Pages {
    name: &'static str,
    size: PageSize,
    /// Times that a size is measured in one batch at most: each needs addresses that were not used
    /// before.
    most: u64,
    /// Bytes of addresses that one table covers.
    covers: usize,
}

const KINDS: [Pages; 2] = [
    Pages {
        name: "4k",
        size: PageSize::Small,
        most: 20,
        covers: PageSize::Large.bytes(),
    },
    Pages {
        name: "2m",
        size: PageSize::Large,
        most: 4,
        covers: PageSize::Huge.bytes(),
    },
];

/// What is measured, in this order.
const NAMES: [&str; 4] = ["map-fresh-tables", "protect", "unmap", "map"];

/// Opens the space, measures, and gives everything back.
pub fn measure() -> Result<(), Error> {
    let mut settings = settings()?;
    let frame = settings.slots;
    settings.slots = frame.plus(1);
    let bytes = take(frame)?;
    SPACE.0.replace(Some(open(&settings)?));
    let object = SPACE.with(|space| space.fixed(frame, 0, bytes))??;
    appel::through_library(object)?;
    let mut fresh = OWN_SPACE;
    for kind in &KINDS {
        SPACE.with(|space| sizes(space, object, bytes, kind, &mut fresh))??;
    }
    SPACE.with(|space| lookup::measure(space, object))??;
    if let Some(space) = SPACE.0.take() {
        space.close();
    }
    Ok(cap::delete(CSPACE, frame)?)
}

/// Makes a frame that is as large as can be.
fn take(frame: CPtr) -> Result<u64, Error> {
    let ram = Stock::ram().ok_or(Error::NotGranted)?;
    let offset = ram.base.next_multiple_of(PageSize::Large.bytes() as u64) - ram.base;
    let mut bytes = LARGEST;
    loop {
        match cap::retype(CSPACE, frame, ram.cap, CapType::Frame, 1, offset, bytes) {
            Ok(()) => return Ok(bytes),
            Err(error) if bytes == SMALLEST => return Err(error.into()),
            Err(_) => bytes /= STEP,
        }
    }
}

/// Measures every size that the object has and that is at least a page. `fresh` is the first
/// address that was never used.
fn sizes(
    space: &mut Space<Kernel>,
    object: ObjectId,
    largest: u64,
    kind: &Pages,
    fresh: &mut usize,
) -> Result<(), Error> {
    *fresh = fresh.next_multiple_of(kind.covers);
    let page = kind.size.bytes() as u64;
    let mut bytes = SMALLEST;
    while bytes <= largest {
        if bytes >= page {
            size(space, object, bytes as usize, kind, fresh)?;
        }
        bytes *= STEP;
    }
    Ok(())
}

fn size(
    space: &mut Space<Kernel>,
    object: ObjectId,
    bytes: usize,
    kind: &Pages,
    fresh: &mut usize,
) -> Result<(), Error> {
    let map = |space: &mut Space<Kernel>, at| {
        space.map(object, 0, bytes, kind.size, Access::ReadWrite, at)
    };
    let pages = (bytes / kind.size.bytes()) as u64;
    let repetitions = repetitions(pages).min(kind.most);
    let mut ticks = [[0; BATCHES]; NAMES.len()];
    for batch in 0..BATCHES {
        for _ in 0..repetitions {
            let mut looks = [0; NAMES.len() + 1];
            looks[0] = time::now();
            let region = map(space, Some(*fresh))?;
            looks[1] = time::now();
            space.protect(region.address, bytes, Access::Read)?;
            looks[2] = time::now();
            space.unmap(region.id)?;
            looks[3] = time::now();
            let again = map(space, None)?;
            looks[4] = time::now();
            check(space, &region, &again, kind)?;
            space.unmap(again.id)?;
            for (total, look) in ticks.iter_mut().zip(looks.windows(2)) {
                total[batch] += look[1] - look[0];
            }
            *fresh += bytes.next_multiple_of(kind.covers);
        }
    }
    for (name, ticks) in NAMES.into_iter().zip(ticks) {
        let (kind, operations) = (kind.name, repetitions * pages);
        print(format_args!("{name}-{kind}"), pages, operations, ticks);
    }
    Ok(())
}

/// Every page of the region is there and can be written to, and nothing is left where it was
/// before. The library's own books are not asked, but the page tables.
fn check(space: &Space<Kernel>, before: &Mapped, now: &Mapped, kind: &Pages) -> Result<(), Error> {
    const PRESENT_AND_WRITABLE: u64 = 3;
    let step = kind.size.bytes();
    if before.address != now.address && space.region_at(before.address).is_some() {
        return Err(Error::InUse);
    }
    for at in (now.address..now.address + now.bytes).step_by(step) {
        if space.entry(at)? & PRESENT_AND_WRITABLE != PRESENT_AND_WRITABLE {
            return Err(Error::NoRegion);
        }
        let word = core::ptr::with_exposed_provenance_mut::<usize>(at);
        // SAFETY: the page is mapped for writing, and nothing else uses the frame.
        unsafe { word.write_volatile(at) };
    }
    // SAFETY: as above.
    let kept =
        |at| unsafe { core::ptr::with_exposed_provenance::<usize>(at).read_volatile() } == at;
    let all = (now.address..now.address + now.bytes)
        .step_by(step)
        .all(kept);
    all.then_some(()).ok_or(Error::NoRegion)
}

const _: () = assert!(PAGE as u64 == SMALLEST);
