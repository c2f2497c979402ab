//! What a component may ask for itself (`OWN`), and what becomes of one whose own parts are taken away
//! while it runs or waits.

use abi::layout::IMAGE;
use abi::op::lifecycle::fault::ILLEGAL;
use abi::op::{cspace, kernel, own as op, thread};
use abi::start::slot::{CSPACE, KERNEL};
use abi::{CPtr, Error};
use alloc::format;
use rt::cap;

use crate::puppet::{
    BACK, COMPONENT, ENTRY, GROUND, PML4, ROOT, THREAD, Workshop, fault, obey, of, told,
};
use crate::trace::unknown_own;
use crate::work::{Failed, Work, cptr};

/// A user's address, and one that is the kernel's.
const ADDRESS: u64 = IMAGE as u64;
const KERNEL_ADDRESS_BITS: core::ops::Range<u32> = 47..u64::BITS;
/// Bits of a number of bytes that make it larger than a stack place.
const TOO_LARGE_BITS: core::ops::Range<u32> = 19..u64::BITS;

/// Has the puppet ask, which must end so.
fn ask(
    work: &mut Work,
    operation: u64,
    args: [u64; 2],
    expected: Result<(), Error>,
) -> Result<[u64; 4], Failed> {
    let told = obey(CPtr::OWN, operation, args);
    work.trace.own(operation, told);
    if told.map(drop) != expected {
        let what = format!("OWN {operation} {args:x?}: {told:?}, not {expected:?}");
        return Err(Failed(what));
    }
    Ok(told.unwrap_or_default())
}

pub fn operations(work: &mut Work) -> Result<(), Failed> {
    let workshop = Workshop::new(work)?;
    workshop.make(false, 0)?;
    let none = Err(Error::BadState);
    for (operation, expected) in [
        (op::FAULT, none),
        (op::TRACE, none),
        (op::INVOKERS, none),
        (op::SET_HANDLER, Ok(())),
    ] {
        // Arguments of no handler mean nothing.
        ask(work, operation, [0, u64::MAX], expected)?;
    }
    for bit in KERNEL_ADDRESS_BITS {
        let args = [ADDRESS | 1 << bit, 512];
        ask(work, op::SET_HANDLER, args, Err(Error::BadArgument))?;
    }
    for bytes in core::iter::once(0).chain(TOO_LARGE_BITS.map(|bit| 512 | 1 << bit)) {
        let args = [ADDRESS, bytes];
        ask(work, op::SET_HANDLER, args, Err(Error::BadSize))?;
    }
    for number in unknown_own() {
        let told = obey(CPtr::OWN, number, [0; 2]);
        if told != Err(Error::BadOperation) {
            return Err(Failed(format!("OWN {number}: {told:?}")));
        }
    }
    // Its own handler is told of a fault, once.
    let told = fault();
    work.trace.own(op::FAULT, told);
    let [instruction, kind, ..] = told?;
    if kind >> 32 != ILLEGAL || instruction < ADDRESS {
        return Err(Failed(format!("{instruction:#x}, {kind:#x}")));
    }
    ask(work, op::FAULT, [0; 2], none)?;
    // Without a supervisor, what is given up ends it.
    ask_dead(op::GIVE_UP)?;
    workshop.unmake()?;
    // With one, which lets the thread go on if it may ask who waits.
    workshop.make(true, 0)?;
    ask(work, op::TRACE, [1, ADDRESS], Ok(()))?;
    let gave_up = ask(work, op::GIVE_UP, [ILLEGAL, ADDRESS], Ok(()));
    work.trace
        .own(op::INVOKERS, gave_up.as_ref().map_err(|_| Error::BadState));
    gave_up?;
    workshop.unmake()?;
    Ok(())
}

/// What the puppet asks for ends it.
fn ask_dead(operation: u64) -> Result<(), Failed> {
    match obey(CPtr::OWN, operation, [0; 2]) {
        Err(Error::Dead) => Ok(()),
        other => Err(Failed(format!("OWN {operation} of nobody's: {other:?}"))),
    }
}

/// Parts of a component, the slot where their last capability is or will be, and what takes them away.
const PARTS: [(&str, u64, &[u64]); 3] = [
    ("its component", COMPONENT, &[cspace::DELETE]),
    ("its address space", PML4, &[cspace::REVOKE, cspace::DELETE]),
    ("its memory", GROUND, &[cspace::REVOKE]),
];

pub fn in_use(work: &mut Work) -> Result<(), Failed> {
    let own = rt::alone::own_thread()?;
    work.gives(KERNEL, kernel::SET_EVENT_THREAD, [cptr(own), 0, 0, 0, 0])?;
    let workshop = Workshop::new(work)?;
    // By the component itself, which was invoked: its invoker is told.
    for (what, slot, operations) in PARTS {
        workshop.make(false, 0)?;
        for (n, operation) in operations.iter().enumerate() {
            let last = n + 1 == operations.len();
            let told = until_done(|| obey(CPtr(ROOT as u32), *operation, [slot, 0]));
            match told {
                Ok(_) if !last => {}
                Err(Error::Dead) if last => {}
                told => return Err(Failed(format!("{what}, {operation}: {told:?}"))),
            }
        }
        gone(what, rt::invoke(of(ENTRY), 0, [0; 4]))?;
        workshop.unmake()?;
    }
    // Without a capability to its root it finds none, and without the root it is dead.
    workshop.make(false, 0)?;
    let root = CPtr(ROOT as u32);
    until_done(|| obey(root, cspace::REVOKE, [ROOT, 0]))?;
    gone(
        "its root's capability",
        obey(root, cspace::DELETE, [ROOT, 0]),
    )?;
    cap::delete(CSPACE, of(ROOT))?;
    if obey(CPtr::OWN, op::FAULT, [0; 2]) != Err(Error::Dead) {
        return Err(Failed("without its CSpace it goes on".into()));
    }
    workshop.unmake()?;
    // By a thread of its own, the thread among it: the event thread goes on.
    for (what, slot, operation) in [
        ("its thread", THREAD, cspace::DELETE),
        ("its thread's memory", GROUND, cspace::REVOKE),
        ("its thread's component", COMPONENT, cspace::DELETE),
    ] {
        workshop.make(false, told(ROOT, operation, slot))?;
        cap::thread::switch(of(THREAD))?;
        if slot != COMPONENT {
            gone(what, cap::thread::switch(of(THREAD)))?;
        }
        workshop.unmake()?;
    }
    // By another, while a thread waits in it: that ends when it is its turn.
    workshop.make(false, BACK)?;
    cap::thread::switch(of(THREAD))?;
    cap::delete(CSPACE, of(COMPONENT))?;
    let [state, ..] = work.gives(of(THREAD), thread::IDENTIFY, [0; 5])?;
    cap::thread::switch(of(THREAD))?;
    let [ended, ..] = work.gives(of(THREAD), thread::IDENTIFY, [0; 5])?;
    workshop.unmake()?;
    match (state, ended) {
        (1, 2) => Ok(()),
        states => Err(Failed(format!("a waiting thread's states: {states:?}"))),
    }
}

fn until_done<T>(mut act: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match act() {
            Err(Error::Again) => {}
            done => return done,
        }
    }
}

/// What is not there any more, or is dead, answers so.
fn gone<T>(what: &str, told: Result<T, Error>) -> Result<(), Failed> {
    match told {
        Err(Error::NoCapability | Error::Dead) => Ok(()),
        Err(error) => Err(Failed(format!("without {what}: {error}"))),
        Ok(_) => Err(Failed(format!("without {what} it goes on"))),
    }
}
