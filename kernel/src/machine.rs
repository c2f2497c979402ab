//! Ending the machine.

use crate::arch::port::{Width, write};
use crate::arch::serial;
use core::arch::asm;

/// What a test machine's exit device reports: QEMU ends with `(code << 1) | 1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitCode(pub u32);

impl ExitCode {
    /// The kernel found itself in a state that must not be.
    pub const PANIC: ExitCode = ExitCode(101);
    /// The machine or the archive is not fit to boot; the reason is on the console.
    pub const BOOT_REFUSED: ExitCode = ExitCode(102);
    /// The first component faulted.
    pub const INIT_FAULT: ExitCode = ExitCode(103);
    pub const NOTHING_TO_RUN: ExitCode = ExitCode(104);
    /// See [`crate::check`].
    pub const INCONSISTENT: ExitCode = ExitCode(105);
}

const EXIT_DEVICE: u16 = 0xf4;

/// Ends the machine through its exit device; where there is none, this core stops for good.
pub fn shutdown(code: ExitCode) -> ! {
    serial::finish();
    // SAFETY: the port is the exit device's or nobody's.
    unsafe { write(EXIT_DEVICE, Width::Long, code.0) };
    loop {
        // SAFETY: interrupts are off, so the core stays here; no memory is touched.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
