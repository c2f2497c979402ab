//! Capability addresses: an index into the root CNode (L1) and one into a leaf CNode (L2).

/// Where a capability lies in a CSpace: bits 31..8 index the L1 CNode, bits 7..0 the L2 CNode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct CPtr(pub u32);

impl CPtr {
    /// Not a capability: returns from the innermost invocation of the current thread.
    pub const RETURN: Self = Self(u32::MAX);
    /// Not a capability: the component that the current thread runs in ([`crate::op::own`]).
    pub const OWN: Self = Self(u32::MAX - 1);
    /// Never a capability (slot 0 of every CSpace stays empty).
    pub const NULL: Self = Self(0);

    pub const fn new(l1: u32, l2: u8) -> Self {
        Self((l1 << 8) | l2 as u32)
    }
    pub const fn l1(self) -> u32 {
        self.0 >> 8
    }
    pub const fn l2(self) -> u8 {
        self.0 as u8
    }
    /// The address `n` slots on, crossing into the next L2 CNode at its end.
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

/// Bytes in a capability slot.
pub const SLOT_BYTES: usize = 64;
/// Slots in an L2 CNode (16 KiB).
pub const L2_SLOTS: usize = 256;
/// Bytes of an L2 CNode.
pub const L2_BYTES: usize = SLOT_BYTES * L2_SLOTS;
