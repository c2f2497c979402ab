//! Operations on components and threads.

use abi::layout::OWN_SPACE;
use abi::op::{component as op, cspace, table, thread as thread_op};
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, Error, Rights, ThreadId};

use crate::work::{EMPTY, Failed, NOWHERE, PAGE_BYTES, READ, Work, at, cptr, run, scratch};

const L1: CPtr = at(0);
const PML4: CPtr = at(1);
const COMPONENT: CPtr = at(2);
const WEAK: CPtr = at(3);
const FRAME: CPtr = at(4);
const OBJECT: CPtr = at(5);
const WEAK_OBJECT: CPtr = at(6);
/// Where a user's program counter cannot be.
const KERNEL_ADDRESS: u64 = 1 << 63;
/// Numbers that no component or thread of the image has.
const ID: u64 = 50;

/// What a component is made of, and one that is not configured.
fn parts(work: &mut Work) -> Result<(), Failed> {
    work.make(CapType::L1CNode, PAGE_BYTES, L1)?;
    work.make(CapType::Pml4, PAGE_BYTES, PML4)?;
    work.make(CapType::Component, PAGE_BYTES, COMPONENT)?;
    work.make(CapType::Frame, PAGE_BYTES, FRAME)
}

const CONFIGURATION: [u64; 5] = [cptr(L1), cptr(PML4), 0x40_0000, 0, ID];

pub fn component(work: &mut Work) -> Result<(), Failed> {
    parts(work)?;
    work.mint(COMPONENT, Rights::READ, WEAK)?;
    work.mint(PML4, Rights::READ, at(7))?;
    let with = |n: usize, word: u64| {
        let mut args = CONFIGURATION;
        args[n] = word;
        args
    };
    work.refuses(COMPONENT, op::KILL, [0; 5], Error::BadState)?;
    work.refuses(COMPONENT, op::REVIVE, [0; 5], Error::BadState)?;
    work.refuses_all(
        COMPONENT,
        op::CONFIGURE,
        &[
            (with(1, cptr(at(7))), Error::NoRight),
            (with(0, EMPTY), Error::NoCapability),
            (with(3, EMPTY), Error::NoCapability),
            (with(1, cptr(FRAME)), Error::WrongType),
            (with(3, cptr(FRAME)), Error::WrongType),
            (with(2, KERNEL_ADDRESS), Error::BadArgument),
            (with(4, ID | 2 << 16), Error::BadArgument),
        ],
    )?;
    for op in [
        op::CONFIGURE,
        op::MAKE_ENTRY,
        op::KILL,
        op::REVIVE,
        op::IDENTIFY,
    ] {
        work.refuses(WEAK, op, CONFIGURATION, Error::NoRight)?;
    }
    work.gives(COMPONENT, op::CONFIGURE, CONFIGURATION)?;
    work.refuses(COMPONENT, op::CONFIGURE, CONFIGURATION, Error::BadState)?;
    work.gives(
        COMPONENT,
        op::MAKE_ENTRY,
        [cptr(CSPACE), cptr(at(10)), 0xbad6e, 0, 0],
    )?;
    work.refuses_all(
        COMPONENT,
        op::MAKE_ENTRY,
        &[
            ([EMPTY, cptr(at(11)), 1, 0, 0], Error::NoCapability),
            ([cptr(FRAME), cptr(at(11)), 1, 0, 0], Error::WrongType),
            ([cptr(CSPACE), NOWHERE, 1, 0, 0], Error::BadSlot),
            ([cptr(CSPACE), cptr(at(10)), 1, 0, 0], Error::SlotInUse),
        ],
    )?;
    work.gives(COMPONENT, op::KILL, [0; 5])?;
    if work.gives(COMPONENT, op::IDENTIFY, [0; 5])? != [2, 0, 0, 0] {
        return Err(Error::Unknown.into());
    }
    if rt::invoke(at(10), 0, [0; 4]) != Err(Error::Dead) {
        return Err(Error::Unknown.into());
    }
    work.gives(COMPONENT, op::REVIVE, [0; 5])?;
    // It goes with all that it holds, its Entries included.
    for slot in [WEAK, L1, PML4, COMPONENT] {
        work.gives(CSPACE, cspace::DELETE, [cptr(slot), 0, 0, 0, 0])?;
    }
    match rt::cap::identify(CSPACE, at(10)) {
        Err(Error::NoCapability) => Ok(()),
        _ => Err(Failed("an Entry outlived its component".into())),
    }
}

pub fn thread(work: &mut Work) -> Result<(), Failed> {
    parts(work)?;
    work.make(CapType::Thread, PAGE_BYTES, OBJECT)?;
    work.mint(OBJECT, Rights::empty(), WEAK_OBJECT)?;
    work.mint(COMPONENT, Rights::READ, WEAK)?;
    let args = [cptr(COMPONENT), ID, 0, 0, 0];
    work.refuses(OBJECT, thread_op::SWITCH, [0; 5], Error::BadState)?;
    for op in [thread_op::CONFIGURE, thread_op::SWITCH, thread_op::IDENTIFY] {
        work.refuses(WEAK_OBJECT, op, args, Error::NoRight)?;
    }
    work.refuses(OBJECT, thread_op::CONFIGURE, args, Error::Dead)?;
    work.gives(COMPONENT, op::CONFIGURE, CONFIGURATION)?;
    work.refuses_all(
        OBJECT,
        thread_op::CONFIGURE,
        &[
            ([cptr(WEAK), ID, 0, 0, 0], Error::NoRight),
            ([EMPTY, ID, 0, 0, 0], Error::NoCapability),
            ([cptr(FRAME), ID, 0, 0, 0], Error::WrongType),
            (
                [cptr(COMPONENT), ThreadId::MAX as u64, 0, 0, 0],
                Error::BadArgument,
            ),
        ],
    )?;
    work.gives(OBJECT, thread_op::CONFIGURE, args)?;
    work.refuses(OBJECT, thread_op::CONFIGURE, args, Error::BadState)?;
    if work.gives(OBJECT, thread_op::IDENTIFY, [0; 5])? != [1, ID, 0, 0] {
        return Err(Error::Unknown.into());
    }
    work.gives(rt::alone::own_thread()?, thread_op::SWITCH, [0; 5])
        .map(drop)
}

/// A core takes 64 components and 64 threads, and as many again when they are gone.
pub fn crowd(work: &mut Work) -> Result<(), Failed> {
    const CROWD: u64 = 65;
    parts(work)?;
    work.gives(COMPONENT, op::CONFIGURE, CONFIGURATION)?;
    for _ in 0..2 {
        for (captype, configure, args) in [
            (CapType::Component, op::CONFIGURE, CONFIGURATION),
            (
                CapType::Thread,
                thread_op::CONFIGURE,
                [cptr(COMPONENT), ID, 0, 0, 0],
            ),
        ] {
            let offset = work.room(CROWD * PAGE_BYTES);
            let what = captype as u64 | CROWD << 32;
            let make = [cptr(at(100)), cptr(scratch()), what, offset, PAGE_BYTES];
            while work.trace.call(CSPACE, cspace::RETYPE, make) == Err(Error::Again) {}
            let mut busy = false;
            for n in 0..CROWD {
                match work.trace.call(at(100 + n as u8), configure, args) {
                    Ok(_) if !busy => {}
                    Err(Error::Busy) => busy = true,
                    other => return Err(Failed(alloc::format!("{captype:?} {n}: {other:?}"))),
                }
            }
            if !busy {
                return Err(Failed(alloc::format!("{captype:?}: no end")));
            }
            for n in 0..CROWD {
                rt::cap::delete(CSPACE, at(100 + n as u8))?;
            }
        }
    }
    Ok(())
}

/// Memory of a deleted CNode, component, thread or top table, made a frame, tells nothing of what it
/// was: neither registers nor where the kernel keeps anything.
pub fn leftovers(work: &mut Work) -> Result<(), Failed> {
    const OBJECTS: [(CapType, u64, CPtr); 5] = [
        (CapType::L1CNode, 1, L1),
        (CapType::Pml4, 1, PML4),
        (CapType::Component, 1, COMPONENT),
        (CapType::Thread, 1, OBJECT),
        (CapType::L2CNode, 4, at(8)),
    ];
    let [pd, pt, frame] = [20, 21, 22].map(at);
    let mut pages = 0;
    for (captype, count, slot) in OBJECTS {
        work.make(captype, count * PAGE_BYTES, slot)?;
        pages += count;
    }
    work.gives(L1, cspace::INSTALL_L2, [cptr(at(8)), 0, 0, 0, 0])?;
    for n in 1..=8 {
        let copy = [n, cptr(PML4), Rights::all().bits().into(), 0, 0];
        work.gives(L1, cspace::COPY, copy)?;
    }
    work.gives(COMPONENT, op::CONFIGURE, CONFIGURATION)?;
    work.gives(OBJECT, thread_op::CONFIGURE, [cptr(COMPONENT), ID, 0, 0, 0])?;
    for (_, _, slot) in OBJECTS {
        rt::cap::delete(CSPACE, slot)?;
    }
    let what = CapType::Frame as u64 | 1 << 32;
    let whole = [cptr(frame), cptr(scratch()), what, 0, pages * PAGE_BYTES];
    work.gives(CSPACE, cspace::RETYPE, whole)?;
    work.make(CapType::Pd, 0, pd)?;
    work.make(CapType::Pt, 0, pt)?;
    let own = rt::grant("own-pdpt").ok_or(Error::NotFound)?.cap;
    for (n, (above, below, count)) in [(own, pd, 1), (pd, pt, 1), (pt, frame, pages)]
        .into_iter()
        .enumerate()
    {
        let to = cptr(at(23 + n as u8));
        let args = [cptr(below), run(0, count, READ), 0, to, 0];
        work.gives(above, table::MAP, args)?;
    }
    let mut words = (0..pages * PAGE_BYTES / 8).map(|n| {
        let address = OWN_SPACE as u64 + n * 8;
        // SAFETY: the pages that were just mapped, of a frame that is the test's.
        (n, unsafe { (address as *const u64).read_volatile() })
    });
    let found = words.find(|(_, word)| *word != 0);
    work.gives(own, table::UNMAP, [cptr(at(23)), 0, 0, 0, 0])?;
    match found {
        None => Ok(()),
        Some((n, word)) => Err(Failed(alloc::format!("word {n} is {word:#x}"))),
    }
}
