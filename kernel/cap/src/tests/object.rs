//! Copy, move, identify, and capabilities without memory of their own.

use super::*;
use crate::Identity;

#[test]
fn copies_have_at_most_the_sources_rights() {
    let mut w = World::new();
    let read_grant = Rights::READ | Rights::GRANT;
    w.copy(FREE, RAM, read_grant).unwrap();
    w.copy(FREE + 1, FREE, Rights::READ | Rights::WRITE)
        .unwrap();
    assert_eq!(w.boot(FREE).rights(), read_grant);
    assert_eq!(w.boot(FREE + 1).rights(), Rights::READ);
    assert!(w.caps.has_copies(w.boot(RAM)));
    assert!(!w.caps.has_copies(w.boot(DEV)));
    check::world(&w);
}

#[test]
fn copies_that_are_refused() {
    let mut w = World::new();
    let (ram, free) = (w.boot(RAM), w.boot(FREE));
    let all = Rights::all();
    assert_eq!(
        w.caps.copy(free, w.boot(FREE + 1), all, false),
        Err(Error::NoCapability)
    );
    assert_eq!(
        w.caps.copy(w.boot(DEV), ram, all, false),
        Err(Error::SlotInUse)
    );
    assert_eq!(w.caps.copy(ram, ram, all, false), Err(Error::SlotInUse));
    w.copy(FREE, RAM, Rights::READ | Rights::WRITE).unwrap();
    assert_eq!(
        w.caps.copy(w.boot(FREE + 1), free, all, true),
        Err(Error::NoRight)
    );
    assert_eq!(w.caps.copy(w.boot(FREE + 1), free, all, false), Ok(()));
    // A mapping.
    w.make(RAM, CapType::Pt, FREE_RAM, 0, FREE + 2).unwrap();
    w.make(RAM, CapType::Frame, FREE_RAM + PAGE, PAGE, FREE + 3)
        .unwrap();
    w.map(FREE + 2, FREE + 3, (0, 1), R, 0, FREE + 4).unwrap();
    assert_eq!(w.copy(FREE + 5, FREE + 4, all), Err(Error::WrongType));
    check::world(&w);
}

#[test]
fn capabilities_move() {
    let mut w = World::new();
    let (from, to) = (w.boot(CONSOLE), w.at(7));
    let before = from.cap();
    assert_eq!(w.caps.move_to(to, from), Ok(()));
    assert!(from.is_empty());
    assert_eq!(to.cap(), before);
    assert_eq!(w.caps.move_to(to, from), Err(Error::NoCapability));
    assert_eq!(w.caps.move_to(w.boot(RAM), to), Err(Error::SlotInUse));
    assert_eq!(w.caps.move_to(to, to), Err(Error::SlotInUse));
    assert!(w.caps.platform.destroyed.is_empty());
    check::world(&w);
}

#[test]
fn a_mapping_moves_and_still_unmaps() {
    let mut w = World::new();
    w.make(RAM, CapType::Pt, FREE_RAM, 0, FREE).unwrap();
    w.make(RAM, CapType::Frame, FREE_RAM + PAGE, PAGE, FREE + 1)
        .unwrap();
    w.map(FREE, FREE + 1, (9, 1), R, 0, FREE + 2).unwrap();
    let (from, to) = (w.boot(FREE + 2), w.at(3));
    w.caps.move_to(to, from).unwrap();
    check::world(&w);
    w.caps.mapping_destroy(to).unwrap();
    assert!(!w.entry(FREE, 9).is_present());
    check::world(&w);
}

#[test]
fn identify_tells_what_it_may() {
    let mut w = World::new();
    let empty = w.boot(FREE);
    assert_eq!(w.caps.identify(empty), Err(Error::NoCapability));
    assert_eq!(
        w.caps.identify(w.boot(DEV)),
        Ok(Identity {
            ty: CapType::DevFrame,
            rights: Rights::all(),
            base: DEVICE,
            bytes: DEVICE_BYTES,
            specific: 0,
        })
    );
    w.make(RAM, CapType::Component, FREE_RAM, 0, FREE).unwrap();
    let (entry, irq) = (w.boot(FREE + 1), w.boot(FREE + 2));
    w.caps
        .make_entry(entry, w.boot(FREE), 0x40_0000, 0xbad6e)
        .unwrap();
    let told = w.caps.identify(entry).unwrap();
    assert_eq!((told.base, told.bytes, told.specific), (0, 0, 0));
    w.caps.make_irq(irq, w.boot(KERNEL), [5, 0x40]).unwrap();
    assert_eq!(w.caps.identify(irq).unwrap().specific, 5);
    w.make(RAM, CapType::Pt, FREE_RAM + PAGE, 0, FREE + 3)
        .unwrap();
    w.make(RAM, CapType::Frame, FREE_RAM + 2 * PAGE, 4 * PAGE, FREE + 4)
        .unwrap();
    w.map(FREE + 3, FREE + 4, (7, 2), R, PAGE, FREE + 5)
        .unwrap();
    let told = w.caps.identify(w.boot(FREE + 5)).unwrap();
    assert_eq!(told.specific, 7 | 2 << 16 | 1 << 32);
    assert_eq!(
        (told.base, told.bytes),
        (BASE + FREE_RAM + 2 * PAGE, 4 * PAGE)
    );
}

#[test]
fn entries_belong_to_their_component() {
    let mut w = World::new();
    w.make(RAM, CapType::Component, FREE_RAM, 0, FREE).unwrap();
    let (component, entry) = (w.boot(FREE), w.boot(FREE + 1));
    assert_eq!(
        w.caps.make_entry(entry, w.boot(RAM), 1, 2),
        Err(Error::WrongType)
    );
    w.copy(FREE + 2, FREE, Rights::READ).unwrap();
    assert_eq!(
        w.caps.make_entry(entry, w.boot(FREE + 2), 1, 2),
        Err(Error::NoRight)
    );
    assert_eq!(
        w.caps.make_entry(w.boot(RAM), component, 1, 2),
        Err(Error::SlotInUse)
    );
    w.caps.make_entry(entry, component, 1, 2).unwrap();
    assert_eq!(entry.base(), component.base());
    assert_eq!(entry.data(), [1, 2]);
    assert!(w.caps.has_descendants(component));
    // Another badge is another Entry, not a copy.
    w.caps
        .make_entry(w.boot(FREE + 3), component, 1, 3)
        .unwrap();
    assert!(!w.caps.has_copies(entry));
    check::world(&w);
    // The last Component capability takes the Entries with it.
    w.delete(w.boot(FREE + 2)).unwrap();
    assert!(!entry.is_empty());
    w.delete(component).unwrap();
    assert!(entry.is_empty() && w.boot(FREE + 3).is_empty());
    check::world(&w);
}

#[test]
fn irqs_belong_to_their_core() {
    let mut w = World::new();
    let (kernel, irq) = (w.boot(KERNEL), w.boot(FREE));
    assert_eq!(
        w.caps.make_irq(irq, w.boot(CONSOLE), [1, 0]),
        Err(Error::WrongType)
    );
    w.copy(FREE + 1, KERNEL, Rights::READ).unwrap();
    assert_eq!(
        w.caps.make_irq(irq, w.boot(FREE + 1), [1, 0]),
        Err(Error::NoRight)
    );
    w.caps.make_irq(irq, kernel, [1, 0]).unwrap();
    assert_eq!(w.caps.make_irq(irq, kernel, [1, 0]), Err(Error::SlotInUse));
    check::world(&w);
    w.revoke(kernel).unwrap();
    assert!(irq.is_empty() && w.boot(FREE + 1).is_empty());
    let gone = w.caps.platform.destroyed.last().unwrap();
    assert_eq!((gone.ty, gone.data), (CapType::Irq, [1, 0]));
}

#[test]
fn siblings_over_one_region_are_no_descendants() {
    let mut w = World::new();
    w.make(RAM, CapType::Component, FREE_RAM, 0, FREE).unwrap();
    for n in 0..3 {
        let dest = w.boot(FREE + 1 + n);
        w.caps.make_entry(dest, w.boot(FREE), 1, n as u64).unwrap();
    }
    for n in 0..3 {
        assert!(!w.caps.has_descendants(w.boot(FREE + 1 + n)));
        w.revoke(w.boot(FREE + 1 + n)).unwrap();
    }
    assert!((0..4).all(|n| !w.boot(FREE + n).is_empty()));
}
