//! Capability types and rights. Legal retypes, sizes and equality are the table in `cistern-cap`.

/// The type of a capability, as `identify` reports it and `retype` takes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum CapType {
    Null = 0,
    /// Untyped memory.
    Ram = 1,
    /// Memory that can be mapped.
    Frame = 2,
    /// Device or firmware memory: mapped uncached, never retyped to anything but itself.
    DevFrame = 3,
    L1CNode = 4,
    L2CNode = 5,
    Pml4 = 6,
    Pdpt = 7,
    Pd = 8,
    Pt = 9,
    Component = 10,
    Thread = 11,
    Entry = 12,
    Irq = 13,
    IoPorts = 14,
    /// Core control: idle, timer, statistics, making IRQs, shutdown.
    Kernel = 15,
    Console = 16,
    MapFrame = 17,
    MapDevFrame = 18,
    MapPdpt = 19,
    MapPd = 20,
    MapPt = 21,
}

impl CapType {
    pub const ALL: [CapType; 22] = [
        CapType::Null,
        CapType::Ram,
        CapType::Frame,
        CapType::DevFrame,
        CapType::L1CNode,
        CapType::L2CNode,
        CapType::Pml4,
        CapType::Pdpt,
        CapType::Pd,
        CapType::Pt,
        CapType::Component,
        CapType::Thread,
        CapType::Entry,
        CapType::Irq,
        CapType::IoPorts,
        CapType::Kernel,
        CapType::Console,
        CapType::MapFrame,
        CapType::MapDevFrame,
        CapType::MapPdpt,
        CapType::MapPd,
        CapType::MapPt,
    ];

    pub fn from_raw(raw: u64) -> Option<CapType> {
        Self::ALL.get(usize::try_from(raw).ok()?).copied()
    }
}

bitflags::bitflags! {
    /// What a capability allows. A copy has at most its source's.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Rights: u8 {
        const READ = 1;
        const WRITE = 2;
        const EXECUTE = 4;
        /// May be copied into another CSpace.
        const GRANT = 8;
    }
}

bitflags::bitflags! {
    /// How a run of page-table entries is mapped. No `WRITE` together with `EXECUTE`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct MapFlags: u8 {
        const READ = 1;
        const WRITE = 2;
        const EXECUTE = 4;
        /// Uncached; set by the kernel itself for a DevFrame.
        const UNCACHED = 8;
        /// The entry is a large page (2 MiB in a PD, 1 GiB in a PDPT).
        const LARGE = 16;
    }
}
