//! How much heap a stage takes at most for the parts that it is given. A stage reserves that before
//! it begins, so where there is not as much it says so instead of dying halfway.
//!
//! A test counts every allocation of every stage and holds it against these bounds.

use core::ops::Deref;

use cistern_compose::Format;
use cistern_compose::decode::{self, Limits};
use cistern_stages::{FILE_MAX, PANORAMA_MAX, PHOTO_MAX, Part};

const KIB: usize = 1024;
/// What a few small blocks take, and what the allocator itself takes of a reserve.
const SLACK: usize = 128 * KIB;
/// Where a PNG file says how many bits a sample has.
const PNG_DEPTH: usize = 24;
const LIMITS: Limits = Limits {
    bytes: FILE_MAX,
    pixels: PHOTO_MAX,
};

/// The bound of a stage, in bytes.
pub type Need<B> = fn(&[Part<B>]) -> usize;

/// The file twice, and of each pixel: in a PNG what the decoder unpacks and what it makes of that; in
/// a JPEG coefficients, where all are needed at once, and colours, where they have to be turned. What
/// the decoder refuses takes nothing worth a mention.
pub fn decode<B: Deref<Target = [u8]>>(parts: &[Part<B>]) -> usize {
    let file = parts.first().map_or(&[][..], Part::bytes);
    let Ok(info) = decode::probe(file, LIMITS) else {
        return SLACK;
    };
    let each = match info.format {
        Format::Png if file.get(PNG_DEPTH) == Some(&16) => 18,
        Format::Png => 8,
        Format::Jpeg => 9,
    };
    2 * file.len() + each * info.size.pixels() + SLACK
}

/// A pyramid of 0.6 megapixels, and its corners while they are looked for.
pub fn features<B>(_: &[Part<B>]) -> usize {
    4608 * KIB
}

/// What is compared of two photographs at a time.
pub fn pairs<B>(_: &[Part<B>]) -> usize {
    512 * KIB
}

/// All matches of all pairs.
pub fn estimate<B>(_: &[Part<B>]) -> usize {
    1024 * KIB
}

/// Terms of each column and each row.
pub fn warp<B>(_: &[Part<B>]) -> usize {
    768 * KIB
}

/// A system of equations with an unknown a photograph.
pub fn exposure<B>(_: &[Part<B>]) -> usize {
    SLACK
}

/// Two distances of each cell of 8 by 8 pixels.
pub fn seams<B>(_: &[Part<B>]) -> usize {
    PANORAMA_MAX / 64 * 4 + SLACK
}

/// The bands of a tile.
pub fn blend<B>(_: &[Part<B>]) -> usize {
    9 * 1024 * KIB
}

/// The compressor's state, and two rows.
pub fn encode<B>(_: &[Part<B>]) -> usize {
    1280 * KIB
}
