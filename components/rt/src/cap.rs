//! Operations on kernel objects by name. Those that the kernel does in bounded pieces are
//! repeated here until they are done. Source: Barrelfish, chapters 2.6 and 3.

use abi::captype::MapFlags;
use abi::op;
use abi::{CPtr, CapType, Error, Rights};

use crate::syscall;

/// What `identify` tells of a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub captype: CapType,
    pub rights: Rights,
    pub base: u64,
    pub bytes: u64,
    /// What else the type has.
    pub extra: u64,
}

/// Repeats a system call while it answers [`Error::Again`]; each call does a bounded piece of a
/// finite whole.
#[inline]
fn finish(cptr: CPtr, op: u64, args: [u64; 5]) -> Result<(), Error> {
    loop {
        match syscall(cptr, op, args) {
            Err(Error::Again) => {}
            other => return other.map(drop),
        }
    }
}

fn done(cptr: CPtr, op: u64, args: [u64; 5]) -> Result<(), Error> {
    syscall(cptr, op, args).map(drop)
}

fn c(cptr: CPtr) -> u64 {
    u64::from(cptr.0)
}

/// A run of page-table entries as one word.
#[inline]
fn run(first: u16, count: u16, flags: MapFlags) -> u64 {
    u64::from(first) | u64::from(count) << 16 | u64::from(flags.bits()) << 32
}

/// Copies `source` into slot `to` of the CSpace, with at most the given rights: with fewer, a mint.
pub fn copy(cspace: CPtr, to: CPtr, source: CPtr, rights: Rights) -> Result<(), Error> {
    let rights = u64::from(rights.bits());
    done(cspace, op::cspace::COPY, [c(to), c(source), rights, 0, 0])
}

/// Makes `count` objects of `bytes` each from `source`, beginning `offset` bytes into it, in
/// consecutive slots of the CSpace from `to` on (inside one L2 CNode).
pub fn retype(
    cspace: CPtr,
    to: CPtr,
    source: CPtr,
    captype: CapType,
    count: u32,
    offset: u64,
    bytes: u64,
) -> Result<(), Error> {
    let what = captype as u64 | u64::from(count) << 32;
    finish(
        cspace,
        op::cspace::RETYPE,
        [c(to), c(source), what, offset, bytes],
    )
}

/// Empties a slot of the CSpace; the last copy's object is gone.
pub fn delete(cspace: CPtr, slot: CPtr) -> Result<(), Error> {
    let mut begun = false;
    loop {
        match done(cspace, op::cspace::DELETE, [c(slot), 0, 0, 0, 0]) {
            Err(Error::Again) => begun = true,
            // Somebody else carried it to its end.
            Err(Error::NoCapability) if begun => return Ok(()),
            other => return other,
        }
    }
}

/// Deletes every copy and descendant of the capability but itself.
pub fn revoke(cspace: CPtr, slot: CPtr) -> Result<(), Error> {
    finish(cspace, op::cspace::REVOKE, [c(slot), 0, 0, 0, 0])
}

/// What lies in a slot of the CSpace.
pub fn identify(cspace: CPtr, slot: CPtr) -> Result<Identity, Error> {
    let [r0, base, bytes, extra] = syscall(cspace, op::cspace::IDENTIFY, [c(slot), 0, 0, 0, 0])?;
    Ok(Identity {
        captype: CapType::from_raw(r0 & 0xff).ok_or(Error::Unknown)?,
        rights: Rights::from_bits_truncate((r0 >> 8) as u8),
        base,
        bytes,
        extra,
    })
}

/// Installs a copy of an L2CNode at an index of the CSpace's root.
pub fn install_l2(cspace: CPtr, l2: CPtr, index: u32) -> Result<(), Error> {
    done(
        cspace,
        op::cspace::INSTALL_L2,
        [c(l2), u64::from(index), 0, 0, 0],
    )
}

/// Installs copies of what the L1CNode `from` has at `count` indices (at most 256) from `first` on at
/// the same indices of the CSpace's root.
pub fn adopt(cspace: CPtr, from: CPtr, first: u32, count: u32) -> Result<(), Error> {
    let (first, count) = (u64::from(first), u64::from(count));
    done(cspace, op::cspace::ADOPT, [c(from), first, count, 0, 0])
}

/// Makes `new`, a fresh L1CNode in the component's own CSpace, the root in place of the one at
/// `root`, also a capability in there: with the same L2 CNodes, as far as both have places. At every
/// moment each address that both have means the same. The old one stays at `root`; deleting it and
/// moving `new` there is the caller's.
pub fn resize(root: CPtr, new: CPtr) -> Result<(), Error> {
    let places = |at| -> Result<u32, Error> {
        let slots = identify(root, at)?.bytes / abi::cptr::SLOT_BYTES as u64;
        u32::try_from(slots).map_err(|_| Error::OutOfRange)
    };
    let shared = places(root)?.min(places(new)?);
    let mut first = 0;
    while first < shared {
        let count = (shared - first).min(abi::cptr::L2_SLOTS as u32);
        adopt(new, root, first, count)?;
        first += count;
    }
    done(root, op::cspace::RESIZE, [c(new), 0, 0, 0, 0])
}

/// Moves a capability inside the CSpace.
pub fn relocate(cspace: CPtr, from: CPtr, to: CPtr) -> Result<(), Error> {
    done(cspace, op::cspace::MOVE, [c(from), c(to), 0, 0, 0])
}

/// Maps `count` entries of `table` from `first` on to `object` (a frame from `offset` on, or the
/// next-level table) and leaves the mapping capability in the empty slot `mapping`.
pub fn map(
    table: CPtr,
    object: CPtr,
    first: u16,
    count: u16,
    flags: MapFlags,
    offset: u64,
    mapping: CPtr,
) -> Result<(), Error> {
    let run = run(first, count, flags);
    finish(
        table,
        op::table::MAP,
        [c(object), run, offset, c(mapping), 0],
    )
}

/// Removes a mapping of this table and clears its entries.
pub fn unmap(table: CPtr, mapping: CPtr) -> Result<(), Error> {
    finish(table, op::table::UNMAP, [c(mapping), 0, 0, 0, 0])
}

/// Changes the flags of mapped entries of a table.
pub fn modify(table: CPtr, first: u16, count: u16, flags: MapFlags) -> Result<(), Error> {
    finish(
        table,
        op::table::MODIFY,
        [run(first, count, flags), 0, 0, 0, 0],
    )
}

/// Clears the dirty bits of entries of a table.
pub fn clear_dirty(table: CPtr, first: u16, count: u16) -> Result<(), Error> {
    let run = run(first, count, MapFlags::empty());
    finish(table, op::table::CLEAR_DIRTY, [run, 0, 0, 0, 0])
}

/// The raw entry of a table.
pub fn read_entry(table: CPtr, entry: u16) -> Result<u64, Error> {
    syscall(table, op::table::READ, [u64::from(entry), 0, 0, 0, 0]).map(|[r0, ..]| r0)
}

/// A mapping by its own capability.
pub mod mapping {
    use super::*;

    /// Changes the flags of `count` entries from the mapping's entry `first` on.
    #[inline]
    pub fn modify(mapping: CPtr, first: u16, count: u16, flags: MapFlags) -> Result<(), Error> {
        finish(
            mapping,
            op::mapping::MODIFY,
            [run(first, count, flags), 0, 0, 0, 0],
        )
    }

    /// Clears the entries and empties the slot.
    pub fn destroy(mapping: CPtr) -> Result<(), Error> {
        finish(mapping, op::mapping::DESTROY, [0; 5])
    }
}

/// The component that runs.
pub mod own {
    use super::*;
    use abi::ComponentId;

    /// For a supervisor that handles a fault: who waits for the faulting component on this
    /// thread, the innermost first, as far as the kernel tells.
    pub fn invokers() -> Result<impl Iterator<Item = ComponentId>, Error> {
        let words = syscall(CPtr::OWN, op::own::INVOKERS, [0; 5])?;
        let ids = words
            .into_iter()
            .flat_map(|word| [0, 16, 32, 48].map(|shift| (word >> shift) as u16));
        Ok(ids.take_while(|id| *id != u16::MAX).map(ComponentId))
    }
}

/// Components.
pub mod component {
    use super::*;
    use abi::{Badge, ComponentId};

    /// Sets a component up, once. `supervisor` is the Entry that takes its faults.
    pub fn configure(
        component: CPtr,
        cspace: CPtr,
        pml4: CPtr,
        entry: u64,
        supervisor: CPtr,
        id: ComponentId,
        flags: u64,
    ) -> Result<(), Error> {
        let id = u64::from(id.0) | flags << 16;
        done(
            component,
            op::component::CONFIGURE,
            [c(cspace), c(pml4), entry, c(supervisor), id],
        )
    }

    /// Makes an Entry of the component with a badge, in slot `to` of `cspace`.
    pub fn make_entry(component: CPtr, cspace: CPtr, to: CPtr, badge: Badge) -> Result<(), Error> {
        done(
            component,
            op::component::MAKE_ENTRY,
            [c(cspace), c(to), badge.0, 0, 0],
        )
    }

    /// Marks it dead.
    pub fn kill(component: CPtr) -> Result<(), Error> {
        finish(component, op::component::KILL, [0; 5])
    }

    /// Makes a killed component runnable again.
    pub fn revive(component: CPtr) -> Result<(), Error> {
        done(component, op::component::REVIVE, [0; 5])
    }

    /// State (0 not configured, 1 alive, 2 dead), and whether a thread has a frame in it.
    pub fn identify(component: CPtr) -> Result<(u64, bool), Error> {
        syscall(component, op::component::IDENTIFY, [0; 5]).map(|[r0, r1, ..]| (r0, r1 != 0))
    }
}

/// Threads.
pub mod thread {
    use super::*;
    use abi::ThreadId;

    /// Sets a thread up to begin in `component` with `argument`.
    pub fn configure(
        thread: CPtr,
        component: CPtr,
        id: ThreadId,
        argument: u32,
    ) -> Result<(), Error> {
        let id = u64::from(id.0) | u64::from(argument) << 32;
        done(thread, op::thread::CONFIGURE, [c(component), id, 0, 0, 0])
    }

    /// Continues `thread`; comes back when this one is switched to: events and the number of the
    /// thread that was interrupted (`u64::MAX` if none).
    #[inline]
    pub fn switch(thread: CPtr) -> Result<(u64, u64), Error> {
        crate::invoke::switch(thread)
    }

    /// State (0 not configured, 1 runnable, 2 exited) and the component it runs in.
    pub fn identify(thread: CPtr) -> Result<(u64, u64), Error> {
        syscall(thread, op::thread::IDENTIFY, [0; 5]).map(|[r0, r1, ..]| (r0, r1))
    }
}

/// The core.
pub mod kernel {
    use super::*;

    /// Waits for an event; event thread only.
    pub fn wait(kernel: CPtr) -> Result<(u64, u64), Error> {
        syscall(kernel, op::kernel::WAIT, [0; 5]).map(|[r0, r1, ..]| (r0, r1))
    }

    /// Events that are pending, without waiting; event thread only.
    pub fn poll(kernel: CPtr) -> Result<u64, Error> {
        syscall(kernel, op::kernel::POLL, [0; 5]).map(|[r0, ..]| r0)
    }

    /// The time-stamp at which the timer event comes; `u64::MAX` stops it.
    pub fn set_timer(kernel: CPtr, deadline: u64) -> Result<(), Error> {
        done(kernel, op::kernel::SET_TIMER, [deadline, 0, 0, 0, 0])
    }

    /// Events of this core switch to `thread` from now on.
    pub fn set_event_thread(kernel: CPtr, thread: CPtr) -> Result<(), Error> {
        done(
            kernel,
            op::kernel::SET_EVENT_THREAD,
            [c(thread), 0, 0, 0, 0],
        )
    }

    /// Makes an Irq capability for an event bit; MSI address and data.
    pub fn make_irq(kernel: CPtr, to: CPtr, bit: u64) -> Result<(u64, u64), Error> {
        syscall(kernel, op::kernel::MAKE_IRQ, [c(to), bit, 0, 0, 0]).map(|[r0, r1, ..]| (r0, r1))
    }

    /// One of the kernel's counters ([`op::kernel::stat`]).
    pub fn stat(kernel: CPtr, which: u64) -> Result<u64, Error> {
        syscall(kernel, op::kernel::STAT, [which, 0, 0, 0, 0]).map(|[r0, ..]| r0)
    }

    /// Moves memory that nobody holds any more into a slot, as Ram; its base and size.
    pub fn reclaim(kernel: CPtr, to: CPtr) -> Result<(u64, u64), Error> {
        until(kernel, op::kernel::RECLAIM, [c(to), 0, 0, 0, 0])
    }

    /// Makes Ram over the outermost object at a physical address, where nobody holds Ram; its base
    /// and size.
    pub fn claim(kernel: CPtr, to: CPtr, address: u64) -> Result<(u64, u64), Error> {
        until(kernel, op::kernel::CLAIM, [c(to), address, 0, 0, 0])
    }

    fn until(kernel: CPtr, op: u64, args: [u64; 5]) -> Result<(u64, u64), Error> {
        loop {
            match syscall(kernel, op, args) {
                Err(Error::Again) => {}
                other => return other.map(|[r0, r1, ..]| (r0, r1)),
            }
        }
    }

    /// Ends the machine; comes back only when the capability is not one of the kernel.
    pub fn shutdown(kernel: CPtr, code: u64) -> Result<(), Error> {
        done(kernel, op::kernel::SHUTDOWN, [code, 0, 0, 0, 0])
    }
}

/// Input and output ports.
pub mod ports {
    use super::*;

    /// Reads a port of 1, 2 or 4 bytes.
    pub fn read(ports: CPtr, port: u16, width: u64) -> Result<u64, Error> {
        syscall(ports, op::ports::IN, [u64::from(port), width, 0, 0, 0]).map(|[r0, ..]| r0)
    }

    /// Writes a port of 1, 2 or 4 bytes.
    pub fn write(ports: CPtr, port: u16, width: u64, value: u64) -> Result<(), Error> {
        done(ports, op::ports::OUT, [u64::from(port), width, value, 0, 0])
    }
}
