//! Operations on the core, interrupts and the console.

use abi::op::{console as console_op, cspace, irq, kernel as op, ports as ports_op};
use abi::start::slot::{CONSOLE, CSPACE, KERNEL, RECLAIM};
use abi::{CPtr, CapType, Error, Rights};
use rt::cap;

use alloc::format;

use crate::cspace::full;
use crate::work::{EMPTY, Failed, NOWHERE, PAGE_BYTES, Work, at, cptr, scratch};

const WEAK: CPtr = at(0);
const FRAME: CPtr = at(1);
const THREAD_SLOT: CPtr = at(2);

pub fn core(work: &mut Work) -> Result<(), Failed> {
    let own = rt::alone::own_thread()?;
    work.mint(KERNEL, Rights::empty(), WEAK)?;
    work.make(CapType::Frame, PAGE_BYTES, FRAME)?;
    work.make(CapType::Thread, PAGE_BYTES, THREAD_SLOT)?;
    for number in [op::WAIT, op::POLL] {
        work.refuses(KERNEL, number, [0; 5], Error::BadState)?;
    }
    for number in op::WAIT..=op::CLAIM {
        work.refuses(WEAK, number, [0; 5], Error::NoRight)?;
    }
    work.mint(own, Rights::READ, at(3))?;
    work.refuses_all(
        KERNEL,
        op::SET_EVENT_THREAD,
        &[
            ([cptr(at(3)), 0, 0, 0, 0], Error::NoRight),
            ([EMPTY, 0, 0, 0, 0], Error::NoCapability),
            ([cptr(FRAME), 0, 0, 0, 0], Error::WrongType),
            ([cptr(THREAD_SLOT), 0, 0, 0, 0], Error::BadState),
        ],
    )?;
    work.gives(KERNEL, op::SET_EVENT_THREAD, [cptr(own), 0, 0, 0, 0])?;
    let now = rt::time::now();
    work.gives(KERNEL, op::SET_TIMER, [now, 0, 0, 0, 0])?;
    let events = work.gives(KERNEL, op::WAIT, [0; 5])?[0];
    work.gives(KERNEL, op::SET_TIMER, [u64::MAX, 0, 0, 0, 0])?;
    work.gives(KERNEL, op::POLL, [0; 5])?;
    if events & op::event::TIMER == 0 {
        return Err(Failed(alloc::format!("events {events:#x}")));
    }
    work.gives(KERNEL, op::STAT, [op::stat::CAPABILITIES, 0, 0, 0, 0])?;
    let of = |ty: usize| [op::stat::CAPABILITIES_OF + ty as u64, 0, 0, 0, 0];
    let mut sum = 0;
    for ty in 0..CapType::ALL.len() {
        let [count, ..] = work.gives(KERNEL, op::STAT, of(ty))?;
        sum += count;
    }
    let [all, ..] = work.gives(KERNEL, op::STAT, [op::stat::CAPABILITIES, 0, 0, 0, 0])?;
    if sum != all {
        return Err(Failed(format!("{sum} capabilities by type, {all} in all")));
    }
    let beyond = of(CapType::ALL.len());
    work.refuses(KERNEL, op::STAT, beyond, Error::BadArgument)?;
    work.refuses(KERNEL, op::STAT, [99, 0, 0, 0, 0], Error::BadArgument)
}

pub fn interrupts(work: &mut Work) -> Result<(), Failed> {
    let irq_slot = at(4);
    work.gives(KERNEL, op::MAKE_IRQ, [cptr(irq_slot), 41, 0, 0, 0])?;
    work.refuses_all(
        KERNEL,
        op::MAKE_IRQ,
        &[
            ([cptr(at(5)), 41, 0, 0, 0], Error::Busy),
            ([cptr(at(5)), 0, 0, 0, 0], Error::BadArgument),
            ([cptr(at(5)), 63, 0, 0, 0], Error::BadArgument),
            ([NOWHERE, 42, 0, 0, 0], Error::BadSlot),
            ([cptr(irq_slot), 42, 0, 0, 0], Error::SlotInUse),
        ],
    )?;
    if work.gives(irq_slot, irq::IDENTIFY, [0; 5])?[0] != 41 {
        return Err(Error::Unknown.into());
    }
    work.mint(irq_slot, Rights::WRITE, WEAK)?;
    work.refuses(WEAK, irq::IDENTIFY, [0; 5], Error::NoRight)
}

pub fn reclaim(work: &mut Work) -> Result<(), Failed> {
    let (lost, to) = (at(1), at(2));
    for (number, address) in [(op::RECLAIM, 0), (op::CLAIM, 0)] {
        // Who may use the core may not take its memory.
        work.refuses(KERNEL, number, [cptr(to), 0, 0, 0, 0], Error::NoRight)?;
        let args = |slot| [slot, address, 0, 0, 0];
        work.refuses(RECLAIM, number, args(NOWHERE), Error::BadSlot)?;
        work.refuses(RECLAIM, number, args(cptr(scratch())), Error::SlotInUse)?;
        work.refuses(RECLAIM, number, args(cptr(to)), Error::NotFound)?;
    }
    work.make(CapType::Frame, PAGE_BYTES, lost)?;
    let base = cap::identify(CSPACE, lost)?.base;
    work.refuses(
        RECLAIM,
        op::CLAIM,
        [cptr(to), base, 0, 0, 0],
        Error::Overlaps,
    )?;
    // Somebody else's deletion is carried on.
    full(work, at(4), at(5))?;
    work.refuses(
        CSPACE,
        cspace::DELETE,
        [cptr(at(5)), 0, 0, 0, 0],
        Error::Again,
    )?;
    work.refuses(RECLAIM, op::RECLAIM, [cptr(to), 0, 0, 0, 0], Error::Again)?;
    work.refuses(RECLAIM, op::CLAIM, [cptr(to), base, 0, 0, 0], Error::Again)?;
    cap::delete(CSPACE, at(5))?;
    // Without the memory's own capability, and all that it was made from.
    let mut above = [(CPtr::NULL, 0); 32];
    let mut count = 0;
    for grant in rt::info()
        .grants
        .iter()
        .filter(|grant| grant.name.as_str() == "ram")
    {
        if let Ok(found) = cap::identify(CSPACE, grant.cap) {
            above[count] = (grant.cap, found.base);
            count += 1;
        }
    }
    let before = cap::identify(CSPACE, scratch())?;
    let others = crate::trace::capabilities()?;
    for (slot, _) in &above[..count] {
        cap::delete(CSPACE, *slot)?;
    }
    cap::delete(CSPACE, scratch())?;
    let claimed = work.gives(RECLAIM, op::CLAIM, [cptr(to), base, 0, 0, 0])?;
    if claimed[..2] != [base, PAGE_BYTES] {
        return Err(Failed(alloc::format!("claimed {claimed:x?}")));
    }
    cap::revoke(CSPACE, to)?;
    cap::delete(CSPACE, to)?;
    // All of it comes back, but for what the slots of this test lie in.
    let first = work.gives(RECLAIM, op::RECLAIM, [cptr(above[0].0), 0, 0, 0, 0])?;
    let mut back = alloc::vec![(above[0].0, first[0], first[1])];
    for (slot, _) in &above[1..] {
        let free = if *slot == CPtr::NULL {
            at(20 + back.len() as u8)
        } else {
            *slot
        };
        match work
            .trace
            .call(RECLAIM, op::RECLAIM, [cptr(free), 0, 0, 0, 0])
        {
            Ok([base, bytes, ..]) => back.push((free, base, bytes)),
            Err(Error::NotFound) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let holder = back
        .iter()
        .find(|(_, start, bytes)| *start <= base && base - start < *bytes);
    let (ram, start, _) = holder.ok_or(Failed("the memory did not come back".into()))?;
    let offset = before.base - start;
    cap::retype(
        CSPACE,
        scratch(),
        *ram,
        CapType::Ram,
        1,
        offset,
        before.bytes,
    )?;
    // The page that was made and lost, and two that the first piece had no room for, are no more.
    let now = crate::trace::capabilities()?;
    for (slot, ..) in back.iter().filter(|(slot, ..)| slot.l1() == at(0).l1()) {
        // Kept as long as the machine runs, out of the way of the other tests.
        let kept = (200..224)
            .map(CPtr)
            .find(|to| cap::identify(CSPACE, *to).is_err());
        cap::relocate(CSPACE, *slot, kept.ok_or(Error::NoMemory)?)?;
    }
    if now > others + 1 {
        return Err(Failed(alloc::format!("{others} capabilities became {now}")));
    }
    Ok(())
}

pub fn console(work: &mut Work) -> Result<(), Failed> {
    work.gives(CONSOLE, console_op::WRITE, [0; 5])?;
    work.refuses(CONSOLE, console_op::WRITE, [33, 0, 0, 0, 0], Error::BadSize)?;
    work.mint(CONSOLE, Rights::READ, WEAK)?;
    work.refuses(WEAK, console_op::WRITE, [0; 5], Error::NoRight)?;
    full_console(work)
}

/// Writes faster than the port takes, until there is no room; what is refused then is taken when it
/// is tried again, and `cargo xtask test` sees each of the lines, once and whole.
fn full_console(work: &mut Work) -> Result<(), Failed> {
    const PIECE: usize = size_of::<[u64; 4]>();
    const LINE: usize = 6 * PIECE;
    // Of as many bytes as the kernel keeps four times.
    const LINES: usize = 4 * 8192 / LINE;
    /// How often the port is looked at before the test gives up.
    const TRIES: u32 = 10_000;
    for n in 0..LINES {
        let mut full = false;
        let line = alloc::format!("{:=<1$}\n", alloc::format!("console line {n} "), LINE - 1);
        for piece in line.as_bytes().chunks(PIECE) {
            let mut args = [piece.len() as u64; 5];
            for (word, bytes) in args[1..].iter_mut().zip(piece.chunks(8)) {
                *word = bytes.try_into().map_or(0, u64::from_le_bytes);
            }
            let mut write = || work.trace.call(CONSOLE, console_op::WRITE, args);
            let mut outcome = write();
            for _ in 0..TRIES {
                if outcome == Err(Error::Again) {
                    full = true;
                    outcome = write();
                }
            }
            outcome?;
        }
        if full {
            return Ok(());
        }
    }
    Err(Failed("the console never had enough".into()))
}

/// With the wall clock's ports: the index of a register, and its value.
pub fn ports(work: &mut Work) -> Result<(), Failed> {
    let grant = rt::grant("clock").ok_or(Error::NotFound)?;
    let (clock, index) = (grant.cap, grant.base);
    let data = index + 1;
    for seconds in [0, 2] {
        work.gives(clock, ports_op::OUT, [index, 1, seconds, 0, 0])?;
        let value = work.gives(clock, ports_op::IN, [data, 1, 0, 0, 0])?[0];
        // Two decimal digits, or binary; never more than 0x59.
        if value > 0x59 {
            return Err(Failed(alloc::format!("register {seconds} is {value:#x}")));
        }
    }
    for op in [ports_op::IN, ports_op::OUT] {
        work.refuses_all(
            clock,
            op,
            &[
                ([index, 3, 0, 0, 0], Error::BadArgument),
                ([index, 1 << 32 | 1, 0, 0, 0], Error::BadArgument),
                ([index - 1, 1, 0, 0, 0], Error::OutOfRange),
                ([index - 1, 2, 0, 0, 0], Error::OutOfRange),
                ([data, 2, 0, 0, 0], Error::OutOfRange),
                ([index, 4, 0, 0, 0], Error::OutOfRange),
                ([1 << 16 | index, 1, 0, 0, 0], Error::OutOfRange),
                ([u64::MAX, 1, 0, 0, 0], Error::OutOfRange),
            ],
        )?;
    }
    work.mint(clock, Rights::READ, WEAK)?;
    work.refuses(WEAK, ports_op::OUT, [index, 1, 0, 0, 0], Error::NoRight)?;
    work.mint(clock, Rights::WRITE, at(9))?;
    work.refuses(at(9), ports_op::IN, [data, 1, 0, 0, 0], Error::NoRight)
}
