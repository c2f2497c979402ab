//! Files in and out: against another reader of PNG, and against everything that a file can have wrong.

use cistern_compose::decode::{Limits, decode, probe};
use cistern_compose::{Error, Format, encode};
use cistern_image::{Raster, RgbMut, Size};
use proptest::prelude::*;
use std::io::Cursor;

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    pixels: 1 << 21,
};

fn photo(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testset/photos");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

fn pixels(file: &[u8]) -> Result<(Size, Vec<u8>), Error> {
    let size = probe(file, LIMITS)?.size;
    let mut rgb = vec![0; size.pixels() * 3];
    decode(file, LIMITS, &mut RgbMut::packed(&mut rgb[..], size)?)?;
    Ok((size, rgb))
}

fn write(rgb: &[u8], size: Size) -> Vec<u8> {
    let mut file = vec![0; encode::bound(size.width(), size.height(), 3)];
    let image = Raster::<&[u8], 3>::packed(rgb, size).unwrap();
    let length = encode::png(&image, &mut file).unwrap();
    file.truncate(length);
    file
}

fn other(file: &[u8]) -> image::DynamicImage {
    let format = image::ImageFormat::Png;
    image::load(Cursor::new(file), format).expect("another reader takes it")
}

fn encoded(image: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut file = Vec::new();
    image.write_to(&mut Cursor::new(&mut file), format).unwrap();
    file
}

#[test]
fn a_photograph_comes_out_as_another_reader_sees_it() {
    let file = photo("astronaut.png");
    let (size, rgb) = pixels(&file).unwrap();
    assert_eq!((size.width(), size.height()), (512, 512));
    assert_eq!(rgb, other(&file).to_rgb8().into_raw());
}

#[test]
fn every_kind_of_png_becomes_rgb() {
    let colour = image::load_from_memory(&photo("astronaut.png")).unwrap();
    let colour = colour.crop_imm(200, 50, 37, 23);
    for kind in [
        image::DynamicImage::from(colour.to_luma8()),
        image::DynamicImage::from(colour.to_luma_alpha8()),
        image::DynamicImage::from(colour.to_rgba8()),
        image::DynamicImage::from(colour.to_luma16()),
        image::DynamicImage::from(colour.to_rgb16()),
        image::DynamicImage::from(colour.to_rgba16()),
    ] {
        let (_, rgb) = pixels(&encoded(&kind, image::ImageFormat::Png)).unwrap();
        // Of sixteen bits we keep the upper eight, the other rounds.
        let near =
            u8::from(kind.color().bits_per_pixel() / u16::from(kind.color().channel_count()) == 16);
        let truth = kind.to_rgb8().into_raw();
        assert_eq!(rgb.len(), truth.len());
        let mut pairs = rgb.iter().zip(&truth);
        assert!(
            pairs.all(|(a, b)| a.abs_diff(*b) <= near),
            "{:?}",
            kind.color()
        );
    }
}

#[test]
fn a_jpeg_in_colour_and_in_grey_is_near_what_was_written() {
    let colour = image::load_from_memory(&photo("rocket.jpg")).unwrap();
    for kind in [
        image::DynamicImage::from(colour.to_rgb8()),
        image::DynamicImage::from(colour.to_luma8()),
    ] {
        let mut file = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95);
        encoder.encode_image(&kind).unwrap();
        let (_, rgb) = pixels(&file).unwrap();
        let truth = kind.to_rgb8().into_raw();
        let differences = rgb
            .iter()
            .zip(&truth)
            .map(|(a, b)| u64::from(a.abs_diff(*b)));
        let mean = differences.sum::<u64>() as f64 / rgb.len() as f64;
        assert!(mean < 2.0, "{:?}: {mean}", kind.color());
    }
}

/// The block that cameras put behind the first two bytes, saying that the picture lies on its side.
#[test]
fn an_orientation_is_applied() {
    let plain = photo("rocket.jpg");
    let mut exif =
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut file = plain[..2].to_vec();
    file.extend([0xff, 0xe1, 0, exif.len() as u8 + 2]);
    file.append(&mut exif);
    file.extend_from_slice(&plain[2..]);
    let (size, rgb) = pixels(&plain).unwrap();
    let (turned, other) = pixels(&file).unwrap();
    let (width, height) = (size.width(), size.height());
    assert_eq!((turned.width(), turned.height()), (height, width));
    for (x, y) in [(0, 0), (width - 1, 0), (17, 29), (width - 1, height - 1)] {
        let at = (x * height + (height - 1 - y)) * 3;
        assert_eq!(other[at..at + 3], rgb[(y * width + x) * 3..][..3]);
    }
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let file = photo("astronaut.png");
    let tight = |bytes, pixels| probe(&file, Limits { bytes, pixels });
    assert!(tight(file.len(), 512 * 512).is_ok());
    assert!(matches!(
        tight(file.len() - 1, 1 << 20),
        Err(Error::TooLong { .. })
    ));
    assert!(matches!(
        tight(1 << 20, 512 * 512 - 1),
        Err(Error::TooManyPixels { .. })
    ));
    let mut vast = file.clone();
    vast[16..24].fill(0x7f);
    assert!(matches!(probe(&vast, LIMITS), Err(Error::Image(_))));
    vast[16..24].fill(0);
    assert!(matches!(probe(&vast, LIMITS), Err(Error::Image(_))));
    let small = Size::new(10, 10).unwrap();
    let mut rgb = [0; 300];
    let mut out = RgbMut::packed(&mut rgb[..], small).unwrap();
    assert!(decode(&file, LIMITS, &mut out).is_err());
    assert_eq!(probe(b"GIF89a", LIMITS), Err(Error::Format));
    assert_eq!(probe(b"", LIMITS), Err(Error::Format));
}

#[test]
fn files_cut_short_are_refused() {
    let mut small = image::load_from_memory(&photo("astronaut.png")).unwrap();
    small = small.crop_imm(180, 30, 120, 90);
    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
    encoder.encode_image(&small.to_rgb8()).unwrap();
    let png = encoded(&small, image::ImageFormat::Png);
    for (file, format) in [(png, Format::Png), (jpeg, Format::Jpeg)] {
        pixels(&file).expect("whole");
        for part in 1..40 {
            let cut = &file[..8 + (file.len() - 12) * part / 40];
            assert_eq!(pixels(cut).err(), Some(Error::Damaged(format)), "{part}");
        }
    }
}

/// Files with bytes that somebody changed: an answer, whatever it is, and no panic. Some hundred of
/// each kind; the same ones every time.
#[test]
fn spoilt_files_do_no_harm() {
    let mut small = image::load_from_memory(&photo("astronaut.png")).unwrap();
    small = small.crop_imm(180, 30, 60, 40);
    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
    encoder.encode_image(&small.to_rgb8()).unwrap();
    let mut seed = 1u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    let mut refused = 0;
    for file in [encoded(&small, image::ImageFormat::Png), jpeg] {
        for round in 0..1500 {
            let mut spoilt = file.clone();
            // Half of them near the beginning, where sizes and tables are.
            let reach = if round % 2 == 0 {
                200.min(file.len())
            } else {
                file.len()
            };
            for _ in 0..=random(4) {
                spoilt[random(reach)] = random(256) as u8;
            }
            if round % 5 == 0 {
                let (from, to) = (random(file.len()), random(file.len()));
                spoilt.drain(from.min(to)..from.max(to));
            }
            refused += usize::from(pixels(&spoilt).is_err());
        }
    }
    assert!(refused > 1500, "{refused}");
}

#[test]
fn what_is_written_is_read_by_another() {
    for name in ["rocket.jpg", "astronaut.png"] {
        let (size, rgb) = pixels(&photo(name)).unwrap();
        let file = write(&rgb, size);
        assert_eq!(other(&file).to_rgb8().into_raw(), rgb);
        assert!(file.len() < rgb.len() * 3 / 4, "{name}: {}", file.len());
    }
}

#[test]
fn memory_that_is_too_small_is_said_so() {
    let size = Size::new(40, 30).unwrap();
    let rgb: Vec<u8> = (0..3600u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let whole = write(&rgb, size).len();
    let image = Raster::<&[u8], 3>::packed(&rgb[..], size).unwrap();
    for length in [0, 7, 8, 40, 60, whole / 2, whole - 13, whole - 1] {
        let mut short = vec![0; length];
        assert!(matches!(
            encode::png(&image, &mut short),
            Err(Error::Room { .. })
        ));
    }
    assert!(encode::png(&image, &mut vec![0; whole]).is_ok());
}

/// Nothing shrinks noise: the file is longer than the pixels, but not beyond the bound.
#[test]
fn noise_fits_in_the_bound() {
    let size = Size::new(901, 700).unwrap();
    let mut state = 1u64;
    let noise = (0..size.pixels() * 3).map(|_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as u8
    });
    let rgb: Vec<u8> = noise.collect();
    let file = write(&rgb, size);
    assert!(file.len() > rgb.len());
    assert_eq!(other(&file).to_rgb8().into_raw(), rgb);
}

fn dimension() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0u32),
        Just(48),
        Just(64),
        Just(u32::MAX),
        1u32..200,
        200u32..70_000,
        any::<u32>()
    ]
}

/// A file that holds a picture of `truth` but says that it has other sides.
fn of_dimensions(width: u32, height: u32, truth: (u32, u32), is_jpeg: bool) -> Vec<u8> {
    let colour = image::load_from_memory(&photo("rocket.jpg")).unwrap();
    let part = colour.crop_imm(300, 200, truth.0, truth.1);
    if is_jpeg {
        let mut file = encoded(&part, image::ImageFormat::Jpeg);
        let frame = file.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        let sides = [height as u16, width as u16].map(u16::to_be_bytes);
        file[frame + 5..frame + 9].copy_from_slice(sides.as_flattened());
        return file;
    }
    let mut file = encoded(&part, image::ImageFormat::Png);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32fast::hash(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_pixels_go_there_and_back(width in 1u32..70, height in 1u32..50, seed in any::<u64>(), flat in any::<bool>(), alpha in any::<bool>()) {
        let size = Size::new(width, height).unwrap();
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            if flat { (seed >> 40) as u8 } else { (state >> 40) as u8 }
        };
        if alpha {
            let rgba: Vec<u8> = (0..size.pixels() * 4).map(|_| byte()).collect();
            let mut file = vec![0; encode::bound(width as usize, height as usize, 4)];
            let image = Raster::<&[u8], 4>::packed(&rgba[..], size).unwrap();
            let length = encode::png(&image, &mut file).unwrap();
            prop_assert_eq!(other(&file[..length]).to_rgba8().into_raw(), rgba);
        } else {
            let rgb: Vec<u8> = (0..size.pixels() * 3).map(|_| byte()).collect();
            let file = write(&rgb, size);
            prop_assert_eq!(other(&file).to_rgb8().into_raw(), rgb.clone());
            prop_assert_eq!(pixels(&file).unwrap().1, rgb);
        }
    }

    /// Whatever a header says, it is within the limits or refused, and so are sides that there are no pixels for.
    #[test]
    fn any_dimensions_are_within_the_limits_or_refused(
        width in dimension(),
        height in dimension(),
        is_jpeg in any::<bool>(),
    ) {
        let truth = (64, 48);
        let (width, height) = if is_jpeg { (width & 0xffff, height & 0xffff) } else { (width, height) };
        let file = of_dimensions(width, height, truth, is_jpeg);
        let size = Size::new(width, height).ok().filter(|size| size.pixels() <= LIMITS.pixels);
        prop_assert_eq!(probe(&file, LIMITS).ok().map(|info| info.size), size);
        let found = pixels(&file);
        if (width, height) == truth {
            prop_assert!(found.is_ok());
        } else if !is_jpeg && width >= truth.0 && height >= truth.1 {
            // Of a JPEG that ends before its last row, by its own mark, the rest is grey.
            prop_assert!(found.is_err(), "{width} {height}");
        }
    }

    #[test]
    fn foreign_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), head in 0usize..3) {
        let head: &[u8] = [&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0"[..], b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10\x03", b""][head];
        let length = head.len().min(bytes.len());
        bytes[..length].copy_from_slice(&head[..length]);
        let _ = pixels(&bytes);
    }
}
