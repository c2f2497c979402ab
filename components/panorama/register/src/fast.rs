//! Corners by the segment test (Rosten and Drummond, FAST-9): at least nine neighbouring pixels of
//! the sixteen on a circle of radius three are all brighter, or all darker, than the centre.

use alloc::vec;
use alloc::vec::Vec;
use cistern_image::Gray;

/// The circle, clockwise from the top: (x, y) from its centre.
const CIRCLE: [(isize, isize); 16] = [
    (0, -3),
    (1, -3),
    (2, -2),
    (3, -1),
    (3, 0),
    (3, 1),
    (2, 2),
    (1, 3),
    (0, 3),
    (-1, 3),
    (-2, 2),
    (-3, 1),
    (-3, 0),
    (-3, -1),
    (-2, -2),
    (-1, -3),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corner {
    pub(crate) x: u16,
    pub(crate) y: u16,
    /// The largest threshold for which this is a corner, plus one.
    pub(crate) score: u8,
}

/// All corners that differ from their circle by more than `threshold` and are at least `margin`
/// (three or more) pixels inside, row by row; of neighbouring ones only the best, of equal ones
/// the first. About 6 instructions a pixel and 350 for one that may be a corner.
pub(crate) fn corners(image: &Gray<'_>, threshold: u8, margin: usize) -> Vec<Corner> {
    let margin = margin.max(3);
    let (width, height) = (image.width(), image.height());
    if width <= 2 * margin || height <= 2 * margin {
        return Vec::new();
    }
    let inside = width - 2 * margin;
    let mut found = Vec::new();
    let mut scores = vec![0u8; width * height];
    let mut candidates = vec![0u8; inside];
    for y in margin..height - margin {
        // For each pixel of the circle, the row of them that belongs to the row of centres.
        let circle = CIRCLE.map(|(dx, dy)| {
            let begin = margin.wrapping_add_signed(dx);
            &image.row(y.wrapping_add_signed(dy))[begin..begin + inside]
        });
        let centres = &image.row(y)[margin..margin + inside];
        mark_candidates(&circle, centres, threshold, &mut candidates);
        let line = &mut scores[y * width + margin..][..inside];
        // Most pixels are none: eight are passed over at once.
        for (block, eight) in candidates.chunks(8).enumerate() {
            if let Ok(eight) = <[u8; 8]>::try_from(eight)
                && u64::from_ne_bytes(eight) == 0
            {
                continue;
            }
            for (x, _) in (8 * block..).zip(eight).filter(|(_, c)| **c != 0) {
                let score = score(circle.map(|row| row[x]), centres[x]);
                if score > threshold {
                    line[x] = score;
                    found.push(Corner {
                        x: (x + margin) as u16,
                        y: y as u16,
                        score,
                    });
                }
            }
        }
    }
    found.retain(|corner| is_best(&scores, width, corner));
    found
}

/// Of nine neighbours on the circle two are always opposite unless one of each opposite two is
/// among them: so one of each two must be brighter, or one of each two darker. Few pixels that are
/// no corners pass.
fn mark_candidates(circle: &[&[u8]; 16], centres: &[u8], threshold: u8, out: &mut [u8]) {
    let n = out.len();
    let circle = circle.map(|row| &row[..n]);
    let centres = &centres[..n];
    for x in 0..n {
        let (mut low, mut high) = (255, 0);
        for k in 0..8 {
            let (a, b) = (circle[k][x], circle[k + 8][x]);
            low = low.min(a.max(b));
            high = high.max(a.min(b));
        }
        let centre = centres[x];
        let difference = low.saturating_sub(centre).max(centre.saturating_sub(high));
        out[x] = difference.saturating_sub(threshold);
    }
}

/// The largest of all least differences over nine neighbours, brighter or darker.
fn score(circle: [u8; 16], centre: u8) -> u8 {
    let brighter = least_of_nine(circle.map(|p| p.saturating_sub(centre)));
    let darker = least_of_nine(circle.map(|p| centre.saturating_sub(p)));
    let either = brighter.iter().zip(&darker).map(|(b, d)| *b.max(d));
    either.fold(0, u8::max)
}

/// For each place on a circle the least of nine values from there on: of 2, 4, 8 and then 9, each
/// from two of the step before.
fn least_of_nine(values: [u8; 16]) -> [u8; 16] {
    let mut twice = [0; 32];
    twice[..16].copy_from_slice(&values);
    twice[16..].copy_from_slice(&values);
    let mut two = [0; 24];
    for i in 0..24 {
        two[i] = u8::min(twice[i], twice[i + 1]);
    }
    let mut four = [0; 20];
    for i in 0..20 {
        four[i] = u8::min(two[i], two[i + 2]);
    }
    let mut nine = [0; 16];
    for i in 0..16 {
        nine[i] = four[i].min(four[i + 4]).min(twice[i + 8]);
    }
    nine
}

fn is_best(scores: &[u8], width: usize, corner: &Corner) -> bool {
    let at = corner.y as usize * width + corner.x as usize;
    let own = corner.score;
    let before = [at - width - 1, at - width, at - width + 1, at - 1];
    let after = [at + 1, at + width - 1, at + width, at + width + 1];
    before.iter().all(|&i| scores[i] < own) && after.iter().all(|&i| scores[i] <= own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::blank;
    use crate::random::Random;
    use cistern_image::Size;
    use imageproc::corners::corners_fast9;
    use imageproc::image::GrayImage;

    /// Noise, smoothed a little so that there are corners of all strengths.
    fn texture(seed: u64, width: u32, height: u32) -> crate::pyramid::Buffer {
        let mut random = Random::new(seed);
        let mut image = blank(Size::new(width, height).unwrap());
        for row in image.rows_mut() {
            let mut last = 128i32;
            for p in row {
                last += (random.below(81) as i32 - 40) - (last - 128) / 4;
                *p = last.clamp(0, 255) as u8;
            }
        }
        image
    }

    #[test]
    fn corners_are_those_of_an_established_detector() {
        for (seed, threshold) in [(1, 8), (2, 20), (3, 35)] {
            let image = texture(seed, 97, 61);
            let pixels = image.elements().to_vec();
            let theirs = corners_fast9(&GrayImage::from_raw(97, 61, pixels).unwrap(), threshold);
            let ours = corners(&image.view(), threshold, 3);
            assert!(theirs.len() > 50, "{}", theirs.len());
            let score = |x: i32, y: i32| {
                let found = theirs.iter().find(|c| (c.x as i32, c.y as i32) == (x, y));
                found.map_or(0.0, |c| c.score + 1.0)
            };
            // Theirs that are the best of their neighbourhood are ours, and no others.
            let around = |x: i32, y: i32| {
                let places = (-1..=1).flat_map(move |dy| (-1..=1).map(move |dx| (dx, dy)));
                places
                    .filter(|d| *d != (0, 0))
                    .map(move |d| (d, (x + d.0, y + d.1)))
            };
            let mut expected = Vec::new();
            for y in 3..58 {
                for x in 3..94 {
                    let own = score(x, y);
                    let best = around(x, y).all(|((dx, dy), (nx, ny))| {
                        let before = dy < 0 || (dy == 0 && dx < 0);
                        if before {
                            score(nx, ny) < own
                        } else {
                            score(nx, ny) <= own
                        }
                    });
                    if own > 0.0 && best {
                        expected.push((x as u16, y as u16, own as u8));
                    }
                }
            }
            let ours: Vec<_> = ours.iter().map(|c| (c.x, c.y, c.score)).collect();
            assert_eq!(ours, expected, "threshold {threshold}");
        }
    }

    #[test]
    fn images_without_an_inside_have_no_corners() {
        for (width, height) in [(1, 1), (6, 50), (50, 6), (7, 7)] {
            assert!(corners(&texture(1, width, height).view(), 0, 0).len() <= 1);
        }
        assert!(corners(&blank(Size::new(60, 60).unwrap()).view(), 0, 3).is_empty());
    }
}
