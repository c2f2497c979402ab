//! Cameras that turn about one centre, and cameras over one plane: what can be estimated.

use crate::bundle::{Camera, Derived, Edge, MOST};
use crate::linear::greatest_eigenvector;
use cistern_image::{Matrix3, Point};

/// An image on a plane: eight numbers, the elements of a matrix that is near the identity.
#[derive(Clone, Copy)]
pub(crate) struct OnPlane {
    /// From the image to the plane.
    pub(crate) homography: Matrix3,
}

impl Camera for OnPlane {
    type Relation = Matrix3;

    fn changed(&self, by: &[f64; MOST]) -> Self {
        let mut small = Matrix3::IDENTITY;
        for (element, change) in small.0.iter_mut().zip(by) {
            *element += change;
        }
        let homography = self.homography.times(&small);
        Self {
            homography: homography.normalised().unwrap_or(homography),
        }
    }

    fn relation(first: &Self, second: &Self) -> Option<Matrix3> {
        Some(second.homography.inverse()?.times(&first.homography))
    }

    fn carried(relation: &Matrix3, point: Point) -> Option<Point> {
        relation.point(point)
    }

    fn derived(relation: &Matrix3, point: Point) -> Option<Derived> {
        let ray = [point.x, point.y, 1.0];
        let seen = relation.vector(ray);
        let at = relation.point(point)?;
        let w = seen[2];
        // Of the projection, times a change of what is projected.
        let project = |d: [f64; 3]| [(d[0] - at.x * d[2]) / w, (d[1] - at.y * d[2]) / w];
        let m = &relation.0;
        let columns: [[f64; 2]; 3] = core::array::from_fn(|r| project([m[r], m[3 + r], m[6 + r]]));
        let first = core::array::from_fn(|k| columns[k / 3].map(|v| v * ray[k % 3]));
        let second = core::array::from_fn(|k| {
            let mut change = [0.0; 3];
            change[k / 3] = -seen[k % 3];
            project(change)
        });
        Some(Derived { at, first, second })
    }
}

/// An image of a camera that turns: three numbers for its rotation, one for its focal length.
/// Points are from the centre of the image.
#[derive(Clone, Copy)]
pub(crate) struct Turned {
    /// From the axes of the camera to those of all.
    pub(crate) rotation: Matrix3,
    pub(crate) focal: f64,
}

/// Which of the numbers of [`Turned`] is the logarithm of the focal length.
pub(crate) const FOCAL: usize = 3;

/// How two turned cameras see each other.
pub(crate) struct Turn {
    between: Matrix3,
    first: f64,
    second: f64,
}

impl Camera for Turned {
    type Relation = Turn;

    fn changed(&self, by: &[f64; MOST]) -> Self {
        let turn = Matrix3::rotation([by[0], by[1], by[2]]);
        // A bounded step: what is far off is not trusted to be straight.
        let factor = libm::exp(by[FOCAL].clamp(-0.5, 0.5));
        Self {
            rotation: orthonormal(&self.rotation.times(&turn)),
            focal: self.focal * factor,
        }
    }

    fn relation(first: &Self, second: &Self) -> Option<Turn> {
        Some(Turn {
            between: second.rotation.transposed().times(&first.rotation),
            first: first.focal,
            second: second.focal,
        })
    }

    fn carried(turn: &Turn, point: Point) -> Option<Point> {
        let f = turn.first;
        let [x, y, z] = turn.between.vector([point.x / f, point.y / f, 1.0]);
        (z > 1e-6).then(|| Point {
            x: turn.second * x / z,
            y: turn.second * y / z,
        })
    }

    fn derived(turn: &Turn, point: Point) -> Option<Derived> {
        let at = Self::carried(turn, point)?;
        let ray = [point.x / turn.first, point.y / turn.first, 1.0];
        let seen = turn.between.vector(ray);
        let (f, z) = (turn.second, seen[2]);
        let project = |d: [f64; 3]| [(f * d[0] - at.x * d[2]) / z, (f * d[1] - at.y * d[2]) / z];
        let (mut first, mut second) = ([[0.0; 2]; MOST], [[0.0; 2]; MOST]);
        for k in 0..3 {
            let mut axis = [0.0; 3];
            axis[k] = 1.0;
            first[k] = project(turn.between.vector(cross(axis, ray)));
            second[k] = project(cross(axis, seen).map(|v| -v));
        }
        first[FOCAL] = project(turn.between.vector([-ray[0], -ray[1], 0.0]));
        second[FOCAL] = [at.x, at.y];
        Some(Derived { at, first, second })
    }
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(crate) fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = libm::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    v.map(|c| c / length.max(1e-300))
}

/// A rotation that rounding has bent, straightened: its rows are made unit and upright again.
fn orthonormal(m: &Matrix3) -> Matrix3 {
    let [a, b, _] = rows(m);
    let a = unit(a);
    let c = unit(cross(a, b));
    let b = cross(c, a);
    from_rows([a, b, c])
}

pub(crate) fn rows(m: &Matrix3) -> [[f64; 3]; 3] {
    let m = &m.0;
    [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]]
}

pub(crate) fn from_rows([a, b, c]: [[f64; 3]; 3]) -> Matrix3 {
    Matrix3([a[0], a[1], a[2], b[0], b[1], b[2], c[0], c[1], c[2]])
}

/// The rotation that takes what a camera of focal length `focal` sees of the first points best to
/// what it sees of the second (Davenport's method), and the sum of squared distances, in square
/// pixels, each at most `limit`.
pub(crate) fn between(edge: &Edge, focal: f64, limit: f64) -> (Matrix3, f64) {
    let mut s = [[0.0; 3]; 3];
    let ray = |p: Point| unit([p.x, p.y, focal]);
    for (from, to) in &edge.points {
        let (from, to) = (ray(*from), ray(*to));
        for i in 0..3 {
            for j in 0..3 {
                s[i][j] += from[i] * to[j];
            }
        }
    }
    let [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = s;
    // Horn's matrix, whose greatest eigenvector is the rotation as a quaternion.
    let [w, x, y, z] = greatest_eigenvector([
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]);
    let rotation = Matrix3([
        w * w + x * x - y * y - z * z,
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        w * w - x * x + y * y - z * z,
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        w * w - x * x - y * y + z * z,
    ]);
    let turn = Turn {
        between: rotation,
        first: focal,
        second: focal,
    };
    let squared = |(from, to): &(Point, Point)| {
        let off = Turned::carried(&turn, *from).map_or(limit, |p| p.distance(*to));
        (off * off).min(limit * limit)
    };
    (rotation, edge.points.iter().map(squared).sum())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::bundle::{FIXED, Problem};
    use std::vec::Vec;

    fn plane() -> [OnPlane; 2] {
        let first = Matrix3([1.05, 0.1, 0.2, -0.08, 0.97, 0.1, 0.03, -0.05, 1.0]);
        let second = Matrix3([0.95, -0.2, -0.4, 0.15, 1.04, 0.3, -0.06, 0.02, 1.0]);
        [first, second].map(|homography| OnPlane { homography })
    }

    fn turned() -> [Turned; 2] {
        let camera = |axis, focal| Turned {
            rotation: Matrix3::rotation(axis),
            focal,
        };
        [
            camera([0.1, -0.2, 0.05], 1.4),
            camera([-0.05, 0.25, -0.1], 1.7),
        ]
    }

    /// Compares the derivatives with differences.
    fn derivatives_hold<C: Camera>(cameras: &[C; 2], numbers: usize) {
        let step = 1e-6;
        for point in [(0.3, -0.2), (-0.6, 0.5), (0.0, 0.0)] {
            let point = Point {
                x: point.0,
                y: point.1,
            };
            let at = |a: &C, b: &C| C::carried(&C::relation(a, b).unwrap(), point).unwrap();
            let [a, b] = cameras;
            let derived = C::derived(&C::relation(a, b).unwrap(), point).unwrap();
            assert_eq!(derived.at, at(a, b));
            for k in 0..numbers {
                let mut by = [0.0; MOST];
                by[k] = step;
                let less = by.map(|v| -v);
                let differences = [
                    (at(&a.changed(&by), b), at(&a.changed(&less), b)),
                    (at(a, &b.changed(&by)), at(a, &b.changed(&less))),
                ];
                for ((p, q), d) in differences
                    .iter()
                    .zip([derived.first[k], derived.second[k]])
                {
                    let [x, y] = [(p.x - q.x), (p.y - q.y)].map(|v| v / (2.0 * step));
                    assert!((x - d[0]).abs() < 1e-6 && (y - d[1]).abs() < 1e-6, "{k}");
                }
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_differences() {
        derivatives_hold(&plane(), 8);
        derivatives_hold(&turned(), 4);
    }

    /// Matches that the two cameras agree on.
    fn edge<C: Camera>(cameras: &[C; 2]) -> Edge {
        let places = (0..60).map(|i| Point {
            x: f64::from(i % 10) / 5.0 - 0.9,
            y: f64::from(i / 10) / 4.0 - 0.6,
        });
        let relation = C::relation(&cameras[0], &cameras[1]).unwrap();
        let points = places.filter_map(|p| Some((p, C::carried(&relation, p)?)));
        Edge {
            first: 0,
            second: 1,
            points: points.collect(),
        }
    }

    #[test]
    fn the_rotation_between_two_cameras_is_found_at_once() {
        let mut cameras = turned();
        cameras[1].focal = 1.4;
        let (rotation, error) = between(&edge(&cameras), 1.4, 1.0);
        let [a, b] = cameras.map(|c| c.rotation);
        let truth = b.transposed().times(&a);
        assert!(error < 1e-20, "{error}");
        for (found, true_value) in rotation.0.iter().zip(truth.0) {
            assert!((found - true_value).abs() < 1e-9);
        }
        assert!(between(&edge(&cameras), 2.0, 1.0).1 > 1e-3);
    }

    #[test]
    fn a_disturbed_pair_finds_back_whatever_a_seventh_of_its_matches_say() {
        let truth = turned();
        let mut edges = [edge(&truth)];
        for (_, to) in edges[0].points.iter_mut().step_by(7) {
            to.x += 0.2;
        }
        let mut unknowns = [[FIXED; MOST]; 2];
        unknowns[1][..4].copy_from_slice(&[0, 1, 2, 3]);
        unknowns[0][FOCAL] = 4;
        let problem = Problem {
            edges: &edges,
            unknowns: unknowns.to_vec(),
            scale: 500.0,
            tolerance: 1.0,
        };
        let mut cameras: Vec<Turned> = truth.to_vec();
        cameras[0].focal = 1.5;
        cameras[1] = cameras[1].changed(&[0.02, -0.03, 0.01, 0.05, 0.0, 0.0, 0.0, 0.0]);
        let before = problem.cost(&cameras);
        problem.solve(&mut cameras, 40);
        assert!(problem.cost(&cameras) < before);
        let corner = Point { x: -0.9, y: -0.6 };
        let at = |c: &[Turned]| {
            let turn = Turned::relation(&c[0], &c[1]).unwrap();
            Turned::carried(&turn, corner).unwrap()
        };
        let off = at(&cameras).distance(at(&truth)) * 500.0;
        assert!(off < 1.0, "{off} pixels");
    }
}
