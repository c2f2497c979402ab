//! Files that swell: what a decoder takes is held against what the size of the picture accounts for.
//!
//! One test in one program, since every allocation of the program is counted.

use cistern_compose::decode::{Limits, decode, probe};
use cistern_image::{RgbMut, Size};
use jpeg_encoder::{ColorType, Encoder};
use miniz_oxide::deflate::compress_to_vec_zlib;
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

const LIMITS: Limits = Limits {
    bytes: 16 << 20,
    pixels: 5 << 20,
};

/// Whether the file was read, how many pixels it says it has, and the most memory that was taken.
fn taken(file: &[u8]) -> (bool, usize, usize) {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let most = || MOST.load(Ordering::Relaxed) - before;
    let Ok(info) = probe(file, LIMITS) else {
        return (false, 0, most());
    };
    let pixels = info.size.pixels();
    let mut rgb = vec![0; pixels * 3];
    let mut out = RgbMut::packed(&mut rgb[..], info.size).unwrap();
    let read = decode(file, LIMITS, &mut out).is_ok();
    (read, pixels, most() - pixels * 3)
}

/// What [`decode`] promises to take at most, and a little for tables.
fn promised(file: &[u8], pixels: usize, each: usize) -> usize {
    2 * file.len() + each * pixels + (1 << 18)
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    let sum = crc32fast::hash(&body);
    let length = data.len() as u32;
    [&length.to_be_bytes()[..], &body, &sum.to_be_bytes()].concat()
}

/// A PNG of this side and of so many bits a channel (three of them), with chunks before its pixels.
fn png(side: u32, depth: u8, pixels: &[u8], before: &[Vec<u8>]) -> Vec<u8> {
    let side = side.to_be_bytes();
    let header = [&side[..], &side, &[depth, 2, 0, 0, 0]].concat();
    let chunks = [
        chunk(b"IHDR", &header),
        before.concat(),
        chunk(b"IDAT", &compress_to_vec_zlib(pixels, 1)),
        chunk(b"IEND", &[]),
    ];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
}

fn jpeg(side: u16, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let data: Vec<u8> = (0..usize::from(side) * usize::from(side) * 3)
        .map(|i| (i / 7) as u8)
        .collect();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 50);
    set(&mut encoder);
    encoder.encode(&data, side, side, ColorType::Rgb).unwrap();
    file
}

/// The scans of a progressive JPEG once more, so often: none of them says anything new.
fn again(file: &[u8], times: usize) -> Vec<u8> {
    let scan = file.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let end = file.len() - 2;
    [&file[..scan], &file[scan..end].repeat(times), &file[end..]].concat()
}

#[test]
fn no_file_takes_more_than_its_picture_accounts_for() {
    const HUGE: usize = 16 << 20;
    let honest = vec![0; (300 * 3 + 1) * 300];
    let wide = vec![0; (300 * 6 + 1) * 300];
    let zeros = vec![0; HUGE];
    let named = |head: &[u8]| [head, &compress_to_vec_zlib(&zeros, 1)].concat();
    let swollen = [
        chunk(b"iCCP", &named(b"profile\0\0")),
        chunk(b"zTXt", &named(b"Comment\0\0")),
        chunk(b"iTXt", &named(b"Comment\0\x01\0\0\0")),
    ];
    let progressive = jpeg(600, |e| e.set_progressive(true));
    for (name, file, each, is_good) in [
        ("honest", png(300, 8, &honest, &[]), 8, true),
        ("of sixteen bits", png(300, 16, &wide, &[]), 18, true),
        (
            "profile and texts that swell",
            png(300, 8, &honest, &swollen),
            8,
            true,
        ),
        ("pixels that swell", png(300, 8, &zeros, &[]), 14, false),
        ("one pixel that swells", png(1, 8, &zeros, &[]), 8, false),
        ("a JPEG", jpeg(600, |_| {}), 8, true),
        ("a progressive one", progressive.clone(), 8, true),
        ("scans without end", again(&progressive, 100), 8, false),
    ] {
        let (read, pixels, most) = taken(&file);
        println!(
            "{name}: {} bytes, {pixels} pixels, read: {read}, {most} bytes taken",
            file.len()
        );
        let promised = promised(&file, pixels, each);
        assert!(
            most <= promised,
            "{name}: {most} bytes, {promised} promised"
        );
        assert_eq!(read, is_good, "{name}");
    }
    // As large as may be, said by a few bytes: memory for its pixels at most.
    for side in [2290u32, u32::MAX, 1 << 15] {
        let file = png(side, 8, &[0; 100], &[]);
        let (read, pixels, most) = taken(&file);
        let few = if Size::new(side, side).is_ok_and(|s| s.pixels() <= LIMITS.pixels) {
            side as usize * side as usize
        } else {
            0
        };
        assert_eq!((read, pixels), (false, few), "{side}");
        assert!(most <= promised(&file, pixels, 8), "{side}: {most} bytes");
    }
}
