//! Every kind of PNG and JPEG that a camera or a program writes comes out as what was put in.
//!
//! The files are written here by encoders that have nothing to do with the decoders, from a part of a
//! photograph, which is the truth.

use cistern_compose::Error;
use cistern_compose::decode::{Limits, decode, probe};
use cistern_image::RgbMut;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use miniz_oxide::deflate::compress_to_vec_zlib;
use png::{BitDepth, ColorType as Kind};

/// Odd, so that no block, no byte of small pixels and no pass of an interlaced file ends with a row.
const WIDTH: usize = 75;
const HEIGHT: usize = 53;
const PIXELS: usize = WIDTH * HEIGHT;

type Setting<'a> = &'a dyn Fn(&mut Encoder<&mut Vec<u8>>);

fn photo() -> Vec<[u8; 3]> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testset/photos");
    let photo = image::open(format!("{folder}/astronaut.png")).unwrap();
    let part = photo
        .crop_imm(190, 60, WIDTH as u32, HEIGHT as u32)
        .to_rgb8();
    part.into_raw().as_chunks::<3>().0.to_vec()
}

fn grey(photo: &[[u8; 3]]) -> Vec<u8> {
    let mean = |p: &[u8; 3]| (p.iter().map(|c| u16::from(*c)).sum::<u16>() / 3) as u8;
    photo.iter().map(mean).collect()
}

fn read(file: &[u8]) -> Result<Vec<[u8; 3]>, Error> {
    let limits = Limits {
        bytes: 1 << 20,
        pixels: 1 << 20,
    };
    let size = probe(file, limits)?.size;
    assert_eq!((size.width(), size.height()), (WIDTH, HEIGHT));
    let mut rgb = vec![[0; 3]; size.pixels()];
    decode(
        file,
        limits,
        &mut RgbMut::packed(rgb.as_flattened_mut(), size)?,
    )?;
    Ok(rgb)
}

fn jpeg(data: &[u8], color: ColorType, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 96);
    set(&mut encoder);
    encoder
        .encode(data, WIDTH as u16, HEIGHT as u16, color)
        .unwrap();
    file
}

/// Mean difference in grey levels.
fn off(found: &[[u8; 3]], truth: &[[u8; 3]]) -> f64 {
    assert_eq!(found.len(), truth.len());
    let pairs = found.as_flattened().iter().zip(truth.as_flattened());
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / (3 * found.len()) as f64
}

#[test]
fn every_kind_of_jpeg() {
    let photo = photo();
    let data = photo.as_flattened();
    let kinds: [(&str, f64, Setting<'_>); 7] = [
        ("plain", 2.0, &|_| {}),
        ("progressive", 2.0, &|e| e.set_progressive(true)),
        ("in twelve scans", 2.0, &|e| e.set_progressive_scans(12)),
        ("with restarts", 2.0, &|e| e.set_restart_interval(3)),
        ("with tables of its own", 2.0, &|e| {
            e.set_optimized_huffman_tables(true)
        }),
        ("of half the colours", 4.0, &|e| {
            e.set_sampling_factor(SamplingFactor::F_2_2);
        }),
        ("all of these", 4.0, &|e| {
            e.set_sampling_factor(SamplingFactor::F_2_1);
            e.set_progressive(true);
            e.set_optimized_huffman_tables(true);
        }),
    ];
    for (kind, most, set) in kinds {
        let found = read(&jpeg(data, ColorType::Rgb, set)).expect(kind);
        let off = off(&found, &photo);
        assert!(off < most, "{kind}: {off}");
    }
    let grey = grey(&photo);
    let truth: Vec<[u8; 3]> = grey.iter().map(|g| [*g; 3]).collect();
    for progressive in [false, true] {
        let file = jpeg(&grey, ColorType::Luma, |e| e.set_progressive(progressive));
        let off = off(&read(&file).unwrap(), &truth);
        assert!(off < 2.0, "grey: {off}");
    }
}

/// As image editors write for printers: cyan, magenta, yellow and black.
#[test]
fn a_jpeg_of_four_inks() {
    let photo = photo();
    let inks = |p: &[u8; 3]| {
        let black = 255 - p.iter().max().unwrap();
        let rest = 255 - black;
        let ink = |c: u8| (f64::from(rest - c) * 255.0 / f64::from(rest.max(1))) as u8;
        [ink(p[0]), ink(p[1]), ink(p[2]), black]
    };
    let inks: Vec<[u8; 4]> = photo.iter().map(inks).collect();
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        for progressive in [false, true] {
            let file = jpeg(inks.as_flattened(), color, |e| {
                e.set_progressive(progressive)
            });
            let off = off(&read(&file).unwrap(), &photo);
            assert!(off < 4.0, "{color:?}: {off}");
        }
    }
}

/// What cameras put around the picture: blocks before it, other pictures behind it.
#[test]
fn what_cameras_add_to_a_jpeg_changes_nothing() {
    let photo = photo();
    let plain = jpeg(photo.as_flattened(), ColorType::Rgb, |_| {});
    let truth = read(&plain).unwrap();
    let with_blocks = jpeg(photo.as_flattened(), ColorType::Rgb, |e| {
        e.add_exif_metadata(&[7; 3000]).unwrap();
        e.add_icc_profile(&[9; 70_000]).unwrap();
        e.add_app_segment(13, vec![0xff; 500]).unwrap();
    });
    let behind = [&plain[..], &plain[..], &[0; 100]].concat();
    let table = plain.windows(2).position(|w| w == [0xff, 0xdb]).unwrap();
    let mut filled = plain.clone();
    filled.splice(table..table, [0xff; 5]);
    for file in [with_blocks, behind, filled] {
        assert!(read(&file).unwrap() == truth);
    }
}

fn png(kind: Kind, depth: BitDepth, palette: Option<&[[u8; 3]]>, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(kind);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.as_flattened());
        encoder.set_trns(&[255, 0, 128][..]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    file
}

/// Values of so many bits, rows begun anew on a byte.
fn packed(values: &[u8], bits: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for row in values.chunks(WIDTH) {
        for bytes in row.chunks(8 / bits) {
            let shifted = (0..).zip(bytes).map(|(i, v)| v << (8 - bits * (i + 1)));
            out.push(shifted.fold(0, |byte, v| byte | v));
        }
    }
    out
}

#[test]
fn pngs_of_few_colours_and_of_many() {
    let photo = photo();
    let grey = grey(&photo);
    let depths = [
        (1, BitDepth::One),
        (2, BitDepth::Two),
        (4, BitDepth::Four),
        (8, BitDepth::Eight),
    ];
    for (bits, depth) in depths {
        let values: Vec<u8> = grey.iter().map(|g| g >> (8 - bits)).collect();
        let data = packed(&values, bits);
        // Each value as the greys spread from black to white.
        let step = 255 / ((1u16 << bits) - 1) as u8;
        let truth: Vec<[u8; 3]> = values.iter().map(|v| [v * step; 3]).collect();
        assert!(
            read(&png(Kind::Grayscale, depth, None, &data)).unwrap() == truth,
            "{bits}"
        );
        // Each value as a colour of a palette, of which the first three are more or less transparent.
        let palette: Vec<[u8; 3]> = (0..1usize << bits).map(|i| photo[i * 11]).collect();
        let truth: Vec<[u8; 3]> = values.iter().map(|v| palette[usize::from(*v)]).collect();
        let file = png(Kind::Indexed, depth, Some(&palette), &data);
        assert!(read(&file).unwrap() == truth, "palette of {bits} bits");
    }
    let wide: Vec<u8> = photo.as_flattened().iter().flat_map(|c| [*c, 77]).collect();
    assert!(read(&png(Kind::Rgb, BitDepth::Sixteen, None, &wide)).unwrap() == photo);
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    let length = data.len() as u32;
    let sum = crc32fast::hash(&body);
    [&length.to_be_bytes()[..], &body, &sum.to_be_bytes()].concat()
}

/// A PNG of colours whose pixels are `raw` and come in chunks of so many bytes.
fn raw_png(interlaced: bool, raw: &[u8], pieces: usize, more: &[Vec<u8>]) -> Vec<u8> {
    let [width, height] = [WIDTH, HEIGHT].map(|n| (n as u32).to_be_bytes());
    let rest = [8, 2, 0, 0, u8::from(interlaced)];
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(chunk(b"IHDR", &[&width[..], &height, &rest].concat()));
    file.extend(more.concat());
    for piece in compress_to_vec_zlib(raw, 6).chunks(pieces) {
        file.extend(chunk(b"IDAT", piece));
    }
    file.extend(chunk(b"IEND", &[]));
    file
}

/// The rows of a picture that has every so manieth pixel of the photograph, unfiltered.
fn rows(photo: &[[u8; 3]], (x, y): (usize, usize), (across, down): (usize, usize)) -> Vec<u8> {
    let mut out = Vec::new();
    for row in (y..HEIGHT).step_by(down) {
        out.push(0);
        for column in (x..WIDTH).step_by(across) {
            out.extend(photo[row * WIDTH + column]);
        }
    }
    out
}

#[test]
fn an_interlaced_png_and_one_in_many_pieces() {
    let photo = photo();
    let passes = [
        ((0, 0), (8, 8)),
        ((4, 0), (8, 8)),
        ((0, 4), (4, 8)),
        ((2, 0), (4, 4)),
        ((0, 2), (2, 4)),
        ((1, 0), (2, 2)),
        ((0, 1), (1, 2)),
    ];
    let raw: Vec<u8> = passes
        .iter()
        .flat_map(|&(from, step)| rows(&photo, from, step))
        .collect();
    assert!(read(&raw_png(true, &raw, 1 << 20, &[])).unwrap() == photo);
    let raw = rows(&photo, (0, 0), (1, 1));
    let whole = raw_png(false, &raw, 1 << 20, &[]);
    assert!(read(&whole).unwrap() == photo);
    assert!(read(&raw_png(false, &raw, 7, &[])).unwrap() == photo);
    // What comes behind the end, and chunks that say nothing about pixels.
    assert!(read(&[&whole[..], b"more"].concat()).unwrap() == photo);
    let profile = [&b"name\0\0"[..], &compress_to_vec_zlib(&[0; 3000], 6)].concat();
    let more = [
        chunk(b"gAMA", &45_455u32.to_be_bytes()),
        chunk(b"iCCP", &profile),
        chunk(b"tEXt", b"Comment\0a photograph"),
        chunk(b"eXIf", b"II*\0"),
    ];
    assert!(read(&raw_png(false, &raw, 1 << 20, &more)).unwrap() == photo);
}

#[test]
fn pixels_that_are_too_few_or_whose_sums_are_wrong_are_refused() {
    let photo = photo();
    let raw = rows(&photo, (0, 0), (1, 1));
    assert_eq!(raw.len(), PIXELS * 3 + HEIGHT);
    assert!(read(&raw_png(false, &raw[..raw.len() - 1], 1 << 20, &[])).is_err());
    assert!(read(&raw_png(false, &[], 1 << 20, &[])).is_err());
    let whole = raw_png(false, &raw, 1 << 20, &[]);
    // A byte of the pixels, of the sum over them, and of the sum over the chunk.
    let end = whole.len() - 12;
    for at in [end / 2, end - 6, end - 2] {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 1;
        assert!(read(&spoilt).is_err(), "{at} of {}", whole.len());
    }
    // The sum over the pixels alone, in a chunk that is whole.
    let mut packed = compress_to_vec_zlib(&raw, 6);
    *packed.last_mut().unwrap() ^= 1;
    let header = &whole[..33];
    let file = [header, &chunk(b"IDAT", &packed), &chunk(b"IEND", &[])].concat();
    assert!(read(&file).is_err());
}
