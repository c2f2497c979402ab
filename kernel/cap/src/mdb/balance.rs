//! Keeping ranks right on the way up from where a subtree's rank changed.

use super::{Link, Mdb, Side, query, reach_of};
use crate::slot::SlotRef;

impl Mdb {
    /// `node` rose by one rank, which its own links say, but not yet the one to it.
    #[inline(never)]
    pub(super) fn rose(&mut self, mut node: SlotRef) {
        while let Some(top) = node.parent() {
            let side = query::side_of(top, node);
            let link = top.link(side);
            if link.is_long() {
                return top.set_link(side, link.short());
            }
            let other = top.link(side.other());
            if other.is_long() {
                return self.lift(top, side);
            }
            // Both children have about the rank of their parent: that rises too.
            top.set_link(side.other(), other.long());
            node = top;
        }
    }

    /// The child at `side` has the rank of `top`, the other's is two below: rotates.
    #[inline(never)]
    fn lift(&mut self, top: SlotRef, side: Side) {
        let other = side.other();
        let Some(low) = top.link(side).as_child() else {
            return;
        };
        let inner = low.link(other);
        match inner.as_child() {
            Some(middle) if !inner.is_long() => {
                self.rotate(low, middle, other);
                self.rotate(top, middle, side);
                low.set_link(side, low.link(side).short());
            }
            _ => {
                self.rotate(top, low, side);
                top.set_link(side, top.link(side).short());
            }
        }
        top.set_link(other, top.link(other).short());
    }

    /// The subtree at `side` of `top` lost a rank, which its link does not say yet.
    pub(super) fn sank(&mut self, mut top: SlotRef, mut side: Side) {
        loop {
            let link = top.link(side);
            let other = side.other();
            let sibling = top.link(other);
            if !link.is_long() {
                if !(link.is_thread() && sibling.is_thread()) {
                    top.set_link(side, link.long());
                    return;
                }
                // A leaf has rank 0.
                top.set_link(other, sibling.short());
            } else if sibling.is_long() {
                top.set_link(other, sibling.short());
            } else {
                // The link is three long now, the sibling's one.
                let Some(low) = sibling.as_child() else {
                    return;
                };
                let (outer, inner) = (low.link(other), low.link(side));
                if !outer.is_long() || !inner.is_long() {
                    return self.lean(top, low, side);
                }
                // Both have room to sink.
                low.set_link(other, outer.short());
                low.set_link(side, inner.short());
            }
            let Some(above) = top.parent() else { return };
            side = query::side_of(above, top);
            top = above;
        }
    }

    /// The child at `side` of `top` is three ranks below it, the other, `low`, is one below and
    /// has a child one below itself: rotates.
    fn lean(&mut self, top: SlotRef, low: SlotRef, side: Side) {
        let other = side.other();
        let (outer, inner) = (low.link(other), low.link(side));
        match inner.as_child() {
            Some(middle) if outer.is_long() => {
                self.rotate(low, middle, side);
                self.rotate(top, middle, other);
                top.set_link(side, top.link(side).short());
                low.set_link(other, low.link(other).short());
                middle.set_link(side, middle.link(side).long());
                middle.set_link(other, middle.link(other).long());
            }
            _ => {
                self.rotate(top, low, other);
                low.set_link(other, outer.long());
                let (near, far) = (top.link(side), top.link(other));
                if near.is_thread() && far.is_thread() {
                    // A leaf has rank 0.
                    top.set_link(side, near.short());
                    top.set_link(other, far.short());
                    low.set_link(side, low.link(side).long());
                }
            }
        }
    }

    /// Turns `low`, the child at `side` of `top`, into the parent. The links that only change
    /// owner stay as long as they are; that to `top` is short.
    fn rotate(&mut self, top: SlotRef, low: SlotRef, side: Side) {
        let inner = low.link(side.other());
        match inner.as_child() {
            Some(child) => {
                child.set_parent(Some(top));
                top.set_link(side, inner);
            }
            None => top.set_link(side, Link::thread(low).like(inner)),
        }
        low.set_link(side.other(), Link::child(top));
        let above = top.parent();
        low.set_parent(above);
        top.set_parent(Some(low));
        self.set_child(above, top, low);
        low.set_reach(top.reach());
        top.set_reach(reach_of(top));
    }
}
