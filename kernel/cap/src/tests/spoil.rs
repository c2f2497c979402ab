//! The look at everything ([`crate::check`]) finds each thing that it looks for.

use super::*;
use crate::captype::Tree;
use crate::check::Wrong;
use crate::mdb::link::{Link, Side};

const PML4: usize = FREE;
const PT: usize = FREE + 3;
const FRAME: usize = FREE + 4;
const PART: usize = FREE + 5;
/// A copy of the frame, which is mapped.
const COPY: usize = FREE + 6;
const SHOWN: usize = FREE + 13;

/// An address space with a frame in it, of which a part is a frame; nobody holds what lies between
/// these objects.
fn world() -> World {
    let mut w = World::new();
    w.make_tree(PML4, FREE + 10);
    w.make(RAM, CapType::Frame, FREE_RAM + 8 * PAGE, 8 * PAGE, FRAME)
        .unwrap();
    w.make(FRAME, CapType::Frame, 4 * PAGE, PAGE, PART).unwrap();
    w.copy(COPY, FRAME, Rights::READ).unwrap();
    w.map(PT, COPY, (0, 8), R, 0, SHOWN).unwrap();
    w.delete(w.boot(RAM)).unwrap();
    w
}

/// Writes an entry of a table past everything that keeps account of it.
fn poke(w: &World, table: usize, index: usize, change: impl Fn(u64) -> u64) {
    let entry = w
        .caps
        .platform
        .virt(w.boot(table).base())
        .cast::<u64>()
        .wrapping_add(index);
    // SAFETY: an entry of a live table.
    unsafe { entry.write(change(entry.read())) }
}

/// Changes a capability where it is, and leaves how far its subtree reaches.
fn patch(slot: SlotRef, change: impl Fn(&mut Cap)) {
    let (mut cap, reach) = (slot.cap(), slot.reach());
    let bits = info(cap.ty).tree.granule_bits();
    change(&mut cap);
    slot.set(&cap, bits);
    slot.set_reach(reach);
}

/// Makes another type of capabilities where they are, and counts them as such.
fn retype(w: &mut World, slots: &[usize], ty: CapType) {
    for n in slots {
        let slot = w.boot(*n);
        w.caps.mdb.count_as(slot.ty(), ty);
        patch(slot, |cap| cap.ty = ty);
    }
}

fn root(w: &World) -> SlotRef {
    w.caps.mdb.root(Tree::Memory).unwrap()
}

type Spoil = fn(&mut World);

#[test]
fn whatever_is_spoilt_is_found() {
    let spoils: [(Wrong, Spoil); 27] = [
        (Wrong::Parent, |w| {
            let child = root(w).link(Side::Left).as_child().unwrap();
            child.set_parent(None);
        }),
        (Wrong::Parent, |w| {
            let other = w.boot(CONSOLE);
            w.boot(PART).set_parent(Some(other));
        }),
        (Wrong::Order, |w| {
            patch(w.boot(PART), |cap| (cap.base, cap.bytes) = (0, cap.end()));
        }),
        (Wrong::Order, |w| {
            let at = w.boot(KERNEL);
            patch(at, |cap| cap.ty = CapType::Console);
        }),
        (Wrong::Balance, |w| {
            let link = root(w).link(Side::Left);
            let other = if link.is_long() {
                link.short()
            } else {
                link.long()
            };
            root(w).set_link(Side::Left, other);
        }),
        (Wrong::Thread, |w| {
            let console = w.boot(CONSOLE);
            console.set_link(Side::Right, Link::thread(w.boot(PT)));
        }),
        (Wrong::Reach, |w| w.boot(PT).set_reach(Reach::new(1 << 39))),
        (Wrong::Deleting, |w| w.boot(PT).start_deleting()),
        (Wrong::Region, |w| {
            // Its last granule stays the same.
            for n in [FRAME, COPY] {
                patch(w.boot(n), |cap| cap.bytes -= 1);
            }
        }),
        (Wrong::Region, |w| {
            patch(w.boot(FRAME), |cap| {
                cap.extra = crate::captype::MAX_NESTING + 1
            });
        }),
        (Wrong::Nesting, |w| retype(w, &[PART], CapType::Thread)),
        (Wrong::Nesting, |w| {
            retype(w, &[FRAME, COPY], CapType::DevFrame)
        }),
        (Wrong::Count, |w| {
            w.caps.mdb.count_as(CapType::Frame, CapType::Ram)
        }),
        (Wrong::Count, |w| {
            w.caps.mdb.count_as(CapType::Ram, CapType::Frame)
        }),
        (Wrong::Unlinked, |w| w.at(9).set(&w.boot(CONSOLE).cap(), 0)),
        (Wrong::Nowhere, |w| {
            let memory = w.caps.platform.virt(w.boot(FRAME).base()).cast::<Slot>();
            // SAFETY: the frame's memory lives as long as the world, and nothing else is in it.
            let dest = unsafe {
                memory.write(Slot::EMPTY);
                SlotRef::new(NonNull::new_unchecked(memory))
            };
            let console = w.boot(CONSOLE);
            w.caps.copy(dest, console, Rights::all(), false).unwrap();
        }),
        (Wrong::Orphan, |w| {
            let orphan = w.caps.orphans.unwrap();
            w.caps.mdb.replace(orphan, w.boot(FREE + 20));
        }),
        (Wrong::Orphans, |w| w.caps.orphans = None),
        (Wrong::Orphans, |w| {
            let first = w.caps.orphans.unwrap();
            first.set_data([first.data()[0], 0]);
        }),
        (Wrong::Lost, |w| {
            let first = w.caps.orphans.unwrap();
            w.caps.mdb.remove(first);
        }),
        (Wrong::Mapping, |w| {
            patch(w.boot(SHOWN), |cap| cap.data[0] += 64 * PAGE);
        }),
        (Wrong::Mapping, |w| {
            w.caps.mdb.remove(w.boot(PART));
            retype(w, &[FRAME, COPY], CapType::Ram);
        }),
        (Wrong::Entry, |w| poke(w, PT, 3, |entry| entry + PAGE)),
        (Wrong::Entry, |w| poke(w, PT, 3, |_| 0)),
        (Wrong::Permission, |w| poke(w, PT, 3, |entry| entry | 2)),
        (Wrong::Unmapped, |w| poke(w, PT, 100, |_| BASE | 5)),
        (Wrong::KernelHalf, |w| poke(w, PML4, 300, |entry| entry ^ 2)),
    ];
    let mut missed = Vec::new();
    for (n, (wrong, spoil)) in spoils.into_iter().enumerate() {
        let mut w = world();
        check::world(&w);
        spoil(&mut w);
        let found = check::own(&w).map_err(|fault| fault.wrong);
        if found != Err(wrong) {
            missed.push((n, wrong, found));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn execute_and_write_never_go_together() {
    let mut w = world();
    w.map(PT, FRAME, (20, 1), RW, 0, FREE + 14).unwrap();
    check::world(&w);
    poke(&w, PT, 20, |entry| entry & !paging::Entry::NO_EXECUTE);
    let found = check::own(&w).map_err(|fault| fault.wrong);
    assert_eq!(found, Err(Wrong::Permission));
}

#[test]
fn what_is_half_deleted_is_no_time_to_look() {
    let mut w = world();
    w.caps.budget = 1;
    assert_eq!(w.caps.delete(w.boot(L1)), Err(Error::Again));
    let found = check::own(&w).map_err(|fault| fault.wrong);
    assert_eq!(found, Err(Wrong::Deleting));
    w.caps.budget = crate::delete::BUDGET;
    w.caps.settle();
    check::world(&w);
}
