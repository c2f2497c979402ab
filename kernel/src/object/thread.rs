//! A thread: registers while it waits, and the invocation stack along which it returns.

use super::Component;
use super::line::Line;
use crate::arch::fpu::FpuState;
use crate::arch::regs::Regs;
use crate::cpu::Cpu;
use abi::op::lifecycle;
use abi::{Error, ThreadId};
use core::ptr;

/// Frames of a thread. The last of them are a reserve, so that a component that was invoked so
/// deep that it can invoke nobody can still wait in the scheduler, and fault.
pub const FRAMES: usize = 32;
/// Frames that invocations may use.
pub const ORDINARY_FRAMES: usize = FRAMES - 4;
/// Frames that invocations may use while a supervisor handles a fault of the thread. One more is
/// there for the scheduler.
pub const FAULT_FRAMES: usize = FRAMES - 1;
/// In place of a return address: a fault that its supervisor is handling. No program counter
/// has this value, and the fast path leaves it to the general one since it is not canonical.
pub const FAULT_RIP: u64 = 1 << 63;
/// In a return address: the frame is one of the reserve, used to invoke a component that runs with
/// interrupts off. The general path takes it as well, and sees to the limit.
pub const RESERVED_BIT: u32 = 62;
pub const RESERVED_RIP: u64 = 1 << RESERVED_BIT;

/// Who invoked, and where to continue there.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Frame {
    pub component: *mut Component,
    pub rip: u64,
    pub rsp: u64,
}

/// How a thread waits, which is how it must be continued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Waiting {
    /// Fresh memory: all zero.
    Unconfigured = 0,
    /// It is the core's current thread.
    Running = 1,
    /// In a switch to another: of its registers there are the results, those that a call
    /// preserves, program counter and stack pointer.
    Voluntary = 2,
    /// Between two instructions: every register is saved.
    Involuntary = 3,
    Exited = 4,
}

/// What a fault interrupted, from when the component's handler begins until it asks.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct OwnFault {
    /// Where it happened, which alone may ask; null when there is none.
    pub component: *mut Component,
    pub rip: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub kind: u64,
    pub address: u64,
}

/// One page of retyped memory, zero until `CONFIGURE`.
#[repr(C, align(64))]
pub struct Thread {
    pub regs: Regs,
    pub fpu: FpuState,
    /// The registers of the one fault that a supervisor may be handling in this thread.
    pub fault_regs: Regs,
    pub fault_fpu: FpuState,
    pub faulted: bool,
    /// The last fault that went to a component's own handler.
    pub own_fault: OwnFault,
    pub waiting: Waiting,
    pub id: ThreadId,
    /// Where it is, and how deep; the core holds both while the thread runs.
    pub component: *mut Component,
    pub top: *mut Frame,
    /// Past the last frame that invocations may use; likewise.
    pub end: *mut Frame,
    pub frames: [Frame; FRAMES],
    pub line: Line,
}

const _: () = assert!(size_of::<Thread>() <= abi::layout::PAGE);

impl Thread {
    /// Whether it can be switched to.
    pub fn runnable(&self) -> bool {
        matches!(
            self.waiting,
            Waiting::Running | Waiting::Voluntary | Waiting::Involuntary
        )
    }

    /// Results of the switch that it waits in.
    pub fn tell(&mut self, events: u64, interrupted: u64) {
        (self.regs.rax, self.regs.rdi, self.regs.rsi) = (0, events, interrupted);
    }
}

/// Configures a thread that is fresh or has exited to begin in `component` as if invoked by nobody.
///
/// Errors: `BadState` for a thread that runs or waits, `Dead`, `BadArgument` for an id that has no
/// stack place, `Busy` when the core takes no more threads.
pub fn configure(
    cpu: &mut Cpu,
    pointer: *mut Thread,
    component: *mut Component,
    id: ThreadId,
    argument: u64,
) -> Result<(), Error> {
    if usize::from(id.0) >= ThreadId::MAX {
        return Err(Error::BadArgument);
    }
    // SAFETY: both capabilities name memory that holds such objects.
    unsafe {
        let fresh = (*pointer).waiting == Waiting::Unconfigured;
        if !fresh && (*pointer).waiting != Waiting::Exited {
            return Err(Error::BadState);
        }
        if !(*component).alive() {
            return Err(Error::Dead);
        }
        // One that has exited has its place.
        if fresh {
            *cpu.threads.place()? = pointer;
        }
        let mut regs = Regs::user();
        regs.rax = lifecycle::THREAD;
        regs.rdi = argument;
        regs.r10 = u64::from(id.0);
        regs.rip = (*component).entry;
        regs.rflags = (*component).flags;
        (*pointer).regs = regs;
        (*pointer).fpu = FpuState::clean();
        (*pointer).id = id;
        (*pointer).own_fault.component = ptr::null_mut();
        (*pointer).component = component;
        (*pointer).top = (&raw mut (*pointer).frames).cast();
        (*pointer).end = (*pointer).top.add(ORDINARY_FRAMES);
        (*pointer).faulted = false;
        (*pointer).waiting = Waiting::Involuntary;
    }
    Ok(())
}

/// State and component id, as `IDENTIFY` gives them.
pub fn describe(cpu: &Cpu, pointer: *mut Thread) -> (u64, u64) {
    // SAFETY: a Thread capability names memory that holds a thread; one that is configured is in
    // a component or in the tombstone.
    unsafe {
        match (*pointer).waiting {
            Waiting::Unconfigured => (0, 0),
            Waiting::Exited => (2, u64::from((*(*pointer).component).id.0)),
            _ => (1, u64::from((*cpu.place_of(pointer)).id.0)),
        }
    }
}
