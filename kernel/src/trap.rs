//! What interrupts and exceptions do: an interrupt becomes an event, an exception in user code a
//! fault for the component's supervisor, and one in the kernel the end.

use crate::arch::fpu::FpuState;
use crate::arch::pic;
use crate::arch::regs::Regs;
use crate::arch::{apic, idle, serial, time};
use crate::cpu::Cpu;
use crate::machine::{ExitCode, shutdown};
use crate::memory::USER_END;
use crate::object::Component;
use crate::object::component::Life;
use crate::object::thread::{FAULT_RIP, Frame, OwnFault};
use crate::say;
use crate::switch::Landing;
use abi::Error;
use abi::layout::{STACK_STRIDE, STACKS};
use abi::op::kernel::event;
use abi::op::lifecycle::{self, fault};
use x86_64::registers::control::Cr2;

/// Event bit `b` interrupts through vector `IRQ_BASE + b`.
pub const IRQ_BASE: u8 = 0x40;
/// The highest event bit that is an interrupt.
pub const LAST_IRQ: u8 = 62;
const LAST_EXCEPTION: u64 = 31;
const PAGE_FAULT: u64 = 14;
const MACHINE_CHECK: u64 = 18;

const _: () = assert!(IRQ_BASE > pic::FIRST_VECTOR + 15);
const _: () = assert!(IRQ_BASE + LAST_IRQ < apic::TIMER_VECTOR);

/// Every vector but the NMI comes here, with the interrupted registers on the kernel's stack.
/// User registers continue as they are left when this returns.
///
/// # Safety
/// Called by the entry of `idt` alone, with what the processor and it have saved.
pub unsafe extern "C" fn trap(regs: &mut Regs) {
    let exception = regs.vector <= LAST_EXCEPTION;
    if exception && (!regs.are_users() || regs.vector == MACHINE_CHECK) {
        say!("exception {} at {:#x}: {regs:x?}", regs.vector, regs.rip);
        say!("address {:#x}", Cr2::read_raw());
        shutdown(ExitCode::PANIC);
    }
    // SAFETY: an entry from user code, or from the wait for events, which has lent the core to
    // whatever comes in.
    let cpu = unsafe { Cpu::current() };
    if exception {
        let Some((kind, address)) = classify(cpu, regs) else {
            return;
        };
        if !handle_fault(cpu, regs, kind, address) {
            deliver_fault(cpu, regs, kind, address);
        }
    } else {
        record(cpu, regs.vector as u8);
        if !regs.are_users() {
            idle::wake(regs);
        } else {
            if regs.rip >= USER_END {
                // User code ran off the end of its half, and `iretq` must not find that out in
                // kernel mode. No thread is ever put aside like this.
                deliver_fault(cpu, regs, fault::PROTECTION, 0);
            }
            cpu.preempt(regs);
        }
    }
}

/// Turns an interrupt into an event. Vectors that nobody asked for are acknowledged and forgotten.
fn record(cpu: &mut Cpu, vector: u8) {
    cpu.interrupts += 1;
    serial::send();
    if vector == apic::TIMER_VECTOR {
        let now = time::now();
        if now >= cpu.deadline {
            cpu.events |= event::TIMER;
            cpu.deadline = u64::MAX;
        } else if cpu.deadline != u64::MAX {
            cpu.apic.arm_timer(cpu.deadline - now, cpu.tsc_hz);
        }
    } else if let Some(bit) = vector.checked_sub(IRQ_BASE)
        && bit <= LAST_IRQ
    {
        cpu.events |= (1 << bit) & cpu.irqs;
    }
    if vector != apic::SPURIOUS_VECTOR || cpu.apic.in_service(vector) {
        cpu.apic.end_of_interrupt();
    }
}

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const RESERVED: u64 = 1 << 3;
const FETCH: u64 = 1 << 4;

/// Is this page fault one that the tables do not confirm, for any reason that they know of?
fn is_stale(cpu: &Cpu, error: u64, address: u64) -> bool {
    let (write, execute) = (error & WRITE != 0, error & FETCH != 0);
    let pml4 = cpu.component().space.pml4().0;
    error & PRESENT != 0
        && error & !(PRESENT | WRITE | USER | FETCH) == 0
        // SAFETY: it is the address space that is loaded.
        && unsafe { cpu.capabilities.is_stale(pml4, address, write, execute) }
}

/// A fault's kind and address, from the exception; none where there is nothing to do.
fn classify(cpu: &Cpu, regs: &Regs) -> Option<(u64, u64)> {
    Some(match regs.vector {
        0 | 16 | 19 => (fault::ARITHMETIC, regs.rip),
        6 => (fault::ILLEGAL, regs.rip),
        12 | 13 => (fault::PROTECTION, 0),
        PAGE_FAULT => {
            let (error, address) = (regs.error, Cr2::read_raw());
            if is_stale(cpu, error, address) {
                return None;
            }
            let kind = match error {
                error if error & RESERVED != 0 => fault::OTHER,
                error if error & FETCH != 0 => fault::PAGE_EXECUTE,
                error if error & WRITE != 0 => fault::PAGE_WRITE,
                _ => fault::PAGE_READ,
            };
            (kind, address)
        }
        _ => (fault::OTHER, regs.rip),
    })
}

/// Continues the thread at its component's own handler, with the stack place that is the
/// thread's there. False when there is no handler, or when it is the handler that faulted.
fn handle_fault(cpu: &mut Cpu, regs: &mut Regs, kind: u64, address: u64) -> bool {
    let component = cpu.component();
    let handler = component.handler;
    let top = STACKS as u64 + (cpu.thread_id + 1) * STACK_STRIDE as u64;
    if top.wrapping_sub(regs.rsp) <= component.handler_stack {
        return false;
    }
    cpu.faults += 1;
    // SAFETY: the current thread's object is live.
    unsafe {
        (*cpu.thread).own_fault = OwnFault {
            component: cpu.component,
            rip: regs.rip,
            rflags: regs.rflags,
            rsp: regs.rsp,
            kind,
            address,
        };
    }
    (regs.rip, regs.rsp) = (handler, top);
    regs.rflags = cpu.component().flags;
    true
}

/// Gives a fault at `regs` to the supervisor.
pub fn deliver_fault(cpu: &mut Cpu, regs: &mut Regs, kind: u64, address: u64) {
    cpu.faults += 1;
    let (rip, rsp) = (regs.rip, regs.rsp);
    escalate(cpu, regs, [kind, address, rip, rsp]);
}

/// Migrates the thread into the supervisor of the component it faulted in, or, when none can
/// help, kills the component and returns the thread to its invoker. `what` is the supervisor's
/// to read: kind, address, instruction, stack pointer.
pub fn escalate(cpu: &mut Cpu, regs: &mut Regs, what: [u64; 4]) {
    let [kind, address, instruction, stack] = what;
    let kind = kind & u64::from(u32::MAX);
    let faulting = cpu.component;
    let id = cpu.component().id;
    let Some((supervisor, badge)) = helper(cpu) else {
        let name = fault::NAMES.get(kind as usize).unwrap_or(&"fault");
        say!(
            "component {}, thread {}: {name}, address {address:#x}, instruction {:#x}, stack {:#x}",
            id.0,
            cpu.thread_id,
            instruction,
            stack
        );
        if faulting == cpu.init {
            shutdown(ExitCode::INIT_FAULT);
        }
        // SAFETY: the current component is live.
        unsafe { (*faulting).life = Life::Dead };
        if cpu.unwind(regs, Error::Dead as u64, [0; 4]) == Landing::Ended {
            cpu.exit_thread();
        }
        return;
    };
    let what = [kind | u64::from(id.0) << 32, address, instruction, stack];
    enter_supervisor(cpu, regs, (supervisor, badge), lifecycle::FAULT, what);
}

/// Migrates the thread into the supervisor with a part of a trace, from where it comes back.
pub fn trace(cpu: &mut Cpu, regs: &mut Regs, what: [u64; 4]) -> Result<(), Error> {
    let supervisor = helper(cpu).ok_or(Error::BadState)?;
    enter_supervisor(cpu, regs, supervisor, lifecycle::TRACE, what);
    Ok(())
}

/// Keeps the thread's registers, which are `regs`, and makes them the supervisor's at its entry:
/// the one that [`helper`] found, with its badge.
fn enter_supervisor(
    cpu: &mut Cpu,
    regs: &mut Regs,
    (supervisor, badge): (*mut Component, u64),
    method: u64,
    what: [u64; 4],
) {
    let faulting = cpu.component;
    // SAFETY: the current thread's object is live; `helper` saw a free frame.
    unsafe {
        let thread = &mut *cpu.thread;
        thread.fault_regs = *regs;
        thread.fault_fpu.save();
        FpuState::CLEAN.restore();
        thread.faulted = true;
        *cpu.frame_top = Frame {
            component: faulting,
            rip: FAULT_RIP,
            rsp: 0,
        };
        cpu.frame_top = cpu.frame_top.add(1);
    }
    cpu.limit_frames();
    cpu.enter(supervisor);
    let (entry, flags) = (cpu.component().entry, cpu.component().flags);
    *regs = Regs::user();
    regs.set_results(method, what);
    (regs.r9, regs.r10) = (badge, cpu.thread_id);
    (regs.rip, regs.rflags) = (entry, flags);
}

/// A supervisor can take the fault when it lives, the thread is not already in a fault, has room
/// on its invocation stack, and the supervisor does not itself wait further down that stack,
/// where a second entry on the same thread would run over its stack. Where the thread began in
/// the supervisor, that is on a stack on which nothing comes in.
fn helper(cpu: &Cpu) -> Option<(*mut Component, u64)> {
    let (supervisor, badge) = cpu.component().supervisor()?;
    // SAFETY: an Entry's component is live: the Entry goes with it.
    let alive = unsafe { (*supervisor).alive() };
    // SAFETY: the current thread's object is live.
    let faulted = unsafe { (*cpu.thread).faulted };
    let waits = supervisor == cpu.component
        || cpu
            .frames(cpu.thread)
            .iter()
            .skip(1)
            .any(|frame| frame.component == supervisor);
    (alive && !faulted && !waits && !cpu.frames_are_full()).then_some((supervisor, badge))
}
