//! Map, unmap, modify, clear-dirty and read, with every error.

use super::*;

const PML4: usize = FREE;
const PDPT: usize = FREE + 1;
const PD: usize = FREE + 2;
const PT: usize = FREE + 3;
const FRAME: usize = FREE + 4;
/// First empty boot slot.
const TO: usize = FREE + 10;

/// One table of each level, nothing mapped, and a frame of 16 pages.
fn world() -> World {
    let mut w = World::new();
    w.make_tables(PML4);
    w.make(RAM, CapType::Frame, FREE_RAM + 8 * PAGE, 16 * PAGE, FRAME)
        .unwrap();
    w
}

#[test]
fn pages_are_mapped_in_a_run() {
    let mut w = world();
    w.map(PT, FRAME, (510, 2), RW, 3 * PAGE, TO).unwrap();
    let base = w.boot(FRAME).base();
    assert_eq!(w.entry(PT, 510).address().0, base + 3 * PAGE);
    assert_eq!(w.entry(PT, 511).address().0, base + 4 * PAGE);
    assert!(w.entry(PT, 511).is_writable());
    assert_eq!(w.boot(TO).ty(), CapType::MapFrame);
    assert_eq!(w.caps.platform.flushes, 0, "nothing was cached");
    check::world(&w);
}

/// Two frames over one page, each mapped at the same entry of a table of its own: what one of the
/// mappings allows says nothing of the other's entry.
#[test]
fn an_entry_belongs_to_a_mapping_of_its_own_table() {
    let mut w = world();
    let (part, other, weak) = (FREE + 5, FREE + 6, FREE + 7);
    w.make(FRAME, CapType::Frame, 0, PAGE, part).unwrap();
    w.make(RAM, CapType::Pt, FREE_RAM + 4 * PAGE, 0, other)
        .unwrap();
    w.copy(weak, FRAME, Rights::READ).unwrap();
    w.map(PT, weak, (5, 1), R, 0, TO).unwrap();
    w.map(other, part, (5, 1), R, 0, TO + 1).unwrap();
    let modify = |w: &mut World, table| w.caps.modify(w.boot(table), 5, 1, RW);
    assert_eq!(modify(&mut w, other), Ok(()));
    assert_eq!(modify(&mut w, PT), Err(Error::BadFlags));
    assert!(w.entry(other, 5).is_writable() && !w.entry(PT, 5).is_writable());
    w.delete(w.boot(other)).unwrap();
    assert!(w.boot(TO + 1).is_empty() && w.entry(PT, 5).is_present());
    check::world(&w);
}

#[test]
fn map_refuses() {
    let mut w = world();
    w.copy(FREE + 5, FRAME, Rights::READ).unwrap();
    w.copy(FREE + 6, PT, Rights::READ).unwrap();
    let (read_only, read_pt) = (FREE + 5, FREE + 6);
    w.map(PT, FRAME, (100, 1), R, 0, TO).unwrap();
    let one = (0, 1);
    let exec_write = RW | MapFlags::EXECUTE;
    let none = MapFlags::empty();
    for (table, source, entries, flags, offset, error) in [
        (RAM, FRAME, one, R, 0, Error::WrongType),
        (FRAME, FRAME, one, R, 0, Error::WrongType),
        (FREE + 7, FRAME, one, R, 0, Error::WrongType),
        (PT, RAM, one, R, 0, Error::WrongType),
        (PT, CONSOLE, one, R, 0, Error::WrongType),
        (PT, L1, one, R, 0, Error::WrongType),
        (PT, L2, one, R, 0, Error::WrongType),
        (PT, PML4, one, R, 0, Error::WrongType),
        (PT, TO, one, R, 0, Error::WrongType),
        (PT, FREE + 7, one, R, 0, Error::WrongType),
        (PML4, FRAME, one, R | LARGE, 0, Error::WrongType),
        (PML4, PD, one, R, 0, Error::WrongType),
        (PD, PD, one, R, 0, Error::WrongType),
        (PD, PDPT, one, R, 0, Error::WrongType),
        (read_pt, FRAME, one, R, 0, Error::NoRight),
        (PD, read_pt, one, R, 0, Error::NoRight),
        (PT, FRAME, (0, 0), R, 0, Error::BadSize),
        (PD, PT, (0, 2), R, 0, Error::BadSize),
        (PT, PT, (0, 2), R, 0, Error::BadSize),
        (PT, FRAME, (511, 2), R, 0, Error::OutOfRange),
        (PT, FRAME, (u16::MAX, u16::MAX), R, 0, Error::OutOfRange),
        (PML4, PDPT, (256, 1), R, 0, Error::OutOfRange),
        (PML4, PDPT, (511, 1), R, 0, Error::OutOfRange),
        (PT, FRAME, (0, 17), R, 0, Error::OutOfRange),
        (PT, FRAME, (0, 2), R, 15 * PAGE, Error::OutOfRange),
        (PT, FRAME, one, R, u64::MAX, Error::OutOfRange),
        (
            PT,
            FRAME,
            one,
            R,
            0u64.wrapping_sub(PAGE),
            Error::OutOfRange,
        ),
        (PD, PT, one, R, PAGE, Error::OutOfRange),
        (PT, FRAME, one, R, 8, Error::BadAlign),
        (PT, FRAME, one, exec_write, 0, Error::BadFlags),
        (PT, FRAME, one, none, 0, Error::BadFlags),
        (PT, FRAME, one, MapFlags::WRITE, 0, Error::BadFlags),
        (PT, FRAME, one, R | LARGE, 0, Error::BadFlags),
        (PD, FRAME, one, R, 0, Error::BadFlags),
        (PD, PT, one, R | LARGE, 0, Error::BadFlags),
        (PD, PT, one, exec_write, 0, Error::BadFlags),
        (PT, PT, one, RW, 0, Error::BadFlags),
        (PT, PT, one, RX, 0, Error::BadFlags),
        (PT, read_only, one, RW, 0, Error::BadFlags),
        (PT, read_only, one, RX, 0, Error::BadFlags),
        (PT, FRAME, (99, 2), R, 0, Error::EntryInUse),
        (PT, PT, (100, 1), R, 0, Error::EntryInUse),
    ] {
        let result = w.map(table, source, entries, flags, offset, TO + 1);
        assert_eq!(
            result,
            Err(error),
            "{table} {source} {entries:?} {flags:?} {offset:#x}"
        );
    }
    assert_eq!(w.map(PT, FRAME, one, R, 0, TO), Err(Error::SlotInUse));
    assert_eq!(w.caps.count(), 8 + 5 + 2 + 1);
    check::world(&w);
}

#[test]
fn large_pages() {
    let mut w = world();
    w.map(PD, DEV, (7, 2), RW | LARGE, 2 << 20, TO).unwrap();
    let entry = w.entry(PD, 8);
    assert!(entry.is_large());
    assert_eq!(entry.address().0, DEVICE + (4 << 20));
    w.map(PDPT, DEV, (1, 2), R | LARGE, 1 << 30, TO + 1)
        .unwrap();
    check::world(&w);
    for (table, entries, offset, error) in [
        (PD, (20, 1), PAGE, Error::BadAlign),
        (PDPT, (20, 1), 2 << 20, Error::BadAlign),
        (PDPT, (20, 5), 0, Error::OutOfRange),
        (PD, (20, 1), DEVICE_BYTES - PAGE, Error::OutOfRange),
    ] {
        assert_eq!(
            w.map(table, DEV, entries, R | LARGE, offset, TO + 2),
            Err(error)
        );
    }
    w.caps.platform.gib_pages = false;
    assert_eq!(
        w.map(PDPT, DEV, (20, 1), R | LARGE, 0, TO + 2),
        Err(Error::NotSupported)
    );
    // A frame of 64 KiB is no large page.
    assert_eq!(
        w.map(PD, FRAME, (20, 1), R | LARGE, 0, TO + 2),
        Err(Error::OutOfRange)
    );
    w.delete(w.boot(DEV)).unwrap();
    assert!(!w.entry(PD, 7).is_present() && !w.entry(PDPT, 2).is_present());
    check::world(&w);
}

#[test]
fn device_memory_is_never_cached() {
    let mut w = world();
    w.map(PT, DEV, (0, 1), RW, 0, TO).unwrap();
    let uncached = |w: &World| w.entry(PT, 0).0 & paging::Entry::NO_CACHE != 0;
    assert!(uncached(&w));
    w.caps.modify(w.boot(PT), 0, 1, R).unwrap();
    assert!(uncached(&w));
    w.caps.mapping_modify(w.boot(TO), 0, 1, RW).unwrap();
    assert!(uncached(&w));
}

#[test]
fn next_level_tables_are_mapped_permissively() {
    let mut w = world();
    w.map(PML4, PDPT, (255, 1), R, 0, TO).unwrap();
    w.map(PDPT, PD, (0, 1), R, 0, TO + 1).unwrap();
    w.map(PD, PT, (1, 1), R, 0, TO + 2).unwrap();
    let types: Vec<CapType> = (0..3).map(|n| w.boot(TO + n).ty()).collect();
    assert_eq!(types, [CapType::MapPdpt, CapType::MapPd, CapType::MapPt]);
    for (table, index) in [(PML4, 255), (PDPT, 0), (PD, 1)] {
        let entry = w.entry(table, index);
        assert!(entry.is_writable() && entry.0 & paging::Entry::NO_EXECUTE == 0);
    }
    assert_eq!(
        w.caps.modify(w.boot(PD), 1, 1, R),
        Err(Error::WrongType),
        "an entry that points to a table has no flags of its own"
    );
    assert_eq!(
        w.caps.mapping_modify(w.boot(TO), 0, 1, R),
        Err(Error::WrongType)
    );
    check::world(&w);
}

#[test]
fn tables_can_be_read_but_never_written() {
    let mut w = world();
    for (n, table) in [PT, PD, PDPT].into_iter().enumerate() {
        w.map(PT, table, (n as u16, 1), R, 0, TO + n).unwrap();
        let entry = w.entry(PT, n as u16);
        assert!(!entry.is_writable() && entry.0 & paging::Entry::NO_EXECUTE != 0);
        assert_eq!(
            w.caps.modify(w.boot(PT), n as u16, 1, RW),
            Err(Error::BadFlags)
        );
        assert_eq!(
            w.caps.mapping_modify(w.boot(TO + n), 0, 1, RX),
            Err(Error::BadFlags)
        );
    }
    check::world(&w);
}

#[test]
fn unmap() {
    let mut w = world();
    w.make(RAM, CapType::Pt, FREE_RAM + 4 * PAGE, 0, FREE + 5)
        .unwrap();
    w.map(PT, FRAME, (4, 4), RW, 0, TO).unwrap();
    let unmap = |w: &mut World, table, mapping| {
        let (table, mapping) = (w.boot(table), w.boot(mapping));
        w.caps.unmap(table, mapping)
    };
    assert_eq!(unmap(&mut w, FREE + 5, TO), Err(Error::NotMapped));
    assert_eq!(unmap(&mut w, PT, FRAME), Err(Error::WrongType));
    assert_eq!(unmap(&mut w, PT, TO + 1), Err(Error::WrongType));
    assert_eq!(unmap(&mut w, FRAME, TO), Err(Error::WrongType));
    w.copy(FREE + 6, PT, Rights::READ).unwrap();
    assert_eq!(unmap(&mut w, FREE + 6, TO), Err(Error::NoRight));
    assert_eq!(unmap(&mut w, PT, TO), Ok(()));
    assert_eq!(w.caps.platform.flushes, 1);
    assert!(w.boot(TO).is_empty() && !w.entry(PT, 4).is_present());
    check::world(&w);
    assert_eq!(w.caps.mapping_destroy(w.boot(TO)), Err(Error::WrongType));
    // Deleting the mapping capability is the same.
    w.map(PT, FRAME, (4, 4), RW, 0, TO).unwrap();
    w.delete(w.boot(TO)).unwrap();
    assert!(!w.entry(PT, 7).is_present());
    check::world(&w);
}

#[test]
fn modify_across_mappings() {
    let mut w = world();
    w.map(PT, FRAME, (0, 4), RW, 0, TO).unwrap();
    w.copy(FREE + 5, FRAME, Rights::READ).unwrap();
    w.map(PT, FREE + 5, (4, 4), R, 4 * PAGE, TO + 1).unwrap();
    let modify = |w: &mut World, first, count, flags| {
        let table = w.boot(PT);
        w.caps.modify(table, first, count, flags)
    };
    assert_eq!(modify(&mut w, 2, 4, R), Ok(()));
    assert!(w.entry(PT, 1).is_writable() && !w.entry(PT, 2).is_writable());
    assert_eq!(modify(&mut w, 2, 4, RW), Err(Error::BadFlags));
    assert!(!w.entry(PT, 2).is_writable(), "all or nothing");
    assert_eq!(modify(&mut w, 0, 4, RX), Ok(()));
    assert_eq!(
        modify(&mut w, 0, 1, RW | MapFlags::EXECUTE),
        Err(Error::BadFlags)
    );
    assert_eq!(modify(&mut w, 0, 1, R | LARGE), Err(Error::BadFlags));
    assert_eq!(modify(&mut w, 7, 2, R), Err(Error::EntryEmpty));
    assert_eq!(modify(&mut w, 0, 0, R), Err(Error::BadSize));
    assert_eq!(modify(&mut w, 512, 1, R), Err(Error::OutOfRange));
    let (frame, weak) = (w.boot(FRAME), w.boot(FREE + 6));
    assert_eq!(w.caps.modify(frame, 0, 1, R), Err(Error::WrongType));
    w.copy(FREE + 6, PT, Rights::READ).unwrap();
    assert_eq!(w.caps.modify(weak, 0, 1, R), Err(Error::NoRight));
    check::world(&w);
}

/// Memory has a mapping for every entry, then; a device, and once more memory.
#[test]
fn modify_across_many_mappings_takes_several_calls() {
    let mut w = world();
    let nodes = FREE_RAM + 32 * PAGE;
    for index in 1..3 {
        w.make(RAM, CapType::L2CNode, nodes + 4 * PAGE * index, 0, TO)
            .unwrap();
        let (l1, node) = (w.boot(L1), w.boot(TO));
        w.caps.install_l2(l1, index as u32, node).unwrap();
        w.delete(w.boot(TO)).unwrap();
    }
    for entry in 0..400 {
        let to = w
            .caps
            .slot(w.space(), CPtr(256 + u32::from(entry)))
            .unwrap();
        let device = (100..300).contains(&entry);
        let source = w.boot(if device { DEV } else { FRAME });
        let (table, offset) = (w.boot(PT), u64::from(entry) % 16 * PAGE);
        let mapped = w.caps.map(table, source, entry, 1, RW, offset, to);
        mapped.unwrap();
    }
    let table = w.boot(PT);
    for (flags, pieces) in [(R, 6), (R, 0), (RW, 6), (R | MapFlags::UNCACHED, 6)] {
        w.caps.platform.looks.set(0);
        let (result, again) = w.until_done(|caps| caps.modify(table, 0, 400, flags));
        assert_eq!(result, Ok(()));
        assert_eq!(again, pieces, "{flags:?}");
        if pieces == 0 {
            // A look at each entry, a device's as well, and no search for what is mapped there.
            let looks = w.caps.platform.looks.get();
            assert!(looks < 400 + 8, "{looks}");
        }
        let writable = flags.contains(MapFlags::WRITE);
        assert!((0..400).all(|n| w.entry(PT, n).is_writable() == writable));
        check::world(&w);
    }
    assert_eq!(
        w.caps.modify(table, 0, 400, R | LARGE),
        Err(Error::BadFlags)
    );
}

#[test]
fn modify_through_the_mapping() {
    let mut w = world();
    w.map(PT, FRAME, (10, 4), R, 0, TO).unwrap();
    let mapping = w.boot(TO);
    assert_eq!(w.caps.mapping_modify(mapping, 1, 2, RW), Ok(()));
    let writable: Vec<bool> = (10..14).map(|n| w.entry(PT, n).is_writable()).collect();
    assert_eq!(writable, [false, true, true, false]);
    for (first, count, flags, error) in [
        (0, 5, R, Error::OutOfRange),
        (4, 1, R, Error::OutOfRange),
        (u16::MAX, 2, R, Error::OutOfRange),
        (0, 0, R, Error::BadSize),
        (0, 1, RW | MapFlags::EXECUTE, Error::BadFlags),
    ] {
        assert_eq!(
            w.caps.mapping_modify(mapping, first, count, flags),
            Err(error)
        );
    }
    assert_eq!(
        w.caps.mapping_modify(w.boot(FRAME), 0, 1, R),
        Err(Error::WrongType)
    );
    check::world(&w);
}

#[test]
fn only_what_takes_away_is_flushed() {
    let mut w = world();
    w.map(PT, FRAME, (10, 4), RW, 0, TO).unwrap();
    let (table, mapping) = (w.boot(PT), w.boot(TO));
    for (flags, flushes) in [(RW, 0), (R, 1), (R, 1), (RX, 1), (RW, 2), (R, 3), (RW, 3)] {
        w.caps.modify(table, 10, 4, flags).unwrap();
        assert_eq!(w.caps.platform.flushes, flushes, "{flags:?}");
    }
    w.caps.mapping_modify(mapping, 3, 1, R).unwrap();
    assert_eq!(w.caps.platform.flushes, 4);
    // Some are taken away from, some given to.
    w.caps.mapping_modify(mapping, 0, 4, RX).unwrap();
    assert_eq!(w.caps.platform.flushes, 5);
    w.caps.clear_dirty(table, 10, 4).unwrap();
    assert_eq!(w.caps.platform.flushes, 5, "none was dirty");
}

#[test]
fn a_fault_is_stale_if_every_level_allows_what_was_done() {
    let mut w = world();
    w.map(PML4, PDPT, (1, 1), R, 0, TO).unwrap();
    w.map(PDPT, PD, (2, 1), R, 0, TO + 1).unwrap();
    w.map(PD, PT, (3, 1), R, 0, TO + 2).unwrap();
    w.map(PD, DEV, (4, 1), RW | LARGE, 0, TO + 3).unwrap();
    w.map(PT, FRAME, (5, 1), R, 0, TO + 4).unwrap();
    w.map(PT, FRAME, (6, 1), RX, 0, TO + 5).unwrap();
    let directory = (1 << 39) + (2 << 30);
    let table = directory + (3 << 21);
    let pml4 = w.boot(PML4).base();
    // SAFETY: the capability is there.
    let nothing_changed = unsafe { w.caps.is_stale(pml4, directory + (4 << 21), true, false) };
    assert!(!nothing_changed);
    w.caps.modify(w.boot(PT), 5, 1, RW).unwrap();
    for (address, write, execute) in [
        (table + 5 * PAGE, true, false),
        (table + 5 * PAGE + 4095, true, false),
        (table + 6 * PAGE, false, true),
        (directory + (4 << 21) + 0x12345, true, false),
        (table + 7 * PAGE, false, false),
        (directory + (5 << 21), false, false),
        (0, false, false),
        ((1 << 48) + table + 5 * PAGE, false, false),
        ((0xffff << 48) + table + 5 * PAGE, false, false),
        (u64::MAX, false, false),
    ] {
        // SAFETY: the capability is there.
        let permits = |write, execute| unsafe { w.caps.is_stale(pml4, address, write, execute) };
        assert_eq!(permits(true, false), write, "{address:#x}");
        assert_eq!(permits(false, true), execute, "{address:#x}");
        assert!(!permits(true, true));
    }
    // A full flush leaves nothing behind that could raise such a fault.
    w.caps.mapping_destroy(w.boot(TO + 2)).unwrap();
    w.map(PD, PT, (3, 1), R, 0, TO + 2).unwrap();
    // SAFETY: the capability is there.
    assert!(!unsafe { w.caps.is_stale(pml4, table + 5 * PAGE, true, false) });
}

#[test]
fn dirty_bits_and_reading() {
    let mut w = world();
    w.map(PT, FRAME, (0, 2), RW, 0, TO).unwrap();
    let raw = w.entry(PT, 1).0;
    // What the processor does on a write.
    let word = w.caps.platform.virt(w.boot(PT).base()).cast::<u64>();
    // SAFETY: entry 1 of a table, which no view uses at the moment.
    unsafe { word.add(1).write(raw | paging::Entry::DIRTY) };
    assert!(w.entry(PT, 1).is_dirty());
    let flushes = w.caps.platform.flushes;
    assert_eq!(w.caps.clear_dirty(w.boot(PT), 0, 2), Ok(()));
    assert_eq!(w.entry(PT, 1).0, raw);
    assert_eq!(w.caps.platform.flushes, flushes + 1);
    w.copy(FREE + 5, PT, Rights::READ).unwrap();
    w.copy(FREE + 6, PT, Rights::WRITE).unwrap();
    for (table, first, count, error) in [
        (PT, 1, 2, Error::EntryEmpty),
        (PT, 0, 0, Error::BadSize),
        (PT, 511, 2, Error::OutOfRange),
        (FRAME, 0, 1, Error::WrongType),
        (FREE + 5, 0, 1, Error::NoRight),
    ] {
        assert_eq!(w.caps.clear_dirty(w.boot(table), first, count), Err(error));
    }
    for (table, index, error) in [
        (PT, 512, Error::OutOfRange),
        (PML4, 256, Error::OutOfRange),
        (FRAME, 0, Error::WrongType),
        (FREE + 6, 0, Error::NoRight),
    ] {
        assert_eq!(w.caps.read(w.boot(table), index), Err(error));
    }
    assert!(w.caps.read(w.boot(FREE + 5), 0).is_ok());
}

#[test]
fn mappings_are_found_among_many_of_one_frame() {
    let mut w = world();
    for n in 0..40 {
        w.map(PT, FRAME, (n * 8, 8), R, 0, TO + n as usize).unwrap();
    }
    check::world(&w);
    w.delete(w.boot(PT)).unwrap();
    assert!((0..40).all(|n| w.boot(TO + n).is_empty()));
    check::world(&w);
}
