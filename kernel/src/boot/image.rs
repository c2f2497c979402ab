//! Where the kernel's image lies, and what each of its pages allows.

use super::regions::Region;
use super::tables::bits;
use crate::memory::KERNEL_BASE;

// SAFETY: the linker script defines them; only their addresses are used.
unsafe extern "C" {
    static text_start: u8;
    static text_end: u8;
    static rodata_end: u8;
    static image_end: u8;
    static boot_stack_guard: u8;
    static boot_stack_top: u8;
}

/// The 32-bit entry comes first, below what is linked high.
const START: u64 = 0x10_0000;

fn physical(symbol: *const u8) -> u64 {
    (symbol as u64).wrapping_sub(KERNEL_BASE)
}

/// The whole image in physical memory.
pub fn range() -> Region {
    Region {
        start: START,
        end: physical(&raw const image_end),
    }
}

/// Top of the boot stack, which becomes core 0's kernel stack.
pub fn stack_top() -> u64 {
    (&raw const boot_stack_top) as u64
}

/// The page below the boot stack, which stays unmapped where the image is linked: a stack that
/// overflows ends in a double fault and not in other data.
pub fn stack_guard() -> u64 {
    physical(&raw const boot_stack_guard)
}

/// Page-table bits of the page at physical `address`: text may be executed where it is `linked`,
/// text and constants may be written nowhere, all else is data. Only the text that boot has
/// finished with (below `text_start`) is plain constant.
pub fn rights(address: u64, linked: bool) -> u64 {
    let start = physical(&raw const text_start);
    let text = (start..physical(&raw const text_end)).contains(&address);
    let constant = (START..physical(&raw const rodata_end)).contains(&address);
    bits(!constant, text && linked)
}
