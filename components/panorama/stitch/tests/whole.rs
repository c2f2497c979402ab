//! From files to a file, what is refused, and how much memory the largest set takes.

mod common;

use cistern_compose::encode;
use cistern_image::{Raster, Size};
use cistern_panorama_testset::{Set, make};
use cistern_stitch::{Error, Photograph, Stage, Times, Why, decode, encode as finish, stitch};
use common::LIMITS;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Tests run one at a time, so that what one holds is not counted in another.
static ALONE: Mutex<()> = Mutex::new(());

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

fn files(set: &Set) -> Vec<Vec<u8>> {
    let write = |view: &cistern_panorama_testset::View| {
        let size = Size::new(view.width as u32, view.height as u32).unwrap();
        let mut file = vec![0; encode::bound(view.width, view.height, 3)];
        let image = Raster::<&[u8], 3>::packed(&view.rgb[..], size).unwrap();
        let length = encode::png(&image, &mut file).unwrap();
        file.truncate(length);
        file.shrink_to_fit();
        file
    };
    set.views.iter().map(write).collect()
}

fn whole(files: &[Vec<u8>]) -> Result<(Vec<u8>, Times, Size), Error> {
    let mut now = 0;
    let mut clock = || {
        now += 1;
        now
    };
    let mut times = Times::default();
    let photographs: Result<Vec<Photograph>, Error> = files
        .iter()
        .map(|file| decode(file, &LIMITS, &mut times, &mut clock))
        .collect();
    let mut panorama = stitch(photographs?, &LIMITS, times, &mut clock)?;
    let file = finish(&mut panorama, &mut clock)?;
    Ok((file, panorama.times, panorama.canvas.size().unwrap()))
}

#[test]
fn files_become_a_file_and_every_stage_is_timed() {
    let _alone = ALONE.lock().unwrap();
    let files = files(&make("canyon-2"));
    let (file, times, size) = whole(&files).unwrap();
    assert_eq!(&file[1..4], b"PNG");
    assert_eq!(file[16..20], (size.width() as u32).to_be_bytes());
    for stage in Stage::ALL {
        assert!(times.of(stage) > 0, "{stage}");
    }
    assert_eq!(whole(&files).unwrap().0, file, "the same photographs");
}

#[test]
fn what_cannot_be_stitched_is_said_in_a_sentence() {
    let _alone = ALONE.lock().unwrap();
    let (canyon, raccoon) = (files(&make("canyon-2")), files(&make("raccoon-2")));
    let sentence = |files: &[&Vec<u8>]| {
        let files: Vec<Vec<u8>> = files.iter().map(|file| (*file).clone()).collect();
        match whole(&files) {
            Ok(_) => panic!("a panorama"),
            Err(error) => error.to_string(),
        }
    };
    let apart = sentence(&[&canyon[0], &raccoon[0]]);
    assert!(apart.contains("does not overlap"), "{apart}");
    let stranger = sentence(&[&canyon[0], &raccoon[0], &canyon[1]]);
    assert_eq!(stranger, "estimate: image 2 does not overlap the others");
    let single = sentence(&[&canyon[0]]);
    assert_eq!(single, "estimate: a panorama needs at least two images");
    let cut = canyon[1][..canyon[1].len() / 2].to_vec();
    let cut = sentence(&[&canyon[0], &cut]);
    assert_eq!(cut, "decode: the PNG file is damaged or cut short");
}

#[test]
fn a_panorama_beyond_the_limit_is_refused() {
    let _alone = ALONE.lock().unwrap();
    let photographs = common::photographs(&make("canyon-2"));
    let limits = cistern_stitch::Limits {
        panorama: 500_000,
        ..LIMITS
    };
    let Err(error) = stitch(photographs, &limits, Times::default(), &mut || 0) else {
        panic!("it is larger");
    };
    assert_eq!(error.stage, Stage::Warp);
    let too_large = matches!(
        error.why,
        Why::Compose(cistern_compose::Error::Panorama { .. })
    );
    assert!(too_large, "{error}");
}

#[test]
fn six_photographs_of_two_megapixels_take_no_more_than_96_mebibytes() {
    let _alone = ALONE.lock().unwrap();
    let files = files(&make("wall-large-6"));
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let (file, _, size) = whole(&files).unwrap();
    let most = MOST.load(Ordering::Relaxed) - before;
    println!(
        "{} bytes at most for {size:?}, {} in the file",
        most,
        file.len()
    );
    assert!(size.pixels() > 4_000_000);
    assert!(most < 96 << 20, "{most} bytes");
}
