//! Floating-point and vector registers of threads: `fxsave` format only, since OSXSAVE stays off.

use core::arch::asm;

/// What `fxsave` writes and `fxrstor` reads.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct FpuState([u8; 512]);

impl FpuState {
    /// What whoever must not see another's registers begins with.
    pub const CLEAN: &FpuState = &FpuState::clean();

    /// As after reset, with all exceptions masked.
    pub const fn clean() -> Self {
        let mut bytes = [0; 512];
        // FCW = 0x037f, MXCSR = 0x1f80.
        bytes[0] = 0x7f;
        bytes[1] = 0x03;
        bytes[24] = 0x80;
        bytes[25] = 0x1f;
        FpuState(bytes)
    }

    pub fn save(&mut self) {
        // SAFETY: the state is 512 writable bytes on a 16-byte boundary, and CR4.OSFXSR is set.
        unsafe { asm!("fxsave64 [{}]", in(reg) self, options(nostack, preserves_flags)) }
    }

    /// The kernel itself is compiled without floating point, so nothing of its own is lost.
    pub fn restore(&self) {
        // SAFETY: the bytes come from `clean` or `save`, so that no reserved MXCSR bit is set.
        unsafe { asm!("fxrstor64 [{}]", in(reg) self, options(nostack, preserves_flags, readonly)) }
    }
}
