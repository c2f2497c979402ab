//! Operations that every component has on itself: its fault handler.

use super::leave;
use crate::arch::{idt, regs::Regs};
use crate::cpu::Cpu;
use crate::memory::USER_END;
use crate::trap;
use abi::Error;
use abi::op::own;
use core::ptr;

/// On return the thread continues from `regs`, as after any other system call.
pub fn invoke(cpu: &mut Cpu, regs: &mut Regs) {
    cpu.system_calls += 1;
    let result = match regs.rax {
        own::FAULT => fault(cpu),
        own::SET_HANDLER => set_handler(cpu, regs.rdi),
        own::GIVE_UP => give_up(cpu, regs),
        _ => Err(Error::BadOperation),
    };
    let refused = result.is_err();
    match result {
        Ok(results) => regs.set_results(0, results),
        Err(error) => regs.set_results(error as u64, [0; 4]),
    }
    leave(cpu, regs, None, refused);
}

fn set_handler(cpu: &mut Cpu, handler: u64) -> Result<[u64; 4], Error> {
    if handler >= USER_END {
        return Err(Error::BadArgument);
    }
    // SAFETY: the current component is live; a thread in the tombstone executes nothing.
    unsafe { (*cpu.component).handler = handler };
    Ok([0; 4])
}

fn fault(cpu: &mut Cpu) -> Result<[u64; 4], Error> {
    // SAFETY: the current thread's object is live.
    let fault = unsafe { &mut (*cpu.thread).own_fault };
    if fault.component != cpu.component {
        return Err(Error::BadState);
    }
    fault.component = ptr::null_mut();
    let flags = fault.rflags | fault.kind << 32;
    Ok([fault.rip, flags, fault.rsp, fault.address])
}

/// Success is what the thread finds if the supervisor resumes it.
fn give_up(cpu: &mut Cpu, regs: &mut Regs) -> ! {
    let what = [regs.rdi, regs.rsi, regs.rdx, regs.r8];
    regs.set_results(0, [0; 4]);
    (regs.rcx, regs.r9, regs.r10, regs.r11) = (0, 0, 0, 0);
    trap::escalate(cpu, regs, what);
    idt::resume(regs)
}
