//! Which slots of the component's CSpace are empty. Pure bookkeeping; [`crate::stock`] adds L2
//! CNodes when it runs low.

use crate::Error;
use crate::bits::{Bits, filled};
use abi::CPtr;
use abi::cptr::L2_SLOTS;
use alloc::vec::Vec;

const WORDS: usize = L2_SLOTS / 64;

/// An L2 CNode of the CSpace.
#[derive(Clone, Copy)]
struct Node {
    /// Its capability; [`CPtr::NULL`] for the one that `init` made.
    cap: CPtr,
    /// Bit `n`: slot `n` is empty and ours.
    empty: [u64; WORDS],
}

pub struct Slots {
    /// By L1 index.
    nodes: Vec<Option<Node>>,
    /// Nodes with an empty slot.
    some: Bits,
    left: usize,
    /// L1 indices in the order in which their nodes were added.
    grown: Vec<u32>,
}

impl Slots {
    /// The slots from `first` on in its L2 CNode, and `roots` places for L2 CNodes in the root.
    pub fn new(first: CPtr, roots: u32) -> Result<Slots, Error> {
        let at = first.l1() as usize;
        let mut slots = Slots {
            nodes: filled(roots as usize, None)?,
            some: Bits::new(roots as usize)?,
            left: 0,
            grown: Vec::new(),
        };
        let mut node = Node {
            cap: CPtr::NULL,
            empty: [u64::MAX; WORDS],
        };
        for n in 0..usize::from(first.l2()) {
            node.empty[n / 64] &= !(1 << (n % 64));
        }
        *slots.nodes.get_mut(at).ok_or(Error::NoSlots)? = Some(node);
        slots.some.insert(at..at + 1);
        slots.left = L2_SLOTS - usize::from(first.l2());
        Ok(slots)
    }

    /// Empty slots.
    pub fn left(&self) -> usize {
        self.left
    }

    /// An L1 index without an L2 CNode. Errors: `NoSlots`, `NoHeap`.
    pub fn vacancy(&mut self) -> Result<u32, Error> {
        self.grown.try_reserve(1).map_err(|_| Error::NoHeap)?;
        let free = self.nodes.iter().position(Option::is_none);
        free.map(|n| n as u32).ok_or(Error::NoSlots)
    }

    /// The L2 CNode `cap` was installed at a vacancy.
    pub fn add(&mut self, index: u32, cap: CPtr) {
        let at = index as usize;
        self.nodes[at] = Some(Node {
            cap,
            empty: [u64::MAX; WORDS],
        });
        self.some.insert(at..at + 1);
        self.left += L2_SLOTS;
        self.grown.push(index);
    }

    /// The L2 CNode that was added last, which is forgotten.
    pub fn pop(&mut self) -> Option<CPtr> {
        let at = self.grown.pop()? as usize;
        let node = self.nodes[at].take()?;
        self.left -= node
            .empty
            .iter()
            .map(|w| w.count_ones() as usize)
            .sum::<usize>();
        self.some.remove(at..at + 1);
        Some(node.cap)
    }

    /// Takes an empty slot. Errors: `NoSlots`.
    #[inline]
    pub fn take(&mut self) -> Result<CPtr, Error> {
        let at = self.some.next(0).ok_or(Error::NoSlots)?;
        let node = self.nodes[at].as_mut().ok_or(Error::NoSlots)?;
        let words = node.empty.iter_mut().enumerate();
        let (n, word) = words
            .into_iter()
            .find(|(_, word)| **word != 0)
            .ok_or(Error::NoSlots)?;
        let slot = n as u32 * 64 + word.trailing_zeros();
        *word &= *word - 1;
        self.left -= 1;
        if node.empty == [0; WORDS] {
            self.some.remove(at..at + 1);
        }
        Ok(CPtr::new(at as u32, slot as u8))
    }

    /// Gives an empty slot back.
    #[inline]
    pub fn give(&mut self, slot: CPtr) {
        let (at, n) = (slot.l1() as usize, usize::from(slot.l2()));
        if let Some(Some(node)) = self.nodes.get_mut(at) {
            node.empty[n / 64] |= 1 << (n % 64);
            self.left += 1;
            self.some.insert(at..at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_slot_once_and_again_when_given_back() {
        let mut slots = Slots::new(CPtr::new(0, 70), 3).unwrap();
        assert_eq!(slots.vacancy(), Ok(1));
        slots.add(1, CPtr::new(0, 7));
        let mut taken = BTreeSet::new();
        while let Ok(slot) = slots.take() {
            assert!(slot.l1() < 2 && (slot.l1() == 1 || slot.l2() >= 70));
            assert!(taken.insert(slot));
        }
        assert_eq!(taken.len(), 256 + 256 - 70);
        assert_eq!(slots.left(), 0);
        let back: std::vec::Vec<_> = taken.iter().copied().step_by(7).collect();
        back.iter().for_each(|slot| slots.give(*slot));
        let again: BTreeSet<_> = (0..back.len()).map(|_| slots.take().unwrap()).collect();
        assert_eq!(again, back.iter().copied().collect());
        assert_eq!(slots.take(), Err(Error::NoSlots));
        taken.iter().for_each(|slot| slots.give(*slot));
        assert_eq!(slots.pop(), Some(CPtr::new(0, 7)));
        assert_eq!(slots.pop(), None);
        assert_eq!(slots.left(), 256 - 70);
        assert_eq!(slots.vacancy(), Ok(1));
    }
}
