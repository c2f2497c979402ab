//! What the database was before: an AA tree without parents, as the paper settled on. Each change
//! walks down from the root and keeps the way, each neighbour is a search.
//!
//! It compares bases before anything else, as the database that replaced it does.

use super::Design;
use cap::Cap;
use cap::slot::Key;
use std::cell::Cell;

/// An AA tree of n nodes is at most `2 * log2(n + 1)` high.
const MAX_HEIGHT: usize = 96;

type SlotRef = &'static Slot;
type Link = Option<SlotRef>;

#[repr(align(64))]
pub struct Slot {
    base: Cell<u64>,
    bytes: Cell<u64>,
    rest: Cell<[u64; 2]>,
    left: Cell<Link>,
    right: Cell<Link>,
    /// Largest end in the subtree.
    max_end: Cell<u64>,
    head: Cell<(abi::captype::CapType, abi::Rights)>,
    /// 0 outside of the tree.
    level: Cell<u8>,
    extra: Cell<u16>,
}

const _: () = assert!(size_of::<Slot>() == 64);

impl Slot {
    fn empty() -> Slot {
        Slot {
            base: Cell::new(0),
            bytes: Cell::new(0),
            rest: Cell::new([0; 2]),
            left: Cell::new(None),
            right: Cell::new(None),
            max_end: Cell::new(0),
            head: Cell::new((abi::captype::CapType::Null, abi::Rights::empty())),
            level: Cell::new(0),
            extra: Cell::new(0),
        }
    }

    fn set(&self, cap: &Cap) {
        self.base.set(cap.base);
        self.bytes.set(cap.bytes);
        self.rest.set(cap.data);
        self.head.set((cap.ty, cap.rights));
        self.extra.set(cap.extra);
    }

    fn end(&self) -> u64 {
        self.base.get().saturating_add(self.bytes.get())
    }

    fn place(&self) -> Place {
        let (ty, rights) = self.head.get();
        let cap = Cap {
            ty,
            rights,
            base: self.base.get(),
            bytes: self.bytes.get(),
            data: self.rest.get(),
            extra: self.extra.get(),
        };
        Place {
            base: cap.base,
            key: cap.key(),
            address: std::ptr::from_ref(self).addr(),
        }
    }

    fn is_before(&self, place: &Place) -> bool {
        let base = self.base.get();
        base < place.base || (base == place.base && self.place() < *place)
    }
}

/// A place in the order: copies are told apart by their address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    base: u64,
    key: Key,
    address: usize,
}

#[derive(Default)]
struct Tree {
    root: Link,
}

/// The way from the root to a node: each node on it, and whether the way goes on to its right.
struct Path {
    steps: [Option<(SlotRef, bool)>; MAX_HEIGHT],
    len: usize,
}

impl Path {
    const fn new() -> Path {
        Path {
            steps: [None; MAX_HEIGHT],
            len: 0,
        }
    }

    /// There is always room: see [`MAX_HEIGHT`].
    fn push(&mut self, node: SlotRef, right: bool) {
        if let Some(step) = self.steps.get_mut(self.len) {
            *step = Some((node, right));
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<(SlotRef, bool)> {
        self.len = self.len.checked_sub(1)?;
        *self.steps.get(self.len)?
    }
}

impl Tree {
    /// Puts a filled slot, which is not in the tree, in its place.
    fn insert(&mut self, new: SlotRef) {
        let place = new.place();
        let mut path = Path::new();
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.is_before(&place);
            path.push(node, right);
            at = child(node, right);
        }
        new.left.set(None);
        new.right.set(None);
        new.level.set(1);
        new.max_end.set(new.end());
        let mut below = Some(new);
        while let Some((node, right)) = path.pop() {
            set_child(node, right, below);
            update_end(node);
            below = Some(split(skew(node)));
        }
        self.root = below;
    }

    /// Takes a slot out. Its capability is still in it and may be changed afterwards.
    fn remove(&mut self, old: SlotRef) {
        let place = old.place();
        let mut path = Path::new();
        let mut at = self.root;
        loop {
            let Some(node) = at else { return };
            if std::ptr::eq(node, old) {
                break;
            }
            let right = node.is_before(&place);
            path.push(node, right);
            at = child(node, right);
        }
        let mut below = match old.left.get() {
            // Level 1: at most a leaf on its right.
            None => old.right.get(),
            // The predecessor, a leaf, takes its place.
            Some(left) => {
                let place = path.len;
                path.push(old, false);
                let mut heir = left;
                while let Some(right) = heir.right.get() {
                    path.push(heir, true);
                    heir = right;
                }
                let orphan = heir.left.get();
                heir.level.set(old.level.get());
                heir.right.set(old.right.get());
                // If the heir is the left child itself, the way back sets this again.
                heir.left.set(old.left.get());
                if let Some(step) = path.steps.get_mut(place) {
                    *step = Some((heir, false));
                }
                orphan
            }
        };
        while let Some((node, right)) = path.pop() {
            set_child(node, right, below);
            below = Some(rebalance(node));
        }
        self.root = below;
        old.left.set(None);
        old.right.set(None);
        old.level.set(0);
    }

    /// The least after `key`.
    fn first_after(&self, key: &Place) -> Link {
        let mut best = None;
        let mut at = self.root;
        while let Some(node) = at {
            let right = !key_is_before(key, node);
            if !right {
                best = Some(node);
            }
            at = child(node, right);
        }
        best
    }

    /// The greatest before `key`.
    fn last_before(&self, key: &Place) -> Link {
        let mut best = None;
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.is_before(key);
            if right {
                best = Some(node);
            }
            at = child(node, right);
        }
        best
    }

    /// The least at or after `key` whose end lies after `place`: with the ends of whole subtrees
    /// known, every subtree that ends too early is passed over.
    fn first_ending_after(&self, key: &Place, place: u64) -> Link {
        let reaches = |link: Link| link.filter(|node| node.max_end.get() > place);
        let mut path = Path::new();
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.is_before(key);
            if !right {
                path.push(node, false);
            }
            at = child(node, right);
        }
        // Now the nodes at or after `key` on the way, least on top; between one and the next lies
        // the former's right subtree.
        while let Some((node, _)) = path.pop() {
            if node.end() > place {
                return Some(node);
            }
            let mut at = reaches(node.right.get());
            while let Some(inner) = at {
                let left = reaches(inner.left.get());
                if left.is_some() {
                    at = left;
                } else if inner.end() > place {
                    return Some(inner);
                } else {
                    at = reaches(inner.right.get());
                }
            }
        }
        None
    }
}

fn child(node: SlotRef, right: bool) -> Link {
    if right {
        node.right.get()
    } else {
        node.left.get()
    }
}

fn set_child(node: SlotRef, right: bool, to: Link) {
    if right {
        node.right.set(to);
    } else {
        node.left.set(to);
    }
}

fn level(link: Link) -> u8 {
    link.map_or(0, |node| node.level.get())
}

fn update_end(node: SlotRef) {
    let below = |link: Link| link.map_or(0, |child| child.max_end.get());
    let end = node
        .end()
        .max(below(node.left.get()))
        .max(below(node.right.get()));
    node.max_end.set(end);
}

/// Turns a left child of the same level into the parent.
fn skew(node: SlotRef) -> SlotRef {
    match node.left.get() {
        Some(left) if left.level.get() == node.level.get() => {
            node.left.set(left.right.get());
            left.right.set(Some(node));
            update_end(node);
            update_end(left);
            left
        }
        _ => node,
    }
}

/// Breaks a run of three nodes of one level: the middle one goes up.
fn split(node: SlotRef) -> SlotRef {
    let Some(right) = node.right.get() else {
        return node;
    };
    if level(right.right.get()) != node.level.get() {
        return node;
    }
    node.right.set(right.left.get());
    right.left.set(Some(node));
    right.level.set(right.level.get().saturating_add(1));
    update_end(node);
    update_end(right);
    right
}

/// Restores the rules of levels at a node below which something was removed.
fn rebalance(node: SlotRef) -> SlotRef {
    let most = level(node.left.get()).min(level(node.right.get())) + 1;
    if most < node.level.get() {
        node.level.set(most);
        if let Some(right) = node.right.get()
            && most < right.level.get()
        {
            right.level.set(most);
        }
    }
    update_end(node);
    let top = skew(node);
    if let Some(right) = top.right.get() {
        let right = skew(right);
        top.right.set(Some(right));
        if let Some(far) = right.right.get() {
            right.right.set(Some(skew(far)));
            update_end(right);
        }
        update_end(top);
    }
    let top = split(top);
    if let Some(right) = top.right.get() {
        top.right.set(Some(split(right)));
        update_end(top);
    }
    top
}

/// Is the key before the node's?
fn key_is_before(key: &Place, node: SlotRef) -> bool {
    let base = node.base.get();
    key.base < base || (key.base == base && *key < node.place())
}

pub struct AaTree {
    slots: &'static [Slot],
    tree: Tree,
}

impl Design for AaTree {
    const NAME: &'static str = "AA tree";
    type Slot = SlotRef;

    fn with_room(slots: usize) -> AaTree {
        let slots: Vec<Slot> = (0..slots).map(|_| Slot::empty()).collect();
        AaTree {
            slots: slots.leak(),
            tree: Tree::default(),
        }
    }

    fn slot(&self, n: usize) -> SlotRef {
        &self.slots[n]
    }

    fn insert(&mut self, slot: SlotRef, cap: &Cap) {
        slot.set(cap);
        self.tree.insert(slot);
    }

    /// Knowing a copy does not help.
    fn insert_copy(&mut self, slot: SlotRef, cap: &Cap, _: SlotRef) {
        self.insert(slot, cap);
    }

    fn remove(&mut self, slot: SlotRef) {
        self.tree.remove(slot);
        slot.set(&Cap::NULL);
    }

    fn next(&self, slot: SlotRef) -> Link {
        self.tree.first_after(&slot.place())
    }

    fn has_copies(&self, slot: SlotRef) -> bool {
        let place = slot.place();
        let same = |other: SlotRef| other.place().key == place.key;
        self.tree.last_before(&place).is_some_and(same)
            || self.tree.first_after(&place).is_some_and(same)
    }

    fn has_ancestors(&self, slot: SlotRef) -> bool {
        // What covers it begins before it, or is larger. The first that reaches it is the largest.
        let first = Place {
            base: 0,
            key: Key::at(cap::captype::Tree::Memory, 0),
            address: 0,
        };
        let place = slot.place();
        self.tree
            .first_ending_after(&first, place.base)
            .is_some_and(|found| found.place().key != place.key)
    }

    fn has_descendants(&self, slot: SlotRef) -> bool {
        let after = Place {
            address: usize::MAX,
            ..slot.place()
        };
        self.tree
            .first_after(&after)
            .is_some_and(|found| found.base.get() < slot.end())
    }

    fn meets(&self, base: u64, bytes: u64) -> bool {
        let first = Place {
            base: 0,
            key: Key::at(cap::captype::Tree::Memory, 0),
            address: 0,
        };
        self.tree
            .first_ending_after(&first, base)
            .is_some_and(|found| found.base.get() < base + bytes)
    }
}
