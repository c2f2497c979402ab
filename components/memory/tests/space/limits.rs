//! What is refused, and what is left of a space.

use crate::board::{BASE, DEVICE_BYTES, DEVICE_SLOT, Model, PAGE, store};
use crate::common::{BYTES, LARGE, P, close, space, space_with};
use memory::{Access, Colours, Error, Kind, PageSize, Settings, Space};
use std::sync::atomic::Ordering;

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
