//! Delete and revoke: what goes with the last copy, in bounded pieces, and what stays.

use super::*;

fn destroyed(w: &World) -> Vec<CapType> {
    w.caps.platform.destroyed.iter().map(|cap| cap.ty).collect()
}

#[test]
fn only_the_last_copy_takes_the_object() {
    let mut w = World::new();
    w.make(RAM, CapType::Thread, FREE_RAM, 0, FREE).unwrap();
    w.copy(FREE + 1, FREE, Rights::all()).unwrap();
    w.delete(w.boot(FREE)).unwrap();
    assert!(destroyed(&w).is_empty());
    assert_eq!(
        w.make(RAM, CapType::Frame, FREE_RAM, PAGE, FREE),
        Err(Error::Overlaps)
    );
    w.delete(w.boot(FREE + 1)).unwrap();
    assert_eq!(destroyed(&w), [CapType::Thread]);
    assert_eq!(w.make(RAM, CapType::Frame, FREE_RAM, PAGE, FREE), Ok(()));
    assert_eq!(w.delete(w.boot(FREE + 1)), Err(Error::NoCapability));
    assert_eq!(w.revoke(w.boot(FREE + 1)), Err(Error::NoCapability));
    check::world(&w);
}

#[test]
fn a_frames_last_copy_takes_its_mappings() {
    let mut w = World::new();
    w.make(RAM, CapType::Pt, FREE_RAM, 0, FREE).unwrap();
    w.make(RAM, CapType::Frame, FREE_RAM + PAGE, PAGE, FREE + 1)
        .unwrap();
    w.copy(FREE + 2, FREE + 1, Rights::READ).unwrap();
    for n in 0..8 {
        w.map(FREE, FREE + 2, (n, 1), R, 0, FREE + 3 + n as usize)
            .unwrap();
    }
    w.delete(w.boot(FREE + 2)).unwrap();
    assert!(w.entry(FREE, 7).is_present());
    let flushes = w.caps.platform.flushes;
    w.delete(w.boot(FREE + 1)).unwrap();
    assert!(!w.entry(FREE, 7).is_present());
    assert_eq!(w.caps.platform.flushes, flushes + 1);
    assert!((0..8).all(|n| w.boot(FREE + 3 + n).is_empty()));
    check::world(&w);
}

/// Pml4 → Pdpt → Pd → Pt → two frames, in boot slots from FREE on; mappings from FREE + 10.
fn address_space(w: &mut World) {
    w.make_tree(FREE, FREE + 10);
    w.make(RAM, CapType::Frame, FREE_RAM + 8 * PAGE, 8 * PAGE, FREE + 4)
        .unwrap();
    w.map(FREE + 3, FREE + 4, (0, 8), RW, 0, FREE + 13).unwrap();
    w.map(FREE + 3, FREE + 4, (100, 3), RX, PAGE, FREE + 14)
        .unwrap();
}

#[test]
fn a_tables_last_copy_takes_what_is_mapped_in_it_and_where_it_is_mapped() {
    let mut w = World::new();
    address_space(&mut w);
    check::world(&w);
    w.delete(w.boot(FREE + 3)).unwrap();
    assert!(!w.entry(FREE + 2, 5).is_present(), "the Pd let it go");
    assert!([12, 13, 14].iter().all(|n| w.boot(FREE + n).is_empty()));
    assert!(!w.boot(FREE + 11).is_empty() && !w.boot(FREE + 4).is_empty());
    check::world(&w);
    w.delete(w.boot(FREE)).unwrap();
    assert!(w.boot(FREE + 10).is_empty());
    check::world(&w);
}

#[test]
fn a_readable_table_disappears_from_where_it_was_read() {
    let mut w = World::new();
    address_space(&mut w);
    w.map(FREE + 3, FREE + 3, (200, 1), R, 0, FREE + 20)
        .unwrap();
    w.map(FREE + 3, FREE + 2, (201, 1), R, 0, FREE + 21)
        .unwrap();
    check::world(&w);
    w.delete(w.boot(FREE + 2)).unwrap();
    assert!(!w.entry(FREE + 3, 201).is_present());
    assert!(w.entry(FREE + 3, 200).is_present());
    check::world(&w);
    w.delete(w.boot(FREE + 3)).unwrap();
    check::world(&w);
}

#[test]
fn a_cnode_goes_in_bounded_pieces() {
    let mut w = World::new();
    let node = w.make_cnode(FREE_RAM, FREE, 256);
    let console = w.caps.count();
    assert_eq!(w.caps.delete(node), Err(Error::Again));
    assert!(w.caps.count() < console && w.caps.deletion_pending());
    check::world(&w);
    // Meanwhile it is no CNode to anybody, and no memory changes hands.
    assert_eq!(node.ty(), CapType::Null);
    assert_eq!(w.caps.inner_slot(node, 0), Err(Error::WrongType));
    assert_eq!(
        w.copy(FREE + 1, FREE, Rights::all()),
        Err(Error::NoCapability)
    );
    assert_eq!(
        w.caps.move_to(w.boot(FREE + 1), node),
        Err(Error::NoCapability)
    );
    assert_eq!(w.caps.identify(node), Err(Error::NoCapability));
    assert_eq!(w.caps.revoke(node), Err(Error::NoCapability));
    assert_eq!(
        w.make(RAM, CapType::Frame, FREE_RAM + 8 * PAGE, PAGE, FREE + 1),
        Err(Error::Again)
    );
    let (result, again) = w.until_done(|caps| caps.delete(node));
    assert!(result.is_ok() || again == 0);
    assert!(node.is_empty() && !w.caps.deletion_pending());
    assert!(!w.boot(CONSOLE).is_empty());
    check::world(&w);
}

/// What the documentation says of one call: 128 capabilities, and what the last step overdraws.
#[test]
fn one_call_takes_out_so_many_and_no_more() {
    const MOST: u64 = 128;
    let mut w = World::new();
    let node = w.make_cnode(FREE_RAM, FREE, 256);
    for (what, revoked) in [("delete", false), ("revoke", true)] {
        let mut calls = 0;
        loop {
            let before = w.caps.count();
            let result = match revoked {
                false => w.caps.delete(node),
                true => w.caps.revoke(w.boot(RAM)),
            };
            let gone = before.saturating_sub(w.caps.count());
            assert!(gone <= MOST + 1, "{what}: {gone} at once");
            calls += 1;
            match result {
                Err(Error::Again) => assert!(calls < 1000, "{what} has no end"),
                other => break assert!(other.is_ok() || calls > 1, "{what}: {other:?}"),
            }
        }
        assert!(calls >= 3, "{what} took {calls} calls");
        if !revoked {
            w.settle();
            w.make_cnode(FREE_RAM, FREE, 256);
        }
    }
    check::world(&w);
}

#[test]
fn who_wants_memory_carries_a_deletion_on() {
    let mut w = World::new();
    let node = w.make_cnode(FREE_RAM, FREE, 256);
    assert_eq!(w.caps.delete(node), Err(Error::Again));
    let run = SlotRun::one(w.boot(FREE + 1));
    let ram = w.boot(RAM);
    let (result, again) = w.until_done(|caps| caps.retype(ram, run, CapType::L2CNode, FREE_RAM, 0));
    assert_eq!(result, Ok(()));
    assert!(again > 0);
    // Who began it hears of its end, once.
    assert_eq!(w.caps.delete(node), Ok(()));
    assert_eq!(w.caps.delete(node), Err(Error::NoCapability));
    check::world(&w);
}

/// What is left of memory that goes before what was made of it takes a piece of work for each of
/// those.
#[test]
fn memory_with_much_in_it_goes_in_bounded_pieces() {
    const FRAMES: u64 = 20;
    let mut w = World::new();
    w.caps.budget = 2 * crate::delete::REMOVE;
    for n in 0..FRAMES {
        let (offset, to) = (FREE_RAM + 2 * n * PAGE, FREE + n as usize);
        w.make(RAM, CapType::Frame, offset, PAGE, to).unwrap();
    }
    let ram = w.boot(RAM);
    let (result, again) = w.until_done(|caps| caps.delete(ram));
    assert_eq!(result, Ok(()));
    assert!(again as u64 >= FRAMES / 2, "{again} times");
    check::world(&w);
}

/// The second to delete carries the first one's on; what it wants deleted is whole until then. What
/// goes at once takes from neither, and the first hears of its end after it.
#[test]
fn one_deletion_at_a_time() {
    let mut w = World::new();
    w.caps.budget = 64;
    w.make(RAM, CapType::Frame, FREE_RAM + 8 * PAGE, PAGE, FREE + 2)
        .unwrap();
    let first = w.make_cnode(FREE_RAM, FREE, 20);
    let second = w.make_cnode(FREE_RAM + 4 * PAGE, FREE + 1, 20);
    assert_eq!(w.caps.delete(first), Err(Error::Again));
    let mut waited = 0;
    while w.caps.deletion_pending() {
        assert_eq!(second.ty(), CapType::L2CNode);
        assert_eq!(w.caps.delete(second), Err(Error::Again));
        waited += 1;
        check::world(&w);
    }
    assert!(waited > 1 && first.is_empty());
    assert_eq!(second.ty(), CapType::L2CNode);
    assert_eq!(w.caps.delete(w.boot(FREE + 2)), Ok(()));
    assert_eq!(w.caps.delete(first), Ok(()));
    assert_eq!(w.caps.delete(first), Err(Error::NoCapability));
    let (result, again) = w.until_done(|caps| caps.delete(second));
    assert!(result == Ok(()) && again > 1);
    check::world(&w);
}

#[test]
fn cnodes_that_contain_themselves_and_each_other_go() {
    // Itself.
    let mut w = World::new();
    w.make(RAM, CapType::L2CNode, FREE_RAM, 0, FREE).unwrap();
    let inner = w.caps.inner_slot(w.boot(FREE), 77).unwrap();
    w.caps.move_to(inner, w.boot(FREE)).unwrap();
    check::world(&w);
    w.delete(inner).unwrap();
    assert!(inner.is_empty());
    check::world(&w);
    // A ring of three, each the last copy in the next; deleted from one inside.
    for n in 0..3 {
        w.make(
            RAM,
            CapType::L2CNode,
            FREE_RAM + n * 4 * PAGE,
            0,
            FREE + n as usize,
        )
        .unwrap();
    }
    let inside: Vec<SlotRef> = (0..3)
        .map(|n| w.caps.inner_slot(w.boot(FREE + n), 5).unwrap())
        .collect();
    for n in 0..3 {
        w.caps
            .move_to(inside[(n + 1) % 3], w.boot(FREE + n))
            .unwrap();
    }
    check::world(&w);
    w.delete(inside[1]).unwrap();
    assert!(inside.iter().all(|slot| slot.is_empty()));
    check::world(&w);
    w.make(RAM, CapType::Frame, FREE_RAM, 12 * PAGE, FREE)
        .unwrap();
}

#[test]
fn a_chain_of_cnodes_goes_without_recursion() {
    let mut w = World::new();
    w.caps.budget = 64;
    let count = 18;
    for n in 0..count {
        w.make(
            RAM,
            CapType::L2CNode,
            FREE_RAM + n * 4 * PAGE,
            0,
            FREE + n as usize,
        )
        .unwrap();
    }
    for n in (1..count as usize).rev() {
        let inner = w.caps.inner_slot(w.boot(FREE + n - 1), 200).unwrap();
        w.caps.move_to(inner, w.boot(FREE + n)).unwrap();
    }
    check::world(&w);
    let again = loop {
        let slot = w.boot(FREE);
        let result = w.caps.delete(slot);
        check::world(&w);
        if result != Err(Error::Again) {
            break result;
        }
    };
    assert_eq!(again, Ok(()));
    assert_eq!(w.caps.count(), 8);
    w.make(RAM, CapType::Frame, FREE_RAM, count * 4 * PAGE, FREE)
        .unwrap();
}

#[test]
fn a_component_lets_go_of_what_it_holds() {
    let mut w = World::new();
    w.make(RAM, CapType::Component, FREE_RAM, 0, FREE).unwrap();
    w.make(RAM, CapType::L1CNode, FREE_RAM + PAGE, PAGE, FREE + 1)
        .unwrap();
    w.make(RAM, CapType::Pml4, FREE_RAM + 2 * PAGE, 0, FREE + 2)
        .unwrap();
    for (n, from) in [FREE + 1, FREE + 2].into_iter().enumerate() {
        let inner = w.caps.inner_slot(w.boot(FREE), n as u32).unwrap();
        w.caps.move_to(inner, w.boot(from)).unwrap();
    }
    w.caps
        .make_entry(w.boot(FREE + 3), w.boot(FREE), 1, 2)
        .unwrap();
    check::world(&w);
    w.delete(w.boot(FREE)).unwrap();
    let gone = destroyed(&w);
    assert_eq!(gone[0], CapType::Component, "told before it is taken apart");
    assert!(gone.contains(&CapType::L1CNode) && gone.contains(&CapType::Pml4));
    assert!(w.boot(FREE + 3).is_empty());
    check::world(&w);
}

#[test]
fn revoke_leaves_one() {
    let mut w = World::new();
    w.make(RAM, CapType::Ram, FREE_RAM, 16 * PAGE, FREE)
        .unwrap();
    w.copy(FREE + 1, FREE, Rights::all()).unwrap();
    w.make(FREE, CapType::Frame, 0, 8 * PAGE, FREE + 2).unwrap();
    w.make(FREE + 1, CapType::Pt, 8 * PAGE, 0, FREE + 3)
        .unwrap();
    w.make(FREE + 2, CapType::Frame, PAGE, PAGE, FREE + 4)
        .unwrap();
    w.map(FREE + 3, FREE + 4, (1, 1), R, 0, FREE + 5).unwrap();
    w.map(FREE + 3, FREE + 2, (2, 3), R, 0, FREE + 6).unwrap();
    w.copy(FREE + 7, FREE + 3, Rights::all()).unwrap();
    check::world(&w);
    w.revoke(w.boot(FREE)).unwrap();
    assert!((1..8).all(|n| w.boot(FREE + n).is_empty()));
    assert_eq!(w.boot(FREE).ty(), CapType::Ram);
    assert_eq!(w.make(FREE, CapType::Frame, 0, 16 * PAGE, FREE + 1), Ok(()));
    check::world(&w);
}

#[test]
fn revoking_a_frame_unmaps_it_everywhere() {
    let mut w = World::new();
    address_space(&mut w);
    w.revoke(w.boot(FREE + 4)).unwrap();
    assert!(w.boot(FREE + 13).is_empty() && w.boot(FREE + 14).is_empty());
    assert!(!w.boot(FREE + 4).is_empty());
    check::world(&w);
    w.map(FREE + 3, FREE + 4, (0, 8), RW, 0, FREE + 13).unwrap();
    w.revoke(w.boot(FREE + 3)).unwrap();
    assert!(w.boot(FREE + 12).is_empty(), "where the table was mapped");
    assert!(!w.boot(FREE + 13).is_empty(), "what is mapped in it");
    check::world(&w);
}

#[test]
fn revoke_needs_grant() {
    let mut w = World::new();
    w.copy(FREE, RAM, Rights::READ | Rights::WRITE).unwrap();
    assert_eq!(w.revoke(w.boot(FREE)), Err(Error::NoRight));
    assert!(!w.boot(RAM).is_empty());
}

#[test]
fn revoke_may_take_the_ground_it_stands_on() {
    let mut w = World::new();
    w.caps.budget = 80;
    // The Ram capability lies in a CNode made from that very memory.
    let ram = w.at(40);
    w.caps.move_to(ram, w.boot(RAM)).unwrap();
    check::world(&w);
    w.revoke(ram).unwrap();
    w.settle();
    // Only the roots beside it are left, and the memory, which nobody holds.
    assert_eq!(w.caps.count(), 4 + 1);
    assert_eq!(w.caps.reclaim(w.boot(RAM)), Ok((BASE, PAGES * PAGE)));
    check::world(&w);
}

#[test]
fn the_last_ram_capability_leaves_what_is_made_of_it() {
    let mut w = World::new();
    w.delete(w.boot(RAM)).unwrap();
    check::world(&w);
    assert!(w.caps.lookup(w.space(), CPtr(1)).is_err());
    w.delete(w.boot(L2)).unwrap();
    assert_eq!(w.caps.count(), 4 + 2 + 2, "two orphans around the CNodes");
    w.delete(w.boot(L1)).unwrap();
    assert_eq!(w.caps.count(), 4 + 1);
    check::world(&w);
}

#[test]
fn what_the_machine_does_to_forget_objects_is_on_the_account() {
    for (forgetting, expected) in [(0, 0), (crate::delete::BUDGET, 7)] {
        let mut w = World::new();
        w.caps.platform.forgetting = forgetting;
        let run = w.caps.slots(w.space(), CPtr(8), 8).unwrap();
        w.caps
            .retype(w.boot(RAM), run, CapType::Thread, FREE_RAM, 0)
            .unwrap();
        w.make(RAM, CapType::L2CNode, FREE_RAM + 16 * PAGE, 0, FREE + 1)
            .unwrap();
        let node = w.boot(FREE + 1);
        for n in 0..8 {
            let inner = w.caps.inner_slot(node, n).unwrap();
            w.caps.move_to(inner, w.at(8 + n as u8)).unwrap();
        }
        w.caps.platform.destroyed.clear();
        let (result, again) = w.until_done(|caps| match caps.delete(node) {
            Err(Error::NoCapability) => Ok(()),
            result => result,
        });
        assert_eq!(result, Ok(()));
        assert!(again >= expected, "{again} pieces");
        assert_eq!(destroyed(&w).len(), 9);
    }
}

#[test]
fn memory_comes_back_piece_by_piece_and_becomes_whole() {
    let mut w = World::new();
    w.delete(w.boot(L2)).unwrap();
    w.delete(w.boot(L1)).unwrap();
    for budget in [4096, 33] {
        w.caps.budget = budget;
        for n in 0..12 {
            let offset = 2 * n as u64 * PAGE;
            w.make(RAM, CapType::Frame, offset, PAGE, FREE + n).unwrap();
        }
        w.make(RAM, CapType::L2CNode, 40 * PAGE, 0, FREE + 12)
            .unwrap();
        w.delete(w.boot(RAM)).unwrap();
        check::world(&w);
        assert_eq!(w.caps.count(), 4 + 13 + 13);
        for n in [3, 0, 11, 12, 1, 2, 10, 9, 8, 4, 5, 6, 7] {
            w.delete(w.boot(FREE + n)).unwrap();
            check::world(&w);
        }
        assert_eq!(w.caps.count(), 4 + 1);
        assert_eq!(w.caps.reclaim(w.boot(RAM)), Ok((BASE, PAGES * PAGE)));
        assert_eq!(w.boot(RAM).cap().data, [0; 2]);
        assert_eq!(w.caps.reclaim(w.boot(FREE)), Err(Error::NotFound));
        check::world(&w);
    }
}

#[test]
fn reclaim_refuses() {
    let mut w = World::new();
    assert_eq!(w.caps.reclaim(w.boot(RAM)), Err(Error::SlotInUse));
    assert_eq!(w.caps.reclaim(w.boot(FREE)), Err(Error::NotFound));
    assert_eq!(w.caps.claim(w.boot(RAM), BASE), Err(Error::SlotInUse));
    // Somebody holds that Ram; devices are no memory; nothing is there.
    assert_eq!(w.caps.claim(w.boot(FREE), BASE), Err(Error::Overlaps));
    assert_eq!(w.caps.claim(w.boot(FREE), DEVICE), Err(Error::NotFound));
    assert_eq!(w.caps.claim(w.boot(FREE), 0), Err(Error::NotFound));
    w.delete(w.boot(RAM)).unwrap();
    let orphan = BASE + FREE_RAM;
    assert_eq!(w.caps.claim(w.boot(FREE), orphan), Err(Error::NotFound));
    check::world(&w);
}

#[test]
fn cnodes_that_nobody_can_reach_are_claimed_and_revoked() {
    let mut w = World::new();
    let whole = w.caps.count();
    for n in 0..2 {
        w.make(
            RAM,
            CapType::L2CNode,
            FREE_RAM + 4 * PAGE * n,
            0,
            FREE + n as usize,
        )
        .unwrap();
    }
    let inside = [0, 1].map(|n| w.caps.inner_slot(w.boot(FREE + n), 9).unwrap());
    w.caps.move_to(inside[1], w.boot(FREE)).unwrap();
    w.caps.move_to(inside[0], w.boot(FREE + 1)).unwrap();
    // With Ram above them, whoever holds that gets them back.
    let held = w.caps.count();
    w.make(RAM, CapType::Frame, FREE_RAM, PAGE, FREE)
        .unwrap_err();
    assert_eq!(held, whole + 2);
    // Without, they are nobody's, until the memory server claims the Ram under one of them.
    w.delete(w.boot(RAM)).unwrap();
    check::world(&w);
    let lost = BASE + FREE_RAM + 5 * PAGE;
    let (base, bytes) = w.caps.claim(w.boot(FREE), lost).unwrap();
    assert_eq!((base, bytes), (BASE + FREE_RAM + 4 * PAGE, 4 * PAGE));
    check::world(&w);
    w.revoke(w.boot(FREE)).unwrap();
    assert!(!w.caps.has_descendants(w.boot(FREE)));
    // The other had its last capability in the first.
    w.settle();
    check::world(&w);
    assert_eq!(
        w.caps.claim(w.boot(FREE + 1), BASE + FREE_RAM),
        Err(Error::NotFound)
    );
}

#[test]
fn what_is_left_of_an_ancestor_may_be_what_a_descendant_names() {
    for ty in [CapType::Ram, CapType::Frame] {
        let mut w = World::new();
        w.make(RAM, CapType::Ram, FREE_RAM, 16 * PAGE, FREE)
            .unwrap();
        w.make(FREE, ty, 0, 16 * PAGE - PAGE, FREE + 1).unwrap();
        w.make(FREE + 1, ty, 0, PAGE, FREE + 2).unwrap();
        w.make(FREE + 1, ty, PAGE, 14 * PAGE, FREE + 3).unwrap();
        w.make(FREE + 3, CapType::Frame, 4 * PAGE, PAGE, FREE + 4)
            .unwrap();
        for n in [L2, L1, RAM, FREE, FREE + 1] {
            w.delete(w.boot(n)).unwrap();
            check::world(&w);
        }
        for n in [FREE + 4, FREE + 2, FREE + 3] {
            w.delete(w.boot(n)).unwrap();
            check::world(&w);
        }
        assert_eq!(w.caps.count(), 4 + 1);
    }
}

#[test]
fn memory_that_held_slots_tells_nothing() {
    let mut w = World::new();
    // Under Ram that stays, so that the kernel makes no slot of its own in it.
    w.make(RAM, CapType::L2CNode, FREE_RAM, 0, FREE).unwrap();
    w.make(RAM, CapType::Component, FREE_RAM + 4 * PAGE, 0, FREE + 1)
        .unwrap();
    for (node, count) in [(FREE, 256), (FREE + 1, 4)] {
        for n in 0..count {
            let inner = w.caps.inner_slot(w.boot(node), n).unwrap();
            let what = [RAM, DEV, L1, CONSOLE][n as usize % 4];
            w.caps
                .copy(inner, w.boot(what), Rights::all(), false)
                .unwrap();
        }
    }
    w.delete(w.boot(FREE)).unwrap();
    w.delete(w.boot(FREE + 1)).unwrap();
    let words = w.caps.platform.virt(BASE + FREE_RAM).cast::<u64>();
    for n in 0..5 * PAGE as usize / size_of::<u64>() {
        // SAFETY: inside the machine's memory, where no object is any more.
        assert_eq!(unsafe { words.add(n).read() }, 0, "word {n}");
    }
}
