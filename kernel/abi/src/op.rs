//! Operation numbers, one module per capability type, with argument and result registers.
//!
//! `a0..a4` are `rdi rsi rdx r8 r9`; results `r0..r3` are `rdi rsi rdx r8`. Unless said
//! otherwise an address of a capability is looked up in the caller's own CSpace.

/// On an **L1CNode**: the CSpace rooted there is the destination. Source: Barrelfish, ch. 2.6.
pub mod cspace {
    /// `a0` destination, `a1` source (caller's CSpace), `a2` rights mask ([`crate::Rights`]).
    /// Copying a mapping is refused. This, RETYPE, INSTALL_L2 and a Component's MAKE_ENTRY need
    /// GRANT on the source where the destination is another CSpace than the caller's.
    pub const COPY: u64 = 1;
    /// `a0` first destination, `a1` source (caller's CSpace), `a2` = type | count << 32,
    /// `a3` offset in the source in bytes, `a4` bytes of each object. Fills consecutive slots
    /// of one L2 CNode. CNodes, page tables, components and threads are zeroed; frames are not.
    pub const RETYPE: u64 = 2;
    /// `a0` slot. May answer `Again`.
    pub const DELETE: u64 = 3;
    /// `a0` slot: deletes every copy and descendant but this one. May answer `Again`.
    pub const REVOKE: u64 = 4;
    /// `a0` slot → `r0` = type | rights << 8, `r1` base, `r2` bytes, `r3` type-specific.
    pub const IDENTIFY: u64 = 5;
    /// `a0` L2CNode capability (caller's CSpace; READ and WRITE), `a1` L1 index: installs a copy
    /// of it there.
    pub const INSTALL_L2: u64 = 6;
    /// `a0` from, `a1` to: moves a capability inside this CSpace.
    pub const MOVE: u64 = 7;
}

/// On a **page table** (Pml4, Pdpt, Pd, Pt). Source: Barrelfish, ch. 3.
pub mod table {
    /// `a0` Frame, DevFrame or next-level table, `a1` = first entry | count << 16 |
    /// [`crate::captype::MapFlags`] << 32, `a2` offset in the frame in bytes, `a3` empty slot
    /// for the mapping capability. All entries or none.
    pub const MAP: u64 = 1;
    /// `a0` mapping capability of this table: removes it and clears its entries.
    pub const UNMAP: u64 = 2;
    /// `a0` = first entry | count << 16 | flags << 32.
    pub const MODIFY: u64 = 3;
    /// `a0` = first entry | count << 16: clears their dirty bits.
    pub const CLEAR_DIRTY: u64 = 4;
    /// `a0` entry → `r0` the raw entry.
    pub const READ: u64 = 5;
}

/// On a **mapping** (MapFrame, MapDevFrame, MapPdpt, MapPd, MapPt).
pub mod mapping {
    /// `a0` = first entry of the mapping | count << 16 | flags << 32.
    pub const MODIFY: u64 = 1;
    /// Clears the entries and empties the slot.
    pub const DESTROY: u64 = 2;
}

/// On a **Component**.
pub mod component {
    /// `a0` L1CNode, `a1` Pml4, `a2` entry address, `a3` supervisor's Entry for faults (or
    /// [`crate::CPtr::NULL`]), `a4` = component id | [`flags`] << 16. Once, before it runs.
    pub const CONFIGURE: u64 = 1;
    /// `a0` L1CNode of the destination, `a1` destination slot there, `a2` badge: makes an Entry.
    pub const MAKE_ENTRY: u64 = 2;
    /// Marks it dead: no invocation enters it, threads inside return to their invokers with
    /// [`crate::Error::Dead`] when they next run.
    pub const KILL: u64 = 3;
    /// Makes a killed component runnable again (its memory is its supervisor's business).
    /// `BadState` while a thread still has a frame in it.
    pub const REVIVE: u64 = 4;
    /// `r0` = state: 0 not configured, 1 alive, 2 dead; `r1` = 1 while a thread has a frame in it.
    pub const IDENTIFY: u64 = 5;
    pub mod flags {
        /// Runs with interrupts off: the scheduler.
        pub const NO_PREEMPT: u64 = 1;
    }
}

/// On [`crate::CPtr::OWN`], which everyone has: how a component handles its own faults.
///
/// A fault in a component with a handler continues the thread at the handler, in the same
/// component: `rsp` is the top of the thread's stack place, flags are clear, every other register
/// is as it was, and the kernel keeps what those three were until the handler asks. From then on
/// the kernel knows nothing of the fault: the handler restores what it likes and jumps back. So a handler is ordinary code of its component, which may
/// invoke others and be preempted, and whoever it invokes may handle faults too.
///
/// A fault with `rsp` in the handler's part of the stack place goes to the supervisor, as all do
/// without a handler.
pub mod own {
    /// `a0` the handler's address, 0 for none, `a1` bytes at the top of each stack place that are
    /// its part (1 to [`crate::layout::STACK_STRIDE`]; without a handler they mean nothing). A
    /// component that is revived has none.
    pub const SET_HANDLER: u64 = 1;
    /// What the last fault of this thread in this component interrupted, once: `r0` instruction,
    /// `r1` = flags | kind ([`super::lifecycle::fault`]) << 32, `r2` stack pointer, `r3` address.
    /// `BadState` when there is none.
    pub const FAULT: u64 = 2;
    /// Gives a fault to the supervisor: `a0` kind, `a1` address, `a2` instruction, `a3` stack
    /// pointer, which it is told as they are. Returns when the supervisor resumes the thread.
    pub const GIVE_UP: u64 = 3;
    /// Tells the supervisor where a fault comes from before it is given up: the four arguments go
    /// to it as [`super::lifecycle::TRACE`] has them. `BadState` when no supervisor can take
    /// them.
    pub const TRACE: u64 = 4;
    /// For a supervisor that a fault or a trace has brought this thread to: the components that
    /// wait for the faulting one in invocations, the innermost first, as 16-bit ids from `r0`'s
    /// lowest bits on; `0xffff` where there are no more. `BadState` at any other time.
    pub const INVOKERS: u64 = 5;
}

/// On a **Thread**.
pub mod thread {
    /// `a0` Component to start in, `a1` = thread id | argument << 32. The thread begins with
    /// the component's entry as if invoked by nobody: method [`super::lifecycle::THREAD`],
    /// `rdi` = argument. For a fresh thread, or one that has exited.
    pub const CONFIGURE: u64 = 1;
    /// Saves the current thread and continues this one. When the saved thread is switched to
    /// again, this call returns to it: `r0` = events ([`super::kernel::event`]), `r1` = id of
    /// the thread that was interrupted or `u64::MAX`. Only the core's event thread gets events.
    /// Vector and x87 registers are lost.
    /// Events that are pending while the event thread waits count as an interrupt of the thread
    /// switched to before its first instruction.
    pub const SWITCH: u64 = 2;
    /// `r0` = state: 0 not configured, 1 runnable, 2 exited; `r1` component it runs in.
    pub const IDENTIFY: u64 = 3;
}

/// On the **Kernel** capability of a core.
pub mod kernel {
    /// Waits with interrupts on until an event: `r0` = events, `r1` = `u64::MAX`. Only in the
    /// core's event thread.
    pub const WAIT: u64 = 1;
    /// `a0` time-stamp at which [`event::TIMER`] is raised; `u64::MAX` stops the timer.
    pub const SET_TIMER: u64 = 2;
    /// `a0` Thread: from now on events of this core switch to it.
    pub const SET_EVENT_THREAD: u64 = 3;
    /// `a0` destination slot, `a1` event bit (1 to 62) → makes an Irq capability with an
    /// interrupt vector of its own; `r0` = MSI address, `r1` = MSI data.
    pub const MAKE_IRQ: u64 = 4;
    /// `a0` which of [`stat`] → `r0`.
    pub const STAT: u64 = 5;
    /// `a0` exit code: ends the machine.
    pub const SHUTDOWN: u64 = 6;
    /// → `r0` pending events without waiting (event thread only).
    pub const POLL: u64 = 7;

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
    }
}

/// On an **Irq**. Edge-triggered (MSI): there is nothing to acknowledge.
pub mod irq {
    /// `r0` = event bit, `r1` = MSI address, `r2` = MSI data.
    pub const IDENTIFY: u64 = 1;
}

/// On **IoPorts** (base = first port, bytes = number of ports).
pub mod ports {
    /// `a0` port, `a1` width in bytes (1, 2, 4) → `r0`.
    pub const IN: u64 = 1;
    /// `a0` port, `a1` width in bytes, `a2` value.
    pub const OUT: u64 = 2;
}

/// On the **Console**.
pub mod console {
    /// `a0` = bytes to write (0 to 32), in `rsi rdx r8 r9` little-endian. `Again` when there is no
    /// room: nothing was written, and the port is slower than who writes.
    pub const WRITE: u64 = 1;
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
