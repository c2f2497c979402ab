//! A tree link in one word: which slot, and in the bits that a slot's alignment leaves free what
//! kind of link it is.

use crate::slot::{Slot, SlotRef};
use core::ptr::NonNull;

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

const CHILD: usize = 1;
/// The rank falls by two, not by one.
const LONG: usize = 2;
const FLAGS: usize = align_of::<Slot>() - 1;

impl Link {
    /// To no neighbour: that of an empty slot, and a thread of the outermost.
    pub(crate) const NONE: Link = Link(core::ptr::null_mut());

    #[inline(always)]
    pub(crate) fn child(child: SlotRef) -> Link {
        Link(child.as_ptr().map_addr(|address| address | CHILD))
    }

    #[inline(always)]
    pub(crate) fn thread(neighbour: SlotRef) -> Link {
        Link(neighbour.as_ptr())
    }

    /// The same place, as a thread.
    #[inline(always)]
    pub(crate) fn as_thread(self) -> Link {
        Link(self.0.map_addr(|address| address & !FLAGS))
    }

    #[inline(always)]
    pub(crate) fn is_thread(self) -> bool {
        self.0.addr() & CHILD == 0
    }

    #[inline(always)]
    pub(crate) fn is_long(self) -> bool {
        self.0.addr() & LONG != 0
    }

    #[inline(always)]
    pub(crate) fn short(self) -> Link {
        Link(self.0.map_addr(|address| address & !LONG))
    }

    #[inline(always)]
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
    #[inline(always)]
    pub(crate) fn slot(self) -> Option<SlotRef> {
        // SAFETY: without its flags the word is null or what `child` or `thread` got from a slot;
        // the database takes a slot out, and with it every link to it, before it stops being one.
        unsafe { SlotRef::from_ptr(self.as_thread().0) }
    }

    /// Is `slot` the child or neighbour?
    #[inline(always)]
    pub(crate) fn leads_to(self, slot: SlotRef) -> bool {
        self.as_thread().0 == slot.as_ptr()
    }

    #[inline(always)]
    pub(crate) fn as_child(self) -> Option<SlotRef> {
        if self.is_thread() {
            return None;
        }
        // SAFETY: as in `slot`; only `child` sets the flag, so the word is not null.
        Some(unsafe { SlotRef::new(NonNull::new_unchecked(self.as_thread().0)) })
    }
}
