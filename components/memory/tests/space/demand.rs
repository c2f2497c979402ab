//! Memory that comes when it is touched, and where it comes from.

use crate::board::{PAGE, load, store, touch};
use crate::common::{LARGE, P, close, space, space_with};
use memory::{Access, Colours, Error, Kind, Outcome, PageSize};

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
