//! PNG and JPEG files to packed RGB of eight bits.
//!
//! Size and length are held against [`Limits`] before memory is taken in proportion to them. Files
//! come from anybody: what is damaged, cut short or too large is an [`Error`], and the decoders are
//! told to be strict. Colour profiles are ignored, transparency is dropped, sixteen bits become
//! eight, and the orientation that a camera noted (EXIF) is applied.

use crate::orientation::{self, Orientation};
use crate::{Error, Format};
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::{RgbMut, Size};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_png::PngDecoder;

/// What a file may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest file.
    pub bytes: usize,
    /// Most pixels, in addition to the limits of [`Size`].
    pub pixels: usize,
}

/// What a file holds, learned from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    pub format: Format,
    /// After the orientation is applied.
    pub size: Size,
    orientation: Orientation,
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// Reads the header. Costs little memory: not more than a header's own parts take.
pub fn probe(file: &[u8], limits: Limits) -> Result<Info, Error> {
    if file.len() > limits.bytes {
        return Err(Error::TooLong {
            bytes: file.len(),
            limit: limits.bytes,
        });
    }
    let (format, width, height, orientation) = if file.starts_with(PNG) {
        let (width, height) = header(file).ok_or(Error::Damaged(Format::Png))?;
        (Format::Png, width, height, Orientation::default())
    } else if file.starts_with(JPEG) {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options());
        let read = decoder.decode_headers();
        let info = read.ok().and_then(|()| decoder.info());
        let info = info.ok_or(Error::Damaged(Format::Jpeg))?;
        let orientation = decoder.exif().and_then(|exif| orientation::read(exif));
        let (width, height) = (u32::from(info.width), u32::from(info.height));
        (Format::Jpeg, width, height, orientation.unwrap_or_default())
    } else {
        return Err(Error::Format);
    };
    let (width, height) = if orientation.is_turned() {
        (height, width)
    } else {
        (width, height)
    };
    let size = Size::new(width, height)?;
    if size.pixels() > limits.pixels {
        return Err(Error::TooManyPixels {
            size,
            limit: limits.pixels,
        });
    }
    Ok(Info {
        format,
        size,
        orientation,
    })
}

/// Decodes `file` into `out`, whose size must be what [`probe`] said.
///
/// Takes memory for at most the file's length twice and eight bytes a pixel, 18 bytes a pixel for a
/// PNG of sixteen bits, or 14 for one whose pixels are more than its size says, which is refused;
/// given back before it returns. Blocks for some ten milliseconds a megapixel.
pub fn decode(file: &[u8], limits: Limits, out: &mut RgbMut<'_>) -> Result<Info, Error> {
    let info = probe(file, limits)?;
    if out.size() != info.size {
        return Err(cistern_image::Error::Sizes.into());
    }
    let packed = out.stride() == out.width() * 3;
    match info.format {
        Format::Jpeg if packed && info.orientation == Orientation::default() => {
            let length = info.size.pixels() * 3;
            jpeg(file, &mut whole(out)[..length])?;
        }
        Format::Jpeg => {
            let mut raw = vec![0; info.size.pixels() * 3];
            jpeg(file, &mut raw)?;
            info.orientation.apply(&raw, out);
        }
        Format::Png => png(file, out)?,
    }
    Ok(info)
}

/// All elements of a packed image.
fn whole<'a>(out: &'a mut RgbMut<'_>) -> &'a mut [u8] {
    let view = out.view_mut();
    view.into_inner()
}

fn options() -> DecoderOptions {
    DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(cistern_image::MAX_SIDE as usize)
        .set_max_height(cistern_image::MAX_SIDE as usize)
        .jpeg_set_max_scans(64)
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .png_set_confirm_crc(true)
        .inflate_set_confirm_adler(true)
        .png_set_strip_to_8bit(true)
}

fn jpeg(file: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options());
    let damaged = Error::Damaged(Format::Jpeg);
    decoder.decode_headers().map_err(|_| damaged)?;
    if decoder.output_buffer_size() != Some(out.len()) {
        return Err(damaged);
    }
    decoder.decode_into(out).map_err(|_| damaged)
}

/// Width and height of a PNG that begins as one must.
fn header(file: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?));
    (number(8)? == 13 && file.get(12..16)? == b"IHDR").then_some(())?;
    Some((number(16)?, number(20)?))
}

/// Chunks that hold pixels or say how to read them; all others are nothing to us, and some
/// (compressed profiles and texts) could make a decoder take memory beyond all proportion.
const NEEDED: [&[u8]; 5] = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"];

/// The file without chunks that are not needed; nothing if there is none to leave out.
fn essential(file: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut ranges = Vec::new();
    let mut at = PNG.len();
    let mut skipped = 0;
    loop {
        let length = file.get(at..at + 4).and_then(|n| n.try_into().ok());
        let length = length.map(u32::from_be_bytes).map(|n| n as usize + 12);
        let chunk = length.and_then(|length| file.get(at..at.checked_add(length)?));
        let chunk = chunk.ok_or(Error::Damaged(Format::Png))?;
        let kind = &chunk[4..8];
        if NEEDED.contains(&kind) {
            ranges.push(at..at + chunk.len());
        } else {
            skipped += chunk.len();
        }
        at += chunk.len();
        if kind == b"IEND" {
            break;
        }
    }
    if skipped == 0 {
        return Ok(None);
    }
    let mut rest = Vec::with_capacity(at - skipped);
    rest.extend_from_slice(PNG);
    for range in ranges {
        rest.extend_from_slice(&file[range]);
    }
    Ok(Some(rest))
}

fn png(file: &[u8], out: &mut RgbMut<'_>) -> Result<(), Error> {
    let damaged = Error::Damaged(Format::Png);
    let essential = essential(file)?;
    let file = essential.as_deref().unwrap_or(file);
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(file), options());
    decoder.decode_headers().map_err(|_| damaged)?;
    let same = decoder.dimensions() == Some((out.width(), out.height()));
    if !same {
        return Err(damaged);
    }
    let raw = decoder.decode_raw().map_err(|_| damaged)?;
    let channels = raw.len() / out.size().pixels();
    if raw.len() != out.size().pixels() * channels {
        return Err(damaged);
    }
    let width = out.width();
    for (from, to) in raw.chunks_exact(width * channels).zip(out.rows_mut()) {
        let to = to.as_chunks_mut::<3>().0;
        match channels {
            1 => to.iter_mut().zip(from).for_each(|(p, g)| *p = [*g; 3]),
            2 => {
                let from = from.as_chunks::<2>().0;
                to.iter_mut().zip(from).for_each(|(p, ga)| *p = [ga[0]; 3]);
            }
            3 => to.as_flattened_mut().copy_from_slice(from),
            4 => {
                let from = from.as_chunks::<4>().0;
                let pairs = to.iter_mut().zip(from);
                pairs.for_each(|(p, &[r, g, b, _])| *p = [r, g, b]);
            }
            _ => return Err(damaged),
        }
    }
    Ok(())
}
