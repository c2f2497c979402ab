//! Operation numbers, one module for each kind of kernel object, from one table that also says what
//! each takes, gives, needs and refuses: [`INTERFACES`]. `docs/reference.md` is made of it.
//!
//! `a0..a4` are `rdi rsi rdx r8 r9`; results `r0..r3` are `rdi rsi rdx r8`. Unless said
//! otherwise an address of a capability is looked up in the caller's own CSpace.

use crate::{CapType, Error};

/// The operations of one kind of kernel object.
#[derive(Debug)]
pub struct Interface {
    /// Its module's name.
    pub name: &'static str,
    /// Types of the capabilities that have these operations; none for [`own`], which needs no capability.
    pub types: &'static [CapType],
    pub about: &'static str,
    pub operations: &'static [Operation],
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    pub name: &'static str,
    pub number: u64,
    pub about: &'static str,
    /// What `a0`, `a1`, ... are.
    pub arguments: &'static [&'static str],
    /// What `r0`, `r1`, ... are.
    pub results: &'static [&'static str],
    /// Rights on the invoked capability and on others.
    pub rights: &'static str,
    /// Every error it gives, and when; besides `NoCapability` where nothing lies at the invoked
    /// address, and `BadOperation` for a number that its type does not have.
    pub errors: &'static [(Error, &'static str)],
}

macro_rules! interfaces {
    ($(
        $(#[doc = $about:literal])*
        $module:ident for [$($ty:ident)*] {
            $(
                $(#[doc = $doc:literal])*
                $name:ident = $number:literal ($($argument:literal),*) -> ($($result:literal),*)
                needs $rights:literal
                errors { $($error:ident $why:literal,)* }
            )*
        }
        with { $($item:item)* }
    )*) => {
        $(
            $(#[doc = $about])*
            pub mod $module {
                $(
                    $(#[doc = $doc])*
                    pub const $name: u64 = $number;
                )*
                $($item)*
            }
        )*

        /// All operations on kernel objects.
        pub static INTERFACES: &[Interface] = &[$(Interface {
            name: stringify!($module),
            types: &[$(CapType::$ty),*],
            about: concat!($($about),*),
            operations: &[$(Operation {
                name: stringify!($name),
                number: $number,
                about: concat!($($doc),*),
                arguments: &[$($argument),*],
                results: &[$($result),*],
                rights: $rights,
                errors: &[$((Error::$error, $why)),*],
            }),*],
        }),*];
    };
}

interfaces! {
    /// The CSpace rooted at an L1 CNode, which is where results go and what is deleted, revoked and
    /// identified lies. Source: Barrelfish, ch. 2.6.
    cspace for [L1CNode] {
        /// Copies a capability, with at most the rights of a mask: with fewer it is a mint. (A badge is
        /// an Entry's, chosen when MAKE_ENTRY makes it, and copies keep it.)
        COPY = 1 ("destination slot", "source (caller's CSpace)", "rights mask; bits that are no right mean nothing") -> ()
        needs "WRITE; GRANT on the source where the CSpace is not the caller's"
        errors {
            NoRight "one of these is missing",
            NoCapability "no source",
            WrongType "the source is a mapping",
            BadSlot "no such destination",
            SlotInUse "the destination is not empty",
        }
        /// Makes objects of part of a source's region, one after another, in consecutive slots of one
        /// L2 CNode. CNodes, page tables, components and threads are cleared; frames are not.
        RETYPE = 2 ("first destination slot", "source (caller's CSpace)", "type, count << 32", "offset in the source in bytes", "bytes of each object, 0 where the type has one size") -> ()
        needs "WRITE; WRITE on the source for what is cleared; GRANT on it where the CSpace is not the caller's"
        errors {
            NoRight "one of these is missing",
            NoCapability "no source",
            BadRetype "no such type, or not from the source's; a frame nested deeper than 8",
            BadSize "no object, no size of that type, the whole of a source of the same type, or more than 1 MiB to clear",
            BadAlign "not on a page",
            OutOfRange "the objects leave the source",
            Overlaps "part of it is in use",
            BadSlot "a slot is not there, or in another L2 CNode than the first",
            SlotInUse "a slot is not empty",
            Again "a piece of the memory was cleared, or a deletion was carried on instead",
        }
        /// Deletes a capability, and the object with its last copy. Memory that nobody else covers then
        /// goes to the kernel's list (RECLAIM).
        DELETE = 3 ("slot") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadSlot "no such slot",
            NoCapability "the slot is empty: after Again, another has carried it to its end",
            Again "more is left to do",
        }
        /// Deletes every copy and descendant of a capability but itself, and its mappings.
        REVOKE = 4 ("slot") -> ()
        needs "WRITE; GRANT on what is revoked"
        errors {
            NoRight "one of these is missing",
            BadSlot "no such slot",
            NoCapability "the slot is empty",
            Again "more is left to do",
        }
        /// Tells what a slot holds. Whose component an Entry is shall not be seen: it has base and size 0.
        IDENTIFY = 5 ("slot") -> ("type, rights << 8", "base", "bytes", "a mapping's first entry, entries << 16, offset in pages << 32; an Irq's event bit; else 0")
        needs "READ"
        errors {
            NoRight "it is missing",
            NoCapability "no such slot, or an empty one",
        }
        /// Installs a copy of an L2CNode capability at an index of the L1 CNode.
        INSTALL_L2 = 6 ("L2CNode (caller's CSpace)", "L1 index") -> ()
        needs "WRITE; READ and WRITE on the L2CNode; GRANT on it where the CSpace is not the caller's"
        errors {
            NoRight "one of these is missing",
            NoCapability "no L2CNode",
            WrongType "it is something else",
            BadSlot "past the end",
            SlotInUse "the index is taken",
        }
        /// Moves a capability inside the CSpace.
        MOVE = 7 ("from", "to") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            NoCapability "nothing to move",
            BadSlot "no such destination",
            SlotInUse "the destination is not empty",
        }
        /// Installs copies of the L2 CNodes of another L1 CNode at the same indices, where it has some:
        /// how a fresh root of another size gets what the old one has. All or none.
        ADOPT = 8 ("the other L1CNode (caller's CSpace)", "first index", "indices, at most 256") -> ()
        needs "WRITE; READ and WRITE on the other; GRANT on each L2 CNode where the CSpace is not the caller's"
        errors {
            NoRight "one of these is missing",
            NoCapability "no other L1CNode",
            WrongType "it is something else",
            BadSize "no index, or too many",
            BadSlot "past the end of either",
            SlotInUse "an index is taken",
        }
        /// Makes another L1 CNode, larger or smaller, the root for every component that has this one.
        /// Each changes at once, from all of the old to all of the new. Capabilities to the old root stay
        /// what they are.
        RESIZE = 9 ("new root (caller's CSpace)") -> ()
        needs "WRITE; READ and WRITE on the new root; GRANT on it where the old one is not the caller's"
        errors {
            NoRight "one of these is missing",
            NoCapability "no new root",
            WrongType "it is no L1CNode",
            BadArgument "it is the old one",
            NotFound "no component has this root",
        }
    }
    with {}

    /// A page table. Source: Barrelfish, ch. 3.
    table for [Pml4 Pdpt Pd Pt] {
        /// Maps consecutive entries to pages of a Frame or DevFrame (4 KiB in a Pt; with LARGE 2 MiB in a
        /// Pd, 1 GiB in a Pdpt), one entry to the next level's table, or one entry of a Pt to a table,
        /// to be read. Makes the mapping capability. All entries or none.
        MAP = 1 ("what is mapped", "first entry, count << 16, flags << 32", "offset in the frame in bytes", "empty slot for the mapping") -> ()
        needs "WRITE; on a next-level table READ and WRITE; on a frame what the flags ask for"
        errors {
            NoRight "one of these is missing",
            NoCapability "nothing to map",
            WrongType "not mappable, or not at this level",
            BadFlags "unknown, without READ, WRITE with EXECUTE, more than the frame allows, LARGE amiss",
            BadSize "no entry, or several for a table",
            OutOfRange "past the user part of the table, or past the frame",
            BadAlign "not aligned as pages of that size are",
            NotSupported "1 GiB pages on a processor without",
            EntryInUse "an entry is in use",
            BadSlot "no such slot",
            SlotInUse "the slot is not empty",
        }
        /// Removes a mapping of this table and clears its entries.
        UNMAP = 2 ("mapping") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            NoCapability "no mapping",
            WrongType "it is no mapping",
            NotMapped "it is of another table",
        }
        /// Changes the flags of consecutive entries, whichever mappings they belong to. All or none,
        /// unless it has said Again: a later call may meet what cannot be changed.
        MODIFY = 3 ("first entry, count << 16, flags << 32") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            WrongType "an entry points to a table",
            BadFlags "as MAP, by what was mapped",
            BadSize "no entry",
            OutOfRange "past the user part of the table",
            EntryEmpty "an entry maps nothing",
            Again "entries of as many mappings as one call looks up are changed",
        }
        /// Clears the dirty bits of consecutive entries.
        CLEAR_DIRTY = 4 ("first entry, count << 16") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadFlags "bits above the count",
            BadSize "no entry",
            OutOfRange "past the user part of the table",
            EntryEmpty "an entry maps nothing",
        }
        /// Tells a raw entry.
        READ = 5 ("entry") -> ("the raw entry")
        needs "READ"
        errors {
            NoRight "it is missing",
            OutOfRange "past the user part of the table",
        }
    }
    with {}

    /// A mapping: some entries of a page table.
    mapping for [MapFrame MapDevFrame MapPdpt MapPd MapPt] {
        /// Changes the flags of consecutive entries of the mapping.
        MODIFY = 1 ("first entry of the mapping, count << 16, flags << 32") -> ()
        needs "what was mapped allowed what the flags ask for"
        errors {
            WrongType "the entry points to a table",
            BadFlags "as a table's MAP",
            BadSize "no entry",
            OutOfRange "past the mapping",
        }
        /// Clears the entries and empties the slot.
        DESTROY = 2 () -> ()
        needs "nothing"
        errors {}
    }
    with {}

    /// A component: a protection domain.
    component for [Component] {
        /// Sets it up, once. It holds copies of the three capabilities.
        CONFIGURE = 1 ("L1CNode", "Pml4", "entry address", "supervisor's Entry for faults, or 0", "component id, flags << 16") -> ()
        needs "WRITE; READ and WRITE on the L1CNode and the Pml4"
        errors {
            NoRight "one of these is missing",
            BadState "it is set up",
            NoCapability "one is not there",
            WrongType "one is something else",
            BadArgument "unknown flags, or an address that is no user's",
            Busy "the core takes no more of them",
        }
        /// Makes an Entry with a badge.
        MAKE_ENTRY = 2 ("L1CNode of the destination", "destination slot there", "badge") -> ()
        needs "WRITE; WRITE on the L1CNode; GRANT where that CSpace is not the caller's"
        errors {
            NoRight "one of these is missing",
            NoCapability "no L1CNode",
            WrongType "it is something else",
            BadSlot "no such destination",
            SlotInUse "the destination is not empty",
        }
        /// Marks it dead: no invocation enters it, threads inside return to their invokers with Dead when
        /// they next run.
        KILL = 3 () -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadState "it is not alive",
        }
        /// Makes a killed component runnable again (its memory is its supervisor's business).
        REVIVE = 4 () -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadState "it is not dead, lost its CSpace or page table, or a thread still has a frame in it",
        }
        /// Tells its state.
        IDENTIFY = 5 () -> ("0 not configured, 1 alive, 2 dead", "1 while a thread has a frame in it")
        needs "WRITE"
        errors {
            NoRight "it is missing",
        }
    }
    with {
        pub mod flags {
            /// Runs with interrupts off: the scheduler.
            pub const NO_PREEMPT: u64 = 1;
        }
    }

    /// A thread.
    thread for [Thread] {
        /// Sets up a fresh thread, or one that has exited, to begin at a component's entry as if invoked
        /// by nobody: method THREAD, the argument in rdi.
        CONFIGURE = 1 ("Component", "thread id, argument << 32") -> ()
        needs "WRITE; WRITE on the Component"
        errors {
            NoRight "one of these is missing",
            NoCapability "no Component",
            WrongType "it is something else",
            BadArgument "an id without a stack place",
            BadState "it runs or waits",
            Dead "the component is not alive",
            Busy "the core takes no more of them",
        }
        /// Saves the current thread and continues this one. When the saved thread is switched to again,
        /// this call returns to it, vector and x87 registers lost. Only the core's event thread gets events;
        /// those that are pending while it waits count as an interrupt of the thread switched to before its
        /// first instruction.
        SWITCH = 2 () -> ("events", "id of the thread that was interrupted, or all ones")
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadState "it cannot run",
        }
        /// Tells its state.
        IDENTIFY = 3 () -> ("0 not configured, 1 runnable, 2 exited", "id of the component it runs in")
        needs "READ"
        errors {
            NoRight "it is missing",
        }
    }
    with {}

    /// A core. Each of the three rights allows some operations: READ to look, WRITE to control, EXECUTE
    /// to take memory that nobody holds (what the memory server needs).
    kernel for [Kernel] {
        /// Waits with interrupts on until an event.
        WAIT = 1 () -> ("events", "all ones")
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadState "not in the core's event thread",
        }
        /// Sets the time-stamp at which the timer event comes; all ones stop the timer.
        SET_TIMER = 2 ("time-stamp") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
        }
        /// From now on events of this core switch to a thread.
        SET_EVENT_THREAD = 3 ("Thread") -> ()
        needs "WRITE; WRITE on the Thread"
        errors {
            NoRight "one of these is missing",
            NoCapability "no Thread",
            WrongType "it is something else",
            BadState "it cannot run",
        }
        /// Makes an Irq with an interrupt vector of its own.
        MAKE_IRQ = 4 ("destination slot", "event bit, 1 to 62") -> ("MSI address", "MSI data")
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadArgument "no such event bit",
            Busy "the bit has an Irq",
            BadSlot "no such destination",
            SlotInUse "the destination is not empty",
        }
        /// Tells a counter.
        STAT = 5 ("which") -> ("its value")
        needs "READ"
        errors {
            NoRight "it is missing",
            BadArgument "no such counter",
        }
        /// Ends the machine.
        SHUTDOWN = 6 ("exit code") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadArgument "more than 32 bits",
        }
        /// Tells pending events without waiting.
        POLL = 7 () -> ("events")
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadState "not in the core's event thread",
        }
        /// Moves a piece of memory that nobody holds any more into a slot, as Ram with all rights.
        RECLAIM = 8 ("destination slot") -> ("base", "bytes")
        needs "EXECUTE"
        errors {
            NoRight "it is missing",
            BadSlot "no such destination",
            SlotInUse "the destination is not empty",
            NotFound "there is none",
            Again "a deletion was carried on instead",
        }
        /// Makes Ram over exactly the outermost object at an address, where nobody holds Ram: so what
        /// cannot be reached any more can be revoked.
        CLAIM = 9 ("destination slot", "physical address") -> ("base", "bytes")
        needs "EXECUTE"
        errors {
            NoRight "it is missing",
            BadSlot "no such destination",
            SlotInUse "the destination is not empty",
            NotFound "no object of memory is there",
            Overlaps "somebody holds Ram over it",
            Again "a deletion was carried on instead",
        }
    }
    with {
        /// Bits of an event word. Bits 1 to 62 are interrupts.
        pub mod event {
            pub const TIMER: u64 = 1;
            /// The interrupted thread ended; `r1` is its id.
            pub const EXITED: u64 = 1 << 63;
        }
        pub mod stat {
            /// Address-space switches since boot.
            pub const SPACE_SWITCHES: u64 = 0;
            pub const INVOCATIONS: u64 = 1;
            pub const THREAD_SWITCHES: u64 = 2;
            pub const INTERRUPTS: u64 = 3;
            pub const FAULTS: u64 = 4;
            /// Operations on kernel objects: neither invocations of Entries nor their returns.
            pub const SYSTEM_CALLS: u64 = 5;
            /// Capabilities in the mapping database.
            pub const CAPABILITIES: u64 = 6;
            /// And one type's number: those of them that are of that type.
            pub const CAPABILITIES_OF: u64 = 256;
        }
    }

    /// An interrupt. Edge-triggered (MSI): there is nothing to acknowledge.
    irq for [Irq] {
        /// Tells how a device raises it.
        IDENTIFY = 1 () -> ("event bit", "MSI address", "MSI data")
        needs "READ"
        errors {
            NoRight "it is missing",
        }
    }
    with {}

    /// A range of I/O ports.
    ports for [IoPorts] {
        /// Reads a port.
        IN = 1 ("port", "width in bytes: 1, 2 or 4") -> ("value")
        needs "READ"
        errors {
            NoRight "it is missing",
            BadArgument "no such width",
            OutOfRange "not all inside the range",
        }
        /// Writes a port.
        OUT = 2 ("port", "width in bytes: 1, 2 or 4", "value; bits above the width mean nothing") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadArgument "no such width",
            OutOfRange "not all inside the range",
        }
    }
    with {}

    /// The console.
    console for [Console] {
        /// Writes up to 32 bytes. A line appears when it ends, when it is longer than 224 bytes, or
        /// when its thread writes in another component or exits.
        WRITE = 1 ("bytes to write", "the bytes, little-endian, in four words", "", "", "") -> ()
        needs "WRITE"
        errors {
            NoRight "it is missing",
            BadSize "more than 32",
            Again "there is no room: nothing was taken, the port is slower than who writes",
        }
    }
    with {}

    /// On the address `OWN`, which is no capability's and everyone's: how a component handles its own
    /// faults. A fault in a component with a handler continues the thread at the handler, in the same
    /// component: `rsp` is the top of the thread's stack place, flags are clear, every other register is
    /// as it was, and the kernel keeps what those three were until the handler asks. From then on the
    /// kernel knows nothing of the fault: the handler restores what it likes and jumps back. So a handler
    /// is ordinary code of its component, which may invoke others and be preempted, and whoever it
    /// invokes may handle faults too. A fault with `rsp` in the handler's part of the stack place goes to
    /// the supervisor, as all do without a handler.
    own for [] {
        /// Says where faults go. A component that is revived has no handler.
        SET_HANDLER = 1 ("the handler's address, 0 for none", "bytes at the top of each stack place that are its part, at most 256 KiB; without a handler they mean nothing") -> ()
        needs "nothing"
        errors {
            BadArgument "an address that is no user's",
            BadSize "no bytes, or more than a stack place has",
        }
        /// Tells what the last fault of this thread in this component interrupted, once.
        FAULT = 2 () -> ("instruction", "flags, kind << 32", "stack pointer", "address")
        needs "nothing"
        errors {
            BadState "there is none",
        }
        /// Gives a fault to the supervisor, which is told the arguments as they are. Returns when the
        /// supervisor resumes the thread; else, or where there is none, the thread's invoker is told Dead.
        GIVE_UP = 3 ("kind", "address", "instruction", "stack pointer") -> ()
        needs "nothing"
        errors {}
        /// Tells the supervisor where a fault comes from, before it is given up: the arguments go to it
        /// as they are (`lifecycle::TRACE`).
        TRACE = 4 ("place of the first address", "two addresses", "two addresses", "two addresses") -> ()
        needs "nothing"
        errors {
            BadState "no supervisor can take them",
        }
        /// For a supervisor that a fault or a trace has brought this thread to: the components that wait
        /// for the faulting one in invocations, the innermost first, as 16-bit ids from the lowest bits
        /// on; 0xffff where there are no more.
        INVOKERS = 5 () -> ("four ids", "four ids", "four ids", "four ids")
        needs "nothing"
        errors {
            BadState "no fault and no trace has brought it here",
        }
    }
    with {}
}

/// Methods of interface 0, which every component has and only its supervisor may invoke.
pub mod lifecycle {
    /// Once, before any thread: constructs statics, allocates what it needs.
    pub const START: u64 = 0;
    /// A thread of the component begins here and does not return. `rdi` = its argument.
    pub const THREAD: u64 = 1;
    /// To the supervisor: `rdi` = kind ([`fault`]) | component id << 32, `rsi` = address,
    /// `rdx` = instruction, `r8` = stack pointer. Status 0 resumes the thread at the same
    /// instruction; any other returns the thread to the invoker of the faulting component with
    /// [`crate::Error::Dead`].
    ///
    /// The kernel itself kills the component, says so on the console and returns the thread with
    /// `Dead` when nobody can help: no living supervisor, a thread that is already in a fault, a
    /// full invocation stack, or a supervisor that waits further down the same thread's
    /// invocation stack, whose stack a second entry would overwrite. The frame where a thread
    /// began does not count: a supervisor with threads of its own (as `init`'s, in START) takes
    /// what comes in on stacks other than those that its threads begin on.
    pub const FAULT: u64 = 2;
    /// To the supervisor, from [`super::own::TRACE`]: return addresses on the faulting thread's
    /// stack, as the faulting component claims. `rdi` = place of the first of them in the whole
    /// trace, the innermost return address being 1 (which begins a trace anew); `rsi`, `rdx`,
    /// `r8` = two addresses each, the first in the lower half; 0 for none. Places are left out
    /// where a trace is too long. Status 0 resumes, as for FAULT.
    pub const TRACE: u64 = 3;
    /// Addresses in one TRACE.
    pub const TRACE_ADDRESSES: usize = 6;
    pub mod fault {
        pub const PAGE_READ: u64 = 0;
        pub const PAGE_WRITE: u64 = 1;
        pub const PAGE_EXECUTE: u64 = 2;
        pub const PROTECTION: u64 = 3;
        pub const ILLEGAL: u64 = 4;
        pub const ARITHMETIC: u64 = 5;
        pub const OTHER: u64 = 6;
        /// The runtime gave up (a panic): raised with `ud2` after the message is printed.
        pub const NAMES: [&str; 7] = [
            "read of an unmapped address",
            "write to a read-only or unmapped address",
            "jump to a non-executable or unmapped address",
            "protection fault",
            "illegal instruction",
            "arithmetic fault",
            "fault",
        ];
    }
}
