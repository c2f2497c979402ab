//! How much memory the largest set takes: what stages hand to each other and what they take for
//! themselves, counted in one.

mod judge;

use cistern_panorama_testset::make;
use cistern_stitch::stitch;
use judge::{files, heap, judge};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on as it came; only numbers are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, and `alloc` above is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn six_photographs_of_two_megapixels_take_no_more_than_96_mebibytes() {
    let set = make("wall-large-6");
    let files = files(&set);
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let heap = heap();
    let stitched = stitch(&files, &heap, || 0).unwrap();
    let most = MOST.load(Ordering::Relaxed) - before;
    println!("{most} bytes at most, {} of them handed on", heap.peak());
    assert!(most < 96 << 20, "{most} bytes");
    assert!(stitched.panorama().unwrap().size().pixels() > 4_000_000);
    let verdict = judge(&set, &stitched).unwrap();
    assert!(verdict.covered > 0.99 && verdict.psnr > 30.0, "{verdict:?}");
    assert!(verdict.corner_error < 1.0, "{verdict:?}");
    assert_eq!(&stitched.file[1..4], b"PNG");
    let again = stitch(&files, &heap, || 0).unwrap();
    assert_eq!(
        *again.file, *stitched.file,
        "the same files, the same bytes"
    );
}
