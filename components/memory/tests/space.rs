//! What the library promises, kind by kind, on the kernel's own capability system.

mod board;

use board::{BASE, DEVICE, DEVICE_BYTES, DEVICE_SLOT, Model, PAGE, RAM, load, store, touch};
use memory::{
    Access, Colours, Content, Error, Kind, Machine, Outcome, PageSize, Settings, Space, Store,
    Trace,
};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

const BYTES: u64 = 24 << 20;
const P: usize = PAGE as usize;
const LARGE: usize = 2 << 20;

fn space_with(change: impl FnOnce(&mut Settings)) -> (Space<Model>, u64) {
    let model = Model::new(BYTES);
    let count = model.caps.count();
    let mut settings = Model::settings(BYTES);
    change(&mut settings);
    (Space::new(model, &settings).unwrap(), count)
}

fn space() -> (Space<Model>, u64) {
    space_with(|_| {})
}

/// Everything comes back: as many capabilities as before, and nothing mapped.
fn close(space: Space<Model>, count: u64) {
    let model = space.close();
    assert_eq!(model.caps.count(), count);
    assert_eq!(model.walk(BASE), None);
}

/// A store that others can look into, and that fails on request.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    pages: BTreeMap<usize, Vec<u8>>,
    fails: bool,
}

impl Store for Shelf {
    fn read(&mut self, page: usize, into: &mut [u8]) -> Result<(), Error> {
        let shelf = self.0.lock().unwrap();
        into.copy_from_slice(shelf.pages.get(&page).ok_or(Error::Store)?);
        Ok(())
    }
    fn write(&mut self, page: usize, from: &[u8]) -> Result<(), Error> {
        let mut shelf = self.0.lock().unwrap();
        if shelf.fails {
            return Err(Error::Store);
        }
        shelf.pages.insert(page, from.to_vec());
        Ok(())
    }
}

#[test]
fn an_empty_space_leaves_nothing() {
    let (space, count) = space();
    let usage = space.usage();
    // Kernel objects are all in one block.
    assert_eq!((usage.blocks, usage.free_blocks), (12, 11));
    close(space, count);
}

#[test]
fn bad_settings() {
    let refused = |change: fn(&mut Settings)| {
        let model = Model::new(BYTES);
        let mut settings = Model::settings(BYTES);
        change(&mut settings);
        Space::new(model, &settings).map(drop)
    };
    assert_eq!(refused(|s| s.regions = 0), Err(Error::BadSize));
    assert_eq!(refused(|s| s.objects = 65_536), Err(Error::BadSize));
    assert_eq!(refused(|s| s.ram_bytes = 129 << 30), Err(Error::BadSize));
    assert_eq!(refused(|s| s.ram_bytes -= 4096), Err(Error::BadSize));
    assert_eq!(refused(|s| s.ram_base += 4096), Err(Error::BadAlign));
    assert_eq!(refused(|s| s.base += LARGE), Err(Error::BadAlign));
    assert_eq!(refused(|s| s.colours = 3), Err(Error::BadColours));
    assert_eq!(refused(|s| s.roots = 0), Err(Error::NoSlots));
}

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
fn lazy_memory_comes_zeroed_when_it_is_touched() {
    let (mut s, count) = space();
    // Memory that is not zero.
    let old = s.pinned(16 << 20, PageSize::Large, Colours::ANY).unwrap();
    let region = s
        .map(old, 0, 16 << 20, PageSize::Large, Access::ReadWrite, None)
        .unwrap();
    for at in (0..16 << 20).step_by(P) {
        store(&mut s, region.address + at, u64::MAX).unwrap();
    }
    s.unmap(region.id).unwrap();
    s.release(old).unwrap();

    let object = s.lazy(64 << 20, PageSize::Small, Colours::ANY).unwrap();
    let region = s
        .map(
            object,
            0,
            64 << 20,
            PageSize::Small,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    let free = s.usage().free_blocks;
    for n in [0, 1, 600, 16383] {
        let at = region.address + n * P;
        assert_eq!(load(&mut s, at), Ok(0));
        store(&mut s, at, n as u64 + 1).unwrap();
    }
    assert_eq!(s.usage().free_blocks, free - 1);
    // What was protected before it came is protected when it comes, and nothing else.
    s.protect(region.address, 3 * P, Access::Read).unwrap();
    let denied = |r| matches!(r, Err(Outcome::Denied(_)));
    assert!(denied(touch(&mut s, region.address, Kind::Write)));
    assert!(denied(touch(&mut s, region.address + 2 * P, Kind::Write)));
    assert_eq!(load(&mut s, region.address + 2 * P), Ok(0));
    assert!(denied(touch(&mut s, region.address + 2 * P, Kind::Write)));
    store(&mut s, region.address + 3 * P, 1).unwrap();
    // Unmapped and mapped again, elsewhere too, it is the same memory.
    s.unmap(region.id).unwrap();
    let part = s
        .map(object, 600 * PAGE, P, PageSize::Small, Access::Read, None)
        .unwrap();
    let all = s
        .map(
            object,
            0,
            64 << 20,
            PageSize::Small,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    store(&mut s, all.address + 600 * P + 8, 9).unwrap();
    assert_eq!(load(&mut s, part.address), Ok(601));
    assert_eq!(load(&mut s, part.address + 8), Ok(9));

    let large = s
        .lazy(4 * LARGE as u64, PageSize::Large, Colours::ANY)
        .unwrap();
    let region = s
        .map(
            large,
            0,
            4 * LARGE,
            PageSize::Large,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    assert_eq!(load(&mut s, region.address + LARGE + 8 * P), Ok(0));
    store(&mut s, region.address + LARGE + 8 * P, 3).unwrap();
    assert_eq!(load(&mut s, region.address + LARGE + 8 * P), Ok(3));
    let wrong = s.map(large, 0, LARGE, PageSize::Small, Access::Read, None);
    assert_eq!(wrong, Err(Error::BadPage));
    close(s, count);
}

#[test]
fn memory_that_runs_out_is_an_error_and_comes_back() {
    let (mut s, count) = space();
    let object = s.lazy(64 << 20, PageSize::Small, Colours::ANY).unwrap();
    let region = s
        .map(
            object,
            0,
            64 << 20,
            PageSize::Small,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    let mut touched = 0;
    let failed = loop {
        match store(&mut s, region.address + touched * P, touched as u64) {
            Ok(()) => touched += 1,
            Err(outcome) => break outcome,
        }
    };
    assert_eq!(failed, Outcome::Failed(Error::NoMemory));
    // Two blocks may be page tables and CNodes.
    assert!(touched >= 9 * 512, "{touched}");
    let full = s.pinned(LARGE as u64, PageSize::Large, Colours::ANY);
    assert_eq!(full, Err(Error::NoMemory));
    assert_eq!(
        s.pinned(PAGE, PageSize::Small, Colours::ANY),
        Err(Error::NoMemory)
    );
    for n in (0..touched).step_by(97) {
        assert_eq!(load(&mut s, region.address + n * P), Ok(n as u64));
    }
    s.unmap(region.id).unwrap();
    s.release(object).unwrap();
    let blocks = s.usage().free_blocks;
    assert!(
        s.pinned((blocks * LARGE) as u64, PageSize::Large, Colours::ANY)
            .is_ok()
    );
    close(s, count);
}

#[test]
fn colours() {
    let (mut s, count) = space_with(|s| s.colours = 16);
    let object = s
        .pinned(20 * PAGE, PageSize::Small, Colours(0b1001_0000))
        .unwrap();
    let region = s
        .map(object, 0, 20 * P, PageSize::Small, Access::ReadWrite, None)
        .unwrap();
    for n in 0..20 {
        let at = touch(&mut s, region.address + n * P, Kind::Write).unwrap();
        assert!([4, 7].contains(&(at / PAGE % 16)));
        store(&mut s, region.address + n * P, n as u64).unwrap();
    }
    // A range over pieces.
    s.protect(region.address + 3 * P, 9 * P, Access::Read)
        .unwrap();
    for n in 0..20 {
        let allowed = store(&mut s, region.address + n * P, n as u64).is_ok();
        assert_eq!(allowed, !(3..12).contains(&n));
    }
    let lazy = s
        .lazy(600 * PAGE, PageSize::Small, Colours::one(5))
        .unwrap();
    let region = s
        .map(lazy, 0, 600 * P, PageSize::Small, Access::ReadWrite, None)
        .unwrap();
    let mut seen = 0;
    while let Ok(at) = touch(&mut s, region.address + seen * P, Kind::Read) {
        assert_eq!(at / PAGE % 16, 5);
        seen += 1;
        if seen == 600 {
            break;
        }
    }
    // All of that colour that there is, in blocks that are not page tables.
    assert!((9 * 32..=11 * 32).contains(&seen), "{seen}");
    let wrong = s.lazy(LARGE as u64, PageSize::Large, Colours::one(1));
    assert_eq!(wrong, Err(Error::BadColours));
    assert_eq!(
        s.pinned(PAGE, PageSize::Small, Colours(0)),
        Err(Error::BadColours)
    );
    assert!(s.pinned(PAGE, PageSize::Small, Colours::one(40)).is_err());
    close(s, count);
}

#[test]
fn paging() {
    let (mut s, count) = space();
    let shelf = Shelf::default();
    let object = s
        .paged(
            64 * PAGE,
            PageSize::Small,
            Colours::ANY,
            8,
            Content::Zeros,
            Box::new(shelf.clone()),
        )
        .unwrap();
    let region = s
        .map(object, 0, 64 * P, PageSize::Small, Access::ReadWrite, None)
        .unwrap();
    let again = s.map(object, 0, P, PageSize::Small, Access::Read, None);
    assert_eq!(again, Err(Error::InUse));
    for n in 0..64 {
        assert_eq!(load(&mut s, region.address + n * P), Ok(0));
    }
    // Nothing was written, so nothing was stored.
    let traffic = s.traffic(object).unwrap();
    assert_eq!(
        (traffic.reads, traffic.writes, traffic.evictions),
        (0, 0, 56)
    );
    for n in 0..64 {
        store(&mut s, region.address + n * P, n as u64 * 3 + 1).unwrap();
    }
    for n in (0..64).rev() {
        assert_eq!(load(&mut s, region.address + n * P), Ok(n as u64 * 3 + 1));
    }
    let traffic = s.traffic(object).unwrap();
    assert_eq!(traffic.writes, 64);
    let evicted = traffic.evictions;

    // A page in use stays: it is accessed again and again.
    for n in 0..400 {
        load(&mut s, region.address + (n % 63) * P).unwrap();
        load(&mut s, region.address + 63 * P).unwrap();
    }
    let reads = s.traffic(object).unwrap().reads;
    load(&mut s, region.address + 63 * P).unwrap();
    assert_eq!(s.traffic(object).unwrap().reads, reads);
    assert!(s.traffic(object).unwrap().evictions > evicted);

    // Dirty bits that the program clears are not lost for the pager.
    for n in 0..4 {
        store(&mut s, region.address + n * P, 1000 + n as u64).unwrap();
    }
    s.clear_dirty(region.address, 64 * P).unwrap();
    let mut dirty = 0;
    s.traced(region.address, 64 * P, Trace::Dirty, |_| dirty += 1)
        .unwrap();
    assert_eq!(dirty, 0);
    s.unmap(region.id).unwrap();
    let region = s
        .map(object, 0, 64 * P, PageSize::Small, Access::ReadWrite, None)
        .unwrap();
    for n in (0..64).rev() {
        let value = if n < 4 { 1000 + n } else { n * 3 + 1 };
        assert_eq!(load(&mut s, region.address + n * P), Ok(value as u64));
    }

    // More and fewer frames.
    s.resize(object, 64).unwrap();
    for n in 0..64 {
        load(&mut s, region.address + n * P).unwrap();
    }
    let reads = s.traffic(object).unwrap().reads;
    for n in 0..64 {
        load(&mut s, region.address + n * P).unwrap();
    }
    assert_eq!(s.traffic(object).unwrap().reads, reads);
    store(&mut s, region.address + 63 * P, 5).unwrap();
    s.resize(object, 1).unwrap();
    assert_eq!(s.resize(object, 0), Err(Error::BadSize));
    assert_eq!(load(&mut s, region.address + 62 * P), Ok(62 * 3 + 1));
    assert_eq!(load(&mut s, region.address + 63 * P), Ok(5));
    assert_eq!(load(&mut s, region.address), Ok(1000));
    close(s, count);
}

#[test]
fn a_store_that_fails_loses_nothing() {
    let (mut s, count) = space();
    let shelf = Shelf::default();
    let object = s
        .paged(
            8 * LARGE as u64,
            PageSize::Large,
            Colours::ANY,
            2,
            Content::Zeros,
            Box::new(shelf.clone()),
        )
        .unwrap();
    let region = s
        .map(
            object,
            0,
            8 * LARGE,
            PageSize::Large,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    for n in 0..2 {
        store(&mut s, region.address + n * LARGE, n as u64 + 1).unwrap();
    }
    shelf.0.lock().unwrap().fails = true;
    let failed = store(&mut s, region.address + 2 * LARGE, 3);
    assert_eq!(failed, Err(Outcome::Failed(Error::Store)));
    for n in 0..2 {
        assert_eq!(load(&mut s, region.address + n * LARGE), Ok(n as u64 + 1));
    }
    shelf.0.lock().unwrap().fails = false;
    for n in 2..8 {
        store(&mut s, region.address + n * LARGE, n as u64 + 1).unwrap();
    }
    for n in 0..8 {
        assert_eq!(load(&mut s, region.address + n * LARGE), Ok(n as u64 + 1));
    }
    // What was stored can be another object's content; what the store does not have is an error.
    s.unmap(region.id).unwrap();
    let store = Box::new(shelf);
    let content = Content::Stored;
    let size = 16 * LARGE as u64;
    let copy = s.paged(size, PageSize::Large, Colours::ANY, 1, content, store);
    let region = s
        .map(
            copy.unwrap(),
            0,
            16 * LARGE,
            PageSize::Large,
            Access::Read,
            None,
        )
        .unwrap();
    assert_eq!(load(&mut s, region.address + 3 * LARGE), Ok(4));
    assert_eq!(
        load(&mut s, region.address + 12 * LARGE),
        Err(Outcome::Failed(Error::Store))
    );
    assert_eq!(load(&mut s, region.address + 3 * LARGE), Ok(4));
    close(s, count);
}

#[test]
fn traces_and_their_clearing() {
    let (mut s, count) = space();
    let object = s
        .pinned(4 * LARGE as u64, PageSize::Large, Colours::ANY)
        .unwrap();
    let region = s
        .map(
            object,
            0,
            4 * LARGE,
            PageSize::Small,
            Access::ReadWrite,
            None,
        )
        .unwrap();
    let traced = |s: &Space<Model>, trace| {
        let mut pages = Vec::new();
        s.traced(region.address, 4 * LARGE, trace, |at| {
            pages.push((at - region.address) / P)
        })
        .unwrap();
        pages
    };
    assert_eq!(traced(&s, Trace::Accessed), [0usize; 0]);
    for n in [3, 700, 709] {
        store(&mut s, region.address + n * P, 1).unwrap();
    }
    load(&mut s, region.address + 2000 * P).unwrap();
    let before = s.machine().calls;
    assert_eq!(traced(&s, Trace::Dirty), [3, 700, 709]);
    assert_eq!(traced(&s, Trace::Accessed), [3, 700, 709, 2000]);
    assert_eq!(s.machine().calls, before);
    // Two tables have dirty pages.
    s.clear_dirty(region.address, 4 * LARGE).unwrap();
    assert_eq!(s.machine().calls - before, 2);
    assert_eq!(traced(&s, Trace::Dirty), [0usize; 0]);
    assert_eq!(traced(&s, Trace::Accessed), [3, 700, 709, 2000]);
    assert!(s.entry(region.address + 3 * P).unwrap() & 1 == 1);
    assert_eq!(s.entry(BASE - P), Err(Error::NoRegion));
    close(s, count);
}

#[test]
fn as_many_as_the_space_was_made_for() {
    let (mut s, count) = space_with(|s| (s.regions, s.objects) = (2, 2));
    let object = s.fixed(DEVICE_SLOT, 0, DEVICE_BYTES).unwrap();
    s.lazy(PAGE, PageSize::Small, Colours::ANY).unwrap();
    assert_eq!(
        s.pinned(PAGE, PageSize::Small, Colours::ANY),
        Err(Error::TooMany)
    );
    let mut map = |at| s.map(object, 0, P, PageSize::Small, Access::Read, at);
    let end = BASE + (256 << 30);
    map(None).unwrap();
    map(Some(end - LARGE)).unwrap();
    assert_eq!(map(None), Err(Error::TooMany));
    close(s, count);
}

#[test]
fn what_the_kernel_refuses_changes_nothing() {
    // Refuse the first, the second, the third ... call that makes something.
    for patience in 0..60 {
        let model = Model::new(BYTES);
        let count = model.caps.count();
        let mut settings = Model::settings(BYTES);
        settings.slots = abi::CPtr(240);
        let mut s = Space::new(model, &settings).unwrap();
        let object = s
            .pinned(6 * LARGE as u64, PageSize::Large, Colours::ANY)
            .unwrap();
        let lazy = s.lazy(64 << 20, PageSize::Small, Colours::ANY).unwrap();
        let before = s.usage();
        let mappings = s.machine().caps.count();
        s.machine().patience = patience;
        let refused = Err(Error::Kernel(abi::Error::NoMemory));
        let mapped = s.map(
            object,
            0,
            6 * LARGE,
            PageSize::Small,
            Access::ReadWrite,
            None,
        );
        let more = s.pinned(5 * PAGE, PageSize::Small, Colours::ANY);
        if let Ok(region) = mapped {
            s.unmap(region.id).unwrap();
        } else {
            assert!(
                mapped == refused || mapped == Err(Error::NoSlots),
                "{mapped:?}"
            );
            assert_eq!(s.region_at(BASE), None);
        }
        if let Ok(object) = more {
            s.release(object).unwrap();
        }
        let region = s.map(lazy, 0, 64 << 20, PageSize::Small, Access::ReadWrite, None);
        if let Ok(region) = region {
            let _ = s.fault(region.address + 12345, Kind::Read);
            s.unmap(region.id).unwrap();
        }
        s.machine().patience = u64::MAX;
        assert_eq!(s.usage().regions, before.regions);
        assert_eq!(s.usage().objects, before.objects);
        let kept = s.machine().caps.count() - mappings;
        // Tables and CNodes: kept for the next.
        assert!(kept < 200, "{kept}");
        let region = s
            .map(lazy, 0, 64 << 20, PageSize::Small, Access::ReadWrite, None)
            .unwrap();
        store(&mut s, region.address, 1).unwrap();
        close(s, count);
    }
    // Two calls for each of three tables, one for a view.
    for patience in 0..7 {
        let mut model = Model::new(BYTES);
        let (count, left) = (model.caps.count(), model.left.clone());
        model.patience = patience;
        assert!(Space::new(model, &Model::settings(BYTES)).is_err());
        assert_eq!(left.load(Ordering::SeqCst), count);
    }
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
