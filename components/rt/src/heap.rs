//! The component's allocator: talc over the fixed heap range that the image gives it.

use core::alloc::{GlobalAlloc, Layout};

use abi::layout::HEAP;
use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

use crate::sync::Mutex;

/// The heap. One for the component, whatever its name in the program.
pub struct Heap;

static TALC: Mutex<Arena> = Mutex::new(Arena(Talc::new(Manual)));

struct Arena(Talc<Manual, DefaultBinning>);

// SAFETY: talc keeps pointers into the heap range only, which every thread of the component
// reaches at the same address.
unsafe impl Send for Arena {}

/// Hands the heap range to the allocator. Runs once, at the component's START.
pub(crate) fn claim() {
    let bytes = crate::info().heap_bytes as usize;
    if bytes > 0 {
        // SAFETY: `init` mapped so many bytes at HEAP, read-write, for this allocator alone, and
        // START comes once.
        unsafe { claim_range(HEAP as *mut u8, bytes) };
    }
}

/// Hands a range of memory to the allocator. Panics when it is too small to be a heap.
///
/// # Safety
/// The range is valid for reads and writes for ever, and from now on the allocator's alone.
pub unsafe fn claim_range(base: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    let claimed = unsafe { TALC.lock().0.claim(base, bytes) };
    assert!(claimed.is_some(), "the heap is too small to be one");
}

// SAFETY: talc gives out disjoint ranges of memory that it owns; the lock serialises it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller promises a layout of non-zero size.
        let found = unsafe { TALC.lock().0.allocate(layout) };
        found.map_or(core::ptr::null_mut(), |p| p.as_ptr())
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: our caller promises that `ptr` came from `alloc` with this layout.
        unsafe { TALC.lock().0.deallocate(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: our caller promises that `ptr` came from `alloc` with this layout.
        if unsafe { TALC.lock().0.try_realloc_in_place(ptr, layout, new_bytes) } {
            return ptr;
        }
        // SAFETY: our caller promises that the new size makes a valid layout. The copy goes
        // between two live allocations that are both at least as long; the old one is then ours
        // to free.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_bytes, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(ptr, layout.size().min(new_bytes));
                self.dealloc(ptr, layout);
            }
            new
        }
    }
}
