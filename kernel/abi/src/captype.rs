//! Capability types and rights. Legal retypes, sizes and equality are the table in `cistern-cap`; both
//! together make `docs/reference.md`.

macro_rules! types {
    ($(
        #[doc = $about:literal]
        $name:ident = $number:literal [$(($field:literal, $what:literal)),*];
    )*) => {
        /// The type of a capability, as `identify` reports it and `retype` takes it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum CapType { $(#[doc = $about] $name = $number,)* }

        impl CapType {
            pub const ALL: [CapType; [$($number),*].len()] = [$(CapType::$name),*];

            /// One sentence for a person.
            pub const fn about(self) -> &'static str {
                match self { $(CapType::$name => $about,)* }
            }

            /// What a slot with such a capability holds besides type and rights: names and meanings.
            pub const fn fields(self) -> &'static [(&'static str, &'static str)] {
                match self { $(CapType::$name => &[$(($field, $what)),*],)* }
            }
        }
    };
}

types! {
    /// Nothing: an empty slot.
    Null = 0 [];
    /// Untyped memory.
    Ram = 1 [("base", "physical address"), ("bytes", "size")];
    /// Memory that can be mapped.
    Frame = 2 [("base", "physical address"), ("bytes", "size"), ("extra", "how deep it is nested in other frames")];
    /// Device or firmware memory: mapped uncached, never retyped to anything but itself.
    DevFrame = 3 [("base", "physical address"), ("bytes", "size"), ("extra", "how deep it is nested in others")];
    /// The root of a CSpace: slots for L2 CNodes.
    L1CNode = 4 [("base", "physical address"), ("bytes", "size: 64 for each slot")];
    /// 256 slots for capabilities.
    L2CNode = 5 [("base", "physical address"), ("bytes", "size")];
    /// Page table of the highest level: an address space.
    Pml4 = 6 [("base", "physical address"), ("bytes", "size")];
    /// Page table; its entries map 1 GiB each.
    Pdpt = 7 [("base", "physical address"), ("bytes", "size")];
    /// Page table; its entries map 2 MiB each.
    Pd = 8 [("base", "physical address"), ("bytes", "size")];
    /// Page table; its entries map 4 KiB each.
    Pt = 9 [("base", "physical address"), ("bytes", "size")];
    /// A protection domain that threads enter by invocation.
    Component = 10 [("base", "physical address"), ("bytes", "size")];
    /// Registers and an invocation stack.
    Thread = 11 [("base", "physical address"), ("bytes", "size")];
    /// The right to invoke a component; made by MAKE_ENTRY.
    Entry = 12 [("base", "its Component's; not shown"), ("bytes", "its Component's; not shown"), ("word 0", "entry address; not shown"), ("word 1", "badge; not shown")];
    /// An interrupt of a core; made by MAKE_IRQ.
    Irq = 13 [("base", "core"), ("bytes", "1"), ("word 0", "event bit"), ("word 1", "MSI data")];
    /// A range of I/O ports.
    IoPorts = 14 [("base", "first port"), ("bytes", "ports")];
    /// Core control: idle, timer, statistics, making Irqs, shutdown, memory that nobody holds.
    Kernel = 15 [("base", "core"), ("bytes", "1")];
    /// The serial console.
    Console = 16 [("base", "0"), ("bytes", "1")];
    /// A mapping of a Frame; made by MAP.
    MapFrame = 17 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")];
    /// A mapping of a DevFrame; made by MAP.
    MapDevFrame = 18 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")];
    /// A mapping of a Pdpt; made by MAP.
    MapPdpt = 19 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")];
    /// A mapping of a Pd; made by MAP.
    MapPd = 20 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")];
    /// A mapping of a Pt; made by MAP.
    MapPt = 21 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")];
}

impl CapType {
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
