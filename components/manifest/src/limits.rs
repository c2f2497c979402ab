//! Limits that come from the start information page and the address-space layout.

use abi::layout::{DEVICES, HEAP, MAX_CBUFS, OWN_SPACE_BYTES, OWNED_BYTES, PAGE, STACK_STRIDE};

use crate::Pool;

pub(crate) use abi::start::{ARGUMENT_BYTES, MAX_GRANTS, MAX_IMPORTS, NAME_BYTES};

/// So that the longest grant name made from it, `thread:NAME.NN` or `cbuf-pdpt:NAME`, fits.
pub(crate) const COMPONENT_NAME_BYTES: usize = NAME_BYTES - "cbuf-pdpt:".len();
/// Where a description gives no size.
pub(crate) const DEFAULT_STACK_BYTES: u64 = 16 << 10;
/// One page below a stack stays unmapped.
pub(crate) const MAX_STACK_BYTES: u64 = (STACK_STRIDE - PAGE) as u64;
pub(crate) const MAX_HEAP_BYTES: u64 = (DEVICES - HEAP) as u64;
pub(crate) const MAX_GROWN_HEAP_BYTES: u64 = (OWNED_BYTES / 4) as u64;
/// A pool of single pages needs an id a page.
pub(crate) const MAX_POOL_PAGES: u64 = MAX_CBUFS as u64;

/// Bytes of a 2 MiB and of a 1 GiB page.
const LARGE: u64 = 2 << 20;
const HUGE: u64 = 1 << 30;
/// Own memory comes in large pages, one of them for page tables and capabilities.
pub(crate) const MIN_MEMORY_BYTES: u64 = 2 * LARGE;
/// It is shown to the component as a whole, in a quarter of the address space of its own.
pub(crate) const MAX_MEMORY_BYTES: u64 = (OWN_SPACE_BYTES / 4) as u64;

fn whole_pages(bytes: u64) -> bool {
    bytes.is_multiple_of(PAGE as u64)
}

pub(crate) fn heap_ok(bytes: u64) -> bool {
    whole_pages(bytes) && bytes <= MAX_HEAP_BYTES
}

/// A heap that grows: not from nothing, and not beyond a quarter of the addresses that there are
/// for what the manager gives.
pub(crate) fn heap_range_ok(start: u64, max: u64) -> bool {
    heap_ok(start) && start > 0 && whole_pages(max) && start <= max && max <= MAX_GROWN_HEAP_BYTES
}

/// What is set aside of a heap that grows.
pub(crate) fn heap_kept_ok(start: u64, kept: u64, max: u64) -> bool {
    whole_pages(kept) && (start..=max).contains(&kept)
}

pub(crate) fn stack_ok(bytes: u64) -> bool {
    whole_pages(bytes) && (PAGE as u64..=MAX_STACK_BYTES).contains(&bytes)
}

pub(crate) fn pool_ok(pool: &Pool) -> bool {
    0 < pool.least
        && pool.least <= pool.pages
        && pool.pages <= pool.max
        && pool.max <= MAX_POOL_PAGES
}

/// Where nobody says: the largest page that fits.
pub(crate) const fn natural_alignment(bytes: u64) -> u64 {
    if bytes >= HUGE { HUGE } else { LARGE }
}

pub(crate) fn memory_ok(bytes: u64, align: u64) -> bool {
    bytes.is_multiple_of(LARGE)
        && (MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES).contains(&bytes)
        && (align == LARGE || align == HUGE)
}
