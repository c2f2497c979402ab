//! Physical addresses and where the kernel sees them.

use abi::layout::PAGE;

/// Where the kernel's image is linked; the image lies at the same address minus this.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// All physical memory, writable and never executable, from here on.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// First PML4 entry that belongs to the kernel: the upper half.
pub const FIRST_KERNEL_ENTRY: usize = 256;
/// The page through which this core's local APIC is reached.
pub const APIC_PAGE: u64 = 0xffff_ffff_c000_0000;
/// The largest address that a program counter can hold in user mode, plus one.
pub const USER_END: u64 = abi::layout::USER_END as u64;

const _: () = assert!(PAGE == 4096);

/// A physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(transparent)]
pub struct Phys(pub u64);

impl Phys {
    /// Its place in the direct map. The pointer is only as good as the address: whoever
    /// dereferences it says why there is memory.
    pub fn pointer<T>(self) -> *mut T {
        DIRECT_MAP.wrapping_add(self.0) as *mut T
    }
}

pub const fn page_down(address: u64) -> u64 {
    address & !(PAGE as u64 - 1)
}

/// The last page boundary where rounding up would overflow.
pub const fn page_up(address: u64) -> u64 {
    page_down(address.saturating_add(PAGE as u64 - 1))
}
