//! Making photographs equally bright: one gain for each channel of each photograph.
//!
//! Where two overlap, the sums of their colours should agree after the gains. In logarithms that is
//! linear: the gains minimise the squared differences over all pairs, weighed by the size of the
//! overlaps, together with a weak wish that no gain be far from 1, which settles what the
//! overlaps leave open (Brown and Lowe 2007, section 6, in logarithms).

use crate::Error;
use crate::layout::Region;
use crate::warp::Warped;
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::record::Record;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a photograph's channels are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Gain(pub [f32; 3]);

impl Default for Gain {
    fn default() -> Self {
        Self([1.0; 3])
    }
}

/// No exposure differs by more.
const MOST: f32 = 8.0;

impl Record for Gain {
    fn is_sound(&self) -> bool {
        let range = 1.0 / MOST..=MOST;
        self.0.iter().all(|gain| range.contains(gain))
    }
}

/// Every so many pixels one is looked at, in both directions.
const STEP: usize = 4;
/// A colour that may have been clipped says nothing.
const BRIGHTEST: u8 = 250;
/// Weight of the wish for a gain of 1, in parts of the weight of all overlaps.
const PRIOR: f64 = 1e-3;

/// Sums over what two photographs have in common.
#[derive(Clone, Copy, Default)]
struct Overlap {
    count: f64,
    first: [f64; 3],
    second: [f64; 3],
}

/// Finds the gains of all `images`, which lie on `regions`, into `out`.
///
/// Takes some kilobytes of memory; cost: every 16th pixel of each overlap.
pub fn gains(regions: &[Region], images: &[Warped<'_>], out: &mut [Gain]) -> Result<(), Error> {
    let n = images.len();
    let sizes = regions.iter().zip(images);
    if regions.len() != n
        || out.len() != n
        || !sizes.into_iter().all(|(r, i)| r.size() == Ok(i.size()))
    {
        return Err(Error::Mismatch);
    }
    let mut overlaps = Vec::new();
    for i in 0..n {
        for j in i + 1..n {
            let overlap = overlap((&regions[i], &images[i]), (&regions[j], &images[j]));
            overlaps.push((i, j, overlap));
        }
    }
    for channel in 0..3 {
        let mut matrix = vec![0.0; n * n];
        let mut right = vec![0.0; n];
        let all: f64 = overlaps.iter().map(|(_, _, o)| o.count).sum();
        for k in 0..n {
            matrix[k * n + k] = PRIOR * all.max(1.0);
        }
        for (i, j, overlap) in &overlaps {
            let (a, b) = (overlap.first[channel], overlap.second[channel]);
            // A mean of less than one grey level is noise.
            if a < overlap.count.max(1.0) || b < overlap.count.max(1.0) {
                continue;
            }
            // (log gain i + log a) - (log gain j + log b) should be 0.
            let difference = libm::log(b / a);
            let weight = overlap.count;
            matrix[i * n + i] += weight;
            matrix[j * n + j] += weight;
            matrix[i * n + j] -= weight;
            matrix[j * n + i] -= weight;
            right[*i] += weight * difference;
            right[*j] -= weight * difference;
        }
        solve(&mut matrix, &mut right);
        for (gain, logarithm) in out.iter_mut().zip(&right) {
            let value = libm::exp(*logarithm) as f32;
            gain.0[channel] = value.clamp(1.0 / MOST, MOST);
        }
    }
    Ok(())
}

fn overlap<'a>(first: (&Region, &'a Warped<'a>), second: (&Region, &'a Warped<'a>)) -> Overlap {
    let (columns, rows) = first.0.common(second.0);
    let mut sums = Overlap::default();
    if columns.is_empty() {
        return sums;
    }
    for y in rows.step_by(STEP) {
        let line = |(region, image): (&Region, &'a Warped<'a>)| {
            let row = image.row((y - region.y) as usize);
            let range = (columns.start - region.x) as usize..(columns.end - region.x) as usize;
            row.as_chunks::<4>().0[range].iter()
        };
        let pairs = line(first).zip(line(second));
        for (a, b) in pairs.step_by(STEP) {
            let clear = |p: &[u8; 4]| p[3] != 0 && p[..3].iter().all(|c| *c <= BRIGHTEST);
            if clear(a) && clear(b) {
                sums.count += 1.0;
                for c in 0..3 {
                    sums.first[c] += f64::from(a[c]);
                    sums.second[c] += f64::from(b[c]);
                }
            }
        }
    }
    sums
}

/// Solves a positive definite system in place by Cholesky's elimination: the solution replaces `right`.
fn solve(matrix: &mut [f64], right: &mut [f64]) {
    let n = right.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = matrix[i * n + k] / matrix[k * n + k];
            for j in k..n {
                matrix[i * n + j] -= factor * matrix[k * n + j];
            }
            right[i] -= factor * right[k];
        }
    }
    for k in (0..n).rev() {
        for j in k + 1..n {
            right[k] -= matrix[k * n + j] * right[j];
        }
        right[k] /= matrix[k * n + k];
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Photographs of 60 by 40 pixels of one colour, each begun so many columns from the last.
    fn found(step: i32, colours: &[[u8; 3]]) -> Vec<Gain> {
        let region = |i: usize| Region {
            x: step * i as i32,
            y: -5,
            width: 60,
            height: 40,
        };
        let regions: Vec<Region> = (0..colours.len()).map(region).collect();
        let pixels: Vec<Vec<u8>> = colours
            .iter()
            .map(|&[r, g, b]| [r, g, b, 255].repeat(2400))
            .collect();
        let images: Vec<Warped<'_>> = (pixels.iter().zip(&regions))
            .map(|(pixels, r)| Warped::packed(&pixels[..], r.size().unwrap()).unwrap())
            .collect();
        let mut out = vec![Gain::default(); colours.len()];
        gains(&regions, &images, &mut out).unwrap();
        out
    }

    #[test]
    fn overlapping_photographs_become_equally_bright_and_the_set_stays_so() {
        let colours = [[100, 60, 30], [80, 60, 60], [50, 60, 120]];
        let gains = found(30, &colours);
        for channel in 0..3 {
            let bright: Vec<f32> = (gains.iter().zip(&colours))
                .map(|(gain, colour)| gain.0[channel] * f32::from(colour[channel]))
                .collect();
            let mean = bright.iter().sum::<f32>() / 3.0;
            assert!(
                bright.iter().all(|b| (b / mean - 1.0).abs() < 0.01),
                "{bright:?}"
            );
            let product: f32 = gains.iter().map(|gain| gain.0[channel]).product();
            assert!((product - 1.0).abs() < 0.01, "{product}");
        }
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        for (step, colours) in [
            (60, [[100, 100, 100], [50, 50, 50]]),
            (30, [[255, 255, 255], [100, 100, 100]]),
            (30, [[0, 0, 0], [100, 100, 100]]),
        ] {
            assert_eq!(found(step, &colours), [Gain::default(); 2], "{colours:?}");
        }
    }
}
