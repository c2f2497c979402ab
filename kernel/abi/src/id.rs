//! Identifiers that travel in registers. Newtypes, so that the compiler keeps them apart.

/// A component's number in its image: its place in the image description, `init` is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct ComponentId(pub u16);

impl ComponentId {
    pub const INIT: Self = Self(0);
    /// Most components one image can hold: receiver sets are one 64-bit word.
    pub const MAX: usize = 64;
}

/// A thread's number in its image. It selects the thread's stack inside every component, so
/// that an invoked component finds a stack without a lock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct ThreadId(pub u16);

impl ThreadId {
    /// Most threads in one image; also the number of stack places in each component.
    pub const MAX: usize = 64;
}

/// A core's number. Each core runs a kernel instance of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct CoreId(pub u16);

/// What the callee learns about who invokes it: set once, when the Entry is made, by whoever
/// holds the callee's Component capability. The caller can neither see nor change it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Badge(pub u64);

impl Badge {
    /// The interface that every component has: [`crate::op::lifecycle`].
    pub const LIFECYCLE: u16 = 0;

    /// `interface` is the number that the interface's IDL file declares (1 and up; 0 is
    /// [`Badge::LIFECYCLE`]).
    pub const fn new(client: ComponentId, interface: u16) -> Self {
        Self((client.0 as u64) | ((interface as u64) << 16))
    }
    pub const fn client(self) -> ComponentId {
        ComponentId(self.0 as u16)
    }
    pub const fn interface(self) -> u16 {
        (self.0 >> 16) as u16
    }
}
