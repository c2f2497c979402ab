//! RandomAccess, by size of the table and of its pages. All tables are the same memory.

use abi::start::slot;
use abi::{CPtr, Error, op};
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use pages::gups;
use rt::cap;
use rt::suite::Suite;

use crate::space::{Area, GIB, Size, Space};
use crate::{number, print};

/// Tables' bytes are a fourfold step apart.
const STEP: u64 = 4;
const SMALLEST: u64 = 1 << 20;
/// Of the largest table, where nothing is said of it.
const LARGEST: u64 = 4 << 20;
const WORD: u64 = size_of::<u64>() as u64;
/// Times that a table is measured in pages of each size, an odd number.
const RUNS: usize = 3;
/// Pauses between changes of many pages, where nothing is said of them.
const PAUSES: u64 = 0;
const PAUSE: Duration = Duration::from_millis(10);
/// Parts that a run is timed in; the figure is what all would take if each took as long as the
/// slowest of the fastest quarter: those that nothing else on the host got in the way of.
const PARTS: usize = 512;
/// Wrong words are allowed up to one in so many.
const WRONG: u64 = 100;

/// One size of pages: an area of them over the memory that all share, and what each run took.
struct Candidate {
    size: Size,
    area: Area,
    ticks: [u64; RUNS],
}

pub fn run(suite: &mut Suite, space: &mut Space) {
    let largest = number("table", LARGEST);
    // A GiB in one piece, where there is one; else there is no page of that size.
    let (frame, sizes): (_, &[Size]) = match space.frame(GIB, GIB) {
        Ok(frame) => (Ok(frame), &Size::ALL),
        Err(_) => (space.frame(largest, Size::Large.bytes()), &Size::ALL[..2]),
    };
    let candidates = frame.and_then(|frame| show(space, frame, largest, sizes));
    let mut candidates = match candidates {
        Ok(candidates) => candidates,
        Err(error) => return suite.tell("tables", Err(error)),
    };
    let mut bytes = SMALLEST;
    while bytes <= largest {
        let result = table(space, &mut candidates, bytes);
        suite.tell(format!("random access in {} MiB", bytes >> 20), result);
        bytes *= STEP;
    }
}

/// Shows the frame in pages of each size that the processor has.
fn show(
    space: &mut Space,
    frame: CPtr,
    bytes: u64,
    sizes: &[Size],
) -> Result<Vec<Candidate>, Error> {
    let mut candidates = Vec::new();
    for size in sizes.iter().copied() {
        let area = match space.show(frame, bytes, size) {
            Err(Error::NotSupported) => continue,
            area => area?,
        };
        candidates.push(Candidate {
            size,
            area,
            ticks: [0; RUNS],
        });
    }
    Ok(candidates)
}

/// Measures a table in pages of each size in turn, so that whatever else the machine does hits
/// all alike.
fn table(space: &Space, candidates: &mut [Candidate], bytes: u64) -> Result<(), Error> {
    let words = (bytes / WORD) as usize;
    let mut faulted = 0;
    for run in 0..RUNS {
        for candidate in candidates.iter_mut() {
            settle(space)?;
            let (ticks, faults) = measure(&mut candidate.area, words)?;
            candidate.ticks[run] = ticks;
            faulted += faults;
        }
    }
    for Candidate { size, ticks, .. } in candidates {
        ticks.sort_unstable();
        let name = format_args!("gups-{}", size.name());
        print(name, bytes, gups::updates(words), ticks[RUNS / 2]);
    }
    print("gups-faults", bytes, RUNS as u64, faulted);
    Ok(())
}

/// Has address translations forgotten again and again, while few are in use. An emulator's cache of
/// them grows and shrinks with what was used lately, when it is emptied; so each measurement
/// begins with the least that it has, whatever was measured before.
fn settle(space: &Space) -> Result<(), Error> {
    for _ in 0..number("pauses", PAUSES) {
        let until = rt::time::after(PAUSE);
        while rt::time::now() < until {
            core::hint::spin_loop();
        }
        space.forget_translations()?;
    }
    Ok(())
}

/// Ticks of one run (its words are a multiple of its parts), and page faults in it. Errors: `Unknown` if too many words are wrong.
fn measure(area: &mut Area, words: usize) -> Result<(u64, u64), Error> {
    let words = words.min((area.bytes / WORD) as usize);
    // SAFETY: the area is mapped, writable and at least so long; other areas show the same memory,
    // but nobody uses them now. Any contents are words.
    let table = unsafe { core::slice::from_raw_parts_mut(area.address as *mut u64, words) };
    let faults = || cap::kernel::stat(slot::KERNEL, op::kernel::stat::FAULTS);
    gups::fill(table);
    let before = faults()?;
    let mut run = gups::Run::new(words);
    let mut ticks = [0; PARTS];
    for ticks in &mut ticks {
        let begun = rt::time::now();
        run.go(table, gups::rounds(words) / PARTS as u64);
        *ticks = rt::time::now() - begun;
    }
    let faulted = faults()? - before;
    match gups::wrong_words(table) * WRONG > words as u64 {
        true => Err(Error::Unknown),
        false => {
            ticks.sort_unstable();
            Ok((ticks[PARTS / 4] * PARTS as u64, faulted))
        }
    }
}
