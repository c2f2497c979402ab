//! What stages take of their heap, counted allocation by allocation, beside what they reserve.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use cistern_image::{Full, Memory};
use cistern_panorama_testset::{View, make};
use cistern_stages::{Failure, Part, Runner, Stage, conduct};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use stage::need;
use zerocopy::IntoBytes;

type Parts = [Part<&'static [u8]>];

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(true) };
}

// SAFETY: every call is handed on as it came; only numbers are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.get() {
            let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
            MOST.fetch_max(held, Ordering::Relaxed);
        }
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

/// What would lie in pools: for ever, and not counted.
struct Pools;

impl Memory for Pools {
    type Room = &'static mut [u8];
    type Bytes = &'static [u8];

    fn room(&self, bytes: usize) -> Result<Self::Room, Full> {
        COUNTS.set(false);
        let words = vec![0u64; bytes.div_ceil(8)].leak();
        COUNTS.set(true);
        Ok(words.as_mut_bytes())
    }
    fn finish(&self, room: Self::Room, bytes: usize) -> Self::Bytes {
        &room[..bytes]
    }
}

/// Runs a stage, held against its bound.
struct Meter;

impl Runner for Meter {
    type Bytes = &'static [u8];

    fn run(&mut self, stage: Stage, parts: &Parts) -> Result<Vec<Part<&'static [u8]>>, Failure> {
        let need = match stage {
            Stage::Decode => need::decode(parts),
            Stage::Features => need::features(parts),
            Stage::Pairs => need::pairs(parts),
            Stage::Estimate => need::estimate(parts),
            Stage::Warp => need::warp(parts),
            Stage::Exposure => need::exposure(parts),
            Stage::Seams => need::seams(parts),
            Stage::Blend => need::blend(parts),
            Stage::Encode => need::encode(parts),
        };
        let before = HELD.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let made = stage.run(&Pools, parts);
        let took = MOST.load(Ordering::Relaxed) - before;
        println!("{}: {took} of {need}", stage.name());
        assert!(took <= need, "{} took {took} of {need}", stage.name());
        made
    }
    fn now(&mut self) -> u64 {
        0
    }
}

fn png(pixels: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = PngEncoder::new(&mut file);
    encoder.write_image(pixels, width, height, kind).unwrap();
    file
}

fn photograph(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/photographs/");
    std::fs::read(folder.to_owned() + name).unwrap()
}

/// One test, since what is counted is counted for all threads.
#[test]
fn stages_take_no_more_than_they_reserve() {
    // The most photographs, of the largest kind that is tested elsewhere.
    for (set, copies) in [("wall-large-6", 1), ("wall-wide-6", 2)] {
        let views = make(set).views;
        let file = |view: &View| {
            let (width, height) = (view.width as u32, view.height as u32);
            png(&view.rgb, width, height, ExtendedColorType::Rgb8)
        };
        let files: Vec<&[u8]> = views.iter().map(|v| &*file(v).leak()).collect();
        let made = conduct(files.repeat(copies), &mut Meter);
        assert!(made.panorama.is_ok(), "{set}");
    }
    let jpegs = ["left.jpg", "right.jpg"].map(|name| &*photograph(name).leak());
    assert!(conduct(jpegs.to_vec(), &mut Meter).panorama.is_ok());
    // As many samples as a file may have, of all depths.
    let (width, height) = (2560, 2048);
    for (kind, bytes) in [
        (ExtendedColorType::L8, 1),
        (ExtendedColorType::Rgba8, 4),
        (ExtendedColorType::Rgb16, 6),
        (ExtendedColorType::Rgba16, 8),
    ] {
        let pixels = vec![99; (width * height) as usize * bytes];
        let file = png(&pixels, width, height, kind).leak();
        assert!(Meter.run(Stage::Decode, &[Part::records(&*file)]).is_ok());
    }
    // Corners everywhere.
    for (width, height) in [(2560, 2048), (1000, 600), (32768, 160)] {
        for (coarse, sharp) in [(1, false), (1, true), (5, false), (4, true), (3, true)] {
            let noise = |n: usize| {
                let (x, y) = (n % width / coarse, n / width / coarse);
                let hash = ((x * 40503 + y) as u64 ^ 0x5bd1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let value = (hash >> 40) as u8;
                if sharp { value / 128 * 255 } else { value }
            };
            let pixels: Vec<u8> = (0..width * height).map(noise).collect();
            let part = Part {
                width: width as u32,
                height: height as u32,
                index: 0,
                data: Some(&*pixels.leak()),
            };
            assert!(Meter.run(Stage::Features, &[part]).is_ok());
        }
    }
}
