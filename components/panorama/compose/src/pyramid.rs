//! Images in octaves: the pyramid of Burt and Adelson (1983), in single precision.
//!
//! One channel, sides that halve without rest as often as there are levels.

/// Five taps of a binomial, twice: halves both sides. `line` has room for a row of `from` and four more.
pub fn reduce(from: &[f32], width: usize, to: &mut [f32], line: &mut [f32]) {
    let height = from.len() / width;
    let half = width / 2;
    let line = &mut line[..width + 4];
    for (y, out) in to.chunks_exact_mut(half).enumerate().take(height / 2) {
        let row = |dy: usize| {
            let y = (2 * y + dy).saturating_sub(2).min(height - 1);
            &from[y * width..(y + 1) * width]
        };
        let rows = row(0)
            .iter()
            .zip(row(1))
            .zip(row(2))
            .zip(row(3))
            .zip(row(4));
        for (sum, ((((a, b), c), d), e)) in line[2..].iter_mut().zip(rows) {
            *sum = (a + e) + 4.0 * (b + d) + 6.0 * c;
        }
        line[0] = line[2];
        line[1] = line[2];
        line[width + 2] = line[width + 1];
        line[width + 3] = line[width + 1];
        let pairs = line.as_chunks::<2>().0;
        for (out, around) in out.iter_mut().zip(pairs.windows(3)) {
            let ([a, b], [c, d], e) = (around[0], around[1], around[2][0]);
            *out = ((a + e) + 4.0 * (b + d) + 6.0 * c) * (1.0 / 256.0);
        }
    }
}

/// Doubles both sides of `from`, whose rows have `width` elements, and gives each row of the result, with
/// its number, to `each`. `line` has room for a row of `from` and two more, `wide` for a row of the result.
pub fn expand(
    from: &[f32],
    width: usize,
    line: &mut [f32],
    wide: &mut [f32],
    mut each: impl FnMut(usize, &[f32]),
) {
    let height = from.len() / width;
    let line = &mut line[..width + 2];
    let wide = &mut wide[..2 * width];
    for y in 0..2 * height {
        let row = |y: usize| {
            let y = y.min(height - 1);
            &from[y * width..(y + 1) * width]
        };
        let inner = &mut line[1..=width];
        if y % 2 == 0 {
            let rows = row((y / 2).saturating_sub(1))
                .iter()
                .zip(row(y / 2))
                .zip(row(y / 2 + 1));
            for (sum, ((a, b), c)) in inner.iter_mut().zip(rows) {
                *sum = (a + c) * 0.125 + 0.75 * b;
            }
        } else {
            let rows = row(y / 2).iter().zip(row(y / 2 + 1));
            for (sum, (a, b)) in inner.iter_mut().zip(rows) {
                *sum = (a + b) * 0.5;
            }
        }
        line[0] = line[1];
        line[width + 1] = line[width];
        for (pair, around) in wide.as_chunks_mut::<2>().0.iter_mut().zip(line.windows(3)) {
            pair[0] = (around[0] + around[2]) * 0.125 + 0.75 * around[1];
            pair[1] = (around[1] + around[2]) * 0.5;
        }
        each(y, wide);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn whole(from: &[f32], width: usize) -> Vec<f32> {
        let mut out = Vec::new();
        let (mut line, mut wide) = (vec![0.0; width + 2], vec![0.0; 2 * width]);
        expand(from, width, &mut line, &mut wide, |_, row| {
            out.extend_from_slice(row)
        });
        out
    }

    #[test]
    fn what_is_even_stays_as_it_is() {
        let from = vec![3.5; 16 * 8];
        let mut half = vec![0.0; 8 * 4];
        reduce(&from, 16, &mut half, &mut [0.0; 20]);
        assert!(half.iter().all(|v| *v == 3.5));
        assert_eq!(whole(&half, 8), from);
    }

    #[test]
    fn a_slope_keeps_its_slope_away_from_the_border() {
        let from: Vec<f32> = (0..32 * 32)
            .map(|i| (i % 32) as f32 + 2.0 * (i / 32) as f32)
            .collect();
        let mut half = vec![0.0; 16 * 16];
        reduce(&from, 32, &mut half, &mut [0.0; 36]);
        let back = whole(&half, 16);
        for y in 4..28 {
            for x in 4..28 {
                assert!((back[y * 32 + x] - from[y * 32 + x]).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn a_point_is_spread_by_the_binomial() {
        let mut from = vec![0.0; 16 * 16];
        from[8 * 16 + 8] = 256.0;
        let mut half = vec![0.0; 8 * 8];
        reduce(&from, 16, &mut half, &mut [0.0; 20]);
        assert_eq!(half[4 * 8 + 3..4 * 8 + 6], [6.0, 36.0, 6.0]);
        assert_eq!(half[3 * 8 + 3..3 * 8 + 6], [1.0, 6.0, 1.0]);
    }
}
