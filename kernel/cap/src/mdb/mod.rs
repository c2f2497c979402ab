//! The mapping database: which capabilities are copies, descendants and ancestors of which.
//!
//! # Order
//! Slots are ordered by `(tree, base, type, -size, equality..)`, [`crate::slot::Key`]. So copies stand side
//! by side (in any order among themselves), and a capability's descendants follow its copies.
//! Each [`Tree`] of types is a search tree of its own: no query crosses from one to another.
//!
//! # Structure
//! A weak AVL tree (Haeupler, Sen and Tarjan, 2015): a node has a rank, which falls by one or two
//! from a parent to a child; a missing child has rank -1 and a leaf has rank 0. Nodes do not store
//! ranks; each of their two links says whether the rank falls by one or two along it, so that
//! the way up after a change reads the nodes on it and no others. The tree is at most
//! `2 * log2(n)` high (and as low as an AVL tree, 1.44 * log2(n), while nothing is removed), and
//! insertion and removal rotate at most twice and change O(1) ranks, amortised.
//!
//! - Where a child is missing, its link is a *thread* to the neighbour in the order. So neighbours
//!   are one or two loads away, and searching never remembers where it came from.
//! - Each node knows its parent. So a slot is removed without a search, and what is made of a
//!   capability (a copy, a part) is inserted at that capability without one.
//! - Each node knows how far the regions in its subtree reach (`Slot::reach`), which prunes
//!   searches for what covers or meets a range of addresses. Regions nest, so the reach seldom
//!   changes far up, and it is updated upwards only while it does change.
//!
//! All of this lies in 64-byte slots: links and parent are words, with flags in the six bits that
//! are zero in a slot's address; the reach is a page number of 40 bits; a small type-specific number
//! lies above the 53 bits of the size.
//!
//! # Why
//! The paper (ch. 4.5) settled on an AA tree without parents, to keep 64 bytes: there every removal,
//! insertion and neighbour is a search, though the kernel nearly always holds the slot in question or
//! one beside it. Here only questions about addresses search. Measured against that tree and against
//! a linked list: `docs/capabilities.md`.
//!
//! # Costs, in nodes visited, for n capabilities
//! | operation | expected | at most |
//! |---|---|---|
//! | neighbour, has copies, first descendant | 1 or 2 | O(log n) |
//! | insert at a known place, replace, remove | O(1) amortised | O(log n) |
//! | insert anywhere, search by key, range query | O(log n) | O(log n) |
//! | nearest ancestor | O(log n), 1 where it is the neighbour | O(log n) |
//!
//! Nothing recurses, nothing keeps a path, nothing lies outside of the slots but the five roots.

mod balance;
mod check;
pub(crate) mod link;
mod query;

use crate::captype::{CapType, Tree, info};
use crate::slot::{Cap, Reach, SlotRef};
use link::{Link, Side};

pub struct Mdb {
    roots: [Option<SlotRef>; Tree::ALL.len()],
    /// Slots of each type, by its number.
    counts: Counts,
}

/// One for each value of a byte, so that no type's number has to be compared with a length.
type Counts = [u64; 256];

impl Default for Mdb {
    fn default() -> Mdb {
        Mdb::new()
    }
}

impl Mdb {
    pub const fn new() -> Mdb {
        Mdb {
            roots: [None; Tree::ALL.len()],
            counts: [0; 256],
        }
    }

    pub fn len(&self) -> u64 {
        self.counts().iter().sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots of each type, by its number.
    pub fn counts(&self) -> &[u64] {
        self.counts.split_at(CapType::ALL.len()).0
    }

    /// Counts one slot of a type as another's.
    #[cfg(test)]
    pub(crate) fn count_as(&mut self, from: CapType, to: CapType) {
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
    }

    /// The count that a filled slot belongs to.
    #[inline(always)]
    fn count(&mut self, slot: SlotRef) -> &mut u64 {
        &mut self.counts[usize::from(slot.whole() as u8)]
    }

    pub(crate) fn root(&self, tree: Tree) -> Option<SlotRef> {
        self.roots[tree as usize]
    }

    fn set_root(&mut self, tree: Tree, root: Option<SlotRef>) {
        self.roots[tree as usize] = root;
    }

    /// Fills an empty slot and puts it in its place, found from the root.
    pub fn insert(&mut self, new: SlotRef, cap: &Cap) {
        let tree = info(cap.ty).tree;
        new.set(cap, tree.granule_bits());
        match self.root(tree) {
            None => self.first(new),
            Some(root) => {
                let (parent, side) = query::gap_after(root, &cap.key());
                self.attach(new, parent, side);
            }
        }
    }

    /// Fills an empty slot with what has the same key as `copy`, and puts it after that.
    pub fn insert_copy(&mut self, new: SlotRef, cap: &Cap, copy: SlotRef) {
        debug_assert!(cap.key() == copy.key());
        new.set(cap, info(cap.ty).tree.granule_bits());
        let (parent, side) = query::gap_beside(copy, Side::Right);
        self.attach(new, parent, side);
    }

    /// Fills an empty slot and puts it before `next`, or last for `None`, where its key belongs.
    #[inline(always)]
    pub fn insert_before(&mut self, new: SlotRef, cap: &Cap, tree: Tree, next: Option<SlotRef>) {
        debug_assert!(next.is_none_or(|next| cap.key() <= next.key()));
        new.set(cap, tree.granule_bits());
        match next {
            Some(next) => self.attach_before(new, next),
            None => self.insert_last(new, tree),
        }
    }

    #[inline(never)]
    fn attach_before(&mut self, new: SlotRef, next: SlotRef) {
        match next.link(Side::Left).as_child() {
            None => self.attach(new, next, Side::Left),
            Some(child) => self.attach(new, query::outermost(child, Side::Right), Side::Right),
        }
    }

    /// Puts a filled slot behind all others of its tree.
    #[cold]
    fn insert_last(&mut self, new: SlotRef, tree: Tree) {
        match self.root(tree) {
            None => self.first(new),
            Some(root) => self.attach(new, query::outermost(root, Side::Right), Side::Right),
        }
    }

    /// Takes a slot out and empties it. Nothing for an empty one.
    pub fn remove(&mut self, old: SlotRef) {
        if old.is_empty() {
            return;
        }
        let reach = old.own_reach();
        let heir = match old.link(Side::Left).as_child() {
            Some(_) if !old.link(Side::Right).is_thread() => self.next(old),
            _ => None,
        };
        let gap = match heir {
            None => {
                let gap = self.splice(old);
                if let Some((parent, _)) = gap {
                    lower_reach(Some(parent), reach, None);
                }
                gap
            }
            // Both children are there, so the next in order has no left one and can move up.
            Some(heir) => {
                let gap = self.splice(heir);
                lower_reach(gap.map(|(parent, _)| parent), heir.own_reach(), Some(old));
                self.substitute(old, heir);
                heir.set_reach(reach_of(heir));
                lower_reach(heir.parent(), reach, None);
                gap.map(|(parent, side)| (if parent == old { heir } else { parent }, side))
            }
        };
        if let Some((parent, side)) = gap {
            self.sank(parent, side);
        }
        let count = self.count(old);
        *count = count.saturating_sub(1);
        old.clear();
    }

    /// Moves a capability to an empty slot.
    pub fn replace(&mut self, old: SlotRef, new: SlotRef) {
        new.set(&old.cap(), old.info().tree.granule_bits());
        self.substitute(old, new);
        new.set_reach(old.reach());
        old.clear();
    }

    /// The one after it in its tree.
    #[inline]
    pub fn next(&self, slot: SlotRef) -> Option<SlotRef> {
        query::neighbour(slot, Side::Right)
    }

    /// The one before it in its tree.
    #[inline]
    pub fn prev(&self, slot: SlotRef) -> Option<SlotRef> {
        query::neighbour(slot, Side::Left)
    }

    #[cold]
    fn first(&mut self, new: SlotRef) {
        new.set_link(Side::Left, Link::NONE);
        new.set_link(Side::Right, Link::NONE);
        new.set_parent(None);
        self.set_root(new.info().tree, Some(new));
        *self.count(new) += 1;
    }

    /// Makes a filled slot a leaf on the side of `parent` on which that has no child.
    #[inline(always)]
    fn attach(&mut self, new: SlotRef, parent: SlotRef, side: Side) {
        let gap = parent.link(side);
        debug_assert!(gap.is_thread());
        new.set_link(side, gap.short());
        new.set_link(side.other(), Link::thread(parent));
        new.set_parent(Some(parent));
        parent.set_link(side, Link::child(new));
        raise_reach(parent, new.reach());
        if !gap.is_long() {
            // A leaf until now; it rises with its first child.
            let other = parent.link(side.other());
            parent.set_link(side.other(), other.long());
            self.rose(parent);
        }
        *self.count(new) += 1;
    }

    /// Takes a node with at most one child out of the tree; where below its parent that left a
    /// subtree of a lower rank.
    fn splice(&mut self, node: SlotRef) -> Option<(SlotRef, Side)> {
        let side = Side::right_if(node.link(Side::Left).is_thread());
        let below = node.link(side);
        if let Some(child) = below.as_child() {
            // Its sibling is missing, so it is a leaf, and its thread leads back here.
            let across = child.link(side.other());
            let beyond = node.link(side.other()).as_thread();
            child.set_link(side.other(), beyond.like(across));
            child.set_parent(node.parent());
        }
        match node.parent() {
            None => {
                self.set_root(node.info().tree, below.as_child());
                None
            }
            Some(parent) => {
                let side = query::side_of(parent, node);
                let link = match below.as_child() {
                    Some(child) => Link::child(child),
                    None => node.link(side).as_thread(),
                };
                parent.set_link(side, link.like(parent.link(side)));
                Some((parent, side))
            }
        }
    }

    /// Puts `new` where `old` is in the tree.
    fn substitute(&mut self, old: SlotRef, new: SlotRef) {
        for side in [Side::Left, Side::Right] {
            let link = old.link(side);
            new.set_link(side, link);
            if let Some(child) = link.as_child() {
                child.set_parent(Some(new));
                let near = query::outermost(child, side.other());
                let thread = Link::thread(new).like(near.link(side.other()));
                near.set_link(side.other(), thread);
            }
        }
        new.set_parent(old.parent());
        self.set_child(old.parent(), old, new);
    }

    /// Makes `new` the child of `parent` that `old` was, or the root.
    fn set_child(&mut self, parent: Option<SlotRef>, old: SlotRef, new: SlotRef) {
        match parent {
            None => self.set_root(new.info().tree, Some(new)),
            Some(parent) => {
                let side = query::side_of(parent, old);
                parent.set_link(side, Link::child(new).like(parent.link(side)));
            }
        }
    }
}

/// The reach that a node's own region and its children's say it has.
fn reach_of(node: SlotRef) -> Reach {
    let mut reach = node.own_reach();
    for side in [Side::Left, Side::Right] {
        if let Some(child) = node.link(side).as_child() {
            reach = reach.max(child.reach());
        }
    }
    reach
}

/// From `node` up, all reach at least as far as `reach`.
#[inline(always)]
fn raise_reach(node: SlotRef, reach: Reach) {
    let mut at = Some(node);
    while let Some(node) = at
        && !node.reaches(reach)
    {
        node.set_reach(reach);
        at = node.parent();
    }
}

/// From `node` up and below `top`, a region that reached this far no longer counts.
fn lower_reach(node: Option<SlotRef>, gone: Reach, top: Option<SlotRef>) {
    let mut at = node;
    // Who reaches further does not do so because of what is gone, nor does anyone above.
    while let Some(node) = at
        && at != top
        && node.reach() == gone
    {
        let reach = reach_of(node);
        if reach == gone {
            return;
        }
        node.set_reach(reach);
        at = node.parent();
    }
}
