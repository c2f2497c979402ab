//! Operations on page tables and mappings, and what the processor makes of them.

use abi::layout::MANAGER_CONTROL;
use abi::op::{mapping as own, table as op};
use abi::start::slot::CONSOLE;
use abi::{CPtr, CapType, Error, Rights};

use crate::work::{
    EMPTY, EXECUTE, Failed, LARGE_PAGE, NOWHERE, PAGE_BYTES, READ, WRITE, Work, at, cptr, run,
};

const PML4: CPtr = at(0);
const PDPT: CPtr = at(1);
const PD: CPtr = at(2);
const PT: CPtr = at(3);
const FRAME: CPtr = at(4);
const MAPPING: CPtr = at(5);
/// Reads only: of the table, of the frame.
const WEAK: CPtr = at(6);
const WEAK_FRAME: CPtr = at(7);
/// First slot for mappings that a test makes.
const TO: CPtr = at(20);

/// One table of each level, a frame of 16 pages, of which two are mapped from entry 100 on.
fn tables(work: &mut Work) -> Result<(), Failed> {
    for (slot, captype) in [
        (PML4, CapType::Pml4),
        (PDPT, CapType::Pdpt),
        (PD, CapType::Pd),
        (PT, CapType::Pt),
    ] {
        work.make(captype, 0, slot)?;
    }
    work.make(CapType::Frame, 16 * PAGE_BYTES, FRAME)?;
    work.mint(PT, Rights::READ, WEAK)?;
    work.mint(FRAME, Rights::READ, WEAK_FRAME)?;
    work.gives(
        PT,
        op::MAP,
        [cptr(FRAME), run(100, 2, READ | WRITE), 0, cptr(MAPPING), 0],
    )
    .map(drop)
}

pub fn map(work: &mut Work) -> Result<(), Failed> {
    tables(work)?;
    let to = cptr(TO);
    let map = |source: CPtr, run, offset| [cptr(source), run, offset, to, 0];
    let one = run(0, 1, READ);
    work.refuses_all(
        PT,
        op::MAP,
        &[
            ([EMPTY, one, 0, to, 0], Error::NoCapability),
            (map(CONSOLE, one, 0), Error::WrongType),
            (map(PML4, one, 0), Error::WrongType),
            (map(FRAME, run(0, 1, 1 << 6), 0), Error::BadFlags),
            (map(FRAME, run(0, 1, WRITE), 0), Error::BadFlags),
            (
                map(FRAME, run(0, 1, READ | WRITE | EXECUTE), 0),
                Error::BadFlags,
            ),
            (map(FRAME, run(0, 1, READ | LARGE_PAGE), 0), Error::BadFlags),
            (map(WEAK_FRAME, run(0, 1, READ | WRITE), 0), Error::BadFlags),
            (map(PT, run(0, 1, READ | WRITE), 0), Error::BadFlags),
            (map(FRAME, run(0, 0, READ), 0), Error::BadSize),
            (map(PD, run(0, 2, READ), 0), Error::BadSize),
            (map(FRAME, run(511, 2, READ), 0), Error::OutOfRange),
            (
                map(FRAME, run(0, 2, READ), 15 * PAGE_BYTES),
                Error::OutOfRange,
            ),
            (map(FRAME, one, 8), Error::BadAlign),
            (map(FRAME, run(99, 2, READ), 0), Error::EntryInUse),
            ([cptr(FRAME), one, 0, NOWHERE, 0], Error::BadSlot),
            ([cptr(FRAME), one, 0, cptr(MAPPING), 0], Error::SlotInUse),
        ],
    )?;
    work.refuses(WEAK, op::MAP, map(FRAME, one, 0), Error::NoRight)?;
    work.refuses(PD, op::MAP, map(WEAK, one, 0), Error::NoRight)?;
    // The whole way down, and every table where it can be read.
    for (n, (table, next)) in [(PML4, PDPT), (PDPT, PD), (PD, PT)].into_iter().enumerate() {
        let slot = cptr(at(21 + n as u8));
        work.gives(table, op::MAP, [cptr(next), run(3, 1, READ), 0, slot, 0])?;
        let slot = cptr(at(24 + n as u8));
        work.gives(
            PT,
            op::MAP,
            [cptr(next), run(n as u64, 1, READ), 0, slot, 0],
        )?;
    }
    work.refuses_all(
        PT,
        op::UNMAP,
        &[
            ([EMPTY, 0, 0, 0, 0], Error::NoCapability),
            ([cptr(FRAME), 0, 0, 0, 0], Error::WrongType),
        ],
    )?;
    work.refuses(PD, op::UNMAP, [cptr(MAPPING), 0, 0, 0, 0], Error::NotMapped)?;
    work.refuses(WEAK, op::UNMAP, [cptr(MAPPING), 0, 0, 0, 0], Error::NoRight)?;
    work.gives(PT, op::UNMAP, [cptr(MAPPING), 0, 0, 0, 0])?;
    if work.gives(PT, op::READ, [100, 0, 0, 0, 0])?[0] != 0 {
        return Err(Error::Unknown.into());
    }
    // A frame that is revoked while it is mapped.
    work.gives(PT, op::MAP, map(FRAME, run(200, 4, READ), 0))?;
    rt::cap::revoke(abi::start::slot::CSPACE, FRAME)?;
    match work.gives(PT, op::READ, [203, 0, 0, 0, 0])?[0] {
        0 => Ok(()),
        _ => Err(Error::Unknown.into()),
    }
}

pub fn modify(work: &mut Work) -> Result<(), Failed> {
    tables(work)?;
    work.gives(PD, op::MAP, [cptr(PT), run(0, 1, READ), 0, cptr(TO), 0])?;
    work.gives(PT, op::MODIFY, [run(100, 2, READ), 0, 0, 0, 0])?;
    work.refuses_all(
        PT,
        op::MODIFY,
        &[
            ([run(100, 1, WRITE), 0, 0, 0, 0], Error::BadFlags),
            ([run(100, 0, READ), 0, 0, 0, 0], Error::BadSize),
            ([run(511, 2, READ), 0, 0, 0, 0], Error::OutOfRange),
            ([run(101, 2, READ), 0, 0, 0, 0], Error::EntryEmpty),
        ],
    )?;
    work.refuses(
        PD,
        op::MODIFY,
        [run(0, 1, READ), 0, 0, 0, 0],
        Error::WrongType,
    )?;
    work.refuses(
        WEAK,
        op::MODIFY,
        [run(100, 1, READ), 0, 0, 0, 0],
        Error::NoRight,
    )?;
    // Entries of more mappings than one call looks up.
    const MANY: u64 = 100;
    for n in 0..MANY {
        let to = cptr(at(100 + n as u8));
        work.gives(PT, op::MAP, [cptr(FRAME), run(200 + n, 1, READ), 0, to, 0])?;
    }
    let all = [run(200, MANY, READ | WRITE), 0, 0, 0, 0];
    work.refuses(PT, op::MODIFY, all, Error::Again)?;
    while work.trace.call(PT, op::MODIFY, all) == Err(Error::Again) {}
    for n in 200..200 + MANY {
        if work.gives(PT, op::READ, [n, 0, 0, 0, 0])?[0] & WRITE == 0 {
            return Err(Failed(alloc::format!("entry {n} is as it was")));
        }
    }
    work.gives(PT, op::CLEAR_DIRTY, [run(100, 2, 0), 0, 0, 0, 0])?;
    work.refuses_all(
        PT,
        op::CLEAR_DIRTY,
        &[
            ([run(100, 1, 1 << 6), 0, 0, 0, 0], Error::BadFlags),
            ([run(100, 0, 0), 0, 0, 0, 0], Error::BadSize),
            ([run(511, 2, 0), 0, 0, 0, 0], Error::OutOfRange),
            ([run(101, 2, 0), 0, 0, 0, 0], Error::EntryEmpty),
        ],
    )?;
    work.refuses(
        WEAK,
        op::CLEAR_DIRTY,
        [run(100, 1, 0), 0, 0, 0, 0],
        Error::NoRight,
    )?;
    work.refuses(PT, op::READ, [512, 0, 0, 0, 0], Error::OutOfRange)?;
    work.mint(PT, Rights::WRITE, at(8))?;
    work.refuses(at(8), op::READ, [0; 5], Error::NoRight)
}

pub fn mapping(work: &mut Work) -> Result<(), Failed> {
    tables(work)?;
    work.gives(PD, op::MAP, [cptr(PT), run(0, 1, READ), 0, cptr(TO), 0])?;
    work.gives(MAPPING, own::MODIFY, [run(1, 1, READ), 0, 0, 0, 0])?;
    work.refuses_all(
        MAPPING,
        own::MODIFY,
        &[
            ([run(0, 1, WRITE), 0, 0, 0, 0], Error::BadFlags),
            ([run(0, 0, READ), 0, 0, 0, 0], Error::BadSize),
            ([run(1, 2, READ), 0, 0, 0, 0], Error::OutOfRange),
        ],
    )?;
    work.refuses(
        TO,
        own::MODIFY,
        [run(0, 1, READ), 0, 0, 0, 0],
        Error::WrongType,
    )?;
    for slot in [MAPPING, TO] {
        work.gives(slot, own::DESTROY, [0; 5])?;
        if rt::cap::identify(abi::start::slot::CSPACE, slot).is_ok() {
            return Err(Error::Unknown.into());
        }
    }
    Ok(())
}

/// In the component's own space: a large page and small ones of the same frame side by side, and the
/// table of the small ones read where the processor writes it.
pub fn pages(work: &mut Work) -> Result<(), Failed> {
    const LARGE_BYTES: u64 = 2 << 20;
    let own_pdpt = rt::grant("own-pdpt").ok_or(Error::NotFound)?.cap;
    work.make(CapType::Pd, 0, PD)?;
    work.make(CapType::Pt, 0, PT)?;
    work.make(CapType::Frame, LARGE_BYTES, FRAME)?;
    let flags = READ | WRITE;
    work.gives(
        own_pdpt,
        op::MAP,
        [cptr(PD), run(0, 1, READ), 0, cptr(at(10)), 0],
    )?;
    work.gives(PD, op::MAP, [cptr(PT), run(1, 1, READ), 0, cptr(at(11)), 0])?;
    work.gives(
        PD,
        op::MAP,
        [
            cptr(FRAME),
            run(0, 1, flags | LARGE_PAGE),
            0,
            cptr(at(12)),
            0,
        ],
    )?;
    work.gives(
        PT,
        op::MAP,
        [
            cptr(FRAME),
            run(0, 4, flags),
            7 * PAGE_BYTES,
            cptr(at(13)),
            0,
        ],
    )?;
    work.gives(PT, op::MAP, [cptr(PT), run(9, 1, READ), 0, cptr(at(14)), 0])?;
    let large = MANAGER_CONTROL as u64;
    let small = large + LARGE_BYTES;
    let word = |address: u64| address as *mut u64;
    let entry = |n: u64| {
        // SAFETY: page 9 of the small ones shows the table itself; the processor writes it.
        unsafe { word(small + 9 * PAGE_BYTES + 8 * n).read_volatile() }
    };
    const DIRTY: u64 = 1 << 6;
    const ACCESSED: u64 = 1 << 5;
    let clean = entry(1);
    // SAFETY: both places were just mapped, and show the same page of a frame that is the test's.
    let seen = unsafe {
        word(large + 8 * PAGE_BYTES).write_volatile(0x5eed);
        word(small + PAGE_BYTES).read_volatile()
    };
    let read = entry(1);
    // SAFETY: as above.
    unsafe { word(small + PAGE_BYTES).write_volatile(1) };
    let written = entry(1);
    work.gives(PT, op::CLEAR_DIRTY, [run(1, 1, 0), 0, 0, 0, 0])?;
    let cleared = entry(1);
    // SAFETY: as above: the processor must note it once more.
    unsafe { word(small + PAGE_BYTES).write_volatile(2) };
    let bits = [
        clean & (ACCESSED | DIRTY),
        read & DIRTY,
        written & DIRTY,
        cleared & DIRTY,
        entry(1) & DIRTY,
    ];
    work.gives(PD, op::UNMAP, [cptr(at(12)), 0, 0, 0, 0])?;
    work.gives(own_pdpt, op::UNMAP, [cptr(at(10)), 0, 0, 0, 0])?;
    if seen != 0x5eed || read & ACCESSED == 0 || bits != [0, 0, DIRTY, 0, DIRTY] {
        return Err(Failed(alloc::format!("read {seen:#x}, bits {bits:x?}")));
    }
    Ok(())
}
