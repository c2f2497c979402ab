//! What one line of the table of types ([`crate::captype`]) says, and what follows from it.

use crate::Error;
use crate::captype::CapType;
use crate::cptr::SLOT_BYTES;
use crate::level::Level;

/// Bytes of the smallest page; regions of memory begin and end at multiples of it.
pub const PAGE: u64 = 4096;

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

impl TypeInfo {
    pub const fn is_mapping(&self) -> bool {
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
}
