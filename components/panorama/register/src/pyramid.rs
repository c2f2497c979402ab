//! Smaller and smoother copies of an image.

use alloc::vec;
use alloc::vec::Vec;
use cistern_image::{Gray, Raster, Size};

/// Features are looked for in an image of at most this many pixels: more detail than that costs
/// time and finds nothing that the refinement of matches does not find better.
pub(crate) const WORK_PIXELS: usize = 600_000;
/// Levels, each 2^(-1/2) times the size of the one before.
pub(crate) const LEVELS: usize = 5;
/// Between two levels.
const STEP: f64 = core::f64::consts::SQRT_2;
/// A level with a shorter side is left out: nothing in it is far enough from the border.
const SHORTEST: usize = 48;

pub(crate) type Buffer = Raster<Vec<u8>, 1>;

pub(crate) struct Level {
    pub(crate) pixels: Buffer,
    /// Pixels of the whole image for one of the level, across and down.
    pub(crate) scale: [f64; 2],
}

impl Level {
    /// A place of the level in pixels of the whole image.
    pub(crate) fn whole(&self, x: f64, y: f64) -> [f64; 2] {
        let along = |v: f64, scale: f64| (v + 0.5) * scale - 0.5;
        [along(x, self.scale[0]), along(y, self.scale[1])]
    }
}

/// The pyramid of `image`, largest first; empty if the image is too small for any level.
pub(crate) fn levels(image: &Gray<'_>) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::with_capacity(LEVELS);
    let whole = image.size();
    let first = libm::sqrt(whole.pixels() as f64 / WORK_PIXELS as f64).max(1.0);
    let scale = |size: Size| {
        let across = whole.width() as f64 / size.width() as f64;
        [across, whole.height() as f64 / size.height() as f64]
    };
    for number in 0..LEVELS {
        let level = match number {
            0 => {
                let size = whole.divided(first);
                let pixels = reduced(image, size);
                let scale = scale(size);
                Level { pixels, scale }
            }
            1 => {
                let size = whole.divided(first * STEP);
                let pixels = resized(&levels[0].pixels.view(), size);
                let scale = scale(size);
                Level { pixels, scale }
            }
            // Two steps are a half.
            _ => {
                let above = &levels[number - 2];
                Level {
                    pixels: halved(&above.pixels.view()),
                    scale: above.scale.map(|s| 2.0 * s),
                }
            }
        };
        if level.pixels.width().min(level.pixels.height()) < SHORTEST {
            break;
        }
        levels.push(level);
    }
    levels
}

/// An image of this size filled with zeros.
pub(crate) fn blank(size: Size) -> Buffer {
    match Raster::packed(vec![0; size.pixels()], size) {
        Ok(buffer) => buffer,
        Err(_) => unreachable!("as many elements as pixels"),
    }
}

/// `image` made smaller by any factor: halved while that is possible, then interpolated.
fn reduced(image: &Gray<'_>, size: Size) -> Buffer {
    let mut half: Option<Buffer> = None;
    loop {
        let from = half.as_ref().map_or(*image, Buffer::view);
        if from.width() < 2 * size.width() || from.height() < 2 * size.height() {
            return resized(&from, size);
        }
        half = Some(halved(&from));
    }
}

/// Means of two by two pixels; an odd last row or column is left out, unless it is the only one.
fn halved(image: &Gray<'_>) -> Buffer {
    let size = Size::new(image.width() as u32 / 2, image.height() as u32 / 2);
    let Ok(size) = size else {
        return resized(image, image.size());
    };
    let mut out = blank(size);
    for (y, to) in out.rows_mut().enumerate() {
        let (upper, lower) = (image.row(2 * y), image.row(2 * y + 1));
        let pairs = upper
            .as_chunks::<2>()
            .0
            .iter()
            .zip(lower.as_chunks::<2>().0);
        for (to, (u, l)) in to.iter_mut().zip(pairs) {
            let sum = u16::from(u[0]) + u16::from(u[1]) + u16::from(l[0]) + u16::from(l[1]);
            *to = ((sum + 2) >> 2) as u8;
        }
    }
    out
}

/// For each pixel along one side of `to`: the earlier of the two of `from` between which it lies,
/// and the weight of the later of 128.
fn taps(from: usize, to: usize) -> impl Iterator<Item = (usize, u16)> {
    let scale = from as f64 / to as f64;
    (0..to).map(move |i| {
        let at = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
        let before = (at as usize).min(from.saturating_sub(2));
        (before, ((at - before as f64) * 128.0 + 0.5) as u16)
    })
}

/// Bilinear interpolation, with pixels taken as areas. About 20 instructions a pixel.
fn resized(image: &Gray<'_>, size: Size) -> Buffer {
    let mut out = blank(size);
    if size == image.size() {
        for (to, from) in out.rows_mut().zip(image.rows()) {
            to.copy_from_slice(from);
        }
        return out;
    }
    let across: Vec<(usize, u16)> = taps(image.width(), size.width()).collect();
    let down = taps(image.height(), size.height());
    // One row in 15 bits, with one element more so that the last pixel has a neighbour.
    let mut between = vec![0u16; image.width() + 1];
    for (to, (y, weight)) in out.rows_mut().zip(down) {
        let upper = image.row(y);
        let lower = image.row((y + 1).min(image.height() - 1));
        for ((b, &u), &l) in between.iter_mut().zip(upper).zip(lower) {
            *b = u16::from(u) * (128 - weight) + u16::from(l) * weight;
        }
        for (to, &(x, weight)) in to.iter_mut().zip(&across) {
            let (left, right) = (u32::from(between[x]), u32::from(between[x + 1]));
            let weight = u32::from(weight);
            *to = ((left * (128 - weight) + right * weight + (1 << 13)) >> 14) as u8;
        }
    }
    out
}

/// A Gaussian of standard deviation 2 in 256ths, cut off at three pixels. Its sum is 256, so sums
/// of weighted bytes fit sixteen bits.
const GAUSSIAN: [u16; 4] = [54, 49, 34, 18];

/// `image` convolved with [`GAUSSIAN`] both ways. The outermost three pixels on each side are only
/// partly smoothed. About 8 instructions a pixel.
pub(crate) fn smoothed(image: &Gray<'_>) -> Buffer {
    let (width, height) = (image.width(), image.height());
    let mut out = blank(image.size());
    let mut column = vec![0u8; width];
    let weigh = |v: [u8; 7]| {
        let v = v.map(u16::from);
        let sum = v[3] * GAUSSIAN[0]
            + (v[2] + v[4]) * GAUSSIAN[1]
            + (v[1] + v[5]) * GAUSSIAN[2]
            + (v[0] + v[6]) * GAUSSIAN[3];
        ((sum + 128) >> 8) as u8
    };
    for (y, to) in out.rows_mut().enumerate() {
        let row = |dy: usize| &image.row((y + dy).saturating_sub(3).min(height - 1))[..width];
        let rows: [&[u8]; 7] = core::array::from_fn(row);
        for (x, c) in column.iter_mut().enumerate() {
            *c = weigh(core::array::from_fn(|k| rows[k][x]));
        }
        if width < 7 {
            to.copy_from_slice(&column);
            continue;
        }
        to[..3].copy_from_slice(&column[..3]);
        to[width - 3..].copy_from_slice(&column[width - 3..]);
        let n = width - 6;
        let shifted: [&[u8]; 7] = core::array::from_fn(|k| &column[k..k + n]);
        for (x, to) in to[3..width - 3].iter_mut().enumerate() {
            *to = weigh(core::array::from_fn(|k| shifted[k][x]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: u32, height: u32) -> Buffer {
        let mut out = blank(Size::new(width, height).unwrap());
        for (y, row) in out.rows_mut().enumerate() {
            for (x, p) in row.iter_mut().enumerate() {
                *p = (x / 4 + y / 8) as u8;
            }
        }
        out
    }

    #[test]
    fn resizing_keeps_places() {
        // A ramp read back through the level's own arithmetic is the same ramp.
        let image = ramp(800, 700);
        for level in levels(&image.view()).iter().skip(1) {
            for (x, y) in [(20, 20), (101, 40), (60, 77)] {
                let [wx, wy] = level.whole(x as f64, y as f64);
                let truth = (wx - 1.5) / 4.0 + (wy - 3.5) / 8.0;
                let got = f64::from(level.pixels.row(y)[x]);
                assert!((truth - got).abs() < 1.5, "{truth} {got}");
            }
        }
    }

    #[test]
    fn a_large_image_starts_at_the_working_size() {
        let image = ramp(1900, 1100);
        let levels = levels(&image.view());
        assert_eq!(levels.len(), LEVELS);
        let pixels = levels[0].pixels.size().pixels();
        assert!((590_000..=602_000).contains(&pixels), "{pixels}");
        assert!(super::levels(&ramp(500, 20).view()).is_empty());
    }

    #[test]
    fn smoothing_keeps_a_constant_and_spreads_a_point() {
        let mut image = blank(Size::new(31, 31).unwrap());
        for row in image.rows_mut() {
            row.fill(255);
        }
        assert!(smoothed(&image.view()).elements().iter().all(|&p| p == 255));
        let mut image = blank(Size::new(31, 31).unwrap());
        image.row_mut(15)[15] = 255;
        let out = smoothed(&image.view());
        // exp(0)/(2 pi 4) of 255, and the shape of a Gaussian of deviation two.
        assert!((10..=12).contains(&out.row(15)[15]), "{}", out.row(15)[15]);
        let ratio = f64::from(out.row(15)[17]) / f64::from(out.row(15)[15]);
        assert!((0.5..0.75).contains(&ratio), "{ratio}");
        assert_eq!(smoothed(&blank(Size::new(2, 1).unwrap()).view()).width(), 2);
    }
}
