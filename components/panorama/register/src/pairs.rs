//! The second stage: which images overlap, and what is the same in both, to a small part of a
//! pixel.
//!
//! Descriptors propose matches, a search for a homography throws out the wrong ones. That
//! homography then says where every feature of either image should be in the other, and the
//! pixels themselves say where it is; so a pair's matches are many, exact, and spread over the
//! overlap, whatever number of descriptors found each other.

use crate::error::Error;
use crate::features::MAX_FEATURES;
use crate::hamming::{self, Descriptors};
use crate::homography::{Sample, refined};
use crate::patch::{self, REACH, Template};
use crate::ransac::{self, Agreement};
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::{Feature, Gray, Match, Matrix3, Pair, Point};

/// Most images of one panorama.
pub const MAX_IMAGES: usize = 16;
/// Most matches of one pair of images.
pub const MAX_MATCHES: usize = 256;

/// Fewer matches than this do not hold two images together.
const FEWEST: usize = 12;
/// The overlap is divided into this many cells across and down.
const CELLS: usize = 12;
/// Matches that one cell gives.
const IN_CELL: usize = 2;

/// An image and what the first stage found in it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub image: Gray<'a>,
    pub features: &'a [Feature],
}

/// Finds the pairs of images that overlap, and their matches; answers how many of both were
/// written. `n` images need room for n (n - 1) / 2 pairs and [`MAX_MATCHES`] matches a pair. That
/// no images overlap is no error here.
///
/// Cost: about 22 million instructions for two images, 12 to 20 million more if they overlap. Scratch
/// memory: about 100 KiB, for one pair at a time.
pub fn pairs(
    sources: &[Source<'_>],
    pairs: &mut [Pair],
    matches: &mut [Match],
) -> Result<(usize, usize), Error> {
    let images = sources.len();
    if images > MAX_IMAGES {
        return Err(Error::TooMany { images });
    }
    let most = images * images.saturating_sub(1) / 2;
    for (needed, given) in [(most, pairs.len()), (most * MAX_MATCHES, matches.len())] {
        if given < needed {
            return Err(Error::Room { needed, given });
        }
    }
    for source in sources {
        at_most(source.features.len(), MAX_FEATURES)?;
    }
    let (mut pair_count, mut match_count) = (0, 0);
    for (second, target) in sources.iter().enumerate() {
        let descriptors = Descriptors::new(target.features);
        for (first, source) in sources[..second].iter().enumerate() {
            let seed = (first * MAX_IMAGES + second) as u64;
            let Some((homography, found)) = overlap(source, target, &descriptors, seed) else {
                continue;
            };
            matches[match_count..][..found.len()].copy_from_slice(&found);
            pairs[pair_count] = Pair {
                homography,
                first: first as u32,
                second: second as u32,
                begin: match_count as u32,
                count: found.len() as u32,
            };
            pair_count += 1;
            match_count += found.len();
        }
    }
    Ok((pair_count, match_count))
}

/// What another component wrote must not cost more than what the stage before writes.
pub(crate) fn at_most(given: usize, most: usize) -> Result<(), Error> {
    if given > most {
        return Err(Error::TooManyRecords { given, most });
    }
    Ok(())
}

/// How one image lies on another, and at most [`MAX_MATCHES`] matches; nothing if it does not.
fn overlap(
    source: &Source<'_>,
    target: &Source<'_>,
    descriptors: &Descriptors,
    seed: u64,
) -> Option<(Matrix3, Vec<Match>)> {
    let proposed: Vec<Sample> = hamming::matches(source.features, descriptors)
        .into_iter()
        .map(|(a, b)| sample(&source.features[a as usize], &target.features[b as usize]))
        .collect();
    let Agreement {
        mut homography,
        agreeing,
    } = ransac::search(&proposed, seed)?;
    // The first time only to make the homography exact, so that the second time the search is short.
    let coarse = agreeing.iter().map(|s| s.first).take(MAX_MATCHES / 2);
    let (samples, _) = located(source, target, &homography, coarse, 6.0);
    if samples.len() < FEWEST {
        return None;
    }
    homography = refined(&homography, &samples, 1.0, 10);
    let places = places(source, target, &homography);
    let (mut samples, tried) = located(source, target, &homography, places, 3.0);
    homography = refined(&homography, &samples, 0.5, 10);
    drop_strays(&mut samples, &homography);
    if samples.len() < FEWEST || samples.len() * 4 < tried {
        return None;
    }
    homography = refined(&homography, &samples, 0.5, 10);
    let single = |p: Point| [p.x as f32, p.y as f32];
    let found = samples.iter().map(|s| Match {
        first: single(s.first),
        second: single(s.second),
    });
    Some((homography, found.collect()))
}

fn sample(first: &Feature, second: &Feature) -> Sample {
    let point = |f: &Feature| Point {
        x: f64::from(f.x),
        y: f64::from(f.y),
    };
    let (a, b) = (f64::from(first.scale), f64::from(second.scale));
    Sample {
        first: point(first),
        second: point(second),
        // A pixel of the level that it was found on.
        deviation: libm::sqrt((a * a + b * b) / 2.0).max(1.0),
    }
}

/// Features of both images where they overlap, in pixels of the first, spread over the overlap.
fn places(source: &Source<'_>, target: &Source<'_>, homography: &Matrix3) -> Vec<Point> {
    let Some(back) = homography.inverse() else {
        return Vec::new();
    };
    let inside = |p: Point, image: &Gray<'_>| {
        let border = (REACH + 2) as f64;
        let within = |v: f64, side: usize| v >= border && v + border < side as f64;
        within(p.x, image.width()) && within(p.y, image.height())
    };
    let own = source.features.iter().filter_map(|f| {
        let at = Point {
            x: f64::from(f.x),
            y: f64::from(f.y),
        };
        let there = homography.point(at)?;
        (inside(at, &source.image) && inside(there, &target.image)).then_some(at)
    });
    let others = target.features.iter().filter_map(|f| {
        let there = Point {
            x: f64::from(f.x),
            y: f64::from(f.y),
        };
        let at = back.point(there)?;
        (inside(at, &source.image) && inside(there, &target.image)).then_some(at)
    });
    let all: Vec<Point> = own.chain(others).collect();
    let least = |v: fn(&Point) -> f64| all.iter().map(v).fold(f64::INFINITY, f64::min);
    let most = |v: fn(&Point) -> f64| all.iter().map(v).fold(0.0, f64::max);
    let (left, top) = (least(|p| p.x), least(|p| p.y));
    let width = (most(|p| p.x) - left).max(1.0);
    let height = (most(|p| p.y) - top).max(1.0);
    let mut filled = vec![0; CELLS * CELLS];
    let cell = |v: f64, length: f64| ((v / length * CELLS as f64) as usize).min(CELLS - 1);
    let mut chosen = all;
    chosen.retain(|p| {
        let at = cell(p.y - top, height) * CELLS + cell(p.x - left, width);
        filled[at] += 1;
        filled[at] <= IN_CELL
    });
    chosen.truncate(MAX_MATCHES);
    chosen
}

/// The patches around `places` of the first image that are found in the second near where
/// `homography` sends them, and how many could be looked for.
fn located(
    source: &Source<'_>,
    target: &Source<'_>,
    homography: &Matrix3,
    places: impl IntoIterator<Item = Point>,
    farthest: f64,
) -> (Vec<Sample>, usize) {
    let mut tried = 0;
    let mut found = Vec::new();
    for place in places {
        // Whole pixels of the first image: its patch needs no interpolation. A negative place
        // becomes 0, which is too near the border to be a patch.
        let (x, y) = ((place.x + 0.5) as usize, (place.y + 0.5) as usize);
        let Some(template) = Template::new(&source.image, x, y) else {
            continue;
        };
        let first = Point {
            x: x as f64,
            y: y as f64,
        };
        let guess = homography.point(first).zip(patch::shape(homography, first));
        let Some((guess, shape)) = guess else {
            continue;
        };
        tried += 1;
        if let Some(second) = template.find(&target.image, guess, &shape, farthest) {
            found.push(Sample {
                first,
                second,
                deviation: 1.0,
            });
        }
    }
    (found, tried)
}

/// Takes out what is far off by the standard of the others: more than four medians and a pixel.
fn drop_strays(samples: &mut Vec<Sample>, homography: &Matrix3) {
    let mut errors: Vec<f64> = samples.iter().map(|s| s.error(homography)).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors.get(errors.len() / 2).copied().unwrap_or(0.0);
    let limit = (16.0 * median).max(1.0);
    samples.retain(|s| s.error(homography) <= limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_off_by_the_standard_of_the_others_is_dropped() {
        let off = |dx: f64| Sample {
            first: Point { x: 10.0, y: 20.0 },
            second: Point {
                x: 10.0 + dx,
                y: 20.0,
            },
            deviation: 1.0,
        };
        let left = |offs: &[f64]| {
            let mut samples: Vec<Sample> = offs.iter().map(|dx| off(*dx)).collect();
            drop_strays(&mut samples, &Matrix3::IDENTITY);
            samples.len()
        };
        // A pixel is nothing, whatever the others say; four medians are the limit beyond it.
        assert_eq!(left(&[0.1, 0.0, 0.1, 0.9, 1.1]), 4);
        assert_eq!(left(&[0.5, 0.5, 0.5, 1.9, 2.1]), 4);
        assert_eq!(left(&[]), 0);
    }
}
