//! What must hold after every operation, checked the slow way: every pair, every entry.

use super::{BOOT_SLOTS, DEVICE, World};
use crate::captype::{Tree, info};
use crate::{Cap, SlotRef, mapping};
use abi::captype::CapType;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// Every slot of the tree, in order, after checking the tree's own rules.
pub fn tree(mdb: &crate::mdb::Mdb) -> Vec<SlotRef> {
    let mut all = Vec::new();
    if let Some(root) = mdb.root() {
        subtree(root, &mut all);
    }
    assert_eq!(all.len() as u64, mdb.len());
    for pair in all.windows(2) {
        assert!(pair[0].key() < pair[1].key(), "order: {pair:?}");
        assert_eq!(mdb.next(pair[0]), Some(pair[1]));
        assert_eq!(mdb.prev(pair[1]), Some(pair[0]));
    }
    if let (Some(first), Some(last)) = (all.first(), all.last()) {
        assert_eq!(mdb.prev(*first), None);
        assert_eq!(mdb.next(*last), None);
    }
    all
}

/// Returns the largest end below.
fn subtree(node: SlotRef, all: &mut Vec<SlotRef>) -> u64 {
    let level = node.level.get();
    let (left, right) = (node.left.get(), node.right.get());
    let mut end = node.end();
    match left {
        Some(left) => {
            assert_eq!(left.level.get() + 1, level, "left child one level down");
            end = end.max(subtree(left, all));
        }
        None => assert_eq!(level, 1, "a leaf"),
    }
    all.push(node);
    match right {
        Some(right) => {
            let below = right.level.get();
            assert!(below == level || below + 1 == level, "right child");
            if let Some(far) = right.right.get() {
                assert!(far.level.get() < level, "three in a row");
            }
            end = end.max(subtree(right, all));
        }
        None => assert_eq!(level, 1, "only a leaf lacks a right child"),
    }
    assert_eq!(node.max_end.get(), end, "augmentation");
    end
}

/// May `inner` lie inside `outer`, though it is no copy?
fn may_contain(outer: &Cap, inner: &Cap) -> bool {
    if inner.ty == CapType::Entry {
        return matches!(outer.ty, CapType::Ram | CapType::Component | CapType::Entry)
            && (outer.ty == CapType::Ram || outer.bytes == inner.bytes);
    }
    if inner.ty == CapType::Irq {
        return matches!(outer.ty, CapType::Kernel | CapType::Irq);
    }
    let strictly = outer.bytes > inner.bytes || outer.ty != inner.ty;
    strictly && info(inner.ty).parents.contains(&outer.ty)
}

/// All of it.
pub fn world(w: &World) -> Vec<SlotRef> {
    let all = tree(&w.caps.mdb);
    regions(&all);
    places(w, &all);
    entries(w, &all);
    all
}

/// Typed regions nest as the rules allow, or keep apart.
fn regions(all: &[SlotRef]) {
    let caps: Vec<Cap> = all
        .iter()
        .map(|slot| slot.cap())
        .filter(|cap| info(cap.ty).tree != Tree::Mappings)
        .collect();
    for (n, a) in caps.iter().enumerate() {
        for b in &caps[n + 1..] {
            if info(a.ty).tree != info(b.ty).tree || a.end() <= b.key().place {
                continue;
            }
            // They meet, and `a` comes first.
            assert!(b.end() <= a.end(), "{a:?} meets {b:?}");
            assert!(
                a.key() == b.key() || may_contain(a, b),
                "{a:?} contains {b:?}"
            );
        }
    }
}

/// Every capability lies in a slot of something that has a capability, and is in the tree.
fn places(w: &World, all: &[SlotRef]) {
    let mut known: BTreeMap<usize, SlotRef> = (0..BOOT_SLOTS)
        .map(|n| (w.boot(n).address(), w.boot(n)))
        .collect();
    for slot in all {
        for inner in w.inner(&slot.cap()) {
            known.insert(inner.address(), inner);
        }
    }
    let in_tree: BTreeSet<usize> = all.iter().map(|slot| slot.address()).collect();
    for (address, slot) in &known {
        assert_eq!(in_tree.contains(address), !slot.is_empty(), "{slot:?}");
    }
    for slot in all {
        assert!(
            known.contains_key(&slot.address()) || w.caps.deletion_pending(),
            "{slot:?} lies nowhere"
        );
        assert!(!slot.is_deleting() || w.caps.deletion_pending());
    }
}

/// Every entry in use has one mapping, every mapping its table, object and entries; and nothing that
/// the kernel alone may write is mapped writable.
fn entries(w: &World, all: &[SlotRef]) {
    let mut explained: BTreeSet<(u64, u16)> = BTreeSet::new();
    let find = |ty, base, bytes| {
        all.iter().any(|slot| {
            let cap = slot.cap();
            (cap.ty, cap.base, cap.bytes) == (ty, base, bytes)
        })
    };
    let kernels: Vec<Cap> = all
        .iter()
        .map(|slot| slot.cap())
        .filter(|cap| info(cap.ty).zeroed)
        .collect();
    for slot in all {
        let cap = slot.cap();
        let Some(place) = mapping::place(&cap) else {
            continue;
        };
        assert!(
            all.iter().any(|slot| {
                let table = slot.cap();
                table.base == place.table && info(table.ty).level == Some(place.level)
            }),
            "the table of {cap:?}"
        );
        let object = CapType::ALL
            .into_iter()
            .find(|ty| info(*ty).mapping == Some(cap.ty))
            .unwrap();
        assert!(find(object, cap.base, cap.bytes), "the object of {cap:?}");
        let page = place.level.page_bytes().unwrap_or(0);
        for n in 0..place.run.count() {
            let index = place.run.first() + n;
            assert!(explained.insert((place.table, index)), "two mappings");
            let entry = w.caps.table(place.table).read(index).unwrap();
            assert!(entry.is_present());
            assert_eq!(
                entry.address().0,
                cap.base + cap.data[1] + page * u64::from(n)
            );
            let leaf = info(object).is_frame() || place.level == paging::Level::Pt;
            if leaf {
                let no_execute = entry.0 & paging::Entry::NO_EXECUTE != 0;
                assert!(!entry.is_writable() || no_execute, "W^X");
                let (from, to) = (entry.address().0, entry.address().0 + page);
                for kernel in &kernels {
                    let meets = kernel.base < to && from < kernel.base + kernel.bytes;
                    let table = info(kernel.ty).level.is_some();
                    assert!(
                        !meets || (table && !entry.is_writable() && no_execute),
                        "{kernel:?} is mapped"
                    );
                }
                if from >= DEVICE {
                    assert!(entry.0 & paging::Entry::NO_CACHE != 0);
                }
            }
            assert_eq!(
                w.caps.find_mapping(place.table, place.level, index),
                Some(*slot)
            );
        }
    }
    for slot in all {
        let cap = slot.cap();
        if info(cap.ty).level.is_none() {
            continue;
        }
        for index in 0..512 {
            let present = w.caps.table(cap.base).read(index).unwrap().is_present();
            assert_eq!(present, explained.contains(&(cap.base, index)), "{cap:?}");
        }
    }
}
