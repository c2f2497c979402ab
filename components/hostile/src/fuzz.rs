//! Calls that must be refused. Each function answers how many were not.

use crate::raw;
use abi::captype::MapFlags;
use abi::start::slot;
use abi::{CPtr, CapType, Error, Rights, layout, op};
use core::sync::atomic::{AtomicU32, Ordering};
use hostile::Random;
use hostile::tally::{Outcome, Tally};
use rt::cap;
use rt::cbuf::{Buffer, Cbuf, CbufId, CbufRef, method};

const SYSTEM_CALLS: u32 = 300_000;
/// Calls between two times that what was copied is deleted, and where copies lie.
const SPELL: u32 = 2000;
const COPIES: core::ops::Range<u32> = 32..300;
const MANAGER_CALLS: u32 = 20_000;
/// Unless the kernel command line gives another.
const SEED: u64 = 0x00c1_57e2;

fn seed() -> u64 {
    let given = rt::info::argument("seed").and_then(|text| text.parse().ok());
    given.unwrap_or(SEED)
}

fn count<T>(result: Result<T, Error>) -> u64 {
    u64::from(result.is_ok())
}

/// Addresses where a component without rights has nothing.
fn empty_slots() -> impl Iterator<Item = CPtr> {
    let known = [0, 1, 3, 4, 5, 6, 7, 8, 200, 255, 256, 0xffff, 0x00ff_ff00];
    let far = (0..31).map(|shift| 1u32 << shift).filter(|n| *n > 64);
    known.into_iter().chain(far).chain([u32::MAX - 2]).map(CPtr)
}

/// Uses slots that are empty or belong to nobody.
pub fn no_capability() -> u64 {
    let mut succeeded = 0;
    for slot in empty_slots() {
        for op in 0..10 {
            succeeded += count(rt::syscall(slot, op, [1, 2, 3, 4, 5]));
        }
        succeeded += count(rt::invoke(slot, 0, [0; 4]));
    }
    succeeded
}

/// Tries to get memory mapped without a page table, a frame or a CSpace.
pub fn map_without() -> u64 {
    let mut succeeded = 0;
    let flags = MapFlags::READ | MapFlags::WRITE;
    // What it does have is an Entry, which is no table, no frame and no CSpace.
    let own = slot::FIRST_GRANTED;
    for table in empty_slots() {
        for frame in [CPtr(1), CPtr(5), own] {
            succeeded += count(cap::map(table, frame, 0, 1, flags, 0, CPtr(100)));
            let ram = CapType::Frame;
            succeeded += count(cap::retype(table, CPtr(100), frame, ram, 1, 0, 4096));
            succeeded += count(cap::copy(table, CPtr(100), frame, Rights::all()));
        }
        succeeded += count(cap::install_l2(table, own, 1));
    }
    // Over itself, an Entry takes every operation for a method: nothing of the kernel's.
    succeeded + count(cap::thread::switch(CPtr(5))) + count(cap::kernel::stat(slot::KERNEL, 0))
}

/// With its own CSpace: a copy must not have more than its source, and nothing may be made from
/// an Entry.
pub fn escalate() -> u64 {
    let (cspace, own) = (slot::CSPACE, slot::FIRST_GRANTED);
    let (weak, again) = (CPtr(100), CPtr(101));
    if cap::copy(cspace, weak, own, Rights::READ).is_err()
        || cap::copy(cspace, again, weak, Rights::all()).is_err()
    {
        return 1;
    }
    let wider = match cap::identify(cspace, again) {
        Ok(identity) => u64::from(identity.rights != Rights::READ),
        Err(_) => 1,
    };
    let mut succeeded = wider;
    for captype in CapType::ALL {
        succeeded += count(cap::retype(cspace, CPtr(102), own, captype, 1, 0, 4096));
        succeeded += count(cap::retype(cspace, CPtr(102), cspace, captype, 1, 0, 4096));
    }
    // A CSpace that may only be read takes nothing in.
    let read_only = CPtr(103);
    if cap::copy(cspace, read_only, cspace, Rights::READ).is_err() {
        return 1;
    }
    succeeded += count(cap::copy(read_only, CPtr(104), own, Rights::all()));
    succeeded += count(cap::relocate(read_only, own, CPtr(104)));
    succeeded + count(cap::delete(read_only, own))
}

/// With a CSpace of its own: what others have as well must stay theirs.
pub fn take_back() -> u64 {
    count(cap::revoke(slot::CSPACE, slot::CONSOLE))
}

/// Random calls on its own CSpace and on everything around it. Success is allowed (it may copy
/// and delete what is its own); what counts is that everybody else lives on.
// By itself, because of what it counts in: others that do their deeds have little stack.
#[inline(never)]
pub fn kernel() -> Result<u64, Error> {
    let mut random = Random::new(seed());
    let mut tally = Tally::new();
    for round in 0..SYSTEM_CALLS {
        if round % SPELL == 0 {
            // Otherwise there would soon be nothing but copies without rights.
            for n in COPIES {
                let _ = cap::delete(slot::CSPACE, CPtr(n));
            }
        }
        let target = match random.below(4) {
            0 => slot::CSPACE,
            1 => CPtr(random.below(300) as u32),
            2 => CPtr(random.nasty() as u32),
            _ => CPtr(1 + random.below(32) as u32),
        };
        // Returning is no attack, nor is giving up.
        if target == CPtr::RETURN || target == CPtr::OWN {
            continue;
        }
        let mut args = [0; 5];
        args.fill_with(|| random.nasty());
        // Addresses of slots that exist, more often than chance would have it.
        if random.below(2) == 0 {
            args[0] = random.below(300);
            args[1] = random.below(32);
        }
        let op = random.below(10);
        // It may do to its own CSpace what it likes, but keeps the way into it: otherwise all
        // that follows would be refused for one reason.
        let cuts = matches!(
            op,
            op::cspace::DELETE | op::cspace::REVOKE | op::cspace::MOVE
        );
        if cuts && is_way_in(CPtr(args[0] as u32)) {
            continue;
        }
        let captype = cap::identify(slot::CSPACE, target).map(|found| found.captype);
        tally.count(captype.ok(), op, raw::call(target, op, args));
    }
    // It must have been able to try.
    match tally.missing(HAPPENED) {
        Some(_) if seed() == SEED => Err(Error::NotFound),
        _ => Ok(0),
    }
}

/// What must have happened at least once with [`SEED`].
const HAPPENED: &[Outcome] = &[
    ("cspace", "COPY", Ok(())),
    ("cspace", "DELETE", Ok(())),
    ("cspace", "REVOKE", Ok(())),
    ("cspace", "IDENTIFY", Ok(())),
    ("cspace", "MOVE", Ok(())),
    ("cspace", "ADOPT", Ok(())),
    ("cspace", "RESIZE", Err(Error::BadArgument)),
];

/// Is it a capability of the component's own CSpace?
fn is_way_in(at: CPtr) -> bool {
    cap::identify(slot::CSPACE, at).is_ok_and(|found| found.captype == CapType::L1CNode)
}

/// Ids below this are tried out one by one, as sent by each of so many components.
const IDS: u32 = 256;
const SENDERS: u64 = 32;

/// Random calls to the CBUF manager, none of which waits. A buffer that it was never sent must
/// stay out of reach, and so must every physical address; memory that others own, or that `init`
/// made, is not its to end.
pub fn manager(data: &Cbuf<'static>) -> u64 {
    let Some(manager) = rt::import("cbuf") else {
        return 1;
    };
    let known = |id: u64| {
        let id = u32::try_from(id).map_or(CbufId::NONE, CbufId);
        let record = rt::cbuf::client().record(id);
        id == data.id() || record.is_some_and(|r| r.load().page_number() != 0)
    };
    let mut succeeded = 0;
    // Some of what it may end is its own.
    for pages in 1..4 {
        let _ = rt::invoke(manager.entry, method::ALLOC_OWNED, [pages, 0, 0, 0]);
    }
    for id in 1..u64::from(IDS) {
        let stranger = !known(id);
        let freed = rt::invoke(manager.entry, method::FREE_OWNED, [id, 0, 0, 0]);
        succeeded += u64::from(stranger && freed.is_ok());
        for from in 0..SENDERS {
            let stranger = !known(id);
            let mapped = rt::invoke(manager.entry, method::MAP, [id, from, 0, 0]);
            succeeded += u64::from(stranger && mapped.is_ok());
        }
    }
    let mut random = Random::new(seed());
    for _ in 0..MANAGER_CALLS {
        let method = random.below(method::FREE_OWNED + 2);
        let mut args = [0; 4];
        args.fill_with(|| random.nasty());
        if method == method::COLLECT {
            args[1] = 0;
        }
        let stranger = !known(args[0]);
        let done = rt::invoke(manager.entry, method, args);
        let gave = match method {
            method::MAP | method::FREE_OWNED => stranger,
            method => method == method::PHYSICAL,
        };
        succeeded += u64::from(gave && done.is_ok());
    }
    succeeded
}

/// Buffers that it keeps from being given back.
const KEPT: usize = 4;
const SCRIBBLES: u64 = 400;
/// Ids below this are named to a server.
const NAMED: u32 = 24;

/// Overwrites all that it shares with the manager (records, the ring, every thread's shelves), with
/// anything and with what nearly means something, then has the manager look: it collects, maps,
/// seals, tells of last frees twice, and names buffers to the tester's server that are not its
/// own. What it was sent it never frees.
pub fn corrupt(data: &Cbuf<'static>) -> u64 {
    let (Some(manager), Some(echo)) = (rt::import("cbuf"), rt::import("echo")) else {
        return 1;
    };
    let client = rt::cbuf::client();
    core::mem::forget(data.clone());
    for _ in 0..KEPT {
        match Buffer::try_alloc(client, layout::PAGE) {
            Ok(kept) => core::mem::forget(kept),
            Err(_) => return 1,
        }
    }
    let mut random = Random::new(seed());
    for round in 0..SCRIBBLES {
        for leaf in 0..layout::TRIE_ROOT_ENTRIES {
            let root = (layout::TRIE_ROOT as *const AtomicU32).wrapping_add(leaf);
            // SAFETY: the root is mapped for the life of the component.
            if unsafe { &*root }.load(Ordering::Relaxed) != 0 {
                scribble(
                    &mut random,
                    layout::TRIE_LEAVES + leaf * layout::PAGE,
                    layout::PAGE,
                );
            }
        }
        scribble(&mut random, layout::RING, layout::PAGE);
        scribble(&mut random, layout::SHELVES, layout::SHELF_BYTES);
        let id = random.below(u64::from(IDS));
        // Collecting does not wait. A seal is refused where the buffer is another's, and a last
        // free that was told of before is nothing new.
        for (method, args) in [
            (method::COLLECT, [round % 4, 0, 0, 0]),
            (method::MAP, [id, random.below(SENDERS), 0, 0]),
            (method::SEAL, [id, 0, 0, 0]),
            (method::RELINQUISH, [id, 0, 0, 0]),
            (method::RELINQUISH, [id, 0, 0, 0]),
        ] {
            let _ = rt::invoke(manager.entry, method, args);
        }
    }
    // What the server makes of those that it may name stays on its way: few, for they are the
    // server's own.
    for id in 1..NAMED {
        let named = CbufRef {
            id,
            offset: 0,
            len: 1,
        };
        let [low, high] = named.to_words();
        let _ = rt::invoke(echo.entry, stubs::echo::method::COPY, [low, high, 0, 0]);
    }
    0
}

/// Overwrites words of what lies at `at`, mostly its first ones.
fn scribble(random: &mut Random, at: usize, bytes: usize) {
    for _ in 0..64 {
        let limit = if random.below(2) == 0 {
            layout::PAGE / 4
        } else {
            bytes
        };
        let place = (at + random.below(limit as u64 / 4) as usize * 4) as *const AtomicU32;
        // SAFETY: mapped, writable, for the life of the component, and only ever reached as
        // atomics.
        let word = unsafe { &*place };
        let was = word.load(Ordering::Relaxed);
        let new = match random.below(4) {
            0 => was.wrapping_add(1),
            1 => was ^ 1 << random.below(32),
            2 => random.below(u64::from(IDS)) as u32 * 32,
            _ => random.nasty() as u32,
        };
        word.store(new, Ordering::Relaxed);
    }
}
