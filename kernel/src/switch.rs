//! Which thread runs, and where: suspending and continuing threads, returning along an
//! invocation stack past components that died, and handing events to the event thread.

use crate::arch::{fpu::FpuState, idt, regs::Regs, syscall};
use crate::cpu::Cpu;
use crate::machine::{ExitCode, shutdown};
use crate::memory::USER_END;
use crate::object::thread::{
    FAULT_FRAMES, FAULT_RIP, FRAMES, ORDINARY_FRAMES, RESERVED_RIP, Waiting,
};
use crate::object::{Component, Thread};
use crate::say;
use abi::Error;
use abi::op::kernel::event;
use core::ptr;

/// In place of a thread id: nobody was interrupted.
pub const NOBODY: u64 = u64::MAX;

/// Where a return ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Landing {
    /// After an invocation: results are in place, other registers may be lost.
    Call,
    /// At an instruction that had faulted: all registers are in place.
    Instruction,
    /// There is nobody to return to: the thread has ended.
    Ended,
}

impl Cpu {
    /// From now on the current thread runs in `component`.
    pub fn enter(&mut self, component: *mut Component) {
        // SAFETY: both are configured components or the tombstone: `platform` replaces every
        // pointer to a component whose memory goes. A component's space holds the kernel's half
        // and is replaced by the kernel's own before its PML4 goes.
        unsafe {
            if (*component).space != (*self.component).space {
                (*component).space.load();
                self.space_switches += 1;
            }
        }
        self.component = component;
    }

    /// The component that the current thread runs in.
    pub fn component(&self) -> &Component {
        // SAFETY: never null, and never gone (see `enter`).
        unsafe { &*self.component }
    }

    /// Keeps all registers of the current thread, and its place, in its object.
    fn put_aside(&mut self, regs: &Regs) {
        // SAFETY: called with a current thread only; its memory is a thread object's.
        let thread = unsafe { &mut *self.thread };
        thread.regs = *regs;
        thread.fpu.save();
        thread.waiting = Waiting::Involuntary;
        thread.component = self.component;
        (thread.top, thread.end) = (self.frame_top, self.frame_end);
    }

    /// Keeps of the current thread, whose switch to another this is, where it goes on and its
    /// place. The entry code has kept the registers that a call preserves; no others are kept.
    fn wait_in_switch(&mut self) {
        let (rip, rsp) = (self.user_rip, self.user_rsp);
        // SAFETY: called with a current thread only; its memory is a thread object's.
        let thread = unsafe { &mut *self.thread };
        (thread.regs.rip, thread.regs.rsp) = (rip, rsp);
        thread.waiting = Waiting::Voluntary;
        thread.component = self.component;
        (thread.top, thread.end) = (self.frame_top, self.frame_end);
        thread.tell(0, NOBODY);
    }

    /// Makes `thread` the current one, in its component's address space.
    fn activate(&mut self, thread: *mut Thread) {
        self.thread = thread;
        self.thread_switches += 1;
        // SAFETY: the pointer comes from the core's list of configured threads.
        unsafe {
            self.frame_base = (&raw mut (*thread).frames).cast();
            (self.frame_top, self.frame_end) = ((*thread).top, (*thread).end);
            self.thread_id = u64::from((*thread).id.0);
            self.enter((*thread).component);
        }
    }

    /// Begins user code, with the first thread.
    pub fn start(&mut self, thread: *mut Thread) -> ! {
        self.activate(thread);
        self.resume(true)
    }

    /// Leaves the kernel in the current thread, from what its object says. Vector registers hold
    /// what another component had in them if `foreign` says so.
    fn resume(&mut self, foreign: bool) -> ! {
        let thread = self.thread;
        // SAFETY: just activated, so it is a live thread object; no other reference to its
        // registers exists while the kernel is in here.
        let (regs, waiting) = unsafe { (&mut (*thread).regs, (*thread).waiting) };
        // SAFETY: as above.
        unsafe { (*thread).waiting = Waiting::Running };
        if !self.component().alive() {
            match self.unwind(regs, Error::Dead as u64, [0; 4]) {
                Landing::Ended => self.exit_thread(),
                // SAFETY: `unwind` made them fit for user mode, in the component that is entered.
                Landing::Call => unsafe { syscall::resume(regs) },
                // SAFETY: likewise.
                Landing::Instruction => unsafe { idt::resume(regs) },
            }
        }
        if waiting == Waiting::Involuntary {
            regs.set_flags(self.component().flags);
            // SAFETY: as above; and what was put aside, or made by `configure`, was fit for user
            // mode and has got the flags of the component in whose space this is.
            unsafe {
                (*thread).fpu.restore();
                idt::resume(regs)
            }
        }
        regs.rflags = self.component().flags;
        if foreign {
            FpuState::CLEAN.restore();
        }
        // SAFETY: the program counter was checked before the thread switched away.
        unsafe { syscall::resume_from_switch(regs) }
    }

    /// Sets how far invocations of the current thread may go, after its place or state has changed.
    /// The fast path looks for the very frame that ends this, so it is never below the top.
    pub fn limit_frames(&mut self) {
        // SAFETY: the current thread's object is live, and its frames are more than either number.
        unsafe {
            let most = if (*self.thread).faulted {
                FAULT_FRAMES
            } else {
                ORDINARY_FRAMES
            };
            self.frame_end = self.frame_base.add(most).max(self.frame_top);
        }
    }

    /// Has the current thread no frame left, not even of the reserve?
    pub fn frames_are_full(&self) -> bool {
        self.frame_top == self.frame_base.wrapping_add(FRAMES)
    }

    /// Returns the current thread to whoever invoked, past dead components, with the status and
    /// results of the innermost invocation or [`Error::Dead`]. At most as many steps as frames.
    /// A component that dies cannot clear its registers, so the invoker gets none of them.
    pub fn unwind(&mut self, regs: &mut Regs, status: u64, results: [u64; 4]) -> Landing {
        let (mut status, mut results) = (status, results);
        while self.frame_top != self.frame_base {
            // SAFETY: above the base there is a frame of the current thread, which its core
            // wrote; its component is live or the tombstone.
            let frame = unsafe {
                self.frame_top = self.frame_top.sub(1);
                *self.frame_top
            };
            self.enter(frame.component);
            let alive = self.component().alive();
            // No address at all where a fault's frame is.
            let rip = frame.rip & !RESERVED_RIP;
            if frame.rip == FAULT_RIP {
                // SAFETY: the current thread's object is live.
                let thread = unsafe { &mut *self.thread };
                thread.faulted = false;
                self.limit_frames();
                if alive && status == 0 && thread.fault_regs.rip < USER_END {
                    *regs = thread.fault_regs;
                    thread.fault_fpu.restore();
                    regs.set_flags(self.component().flags);
                    return Landing::Instruction;
                }
            } else if rip != frame.rip {
                self.limit_frames();
            }
            if alive && rip < USER_END {
                *regs = Regs::user();
                FpuState::CLEAN.restore();
                regs.set_results(status, results);
                (regs.rip, regs.rsp) = (rip, frame.rsp);
                regs.rflags = self.component().flags;
                return Landing::Call;
            }
            (status, results) = (Error::Dead as u64, [0; 4]);
        }
        Landing::Ended
    }

    /// Ends the current thread and tells the event thread.
    pub fn exit_thread(&mut self) -> ! {
        let thread = self.thread;
        // SAFETY: the current thread's object is live.
        let id = unsafe {
            (*thread).line.end();
            (*thread).waiting = Waiting::Exited;
            (*thread).id
        };
        if self.event_thread == thread {
            self.event_thread = ptr::null_mut();
        }
        self.thread = ptr::null_mut();
        self.events |= event::EXITED;
        self.continue_event_thread(u64::from(id.0))
    }

    /// Whether the event thread waits in a call that events end.
    fn event_thread_waits(&self) -> bool {
        // SAFETY: null or a live thread object: `platform` clears it when the memory goes.
        unsafe { self.event_thread.as_ref() }.is_some_and(|t| t.waiting == Waiting::Voluntary)
    }

    pub fn take_events(&mut self) -> u64 {
        core::mem::take(&mut self.events)
    }

    /// Leaves the kernel in the event thread. Without one nothing could ever run again.
    pub fn continue_event_thread(&mut self, interrupted: u64) -> ! {
        let thread = self.event_thread;
        // SAFETY: as in `event_thread_waits`.
        if !unsafe { thread.as_ref() }.is_some_and(Thread::runnable) {
            say!("no thread is left to run");
            shutdown(ExitCode::NOTHING_TO_RUN);
        }
        if self.event_thread_waits() {
            let events = self.take_events();
            // SAFETY: it waits, so its registers are not in use.
            unsafe { (*thread).tell(events, interrupted) };
        }
        self.activate(thread);
        self.resume(true)
    }

    /// After an interrupt in user code: if there is something to tell and the event thread waits
    /// for it, the current thread is put aside for it; otherwise it goes on.
    pub fn preempt(&mut self, regs: &Regs) {
        if self.events != 0 && self.event_thread_waits() {
            self.put_aside(regs);
            self.continue_event_thread(self.thread_id)
        }
    }

    /// The switch to a runnable thread, whose invoker's registers are kept as
    /// [`Cpu::wait_in_switch`] says. The current thread's call returns when somebody switches back.
    pub fn switch_to(&mut self, target: *mut Thread) -> ! {
        let from = self.component;
        self.wait_in_switch();
        if self.events != 0 && self.event_thread_waits() {
            let interrupted = if target == self.event_thread {
                NOBODY
            } else {
                // SAFETY: the caller found it through a Thread capability and saw it runnable.
                u64::from(unsafe { (*target).id.0 })
            };
            self.continue_event_thread(interrupted)
        }
        self.activate(target);
        self.resume(self.component != from)
    }
}
