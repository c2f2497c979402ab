//! Single operations, each many times and all over the database, which is afterwards what it was.

use abi::cptr::L2_BYTES;
use abi::layout::PAGE;
use abi::start::slot::{CONSOLE, CSPACE};
use abi::{CPtr, CapType, Error, Rights, op};
use rt::{cap, time};

use crate::database::{Database, FREE_PAGE, PAGES};
use crate::slots::SCRATCH;

/// Times that each operation is measured.
const SAMPLES: usize = 255;
const PAGE_BYTES: u64 = PAGE as u64;
/// Copies that a revocation takes back, as in the paper's 4.7.
const COPIES: u32 = 10;
/// Descendants that a revocation takes back.
const DESCENDANTS: [u32; 3] = [1, 10, 100];
/// Frames in a CNode that is deleted: the first as in the paper's 4.7.
const HELD: [u32; 2] = [4, 100];

/// Ticks of an operation that must succeed.
fn timed(work: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
    let begun = time::now();
    let result = work();
    let ticks = time::now() - begun;
    result.map(|()| ticks)
}

/// Prints the median of what `sample` gives, less the two looks at the counter.
fn figure(
    name: impl core::fmt::Display,
    log2: u32,
    mut sample: impl FnMut() -> Result<u64, Error>,
) -> Result<(), Error> {
    let (mut with, mut without) = ([0; SAMPLES], [0; SAMPLES]);
    for n in 0..SAMPLES {
        without[n] = timed(|| Ok(()))?;
        with[n] = sample()?;
    }
    let ticks = bench::middle(with) - bench::middle(without);
    rt::println!("CAPS {log2} {ticks} {name}");
    Ok(())
}

pub fn everything(database: &mut Database, log2: u32) -> Result<(), Error> {
    figure("no-op invocation", log2, || {
        timed(|| rt::syscall(CONSOLE, op::console::WRITE, [0; 5]).map(drop))
    })?;
    figure("copy", log2, || {
        let any = database.any();
        let ticks = timed(|| cap::copy(CSPACE, SCRATCH, any, Rights::all()))?;
        cap::delete(CSPACE, SCRATCH).map(|()| ticks)
    })?;
    figure("delete, other copies exist", log2, || {
        let any = database.any();
        cap::copy(CSPACE, SCRATCH, any, Rights::all())?;
        timed(|| cap::delete(CSPACE, SCRATCH))
    })?;
    figure("delete, last copy", log2, || {
        let (place, page) = beside_others(database);
        frame(place, page)?;
        timed(|| cap::delete(CSPACE, SCRATCH))
    })?;
    for count in HELD {
        figure(
            format_args!("delete, CNode with {count} frames"),
            log2,
            || {
                let (place, _) = by_itself(database);
                cnode(place, count)?;
                timed(|| cap::delete(CSPACE, SCRATCH))
            },
        )?;
    }
    figure("retype a page, no descendants", log2, || {
        let (place, page) = by_itself(database);
        let ticks = timed(|| frame(place, page))?;
        cap::delete(CSPACE, SCRATCH).map(|()| ticks)
    })?;
    figure("retype a page, descendants", log2, || {
        let (place, page) = beside_others(database);
        // Where others are, nothing can be made.
        if frame(place, 0) != Err(Error::Overlaps) {
            return Err(Error::BadState);
        }
        let ticks = timed(|| frame(place, page))?;
        cap::delete(CSPACE, SCRATCH).map(|()| ticks)
    })?;
    figure(format_args!("revoke, copies: {COPIES}"), log2, || {
        let (place, page) = beside_others(database);
        frame(place, page)?;
        for n in 1..=COPIES {
            cap::copy(CSPACE, SCRATCH.plus(n), SCRATCH, Rights::all())?;
        }
        let ticks = timed(|| cap::revoke(CSPACE, SCRATCH))?;
        cap::delete(CSPACE, SCRATCH).map(|()| ticks)
    })?;
    for count in DESCENDANTS {
        figure(format_args!("revoke, descendants: {count}"), log2, || {
            let (place, _) = by_itself(database);
            cap::retype(CSPACE, SCRATCH, place, CapType::Frame, count, 0, PAGE_BYTES)?;
            timed(|| cap::revoke(CSPACE, place))
        })?;
    }
    Ok(())
}

/// A CNode in the scratch slot, of Ram without descendants, that holds the last capabilities to so
/// many frames.
fn cnode(place: CPtr, frames: u32) -> Result<(), Error> {
    let (root, root_at) = (SCRATCH.plus(1), L2_BYTES as u64);
    cap::retype(CSPACE, SCRATCH, place, CapType::L2CNode, 1, 0, 0)?;
    cap::retype(
        CSPACE,
        root,
        place,
        CapType::L1CNode,
        1,
        root_at,
        PAGE_BYTES,
    )?;
    cap::install_l2(root, SCRATCH, 1)?;
    let (first, from) = (CPtr::new(1, 0), root_at + PAGE_BYTES);
    cap::retype(root, first, place, CapType::Frame, frames, from, PAGE_BYTES)?;
    cap::delete(CSPACE, root)
}

fn frame(place: CPtr, page: u64) -> Result<(), Error> {
    let offset = page * PAGE_BYTES;
    cap::retype(
        CSPACE,
        SCRATCH,
        place,
        CapType::Frame,
        1,
        offset,
        PAGE_BYTES,
    )
}

/// Ram with descendants, and a page of it that none of them has.
fn beside_others(database: &mut Database) -> (CPtr, u64) {
    let n = database.random.below(database.filled.len() as u64);
    (database.filled[n as usize], FREE_PAGE)
}

/// Ram without descendants, and a page of it.
fn by_itself(database: &mut Database) -> (CPtr, u64) {
    let n = database.random.below(database.whole.len() as u64);
    (database.whole[n as usize], database.random.below(PAGES))
}
