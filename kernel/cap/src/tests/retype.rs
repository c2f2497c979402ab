//! Retype: what it makes, and everything it refuses.

use super::*;

#[test]
fn every_legal_retype_and_no_other() {
    for parent in CapType::ALL {
        for child in CapType::ALL {
            let mut w = World::new();
            let from = match parent {
                CapType::Ram => RAM,
                CapType::DevFrame => DEV,
                CapType::IoPorts => PORTS,
                CapType::Kernel => KERNEL,
                CapType::Console => CONSOLE,
                _ if info(parent).parents.contains(&CapType::Ram) => {
                    let bytes = match info(parent).size {
                        crate::captype::Size::Fixed(_) => 0,
                        _ => 8 * PAGE,
                    };
                    w.make(RAM, parent, FREE_RAM, bytes, FREE).unwrap();
                    FREE
                }
                _ => continue,
            };
            let bytes = match info(child).size {
                crate::captype::Size::Fixed(_) => 0,
                _ => PAGE,
            };
            let legal = info(child).parents.contains(&parent);
            let offset = if from == RAM { FREE_RAM } else { 0 };
            let result = w.make(from, child, offset, bytes, FREE + 1);
            let expected = if legal { Ok(()) } else { Err(Error::BadRetype) };
            assert_eq!(result, expected, "{child:?} from {parent:?}");
            check::world(&w);
        }
    }
}

#[test]
fn a_run_of_objects_is_zeroed_and_announced() {
    let mut w = World::new();
    // SAFETY: memory that nothing uses yet.
    unsafe {
        w.caps
            .platform
            .virt(BASE + FREE_RAM)
            .write_bytes(0xff, 4 * PAGE as usize);
    }
    let run = w.caps.slots(w.space(), CPtr(8), 3).unwrap();
    let before = w.caps.platform.created.len();
    w.caps
        .retype(w.boot(RAM), run, CapType::Pt, FREE_RAM, 0)
        .unwrap();
    for n in 0..3 {
        let slot = w.at(8 + n);
        assert_eq!(slot.base(), BASE + FREE_RAM + u64::from(n) * PAGE);
        assert_eq!((slot.ty(), slot.bytes()), (CapType::Pt, PAGE));
        assert_eq!(w.caps.read(slot, 511).unwrap().0, 0);
    }
    assert_eq!(w.caps.platform.created.len(), before + 3);
    // SAFETY: the next byte, which no object has.
    let beyond = unsafe { *w.caps.platform.virt(BASE + FREE_RAM + 3 * PAGE) };
    assert_eq!(beyond, 0xff);
    check::world(&w);
}

#[test]
fn frames_keep_what_is_in_them() {
    let mut w = World::new();
    // SAFETY: memory that nothing uses yet.
    unsafe { *w.caps.platform.virt(BASE + FREE_RAM) = 7 };
    w.make(RAM, CapType::Frame, FREE_RAM, PAGE, FREE).unwrap();
    // SAFETY: a frame's memory, used by nobody.
    assert_eq!(unsafe { *w.caps.platform.virt(BASE + FREE_RAM) }, 7);
}

#[test]
fn sizes_places_and_slots_are_checked() {
    let mut w = World::new();
    let ram = CapType::Ram;
    let frame = CapType::Frame;
    let total = PAGES * PAGE;
    for (ty, offset, bytes, error) in [
        (frame, FREE_RAM, 0, Error::BadSize),
        (frame, FREE_RAM, 100, Error::BadSize),
        (frame, FREE_RAM, u64::MAX, Error::BadSize),
        (frame, FREE_RAM, 1 << 52, Error::OutOfRange),
        (CapType::Pt, FREE_RAM, 2 * PAGE, Error::BadSize),
        (CapType::L2CNode, FREE_RAM, PAGE, Error::BadSize),
        (CapType::L1CNode, FREE_RAM, 2 << 20, Error::BadSize),
        (frame, FREE_RAM + 1, PAGE, Error::BadAlign),
        (frame, total, PAGE, Error::OutOfRange),
        (frame, u64::MAX, PAGE, Error::OutOfRange),
        (frame, 0u64.wrapping_sub(PAGE), PAGE, Error::OutOfRange),
        (frame, total - PAGE, 2 * PAGE, Error::OutOfRange),
        (ram, 0, total, Error::BadSize),
        (frame, 0, total, Error::Overlaps),
        (frame, 0, PAGE, Error::Overlaps),
        (frame, 7 * PAGE, PAGE, Error::Overlaps),
        (frame, 3 * PAGE, 2 * PAGE, Error::Overlaps),
    ] {
        assert_eq!(
            w.make(RAM, ty, offset, bytes, FREE),
            Err(error),
            "{ty:?} {offset:#x} {bytes:#x}"
        );
    }
    assert_eq!(
        w.make(FREE, frame, 0, PAGE, FREE + 1),
        Err(Error::NoCapability)
    );
    let run = w.caps.slots(w.space(), CPtr(1), 3).unwrap();
    for slot in [w.boot(FREE), w.at(3)] {
        w.caps
            .copy(slot, w.boot(CONSOLE), Rights::all(), false)
            .unwrap();
    }
    for run in [run, SlotRun::one(w.boot(FREE))] {
        assert_eq!(
            w.caps.retype(w.boot(RAM), run, frame, FREE_RAM, PAGE),
            Err(Error::SlotInUse)
        );
    }
    w.delete(w.at(3)).unwrap();
    let run = w.caps.slots(w.space(), CPtr(1), 255).unwrap();
    assert_eq!(
        w.caps
            .retype(w.boot(RAM), run, CapType::L2CNode, FREE_RAM, 0),
        Err(Error::BadSize),
        "more than is cleared at once"
    );
    check::world(&w);
}

#[test]
fn kernel_objects_need_the_right_to_write() {
    let mut w = World::new();
    w.copy(FREE, RAM, Rights::READ).unwrap();
    assert_eq!(
        w.make(FREE, CapType::Pt, FREE_RAM, 0, FREE + 1),
        Err(Error::NoRight)
    );
    w.make(FREE, CapType::Frame, FREE_RAM, PAGE, FREE + 1)
        .unwrap();
    assert_eq!(w.boot(FREE + 1).rights(), Rights::READ);
}

#[test]
fn what_is_in_between_is_found() {
    let mut w = World::new();
    let at = |page: u64| FREE_RAM + page * PAGE;
    w.make(RAM, CapType::Ram, at(0), 16 * PAGE, FREE).unwrap();
    w.make(FREE, CapType::Frame, 4 * PAGE, 8 * PAGE, FREE + 1)
        .unwrap();
    for (offset, pages, free) in [
        (0, 4, true),
        (0, 5, false),
        (11, 1, false),
        (12, 4, true),
        (5, 1, false),
        (0, 16, false),
    ] {
        let result = w.make(FREE, CapType::Frame, offset * PAGE, pages * PAGE, FREE + 2);
        assert_eq!(result.is_ok(), free, "{offset} {pages}");
        if free {
            w.delete(w.boot(FREE + 2)).unwrap();
        } else {
            assert_eq!(result, Err(Error::Overlaps));
        }
        assert_eq!(
            w.caps
                .has_descendant_in(w.boot(FREE), BASE + at(offset), pages * PAGE),
            !free
        );
    }
    // The outer region knows of the inner one's children even when the inner one is gone.
    w.delete(w.boot(FREE)).unwrap();
    assert_eq!(
        w.make(RAM, CapType::Frame, at(5), PAGE, FREE),
        Err(Error::Overlaps)
    );
    check::world(&w);
}

#[test]
fn frames_nest_a_bounded_number_deep() {
    let mut w = World::new();
    w.make(RAM, CapType::Frame, FREE_RAM, 40 * PAGE, FREE)
        .unwrap();
    for n in 1..=crate::captype::MAX_NESTING {
        let from = FREE + n as usize - 1;
        w.make(
            from,
            CapType::Frame,
            0,
            (40 - u64::from(n)) * PAGE,
            from + 1,
        )
        .unwrap();
    }
    let last = FREE + crate::captype::MAX_NESTING as usize;
    assert_eq!(
        w.make(last, CapType::Frame, 0, PAGE, last + 1),
        Err(Error::BadRetype)
    );
    check::world(&w);
}

#[test]
fn a_mapped_frame_can_still_be_cut_up() {
    let mut w = World::new();
    w.make(RAM, CapType::Pt, FREE_RAM, 0, FREE).unwrap();
    w.make(RAM, CapType::Frame, FREE_RAM + PAGE, 4 * PAGE, FREE + 1)
        .unwrap();
    w.map(FREE, FREE + 1, (0, 4), RW, 0, FREE + 2).unwrap();
    w.make(FREE + 1, CapType::Frame, 0, PAGE, FREE + 3).unwrap();
    w.map(FREE, FREE + 3, (9, 1), R, 0, FREE + 4).unwrap();
    check::world(&w);
    // Each mapping goes with the frame that it was made of.
    w.delete(w.boot(FREE + 1)).unwrap();
    assert!(!w.entry(FREE, 0).is_present() && w.entry(FREE, 9).is_present());
    check::world(&w);
}

#[test]
fn ports_are_cut_up_like_memory() {
    let mut w = World::new();
    w.make(PORTS, CapType::IoPorts, 0x3f8, 8, FREE).unwrap();
    assert_eq!(w.boot(FREE).base(), 0x3f8);
    assert_eq!(
        w.make(PORTS, CapType::IoPorts, 0x3ff, 2, FREE + 1),
        Err(Error::Overlaps)
    );
    assert_eq!(
        w.make(FREE, CapType::IoPorts, 7, 2, FREE + 1),
        Err(Error::OutOfRange)
    );
    check::world(&w);
}
