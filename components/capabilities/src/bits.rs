//! Bits that mean nothing: every bit of an argument that its operation has no use for is refused with
//! one error, or ignored where the table says so, and whole arguments that it does not have are
//! ignored. Each operation of the table has its line here, or the test fails.

use abi::op::{
    INTERFACES, component, console, cspace, irq, kernel, mapping, ports, table, thread as threads,
};
use abi::start::slot::{CONSOLE, CSPACE, KERNEL, RECLAIM};
use abi::{CapType, Error, Rights};
use alloc::collections::BTreeSet;
use alloc::format;
use core::ops::Range;

use crate::trace::described;
use crate::work::{Failed, PAGE_BYTES, READ, WRITE, Work, at, cptr, run, scratch};

/// Argument, bits of it that mean nothing, what each of them is refused with.
type Reserved = (usize, Range<u32>, Error);

/// Calls as they are meant to be, to which bits are added.
struct Bits<'a, 'b> {
    work: &'a mut Work<'b>,
    /// What had its turn: interface and operation.
    done: BTreeSet<(&'static str, &'static str)>,
}

/// Of an address, and of all of a word.
const ADDRESS: Range<u32> = u32::BITS..END;
const END: u32 = u64::BITS;
/// A first argument that is the address of a slot, or of a capability that is used.
const PLACE: Reserved = (0, ADDRESS, Error::BadSlot);
const SOURCE: Reserved = (0, ADDRESS, Error::NoCapability);

impl Bits<'_, '_> {
    /// Refused with any of `reserved`; without them, whatever is in the arguments that the operation
    /// does not have, the outcome is `meant`.
    fn call(
        &mut self,
        object: abi::CPtr,
        number: u64,
        args: [u64; 5],
        reserved: &[Reserved],
        meant: Result<(), Error>,
    ) -> Result<[u64; 4], Failed> {
        let captype = rt::cap::identify(CSPACE, object)?.captype;
        let (interface, operation) =
            described(captype, number).ok_or(Failed(format!("{captype:?} has no {number}")))?;
        for (n, bits, error) in reserved {
            for bit in bits.clone() {
                let mut with = args;
                with[*n] |= 1 << bit;
                self.work.refuses(object, number, with, *error)?;
            }
        }
        let mut full = args;
        full[operation.arguments.len()..].fill(u64::MAX);
        let result = self.work.trace.call(object, number, full);
        if result.map(drop) != meant {
            let name = operation.name;
            return Err(Failed(format!("{name} {full:x?}: {result:?}")));
        }
        self.done.insert((interface.name, operation.name));
        Ok(result.unwrap_or_default())
    }

    fn good(
        &mut self,
        object: abi::CPtr,
        number: u64,
        args: [u64; 5],
        reserved: &[Reserved],
    ) -> Result<[u64; 4], Failed> {
        self.call(object, number, args, reserved, Ok(()))
    }
}

pub fn without_meaning(work: &mut Work) -> Result<(), Failed> {
    let mut bits = Bits {
        work,
        done: BTreeSet::new(),
    };
    of_cspaces(&mut bits)?;
    of_tables(&mut bits)?;
    of_objects(&mut bits)?;
    of_the_core(&mut bits)?;
    // What is on no capability is the puppets' to try.
    for interface in INTERFACES.iter().filter(|found| !found.types.is_empty()) {
        for operation in interface.operations {
            if !bits.done.contains(&(interface.name, operation.name)) {
                let (of, name) = (interface.name, operation.name);
                return Err(Failed(format!("{of} {name} had no turn")));
            }
        }
    }
    Ok(())
}

fn of_cspaces(bits: &mut Bits) -> Result<(), Failed> {
    let [frame, copy, l1, l2, pt, moved] = [0, 1, 2, 3, 4, 5].map(at);
    let nothing = Error::NoCapability;
    bits.work.make(CapType::Frame, PAGE_BYTES, frame)?;
    // A type has 32 bits, and so has the number of objects; offset and size are bytes.
    let offset = bits.work.room(PAGE_BYTES);
    let what = CapType::Pt as u64 | 1 << 32;
    bits.good(
        CSPACE,
        cspace::RETYPE,
        [cptr(pt), cptr(scratch()), what, offset, 0],
        &[
            PLACE,
            (1, ADDRESS, nothing),
            (2, 5..32, Error::BadRetype),
            (2, 41..END, Error::BadSlot),
            (3, 40..END, Error::OutOfRange),
        ],
    )?;
    let rights = u64::from(Rights::READ.bits());
    let any = !u64::from(Rights::all().bits());
    bits.good(
        CSPACE,
        cspace::COPY,
        [cptr(copy), cptr(frame), rights | any, 0, 0],
        &[PLACE, (1, ADDRESS, nothing)],
    )?;
    let [kind, ..] = bits.good(
        CSPACE,
        cspace::IDENTIFY,
        [cptr(copy), 0, 0, 0, 0],
        &[SOURCE],
    )?;
    if kind != CapType::Frame as u64 | rights << 8 {
        return Err(Failed(format!("a mask with other bits made {kind:#x}")));
    }
    bits.good(
        CSPACE,
        cspace::MOVE,
        [cptr(copy), cptr(moved), 0, 0, 0],
        &[SOURCE, (1, ADDRESS, Error::BadSlot)],
    )?;
    for (number, slot) in [(cspace::DELETE, moved), (cspace::REVOKE, frame)] {
        bits.good(CSPACE, number, [cptr(slot), 0, 0, 0, 0], &[PLACE])?;
    }
    bits.work.make(CapType::L1CNode, PAGE_BYTES, l1)?;
    bits.work.make(CapType::L2CNode, 0, l2)?;
    let l2 = [cptr(l2), 3, 0, 0, 0];
    let sources: &[Reserved] = &[SOURCE, (1, 6..END, Error::BadSlot)];
    bits.good(l1, cspace::INSTALL_L2, l2, sources)?;
    let root = at(6);
    bits.work.make(CapType::L1CNode, PAGE_BYTES, root)?;
    bits.good(
        root,
        cspace::ADOPT,
        [cptr(l1), 0, 64, 0, 0],
        &[
            SOURCE,
            (1, 6..END, Error::BadSlot),
            (2, 9..END, Error::BadSize),
        ],
    )?;
    bits.call(
        root,
        cspace::RESIZE,
        [cptr(l1), 0, 0, 0, 0],
        &[SOURCE],
        Err(Error::NotFound),
    )
    .map(drop)
}

fn of_tables(bits: &mut Bits) -> Result<(), Failed> {
    let [pt, frame, map] = [10, 11, 12].map(at);
    bits.work.make(CapType::Pt, 0, pt)?;
    bits.work.make(CapType::Frame, 4 * PAGE_BYTES, frame)?;
    let one = run(7, 1, READ | WRITE);
    // Flags have eight bits, of which some are none.
    let flags = 37..END;
    bits.good(
        pt,
        table::MAP,
        [cptr(frame), one, 0, cptr(map), 0],
        &[
            SOURCE,
            (1, flags.clone(), Error::BadFlags),
            (2, 14..END, Error::OutOfRange),
            (3, ADDRESS, Error::BadSlot),
        ],
    )?;
    let unknown: &[Reserved] = &[(0, flags, Error::BadFlags)];
    bits.good(pt, table::MODIFY, [one, 0, 0, 0, 0], unknown)?;
    bits.good(map, mapping::MODIFY, [run(0, 1, READ), 0, 0, 0, 0], unknown)?;
    let dirty = &[(0, 32..END, Error::BadFlags)];
    bits.good(pt, table::CLEAR_DIRTY, [run(7, 1, 0), 0, 0, 0, 0], dirty)?;
    let entry = &[(0, 9..END, Error::OutOfRange)];
    bits.good(pt, table::READ, [7, 0, 0, 0, 0], entry)?;
    bits.good(pt, table::UNMAP, [cptr(map), 0, 0, 0, 0], &[SOURCE])?;
    let args = [cptr(frame), one, 0, cptr(map), 0];
    bits.work.gives(pt, table::MAP, args)?;
    bits.good(map, mapping::DESTROY, [0; 5], &[]).map(drop)
}

fn of_objects(bits: &mut Bits) -> Result<(), Failed> {
    const ID: u64 = 50;
    let [l1, pml4, object, entry, thread] = [20, 21, 22, 23, 24].map(at);
    for (captype, slot) in [
        (CapType::L1CNode, l1),
        (CapType::Pml4, pml4),
        (CapType::Component, object),
        (CapType::Thread, thread),
    ] {
        bits.work.make(captype, PAGE_BYTES, slot)?;
    }
    let nothing = Error::NoCapability;
    bits.good(
        object,
        component::CONFIGURE,
        [cptr(l1), cptr(pml4), 0x40_0000, 0, ID],
        &[
            SOURCE,
            (1, ADDRESS, nothing),
            (2, 47..END, Error::BadArgument),
            (3, ADDRESS, nothing),
            (4, 17..END, Error::BadArgument),
        ],
    )?;
    // All of a badge is a badge.
    bits.good(
        object,
        component::MAKE_ENTRY,
        [cptr(CSPACE), cptr(entry), u64::MAX, 0, 0],
        &[SOURCE, (1, ADDRESS, Error::BadSlot)],
    )?;
    for number in [component::KILL, component::IDENTIFY, component::REVIVE] {
        bits.good(object, number, [0; 5], &[])?;
    }
    // Half of the word is the new thread's argument.
    bits.good(
        thread,
        threads::CONFIGURE,
        [cptr(object), ID, 0, 0, 0],
        &[SOURCE],
    )?;
    let other = at(25);
    bits.work.make(CapType::Thread, PAGE_BYTES, other)?;
    for bit in 6..u32::BITS {
        let args = [cptr(object), ID | 1 << bit, 0, 0, 0];
        bits.work
            .refuses(other, threads::CONFIGURE, args, Error::BadArgument)?;
    }
    bits.good(thread, threads::IDENTIFY, [0; 5], &[])?;
    bits.good(rt::alone::own_thread()?, threads::SWITCH, [0; 5], &[])
        .map(drop)
}

fn of_the_core(bits: &mut Bits) -> Result<(), Failed> {
    let own = rt::alone::own_thread()?;
    let to = cptr(at(30));
    let thread = [cptr(own), 0, 0, 0, 0];
    bits.good(KERNEL, kernel::SET_EVENT_THREAD, thread, &[SOURCE])?;
    // Any time-stamp is one.
    let now = [rt::time::now(), 0, 0, 0, 0];
    bits.good(KERNEL, kernel::SET_TIMER, now, &[])?;
    bits.good(KERNEL, kernel::WAIT, [0; 5], &[])?;
    bits.good(KERNEL, kernel::SET_TIMER, [u64::MAX, 0, 0, 0, 0], &[])?;
    bits.good(KERNEL, kernel::POLL, [0; 5], &[])?;
    bits.good(
        KERNEL,
        kernel::MAKE_IRQ,
        [to, 42, 0, 0, 0],
        &[PLACE, (1, 6..END, Error::BadArgument)],
    )?;
    bits.good(at(30), irq::IDENTIFY, [0; 5], &[])?;
    let counter = [kernel::stat::CAPABILITIES, 0, 0, 0, 0];
    bits.good(
        KERNEL,
        kernel::STAT,
        counter,
        // One bit makes the count of all that of a type.
        &[
            (0, 3..8, Error::BadArgument),
            (0, 9..END, Error::BadArgument),
        ],
    )?;
    let (to, none) = (cptr(at(31)), Err(Error::NotFound));
    bits.call(RECLAIM, kernel::RECLAIM, [to, 0, 0, 0, 0], &[PLACE], none)?;
    bits.call(RECLAIM, kernel::CLAIM, [to, 0, 0, 0, 0], &[PLACE], none)?;
    let far = [to, u64::MAX, 0, 0, 0];
    bits.work
        .refuses(RECLAIM, kernel::CLAIM, far, Error::NotFound)?;
    // Success ends the machine.
    for bit in ADDRESS {
        let args = [1 << bit, 0, 0, 0, 0];
        bits.work
            .refuses(KERNEL, kernel::SHUTDOWN, args, Error::BadArgument)?;
    }
    bits.done.insert(("kernel", "SHUTDOWN"));
    bits.good(
        CONSOLE,
        console::WRITE,
        [0; 5],
        &[(0, 6..END, Error::BadSize)],
    )?;
    let clock = rt::grant("clock").ok_or(Error::NotFound)?;
    let wide: &[Reserved] = &[
        (0, 16..END, Error::OutOfRange),
        (1, 3..END, Error::BadArgument),
    ];
    let data = u64::MAX << 8;
    let out = [clock.base, 1, data, 0, 0];
    bits.good(clock.cap, ports::OUT, out, wide)?;
    let seconds = bits.good(clock.cap, ports::IN, [clock.base + 1, 1, 0, 0, 0], wide)?[0];
    match seconds {
        0..=0x59 => Ok(()),
        _ => Err(Failed(format!("the wall clock's seconds are {seconds:#x}"))),
    }
}
