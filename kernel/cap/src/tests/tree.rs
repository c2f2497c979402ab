//! The tree alone, against a sorted list.

use super::check;
use crate::captype::{Tree, info};
use crate::mdb::Mdb;
use crate::slot::Key;
use crate::{Cap, Slot, SlotRef};
use abi::Rights;
use abi::captype::CapType;
use proptest::prelude::*;
use std::ptr::NonNull;
use std::vec::Vec;

const SLOTS: usize = 200;

fn any_cap() -> impl Strategy<Value = Cap> {
    let ty = prop::sample::select(std::vec![
        CapType::Ram,
        CapType::Frame,
        CapType::Pt,
        CapType::Entry,
        CapType::MapFrame,
        CapType::IoPorts,
    ]);
    (ty, 0u64..8, 1u64..8, 0u64..3).prop_map(|(ty, base, pages, word)| Cap {
        ty,
        rights: Rights::all(),
        base: base * 4096,
        bytes: pages * 4096,
        data: [word, 0],
        extra: 0,
    })
}

/// One step: what to do, with which slots.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Puts it in a slot, found from the root; an occupied slot is emptied.
    Toggle(usize, Cap),
    /// Puts a copy of the nth capability in a slot, if that is empty.
    Copy(usize, usize),
    /// Puts it in a slot, if that is empty, before the one that it belongs before.
    Before(usize, Cap),
    /// Moves the nth capability to a slot, if that is empty.
    Replace(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..SLOTS, any_cap()).prop_map(|(n, cap)| Step::Toggle(n, cap)),
        2 => (0..SLOTS, 0..SLOTS).prop_map(|(n, from)| Step::Copy(n, from)),
        2 => (0..SLOTS, any_cap()).prop_map(|(n, cap)| Step::Before(n, cap)),
        1 => (0..SLOTS, 0..SLOTS).prop_map(|(n, from)| Step::Replace(n, from)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 200 }))]

    #[test]
    fn agrees_with_a_sorted_list(
        steps in prop::collection::vec(any_step(), 1..if cfg!(miri) { 25 } else { 600 }),
        queries in prop::collection::vec((any_cap(), 0u64..16), if cfg!(miri) { 3 } else { 20 }),
    ) {
        let slots: Vec<Slot> = (0..SLOTS).map(|_| Slot::EMPTY).collect();
        // SAFETY: the vector is never resized and outlives the tree.
        let slot = |n: usize| unsafe { SlotRef::new(NonNull::from(&slots[n])) };
        let mut mdb = Mdb::new();
        // In the database's order.
        let mut list: Vec<SlotRef> = Vec::new();
        for step in steps {
            let nth = |n: usize| list.get(n.checked_rem(list.len())?).copied();
            match step {
                Step::Toggle(n, _) if !slot(n).is_empty() => mdb.remove(slot(n)),
                Step::Toggle(n, cap) => mdb.insert(slot(n), &cap),
                Step::Copy(n, from) if slot(n).is_empty() => {
                    if let Some(from) = nth(from) {
                        mdb.insert_copy(slot(n), &from.cap(), from);
                    }
                }
                Step::Before(n, cap) if slot(n).is_empty() => {
                    let next = mdb.first_after(&cap.key());
                    mdb.insert_before(slot(n), &cap, info(cap.ty).tree, next);
                }
                Step::Replace(n, from) if slot(n).is_empty() => {
                    if let Some(from) = nth(from) {
                        mdb.replace(from, slot(n));
                    }
                }
                _ => {}
            }
            list = check::tree(&mdb);
            let mut filled: Vec<SlotRef> =
                (0..SLOTS).map(slot).filter(|slot| !slot.is_empty()).collect();
            let mut found = list.clone();
            filled.sort_by_key(|slot| slot.address());
            found.sort_by_key(|slot| slot.address());
            prop_assert_eq!(found, filled);
        }
        let in_order = |tree| list.iter().copied().filter(move |slot| slot.info().tree == tree);
        for (cap, end) in queries {
            let key: Key = cap.key();
            let base = end * 4096;
            prop_assert_eq!(mdb.first_from(&key), in_order(key.tree).find(|s| s.key() >= key));
            prop_assert_eq!(mdb.first_after(&key), in_order(key.tree).find(|s| s.key() > key));
            prop_assert_eq!(
                mdb.last_upto(&key),
                in_order(key.tree).rfind(|s| s.key() <= key)
            );
            let reaches = |slot: &SlotRef| slot.last(key.tree.granule_bits()) >= base >> key.tree.granule_bits();
            prop_assert_eq!(mdb.first_reaching(key.tree, base), in_order(key.tree).find(reaches));
            for slot in &list {
                if slot.info().tree == key.tree {
                    let from = in_order(key.tree).skip_while(|other| other != slot).find(reaches);
                    prop_assert_eq!(mdb.reaching_from(*slot, key.tree, base), from);
                }
            }
        }
        for (n, slot) in list.iter().enumerate() {
            let (cap, key) = (slot.cap(), slot.key());
            let copy = list.iter().any(|s| s != slot && s.key() == key);
            prop_assert_eq!(mdb.other_copy(*slot).is_some(), copy);
            let after = in_order(key.tree).find(|s| s.key() > key);
            prop_assert_eq!(mdb.after_copies(*slot), after);
            let descendant = after.filter(|s| !slot.info().is_leaf() && s.base() < cap.end());
            prop_assert_eq!(mdb.first_descendant(*slot), descendant);
            let region = |s: &SlotRef| (s.cap().ty, s.base(), s.bytes());
            let mut ancestor = list[..n].iter().copied().filter(|s| {
                s.info().tree == key.tree && s.end() >= cap.end() && region(s) != region(slot)
            });
            let ancestor = ancestor.next_back().filter(|_| !slot.info().is_mapping());
            prop_assert_eq!(mdb.ancestor(*slot), ancestor);
        }
    }
}

#[test]
fn sorted_runs_stay_shallow() {
    let slots: Vec<Slot> = (0..4096).map(|_| Slot::EMPTY).collect();
    let mut mdb = Mdb::new();
    let slot = |n: usize| {
        // SAFETY: the vector is never resized and outlives the tree.
        unsafe { SlotRef::new(NonNull::from(&slots[n])) }
    };
    let rounds = if cfg!(miri) { 128 } else { 4096 };
    for n in 0..rounds {
        let cap = Cap {
            ty: CapType::Ram,
            base: n as u64 * 4096,
            bytes: 4096,
            ..Cap::NULL
        };
        mdb.insert(slot(n), &cap);
    }
    check::tree(&mdb);
    assert!(check::height(mdb.root(Tree::Memory)) <= 13);
    for n in (0..rounds).rev().step_by(2).chain((0..rounds).step_by(2)) {
        mdb.remove(slot(n));
        if n % 61 == 0 {
            check::tree(&mdb);
            assert!(check::height(mdb.root(Tree::Memory)) <= 24);
        }
    }
    assert!(mdb.is_empty() && mdb.root(Tree::Memory).is_none());
}

#[test]
fn thousands_of_copies_are_no_burden() {
    let slots: Vec<Slot> = (0..512).map(|_| Slot::EMPTY).collect();
    let mut mdb = Mdb::new();
    // SAFETY: the vector is never resized and outlives the tree.
    let slot = |n: usize| unsafe { SlotRef::new(NonNull::from(&slots[n])) };
    let cap = |base: u64, pages: u64| Cap {
        ty: CapType::Ram,
        base: base * 4096,
        bytes: pages * 4096,
        ..Cap::NULL
    };
    mdb.insert(slot(0), &cap(0, 8));
    mdb.insert(slot(1), &cap(4, 2));
    mdb.insert(slot(2), &cap(5, 1));
    for n in 3..512 {
        mdb.insert_copy(slot(n), &cap(4, 2), slot(1));
    }
    check::tree(&mdb);
    for n in (1..512).filter(|n| *n != 2) {
        assert_eq!(mdb.ancestor(slot(n)), Some(slot(0)));
        assert_eq!(mdb.first_descendant(slot(n)), Some(slot(2)));
    }
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let slot = Slot::EMPTY;
    // SAFETY: the slot outlives the tree.
    let slot = unsafe { SlotRef::new(NonNull::from(&slot)) };
    let mut mdb = Mdb::new();
    mdb.remove(slot);
    assert!(mdb.is_empty());
}
