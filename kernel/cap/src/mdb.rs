//! The mapping database: an AA tree threaded through the slots, ordered by [`Key`] and augmented
//! with the largest end in each subtree.
//!
//! No node knows its parent (that word is worth more in the slot), so each change walks down from
//! the root and keeps the way in a [`Path`] of fixed size; nothing here recurses. Each operation is
//! O(log n).

use crate::slot::{Key, SlotRef};

/// An AA tree of n nodes is at most `2 * log2(n + 1)` high, and 2^52 bytes of physical memory have
/// fewer than 2^46 slots.
const MAX_HEIGHT: usize = 96;

/// A subtree.
type Link = Option<SlotRef>;

pub struct Mdb {
    root: Link,
    len: u64,
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

impl Mdb {
    pub const fn new() -> Mdb {
        Mdb { root: None, len: 0 }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[cfg(test)]
    pub(crate) fn root(&self) -> Link {
        self.root
    }

    /// Puts a filled slot, which is not in the tree, in its place.
    pub fn insert(&mut self, new: SlotRef) {
        let key = new.key();
        let mut path = Path::new();
        let mut at = self.root;
        while let Some(node) = at {
            let right = key > node.key();
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
        self.len += 1;
    }

    /// Takes a slot out. Its capability is still in it and may be changed afterwards.
    pub fn remove(&mut self, old: SlotRef) {
        let key = old.key();
        let mut path = Path::new();
        let mut at = self.root;
        loop {
            let Some(node) = at else { return };
            if node == old {
                break;
            }
            let right = key > node.key();
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
        self.len = self.len.saturating_sub(1);
        old.left.set(None);
        old.right.set(None);
        old.level.set(0);
    }

    /// The least at or after `key`.
    pub fn first_from(&self, key: &Key) -> Link {
        let mut best = None;
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.key() < *key;
            if !right {
                best = Some(node);
            }
            at = child(node, right);
        }
        best
    }

    /// The least after `key`.
    pub fn first_after(&self, key: &Key) -> Link {
        let mut best = None;
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.key() <= *key;
            if !right {
                best = Some(node);
            }
            at = child(node, right);
        }
        best
    }

    /// The greatest before `key`.
    pub fn last_before(&self, key: &Key) -> Link {
        let mut best = None;
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.key() < *key;
            if right {
                best = Some(node);
            }
            at = child(node, right);
        }
        best
    }

    pub fn next(&self, slot: SlotRef) -> Link {
        self.first_after(&slot.key())
    }

    pub fn prev(&self, slot: SlotRef) -> Link {
        self.last_before(&slot.key())
    }

    /// Another slot with a capability to the same object.
    pub fn other_copy(&self, slot: SlotRef) -> Link {
        let key = slot.key();
        let same = |other: &SlotRef| other.key().same_object(&key);
        self.prev(slot)
            .filter(same)
            .or_else(|| self.next(slot).filter(same))
    }

    /// The least at or after `key` whose end lies after `place`: with the ends of whole subtrees
    /// known, every subtree that ends too early is passed over.
    pub fn first_ending_after(&self, key: &Key, place: u64) -> Link {
        let reaches = |link: Link| link.filter(|node| node.max_end.get() > place);
        let mut path = Path::new();
        let mut at = self.root;
        while let Some(node) = at {
            let right = node.key() < *key;
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

impl Default for Mdb {
    fn default() -> Mdb {
        Mdb::new()
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
