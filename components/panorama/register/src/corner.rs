//! How good a corner is, where exactly, and which way it is turned.

use cistern_image::Gray;

/// Radius of the disc whose centroid of brightness gives the direction.
pub(crate) const RADIUS: isize = 15;

/// Half the side of the window of gradients in Harris' response.
const WINDOW: isize = 3;

/// Pixels around a corner that [`harris`] reads, at a place one pixel off as well.
const _: () = assert!(WINDOW + 2 < RADIUS);

/// Harris' response at (x, y), which is at least [`RADIUS`] inside: the determinant of the mean of
/// squared gradients less 0.04 times the square of its trace.
pub(crate) fn harris(image: &Gray<'_>, x: usize, y: usize) -> f32 {
    let (mut xx, mut yy, mut xy) = (0i32, 0i32, 0i32);
    let side = 2 * WINDOW as usize + 1;
    let begin = x - WINDOW as usize;
    for row in y - WINDOW as usize..=y + WINDOW as usize {
        let above = &image.row(row - 1)[begin..begin + side];
        let below = &image.row(row + 1)[begin..begin + side];
        let line = &image.row(row)[begin - 1..begin + side + 1];
        for k in 0..side {
            let dx = i32::from(line[k + 2]) - i32::from(line[k]);
            let dy = i32::from(below[k]) - i32::from(above[k]);
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    }
    let [a, b, c] = [xx, yy, xy].map(|sum| sum as f32 / 256.0);
    a * b - c * c - 0.04 * (a + b) * (a + b)
}

/// The place of the greatest response near (x, y): the top of a parabola through the neighbours,
/// across and down; never more than half a pixel away.
pub(crate) fn peak(image: &Gray<'_>, x: usize, y: usize, response: f32) -> [f64; 2] {
    let top = |before: f32, after: f32| {
        let curvature = before - 2.0 * response + after;
        if curvature >= 0.0 {
            return 0.0;
        }
        f64::from(((before - after) / (2.0 * curvature)).clamp(-0.5, 0.5))
    };
    let across = top(harris(image, x - 1, y), harris(image, x + 1, y));
    let down = top(harris(image, x, y - 1), harris(image, x, y + 1));
    [x as f64 + across, y as f64 + down]
}

/// Half the length of each row of the disc, from its middle row to its last.
const HALF: [usize; RADIUS as usize + 1] = {
    let mut half = [0; RADIUS as usize + 1];
    let mut y = 0;
    while y <= RADIUS {
        let mut x = 0;
        // A disc of radius 15 1/2.
        while 4 * ((x + 1) * (x + 1) + y * y) <= (2 * RADIUS + 1) * (2 * RADIUS + 1) {
            x += 1;
        }
        half[y as usize] = x as usize;
        y += 1;
    }
    half
};

/// The unit vector from (x, y) to the centroid of brightness in the disc around it (Rosin); to the
/// right if they are the same. (x, y) is at least [`RADIUS`] inside.
pub(crate) fn direction(image: &Gray<'_>, x: usize, y: usize) -> [f32; 2] {
    let (mut across, mut down) = (0i32, 0i32);
    for dy in -RADIUS..=RADIUS {
        let half = HALF[dy.unsigned_abs()];
        let row = &image.row(y.wrapping_add_signed(dy))[x - half..=x + half];
        let mut sum = 0;
        for (dx, &p) in (-(half as i32)..).zip(row) {
            across += dx * i32::from(p);
            sum += i32::from(p);
        }
        down += dy as i32 * sum;
    }
    let (x, y) = (f64::from(across), f64::from(down));
    let length = libm::sqrt(x * x + y * y);
    if length == 0.0 {
        return [1.0, 0.0];
    }
    [(x / length) as f32, (y / length) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::blank;
    use cistern_image::Size;

    #[test]
    fn a_corner_beats_an_edge_and_an_edge_beats_nothing() {
        let mut image = blank(Size::new(64, 64).unwrap());
        for row in image.rows_mut().skip(32) {
            row[32..].fill(200);
        }
        let view = image.view();
        let (corner, edge) = (harris(&view, 32, 32), harris(&view, 32, 46));
        assert!(corner > 1e4 && edge < 0.0, "{corner} {edge}");
        assert_eq!(harris(&view, 18, 18), 0.0);
    }

    #[test]
    fn the_direction_points_to_the_light() {
        for turn in 0..16 {
            let angle = f64::from(turn) * core::f64::consts::PI / 8.0;
            let (cosine, sine) = (libm::cos(angle), libm::sin(angle));
            let mut image = blank(Size::new(41, 41).unwrap());
            for (y, row) in image.rows_mut().enumerate() {
                for (x, p) in row.iter_mut().enumerate() {
                    let along = (x as f64 - 20.0) * cosine + (y as f64 - 20.0) * sine;
                    *p = (128.0 + 4.0 * along) as u8;
                }
            }
            let [c, s] = direction(&image.view(), 20, 20);
            let dot = f64::from(c) * cosine + f64::from(s) * sine;
            assert!(dot > 0.9995, "{turn}: {dot}");
        }
    }

    #[test]
    fn the_peak_of_a_shifted_blob_is_where_it_was_put() {
        let (cx, cy) = (32.3, 31.8);
        let mut image = blank(Size::new(64, 64).unwrap());
        for (y, row) in image.rows_mut().enumerate() {
            for (x, p) in row.iter_mut().enumerate() {
                let d = (x as f64 - cx) * (x as f64 - cx) + (y as f64 - cy) * (y as f64 - cy);
                *p = (220.0 * libm::exp(-d / 8.0)) as u8;
            }
        }
        let view = image.view();
        let [x, y] = peak(&view, 32, 32, harris(&view, 32, 32));
        assert!((x - cx).abs() < 0.15 && (y - cy).abs() < 0.15, "{x} {y}");
    }
}
