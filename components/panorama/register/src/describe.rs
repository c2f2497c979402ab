//! Binary descriptors: 256 comparisons of brightness, turned with the corner (Calonder et al.,
//! BRIEF; Rublee et al., ORB). Which points are compared is our own draw.

use crate::random::Random;
use cistern_image::{Gray, Raster};

/// Comparisons, and bits of a descriptor.
const BITS: usize = 256;
/// Farthest that a point lies from the corner, in pixels, before and after turning.
const REACH: i32 = 14;
/// Pixels that [`Pattern::describe`] wants around a corner; one more than it reads.
pub(crate) const MARGIN: usize = REACH as usize + 2;

/// The points: first ones and second ones of all comparisons, as coordinates.
pub(crate) struct Pattern {
    x: [f32; 2 * BITS],
    y: [f32; 2 * BITS],
}

impl Pattern {
    /// Draws both points of a comparison from a Gaussian (a sum of uniform numbers) of deviation
    /// 31/5 about the corner, as BRIEF's authors found best; again if one is too far out or they
    /// are so close that they compare noise.
    pub(crate) fn new() -> Self {
        let mut random = Random::new(0x5041_4e4f);
        let mut x = [0.0; 2 * BITS];
        let mut y = [0.0; 2 * BITS];
        let mut bit = 0;
        while bit < BITS {
            // Eight uniform numbers of 0..=15 have deviation 13.04; half of that is 6.52.
            let mut coordinate = || {
                let sum: i32 = (0..8).map(|_| random.below(16) as i32).sum();
                (sum - 60).div_euclid(2)
            };
            let [ax, ay, bx, by] = core::array::from_fn(|_| coordinate());
            let inside = |x: i32, y: i32| x * x + y * y <= REACH * REACH;
            let apart = (ax - bx) * (ax - bx) + (ay - by) * (ay - by) >= 9;
            if inside(ax, ay) && inside(bx, by) && apart {
                (x[bit], y[bit]) = (ax as f32, ay as f32);
                (x[BITS + bit], y[BITS + bit]) = (bx as f32, by as f32);
                bit += 1;
            }
        }
        Self { x, y }
    }

    /// The descriptor of (x, y) in the smoothed image, turned to `direction` (a unit vector).
    /// (x, y) is at least [`MARGIN`] inside. About 7,000 instructions.
    pub(crate) fn describe(
        &self,
        image: &Gray<'_>,
        x: usize,
        y: usize,
        direction: [f32; 2],
    ) -> [u64; 4] {
        let [cosine, sine] = direction;
        let stride = image.stride() as f32;
        // Offsets from the first pixel that can be read; they and all on the way to them are whole
        // numbers below 2^22, so single precision is exact.
        let centre = (REACH + 1) as f32 * (stride + 1.0);
        let mut offsets = [0u32; 2 * BITS];
        for ((offset, &px), &py) in offsets.iter_mut().zip(&self.x).zip(&self.y) {
            let across = round(cosine * px - sine * py);
            let down = round(sine * px + cosine * py);
            *offset = whole(centre + down * stride + across);
        }
        let begin = (y - (REACH as usize + 1)) * image.stride() + x - (REACH as usize + 1);
        let pixels = &Raster::elements(image)[begin..];
        let (first, second) = offsets.split_at(BITS);
        core::array::from_fn(|word| {
            let range = word * 64..(word + 1) * 64;
            let pairs = first[range.clone()].iter().zip(&second[range]);
            pairs.fold(0, |bits, (&a, &b)| {
                let brighter = pixels[a as usize] < pixels[b as usize];
                bits >> 1 | u64::from(brighter) << 63
            })
        })
    }
}

/// 1.5 times 2^23: what is added to this leaves no bits for a fraction, and the last bits of the
/// sum are the number. Casts would do the same, but not several at once.
const LARGE: f32 = 12_582_912.0;

/// To the nearest whole number, for numbers below 2^22.
#[inline]
fn round(value: f32) -> f32 {
    (value + LARGE) - LARGE
}

/// A whole number from 0 to below 2^22, as an integer.
#[inline]
fn whole(value: f32) -> u32 {
    (value + LARGE).to_bits().wrapping_sub(LARGE.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::blank;
    use cistern_image::Size;

    #[test]
    fn comparisons_differ_from_each_other() {
        let pattern = Pattern::new();
        for a in 0..BITS {
            for b in 0..a {
                let point = |i: usize| (pattern.x[i], pattern.y[i]);
                let same = point(a) == point(b) && point(BITS + a) == point(BITS + b);
                let turned = point(a) == point(BITS + b) && point(BITS + a) == point(b);
                assert!(!same && !turned, "{a} and {b}");
            }
        }
    }

    #[test]
    fn every_direction_reads_within_the_margin() {
        let side = 2 * MARGIN as u32 + 1;
        let image = blank(Size::new(side, side).unwrap());
        let pattern = Pattern::new();
        for step in 0..360 {
            let angle = f64::from(step).to_radians();
            let direction = [libm::cos(angle) as f32, libm::sin(angle) as f32];
            assert_eq!(
                pattern.describe(&image.view(), MARGIN, MARGIN, direction),
                [0; 4]
            );
        }
    }

    #[test]
    fn a_bit_says_which_of_its_two_points_is_brighter() {
        let side = 2 * MARGIN as u32 + 1;
        let pattern = Pattern::new();
        for bit in [0, 63, 64, 255] {
            let mut image = blank(Size::new(side, side).unwrap());
            let at = |v: f32| (v as i32 + MARGIN as i32) as usize;
            let (x, y) = (pattern.x[BITS + bit], pattern.y[BITS + bit]);
            image.row_mut(at(y))[at(x)] = 9;
            let descriptor = pattern.describe(&image.view(), MARGIN, MARGIN, [1.0, 0.0]);
            assert_eq!(descriptor[bit / 64] >> (bit % 64) & 1, 1, "bit {bit}");
        }
    }
}
