//! A tree link in one word: which slot, and in the bits that a slot's alignment leaves free what
//! kind of link it is.

use crate::slot::{Slot, SlotRef};

/// Left is earlier in the order, right is later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Side {
    Left = 0,
    Right = 1,
}

impl Side {
    #[inline(always)]
    pub(crate) const fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    #[inline(always)]
    pub(crate) const fn right_if(right: bool) -> Side {
        if right { Side::Right } else { Side::Left }
    }
}

/// A link to a child, or, where there is none, a thread to the neighbour in the order on that side
/// (of the outermost slots: to nothing). Either says how far the rank falls along it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Link(*mut Slot);

const THREAD: usize = 1;
/// The rank falls by two, not by one.
const LONG: usize = 2;
const FLAGS: usize = align_of::<Slot>() - 1;

impl Link {
    /// In a slot outside of the tree.
    pub(crate) const NONE: Link = Link(core::ptr::null_mut());

    #[inline]
    pub(crate) fn child(child: SlotRef) -> Link {
        Link(child.as_ptr())
    }

    #[inline]
    pub(crate) fn thread(neighbour: Option<SlotRef>) -> Link {
        let slot = neighbour.map_or(core::ptr::null_mut(), SlotRef::as_ptr);
        Link(slot.map_addr(|address| address | THREAD))
    }

    #[inline]
    pub(crate) fn is_thread(self) -> bool {
        self.0.addr() & THREAD != 0
    }

    #[inline]
    pub(crate) fn is_long(self) -> bool {
        self.0.addr() & LONG != 0
    }

    #[inline]
    pub(crate) fn short(self) -> Link {
        Link(self.0.map_addr(|address| address & !LONG))
    }

    #[inline]
    pub(crate) fn long(self) -> Link {
        Link(self.0.map_addr(|address| address | LONG))
    }

    /// As long as `other`.
    #[inline]
    pub(crate) fn like(self, other: Link) -> Link {
        let long = other.0.addr() & LONG;
        Link(self.0.map_addr(|address| (address & !LONG) | long))
    }

    /// The child or neighbour.
    #[inline]
    pub(crate) fn slot(self) -> Option<SlotRef> {
        let slot = self.0.map_addr(|address| address & !FLAGS);
        // SAFETY: without its flags the word is null or what `child` or `thread` got from a slot;
        // the database takes a slot out, and with it every link to it, before it stops being one.
        unsafe { SlotRef::from_ptr(slot) }
    }

    /// Is `slot` the child or neighbour?
    #[inline(always)]
    pub(crate) fn leads_to(self, slot: SlotRef) -> bool {
        self.0.addr() & !FLAGS == slot.as_ptr().addr()
    }

    #[inline]
    pub(crate) fn as_child(self) -> Option<SlotRef> {
        if self.is_thread() { None } else { self.slot() }
    }
}
