//! Three by three matrices: as much as the truth needs, written apart from the code under test.

/// Row-major; acts on (x, y, 1).
pub type Homography = [f64; 9];

/// What relates the views of a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// Homographies with roll, scale and perspective of their own.
    Plane,
    /// One camera turned about its centre; focal length in pixels, square pixels, centred.
    Camera { focal: f64 },
}

pub const IDENTITY: Homography = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// `a` after `b`.
pub fn product(a: &Homography, b: &Homography) -> Homography {
    std::array::from_fn(|i| {
        let (row, column) = (i / 3, i % 3);
        (0..3).map(|k| a[row * 3 + k] * b[k * 3 + column]).sum()
    })
}

/// The inverse up to scale: the adjugate.
pub fn inverse(m: &Homography) -> Homography {
    let minor = |a: usize, b: usize, c: usize, d: usize| m[a] * m[d] - m[b] * m[c];
    [
        minor(4, 5, 7, 8),
        minor(2, 1, 8, 7),
        minor(1, 2, 4, 5),
        minor(5, 3, 8, 6),
        minor(0, 2, 6, 8),
        minor(2, 0, 5, 3),
        minor(3, 4, 6, 7),
        minor(1, 0, 7, 6),
        minor(0, 1, 3, 4),
    ]
}

/// Where a point goes. Not finite for a point on the vanishing line.
pub fn apply(m: &Homography, (x, y): (f64, f64)) -> (f64, f64) {
    let w = m[6] * x + m[7] * y + m[8];
    (
        (m[0] * x + m[1] * y + m[2]) / w,
        (m[3] * x + m[4] * y + m[5]) / w,
    )
}

/// Pixels to directions' inverse: focal length and centre of a picture of this size.
pub fn camera(focal: f64, width: usize, height: usize) -> Homography {
    let (cx, cy) = ((width - 1) as f64 / 2.0, (height - 1) as f64 / 2.0);
    [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
}

/// Yaw about the vertical axis, then pitch, then roll, in radians.
pub fn rotation(yaw: f64, pitch: f64, roll: f64) -> Homography {
    let (sy, cy) = yaw.sin_cos();
    let (sp, cp) = pitch.sin_cos();
    let (sr, cr) = roll.sin_cos();
    let about_y = [cy, 0.0, sy, 0.0, 1.0, 0.0, -sy, 0.0, cy];
    let about_x = [1.0, 0.0, 0.0, 0.0, cp, -sp, 0.0, sp, cp];
    let about_z = [cr, -sr, 0.0, sr, cr, 0.0, 0.0, 0.0, 1.0];
    product(&about_y, &product(&about_x, &about_z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_undoes() {
        let m = [1.1, 0.2, 30.0, -0.1, 0.9, -12.0, 1e-4, -2e-4, 1.0];
        let (x, y) = apply(&inverse(&m), apply(&m, (123.0, 456.0)));
        assert!((x - 123.0).abs() < 1e-9 && (y - 456.0).abs() < 1e-9);
    }

    #[test]
    fn a_rotation_keeps_lengths() {
        let r = rotation(0.3, -0.2, 0.1);
        let transposed: Homography = std::array::from_fn(|i| r[i % 3 * 3 + i / 3]);
        let one = product(&r, &transposed);
        assert!(one.iter().zip(IDENTITY).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
