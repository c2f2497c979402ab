//! The kernel of one core: capabilities, address spaces, invocations, threads and events.
//!
//! Guarantees: it does what a capability allows and nothing else; no register content of user code
//! makes it panic, wait, or touch an address that user code names; each entry does bounded
//! work with interrupts off; it allocates nothing after boot.
//! Trusts: the loader's memory map, the crates `cap` and `paging`, and whoever gets the Kernel,
//! IoPorts and device capabilities of the first component.
//! Never does: schedule, decide who may have what, wait for a lock, use vector registers.
//! Exit codes of its own (machine::ExitCode): 101 panic, 102 cannot boot, 103 the first component
//! faulted, 104 nothing left to run, 105 its state did not hold together; QEMU's exit device turns code c into status 2c + 1.
//! Source: papers/barrelfish-memory.txt, ch. 2.6 and 3; papers/cbufs.txt §4 (invocations).

#![no_std]
#![no_main]

mod arch;
mod boot;
mod check;
mod cpu;
mod invoke;
mod machine;
mod memory;
mod object;
mod platform;
mod switch;
mod trap;

use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("{info}");
    machine::shutdown(machine::ExitCode::PANIC)
}
