//! Homographies: from four points, and refined over many.

use crate::linear;
use alloc::vec::Vec;
use cistern_image::{Matrix3, Point};

/// The same thing in two images, and how exactly it was found, in pixels of the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) first: Point,
    pub(crate) second: Point,
    pub(crate) deviation: f64,
}

impl Sample {
    /// Squared distance of the second point from where `homography` sends the first, in squared
    /// deviations; infinite if it sends it nowhere.
    #[inline]
    pub(crate) fn error(&self, homography: &Matrix3) -> f64 {
        match homography.point(self.first) {
            Some(p) => {
                let (dx, dy) = (p.x - self.second.x, p.y - self.second.y);
                (dx * dx + dy * dy) / (self.deviation * self.deviation)
            }
            None => f64::INFINITY,
        }
    }
}

/// Twice the area of a triangle, signed.
fn area(a: Point, b: Point, c: Point) -> f64 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

/// The homography that sends four points to four others; nothing if three are nearly on a line or
/// if the order of some three is turned about, which no view of a surface from one side does.
pub(crate) fn through_four(first: [Point; 4], second: [Point; 4]) -> Option<Matrix3> {
    /// In square pixels.
    const LEAST_AREA: f64 = 50.0;
    for [a, b, c] in [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]] {
        let before = area(first[a], first[b], first[c]);
        let after = area(second[a], second[b], second[c]);
        let large = before.abs() > LEAST_AREA && after.abs() > LEAST_AREA;
        if !large || (before > 0.0) != (after > 0.0) {
            return None;
        }
    }
    basis(second)?.times(&basis(first)?.inverse()?).normalised()
}

/// Sends the unit vectors to the first three points and their sum to the fourth.
fn basis([a, b, c, d]: [Point; 4]) -> Option<Matrix3> {
    let columns = Matrix3([a.x, b.x, c.x, a.y, b.y, c.y, 1.0, 1.0, 1.0]);
    let [u, v, w] = columns.inverse()?.vector([d.x, d.y, 1.0]);
    Some(columns.times(&Matrix3([u, 0.0, 0.0, 0.0, v, 0.0, 0.0, 0.0, w])))
}

/// Moves and shrinks pixels so that equations in them are well conditioned: what Hartley calls
/// normalisation.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    centre: Point,
    scale: f64,
}

impl Frame {
    /// The frame in which `points` have mean zero and mean length of about one.
    fn of(points: impl Iterator<Item = Point> + Clone) -> Self {
        let count = points.clone().count().max(1) as f64;
        let sum = points
            .clone()
            .fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
        let centre = Point {
            x: sum.0 / count,
            y: sum.1 / count,
        };
        let lengths: f64 = points.map(|p| p.distance(centre)).sum();
        let scale = (lengths / count).max(1.0);
        Self { centre, scale }
    }

    pub(crate) fn new(centre: Point, scale: f64) -> Self {
        Self { centre, scale }
    }

    /// From the frame to pixels.
    pub(crate) fn pixels(&self) -> Matrix3 {
        let (s, c) = (self.scale, self.centre);
        Matrix3([s, 0.0, c.x, 0.0, s, c.y, 0.0, 0.0, 1.0])
    }

    /// From pixels to the frame.
    pub(crate) fn frame(&self) -> Matrix3 {
        let (s, c) = (1.0 / self.scale, self.centre);
        Matrix3([s, 0.0, -c.x * s, 0.0, s, -c.y * s, 0.0, 0.0, 1.0])
    }
}

/// `homography` after up to `rounds` steps of Levenberg and Marquardt's method on the sum of
/// Huber's loss (beyond `tolerance` deviations a sample pulls no harder) over `samples`, at least
/// four. If nothing better is found, it comes back as it was.
pub(crate) fn refined(
    homography: &Matrix3,
    samples: &[Sample],
    tolerance: f64,
    rounds: usize,
) -> Matrix3 {
    if samples.len() < 4 {
        return *homography;
    }
    let source = Frame::of(samples.iter().map(|s| s.first));
    let target = Frame::of(samples.iter().map(|s| s.second));
    let (to_source, to_target) = (source.frame(), target.frame());
    let inner = |p: Point, m: &Matrix3| m.vector([p.x, p.y, 1.0]);
    // First and second point, and pixels of the second as deviations of this sample.
    let equations: Vec<([f64; 3], [f64; 3], f64)> = samples
        .iter()
        .map(|s| {
            let (a, b) = (inner(s.first, &to_source), inner(s.second, &to_target));
            (a, b, target.scale / s.deviation)
        })
        .collect();
    let start = to_target.times(homography).times(&source.pixels());
    let Some(mut h) = start.normalised().filter(|h| h.0[8] > 0.0) else {
        return *homography;
    };
    let mut damping = 1e-4;
    let (mut cost, mut normal, mut gradient) = step(&h, &equations, tolerance);
    for _ in 0..rounds {
        let mut a = normal;
        for i in 0..8 {
            a[i * 9] *= 1.0 + damping;
        }
        let mut change = gradient;
        let mut next = h;
        if linear::solve(&mut a, &mut change) {
            for (value, change) in next.0.iter_mut().zip(change) {
                *value -= change;
            }
        }
        let (new_cost, new_normal, new_gradient) = step(&next, &equations, tolerance);
        if new_cost < cost {
            let settled = cost - new_cost < 1e-9 * cost;
            (h, cost, normal, gradient) = (next, new_cost, new_normal, new_gradient);
            damping = (damping * 0.1).max(1e-12);
            if settled {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e6 {
                break;
            }
        }
    }
    let out = target.pixels().times(&h).times(&to_source).normalised();
    out.unwrap_or(*homography)
}

/// Cost at `h`, whose last element is one, with the normal equations for the other eight.
fn step(
    h: &Matrix3,
    equations: &[([f64; 3], [f64; 3], f64)],
    tolerance: f64,
) -> (f64, [f64; 64], [f64; 8]) {
    let (mut cost, mut normal, mut gradient) = (0.0, [0.0; 64], [0.0; 8]);
    for (first, second, scale) in equations {
        let [x, y, w] = h.vector(*first);
        if w.is_nan() || w < 1e-9 {
            return (f64::INFINITY, normal, gradient);
        }
        let (px, py, s) = (x / w, y / w, scale / w);
        let (ex, ey) = ((px - second[0]) * scale, (py - second[1]) * scale);
        let (loss, weight) = huber(ex * ex + ey * ey, tolerance);
        cost += loss;
        let [u, v, t] = first.map(|c| c * s);
        let across = [u, v, t, 0.0, 0.0, 0.0, -u * px, -v * px];
        let down = [0.0, 0.0, 0.0, u, v, t, -u * py, -v * py];
        for i in 0..8 {
            gradient[i] += weight * (across[i] * ex + down[i] * ey);
            let (a, d) = (weight * across[i], weight * down[i]);
            for j in 0..=i {
                normal[i * 8 + j] += a * across[j] + d * down[j];
            }
        }
    }
    (cost, normal, gradient)
}

/// Huber's loss of a squared error, and the weight of its square in least squares.
#[inline]
pub(crate) fn huber(squared: f64, tolerance: f64) -> (f64, f64) {
    if squared <= tolerance * tolerance {
        return (squared, 1.0);
    }
    let error = libm::sqrt(squared);
    (tolerance * (2.0 * error - tolerance), tolerance / error)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y }
    }

    fn truth() -> Matrix3 {
        Matrix3([1.05, 0.08, 130.0, -0.06, 0.97, -22.0, 6e-5, -4e-5, 1.0])
    }

    /// Points under `truth` with noise of a deviation of about `noise`.
    fn samples(seed: u64, count: usize, noise: f64) -> Vec<Sample> {
        let mut random = Random::new(seed);
        let mut uniform = || (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        (0..count)
            .map(|_| {
                let first = point(uniform() * 900.0, uniform() * 600.0);
                let mut second = truth().point(first).unwrap();
                let mut deviate = || noise * 2.0 * ((0..3).map(|_| uniform()).sum::<f64>() - 1.5);
                second.x += deviate();
                second.y += deviate();
                Sample {
                    first,
                    second,
                    deviation: 1.0,
                }
            })
            .collect()
    }

    fn corner_error(h: &Matrix3) -> f64 {
        let corners = [(0.0, 0.0), (900.0, 0.0), (900.0, 600.0), (0.0, 600.0)];
        let errors = corners.map(|(x, y)| {
            let (a, b) = (h.point(point(x, y)), truth().point(point(x, y)));
            a.unwrap().distance(b.unwrap())
        });
        errors.into_iter().fold(0.0, f64::max)
    }

    #[test]
    fn four_points_give_the_homography() {
        let first = [(0.0, 0.0), (800.0, 10.0), (790.0, 580.0), (5.0, 600.0)];
        let first = first.map(|(x, y)| point(x, y));
        let h = through_four(first, first.map(|p| truth().point(p).unwrap())).unwrap();
        assert!(corner_error(&h) < 1e-8);
    }

    #[test]
    fn degenerate_fours_give_nothing() {
        let square = [(0.0, 0.0), (90.0, 0.0), (90.0, 90.0), (0.0, 90.0)].map(|(x, y)| point(x, y));
        let line = [0.0, 1.0, 2.0, 3.0].map(|t| point(50.0 * t, 20.0 * t));
        let mirrored = square.map(|p| point(-p.x, p.y));
        assert_eq!(through_four(square, line), None);
        assert_eq!(through_four(line, square), None);
        assert_eq!(through_four([square[0]; 4], square), None);
        assert_eq!(through_four(square, mirrored), None);
        assert_eq!(through_four([point(f64::NAN, 0.0); 4], square), None);
    }

    #[test]
    fn refinement_averages_noise_and_shrugs_off_what_is_wrong() {
        let mut all = samples(1, 200, 0.5);
        let mut start = truth();
        start.0[2] += 4.0;
        start.0[1] += 0.01;
        assert!(corner_error(&start) > 5.0);
        let clean = refined(&start, &all, 2.0, 20);
        assert!(corner_error(&clean) < 0.3, "{}", corner_error(&clean));
        for wrong in all.iter_mut().take(20) {
            wrong.second.x += 40.0;
        }
        let robust = refined(&start, &all, 1.0, 20);
        assert!(corner_error(&robust) < 0.6, "{}", corner_error(&robust));
    }

    proptest! {
        #[test]
        fn refinement_of_anything_is_finite(values in proptest::collection::vec(prop_oneof![Just(0.0), Just(7.0), -1e9f64..1e9], 32), h in proptest::array::uniform9(-10.0f64..10.0)) {
            let all: Vec<Sample> = values.as_chunks::<4>().0.iter().map(|v| Sample {
                first: point(v[0], v[1]), second: point(v[2], v[3]), deviation: 1.0,
            }).collect();
            prop_assert!(refined(&Matrix3(h), &all, 2.0, 10).is_finite());
        }
    }
}
