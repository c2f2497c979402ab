//! Points and 3x3 matrices: homographies, rotations, calibrations.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A place in an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

impl Point {
    pub fn distance(self, other: Self) -> f64 {
        libm::hypot(self.x - other.x, self.y - other.y)
    }
}

/// Nine numbers in rows; as bytes 72, in the machine's order.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Default)]
#[repr(transparent)]
pub struct Matrix3(pub [f64; 9]);

impl Matrix3 {
    pub const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);

    /// Moves by (`x`, `y`).
    pub const fn translation(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0])
    }

    /// Pixels of a camera with square pixels: `focal` and the centre in pixels.
    pub const fn calibration(focal: f64, centre: Point) -> Self {
        Self([focal, 0.0, centre.x, 0.0, focal, centre.y, 0.0, 0.0, 1.0])
    }

    /// The rotation by the length of `axis` (radians) about `axis`.
    pub fn rotation(axis: [f64; 3]) -> Self {
        let [x, y, z] = axis;
        let squared = x * x + y * y + z * z;
        let angle = libm::sqrt(squared);
        // Both quotients have a limit at zero, where they cannot be computed.
        let (a, b) = if angle < 1e-8 {
            (1.0 - squared / 6.0, 0.5 - squared / 24.0)
        } else {
            (libm::sin(angle) / angle, (1.0 - libm::cos(angle)) / squared)
        };
        let c = 1.0 - b * squared;
        Self([
            c + b * x * x,
            b * x * y - a * z,
            b * x * z + a * y,
            b * x * y + a * z,
            c + b * y * y,
            b * y * z - a * x,
            b * x * z - a * y,
            b * y * z + a * x,
            c + b * z * z,
        ])
    }

    #[inline]
    pub fn vector(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        let m = &self.0;
        [
            m[0] * x + m[1] * y + m[2] * z,
            m[3] * x + m[4] * y + m[5] * z,
            m[6] * x + m[7] * y + m[8] * z,
        ]
    }

    /// Where a homography sends `point`; nothing if that is at or beyond infinity.
    #[inline]
    pub fn point(&self, point: Point) -> Option<Point> {
        let [x, y, w] = self.vector([point.x, point.y, 1.0]);
        // Also false if w is not a number.
        (w > 1e-9).then(|| Point { x: x / w, y: y / w })
    }

    /// `self` after `right`.
    pub fn times(&self, right: &Self) -> Self {
        let mut out = [0.0; 9];
        for (row, line) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            for (column, cell) in line.iter_mut().enumerate() {
                *cell = (0..3)
                    .map(|k| self.0[row * 3 + k] * right.0[k * 3 + column])
                    .sum();
            }
        }
        Self(out)
    }

    pub fn transposed(&self) -> Self {
        let m = &self.0;
        Self([m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]])
    }

    pub fn determinant(&self) -> f64 {
        let m = &self.0;
        m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6])
            + m[2] * (m[3] * m[7] - m[4] * m[6])
    }

    /// Nothing if there is none that could be computed with.
    pub fn inverse(&self) -> Option<Self> {
        let m = &self.0;
        // No determinant is larger than the product of the rows' lengths.
        let length = |r: &[f64; 3]| libm::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        let bound: f64 = m.as_chunks::<3>().0.iter().map(length).product();
        let determinant = self.determinant();
        let usable = determinant.abs() > 1e-15 * bound;
        if !usable || !determinant.is_finite() {
            return None;
        }
        let d = 1.0 / determinant;
        Some(Self([
            (m[4] * m[8] - m[5] * m[7]) * d,
            (m[2] * m[7] - m[1] * m[8]) * d,
            (m[1] * m[5] - m[2] * m[4]) * d,
            (m[5] * m[6] - m[3] * m[8]) * d,
            (m[0] * m[8] - m[2] * m[6]) * d,
            (m[2] * m[3] - m[0] * m[5]) * d,
            (m[3] * m[7] - m[4] * m[6]) * d,
            (m[1] * m[6] - m[0] * m[7]) * d,
            (m[0] * m[4] - m[1] * m[3]) * d,
        ]))
    }

    /// The same homography with a last element of 1, or of -1 if the first pixel is beyond infinity;
    /// nothing if it is on the way there or anything is not finite.
    pub fn normalised(&self) -> Option<Self> {
        let scale = 1.0 / self.0[8].abs();
        let out = self.0.map(|v| v * scale);
        out.iter().all(|v| v.is_finite()).then_some(Self(out))
    }

    pub fn is_finite(&self) -> bool {
        self.0.iter().all(|v| v.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &Matrix3, b: &Matrix3, tolerance: f64) -> bool {
        a.0.iter().zip(&b.0).all(|(a, b)| (a - b).abs() < tolerance)
    }

    #[test]
    fn a_rotation_turns_and_its_inverse_is_its_transpose() {
        let quarter = Matrix3::rotation([0.0, 0.0, core::f64::consts::FRAC_PI_2]);
        let [x, y, z] = quarter.vector([1.0, 0.0, 0.0]);
        assert!(x.abs() < 1e-15 && (y - 1.0).abs() < 1e-15 && z == 0.0);
        let turn = Matrix3::rotation([0.3, -0.2, 0.9]);
        assert!(near(&turn.inverse().unwrap(), &turn.transposed(), 1e-14));
        assert!((turn.determinant() - 1.0).abs() < 1e-14);
        let small = Matrix3::rotation([1e-9, 0.0, 0.0]);
        assert!(near(&small, &Matrix3::rotation([0.0; 3]), 2e-9));
    }

    #[test]
    fn the_inverse_undoes_and_a_flat_matrix_has_none() {
        let h = Matrix3([1.1, 0.1, 30.0, -0.2, 0.9, 7.0, 1e-4, -2e-4, 1.0]);
        assert!(near(
            &h.times(&h.inverse().unwrap()),
            &Matrix3::IDENTITY,
            1e-12
        ));
        let flat = Matrix3([1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 0.0, 0.0, 1.0]);
        assert_eq!(flat.inverse(), None);
        assert_eq!(Matrix3([f64::NAN; 9]).inverse(), None);
        assert_eq!(Matrix3([0.0; 9]).inverse(), None);
        assert_eq!(Matrix3([0.0; 9]).normalised(), None);
    }

    #[test]
    fn no_point_comes_from_beyond_infinity() {
        let h = Matrix3([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -0.01, 0.0, 1.0]);
        let at = |x| h.point(Point { x, y: 0.0 });
        assert!((at(50.0).unwrap().x - 100.0).abs() < 1e-9);
        assert_eq!(at(100.0), None);
        assert_eq!(at(101.0), None);
        assert_eq!(at(f64::NAN), None);
    }
}
