//! A photograph drawn on the panorama: for each pixel of its region, where in the photograph that lies.
//!
//! On the plane and on the cylinder alike that place is (X / W, Y / W), with X, Y and W a term of
//! the column plus one of the row. Terms of columns are tabulated, so a pixel costs three additions
//! and a division, done in single precision for several pixels at once (an error of less than a
//! thousandth of a pixel), and the colour is interpolated in fixed point: between 64 places from one
//! pixel to the next, by the cubic of Catmull and Rom, which keeps what two pixels wide detail there is
//! where a bilinear mean would lose up to half.

use crate::Error;
use crate::layout::Region;
use alloc::vec::Vec;
use cistern_image::{Matrix3, Placement, Plan, Projection, Raster, Rgb};

/// A photograph on the panorama: red, green, blue, and 255 where the photograph is, else all 0.
pub type Warped<'a> = Raster<&'a [u8], 4>;
pub type WarpedMut<'a> = Raster<&'a mut [u8], 4>;

/// Places between two pixels, as a power of two.
const FRACTION: u32 = 6;
const PLACES: usize = 1 << FRACTION;
/// Weights are in units of this part, as a power of two.
const UNIT: u32 = 10;
/// Columns whose places are computed together.
const SPAN: usize = 64;
/// In units of a 64th pixel: beyond any photograph, but not where the rounding below fails.
const FARTHEST: f32 = 3_000_000.0;

/// Terms of columns and of rows: see the top of this file.
struct Terms {
    columns: [Vec<f32>; 3],
    row: [f64; 3],
}

impl Terms {
    fn new(plan: &Plan, placement: &Placement, region: &Region) -> Result<Self, Error> {
        let columns = region.x..region.right();
        match plan.projection() {
            Projection::Planar => {
                let back = placement.plane.inverse().ok_or(Error::Mismatch)?;
                let m = back.0;
                let column = |r: usize| {
                    let terms = columns.clone();
                    terms
                        .map(|x| (m[r] * f64::from(x) + m[r + 2]) as f32)
                        .collect()
                };
                Ok(Self {
                    columns: [column(0), column(3), column(6)],
                    row: [m[1], m[4], m[7]],
                })
            }
            Projection::Cylindrical => {
                let centre = placement.size()?.centre();
                let m = Matrix3::calibration(placement.focal, centre)
                    .times(&placement.rotation.transposed())
                    .0;
                let turns: Vec<(f64, f64)> = columns
                    .map(|x| libm::sincos(f64::from(x) / plan.focal))
                    .collect();
                let column = |r: usize| {
                    let terms = turns.iter();
                    terms
                        .map(|(sin, cos)| (m[r] * sin + m[r + 2] * cos) as f32)
                        .collect()
                };
                Ok(Self {
                    columns: [column(0), column(3), column(6)],
                    row: [m[1], m[4], m[7]].map(|term| term / plan.focal),
                })
            }
        }
    }
}

/// Weights of the four pixels around each place between two pixels.
fn weights() -> [[i32; 4]; PLACES] {
    core::array::from_fn(|place| {
        let t = place as f64 / PLACES as f64;
        let exact = [
            ((2.0 - t) * t - 1.0) * t / 2.0,
            ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
            ((4.0 - 3.0 * t) * t + 1.0) * t / 2.0,
            (t - 1.0) * t * t / 2.0,
        ];
        let mut out = exact.map(|w| libm::round(w * f64::from(1 << UNIT)) as i32);
        // They must sum to one, or plain colours would change.
        out[if t < 0.5 { 1 } else { 2 }] += (1 << UNIT) - out.iter().sum::<i32>();
        out
    })
}

/// Draws `source` as `placement` says on its `region` of the panorama: `out` has the region's size.
///
/// Takes twelve bytes a column of memory. Cost: some 25 ns a pixel that is covered.
pub fn warp(
    plan: &Plan,
    placement: &Placement,
    source: &Rgb<'_>,
    region: &Region,
    out: &mut WarpedMut<'_>,
) -> Result<(), Error> {
    if placement.size()? != source.size() || region.size()? != out.size() {
        return Err(Error::Mismatch);
    }
    let terms = Terms::new(plan, placement, region)?;
    let weights = weights();
    let last = [source.width() - 1, source.height() - 1].map(|n| (n << FRACTION) as i32);
    let mut places = [[0i32; SPAN]; 2];
    for (y, row) in out.rows_mut().enumerate() {
        let y = f64::from(region.y) + y as f64;
        let shift = terms.row.map(|term| (term * y) as f32);
        let pixels = row.as_chunks_mut::<4>().0;
        let [xs, ys, ws] = &terms.columns;
        let spans = xs.chunks(SPAN).zip(ys.chunks(SPAN)).zip(ws.chunks(SPAN));
        for (((xs, ys), ws), pixels) in spans.zip(pixels.chunks_mut(SPAN)) {
            find(xs, ys, ws, shift, &mut places);
            let [us, vs] = &places;
            for ((pixel, &u), &v) in pixels.iter_mut().zip(us).zip(vs) {
                let inside = (0..=last[0]).contains(&u) && (0..=last[1]).contains(&v);
                *pixel = if inside {
                    let [r, g, b] = sample(source, u as usize, v as usize, &weights);
                    [r, g, b, 255]
                } else {
                    [0; 4]
                };
            }
        }
    }
    Ok(())
}

/// The places of a span's pixels, in units of a 64th pixel.
fn find(xs: &[f32], ys: &[f32], ws: &[f32], shift: [f32; 3], places: &mut [[i32; SPAN]; 2]) {
    // 1.5 times 2 to the 23: added to a number of less than half that, it leaves the number rounded in
    // the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let [us, vs] = places;
    let terms = xs.iter().zip(ys).zip(ws);
    for (((x, y), w), (u, v)) in terms.zip(us.iter_mut().zip(vs)) {
        let w = w + shift[2];
        let scale = if w > 1e-6 {
            PLACES as f32 / w
        } else {
            f32::INFINITY
        };
        let place = |n: f32| {
            // What is not a number stays so, and its bits are far outside.
            let n = (n * scale).clamp(-FARTHEST, FARTHEST);
            (n + ROUND).to_bits() as i32 - ROUND.to_bits() as i32
        };
        *u = place(x + shift[0]);
        *v = place(y + shift[1]);
    }
}

/// The colour at a place that is inside.
#[inline]
fn sample(source: &Rgb<'_>, u: usize, v: usize, weights: &[[i32; 4]; PLACES]) -> [u8; 3] {
    let (x, y) = (u >> FRACTION, v >> FRACTION);
    let (across, down) = (&weights[u % PLACES], &weights[v % PLACES]);
    let (width, height) = (source.width(), source.height());
    let mut sum = [0i32; 3];
    if x >= 1 && y >= 1 && x + 2 < width && y + 2 < height {
        for (j, weight) in down.iter().enumerate() {
            let four = &source.row(y + j - 1)[(x - 1) * 3..(x + 3) * 3];
            let line = mix(four, across);
            for (sum, line) in sum.iter_mut().zip(line) {
                *sum += weight * line;
            }
        }
    } else {
        for (j, weight) in down.iter().enumerate() {
            let row = source.row((y + j).saturating_sub(1).min(height - 1));
            let mut four = [0; 12];
            for (i, pixel) in four.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let at = (x + i).saturating_sub(1).min(width - 1) * 3;
                pixel.copy_from_slice(&row[at..at + 3]);
            }
            let line = mix(&four, across);
            for (sum, line) in sum.iter_mut().zip(line) {
                *sum += weight * line;
            }
        }
    }
    sum.map(|n| ((n + (1 << (2 * UNIT - 1))) >> (2 * UNIT)).clamp(0, 255) as u8)
}

/// Four pixels of a row, weighed.
#[inline]
fn mix(four: &[u8], weights: &[i32; 4]) -> [i32; 3] {
    let mut line = [0i32; 3];
    for (pixel, weight) in four.as_chunks::<3>().0.iter().zip(weights) {
        for (line, byte) in line.iter_mut().zip(pixel) {
            *line += weight * i32::from(*byte);
        }
    }
    line
}
