//! What the right `observe` grants: the image's directory, and the page on which each component
//! counts its invokers.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::captype::MapFlags;
use abi::layout::{CALLERS, DIRECTORY, OBSERVED, PAGE};
use abi::start::{Directory, MAGIC, Name};
use abi::{CPtr, ComponentId};
use manifest::Image;

use crate::grants::{Grants, name};
use crate::memory::Stock;
use crate::space::{OWN_CALLS, Space, Window, filled};
use crate::trouble::Result;

/// Notes that `caller` invoked init.
pub fn count(caller: ComponentId) {
    // SAFETY: `boot` maps the page before there is anyone who could invoke init.
    let calls = unsafe { &*(OWN_CALLS as *const [AtomicU64; CALLERS]) };
    if let Some(count) = calls.get(usize::from(caller.0)) {
        // Relaxed: a count stands for itself.
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Shows a component the image: `calls` are all components' counts, by id.
pub fn show(
    stock: &mut Stock,
    window: &Window,
    image: &Image,
    calls: &[CPtr],
    space: &mut Space,
    grants: &mut Grants,
) -> Result<()> {
    let directory = directory(image)?;
    let bytes = (&raw const directory).cast();
    // SAFETY: a `repr(C)` struct of numbers and byte arrays without padding (see below), alive as
    // long as the slice.
    let bytes = unsafe { core::slice::from_raw_parts(bytes, size_of::<Directory>()) };
    let page = filled(stock, window, bytes, PAGE as u64)?;
    space.map(stock, DIRECTORY as u64, page, 0, 1, MapFlags::READ)?;
    for (n, frame) in calls.iter().enumerate() {
        let address = OBSERVED + n * PAGE;
        space.map(stock, address as u64, *frame, 0, 1, MapFlags::READ)?;
    }
    grants.grant("observe", CPtr::NULL, DIRECTORY as u64, calls.len() as u64)
}

fn directory(image: &Image) -> Result<Directory> {
    let mut directory = Directory {
        magic: MAGIC,
        len: image.components.len() as u64 + 1,
        names: [Name::EMPTY; ComponentId::MAX],
        invokes: [0; ComponentId::MAX],
    };
    let ids = core::iter::once((ComponentId::INIT, "init"));
    let ids = ids.chain(image.ids().map(|(id, c)| (id, c.name.as_str())));
    let places = directory.names.iter_mut().zip(&mut directory.invokes);
    for ((id, text), (place, set)) in ids.zip(places) {
        *place = name(text)?;
        let providers = image.imports(id).iter().map(|edge| edge.provider);
        *set = providers.fold(0, |set, provider| set | 1 << (provider % 64));
    }
    Ok(directory)
}

const _: () = assert!(
    size_of::<Directory>() == 16 + ComponentId::MAX * (size_of::<Name>() + size_of::<u64>())
);
