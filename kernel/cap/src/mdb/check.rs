//! Is a tree of the database one: in order, in balance, threaded, with the right reaches?

use super::query::outermost;
use super::{Counts, Mdb, Side, reach_of};
use crate::captype::Tree;
use crate::check::{Fault, Wrong};
use crate::slot::SlotRef;

/// No path is longer: twice the logarithm of how many slots memory can hold.
const HIGHEST: usize = 128;

impl Mdb {
    /// Looks at every slot, from the roots. It needs no stack: ranks are sums along a path.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let mut left = self.counts;
        for tree in Tree::ALL {
            if let Some(root) = self.root(tree) {
                self.check_tree(tree, root, &mut left)?;
            }
        }
        if left.iter().all(|count| *count == 0) {
            Ok(())
        } else {
            Err(Wrong::Count.nowhere())
        }
    }

    /// `left`: how many slots of each type are still to be seen.
    fn check_tree(&self, tree: Tree, root: SlotRef, left: &mut Counts) -> Result<(), Fault> {
        if root.parent().is_some() {
            return Err(Wrong::Parent.at(root));
        }
        let mut before: Option<SlotRef> = None;
        let mut next = Some(lowest(root)?);
        while let Some(at) = next {
            let count = &mut left[usize::from(at.whole() as u8)];
            *count = count.checked_sub(1).ok_or(Wrong::Count.at(at))?;
            node(at, tree)?;
            if before.is_some_and(|before| before.key() > at.key()) {
                return Err(Wrong::Order.at(at));
            }
            let threaded = before.is_none_or(|before| self.next(before) == Some(at));
            if self.prev(at) != before || !threaded {
                return Err(Wrong::Thread.at(at));
            }
            before = Some(at);
            next = match at.link(Side::Right).as_child() {
                Some(child) if child.parent() != Some(at) => return Err(Wrong::Parent.at(child)),
                Some(child) => Some(lowest(child)?),
                None => above(at, root)?,
            };
        }
        match before {
            Some(last) if self.next(last).is_some() => Err(Wrong::Thread.at(last)),
            _ => Ok(()),
        }
    }

    /// The first of a tree.
    pub(crate) fn first_of(&self, tree: Tree) -> Option<SlotRef> {
        self.root(tree).map(|root| outermost(root, Side::Left))
    }

    /// Does a way lead from the root to this slot?
    pub(crate) fn contains(&self, slot: SlotRef) -> bool {
        let mut at = slot;
        for _ in 0..HIGHEST {
            match at.parent() {
                None => return self.root(slot.info().tree) == Some(at),
                Some(parent) if is_child(parent, at) => at = parent,
                Some(_) => return false,
            }
        }
        false
    }
}

fn is_child(parent: SlotRef, child: SlotRef) -> bool {
    [Side::Left, Side::Right]
        .into_iter()
        .any(|side| parent.link(side).as_child() == Some(child))
}

/// The first of a subtree.
fn lowest(top: SlotRef) -> Result<SlotRef, Fault> {
    let mut at = top;
    for _ in 0..HIGHEST {
        match at.link(Side::Left).as_child() {
            None => return Ok(at),
            Some(child) if child.parent() == Some(at) => at = child,
            Some(child) => return Err(Wrong::Parent.at(child)),
        }
    }
    Err(Wrong::Balance.at(top))
}

/// The next of a slot without a child on the right; `None` after the last.
fn above(last: SlotRef, root: SlotRef) -> Result<Option<SlotRef>, Fault> {
    let mut at = last;
    for _ in 0..HIGHEST {
        match at.parent() {
            None if at == root => return Ok(None),
            Some(parent) if parent.link(Side::Left).as_child() == Some(at) => {
                return Ok(Some(parent));
            }
            Some(parent) if is_child(parent, at) => at = parent,
            _ => return Err(Wrong::Parent.at(at)),
        }
    }
    Err(Wrong::Balance.at(last))
}

/// Its tree, rank and reach. The ranks of its children are taken along their left sides: that
/// the right sides agree is looked at when it is their turn.
fn node(at: SlotRef, tree: Tree) -> Result<(), Fault> {
    if at.info().tree != tree {
        return Err(Wrong::Order.at(at));
    }
    let fall = |side| 1 + i32::from(at.link(side).is_long());
    let below = |side| rank(at.link(side).as_child());
    let (left, right) = (below(Side::Left), below(Side::Right));
    let own = left + fall(Side::Left);
    let leaf = left < 0 && right < 0;
    if own != right + fall(Side::Right) || (leaf && own != 0) {
        return Err(Wrong::Balance.at(at));
    }
    if reach_of(at) != at.reach() {
        return Err(Wrong::Reach.at(at));
    }
    Ok(())
}

/// The rank along the left side; -1 for a missing node.
fn rank(top: Option<SlotRef>) -> i32 {
    let mut rank = -1;
    let mut next = top;
    for _ in 0..HIGHEST {
        let Some(at) = next else { break };
        let link = at.link(Side::Left);
        rank += 1 + i32::from(link.is_long());
        next = link.as_child();
    }
    rank
}
