//! Operations that every component has on itself: its fault handler.

use super::leave;
use crate::arch::{idt, regs::Regs};
use crate::cpu::Cpu;
use crate::memory::USER_END;
use crate::object::Component;
use crate::object::thread::{FAULT_RIP, Frame};
use crate::trap;
use abi::layout::STACK_STRIDE;
use abi::op::own;
use abi::{ComponentId, Error};
use core::ptr;

const STACK_STRIDE_BYTES: u64 = STACK_STRIDE as u64;

/// On return the thread continues from `regs`, as after any other system call.
pub fn invoke(cpu: &mut Cpu, regs: &mut Regs) {
    cpu.system_calls += 1;
    if regs.rax == own::FAULT
        && cpu.component().alive()
        && let Some(results) = fault(cpu)
    {
        // What `leave` comes to here: each handled fault passes.
        regs.set_results(0, results);
        regs.rflags = cpu.component().flags;
        (regs.rcx, regs.r9, regs.r10, regs.r11) = (0, 0, 0, 0);
        return;
    }
    let result = match regs.rax {
        own::FAULT => Err(Error::BadState),
        own::SET_HANDLER => set_handler(cpu, regs.rdi, regs.rsi),
        own::GIVE_UP => give_up(cpu, regs),
        own::TRACE => trace(cpu, regs),
        own::INVOKERS => invokers(cpu),
        _ => Err(Error::BadOperation),
    };
    let refused = result.is_err();
    match result {
        Ok(results) => regs.set_results(0, results),
        Err(error) => regs.set_results(error as u64, [0; 4]),
    }
    leave(cpu, regs, None, refused);
}

fn set_handler(cpu: &mut Cpu, handler: u64, stack: u64) -> Result<[u64; 4], Error> {
    if handler >= USER_END {
        return Err(Error::BadArgument);
    }
    let stack = match (handler, stack) {
        (0, _) => Component::NO_HANDLER,
        // With no part of its own, a handler that faults would go to itself for ever.
        (_, 1..=STACK_STRIDE_BYTES) => stack - 1,
        _ => return Err(Error::BadSize),
    };
    // SAFETY: the current component is live; a thread in the tombstone executes nothing.
    unsafe {
        (*cpu.component).handler = handler;
        (*cpu.component).handler_stack = stack;
    }
    Ok([0; 4])
}

/// None where there is nothing to be told.
#[inline(always)]
fn fault(cpu: &mut Cpu) -> Option<[u64; 4]> {
    // SAFETY: the current thread's object is live.
    let fault = unsafe { &mut (*cpu.thread).own_fault };
    if fault.component != cpu.component {
        return None;
    }
    fault.component = ptr::null_mut();
    let flags = fault.rflags | fault.kind << 32;
    Some([fault.rip, flags, fault.rsp, fault.address])
}

/// Success is what the thread finds when the supervisor resumes it.
fn trace(cpu: &mut Cpu, regs: &mut Regs) -> Result<[u64; 4], Error> {
    let what = [regs.rdi, regs.rsi, regs.rdx, regs.r8];
    let mut after = *regs;
    after.set_results(0, [0; 4]);
    (after.rcx, after.r9, after.r10, after.r11) = (0, 0, 0, 0);
    trap::trace(cpu, &mut after, what)?;
    // SAFETY: they are the supervisor's at its entry, in its address space.
    unsafe { idt::resume(&after) }
}

/// Ids of the components below the faulting one on the current thread's invocation stack.
fn invokers(cpu: &mut Cpu) -> Result<[u64; 4], Error> {
    const IDS: usize = 4;
    let frames = cpu.frames(cpu.thread);
    let [below @ .., fault] = frames else {
        return Err(Error::BadState);
    };
    if fault.rip != FAULT_RIP {
        return Err(Error::BadState);
    }
    // SAFETY: a frame's component is live or the tombstone.
    let id = |frame: &Frame| unsafe { (*frame.component).id };
    let mut ids = below.iter().rev().map(id);
    let mut words = [0; 4];
    for word in &mut words {
        for place in 0..IDS {
            let ComponentId(id) = ids.next().unwrap_or(ComponentId(u16::MAX));
            *word |= u64::from(id) << (16 * place);
        }
    }
    Ok(words)
}

/// Success is what the thread finds if the supervisor resumes it.
fn give_up(cpu: &mut Cpu, regs: &mut Regs) -> ! {
    let what = [regs.rdi, regs.rsi, regs.rdx, regs.r8];
    regs.set_results(0, [0; 4]);
    (regs.rcx, regs.r9, regs.r10, regs.r11) = (0, 0, 0, 0);
    trap::escalate(cpu, regs, what);
    // SAFETY: `escalate` leaves registers that are fit for user mode: the supervisor's or an invoker's.
    unsafe { idt::resume(regs) }
}
