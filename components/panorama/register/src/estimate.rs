//! The third stage: where each image goes, estimated over the whole set at once.
//!
//! Two models are tried on all matches: one homography an image, which is exact for something flat
//! or far away, and a camera that turns about its centre, with one focal length for all images or
//! one for each. The camera has fewer numbers to be wrong in, so it is taken if it explains the
//! matches about as well.

use crate::bundle::{Edge, FIXED, MOST, Problem};
use crate::error::Error;
use crate::graph::{self, Tree};
use crate::homography::Frame;
use crate::linear::greatest_eigenvector;
use crate::pairs::{MAX_IMAGES, MAX_MATCHES, at_most};
use crate::rotation::{FOCAL, OnPlane, Turned, between, cross, from_rows, rows, unit};
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::{Match, Matrix3, Model, Pair, Placement, Plan, Point, Projection, Size};

/// In pixels: a match farther off than this pulls no harder.
const TOLERANCE: f64 = 1.0;
/// Steps of an estimate over the whole set.
const ROUNDS: usize = 30;
/// A turning camera is believed up to this many times the error of homographies, and this much.
const WORSE: (f64, f64) = (1.15, 0.05);
/// Where homographies cannot be drawn, a turning camera is believed up to this error, in pixels.
const BELIEVABLE: f64 = 4.0;
/// A panorama that is wider than this, in radians, is drawn on a cylinder.
const WIDE: f64 = 1.4;
/// But only if it is so many times as wide as the widest image.
const WIDER: f64 = 1.25;
/// What the reference image says of where down is, beside each camera's x axis: as much as one that is
/// held eight degrees askew.
const OWN: f64 = 0.02;
/// Cameras that look in directions whose mean is shorter than this look all around.
const AROUND: f64 = 0.5;
/// The sine of the farthest that cameras may look up or down from the horizon.
const STEEPEST: f64 = 0.5;
/// A plane may have at most this many times the pixels of all images.
const SPREAD: f64 = 4.0;

/// Places images of `sizes` by the `pairs` of the stage before; one record of `out` for each image.
/// Images that do not hang together are named by the error.
///
/// Cost: at most 30 steps for each of three models at about 500 instructions a match; six images of
/// 1,000 matches take 90 million, of 1,700 matches 150 million.
pub fn estimate(
    sizes: &[Size],
    pairs: &[Pair],
    matches: &[Match],
    out: &mut [Placement],
) -> Result<Plan, Error> {
    let images = sizes.len();
    match images {
        0 | 1 => return Err(Error::TooFew),
        _ if images > MAX_IMAGES => return Err(Error::TooMany { images }),
        _ if out.len() < images => {
            return Err(Error::Room {
                needed: images,
                given: out.len(),
            });
        }
        _ => {}
    }
    at_most(pairs.len(), images * (images - 1) / 2)?;
    let set = Set::new(sizes, pairs, matches)?;
    let plane = set.on_plane();
    let turned = set.turned();
    let drawable = set.is_drawable(&plane.cameras);
    let limit = if drawable {
        plane.error * WORSE.0 + WORSE.1
    } else {
        BELIEVABLE
    };
    match turned {
        Some(turned) if turned.error <= limit => Ok(set.around(&turned, out)),
        _ if drawable => Ok(set.flat(&plane, out)),
        _ => Err(Error::Shapeless),
    }
}

/// All that was measured.
struct Set<'a> {
    sizes: &'a [Size],
    /// Copies, so that nobody changes them once they are checked.
    pairs: Vec<Pair>,
    tree: Tree,
    /// Matches from the centres of the images, in units of `scale` pixels.
    edges: Vec<Edge>,
    scale: f64,
}

/// An estimate and its error in pixels.
struct Estimate<C> {
    cameras: Vec<C>,
    error: f64,
}

impl<'a> Set<'a> {
    fn new(sizes: &'a [Size], pairs: &'a [Pair], matches: &[Match]) -> Result<Self, Error> {
        let side = |s: &Size| s.width().max(s.height());
        let scale = sizes.iter().map(side).max().unwrap_or(1) as f64 / 2.0;
        let pairs = pairs.to_vec();
        let mut edges = Vec::with_capacity(pairs.len());
        for pair in &pairs {
            let [first, second] = [pair.first, pair.second].map(|i| i as usize);
            let centre = |i: usize| sizes.get(i).map(|s| s.centre()).ok_or(Error::Unknown);
            let (a, b) = (centre(first)?, centre(second)?);
            let found = pair.matches(matches).ok_or(Error::Unknown)?;
            at_most(found.len(), MAX_MATCHES)?;
            if first == second {
                return Err(Error::Unknown);
            }
            let inner = |p: Point, c: Point| Point {
                x: (p.x - c.x) / scale,
                y: (p.y - c.y) / scale,
            };
            let points = found.iter().map(|m| {
                let (p, q) = m.points();
                (inner(p, a), inner(q, b))
            });
            edges.push(Edge {
                first,
                second,
                points: points.collect(),
            });
        }
        Ok(Self {
            sizes,
            tree: graph::tree(sizes.len(), &pairs)?,
            pairs,
            edges,
            scale,
        })
    }

    fn frame(&self, image: usize) -> Frame {
        Frame::new(self.sizes[image].centre(), self.scale)
    }

    fn problem(&self, unknowns: Vec<[usize; MOST]>) -> Problem<'_> {
        Problem {
            edges: &self.edges,
            unknowns,
            scale: self.scale,
            tolerance: TOLERANCE,
        }
    }

    /// One homography an image, to the plane of the root.
    fn on_plane(&self) -> Estimate<OnPlane> {
        let start = OnPlane {
            homography: Matrix3::IDENTITY,
        };
        let mut cameras = vec![start; self.sizes.len()];
        for &(child, parent, pair) in &self.tree.branches {
            let pair = &self.pairs[pair];
            let inner = self
                .frame(pair.second as usize)
                .frame()
                .times(&pair.homography)
                .times(&self.frame(pair.first as usize).pixels());
            let to_parent = if pair.first as usize == child {
                Some(inner)
            } else {
                inner.inverse()
            };
            let homography = to_parent
                .and_then(|h| cameras[parent].homography.times(&h).normalised())
                .unwrap_or(Matrix3::IDENTITY);
            cameras[child] = OnPlane { homography };
        }
        let mut next = 0;
        let unknowns = (0..self.sizes.len()).map(|image| {
            if image == self.tree.root {
                return [FIXED; MOST];
            }
            next += MOST;
            core::array::from_fn(|k| next - MOST + k)
        });
        let problem = self.problem(unknowns.collect());
        problem.solve(&mut cameras, ROUNDS);
        let error = problem.error(&cameras);
        Estimate { cameras, error }
    }

    /// A camera that turns; nothing if no focal length makes sense.
    fn turned(&self) -> Option<Estimate<Turned>> {
        let focal = self.focal();
        let start = Turned {
            rotation: Matrix3::IDENTITY,
            focal,
        };
        let mut cameras = vec![start; self.sizes.len()];
        for &(child, parent, pair) in &self.tree.branches {
            let edge = &self.edges[pair];
            let (turn, _) = between(edge, focal, f64::INFINITY);
            let to_parent = if edge.first == child {
                turn
            } else {
                turn.transposed()
            };
            cameras[child].rotation = cameras[parent].rotation.times(&to_parent);
        }
        // One focal length for all is unknown 0; then three numbers an image.
        let unknowns = |own_focal: bool| {
            let images = self.sizes.len();
            let mut next = 1;
            (0..images)
                .map(|image| {
                    let mut numbers = [FIXED; MOST];
                    if image != self.tree.root {
                        numbers[..3].copy_from_slice(&[next, next + 1, next + 2]);
                        next += 3;
                    }
                    numbers[FOCAL] = if own_focal && image != self.tree.root {
                        next += 1;
                        next - 1
                    } else {
                        0
                    };
                    numbers
                })
                .collect()
        };
        let shared = self.problem(unknowns(false));
        shared.solve(&mut cameras, ROUNDS);
        let mut error = shared.error(&cameras);
        let own = self.problem(unknowns(true));
        let mut others = cameras.clone();
        own.solve(&mut others, ROUNDS);
        let other_error = own.error(&others);
        if error > other_error * WORSE.0 + WORSE.1 {
            (cameras, error) = (others, other_error);
        }
        let sensible = |c: &Turned| (0.1..200.0).contains(&c.focal) && c.rotation.is_finite();
        cameras
            .iter()
            .all(sensible)
            .then_some(Estimate { cameras, error })
    }

    /// The focal length, of a row of them, with which rotations explain the pairs of the tree best.
    fn focal(&self) -> f64 {
        /// Between neighbours.
        const FACTOR: f64 = 1.2;
        let mut focal = 0.4;
        let (mut best, mut least) = (focal, f64::INFINITY);
        while focal < 60.0 {
            let branches = self.tree.branches.iter();
            let limit = 20.0 / self.scale;
            let errors = branches.map(|&(_, _, pair)| between(&self.edges[pair], focal, limit).1);
            let sum: f64 = errors.sum();
            if sum < least {
                (best, least) = (focal, sum);
            }
            focal *= FACTOR;
        }
        best
    }

    /// Whether all images lie before the plane of the root and not too far out on it.
    fn is_drawable(&self, cameras: &[OnPlane]) -> bool {
        let frame = self.frame(self.tree.root);
        let all = cameras.iter().enumerate().map(|(image, camera)| {
            let to_plane = camera.homography.times(&self.frame(image).frame());
            frame.pixels().times(&to_plane)
        });
        self.fits(&all.collect::<Vec<_>>())
    }

    /// Whether the images, sent to a plane by `homographies`, are seen from their front and need no
    /// more of it than [`SPREAD`] times their own pixels.
    fn fits(&self, homographies: &[Matrix3]) -> bool {
        let (mut least, mut most) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        let mut pixels = 0.0;
        for (homography, size) in homographies.iter().zip(self.sizes) {
            pixels += size.pixels() as f64;
            if homography.determinant() <= 0.0 {
                return false;
            }
            for corner in size.corners() {
                // Of one sign on all corners, or the horizon goes through the image.
                let Some(at) = homography.point(corner) else {
                    return false;
                };
                for (k, v) in [at.x, at.y].into_iter().enumerate() {
                    least[k] = least[k].min(v);
                    most[k] = most[k].max(v);
                }
            }
        }
        (most[0] - least[0]) * (most[1] - least[1]) <= SPREAD * pixels
    }

    fn flat(&self, plane: &Estimate<OnPlane>, out: &mut [Placement]) -> Plan {
        let root = self.tree.root;
        let pixels = self.frame(root).pixels();
        for (image, (camera, to)) in plane.cameras.iter().zip(out).enumerate() {
            let h = pixels
                .times(&camera.homography)
                .times(&self.frame(image).frame());
            let h = h.normalised().unwrap_or(h);
            *to = Placement::new(self.sizes[image], h, Matrix3::IDENTITY, 0.0);
        }
        let mut plan = Plan::new(Model::Homography, Projection::Planar, root as u32);
        plan.error = plane.error;
        plan
    }

    fn around(&self, turned: &Estimate<Turned>, out: &mut [Placement]) -> Plan {
        let root = self.tree.root;
        let cameras = &turned.cameras;
        let centre = self.sizes[root].centre();
        let back = cameras[root].rotation.transposed();
        let radius = cameras[root].focal * self.scale;
        let plane: Vec<Matrix3> = cameras
            .iter()
            .zip(self.sizes)
            .map(|(camera, size)| {
                let focal = camera.focal * self.scale;
                let c = size.centre();
                let rays = Matrix3([1.0, 0.0, -c.x, 0.0, 1.0, -c.y, 0.0, 0.0, focal]);
                let turn = back.times(&camera.rotation).times(&rays);
                let h = Matrix3::calibration(radius, centre).times(&turn);
                h.normalised().unwrap_or(h)
            })
            .collect();
        let upright = upright(cameras, root);
        for (image, (camera, to)) in cameras.iter().zip(out.iter_mut()).enumerate() {
            let rotation = upright.times(&camera.rotation);
            let focal = camera.focal * self.scale;
            *to = Placement::new(self.sizes[image], plane[image], rotation, focal);
        }
        let projection = if self.is_wide(&out[..cameras.len()]) || !self.fits(&plane) {
            Projection::Cylindrical
        } else {
            Projection::Planar
        };
        let mut plan = Plan::new(Model::Rotation, projection, root as u32);
        plan.error = turned.error;
        plan.focal = radius;
        plan
    }

    /// Whether some corner is farther to the side than half of [`WIDE`], and all of them together are
    /// clearly wider than any one image: an image alone was drawn on a plane by its own camera, and
    /// of images that hardly turn against each other no field of view can be known. Where images
    /// reach around to the back, no plane fits, whatever this says.
    fn is_wide(&self, placements: &[Placement]) -> bool {
        let (mut least, mut most, mut widest) = (f64::INFINITY, f64::NEG_INFINITY, 0.0f64);
        for (placement, size) in placements.iter().zip(self.sizes) {
            let rays = size.corners().map(|corner| placement.ray(corner));
            let angles = rays.map(|[x, _, z]| libm::atan2(x, z));
            let left = angles.iter().copied().fold(f64::INFINITY, f64::min);
            let right = angles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            widest = widest.max(right - left);
            least = least.min(left);
            most = most.max(right);
        }
        let far = most.max(-least) > WIDE / 2.0;
        far && most - least > WIDER * widest
    }
}

/// Axes in which the horizon is level and the middle of the panorama straight ahead: from those of
/// the cameras. People hold cameras so that their x axes lie in one plane (Brown and Lowe). Where
/// that says little, or that plane faces the cameras, because some were held on their side, the
/// reference image is taken to be upright.
fn upright(cameras: &[Turned], root: usize) -> Matrix3 {
    let column = |c: &Turned, k: usize| rows(&c.rotation.transposed())[k];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let own_down = column(&cameras[root], 1);
    let mut m = [[0.0; 4]; 4];
    let mut ahead = [0.0; 3];
    for camera in cameras {
        let (x, z) = (column(camera, 0), column(camera, 2));
        for i in 0..3 {
            ahead[i] += z[i] / cameras.len() as f64;
            for j in 0..3 {
                m[i][j] += OWN * own_down[i] * own_down[j] - x[i] * x[j];
            }
        }
    }
    // They look all around: ahead is wherever the reference looks.
    if dot(ahead, ahead) < AROUND * AROUND {
        ahead = column(&cameras[root], 2);
    }
    let ahead = unit(ahead);
    // Below all eigenvalues of the rest, so that the fourth axis is never the greatest.
    m[3][3] = -2.0 * cameras.len() as f64;
    let [x, y, z, _] = greatest_eigenvector(m);
    let mut down = unit([x, y, z]);
    if dot(down, own_down) < 0.0 {
        down = down.map(|v| -v);
    }
    if dot(down, ahead).abs() > STEEPEST {
        let along = dot(own_down, ahead);
        down = unit(core::array::from_fn(|i| own_down[i] - along * ahead[i]));
    }
    let right = unit(cross(down, ahead));
    let length = dot(right, right);
    if length.is_nan() || length < 0.5 {
        return cameras[root].rotation.transposed();
    }
    from_rows([right, down, cross(right, down)])
}
