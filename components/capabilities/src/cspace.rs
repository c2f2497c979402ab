//! Operations on L1 CNodes.

use abi::op::cspace as op;
use abi::start::slot::{CONSOLE, CSPACE};
use abi::{CPtr, CapType, Error, Rights};
use rt::cap;

use crate::work::{
    EMPTY, Failed, NOWHERE, PAGE_BYTES, PAST_END, READ, Work, at, cptr, run, scratch,
};

const ALL: u64 = Rights::all().bits() as u64;

/// Indices that one ADOPT takes.
const ADOPTED: u64 = 256;

/// A second CSpace with one L2 CNode: L1 in slot `l1`.
fn another(work: &mut Work, l1: CPtr, l2: CPtr) -> Result<(), Failed> {
    work.make(CapType::L1CNode, PAGE_BYTES, l1)?;
    work.make(CapType::L2CNode, 0, l2)?;
    work.gives(l1, op::INSTALL_L2, [cptr(l2), 0, 0, 0, 0])
        .map(drop)
}

pub fn copy(work: &mut Work) -> Result<(), Failed> {
    let [frame, pt, mapping, weak, there, l2, mint] = [0, 1, 2, 3, 4, 5, 6].map(at);
    work.make(CapType::Frame, PAGE_BYTES, frame)?;
    work.make(CapType::Pt, 0, pt)?;
    work.gives(
        pt,
        abi::op::table::MAP,
        [cptr(frame), run(0, 1, READ), 0, cptr(mapping), 0],
    )?;
    work.mint(CSPACE, Rights::READ, weak)?;
    another(work, there, l2)?;
    // A mint has the rights of both, and never more than its source.
    work.mint(frame, Rights::READ | Rights::WRITE, mint)?;
    work.mint(mint, Rights::READ | Rights::EXECUTE | Rights::GRANT, at(7))?;
    if cap::identify(CSPACE, at(7))?.rights != Rights::READ {
        return Err(Error::Unknown.into());
    }
    work.refuses_all(
        CSPACE,
        op::COPY,
        &[
            ([cptr(at(8)), EMPTY, ALL, 0, 0], Error::NoCapability),
            ([NOWHERE, cptr(frame), ALL, 0, 0], Error::BadSlot),
            ([0, cptr(frame), ALL, 0, 0], Error::BadSlot),
            ([cptr(pt), cptr(frame), ALL, 0, 0], Error::SlotInUse),
            ([cptr(at(8)), cptr(mapping), ALL, 0, 0], Error::WrongType),
        ],
    )?;
    work.refuses(
        weak,
        op::COPY,
        [cptr(at(8)), cptr(frame), ALL, 0, 0],
        Error::NoRight,
    )?;
    // Another CSpace gets only what may be granted.
    work.refuses(there, op::COPY, [5, cptr(mint), ALL, 0, 0], Error::NoRight)?;
    work.gives(there, op::COPY, [5, cptr(frame), ALL, 0, 0])
        .map(drop)
}

pub fn retype(work: &mut Work) -> Result<(), Failed> {
    let [ram, frame, weak, many, big] = [0, 1, 2, 10, 3].map(at);
    work.make(CapType::Ram, 64 * PAGE_BYTES, ram)?;
    work.mint(CSPACE, Rights::READ, weak)?;
    let args = |to: CPtr, captype: CapType, count: u64, offset: u64, bytes: u64| {
        [
            cptr(to),
            cptr(ram),
            captype as u64 | count << 32,
            offset,
            bytes,
        ]
    };
    // Part of it, into several at once.
    work.gives(
        CSPACE,
        op::RETYPE,
        args(many, CapType::Frame, 8, 4 * PAGE_BYTES, 2 * PAGE_BYTES),
    )?;
    for n in 0..8u8 {
        let made = cap::identify(CSPACE, at(10 + n))?;
        let base = cap::identify(CSPACE, ram)?.base;
        if (made.base, made.bytes) != (base + PAGE_BYTES * (4 + 2 * u64::from(n)), 2 * PAGE_BYTES) {
            return Err(Error::Unknown.into());
        }
    }
    work.gives(
        CSPACE,
        op::RETYPE,
        args(frame, CapType::Frame, 1, 0, PAGE_BYTES),
    )?;
    let one = |captype, bytes| args(at(4), captype, 1, 32 * PAGE_BYTES, bytes);
    work.refuses_all(
        CSPACE,
        op::RETYPE,
        &[
            (
                [
                    cptr(at(4)),
                    EMPTY,
                    CapType::Frame as u64 | 1 << 32,
                    0,
                    PAGE_BYTES,
                ],
                Error::NoCapability,
            ),
            (
                [cptr(at(4)), cptr(frame), CapType::Pt as u64 | 1 << 32, 0, 0],
                Error::BadRetype,
            ),
            (
                [cptr(at(4)), cptr(ram), 99 | 1 << 32, 0, 0],
                Error::BadRetype,
            ),
            (one(CapType::Frame, 1), Error::BadSize),
            (one(CapType::Frame, 0), Error::BadSize),
            (one(CapType::Pt, 2 * PAGE_BYTES), Error::BadSize),
            (
                args(at(4), CapType::Frame, 0, 32 * PAGE_BYTES, PAGE_BYTES),
                Error::BadSize,
            ),
            (
                args(at(4), CapType::Ram, 1, 0, 64 * PAGE_BYTES),
                Error::BadSize,
            ),
            (
                args(at(4), CapType::Frame, 1, 8, PAGE_BYTES),
                Error::BadAlign,
            ),
            (
                args(at(4), CapType::Frame, 1, 60 * PAGE_BYTES, 8 * PAGE_BYTES),
                Error::OutOfRange,
            ),
            (
                args(at(4), CapType::Frame, 1, 5 * PAGE_BYTES, PAGE_BYTES),
                Error::Overlaps,
            ),
            (
                args(
                    CPtr(NOWHERE as u32),
                    CapType::Frame,
                    1,
                    32 * PAGE_BYTES,
                    PAGE_BYTES,
                ),
                Error::BadSlot,
            ),
            (
                args(at(255), CapType::Frame, 2, 32 * PAGE_BYTES, PAGE_BYTES),
                Error::BadSlot,
            ),
            (
                args(frame, CapType::Frame, 1, 32 * PAGE_BYTES, PAGE_BYTES),
                Error::SlotInUse,
            ),
        ],
    )?;
    work.refuses(
        weak,
        op::RETYPE,
        one(CapType::Frame, PAGE_BYTES),
        Error::NoRight,
    )?;
    // More than one call clears.
    let offset = work.room(1 << 20);
    let what = CapType::L1CNode as u64 | 1 << 32;
    let args = [cptr(big), cptr(scratch()), what, offset, 1 << 20];
    work.refuses(CSPACE, op::RETYPE, args, Error::Again)?;
    while work.trace.call(CSPACE, op::RETYPE, args) == Err(Error::Again) {}
    match cap::identify(CSPACE, big)?.bytes {
        0x10_0000 => Ok(()),
        _ => Err(Error::Unknown.into()),
    }
}

/// An L2 CNode full of Frames, each the last: what one call does not delete.
pub fn full(work: &mut Work, l1: CPtr, l2: CPtr) -> Result<(), Failed> {
    another(work, l1, l2)?;
    let offset = work.room(256 * PAGE_BYTES);
    for half in 0..2u64 {
        let what = CapType::Frame as u64 | 127 << 32;
        let first = 1 + half * 128;
        let args = [
            first,
            cptr(scratch()),
            what,
            offset + half * 128 * PAGE_BYTES,
            PAGE_BYTES,
        ];
        work.gives(l1, op::RETYPE, args)?;
    }
    cap::delete(CSPACE, l1)?;
    Ok(())
}

/// Repeats a call while it is to be repeated; whether it was.
fn repeat(work: &mut Work, op: u64, slot: CPtr) -> Result<bool, Failed> {
    let mut again = false;
    loop {
        match work.trace.call(CSPACE, op, [cptr(slot), 0, 0, 0, 0]) {
            Err(Error::Again) => again = true,
            result => return Ok(result.map(|_| again)?),
        }
    }
}

pub fn delete_and_revoke(work: &mut Work) -> Result<(), Failed> {
    let [ram, frame, weak, ungranted] = [0, 1, 2, 3].map(at);
    work.make(CapType::Ram, 16 * PAGE_BYTES, ram)?;
    work.make(CapType::Frame, PAGE_BYTES, frame)?;
    work.mint(CSPACE, Rights::READ, weak)?;
    work.mint(frame, Rights::READ, ungranted)?;
    for op in [op::DELETE, op::REVOKE] {
        work.refuses(weak, op, [cptr(frame), 0, 0, 0, 0], Error::NoRight)?;
        work.refuses(CSPACE, op, [NOWHERE, 0, 0, 0, 0], Error::BadSlot)?;
        work.refuses(CSPACE, op, [EMPTY, 0, 0, 0, 0], Error::NoCapability)?;
    }
    work.refuses(
        CSPACE,
        op::REVOKE,
        [cptr(ungranted), 0, 0, 0, 0],
        Error::NoRight,
    )?;
    work.gives(CSPACE, op::REVOKE, [cptr(frame), 0, 0, 0, 0])?;
    if cap::identify(CSPACE, ungranted).is_ok() {
        return Err(Error::Unknown.into());
    }
    // What takes several calls: a full CNode, deleted, and revoked from what it was made of.
    full(work, at(4), at(5))?;
    if !repeat(work, op::DELETE, at(5))? {
        return Err(Failed("a full CNode went at once".into()));
    }
    work.refuses(
        CSPACE,
        op::DELETE,
        [cptr(at(5)), 0, 0, 0, 0],
        Error::NoCapability,
    )?;
    full(work, at(4), at(5))?;
    if !repeat(work, op::REVOKE, scratch())? {
        return Err(Failed("a full CNode was revoked at once".into()));
    }
    // CNodes that hold each other's last capabilities.
    work.room(0);
    work.make(CapType::L1CNode, PAGE_BYTES, at(6))?;
    for n in 0..2u64 {
        let l2 = at(7 + n as u8);
        work.make(CapType::L2CNode, 0, l2)?;
        work.gives(at(6), op::INSTALL_L2, [cptr(l2), n, 0, 0, 0])?;
    }
    let into = |n: u64| [1 + n * 256, cptr(at(8 - n as u8)), ALL, 0, 0];
    work.gives(at(6), op::COPY, into(0))?;
    work.gives(at(6), op::COPY, into(1))?;
    for slot in [7, 8, 6].map(at) {
        work.gives(CSPACE, op::DELETE, [cptr(slot), 0, 0, 0, 0])?;
    }
    Ok(())
}

pub fn places(work: &mut Work) -> Result<(), Failed> {
    let [frame, weak, blind, l1, l2, weak_l2] = [0, 1, 2, 3, 4, 5].map(at);
    work.make(CapType::Frame, PAGE_BYTES, frame)?;
    work.mint(CSPACE, Rights::READ, weak)?;
    work.mint(CSPACE, Rights::WRITE, blind)?;
    another(work, l1, l2)?;
    work.mint(l2, Rights::READ, weak_l2)?;
    let found = work.gives(CSPACE, op::IDENTIFY, [cptr(frame), 0, 0, 0, 0])?;
    if found[0] != CapType::Frame as u64 | ALL << 8 || found[2] != PAGE_BYTES {
        return Err(Error::Unknown.into());
    }
    work.refuses(
        blind,
        op::IDENTIFY,
        [cptr(frame), 0, 0, 0, 0],
        Error::NoRight,
    )?;
    for nothing in [EMPTY, NOWHERE, u64::MAX] {
        work.refuses(
            CSPACE,
            op::IDENTIFY,
            [nothing, 0, 0, 0, 0],
            Error::NoCapability,
        )?;
    }
    work.refuses_all(
        l1,
        op::INSTALL_L2,
        &[
            ([cptr(weak_l2), 1, 0, 0, 0], Error::NoRight),
            ([EMPTY, 1, 0, 0, 0], Error::NoCapability),
            ([cptr(frame), 1, 0, 0, 0], Error::WrongType),
            ([cptr(l2), PAST_END, 0, 0, 0], Error::BadSlot),
            ([cptr(l2), 0, 0, 0, 0], Error::SlotInUse),
        ],
    )?;
    work.refuses_all(
        CSPACE,
        op::MOVE,
        &[
            ([EMPTY, cptr(at(6)), 0, 0, 0], Error::NoCapability),
            ([cptr(frame), NOWHERE, 0, 0, 0], Error::BadSlot),
            ([cptr(frame), cptr(l1), 0, 0, 0], Error::SlotInUse),
        ],
    )?;
    work.refuses(
        weak,
        op::MOVE,
        [cptr(frame), cptr(at(6)), 0, 0, 0],
        Error::NoRight,
    )?;
    work.gives(CSPACE, op::MOVE, [cptr(frame), cptr(at(6)), 0, 0, 0])
        .map(drop)
}

pub fn resize(work: &mut Work) -> Result<(), Failed> {
    let [large, weak, frame, l2, far, ungranted] = [0, 1, 2, 3, 4, 5].map(at);
    // Twice the slots that there are.
    let bytes = cap::identify(CSPACE, CSPACE)?.bytes;
    let places = bytes / abi::cptr::SLOT_BYTES as u64;
    work.make(CapType::L1CNode, 2 * bytes, large)?;
    work.make(CapType::Frame, PAGE_BYTES, frame)?;
    work.make(CapType::L2CNode, 0, l2)?;
    work.mint(CSPACE, Rights::READ, weak)?;
    work.refuses_all(
        large,
        op::ADOPT,
        &[
            ([cptr(weak), 0, 1, 0, 0], Error::NoRight),
            ([EMPTY, 0, 1, 0, 0], Error::NoCapability),
            ([cptr(frame), 0, 1, 0, 0], Error::WrongType),
            ([cptr(CSPACE), 0, 0, 0, 0], Error::BadSize),
            ([cptr(CSPACE), 0, 257, 0, 0], Error::BadSize),
            ([cptr(CSPACE), places, 1, 0, 0], Error::BadSlot),
        ],
    )?;
    work.refuses(
        large,
        op::RESIZE,
        [cptr(CSPACE), 0, 0, 0, 0],
        Error::NotFound,
    )?;
    // Components with another root get only what may be granted.
    work.mint(CSPACE, Rights::READ | Rights::WRITE, ungranted)?;
    work.refuses(
        large,
        op::RESIZE,
        [cptr(ungranted), 0, 0, 0, 0],
        Error::NoRight,
    )?;
    work.refuses_all(
        CSPACE,
        op::RESIZE,
        &[
            ([cptr(weak), 0, 0, 0, 0], Error::NoRight),
            ([EMPTY, 0, 0, 0, 0], Error::NoCapability),
            ([cptr(frame), 0, 0, 0, 0], Error::WrongType),
            ([cptr(CSPACE), 0, 0, 0, 0], Error::BadArgument),
        ],
    )?;
    for first in (0..places).step_by(ADOPTED as usize) {
        let count = ADOPTED.min(places - first);
        work.gives(large, op::ADOPT, [cptr(CSPACE), first, count, 0, 0])?;
    }
    let again = [cptr(CSPACE), 0, ADOPTED.min(places), 0, 0];
    work.refuses(large, op::ADOPT, again, Error::SlotInUse)?;
    work.gives(CSPACE, op::RESIZE, [cptr(large), 0, 0, 0, 0])?;
    // The same addresses, and new ones.
    work.gives(large, op::INSTALL_L2, [cptr(l2), places + 1, 0, 0, 0])?;
    let beyond = (places + 1) << 8 | 7;
    work.gives(large, op::COPY, [beyond, cptr(CONSOLE), ALL, 0, 0])?;
    let beyond = CPtr(beyond as u32);
    work.gives(beyond, abi::op::console::WRITE, [0; 5])?;
    work.gives(large, op::MOVE, [cptr(beyond), cptr(far), 0, 0, 0])?;
    // And back to the smaller one, which still has all that it had.
    work.gives(large, op::RESIZE, [cptr(CSPACE), 0, 0, 0, 0])?;
    match rt::syscall(beyond, abi::op::console::WRITE, [0; 5]) {
        Err(Error::NoCapability) => Ok(()),
        other => Err(Failed(alloc::format!("beyond the smaller root: {other:?}"))),
    }
}
