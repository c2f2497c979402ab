//! The baseline: a doubly linked list in the database's order, with nothing to find a place by.

use super::Design;
use cap::Cap;
use cap::slot::Key;
use std::cell::Cell;
use std::cmp::Ordering;

type Link = Option<&'static Slot>;

#[repr(align(64))]
pub struct Slot {
    cap: Cell<Cap>,
    prev: Cell<Link>,
    next: Cell<Link>,
}

const _: () = assert!(size_of::<Slot>() == 64);

impl Slot {
    fn empty() -> Slot {
        Slot {
            cap: Cell::new(Cap::NULL),
            prev: Cell::new(None),
            next: Cell::new(None),
        }
    }
    fn base(&self) -> u64 {
        self.cap.get().base
    }
    fn end(&self) -> u64 {
        self.cap.get().end()
    }
    fn is_copy_of(&self, other: &Slot) -> bool {
        self.cap.get().key() == other.cap.get().key()
    }
    fn compare(&self, key: &Key, base: u64) -> Ordering {
        let by_base = self.base().cmp(&base);
        by_base.then_with(|| self.cap.get().key().cmp(key))
    }
}

pub struct List {
    slots: &'static [Slot],
    first: Link,
    last: Link,
}

impl List {
    fn link(&mut self, slot: &'static Slot, prev: Link, next: Link) {
        slot.prev.set(prev);
        slot.next.set(next);
        match prev {
            None => self.first = Some(slot),
            Some(prev) => prev.next.set(Some(slot)),
        }
        match next {
            None => self.last = Some(slot),
            Some(next) => next.prev.set(Some(slot)),
        }
    }
}

impl Design for List {
    const NAME: &'static str = "list";
    type Slot = &'static Slot;

    fn with_room(slots: usize) -> List {
        let slots: Vec<Slot> = (0..slots).map(|_| Slot::empty()).collect();
        List {
            slots: slots.leak(),
            first: None,
            last: None,
        }
    }

    fn slot(&self, n: usize) -> &'static Slot {
        &self.slots[n]
    }

    /// One by one it would take hours.
    fn fill(&mut self, caps: &[Cap]) {
        let mut order: Vec<usize> = (0..caps.len()).collect();
        order.sort_by_key(|n| caps[*n].key());
        for n in order {
            self.slots[n].cap.set(caps[n]);
            self.link(&self.slots[n], self.last, None);
        }
    }

    fn insert(&mut self, slot: &'static Slot, cap: &Cap) {
        let key = cap.key();
        slot.cap.set(*cap);
        let (mut prev, mut at) = (None, self.first);
        while let Some(next) = at
            && next.compare(&key, cap.base).is_le()
        {
            (prev, at) = (at, next.next.get());
        }
        self.link(slot, prev, at);
    }

    fn insert_copy(&mut self, slot: &'static Slot, cap: &Cap, source: &'static Slot) {
        slot.cap.set(*cap);
        self.link(slot, Some(source), source.next.get());
    }

    fn remove(&mut self, slot: &'static Slot) {
        let (prev, next) = (slot.prev.take(), slot.next.take());
        match prev {
            None => self.first = next,
            Some(prev) => prev.next.set(next),
        }
        match next {
            None => self.last = prev,
            Some(next) => next.prev.set(prev),
        }
        slot.cap.set(Cap::NULL);
    }

    fn next(&self, slot: &'static Slot) -> Link {
        slot.next.get()
    }

    fn has_copies(&self, slot: &'static Slot) -> bool {
        let same = |other: &Slot| other.is_copy_of(slot);
        slot.prev.get().is_some_and(same) || slot.next.get().is_some_and(same)
    }

    fn has_ancestors(&self, slot: &'static Slot) -> bool {
        let end = slot.end();
        let mut at = slot.prev.get();
        while let Some(before) = at {
            if before.end() >= end && !before.is_copy_of(slot) {
                return true;
            }
            at = before.prev.get();
        }
        false
    }

    fn has_descendants(&self, slot: &'static Slot) -> bool {
        let mut at = slot.next.get();
        while let Some(after) = at {
            if !after.is_copy_of(slot) {
                return after.base() < slot.end();
            }
            at = after.next.get();
        }
        false
    }

    fn meets(&self, base: u64, bytes: u64) -> bool {
        let end = base + bytes;
        let mut at = self.first;
        while let Some(slot) = at
            && slot.base() < end
        {
            if slot.end() > base {
                return true;
            }
            at = slot.next.get();
        }
        false
    }
}
