//! Pages that lie in a store, and what the processor notes of those that do not.

use crate::board::{BASE, Model, PAGE, load, store};
use crate::common::{LARGE, P, close, space};
use memory::{Access, Colours, Content, Error, Outcome, PageSize, Space, Store, Trace};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

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
