//! Root capabilities, and lookups in the CSpace that boot makes of them.

use super::*;

#[test]
fn the_first_world_holds_together() {
    let w = World::new();
    let all = check::world(&w);
    assert_eq!(w.caps.count(), all.len() as u64);
    assert_eq!(all.len(), 8);
    let made: Vec<CapType> = w.caps.platform.created.iter().map(|cap| cap.ty).collect();
    assert_eq!(made, [CapType::L1CNode, CapType::L2CNode]);
}

#[test]
fn roots_are_refused_where_they_make_no_sense() {
    let mut w = World::new();
    let mut root = |slot, ty, base, bytes| {
        let slot = w.boot(slot);
        w.caps.insert_root(slot, ty, base, bytes)
    };
    let ram = CapType::Ram;
    assert_eq!(root(RAM, ram, 1 << 40, PAGE), Err(Error::SlotInUse));
    assert_eq!(
        root(FREE, CapType::Frame, 1 << 40, PAGE),
        Err(Error::BadRetype)
    );
    assert_eq!(root(FREE, CapType::Null, 0, PAGE), Err(Error::BadRetype));
    assert_eq!(root(FREE, ram, 1 << 40, 0), Err(Error::BadSize));
    assert_eq!(root(FREE, ram, 1 << 40, 17), Err(Error::BadSize));
    assert_eq!(root(FREE, ram, (1 << 40) + 1, PAGE), Err(Error::BadAlign));
    assert_eq!(root(FREE, ram, 1 << 52, PAGE), Err(Error::OutOfRange));
    assert_eq!(
        root(FREE, ram, 0u64.wrapping_sub(PAGE), PAGE),
        Err(Error::OutOfRange)
    );
    assert_eq!(root(FREE, ram, 0, 1 << 52), Err(Error::Overlaps));
    assert_eq!(root(FREE, ram, BASE + PAGE, PAGE), Err(Error::Overlaps));
    assert_eq!(root(FREE, ram, DEVICE, PAGE), Err(Error::Overlaps));
    assert_eq!(
        root(FREE, CapType::DevFrame, BASE, PAGE),
        Err(Error::Overlaps)
    );
    assert_eq!(root(FREE, CapType::IoPorts, 7, 1), Err(Error::Overlaps));
    assert_eq!(
        root(FREE, CapType::IoPorts, 1 << 16, 1),
        Err(Error::OutOfRange)
    );
    assert_eq!(root(FREE, CapType::Kernel, 0, 1), Err(Error::Overlaps));
    assert_eq!(root(FREE, CapType::Kernel, 1, 1), Ok(()));
    assert_eq!(root(FREE + 1, ram, BASE - PAGE, PAGE), Ok(()));
    check::world(&w);
}

#[test]
fn lookups() {
    let mut w = World::new();
    let space = w.space();
    assert_eq!(space.base(), BASE);
    let found = |w: &World, at| w.caps.lookup(w.space(), at).map(|slot| slot.ty());
    assert_eq!(found(&w, CPtr(9)), Err(Error::NoCapability));
    w.caps
        .copy(w.at(9), w.boot(CONSOLE), Rights::all(), false)
        .unwrap();
    assert_eq!(found(&w, CPtr(9)), Ok(CapType::Console));
    assert_eq!(
        w.caps
            .lookup_typed(space, CPtr(9), CapType::Console)
            .map(|slot| slot.ty()),
        Ok(CapType::Console)
    );
    for (at, ty, error) in [
        (CPtr(9), CapType::Kernel, Error::WrongType),
        (CPtr(10), CapType::Kernel, Error::NoCapability),
    ] {
        assert_eq!(w.caps.lookup_typed(space, at, ty), Err(error));
    }
    // No L2 CNode there; past the root; the farthest address.
    for at in [CPtr::new(1, 0), CPtr::new(64, 0), CPtr::RETURN] {
        assert_eq!(found(&w, at), Err(Error::NoCapability));
        assert_eq!(w.caps.slot(space, at), Err(Error::BadSlot));
        assert_eq!(w.caps.empty_slot(space, at), Err(Error::BadSlot));
    }
    assert_eq!(w.caps.cspace(w.boot(RAM)), Err(Error::WrongType));
    assert_eq!(w.caps.cspace(w.boot(FREE)), Err(Error::WrongType));
}

#[test]
fn runs_of_slots() {
    let mut w = World::new();
    let space = w.space();
    w.caps
        .copy(w.at(9), w.boot(CONSOLE), Rights::all(), false)
        .unwrap();
    let run = |at, count| w.caps.slots(space, CPtr(at), count).map(|run| run.count());
    assert_eq!(run(1, 255), Ok(255));
    assert_eq!(run(0, 1), Err(Error::BadSlot));
    assert_eq!(run(1, 0), Err(Error::BadSize));
    assert_eq!(run(10, 246), Ok(246));
    assert_eq!(run(10, 247), Err(Error::BadSlot));
    assert_eq!(run(10, u32::MAX), Err(Error::BadSlot));
    assert_eq!(run(u32::MAX, 1), Err(Error::BadSlot));
    assert_eq!(w.caps.empty_slot(space, CPtr(9)), Err(Error::SlotInUse));
    assert_eq!(w.caps.empty_slot(space, CPtr(0)), Err(Error::BadSlot));
    assert!(w.caps.empty_slot(space, CPtr(8)).is_ok());
}

#[test]
fn l2_cnodes_are_installed() {
    let mut w = World::new();
    w.make(RAM, CapType::L2CNode, FREE_RAM, 0, FREE).unwrap();
    let (l1, l2) = (w.boot(L1), w.boot(FREE));
    assert_eq!(w.caps.install_l2(l1, 0, l2), Err(Error::SlotInUse));
    assert_eq!(w.caps.install_l2(l1, 64, l2), Err(Error::BadSlot));
    assert_eq!(w.caps.install_l2(l1, u32::MAX, l2), Err(Error::BadSlot));
    assert_eq!(w.caps.install_l2(l2, 1, l2), Err(Error::WrongType));
    assert_eq!(w.caps.install_l2(l1, 1, l1), Err(Error::WrongType));
    w.copy(FREE + 1, L1, Rights::READ).unwrap();
    let weak = w.boot(FREE + 1);
    assert_eq!(w.caps.install_l2(weak, 1, l2), Err(Error::NoRight));
    assert_eq!(w.caps.install_l2(l1, 1, l2), Ok(()));
    assert!(w.caps.empty_slot(w.space(), CPtr::new(1, 0)).is_ok());
    check::world(&w);
}

#[test]
fn slots_inside_objects() {
    let mut w = World::new();
    w.make(RAM, CapType::Component, FREE_RAM, 0, FREE).unwrap();
    let inner = |slot, n| w.caps.inner_slot(w.boot(slot), n).map(|slot| slot.ty());
    assert_eq!(inner(FREE, 3), Ok(CapType::Null));
    assert_eq!(inner(FREE, 4), Err(Error::BadSlot));
    assert_eq!(inner(L1, 0), Ok(CapType::L2CNode));
    assert_eq!(inner(L2, 255), Ok(CapType::Null));
    assert_eq!(inner(L2, 256), Err(Error::BadSlot));
    assert_eq!(inner(RAM, 0), Err(Error::WrongType));
    assert_eq!(inner(FREE + 1, 0), Err(Error::WrongType));
}
