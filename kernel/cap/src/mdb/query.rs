//! Searches: by place in the order, by relation, by address.

use super::Mdb;
use super::link::{Link, Side};
use crate::captype::{Equality, Tree};
use crate::slot::{Key, Reach, SlotRef};
use core::cmp::Ordering;

/// Copies that are looked at one by one before a search from the root is cheaper.
const COPIES_TO_WALK: u32 = 4;

impl Mdb {
    /// The least at or after `key`, in its tree.
    pub fn first_from(&self, key: &Key) -> Option<SlotRef> {
        let (node, side) = descend(self.root(key.tree)?, |node| compare(node, key).is_lt());
        at_or_beyond(node, side, Side::Right)
    }

    /// The least after `key`, in its tree.
    pub fn first_after(&self, key: &Key) -> Option<SlotRef> {
        let (node, side) = gap_after(self.root(key.tree)?, key);
        at_or_beyond(node, side, Side::Right)
    }

    /// The greatest at or before `key`, in its tree.
    pub fn last_upto(&self, key: &Key) -> Option<SlotRef> {
        let (node, side) = gap_after(self.root(key.tree)?, key);
        at_or_beyond(node, side, Side::Left)
    }

    /// Another slot with a capability to the same object.
    pub fn other_copy(&self, slot: SlotRef) -> Option<SlotRef> {
        let same = |other: &SlotRef| other.is_copy_of(&slot);
        self.prev(slot)
            .filter(same)
            .or_else(|| self.next(slot).filter(same))
    }

    /// The first after the slot and its copies.
    #[inline(always)]
    pub fn after_copies(&self, slot: SlotRef) -> Option<SlotRef> {
        let next = self.next(slot)?;
        if next.is_copy_of(&slot) {
            self.after_copy(slot, next)
        } else {
            Some(next)
        }
    }

    /// The same where `copy` is a copy of `slot` and stands behind it.
    #[inline(never)]
    fn after_copy(&self, slot: SlotRef, copy: SlotRef) -> Option<SlotRef> {
        let mut at = copy;
        for _ in 1..COPIES_TO_WALK {
            at = self.next(at)?;
            if !at.is_copy_of(&slot) {
                return Some(at);
            }
        }
        self.first_after(&slot.key())
    }

    /// The first descendant; of what a leaf type holds nothing is one.
    pub fn first_descendant(&self, slot: SlotRef) -> Option<SlotRef> {
        if slot.info().is_leaf() {
            return None;
        }
        let end = slot.end();
        self.after_copies(slot).filter(|found| found.base() < end)
    }

    /// The nearest ancestor: the smallest capability of another object that covers this one's
    /// region. A mapping has none.
    pub fn ancestor(&self, slot: SlotRef) -> Option<SlotRef> {
        if slot.info().is_mapping() {
            return None;
        }
        // Besides ancestors, only copies and siblings of a leaf type cover it and stand before it.
        let key = slot.key();
        let beside = |found: SlotRef| {
            Key {
                eq: key.eq,
                ..found.key()
            } == key
        };
        let mut at = slot;
        for _ in 0..COPIES_TO_WALK {
            at = last_covering_before(at, slot)?;
            if !beside(at) {
                return Some(at);
            }
        }
        let first = self.first_from(&Key { eq: [0; 2], ..key })?;
        last_covering_before(first, slot)
    }

    /// Has a last copy an ancestor? Of a type that is no leaf. Less work than to find it: where a
    /// subtree that stands before `slot` reaches as far, that is enough.
    pub fn is_covered(&self, slot: SlotRef) -> bool {
        let (end, reach) = (slot.end(), slot.own_reach());
        let mut at = slot;
        loop {
            let left = at.link(Side::Left).as_child();
            if left.is_some_and(|node| node.reaches(reach)) {
                return true;
            }
            match up_from(at, Side::Right) {
                Some(before) if before.end() < end => at = before,
                before => return before.is_some(),
            }
        }
    }

    /// The first at or after `slot`, which is in `tree`, that ends after the address `base`.
    #[inline(always)]
    pub fn reaching_from(&self, slot: SlotRef, tree: Tree, base: u64) -> Option<SlotRef> {
        if slot.end() > base {
            Some(slot)
        } else {
            self.reaching_after(slot, base, Reach::new(base >> tree.granule_bits()))
        }
    }

    /// The same where `slot` ends at or before `base`.
    #[inline(never)]
    fn reaching_after(&self, slot: SlotRef, base: u64, reach: Reach) -> Option<SlotRef> {
        let mut at = slot;
        loop {
            if let Some(found) = first_reaching(at.link(Side::Right), base, reach) {
                return Some(found);
            }
            at = up_from(at, Side::Left)?;
            if at.end() > base {
                return Some(at);
            }
        }
    }

    /// The first of its tree that ends after the address `base`. If it begins at or before `base`
    /// it covers that, and else nothing does.
    pub fn first_reaching(&self, tree: Tree, base: u64) -> Option<SlotRef> {
        let reach = Reach::new(base >> tree.granule_bits());
        first_reaching(Link::child(self.root(tree)?), base, reach)
    }
}

/// How the capability in `node` stands to `key`.
#[inline]
fn compare(node: SlotRef, key: &Key) -> Ordering {
    // Bases differ nearly always: nothing else is looked at then.
    node.base().cmp(&key.base).then_with(|| {
        let info = node.info();
        let by_size = info
            .rank
            .cmp(&key.rank)
            .then_with(|| (!node.bytes()).cmp(&key.smaller));
        by_size.then_with(|| match info.equality {
            Equality::Region => [0; 2].cmp(&key.eq),
            Equality::RegionAndData => node.data().cmp(&key.eq),
        })
    })
}

/// Goes down, right of each node that is `before` what is looked for, and says where the way ends.
#[inline]
fn descend(root: SlotRef, before: impl Fn(SlotRef) -> bool) -> (SlotRef, Side) {
    let mut node = root;
    loop {
        let side = Side::right_if(before(node));
        match node.link(side).as_child() {
            Some(child) => node = child,
            None => return (node, side),
        }
    }
}

/// Where a new node with this key goes: after all with the same.
#[inline]
pub(super) fn gap_after(root: SlotRef, key: &Key) -> (SlotRef, Side) {
    descend(root, |node| compare(node, key).is_le())
}

/// Where a new node goes that shall be the next one at `side` of `node`.
#[inline]
pub(super) fn gap_beside(node: SlotRef, side: Side) -> (SlotRef, Side) {
    match node.link(side).as_child() {
        None => (node, side),
        Some(child) => (outermost(child, side.other()), side.other()),
    }
}

/// The neighbour of a gap that is on its side `wanted`.
#[inline]
fn at_or_beyond(node: SlotRef, gap: Side, wanted: Side) -> Option<SlotRef> {
    if gap == wanted {
        node.link(gap).slot()
    } else {
        Some(node)
    }
}

/// The last of a subtree in one direction.
#[inline]
pub(super) fn outermost(node: SlotRef, side: Side) -> SlotRef {
    let mut at = node;
    while let Some(child) = at.link(side).as_child() {
        at = child;
    }
    at
}

#[inline(always)]
pub(super) fn neighbour(node: SlotRef, side: Side) -> Option<SlotRef> {
    let link = node.link(side);
    let near = link.slot()?;
    Some(if link.is_thread() {
        near
    } else {
        outermost(near, side.other())
    })
}

/// On which side of its parent a child is.
#[inline]
pub(super) fn side_of(parent: SlotRef, child: SlotRef) -> Side {
    // A thread to the right leads to what is no descendant, or to nothing.
    Side::right_if(parent.link(Side::Right).leads_to(child))
}

/// The nearest above `node` in the tree that has it at `side` below.
#[inline(always)]
fn up_from(node: SlotRef, side: Side) -> Option<SlotRef> {
    let mut at = node;
    loop {
        let parent = at.parent()?;
        if side_of(parent, at) == side {
            return Some(parent);
        }
        at = parent;
    }
}

/// The first in a subtree that ends after the address `base`, which is in the granule of `reach`.
#[inline]
fn first_reaching(link: Link, base: u64, reach: Reach) -> Option<SlotRef> {
    let reaches = |link: Link| link.as_child().filter(|node| node.reaches(reach));
    let mut at = reaches(link)?;
    loop {
        if let Some(left) = reaches(at.link(Side::Left)) {
            at = left;
        } else if at.end() > base {
            return Some(at);
        } else {
            at = at.link(Side::Right).as_child()?;
        }
    }
}

/// The last before `from` that ends with `slot` or after it, which begins no earlier.
fn last_covering_before(from: SlotRef, slot: SlotRef) -> Option<SlotRef> {
    let (end, reach) = (slot.end(), slot.own_reach());
    let mut at = from;
    loop {
        if let Some(mut node) = at.link(Side::Left).as_child()
            && node.reaches(reach)
        {
            loop {
                match node.link(Side::Right).as_child() {
                    Some(right) if right.reaches(reach) => node = right,
                    _ if node.end() >= end => return Some(node),
                    _ => node = node.link(Side::Left).as_child()?,
                }
            }
        }
        at = up_from(at, Side::Right)?;
        if at.end() >= end {
            return Some(at);
        }
    }
}
