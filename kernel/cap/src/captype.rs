//! The capability types: one table of parents, sizes, equality, movability and mapping types.
//! Every rule elsewhere reads this table; none names a list of types of its own.

use abi::Error;
use abi::captype::CapType;
use abi::cptr::{L2_BYTES, SLOT_BYTES};
use paging::Level;

/// Spaces that capabilities' bases are numbers of. A capability never overlaps one of another
/// tree, and each has its own tree in the database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Tree {
    /// Physical memory and what it was made into.
    Memory = 0,
    /// Mappings, at the address of what is mapped: beside the memory tree, so that searches for
    /// overlapping objects never wade through them.
    Mappings = 1,
    Ports = 2,
    Cores = 3,
    Console = 4,
}

/// Bases and ends are at most this: physical addresses have no more than 52 bits.
pub const MAX_END: u64 = 1 << 52;

impl Tree {
    pub const ALL: [Tree; 5] = [
        Tree::Memory,
        Tree::Mappings,
        Tree::Ports,
        Tree::Cores,
        Tree::Console,
    ];

    /// Regions begin and end at multiples of `1 << granule_bits`.
    #[inline(always)]
    pub fn granule_bits(self) -> u32 {
        // Read from a table: what the compiler makes of comparisons is longer.
        static BITS: [u8; Tree::ALL.len()] = {
            let mut bits = [0; Tree::ALL.len()];
            bits[Tree::Memory as usize] = PAGE.trailing_zeros() as u8;
            bits[Tree::Mappings as usize] = PAGE.trailing_zeros() as u8;
            bits
        };
        u32::from(BITS[self as usize])
    }
}

/// What decides whether two capabilities name the same object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equality {
    /// Type, base and size.
    Region,
    /// Those and both type-specific words.
    RegionAndData,
}

/// How many bytes an object of a type may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Exactly these; `retype` also takes 0 for them.
    Fixed(u64),
    /// Any multiple of the granule from one granule to the limit.
    Multiple { granule: u64, limit: u64 },
}

/// What kind of slots the object itself contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    Nothing,
    /// The whole object is slots.
    Slots,
    /// The first so many slots of the object: capabilities the object itself holds.
    FirstSlots(u16),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct TypeInfo {
    pub tree: Tree,
    /// Order among types at one base: what can be made from a type comes after it.
    pub rank: u8,
    /// Types that `retype` makes it from.
    pub parents: &'static [CapType],
    pub size: Size,
    /// Cleared before the capability exists: user code must not choose what is in it.
    pub zeroed: bool,
    pub equality: Equality,
    pub copyable: bool,
    pub movable: bool,
    pub holds: Holds,
    /// The type of its mappings, where it can be mapped.
    pub mapping: Option<CapType>,
    /// Its level, where it is a page table.
    pub level: Option<Level>,
}

pub const PAGE: u64 = 4096;
/// Slots at the start of a Component's memory in which the kernel keeps what the component is
/// configured with (CSpace, address space, supervisor).
pub const COMPONENT_SLOTS: u16 = 4;
/// Largest L1CNode: 16,384 slots, so four million capabilities.
pub const MAX_L1_BYTES: u64 = 1 << 20;
/// Most bytes one `retype` clears, in pieces of [`crate::clear::PIECE`].
pub const MAX_ZEROED: u64 = 1 << 20;
/// Frames nest this deep at most, which bounds the search from a page-table entry to its mapping.
pub const MAX_NESTING: u16 = 8;

const ANY: Size = Size::Multiple {
    granule: PAGE,
    limit: MAX_END,
};
const ONE: Size = Size::Fixed(1);

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

/// The table, in the order of [`CapType::ALL`].
static TABLE: [TypeInfo; CapType::ALL.len()] = [
    // Null
    TypeInfo {
        copyable: false,
        movable: false,
        ..BASE
    },
    // Ram
    TypeInfo {
        rank: 1,
        parents: &[CapType::Ram],
        ..BASE
    },
    // Frame
    TypeInfo {
        rank: 2,
        parents: &[CapType::Ram, CapType::Frame],
        mapping: Some(CapType::MapFrame),
        ..BASE
    },
    // DevFrame
    TypeInfo {
        rank: 3,
        parents: &[CapType::DevFrame],
        mapping: Some(CapType::MapDevFrame),
        ..BASE
    },
    // L1CNode
    TypeInfo {
        rank: 4,
        parents: &[CapType::Ram],
        size: Size::Multiple {
            granule: PAGE,
            limit: MAX_L1_BYTES,
        },
        zeroed: true,
        holds: Holds::Slots,
        ..BASE
    },
    // L2CNode
    TypeInfo {
        rank: 5,
        parents: &[CapType::Ram],
        size: Size::Fixed(L2_BYTES as u64),
        zeroed: true,
        holds: Holds::Slots,
        ..BASE
    },
    table(Level::Pml4, 6, None),
    table(Level::Pdpt, 7, Some(CapType::MapPdpt)),
    table(Level::Pd, 8, Some(CapType::MapPd)),
    table(Level::Pt, 9, Some(CapType::MapPt)),
    // Component
    TypeInfo {
        rank: 10,
        parents: &[CapType::Ram],
        size: Size::Fixed(PAGE),
        zeroed: true,
        holds: Holds::FirstSlots(COMPONENT_SLOTS),
        ..BASE
    },
    // Thread
    TypeInfo {
        rank: 11,
        parents: &[CapType::Ram],
        size: Size::Fixed(PAGE),
        zeroed: true,
        ..BASE
    },
    // Entry: base and size are its Component's, so it is a descendant of that.
    TypeInfo {
        rank: 12,
        size: Size::Fixed(PAGE),
        equality: Equality::RegionAndData,
        ..BASE
    },
    // Irq: base is the core's number, so it is a descendant of that Kernel capability.
    TypeInfo {
        tree: Tree::Cores,
        rank: 14,
        size: ONE,
        equality: Equality::RegionAndData,
        ..BASE
    },
    // IoPorts
    TypeInfo {
        tree: Tree::Ports,
        rank: 1,
        parents: &[CapType::IoPorts],
        size: Size::Multiple {
            granule: 1,
            limit: 1 << 16,
        },
        ..BASE
    },
    // Kernel
    TypeInfo {
        tree: Tree::Cores,
        rank: 13,
        size: ONE,
        ..BASE
    },
    // Console
    TypeInfo {
        tree: Tree::Console,
        rank: 1,
        size: ONE,
        ..BASE
    },
    mapping(1),
    mapping(2),
    mapping(3),
    mapping(4),
    mapping(5),
];

/// The line of a type.
#[inline]
pub fn info(ty: CapType) -> &'static TypeInfo {
    // The table has a line for every value of the enum, so this is never the fallback.
    TABLE.get(ty as usize).unwrap_or(&BASE)
}

/// By type, a bit for each parent: what [`TypeInfo::parents`] lists, found without a search.
static PARENTS: [u32; CapType::ALL.len()] = parent_bits();
const _: () = assert!(CapType::ALL.len() <= u32::BITS as usize);

const fn parent_bits() -> [u32; CapType::ALL.len()] {
    let mut bits = [0; CapType::ALL.len()];
    let mut child = 0;
    while child < bits.len() {
        let parents = TABLE[child].parents;
        let mut n = 0;
        while n < parents.len() {
            bits[child] |= 1 << parents[n] as u32;
            n += 1;
        }
        child += 1;
    }
    bits
}

/// Does `retype` make a `child` from a `parent`?
#[inline(always)]
pub fn is_made_from(child: CapType, parent: CapType) -> bool {
    let parents = PARENTS.get(child as usize).copied().unwrap_or(0);
    parents & 1 << parent as u32 != 0
}

/// The types that mappings can have.
pub const MAPPINGS: [CapType; 5] = [
    CapType::MapFrame,
    CapType::MapDevFrame,
    CapType::MapPdpt,
    CapType::MapPd,
    CapType::MapPt,
];

impl TypeInfo {
    pub fn is_mapping(&self) -> bool {
        matches!(self.tree, Tree::Mappings)
    }

    /// Can its memory be reached through page tables with more than a read?
    pub fn is_frame(&self) -> bool {
        self.mapping.is_some() && self.level.is_none()
    }

    /// Is it RAM, or made of it?
    pub fn is_memory(&self) -> bool {
        self.parents.first() == Some(&CapType::Ram)
    }

    /// The size of one object when `asked` is what the caller wants.
    ///
    /// Errors: `BadSize`.
    pub fn object_bytes(&self, asked: u64) -> Result<u64, Error> {
        match self.size {
            Size::Fixed(bytes) if asked == bytes || asked == 0 => Ok(bytes),
            Size::Multiple { granule, limit }
                // Zero wraps around to more than any limit.
                if asked.wrapping_sub(1) < limit && asked & (granule - 1) == 0 =>
            {
                Ok(asked)
            }
            _ => Err(Error::BadSize),
        }
    }

    /// What its base must be a multiple of.
    pub fn alignment(&self) -> u64 {
        1 << self.tree.granule_bits()
    }

    /// Slots inside an object of `bytes`.
    pub fn slots(&self, bytes: u64) -> u32 {
        match self.holds {
            Holds::Nothing => 0,
            Holds::Slots => u32::try_from(bytes / SLOT_BYTES as u64).unwrap_or(u32::MAX),
            Holds::FirstSlots(count) => u32::from(count),
        }
    }

    /// Can nothing come from it? Several such objects share one region: what follows one of them in
    /// the database is its sibling.
    pub fn is_leaf(&self) -> bool {
        self.equality == Equality::RegionAndData
    }

    /// Can its last copy go at once, with nothing else to take apart?
    pub fn is_simple(&self) -> bool {
        self.holds == Holds::Nothing && self.mapping.is_none() && self.level.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_where_their_types_number_says() {
        assert_eq!(info(CapType::Null).rank, 0);
        assert_eq!(info(CapType::L1CNode).holds, Holds::Slots);
        assert_eq!(info(CapType::Pml4).level, Some(Level::Pml4));
        assert_eq!(info(CapType::Pt).level, Some(Level::Pt));
        assert_eq!(info(CapType::Thread).rank, 11);
        assert_eq!(info(CapType::IoPorts).tree, Tree::Ports);
        assert_eq!(info(CapType::Console).tree, Tree::Console);
        assert!(MAPPINGS.iter().all(|ty| info(*ty).is_mapping()));
        assert_eq!(
            CapType::ALL
                .iter()
                .filter(|ty| info(**ty).is_mapping())
                .count(),
            MAPPINGS.len()
        );
    }

    #[test]
    fn parents_come_before_children() {
        for child in CapType::ALL {
            for parent in info(child).parents {
                assert_eq!(info(*parent).tree, info(child).tree);
                assert!(info(*parent).rank <= info(child).rank);
            }
        }
    }

    #[test]
    fn parents_are_those_of_the_table() {
        for child in CapType::ALL {
            for parent in CapType::ALL {
                let listed = info(child).parents.contains(&parent);
                assert_eq!(is_made_from(child, parent), listed);
            }
        }
    }

    #[test]
    fn ranks_are_distinct_inside_a_tree() {
        for a in CapType::ALL {
            for b in CapType::ALL {
                if a != b && info(a).tree == info(b).tree {
                    assert_ne!(info(a).rank, info(b).rank, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_mappable_holds_no_slots() {
        for ty in CapType::ALL {
            if info(ty).mapping.is_some() {
                assert_eq!(info(ty).holds, Holds::Nothing);
            }
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(info(CapType::L2CNode).object_bytes(0), Ok(16384));
        assert_eq!(
            info(CapType::L2CNode).object_bytes(4096),
            Err(Error::BadSize)
        );
        assert_eq!(info(CapType::Ram).object_bytes(0), Err(Error::BadSize));
        assert_eq!(info(CapType::Ram).object_bytes(4097), Err(Error::BadSize));
        assert_eq!(info(CapType::IoPorts).object_bytes(3), Ok(3));
        assert_eq!(
            info(CapType::L1CNode).object_bytes(2 << 20),
            Err(Error::BadSize)
        );
        assert_eq!(info(CapType::L1CNode).slots(4096), 64);
        assert_eq!(info(CapType::Component).slots(4096), 4);
    }
}
