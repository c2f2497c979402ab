//! Map, protect and unmap by capability calls alone, by size: a fourfold step each, as far as memory
//! goes.

use abi::captype::MapFlags;
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error};
use bench::BATCHES;
use rt::{cap, time};

use crate::area::{Area, LARGE};
use crate::print;
use bench::stock::Stock;

pub const SMALLEST: u64 = 4 << 10;
pub const LARGEST: u64 = 64 << 20;
/// Sizes are a fourfold step apart.
pub const STEP: u64 = 4;

/// Times that a size is measured in one batch: about as many pages for each.
pub fn repetitions(pages: u64) -> u64 {
    (2048 / pages).clamp(1, 100)
}

/// What is measured, in this order.
const NAMES: [&str; 5] = [
    "map-fresh-tables",
    "protect",
    "unmap",
    "map",
    "unmap-free-tables",
];

/// A frame of the largest size that there is memory for, and its bytes.
pub fn memory(stock: &mut Stock) -> Result<(CPtr, u64), Error> {
    let frame = stock.slot();
    let mut bytes = LARGEST;
    loop {
        match stock.take(bytes, LARGE.bytes) {
            Ok((ram, offset)) => {
                cap::retype(CSPACE, frame, ram, CapType::Frame, 1, offset, bytes)?;
                return Ok((frame, bytes));
            }
            Err(_) if bytes > SMALLEST => bytes /= STEP,
            Err(error) => return Err(error),
        }
    }
}

/// Measures every size that the frame has and that is at least a page.
pub fn measure(area: &Area, frame: CPtr, largest: u64) -> Result<(), Error> {
    let mut bytes = SMALLEST;
    while bytes <= largest {
        if bytes >= area.pages.bytes {
            size(area, frame, bytes / area.pages.bytes)?;
        }
        bytes *= STEP;
    }
    Ok(())
}

fn size(area: &Area, frame: CPtr, pages: u64) -> Result<(), Error> {
    check(area, frame, pages)?;
    let repetitions = repetitions(pages);
    let mut ticks = [[0; BATCHES]; NAMES.len()];
    for batch in 0..BATCHES {
        for _ in 0..repetitions {
            let mut looks = [0; NAMES.len() + 1];
            looks[0] = time::now();
            area.make_tables(pages)?;
            area.map(frame, pages)?;
            looks[1] = time::now();
            area.protect(pages, MapFlags::READ)?;
            looks[2] = time::now();
            area.unmap(pages)?;
            looks[3] = time::now();
            area.map(frame, pages)?;
            looks[4] = time::now();
            area.free_tables(pages)?;
            looks[5] = time::now();
            for (total, look) in ticks.iter_mut().zip(looks.windows(2)) {
                total[batch] += look[1] - look[0];
            }
        }
    }
    for (name, ticks) in NAMES.into_iter().zip(ticks) {
        let (kind, operations) = (area.pages.name, repetitions * pages);
        print(
            format_args!("calls-{name}-{kind}"),
            pages,
            operations,
            ticks,
        );
    }
    Ok(())
}

/// Each page is a page of its own, is there as long as it is mapped, and keeps what was written.
fn check(area: &Area, frame: CPtr, pages: u64) -> Result<(), Error> {
    let kind = area.pages;
    let word = |page: u64| (area.address + page * kind.bytes) as *mut u64;
    area.make_tables(pages)?;
    area.map(frame, pages)?;
    for page in 0..pages {
        // SAFETY: the page was just mapped for writing, and nothing else uses it.
        unsafe { word(page).write_volatile(page ^ kind.bytes) };
    }
    area.unmap(pages)?;
    area.map(frame, pages)?;
    area.protect(pages, MapFlags::READ)?;
    // SAFETY: as above; reading is still allowed.
    let kept = |page| unsafe { word(page).read_volatile() } == page ^ kind.bytes;
    let all = (0..pages).all(kept);
    area.free_tables(pages)?;
    all.then_some(()).ok_or(Error::Unknown)
}
