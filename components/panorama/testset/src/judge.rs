//! How far a result is from the truth.

use crate::Set;
use crate::geometry::{Homography, apply, inverse, product};
use crate::render::Sampler;

/// Mean distance in pixels of the anchor between where the estimate puts the corners of all other views
/// and where they are. `to_anchor[i]` takes view `i`'s pixels to the anchor's; that of the anchor is
/// not looked at. Not finite if the estimate sends a corner to infinity.
pub fn corner_error(set: &Set, anchor: usize, to_anchor: &[Homography]) -> f64 {
    let back = inverse(&set.views[anchor].to_original);
    let (mut sum, mut count) = (0.0, 0);
    for (i, view) in set.views.iter().enumerate().filter(|(i, _)| *i != anchor) {
        let truth = product(&back, &view.to_original);
        for corner in view.corners() {
            let (x, y) = apply(&truth, corner);
            let (u, v) = apply(&to_anchor[i], corner);
            sum += (x - u).hypot(y - v);
            count += 1;
        }
    }
    sum / f64::from(count)
}

/// What a panorama is worth.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Peak signal to noise ratio in dB over all covered pixels and channels.
    pub psnr: f64,
    /// The share of what the views saw of the original that the panorama shows.
    pub covered: f64,
    /// What each channel of the panorama was multiplied by before it was compared: a photograph
    /// has no absolute exposure, so one gain a channel for the whole panorama is fitted.
    pub gain: [f64; 3],
}

/// Coarse cells, in pixels of the original, in which coverage is counted.
const CELL: usize = 8;

/// Compares a panorama of `width` pixels a row with the original. `pixel(x, y)` is its colour where it has
/// one; `to_anchor` takes its pixels to the anchor's by the estimate, `None` where that view has no such
/// direction. The original is sampled where the truth of the anchor puts that point.
pub fn quality(
    set: &Set,
    anchor: usize,
    (width, height): (usize, usize),
    pixel: impl Fn(usize, usize) -> Option<[u8; 3]>,
    to_anchor: impl Fn(f64, f64) -> Option<(f64, f64)>,
) -> Quality {
    let truth = set.views[anchor].to_original;
    let original = &set.original;
    let (cells_x, cells_y) = (original.width / CELL, original.height / CELL);
    let mut hit = vec![false; cells_x * cells_y];
    let sampler = Sampler::new(original);
    let (right, bottom) = ((original.width - 1) as f64, (original.height - 1) as f64);
    // Sums of p p, p o and o o for each channel, of panorama p and original o.
    let mut sums = [[0.0f64; 3]; 3];
    let mut count = 0.0;
    for y in 0..height {
        for x in 0..width {
            let Some(ours) = pixel(x, y) else { continue };
            let Some(place) = to_anchor(x as f64, y as f64) else {
                continue;
            };
            let (u, v) = apply(&truth, place);
            if !(0.0..=right).contains(&u) || !(0.0..=bottom).contains(&v) {
                continue;
            }
            let (cell_x, cell_y) = (u as usize / CELL, v as usize / CELL);
            if cell_x < cells_x && cell_y < cells_y {
                hit[cell_y * cells_x + cell_x] = true;
            }
            let colour = sampler.sample(u, v);
            for (c, sums) in sums.iter_mut().enumerate() {
                let p = f64::from(ours[c]);
                let o = f64::from(colour[c].clamp(0.0, 255.0));
                sums[0] += p * p;
                sums[1] += p * o;
                sums[2] += o * o;
            }
            count += 1.0;
        }
    }
    let gain = sums.map(|[pp, po, _]| if pp > 0.0 { po / pp } else { 1.0 });
    let squared: f64 = sums
        .iter()
        .zip(gain)
        .map(|([pp, po, oo], g)| g * g * pp - 2.0 * g * po + oo)
        .sum();
    let psnr = if count == 0.0 {
        0.0
    } else {
        10.0 * (255.0 * 255.0 / (squared / (3.0 * count)).max(1e-9)).log10()
    };
    Quality {
        psnr,
        covered: coverage(set, &hit, (cells_x, cells_y)),
        gain,
    }
}

/// Of the cells whose middle some view saw, the share that was hit.
fn coverage(set: &Set, hit: &[bool], (cells_x, cells_y): (usize, usize)) -> f64 {
    let inverses: Vec<Homography> = set.views.iter().map(|v| inverse(&v.to_original)).collect();
    let (mut seen, mut both) = (0.0, 0.0);
    for cell_y in 0..cells_y {
        for cell_x in 0..cells_x {
            let middle = (
                (cell_x * CELL + CELL / 2) as f64,
                (cell_y * CELL + CELL / 2) as f64,
            );
            let sees = set.views.iter().zip(&inverses).any(|(view, inverse)| {
                let (x, y) = apply(inverse, middle);
                (0.0..view.width as f64).contains(&x) && (0.0..view.height as f64).contains(&y)
            });
            if sees {
                seen += 1.0;
                both += f64::from(u8::from(hit[cell_y * cells_x + cell_x]));
            }
        }
    }
    both / seen
}
