//! Memory that is there at once: pinned and fixed, with pages of each size.

use crate::board::{BASE, DEVICE, DEVICE_BYTES, DEVICE_SLOT, PAGE, RAM, load, store, touch};
use crate::common::{BYTES, LARGE, P, close, space};
use memory::{Access, Colours, Error, Kind, Machine, Outcome, PageSize, Trace};

#[test]
fn pinned_memory_is_mapped_in_one_call_a_table() {
    let (mut s, count) = space();
    let bytes = 8 * LARGE as u64;
    let object = s.pinned(bytes, PageSize::Large, Colours::ANY).unwrap();
    let first = s
        .map(
            object,
            0,
            8 * LARGE,
            PageSize::Small,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    s.unmap(first.id).unwrap();
    // The tables are there now.
    let before = s.machine().calls;
    let again = s
        .map(
            object,
            0,
            8 * LARGE,
            PageSize::Small,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    assert_eq!(s.machine().calls - before, 8);
    assert_eq!(again.address, first.address);
    for n in [0, 1, 511, 512, 4095] {
        store(&mut s, again.address + n * P, n as u64 + 7).unwrap();
    }
    let before = s.machine().calls;
    s.protect(again.address, 8 * LARGE, Access::Read).unwrap();
    assert_eq!(s.machine().calls - before, 8);
    assert!(matches!(
        touch(&mut s, again.address + 5 * P, Kind::Write),
        Err(Outcome::Denied(id)) if id == again.id
    ));
    // The same memory with large pages, elsewhere.
    let before = s.machine().calls;
    let large = s
        .map(object, 0, 8 * LARGE, PageSize::Large, Access::Read, None)
        .unwrap();
    assert!(s.machine().calls - before <= 2);
    for n in [0, 1, 511, 512, 4095] {
        assert_eq!(load(&mut s, large.address + n * P), Ok(n as u64 + 7));
    }
    assert_eq!(s.release(object), Err(Error::InUse));
    let before = s.machine().calls;
    s.unmap(again.id).unwrap();
    assert_eq!(s.machine().calls - before, 8);
    assert_eq!(s.unmap(again.id), Err(Error::NoRegion));
    s.unmap(large.id).unwrap();
    s.release(object).unwrap();
    assert_eq!(s.release(object), Err(Error::NoObject));
    close(s, count);
}

#[test]
fn one_page_is_protected_and_unprotected_in_one_call_each() {
    let (mut s, count) = space();
    let object = s
        .pinned(LARGE as u64, PageSize::Small, Colours::ANY)
        .unwrap();
    let region = s
        .map(object, 0, LARGE, PageSize::Small, Access::ReadWrite, None)
        .unwrap();
    let page = region.address + 77 * P;
    let before = s.machine().calls;
    s.protect(page, P, Access::Read).unwrap();
    assert!(matches!(s.fault(page + 8, Kind::Write), Outcome::Denied(_)));
    assert_eq!(s.fault(page + 8, Kind::Read), Outcome::Resolved);
    s.protect(page, P, Access::ReadWrite).unwrap();
    assert_eq!(s.machine().calls - before, 2);
    assert_eq!(s.fault(page + 8, Kind::Write), Outcome::Resolved);
    store(&mut s, page, 1).unwrap();
    assert_eq!(s.protect(page + 1, P, Access::Read), Err(Error::BadAlign));
    assert_eq!(s.protect(page, 1, Access::Read), Err(Error::BadSize));
    assert_eq!(s.protect(page, LARGE, Access::Read), Err(Error::OutOfRange));
    assert_eq!(
        s.protect(region.address + LARGE, P, Access::Read),
        Err(Error::NoRegion)
    );
    assert_eq!(s.fault(BASE - 1, Kind::Read), Outcome::Elsewhere);
    assert_eq!(s.fault(0, Kind::Read), Outcome::Elsewhere);
    assert_eq!(s.fault(usize::MAX, Kind::Read), Outcome::Elsewhere);
    close(s, count);
}

#[test]
fn small_regions_end_where_they_end() {
    let (mut s, count) = space();
    let object = s.pinned(3 * PAGE, PageSize::Small, Colours::ANY).unwrap();
    let region = s
        .map(object, PAGE, 2 * P, PageSize::Small, Access::Read, None)
        .unwrap();
    assert!(load(&mut s, region.address + P).is_ok());
    assert_eq!(
        load(&mut s, region.address + 2 * P),
        Err(Outcome::Elsewhere)
    );
    assert_eq!(s.region_at(region.address + 2 * P), None);
    let wrong = [
        (0, P + 1, PageSize::Small, None, Error::BadSize),
        (0, 0, PageSize::Small, None, Error::BadSize),
        (1, P, PageSize::Small, None, Error::BadAlign),
        (PAGE, 3 * P, PageSize::Small, None, Error::OutOfRange),
        (0, LARGE, PageSize::Large, None, Error::OutOfRange),
        (
            0,
            P,
            PageSize::Small,
            Some(region.address),
            Error::NoAddresses,
        ),
        (
            0,
            P,
            PageSize::Small,
            Some(region.address + P),
            Error::BadAlign,
        ),
        (0, P, PageSize::Small, Some(BASE - LARGE), Error::OutOfRange),
    ];
    for (offset, bytes, page, at, error) in wrong {
        let result = s.map(object, offset, bytes, page, Access::Read, at);
        assert_eq!(result, Err(error));
    }
    let two = s.pinned(2 * LARGE as u64, PageSize::Small, Colours::ANY);
    let large = s.map(two.unwrap(), 0, LARGE, PageSize::Large, Access::Read, None);
    assert_eq!(large, Err(Error::BadPage));
    close(s, count);
}

#[test]
fn huge_pages_beside_small_ones() {
    let (mut s, count) = space();
    const HUGE: usize = 1 << 30;
    let device = s.fixed(DEVICE_SLOT, 0, DEVICE_BYTES).unwrap();
    let small = s.pinned(PAGE, PageSize::Small, Colours::ANY).unwrap();
    let small = s
        .map(small, 0, P, PageSize::Small, Access::Read, None)
        .unwrap();
    let before = s.machine().calls;
    let huge = s
        .map(
            device,
            1 << 30,
            3 * HUGE,
            PageSize::Huge,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    assert_eq!(s.machine().calls - before, 1);
    assert!(huge.address.is_multiple_of(HUGE) && huge.address > small.address);
    let at = touch(&mut s, huge.address + HUGE + 0x1234_5678, Kind::Write);
    assert_eq!(at, Ok(DEVICE + 2 * HUGE as u64 + 0x1234_5678));
    let mut dirty = Vec::new();
    s.traced(huge.address, 3 * HUGE, Trace::Dirty, |at| dirty.push(at))
        .unwrap();
    assert_eq!(dirty, [huge.address + HUGE]);
    s.clear_dirty(huge.address, 3 * HUGE).unwrap();
    s.protect(huge.address + HUGE, HUGE, Access::Read).unwrap();
    let denied = touch(&mut s, huge.address + HUGE, Kind::Write);
    assert!(matches!(denied, Err(Outcome::Denied(_))));
    touch(&mut s, huge.address, Kind::Write).unwrap();
    s.unmap(huge.id).unwrap();
    // Where huge pages were there can be others, and the other way round.
    let at = Some(huge.address);
    let part = s
        .map(device, 0, 2 * LARGE, PageSize::Large, Access::Read, at)
        .unwrap();
    touch(&mut s, huge.address + LARGE, Kind::Read).unwrap();
    s.unmap(part.id).unwrap();
    let part = s
        .map(device, 0, LARGE + P, PageSize::Small, Access::Read, at)
        .unwrap();
    touch(&mut s, huge.address + LARGE, Kind::Read).unwrap();
    s.unmap(part.id).unwrap();
    let part = s
        .map(device, 0, 2 * LARGE, PageSize::Large, Access::Read, at)
        .unwrap();
    touch(&mut s, huge.address + LARGE, Kind::Read).unwrap();
    s.unmap(part.id).unwrap();
    s.map(device, 0, HUGE, PageSize::Huge, Access::Read, at)
        .unwrap();
    touch(&mut s, huge.address + LARGE, Kind::Read).unwrap();
    close(s, count);
}

#[test]
fn a_frame_that_allows_less() {
    let (mut s, count) = space();
    // A read-only copy of a frame.
    let memory = s
        .pinned(LARGE as u64, PageSize::Large, Colours::ANY)
        .unwrap();
    let (frame, offset, bytes) = s.frame(memory, 0).unwrap();
    assert_eq!((offset, bytes), (0, LARGE as u64));
    let machine = s.machine();
    let identity = machine.caps.identify(machine.at(frame).unwrap()).unwrap();
    assert_eq!(identity.base % LARGE as u64, 0);
    assert!((RAM..RAM + BYTES).contains(&identity.base));
    assert!(
        machine
            .modify_mapping(frame, 0, 1, abi::captype::MapFlags::READ)
            .is_err()
    );
    let object = s.fixed(frame, 0, bytes).unwrap();
    let region = s
        .map(object, 0, LARGE, PageSize::Large, Access::ReadExecute, None)
        .unwrap();
    touch(&mut s, region.address, Kind::Execute).unwrap();
    let past = s.fixed(frame, PAGE, bytes).unwrap();
    let past = s.map(past, 0, LARGE, PageSize::Small, Access::Read, None);
    assert_eq!(past, Err(Error::Kernel(abi::Error::OutOfRange)));
    let odd = s.fixed(frame, PAGE, bytes - PAGE).unwrap();
    let odd = s.map(odd, 0, LARGE - P, PageSize::Small, Access::Read, None);
    assert!(odd.is_ok());
    close(s, count);
}
