//! The first stage: corners of an image over scales, spread over it, with their descriptors.

use crate::corner::{self, RADIUS};
use crate::describe::{MARGIN, Pattern};
use crate::error::Error;
use crate::fast::{self, Corner};
use crate::pyramid::{self, Level};
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::{Feature, Gray};

/// Most features of one image, and the room that [`features`] wants.
pub const MAX_FEATURES: usize = 640;

/// Differences of brightness that make a corner: where the first finds too few, the second.
const THRESHOLDS: [u8; 2] = [12, 5];
/// Corners that are looked at more closely, for each that is wanted.
const STRONG: usize = 8;
/// Features that one cell of the grid keeps before others are filled.
const IN_CELL: usize = 4;
/// Pixels around a corner that everything here needs.
const BORDER: usize = if MARGIN > RADIUS as usize + 1 {
    MARGIN
} else {
    RADIUS as usize + 1
};

/// Finds at most [`MAX_FEATURES`] features and writes them to `out`, finer levels of the pyramid
/// first. The answer is how many there are; an image without corners
/// has none.
///
/// Cost: about 60 million instructions for half a megapixel of much texture, 95 million for an image
/// of any larger size. Scratch memory: about seven bytes for each of at most 600,000 pixels, and a quarter
/// of the image while it is made smaller.
pub fn features(image: &Gray<'_>, out: &mut [Feature]) -> Result<usize, Error> {
    if out.len() < MAX_FEATURES {
        return Err(Error::Room {
            needed: MAX_FEATURES,
            given: out.len(),
        });
    }
    let pattern = Pattern::new();
    let levels = pyramid::levels(image);
    let share: f64 = levels.iter().map(|level| 1.0 / level.scale[0]).sum();
    let mut count = 0;
    for (number, level) in levels.iter().enumerate() {
        // What finer levels did not use is left to coarser ones.
        let quota = if number + 1 == levels.len() {
            MAX_FEATURES - count
        } else {
            (MAX_FEATURES as f64 / (level.scale[0] * share)) as usize
        };
        count += of_level(level, quota, &pattern, &mut out[count..]);
    }
    Ok(count)
}

/// The best `quota` features of one level.
fn of_level(level: &Level, quota: usize, pattern: &Pattern, out: &mut [Feature]) -> usize {
    let pixels = level.pixels.view();
    let [strict, lax] = THRESHOLDS;
    let mut corners = fast::corners(&pixels, strict, BORDER);
    if corners.len() < 2 * quota {
        corners = fast::corners(&pixels, lax, BORDER);
    }
    keep_strong(&mut corners, STRONG * quota);
    let mut ranked: Vec<(f32, Corner)> = corners
        .into_iter()
        .map(|c| (corner::harris(&pixels, c.x.into(), c.y.into()), c))
        .filter(|(response, _)| *response > 0.0)
        .collect();
    // Corners come row by row, and the sort is stable: equal ones have a fixed order.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let chosen = spread(&ranked, pixels.width(), pixels.height(), quota);
    let smooth = pyramid::smoothed(&pixels);
    let scale = libm::sqrt(level.scale[0] * level.scale[1]);
    for (to, &(response, c)) in out.iter_mut().zip(&chosen) {
        let (x, y) = (usize::from(c.x), usize::from(c.y));
        let [px, py] = corner::peak(&pixels, x, y, response);
        let [wx, wy] = level.whole(px, py);
        let direction = corner::direction(&pixels, x, y);
        *to = Feature {
            x: wx as f32,
            y: wy as f32,
            cosine: direction[0],
            sine: direction[1],
            scale: scale as f32,
            score: response,
            descriptor: pattern.describe(&smooth.view(), x, y, direction),
        };
    }
    chosen.len()
}

/// Takes out the corners with the lowest scores of the segment test, as long as `enough` are left:
/// that score is at hand, Harris' response is not.
fn keep_strong(corners: &mut Vec<Corner>, enough: usize) {
    let mut with_score = [0usize; 256];
    for corner in &*corners {
        with_score[usize::from(corner.score)] += 1;
    }
    let mut left = 0;
    let least = (0..256).rev().find(|&score| {
        left += with_score[score];
        left >= enough
    });
    if let Some(least) = least {
        corners.retain(|c| usize::from(c.score) >= least);
    }
}

/// At most `quota` of the ranked corners: first at most [`IN_CELL`] from each cell of a grid that
/// would fill the quota if all cells were full, then the best of the others.
fn spread(
    ranked: &[(f32, Corner)],
    width: usize,
    height: usize,
    quota: usize,
) -> Vec<(f32, Corner)> {
    let cells = (quota / IN_CELL).max(1) as f64;
    let side = (libm::sqrt(width as f64 * height as f64 / cells) as usize).max(1);
    let across = width.div_ceil(side);
    let mut filled = vec![0; across * height.div_ceil(side)];
    let (mut chosen, mut others) = (Vec::with_capacity(quota), Vec::new());
    for &(response, c) in ranked {
        let cell = &mut filled[usize::from(c.y) / side * across + usize::from(c.x) / side];
        if *cell < IN_CELL {
            *cell += 1;
            chosen.push((response, c));
        } else {
            others.push((response, c));
        }
    }
    let full = quota.saturating_sub(chosen.len());
    chosen.extend(others.into_iter().take(full));
    chosen.truncate(quota);
    chosen
}
