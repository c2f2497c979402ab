//! Waiting for an interrupt, the one place where the kernel takes them.

use super::regs::Regs;
use core::arch::global_asm;
use core::ffi::c_void;

// `sti` takes effect after the instruction behind it, so that nothing comes between a look at what
// there is to do and the sleep; but an NMI in between ends that delay. So an interrupt that strikes
// before the `hlt` has begun continues behind it: see `wake`.
global_asm!(
    r#"
.text
idle_wait:
    sti
idle_halt:
    hlt
idle_awake:
    cli
    ret

idle_look:
    sti
    nop
    cli
    ret
"#
);

// SAFETY: declared as the assembly above defines them; both functions keep to the C convention.
unsafe extern "C" {
    fn idle_wait(touched: *mut c_void);
    fn idle_look(touched: *mut c_void);
    static idle_halt: u8;
    static idle_awake: u8;
}

/// Sleeps until an interrupt, whose handler may change what is at `touched`.
///
/// # Safety
/// Interrupts are off, and nothing that their handlers change is borrowed.
pub unsafe fn wait<T>(touched: *mut T) {
    // SAFETY: the caller's promise; interrupts are off again afterwards.
    unsafe { idle_wait(touched.cast()) }
}

/// Takes the interrupts that are there, and goes on.
///
/// # Safety
/// As for [`wait`].
pub unsafe fn look<T>(touched: *mut T) {
    // SAFETY: as in `wait`.
    unsafe { idle_look(touched.cast()) }
}

/// An interrupt in the kernel, at `regs`: if it was about to sleep, it is awake.
pub fn wake(regs: &mut Regs) {
    if regs.rip == (&raw const idle_halt) as u64 {
        regs.rip = (&raw const idle_awake) as u64;
    }
}
