//! Address spaces: loading CR3 and dropping what the translation buffers remember.

use crate::memory::Phys;
use core::arch::asm;
use x86_64::instructions::tlb;

/// What goes into CR3: a PML4's address and, where the processor has tags, a tag and the order
/// not to flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Space(u64);

/// Space tags that the processor knows; 0 stays the kernel's own.
pub const TAGS: usize = 4096;
const KEEP: u64 = 1 << 63;

impl Space {
    pub const fn untagged(pml4: Phys) -> Space {
        Space(pml4.0)
    }

    pub const fn tagged(pml4: Phys, tag: u16) -> Space {
        Space(pml4.0 | (tag as u64 & 0xfff) | KEEP)
    }

    pub const fn pml4(self) -> Phys {
        Phys(self.0 & 0x000f_ffff_ffff_f000)
    }

    /// # Safety
    /// The PML4 must hold the kernel's upper half and live for as long as it is loaded.
    pub unsafe fn load(self) {
        // SAFETY: the kernel is mapped in the new space as in the old one.
        unsafe { asm!("mov cr3, {}", in(reg) self.0, options(nostack, preserves_flags)) }
    }
}

/// Forgets every user translation of this core, of all tags.
pub fn flush(tagged: bool) {
    if tagged {
        // SAFETY: PCID is on only where INVPCID exists as well; forgetting is always sound.
        unsafe { tlb::flush_pcid(tlb::InvPcidCommand::AllExceptGlobal) }
    } else {
        tlb::flush_all();
    }
}

/// Forgets the translation of one page, of the space that is loaded.
pub fn flush_page(address: u64) {
    // SAFETY: forgetting is always sound.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}
