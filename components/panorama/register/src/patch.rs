//! Where exactly a small patch of one image is in another: Lucas and Kanade's method with the
//! gradients of the template (Baker and Matthews' inverse composition), blind to brightness and
//! contrast.

use cistern_image::{Gray, Matrix3, Point};

/// The patch reaches this far from its centre.
pub(crate) const REACH: usize = 7;
const SIDE: usize = 2 * REACH + 1;
const PIXELS: usize = SIDE * SIDE;

/// Steps that are taken at most.
const MAX_STEPS: usize = 10;
/// A step shorter than this, in pixels, is the last.
const SETTLED: f32 = 0.01;
/// Least correlation of the patch with what it was found to be.
const LEAST_CORRELATION: f32 = 0.8;
/// Least sum of squared gradients in any direction: flat patches and edges are nowhere exactly.
const LEAST_TEXTURE: f32 = 300.0;

/// A patch around a pixel, ready to be looked for.
pub(crate) struct Template {
    /// Brightness less its mean.
    values: [f32; PIXELS],
    /// Sum of their squares.
    energy: f32,
    /// What moves the patch across and down without changing brightness or contrast.
    across: [f32; PIXELS],
    down: [f32; PIXELS],
    /// The inverse of the matrix of their products.
    inverse: [f32; 3],
}

fn dot(a: &[f32; PIXELS], b: &[f32; PIXELS]) -> f32 {
    // Sixteen sums, so that they can be added side by side.
    let mut lanes = [0.0; 16];
    let (blocks, rest) = a.as_chunks::<16>();
    let (others, other_rest) = b.as_chunks::<16>();
    for (x, y) in blocks.iter().zip(others) {
        for lane in 0..16 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(rest.iter().zip(other_rest)) {
        *lane += x * y;
    }
    lanes.iter().sum()
}

fn less_mean(values: &mut [f32; PIXELS]) {
    let mean = dot(values, &[1.0; PIXELS]) / PIXELS as f32;
    for v in values {
        *v -= mean;
    }
}

impl Template {
    /// The patch around (x, y). Nothing if it reaches the border or has too little texture.
    pub(crate) fn new(image: &Gray<'_>, x: usize, y: usize) -> Option<Self> {
        let border = REACH + 1;
        let inside = |v: usize, side: usize| v >= border && v < side.saturating_sub(border);
        if !inside(x, image.width()) || !inside(y, image.height()) {
            return None;
        }
        let mut values = [0.0; PIXELS];
        let (mut across, mut down) = (values, values);
        let begin = x - REACH;
        for row in 0..SIDE {
            let line = image.row(y + row - REACH);
            let above = image.row(y + row - REACH - 1);
            let below = image.row(y + row - REACH + 1);
            for column in 0..SIDE {
                let at = row * SIDE + column;
                let value = |line: &[u8], x: usize| f32::from(line[x]);
                let x = begin + column;
                values[at] = value(line, x);
                across[at] = (value(line, x + 1) - value(line, x - 1)) * 0.5;
                down[at] = (value(below, x) - value(above, x)) * 0.5;
            }
        }
        less_mean(&mut values);
        let energy = dot(&values, &values);
        if energy < LEAST_TEXTURE {
            return None;
        }
        // What a change of brightness or contrast explains is no movement.
        for gradient in [&mut across, &mut down] {
            less_mean(gradient);
            let part = dot(gradient, &values) / energy;
            for (g, v) in gradient.iter_mut().zip(&values) {
                *g -= part * v;
            }
        }
        let [xx, yy, xy] = [
            dot(&across, &across),
            dot(&down, &down),
            dot(&across, &down),
        ];
        let half = (xx - yy) * 0.5;
        let least = (xx + yy) * 0.5 - libm::sqrtf(half * half + xy * xy);
        if least < LEAST_TEXTURE {
            return None;
        }
        let determinant = xx * yy - xy * xy;
        let inverse = [yy / determinant, xx / determinant, xy / determinant];
        Some(Self {
            values,
            energy,
            across,
            down,
            inverse,
        })
    }

    /// Where the patch is in `image`, looked for around `guess` and not farther than `farthest`
    /// pixels from it; `shape` says how the patch is deformed there. Nothing if it is not there.
    /// About 8,000 instructions a step.
    pub(crate) fn find(
        &self,
        image: &Gray<'_>,
        guess: Point,
        shape: &[f64; 4],
        farthest: f64,
    ) -> Option<Point> {
        let mut at = guess;
        let [a, b, c, d] = shape.map(|v| v as f32);
        for step in 0..MAX_STEPS {
            let mut seen = sample(image, at, shape)?;
            less_mean(&mut seen);
            let energy = dot(&seen, &seen);
            let common = dot(&seen, &self.values);
            if energy <= 0.0 || common <= 0.0 {
                return None;
            }
            // The template's own part of the error pulls nowhere, as its gradients are made.
            let gain = common / energy;
            let pull_across = dot(&self.across, &seen) * gain;
            let pull_down = dot(&self.down, &seen) * gain;
            let [yy, xx, xy] = self.inverse;
            let across = yy * pull_across - xy * pull_down;
            let down = xx * pull_down - xy * pull_across;
            at.x -= f64::from(a * across + b * down);
            at.y -= f64::from(c * across + d * down);
            let distance = at.distance(guess);
            if distance.is_nan() || distance > farthest {
                return None;
            }
            let settled = across * across + down * down < SETTLED * SETTLED;
            if settled || step + 1 == MAX_STEPS {
                let correlation = common / libm::sqrtf(energy * self.energy);
                return (settled && correlation >= LEAST_CORRELATION).then_some(at);
            }
        }
        None
    }
}

/// The pixels around `at` in the shape of a deformed patch, interpolated; nothing if one of them
/// is outside.
fn sample(image: &Gray<'_>, at: Point, shape: &[f64; 4]) -> Option<[f32; PIXELS]> {
    let [a, b, c, d] = *shape;
    let reach = REACH as f64;
    let (wide, high) = (
        (a.abs() + b.abs()) * reach + 2.0,
        (c.abs() + d.abs()) * reach + 2.0,
    );
    let inside = |v: f64, reach: f64, side: usize| v >= reach && v + reach < side as f64;
    if !inside(at.x, wide, image.width()) || !inside(at.y, high, image.height()) {
        return None;
    }
    // From a pixel above and to the left of all, so that what is left fits single precision.
    let (left, top) = ((at.x - wide) as usize, (at.y - high) as usize);
    let stride = image.stride();
    let pixels = image.elements();
    let origin = top * stride + left;
    let (x, y) = ((at.x - left as f64) as f32, (at.y - top as f64) as f32);
    let [a, b, c, d] = shape.map(|v| v as f32);
    let mut out = [0.0; PIXELS];
    for (row, line) in out.as_chunks_mut::<SIDE>().0.iter_mut().enumerate() {
        let dy = row as f32 - REACH as f32;
        let (begin_x, begin_y) = (x + b * dy, y + d * dy);
        for (column, value) in line.iter_mut().enumerate() {
            let dx = column as f32 - REACH as f32;
            let (px, py) = (begin_x + a * dx, begin_y + c * dx);
            let (ix, iy) = (px as i32, py as i32);
            let (fx, fy) = (px - ix as f32, py - iy as f32);
            let first = origin + iy as usize * stride + ix as usize;
            let upper = pixels.get(first..first + 2)?;
            let lower = pixels.get(first + stride..first + stride + 2)?;
            let blend = |p: &[u8]| f32::from(p[0]) + fx * (f32::from(p[1]) - f32::from(p[0]));
            let (u, l) = (blend(upper), blend(lower));
            *value = u + fy * (l - u);
        }
    }
    Some(out)
}

/// How `homography` deforms a patch around `at`: the four derivatives of where it sends points,
/// nothing if it enlarges or shrinks it more than fourfold.
pub(crate) fn shape(homography: &Matrix3, at: Point) -> Option<[f64; 4]> {
    let m = &homography.0;
    let [x, y, w] = homography.vector([at.x, at.y, 1.0]);
    if w.is_nan() || w < 1e-9 {
        return None;
    }
    let (px, py) = (x / w, y / w);
    let out = [
        (m[0] - px * m[6]) / w,
        (m[1] - px * m[7]) / w,
        (m[3] - py * m[6]) / w,
        (m[4] - py * m[7]) / w,
    ];
    let area = out[0] * out[3] - out[1] * out[2];
    let sane = (1.0 / 16.0..=16.0).contains(&area) && out.iter().all(|v| v.abs() <= 4.0);
    sane.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::{Buffer, blank};
    use cistern_image::Size;

    /// A smooth scene, as bright as waves of several lengths are high: any place of it is known.
    fn scene(place: impl Fn(f64, f64) -> (f64, f64), gain: f64, offset: f64) -> Buffer {
        let mut image = blank(Size::new(120, 100).unwrap());
        for (y, row) in image.rows_mut().enumerate() {
            for (x, p) in row.iter_mut().enumerate() {
                let (u, v) = place(x as f64, y as f64);
                let waves = libm::sin(u * 0.31 + v * 0.17)
                    + libm::sin(v * 0.27 - u * 0.11)
                    + libm::sin(u * 0.09 + 1.0) * libm::cos(v * 0.12);
                *p = (gain * (120.0 + 30.0 * waves) + offset + 0.5) as u8;
            }
        }
        image
    }

    const STRAIGHT: [f64; 4] = [1.0, 0.0, 0.0, 1.0];

    #[test]
    fn a_moved_patch_is_found_to_a_fiftieth_of_a_pixel_whatever_the_light() {
        let first = scene(|x, y| (x, y), 1.0, 0.0);
        for (dx, dy) in [(0.0, 0.0), (1.3, -0.7), (-2.1, 0.45), (0.5, 1.9)] {
            let second = scene(|x, y| (x - dx, y - dy), 0.7, 20.0);
            let template = Template::new(&first.view(), 60, 50).unwrap();
            let guess = Point { x: 60.0, y: 50.0 };
            let at = template
                .find(&second.view(), guess, &STRAIGHT, 6.0)
                .unwrap();
            let off = at.distance(Point {
                x: 60.0 + dx,
                y: 50.0 + dy,
            });
            assert!(off < 0.02, "moved by ({dx}, {dy}): off by {off}");
        }
    }

    #[test]
    fn a_patch_turned_and_stretched_by_a_homography_is_found() {
        let h = Matrix3([1.1, 0.3, -20.0, -0.28, 0.95, 25.0, 4e-4, -3e-4, 1.0]);
        let back = h.inverse().unwrap();
        let first = scene(|x, y| (x, y), 1.0, 0.0);
        let second = scene(
            |x, y| {
                let p = back.point(Point { x, y }).unwrap();
                (p.x, p.y)
            },
            1.0,
            0.0,
        );
        let place = Point { x: 58.0, y: 46.0 };
        let truth = h.point(place).unwrap();
        let shape = shape(&h, place).unwrap();
        let template = Template::new(&first.view(), 58, 46).unwrap();
        let guess = Point {
            x: truth.x + 0.8,
            y: truth.y - 0.6,
        };
        let at = template.find(&second.view(), guess, &shape, 3.0).unwrap();
        assert!(at.distance(truth) < 0.03, "{at:?} {truth:?}");
    }

    #[test]
    fn shape_is_the_derivative() {
        let h = Matrix3([1.1, 0.3, -20.0, -0.28, 0.95, 25.0, 4e-4, -3e-4, 1.0]);
        let at = |x: f64, y: f64| h.point(Point { x, y }).unwrap();
        let (x, y, step) = (40.0, 70.0, 1e-5);
        let [a, b, c, d] = shape(&h, Point { x, y }).unwrap();
        let (right, left) = (at(x + step, y), at(x - step, y));
        let (below, above) = (at(x, y + step), at(x, y - step));
        let slope = |p: f64, q: f64| (p - q) / (2.0 * step);
        assert!((slope(right.x, left.x) - a).abs() < 1e-6);
        assert!((slope(below.x, above.x) - b).abs() < 1e-6);
        assert!((slope(right.y, left.y) - c).abs() < 1e-6);
        assert!((slope(below.y, above.y) - d).abs() < 1e-6);
        let shrinking = Matrix3([0.1, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(super::shape(&shrinking, Point { x, y }), None);
    }

    #[test]
    fn what_is_not_there_or_has_no_place_is_not_found() {
        let first = scene(|x, y| (x, y), 1.0, 0.0);
        let template = Template::new(&first.view(), 60, 50).unwrap();
        let find = |image: &Buffer, x: f64, y: f64| {
            template.find(&image.view(), Point { x, y }, &STRAIGHT, 3.0)
        };
        let plain = blank(Size::new(120, 100).unwrap());
        assert_eq!(find(&plain, 60.0, 50.0), None);
        let negative = scene(|x, y| (x, y), -1.0, 255.0);
        assert_eq!(find(&negative, 60.0, 50.0), None);
        assert_eq!(find(&first, 5.0, 50.0), None, "sticks out");
        assert_eq!(find(&first, f64::NAN, 50.0), None);
        assert!(Template::new(&plain.view(), 60, 50).is_none());
        let mut edge = plain;
        edge.rows_mut().for_each(|row| row[60..].fill(200));
        assert!(
            Template::new(&edge.view(), 60, 50).is_none(),
            "slides along"
        );
        for (x, y) in [(0, 50), (7, 50), (60, 92), (60, usize::MAX), (119, 99)] {
            assert!(Template::new(&first.view(), x, y).is_none(), "{x} {y}");
        }
    }
}
