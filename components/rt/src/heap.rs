//! The component's allocator: talc over the heap that the image gives it at start and, where that is
//! exhausted and the image lets it grow, over owned CBUFs, which it gives back when nothing is in
//! them. Growing invokes the CBUF manager on the thread that allocates, without the heap's lock, so
//! other threads allocate meanwhile. Where there is no more, an allocation fails: `try_reserve`
//! says so, and a plain one ends the component.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use abi::layout::{HEAP, PAGE};

use crate::arena::{Arena, Purpose, Region};
use crate::cbuf;
use crate::sync::Mutex;

/// The heap. One for the component, whatever its name in the program.
pub struct Heap;

static ARENA: Mutex<Arena> = Mutex::new(Arena::new());

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
    let claimed = unsafe { ARENA.lock().claim(base, bytes) };
    assert!(claimed, "the heap is too small to be one");
}

/// Bytes by which the heap has grown, and the owned CBUFs that they are in.
pub fn grown() -> (usize, usize) {
    ARENA.lock().grown()
}

/// Gives every owned CBUF back that nothing is in, also the one that is kept otherwise.
pub fn trim() {
    while let Some(region) = take_idle() {
        give_back(region);
    }
}

/// Room in the heap that nobody else's growth can take: allocations find it there while this lives.
/// Of what they freed again in between, none is given back before the end.
pub struct Reserve {
    /// A small block at the beginning of the room, which keeps it.
    pin: NonNull<u8>,
}

/// Aligned beyond a page, so that it is no block of its own but cut up by the allocator.
const PIN_ALIGN: usize = 2 * PAGE;
const PIN: Layout = match Layout::from_size_align(64, PIN_ALIGN) {
    Ok(layout) => layout,
    Err(_) => panic!("an alignment is a power of two"),
};

/// Reserves room for allocations of about `bytes` in all: `None` where the heap cannot grow so far.
/// Where it has to grow, this invokes the CBUF manager.
pub fn reserve(bytes: usize) -> Option<Reserve> {
    let layout = Layout::from_size_align(bytes.max(PIN.size()), PIN_ALIGN).ok()?;
    // SAFETY: the size is not zero.
    let whole = NonNull::new(unsafe { Heap.alloc(layout) })?;
    // SAFETY: just allocated with this layout; a pin's size is not zero, and no more than it has.
    let pin = unsafe { Heap.realloc(whole.as_ptr(), layout, PIN.size()) };
    match NonNull::new(pin) {
        Some(pin) => Some(Reserve { pin }),
        None => {
            // SAFETY: it is still as it was allocated.
            unsafe { Heap.dealloc(whole.as_ptr(), layout) };
            None
        }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // SAFETY: allocated in `reserve`, with this layout since it was made smaller.
        unsafe { Heap.dealloc(self.pin.as_ptr(), PIN) };
    }
}

fn take_idle() -> Option<Region> {
    ARENA.lock().take_idle()
}

fn give_back(region: Region) {
    // Nobody else can have ended it; a manager that is gone has no use for it.
    let _ = cbuf::disown(region.id);
}

/// More memory, and the block in it; whether the block is all zeros.
#[cold]
#[inline(never)]
fn grow(layout: Layout) -> Option<(NonNull<u8>, bool)> {
    let wanted = ARENA.lock().wanted(layout)?;
    let own = |pages: usize| Some((cbuf::own(pages as u64).ok()?, pages));
    let enough = || wanted.sizes().find_map(own);
    let owned = enough().or_else(|| {
        // What is idle is too small for this, but may be what is missing.
        give_back(take_idle()?);
        trim();
        enough()
    });
    let ((start, id), pages) = owned?;
    let region = Region {
        start,
        bytes: pages * PAGE,
        id,
        purpose: wanted.purpose,
    };
    // SAFETY: the manager mapped so many pages there, zeroed, for this component alone, until they
    // are freed; they were wanted for this layout.
    let block = unsafe { ARENA.lock().add(region, layout) };
    if block.is_none() {
        give_back(region);
    }
    Some((block?, region.purpose == Purpose::Block))
}

// SAFETY: the arena gives out disjoint ranges of memory that it owns; the lock serialises it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller promises a layout of non-zero size.
        if let Some(found) = unsafe { ARENA.lock().alloc(layout) } {
            return found.as_ptr();
        }
        grow(layout).map_or(null_mut(), |(block, _)| block.as_ptr())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: our caller promises a layout of non-zero size.
        let found = unsafe { ARENA.lock().alloc(layout) };
        match found.map(|found| (found, false)).or_else(|| grow(layout)) {
            Some((block, true)) => block.as_ptr(),
            Some((block, false)) => {
                // SAFETY: just allocated, of this size.
                unsafe { block.as_ptr().write_bytes(0, layout.size()) };
                block.as_ptr()
            }
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: our caller promises that `ptr` came from `alloc` with this layout.
        let idle = unsafe { ARENA.lock().free(ptr, layout) };
        if let Some(region) = idle {
            give_back(region);
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: our caller promises that `ptr` came from `alloc` with this layout.
        if unsafe { ARENA.lock().resize(ptr, layout, new_bytes) } {
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
