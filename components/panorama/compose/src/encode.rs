//! Pixels to a PNG file (RFC 2083), written straight into memory that the caller gives.
//!
//! The compressor is `miniz_oxide`'s; the framing is here. One IDAT chunk, eight bits, with alpha or
//! without. Each row takes the filter whose result is smallest in sum, of none, sub, up and Paeth.

use crate::Error;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::{Raster, Size};
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

/// Matching effort, of ten: with 3, photographs shrink by another sixth but take three times as long.
const EFFORT: i32 = 1;

/// Bytes that the file of an image of `width` times `height` pixels takes at most.
pub fn bound(width: usize, height: usize, channels: usize) -> usize {
    let raw = (width * channels + 1) * height;
    // Deflate stores what does not shrink in blocks of less than 64 KiB, with five bytes each; the
    // compressor closes blocks of half that size at the worst.
    raw + raw / 4096 * 5 + 256
}

/// Writes an image of three (RGB) or four (RGBA) channels into `out`; says how many bytes the file has.
/// Fails with [`Error::Room`] when it does not fit: [`bound`] always does.
///
/// Takes some 400 KiB and six rows of memory; about 30 ms a megapixel.
pub fn png<const C: usize>(image: &Raster<&[u8], C>, out: &mut [u8]) -> Result<usize, Error> {
    file::<C>(
        image.size(),
        |y, row| row.copy_from_slice(image.row(y)),
        out,
    )
}

/// Writes the colours of an image that is covered everywhere, as [`png`] does.
pub fn opaque(image: &Raster<&[u8], 4>, out: &mut [u8]) -> Result<usize, Error> {
    let colours = |y, row: &mut [u8]| {
        let pixels = image.row(y).as_chunks::<4>().0;
        for (colour, pixel) in row.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
            colour.copy_from_slice(&pixel[..3]);
        }
    };
    file::<3>(image.size(), colours, out)
}

/// The file of an image whose rows `read` gives, from the first to the last.
fn file<const C: usize>(
    size: Size,
    read: impl FnMut(usize, &mut [u8]),
    out: &mut [u8],
) -> Result<usize, Error> {
    let kind = match C {
        3 => 2,
        4 => 6,
        _ => return Err(Error::Mismatch),
    };
    let mut file = Writer { out, length: 0 };
    file.put(b"\x89PNG\r\n\x1a\n")?;
    let mut header = [8, kind, 0, 0, 0].to_vec();
    let sides = [size.width() as u32, size.height() as u32];
    header.splice(..0, sides.iter().flat_map(|side| side.to_be_bytes()));
    file.chunk(b"IHDR", |file| file.put(&header))?;
    file.chunk(b"IDAT", |file| pixels::<C>(size, read, file))?;
    file.chunk(b"IEND", |_| Ok(()))?;
    Ok(file.length)
}

struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn short(&self, more: usize) -> Error {
        Error::Room {
            needed: self.length + more,
            given: self.out.len(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let error = self.short(bytes.len());
        let room = self.out[self.length..].get_mut(..bytes.len());
        room.ok_or(error)?.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }

    /// A chunk whose length is known when `fill` has written it.
    fn chunk(
        &mut self,
        kind: &[u8; 4],
        fill: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let begin = self.length;
        self.put(&[0; 4])?;
        self.put(kind)?;
        fill(self)?;
        let length = (self.length - begin - 8) as u32;
        self.out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        let sum = crc32fast::hash(&self.out[begin + 4..self.length]);
        self.put(&sum.to_be_bytes())
    }
}

fn pixels<const C: usize>(
    size: Size,
    mut read: impl FnMut(usize, &mut [u8]),
    file: &mut Writer<'_>,
) -> Result<(), Error> {
    // 15 bits of window: the format's largest; the sign asks for the zlib frame.
    let flags = create_comp_flags_from_zip_params(EFFORT, 15, 0);
    let mut compressor = Box::new(CompressorOxide::new(flags));
    let length = size.width() * C;
    let mut tries: [Vec<u8>; 4] = [0, 1, 2, 4].map(|filter| {
        let mut row = vec![0; length + 1];
        row[0] = filter;
        row
    });
    let (mut row, mut above) = (vec![0; length], vec![0; length]);
    for y in 0..size.height() {
        read(y, &mut row);
        filter::<C>(&row, &above, &mut tries);
        let cost = |tried: &&Vec<u8>| -> u32 {
            let sizes = tried[1..].iter();
            sizes.map(|&b| u32::from(b.min(b.wrapping_neg()))).sum()
        };
        if let Some(best) = tries.iter().min_by_key(cost) {
            feed(&mut compressor, best, TDEFLFlush::None, file)?;
        }
        core::mem::swap(&mut row, &mut above);
    }
    feed(&mut compressor, &[], TDEFLFlush::Finish, file)
}

/// The row in each of the four ways; the first byte of each is its filter's number.
fn filter<const C: usize>(row: &[u8], above: &[u8], tries: &mut [Vec<u8>; 4]) {
    let [none, sub, up, paeth] = tries;
    none[1..].copy_from_slice(row);
    for ((out, byte), above) in up[1..].iter_mut().zip(row).zip(above) {
        *out = byte.wrapping_sub(*above);
    }
    // To the left of the first pixel there is nothing: black.
    sub[1..=C].copy_from_slice(&row[..C]);
    let (head, _) = up.split_at(C + 1);
    paeth[1..=C].copy_from_slice(&head[1..]);
    let left = row.iter().zip(above);
    let here = row[C..].iter().zip(&above[C..]);
    let out = sub[C + 1..].iter_mut().zip(&mut paeth[C + 1..]);
    for (((left, corner), (byte, above)), (sub, paeth)) in left.zip(here).zip(out) {
        *sub = byte.wrapping_sub(*left);
        *paeth = byte.wrapping_sub(predict(*left, *above, *corner));
    }
}

/// Of the three neighbours, the one nearest to left + above - corner.
fn predict(left: u8, above: u8, corner: u8) -> u8 {
    let [l, a, c] = [left, above, corner].map(i16::from);
    let by_left = (a - c).abs();
    let by_above = (l - c).abs();
    let by_corner = (l + a - 2 * c).abs();
    let vertical = if by_above <= by_corner { above } else { corner };
    if by_left <= by_above && by_left <= by_corner {
        left
    } else {
        vertical
    }
}

/// Gives `bytes` to the compressor and takes what it has for the file.
fn feed(
    compressor: &mut CompressorOxide,
    mut bytes: &[u8],
    flush: TDEFLFlush,
    file: &mut Writer<'_>,
) -> Result<(), Error> {
    loop {
        let room = &mut file.out[file.length..];
        let full = room.is_empty();
        let (status, read, written) = compress(compressor, bytes, room, flush);
        file.length += written;
        bytes = &bytes[read..];
        match status {
            TDEFLStatus::Done => return Ok(()),
            TDEFLStatus::Okay if flush == TDEFLFlush::None && bytes.is_empty() => return Ok(()),
            TDEFLStatus::Okay if !full => {}
            _ => return Err(file.short(1)),
        }
    }
}
