//! An ordinary component that is invoked, and that faults on request.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{Error, op::lifecycle};
use bench::method;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use rt::fault::{Fault, Verdict};

rt::component! {
    start: start,
    fault: fault,
    serve: { stubs::echo::INTERFACE => serve }
}

/// What the handler is to do.
static WANTED: AtomicU64 = AtomicU64::new(0);
/// Bytes of `ud2`.
const UD2: u64 = 2;

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn fault(fault: &mut Fault) -> Verdict {
    // Relaxed: the same thread wrote it.
    match WANTED.load(Ordering::Relaxed) {
        method::SKIP if fault.kind() == lifecycle::fault::ILLEGAL => {
            fault.rip += UD2;
            fault.rax += 1;
            return Verdict::Resume;
        }
        // SAFETY: the instruction faults, which ends the component: that is what is tested.
        method::FAULT_AGAIN => unsafe { asm!("ud2") },
        _ => {}
    }
    Verdict::GiveUp
}

fn serve(call: rt::Call) -> rt::Reply {
    if call.method == method::ECHO {
        return Ok(call.args);
    }
    // Relaxed: the handler runs on this thread.
    WANTED.store(call.method, Ordering::Relaxed);
    let mut answer = call.args[0];
    if call.method == method::LOSE_STACK {
        // SAFETY: the component ends here.
        unsafe { asm!("mov rsp, 8", "push rax", "ud2", options(noreturn)) }
    }
    // SAFETY: the handler ends the component or continues behind the instruction, with a one
    // added to the register.
    unsafe { asm!("ud2", inout("rax") answer, options(nostack)) };
    Ok([answer, 0, 0, 0])
}
