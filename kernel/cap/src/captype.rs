//! The rules of the capability types, as [`abi::captype`] states them, in the shape that the code
//! asks for. Every rule elsewhere reads these; none names a list of types of its own.

use abi::captype::RULES;

pub use abi::captype::{CapType, MAPPINGS};
pub use abi::typeinfo::{Equality, Holds, MAX_END, PAGE, Size, Tree, TypeInfo};

/// Most bytes one `retype` clears, in pieces of [`crate::clear::PIECE`].
pub const MAX_ZEROED: u64 = 1 << 20;
/// Frames nest this deep at most, which bounds the search from a page-table entry to its mapping.
pub const MAX_NESTING: u16 = 8;

static TABLE: [TypeInfo; RULES.len()] = RULES;
/// For what has no line.
static NOTHING: TypeInfo = RULES[CapType::Null as usize];

/// The line of a type.
#[inline]
pub fn info(ty: CapType) -> &'static TypeInfo {
    // The table has a line for every value of the enum, so this is never the fallback.
    TABLE.get(ty as usize).unwrap_or(&NOTHING)
}

/// By type, a bit for each parent: what [`TypeInfo::parents`] lists, found without a search.
static PARENTS: [u32; RULES.len()] = parent_bits();
const _: () = assert!(CapType::ALL.len() <= u32::BITS as usize);

const fn parent_bits() -> [u32; RULES.len()] {
    let mut bits = [0; CapType::ALL.len()];
    let mut child = 0;
    while child < bits.len() {
        let parents = RULES[child].parents;
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

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Error;

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
