//! Small dense linear algebra: symmetric systems and eigenvectors.

/// Solves A x = b in place for a symmetric positive definite A of `n` rows, of which the lower half
/// is read and overwritten; `b` becomes x. Answers whether A was positive definite to the
/// precision of the arithmetic; if not, `b` is spoilt. Cholesky; n^3 / 6 multiplications.
pub(crate) fn solve(a: &mut [f64], b: &mut [f64]) -> bool {
    let n = b.len();
    for j in 0..n {
        let (row_j, below) = a[j * n..].split_at_mut(n);
        let original = row_j[j];
        let squares: f64 = row_j[..j].iter().map(|v| v * v).sum();
        let diagonal = original - squares;
        // Also if either is not a number.
        if !(diagonal > original.abs() * 1e-14 && diagonal.is_finite()) {
            return false;
        }
        let root = libm::sqrt(diagonal);
        row_j[j] = root;
        for row_i in below.chunks_exact_mut(n) {
            let products = row_i[..j].iter().zip(&row_j[..j]).map(|(x, y)| x * y);
            let sum: f64 = products.sum();
            row_i[j] = (row_i[j] - sum) / root;
        }
    }
    for i in 0..n {
        let row = &a[i * n..][..n];
        let sum: f64 = row[..i].iter().zip(&*b).map(|(l, x)| l * x).sum();
        b[i] = (b[i] - sum) / row[i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    b.iter().all(|x| x.is_finite())
}

/// The unit eigenvector of the largest eigenvalue of a symmetric matrix. Jacobi's rotations, in a
/// bounded number.
pub(crate) fn greatest_eigenvector(mut a: [[f64; 4]; 4]) -> [f64; 4] {
    let mut vectors = [[0.0; 4]; 4];
    for (i, v) in vectors.iter_mut().enumerate() {
        v[i] = 1.0;
    }
    for _ in 0..12 {
        for p in 0..3 {
            for q in p + 1..4 {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let root = theta.abs() + libm::sqrt(theta * theta + 1.0);
                let tangent = if theta < 0.0 { -1.0 / root } else { 1.0 / root };
                let cosine = 1.0 / libm::sqrt(tangent * tangent + 1.0);
                let sine = tangent * cosine;
                let turned = |x: f64, y: f64| (cosine * x - sine * y, sine * x + cosine * y);
                for row in a.iter_mut().chain(&mut vectors) {
                    (row[p], row[q]) = turned(row[p], row[q]);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = turned(*x, *y);
                }
            }
        }
    }
    let greatest = (1..4).fold(0, |best, i| if a[i][i] > a[best][best] { i } else { best });
    vectors.map(|row| row[greatest])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_solution_solves(values in proptest::collection::vec(-1.0f64..1.0, 72), right in proptest::collection::vec(-9.0f64..9.0, 8)) {
            // A = M M^T with M of 8 by 9, plus a little so that it is never singular.
            let n = 8;
            let mut a = [0.0; 64];
            for i in 0..n {
                for j in 0..n {
                    a[i * n + j] = (0..9).map(|k| values[i * 9 + k] * values[j * 9 + k]).sum();
                }
                a[i * n + i] += 0.01;
            }
            let mut x = right.clone();
            prop_assert!(solve(&mut a.clone(), &mut x));
            for i in 0..n {
                let got: f64 = (0..n).map(|j| a[i * n + j] * x[j]).sum();
                prop_assert!((got - right[i]).abs() < 1e-8, "{got} {}", right[i]);
            }
        }

        #[test]
        fn the_eigenvector_is_the_greatest(values in proptest::collection::vec(-1.0f64..1.0, 10)) {
            let mut a = [[0.0; 4]; 4];
            let places = (0..4).flat_map(|i| (0..=i).map(move |j| (i, j)));
            for ((i, j), value) in places.zip(values) {
                (a[i][j], a[j][i]) = (value, value);
            }
            let v = greatest_eigenvector(a);
            let times = |v: [f64; 4]| a.map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>());
            let dot = |a: [f64; 4], b: [f64; 4]| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
            let value = dot(v, times(v));
            prop_assert!((dot(v, v) - 1.0).abs() < 1e-12);
            for (left, right) in times(v).iter().zip(v.map(|x| x * value)) {
                prop_assert!((left - right).abs() < 1e-9);
            }
            // No other direction has a greater quotient.
            for (i, row) in a.iter().enumerate() {
                prop_assert!(row[i] <= value + 1e-12);
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert!(!solve(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0]));
        assert!(!solve(&mut [0.0; 4], &mut [1.0, 1.0]));
        assert!(!solve(&mut [f64::NAN; 4], &mut [1.0, 1.0]));
        assert!(solve(&mut [], &mut []));
    }
}
