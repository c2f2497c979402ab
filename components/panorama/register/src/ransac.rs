//! A homography among matches of which many are wrong: random samples, the one kept that loses
//! least (Torr and Zisserman's MSAC), refined on what agrees with it.

use crate::homography::{Sample, refined, through_four};
use crate::random::Random;
use alloc::vec::Vec;
use cistern_image::Matrix3;

/// A match agrees if it is at most this many deviations off.
const TOLERANCE: f64 = 3.0;
/// Most samples drawn.
const MAX_DRAWS: usize = 1_500;
/// Fewer matches than this prove nothing.
const FEWEST: usize = 8;

/// What was found: a homography and which of the samples agree with it.
pub(crate) struct Agreement {
    pub(crate) homography: Matrix3,
    pub(crate) agreeing: Vec<Sample>,
}

/// The homography that most of `samples` agree with, or nothing if no more agree than could by
/// chance (Brown and Lowe's test). At most 1,500 draws of about 10 instructions a sample and 500
/// besides; far fewer where most matches are right.
pub(crate) fn search(samples: &[Sample], seed: u64) -> Option<Agreement> {
    if samples.len() < FEWEST {
        return None;
    }
    let mut random = Random::new(seed);
    let (mut best, mut best_loss) = (None, f64::INFINITY);
    let (mut draws, mut enough) = (0, MAX_DRAWS);
    while draws < enough {
        draws += 1;
        let drawn: [usize; 4] = core::array::from_fn(|_| random.below(samples.len()));
        let first = drawn.map(|i| samples[i].first);
        let second = drawn.map(|i| samples[i].second);
        let Some(homography) = through_four(first, second) else {
            continue;
        };
        let loss = loss(samples, &homography, best_loss);
        if loss < best_loss {
            let better = polished(samples, &homography);
            let better_loss = self::loss(samples, &better, f64::INFINITY);
            let (chosen, least) = if better_loss < loss {
                (better, better_loss)
            } else {
                (homography, loss)
            };
            best_loss = least;
            enough = draws_for(agreeing(samples, &chosen).count(), samples.len());
            best = Some(chosen);
        }
    }
    let mut homography = best?;
    for _ in 0..2 {
        homography = polished(samples, &homography);
    }
    let agreeing: Vec<Sample> = agreeing(samples, &homography).collect();
    let proven = agreeing.len() >= FEWEST + samples.len() / 10;
    proven.then_some(Agreement {
        homography,
        agreeing,
    })
}

fn agreeing(samples: &[Sample], homography: &Matrix3) -> impl Iterator<Item = Sample> {
    let agrees = |s: &&Sample| s.error(homography) <= TOLERANCE * TOLERANCE;
    samples.iter().filter(agrees).copied()
}

fn polished(samples: &[Sample], homography: &Matrix3) -> Matrix3 {
    let all: Vec<Sample> = agreeing(samples, homography).collect();
    refined(homography, &all, 1.5, 4)
}

/// Sum of squared errors, each at most the square of the tolerance; given up beyond `limit`.
fn loss(samples: &[Sample], homography: &Matrix3, limit: f64) -> f64 {
    let mut sum = 0.0;
    for sample in samples {
        sum += sample.error(homography).min(TOLERANCE * TOLERANCE);
        if sum > limit {
            break;
        }
    }
    sum
}

/// Draws after which one in a thousand searches has not seen four right matches, if `right` of
/// `all` are.
fn draws_for(right: usize, all: usize) -> usize {
    let share = right as f64 / all as f64;
    let hit = share * share * share * share;
    if hit > 0.999 {
        return 1;
    }
    let draws = libm::log(0.001) / libm::log(1.0 - hit);
    if draws < MAX_DRAWS as f64 {
        draws as usize + 1
    } else {
        MAX_DRAWS
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use cistern_image::Point;
    use proptest::prelude::*;

    /// `right` samples under a known homography and `wrong` ones anywhere.
    fn mixed(seed: u64, right: usize, wrong: usize) -> (Matrix3, Vec<Sample>) {
        let truth = Matrix3([0.98, -0.11, 240.0, 0.1, 1.01, 12.0, 3e-5, 2e-5, 1.0]);
        let mut random = Random::new(seed);
        let mut within = |n: f64| (random.next() >> 11) as f64 / (1u64 << 53) as f64 * n;
        let all = (0..right + wrong)
            .map(|i| {
                let first = Point {
                    x: within(1000.0),
                    y: within(700.0),
                };
                let mut second = truth.point(first).unwrap();
                second.x += within(1.0) - 0.5;
                second.y += within(1.0) - 0.5;
                if i >= right {
                    second = Point {
                        x: within(1000.0),
                        y: within(700.0),
                    };
                }
                Sample {
                    first,
                    second,
                    deviation: 1.0,
                }
            })
            .collect();
        (truth, all)
    }

    #[test]
    fn the_right_third_is_found() {
        for seed in 0..20 {
            let (truth, all) = mixed(seed, 60, 110);
            let found = search(&all, seed).unwrap();
            assert!((60..64).contains(&found.agreeing.len()));
            let corner = Point { x: 1000.0, y: 0.0 };
            let off = found
                .homography
                .point(corner)
                .unwrap()
                .distance(truth.point(corner).unwrap());
            assert!(off < 1.0, "{seed}: {off}");
        }
    }

    #[test]
    fn chance_is_not_agreement() {
        for seed in 0..20 {
            let (_, all) = mixed(seed, 0, 100);
            assert!(search(&all, seed).is_none(), "{seed}");
            let (_, all) = mixed(seed, 7, 0);
            assert!(search(&all, seed).is_none(), "{seed}");
        }
    }

    #[test]
    fn points_on_a_line_agree_on_nothing() {
        let all: Vec<Sample> = (0..50)
            .map(|i| {
                let p = Point {
                    x: 20.0 * f64::from(i),
                    y: 7.0 * f64::from(i),
                };
                Sample {
                    first: p,
                    second: p,
                    deviation: 1.0,
                }
            })
            .collect();
        assert!(search(&all, 1).is_none());
        assert!(search(&[all[3]; 30], 1).is_none());
    }

    proptest! {
        #[test]
        fn anything_at_all_gives_finite_numbers(values in proptest::collection::vec(prop_oneof![Just(0.0), Just(640.0), 0.0f64..32768.0], 0..160)) {
            let all: Vec<Sample> = values.as_chunks::<4>().0.iter().map(|v| Sample {
                first: Point { x: v[0], y: v[1] }, second: Point { x: v[2], y: v[3] }, deviation: 1.0,
            }).collect();
            if let Some(found) = search(&all, 5) {
                prop_assert!(found.homography.is_finite());
            }
        }
    }
}
