//! Capability types and rights: the one table that says of each type what a slot of it holds, where
//! it comes from, how large it is, what makes two of them the same object, and whether it is copied,
//! moved and mapped. The operations of each are [`crate::op::INTERFACES`]. All code that asks such a
//! question reads these, and `docs/reference.md` is made of them.

use crate::cptr::L2_BYTES;
use crate::level::Level;
use crate::typeinfo::{Equality, Holds, MAX_END, PAGE, Size, Tree, TypeInfo};

macro_rules! types {
    ($(
        #[doc = $about:literal]
        $name:ident = $number:literal [$(($field:literal, $what:literal)),*] $info:expr;
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

        /// The rules of all types, in the order of [`CapType::ALL`].
        pub const RULES: [TypeInfo; CapType::ALL.len()] = [$($info),*];

        const _: () = {
            // Numbers are places in the lists.
            let mut at = 0;
            $(assert!(CapType::$name as usize == at); at += 1;)*
            assert!(at == RULES.len());
        };
    };
}

/// Slots at the start of a Component's memory in which the kernel keeps what the component is
/// configured with (CSpace, address space, supervisor).
pub const COMPONENT_SLOTS: u16 = 4;
/// Largest L1CNode: 16,384 slots, so four million capabilities.
pub const MAX_L1_BYTES: u64 = 1 << 20;

const ANY: Size = Size::Multiple {
    granule: PAGE,
    limit: MAX_END,
};
const ONE: Size = Size::Fixed(1);

/// What most types have in common; `Null` has no more.
const BASE: TypeInfo = TypeInfo {
    tree: Tree::Memory,
    rank: 0,
    parents: &[],
    size: ANY,
    zeroed: false,
    equality: Equality::Region,
    copyable: true,
    movable: true,
    holds: Holds::Nothing,
    mapping: None,
    level: None,
};

const fn table(level: Level, rank: u8, mapping: Option<CapType>) -> TypeInfo {
    TypeInfo {
        rank,
        parents: &[CapType::Ram],
        size: Size::Fixed(PAGE),
        zeroed: true,
        mapping,
        level: Some(level),
        ..BASE
    }
}

const fn mapping(rank: u8) -> TypeInfo {
    TypeInfo {
        tree: Tree::Mappings,
        rank,
        equality: Equality::RegionAndData,
        copyable: false,
        ..BASE
    }
}

types! {
    /// Nothing: an empty slot.
    Null = 0 [] TypeInfo {
        copyable: false,
        movable: false,
        ..BASE
    };
    /// Untyped memory.
    Ram = 1 [("base", "physical address"), ("bytes", "size")] TypeInfo {
        rank: 1,
        parents: &[CapType::Ram],
        ..BASE
    };
    /// Memory that can be mapped.
    Frame = 2 [("base", "physical address"), ("bytes", "size"), ("extra", "how deep it is nested in other frames")] TypeInfo {
        rank: 2,
        parents: &[CapType::Ram, CapType::Frame],
        mapping: Some(CapType::MapFrame),
        ..BASE
    };
    /// Device or firmware memory: mapped uncached, never retyped to anything but itself.
    DevFrame = 3 [("base", "physical address"), ("bytes", "size"), ("extra", "how deep it is nested in others")] TypeInfo {
        rank: 3,
        parents: &[CapType::DevFrame],
        mapping: Some(CapType::MapDevFrame),
        ..BASE
    };
    /// The root of a CSpace: slots for L2 CNodes.
    L1CNode = 4 [("base", "physical address"), ("bytes", "size: 64 for each slot")] TypeInfo {
        rank: 4,
        parents: &[CapType::Ram],
        size: Size::Multiple {
            granule: PAGE,
            limit: MAX_L1_BYTES,
        },
        zeroed: true,
        holds: Holds::Slots,
        ..BASE
    };
    /// 256 slots for capabilities.
    L2CNode = 5 [("base", "physical address"), ("bytes", "size")] TypeInfo {
        rank: 5,
        parents: &[CapType::Ram],
        size: Size::Fixed(L2_BYTES as u64),
        zeroed: true,
        holds: Holds::Slots,
        ..BASE
    };
    /// Page table of the highest level: an address space.
    Pml4 = 6 [("base", "physical address"), ("bytes", "size")] table(Level::Pml4, 6, None);
    /// Page table; its entries map 1 GiB each.
    Pdpt = 7 [("base", "physical address"), ("bytes", "size")] table(Level::Pdpt, 7, Some(CapType::MapPdpt));
    /// Page table; its entries map 2 MiB each.
    Pd = 8 [("base", "physical address"), ("bytes", "size")] table(Level::Pd, 8, Some(CapType::MapPd));
    /// Page table; its entries map 4 KiB each.
    Pt = 9 [("base", "physical address"), ("bytes", "size")] table(Level::Pt, 9, Some(CapType::MapPt));
    /// A protection domain that threads enter by invocation.
    Component = 10 [("base", "physical address"), ("bytes", "size")] TypeInfo {
        rank: 10,
        parents: &[CapType::Ram],
        size: Size::Fixed(PAGE),
        zeroed: true,
        holds: Holds::FirstSlots(COMPONENT_SLOTS),
        ..BASE
    };
    /// Registers and an invocation stack.
    Thread = 11 [("base", "physical address"), ("bytes", "size")] TypeInfo {
        rank: 11,
        parents: &[CapType::Ram],
        size: Size::Fixed(PAGE),
        zeroed: true,
        ..BASE
    };
    /// The right to invoke a component; made by MAKE_ENTRY.
    // Base and size are its Component's, so it is a descendant of that.
    Entry = 12 [("base", "its Component's; not shown"), ("bytes", "its Component's; not shown"), ("word 0", "entry address; not shown"), ("word 1", "badge; not shown")] TypeInfo {
        rank: 12,
        size: Size::Fixed(PAGE),
        equality: Equality::RegionAndData,
        ..BASE
    };
    /// An interrupt of a core; made by MAKE_IRQ.
    // Base is the core's number, so it is a descendant of that Kernel capability.
    Irq = 13 [("base", "core"), ("bytes", "1"), ("word 0", "event bit"), ("word 1", "MSI data")] TypeInfo {
        tree: Tree::Cores,
        rank: 14,
        size: ONE,
        equality: Equality::RegionAndData,
        ..BASE
    };
    /// A range of I/O ports.
    IoPorts = 14 [("base", "first port"), ("bytes", "ports")] TypeInfo {
        tree: Tree::Ports,
        rank: 1,
        parents: &[CapType::IoPorts],
        size: Size::Multiple {
            granule: 1,
            limit: 1 << 16,
        },
        ..BASE
    };
    /// Core control: idle, timer, statistics, making Irqs, shutdown, memory that nobody holds.
    Kernel = 15 [("base", "core"), ("bytes", "1")] TypeInfo {
        tree: Tree::Cores,
        rank: 13,
        size: ONE,
        ..BASE
    };
    /// The serial console.
    Console = 16 [("base", "0"), ("bytes", "1")] TypeInfo {
        tree: Tree::Console,
        rank: 1,
        size: ONE,
        ..BASE
    };
    /// A mapping of a Frame; made by MAP.
    MapFrame = 17 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")] mapping(1);
    /// A mapping of a DevFrame; made by MAP.
    MapDevFrame = 18 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")] mapping(2);
    /// A mapping of a Pdpt; made by MAP.
    MapPdpt = 19 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")] mapping(3);
    /// A mapping of a Pd; made by MAP.
    MapPd = 20 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")] mapping(4);
    /// A mapping of a Pt; made by MAP.
    MapPt = 21 [("base", "the object's"), ("bytes", "the object's"), ("word 0", "address of the table, its level, the first entry"), ("word 1", "offset in the object"), ("extra", "entries"), ("rights", "what the object's capability allowed")] mapping(5);
}

const fn count_mappings() -> usize {
    let (mut count, mut at) = (0, 0);
    while at < RULES.len() {
        count += RULES[at].is_mapping() as usize;
        at += 1;
    }
    count
}

/// The types that mappings can have.
pub const MAPPINGS: [CapType; count_mappings()] = {
    let mut found = [CapType::Null; count_mappings()];
    let (mut count, mut at) = (0, 0);
    while at < RULES.len() {
        if RULES[at].is_mapping() {
            found[count] = CapType::ALL[at];
            count += 1;
        }
        at += 1;
    }
    found
};

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
