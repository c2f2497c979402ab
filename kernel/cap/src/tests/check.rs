//! What must hold after every operation, checked the slow way: every pair, every entry.

use super::{BASE, BOOT_SLOTS, DEVICE, PAGE, PAGES, World, kernel_entry};
use crate::captype::{Tree, info};
use crate::check::{Fault, Seen};
use crate::mdb::link::Side;
use crate::slot::Reach;
use crate::{Cap, Platform, SlotRef, mapping};
use abi::Rights;
use abi::captype::CapType;
use abi::cptr::SLOT_BYTES;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// Every slot of the database, in order, after checking the trees' own rules.
pub fn tree(mdb: &crate::mdb::Mdb) -> Vec<SlotRef> {
    let mut all = Vec::new();
    for tree in Tree::ALL {
        let Some(root) = mdb.root(tree) else { continue };
        assert_eq!(root.parent(), None);
        let from = all.len();
        subtree(root, tree, &mut all);
        let nodes = &all[from..];
        for pair in nodes.windows(2) {
            assert!(pair[0].key() <= pair[1].key(), "order: {pair:?}");
            assert_eq!(mdb.next(pair[0]), Some(pair[1]));
            assert_eq!(mdb.prev(pair[1]), Some(pair[0]));
        }
        assert_eq!(mdb.prev(nodes[0]), None);
        assert_eq!(nodes.last().and_then(|last| mdb.next(*last)), None);
    }
    assert_eq!(all.len() as u64, mdb.len());
    all
}

/// Returns the rank, and the last granule that a region reaches.
fn subtree(node: SlotRef, tree: Tree, all: &mut Vec<SlotRef>) -> (i32, u64) {
    assert_eq!(node.info().tree, tree);
    let fall = |side| 1 + i32::from(node.link(side).is_long());
    let below = |side, all: &mut Vec<SlotRef>| match node.link(side).as_child() {
        Some(child) => {
            assert_eq!(child.parent(), Some(node));
            subtree(child, tree, all)
        }
        None => {
            assert!(node.link(side).is_thread());
            (-1, 0)
        }
    };
    let (left, left_reach) = below(Side::Left, all);
    all.push(node);
    let (right, right_reach) = below(Side::Right, all);
    let rank = left + fall(Side::Left);
    assert_eq!(rank, right + fall(Side::Right), "rank");
    assert!(rank == 0 || left >= 0 || right >= 0, "a leaf has rank 0");
    let reach = node
        .last(tree.granule_bits())
        .max(left_reach)
        .max(right_reach);
    assert!(node.reach() == Reach::new(reach), "reach");
    (rank, reach)
}

/// Nodes on the longest way down.
pub fn height(node: Option<SlotRef>) -> usize {
    let below = |node: SlotRef, side| height(node.link(side).as_child());
    node.map_or(0, |node| {
        1 + below(node, Side::Left).max(below(node, Side::Right))
    })
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

/// What the crate's own look at everything finds.
pub fn own(w: &World) -> Result<Seen, Fault> {
    let own: Vec<SlotRef> = (0..BOOT_SLOTS).map(|n| w.boot(n)).collect();
    w.caps.check(own.into_iter(), kernel_entry)
}

/// All of it.
pub fn world(w: &World) -> Vec<SlotRef> {
    let all = tree(&w.caps.mdb);
    // What is interpreted is interpreted for its use of memory; the rest would take hours there,
    // and is looked at wherever these tests run natively.
    if !cfg!(miri) {
        regions(&all);
        places(w, &all);
        entries(w, &all);
        orphans(w, &all);
        if !w.caps.deletion_pending() {
            let seen = own(w).unwrap_or_else(|fault| panic!("{fault}"));
            assert_eq!(seen.capabilities, all.len() as u64);
        }
    }
    all
}

/// Is it memory that nobody holds?
pub fn is_orphan(cap: &Cap) -> bool {
    cap.ty == CapType::Ram && cap.data[0] & 1 != 0
}

/// Orphans and what is held make all RAM, apart from each other; orphans are as large as they can
/// be, lie at their own beginning and are on the list, once.
fn orphans(w: &World, all: &[SlotRef]) {
    let mut held = BTreeSet::new();
    let mut free = BTreeSet::new();
    for slot in all {
        let cap = slot.cap();
        if !info(cap.ty).is_memory() || slot.is_deleting() {
            continue;
        }
        let orphan = is_orphan(&cap);
        if orphan {
            assert_eq!(slot.address(), w.caps.platform.virt(cap.base).addr());
            assert!(!meets_another(all, &cap), "{cap:?} meets an orphan");
        }
        for page in (cap.base..cap.end()).step_by(PAGE as usize) {
            if !(BASE..BASE + PAGES * PAGE).contains(&page) {
                continue;
            }
            if orphan {
                assert!(free.insert(page), "two orphans at {page:#x}");
            } else {
                held.insert(page);
            }
        }
    }
    assert!(free.is_disjoint(&held));
    if !w.caps.deletion_pending() {
        assert_eq!(free.len() + held.len(), PAGES as usize, "memory is lost");
    }
    assert_eq!(
        listed(w),
        all.iter().filter(|slot| is_orphan(&slot.cap())).count()
    );
}

/// Does an orphan end where another begins?
fn meets_another(all: &[SlotRef], cap: &Cap) -> bool {
    all.iter().any(|slot| {
        let other = slot.cap();
        is_orphan(&other) && (other.base == cap.end() || other.end() == cap.base)
    })
}

/// Orphans on the list.
fn listed(w: &World) -> usize {
    let mut at = w.caps.orphans;
    let mut before = 0;
    let mut count = 0;
    while let Some(slot) = at {
        assert!(is_orphan(&slot.cap()));
        assert_eq!(slot.data()[0], before | 1);
        before = slot.expose();
        // SAFETY: the word names the next on the list, or nothing.
        at = unsafe { SlotRef::from_exposed(slot.data()[1]) };
        count += 1;
    }
    count
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
            if info(a.ty).tree != info(b.ty).tree || a.end() <= b.base {
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
        if is_orphan(&slot.cap()) {
            known.insert(slot.address(), *slot);
        }
    }
    let in_tree: BTreeSet<usize> = all.iter().map(|slot| slot.address()).collect();
    for (address, slot) in &known {
        assert_eq!(in_tree.contains(address), !slot.is_empty(), "{slot:?}");
        assert!(!slot.is_empty() || is_zero(*slot), "{slot:?} is not clean");
    }
    for slot in all {
        assert!(
            known.contains_key(&slot.address()) || w.caps.deletion_pending(),
            "{slot:?} lies nowhere"
        );
        assert!(!slot.is_deleting() || w.caps.deletion_pending());
    }
}

fn is_zero(slot: SlotRef) -> bool {
    let words = slot.as_ptr().cast::<u64>();
    // SAFETY: a slot is so many words, of cells, which nobody changes meanwhile.
    (0..SLOT_BYTES / size_of::<u64>()).all(|n| unsafe { words.add(n).read() } == 0)
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
                let rights = cap.rights;
                assert!(
                    rights.contains(Rights::READ),
                    "{cap:?} maps what may not be read"
                );
                assert!(
                    !entry.is_writable() || rights.contains(Rights::WRITE),
                    "{cap:?} maps writable"
                );
                assert!(
                    entry.0 & paging::Entry::NO_EXECUTE != 0 || rights.contains(Rights::EXECUTE),
                    "{cap:?} maps executable"
                );
                assert_eq!(entry.is_large(), place.level != paging::Level::Pt);
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
            if !leaf {
                assert_eq!(place.level.next(), info(object).level, "levels skipped");
                assert_eq!(entry.address().0, cap.base);
                assert!(!entry.is_large());
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
            let entry = w.caps.table(cap.base).read(index).unwrap();
            if cap.ty == CapType::Pml4 && index >= paging::USER_ENTRIES {
                assert_eq!(entry.0, kernel_entry(index), "the kernel's half");
                continue;
            }
            let present = entry.is_present();
            assert_eq!(present, explained.contains(&(cap.base, index)), "{cap:?}");
        }
    }
}
