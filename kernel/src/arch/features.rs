//! What the processor has, and the control registers that follow from it.

use core::arch::x86_64::__cpuid_count;
use x86_64::registers::control::{Cr4, Cr4Flags};

/// Found once a core, at boot.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    pub physical_bits: u8,
    pub huge_pages: bool,
    /// Tagged address spaces with the instruction that invalidates all tags at once.
    pub pcid: bool,
    smep: bool,
    smap: bool,
    umip: bool,
}

fn leaf(number: u32) -> core::arch::x86_64::CpuidResult {
    __cpuid_count(number, 0)
}

impl Features {
    pub fn detect() -> Features {
        let standard = leaf(0).eax;
        let extended = leaf(0x8000_0000).eax;
        let seven = if standard >= 7 { leaf(7) } else { leaf(0) };
        let has = |bit: u32, word: u32| standard >= 7 && word & (1 << bit) != 0;
        let physical_bits = if extended >= 0x8000_0008 {
            (leaf(0x8000_0008).eax as u8).clamp(36, 52)
        } else {
            36
        };
        Features {
            physical_bits,
            huge_pages: leaf(0x8000_0001).edx & (1 << 26) != 0,
            pcid: leaf(1).ecx & (1 << 17) != 0 && has(10, seven.ebx),
            smep: has(7, seven.ebx),
            smap: has(20, seven.ebx),
            umip: has(2, seven.ecx),
        }
    }

    /// SSE for user code without extended state, and each protection that exists.
    pub fn apply(self) {
        let mut flags =
            Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
        flags.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, self.smep);
        flags.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, self.smap);
        flags.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, self.umip);
        flags.set(Cr4Flags::PAGE_GLOBAL, true);
        flags.set(Cr4Flags::PCID, self.pcid);
        // SAFETY: only flags that CPUID reports (and those every x86-64 has) are set; no user
        // page is ever touched in kernel mode; CR3's low bits are zero at boot, as PCID needs.
        unsafe { Cr4::write_raw(flags.bits()) }
    }
}
