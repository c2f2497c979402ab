//! The tree alone, against a sorted list.

use super::check;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 150 }))]

    #[test]
    fn agrees_with_a_sorted_list(
        steps in prop::collection::vec((0..SLOTS, any_cap()), 1..if cfg!(miri) { 60 } else { 500 }),
        queries in prop::collection::vec((any_cap(), 0u64..16), 20),
    ) {
        let slots: Vec<Slot> = (0..SLOTS).map(|_| Slot::EMPTY).collect();
        let mut mdb = Mdb::new();
        let mut list: Vec<SlotRef> = Vec::new();
        for (n, cap) in steps {
            // SAFETY: the vector is never resized and outlives the tree.
            let slot = unsafe { SlotRef::new(NonNull::from(&slots[n])) };
            if slot.is_empty() {
                slot.set(&cap);
                mdb.insert(slot);
                list.push(slot);
            } else {
                mdb.remove(slot);
                slot.set(&Cap::NULL);
                list.retain(|other| *other != slot);
            }
            list.sort_by_key(|slot| slot.key());
            prop_assert_eq!(&check::tree(&mdb), &list);
        }
        for (cap, end) in queries {
            let key: Key = cap.key();
            let place = crate::captype::info(cap.ty).tree.place(end * 4096);
            let first = |test: &dyn Fn(&SlotRef) -> bool| list.iter().copied().find(|s| test(s));
            prop_assert_eq!(mdb.first_from(&key), first(&|s| s.key() >= key));
            prop_assert_eq!(mdb.first_after(&key), first(&|s| s.key() > key));
            prop_assert_eq!(
                mdb.last_before(&key),
                list.iter().copied().rev().find(|s| s.key() < key)
            );
            prop_assert_eq!(
                mdb.first_ending_after(&key, place),
                first(&|s| s.key() >= key && s.end() > place)
            );
        }
        for slot in &list {
            let copy = list.iter().any(|s| s != slot && s.cap().key() == slot.cap().key());
            prop_assert_eq!(mdb.other_copy(*slot).is_some(), copy);
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
        slot(n).set(&Cap {
            ty: CapType::Ram,
            base: n as u64 * 4096,
            bytes: 4096,
            ..Cap::NULL
        });
        mdb.insert(slot(n));
    }
    check::tree(&mdb);
    assert!(mdb.root().unwrap().level.get() <= 13);
    for n in (0..rounds).rev().step_by(2).chain((0..rounds).step_by(2)) {
        mdb.remove(slot(n));
        if n % 61 == 0 {
            check::tree(&mdb);
        }
    }
    assert!(mdb.is_empty() && mdb.root().is_none());
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
