//! One estimate over all images at once: what each match of each pair says is made to agree as well
//! as it can (Triggs et al., bundle adjustment), by Levenberg and Marquardt's method on Huber's
//! loss.

use crate::homography::huber;
use crate::linear;
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::Point;

/// Numbers that place one image, at most.
pub(crate) const MOST: usize = 8;

/// A number that is not to be changed.
pub(crate) const FIXED: usize = usize::MAX;

/// How an image is placed: something with at most [`MOST`] numbers by which it can be changed.
pub(crate) trait Camera: Copy {
    /// What two cameras have to do with each other.
    type Relation;

    fn changed(&self, by: &[f64; MOST]) -> Self;
    /// What takes points of the first camera to points of the second.
    fn relation(first: &Self, second: &Self) -> Option<Self::Relation>;
    /// Where in the second camera `point` of the first is; nothing if behind it.
    fn carried(relation: &Self::Relation, point: Point) -> Option<Point>;
    /// The same with its derivatives.
    fn derived(relation: &Self::Relation, point: Point) -> Option<Derived>;
}

/// Where a point of the first camera is in the second, and how that changes, across and down, with
/// each number of either camera.
pub(crate) struct Derived {
    pub(crate) at: Point,
    pub(crate) first: [[f64; 2]; MOST],
    pub(crate) second: [[f64; 2]; MOST],
}

/// A pair of images with its matches, in the coordinates of the cameras, in which one is `scale`
/// pixels.
pub(crate) struct Edge {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) points: Vec<(Point, Point)>,
}

pub(crate) struct Problem<'a> {
    pub(crate) edges: &'a [Edge],
    /// For each number of each camera, which unknown it is, or [`FIXED`]. Two numbers may be one
    /// unknown.
    pub(crate) unknowns: Vec<[usize; MOST]>,
    pub(crate) scale: f64,
    /// In pixels; a match farther off than this pulls no harder.
    pub(crate) tolerance: f64,
}

/// A point that cannot be carried over counts as this far off, in pixels.
const LOST: f64 = 1e4;

impl Problem<'_> {
    /// Sum of the loss of all matches, in square pixels.
    pub(crate) fn cost<C: Camera>(&self, cameras: &[C]) -> f64 {
        let mut sum = 0.0;
        for edge in self.edges {
            let relation = C::relation(&cameras[edge.first], &cameras[edge.second]);
            for (from, to) in &edge.points {
                let carried = relation.as_ref().and_then(|r| C::carried(r, *from));
                let error = carried.map_or(LOST, |p| p.distance(*to) * self.scale);
                // Also if it is not a number.
                let error = if error < LOST { error } else { LOST };
                sum += huber(error * error, self.tolerance).0;
            }
        }
        sum
    }

    /// Root of the mean loss of a match, in pixels.
    pub(crate) fn error<C: Camera>(&self, cameras: &[C]) -> f64 {
        let count: usize = self.edges.iter().map(|e| e.points.len()).sum();
        libm::sqrt(self.cost(cameras) / count.max(1) as f64)
    }

    /// Changes `cameras` in at most `rounds` steps, never for the worse. A step costs about 400
    /// instructions a match and a sixth of the third power of the number of unknowns.
    pub(crate) fn solve<C: Camera>(&self, cameras: &mut Vec<C>, rounds: usize) {
        let known = self.unknowns.iter().flatten().filter(|u| **u != FIXED);
        let count = known.max().map_or(0, |most| most + 1);
        let mut damping = 1e-4;
        let mut cost = self.cost(cameras);
        let mut fresh = true;
        let (mut normal, mut gradient) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            if fresh {
                (normal, gradient) = self.equations(cameras, count);
            }
            let mut matrix = normal.clone();
            for i in 0..count {
                matrix[i * count + i] *= 1.0 + damping;
            }
            let mut change = gradient.clone();
            let solved = linear::solve(&mut matrix, &mut change);
            let next: Vec<C> = if solved {
                let numbers = |u: &usize| change.get(*u).map_or(0.0, |c| -c);
                let each = cameras.iter().zip(&self.unknowns);
                each.map(|(c, u)| c.changed(&core::array::from_fn(|k| numbers(&u[k]))))
                    .collect()
            } else {
                cameras.clone()
            };
            let new_cost = self.cost(&next);
            fresh = new_cost < cost;
            if fresh {
                let settled = cost - new_cost < 1e-7 * cost;
                *cameras = next;
                cost = new_cost;
                damping = (damping * 0.1).max(1e-12);
                if settled {
                    return;
                }
            } else {
                damping *= 10.0;
                if damping > 1e8 {
                    return;
                }
            }
        }
    }

    /// The normal equations at `cameras`, of which the lower half is meant.
    fn equations<C: Camera>(&self, cameras: &[C], count: usize) -> (Vec<f64>, Vec<f64>) {
        const BOTH: usize = 2 * MOST;
        let mut normal = vec![0.0; count * count];
        let mut gradient = vec![0.0; count];
        for edge in self.edges {
            let Some(relation) = C::relation(&cameras[edge.first], &cameras[edge.second]) else {
                continue;
            };
            let (mut block, mut pull) = ([[0.0; BOTH]; BOTH], [0.0; BOTH]);
            for (from, to) in &edge.points {
                let Some(Derived { at, first, second }) = C::derived(&relation, *from) else {
                    continue;
                };
                let (ex, ey) = ((at.x - to.x) * self.scale, (at.y - to.y) * self.scale);
                let weight = huber(ex * ex + ey * ey, self.tolerance).1;
                let (mut across, mut down) = ([0.0; BOTH], [0.0; BOTH]);
                for (k, d) in first.iter().chain(&second).enumerate() {
                    across[k] = d[0] * self.scale;
                    down[k] = d[1] * self.scale;
                }
                for (row, line) in block.iter_mut().enumerate() {
                    let (a, d) = (across[row] * weight, down[row] * weight);
                    pull[row] += a * ex + d * ey;
                    for column in 0..BOTH {
                        line[column] += a * across[column] + d * down[column];
                    }
                }
            }
            let unknown = |k: usize| {
                let camera = if k < MOST { edge.first } else { edge.second };
                self.unknowns[camera][k % MOST]
            };
            for (row, line) in block.iter().enumerate() {
                let i = unknown(row);
                if i == FIXED {
                    continue;
                }
                gradient[i] += pull[row];
                for (column, value) in line.iter().enumerate() {
                    let j = unknown(column);
                    if j != FIXED {
                        normal[i * count + j] += value;
                    }
                }
            }
        }
        (normal, gradient)
    }
}
