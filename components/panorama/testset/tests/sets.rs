//! The sets are what they say, and the judges tell good from bad.

use cistern_panorama_testset::geometry::{self, apply, inverse, product};
use cistern_panorama_testset::{Set, corner_error, make, names, quality};

fn truths(set: &Set, anchor: usize) -> Vec<geometry::Homography> {
    let back = inverse(&set.views[anchor].to_original);
    let views = set.views.iter();
    views
        .map(|view| product(&back, &view.to_original))
        .collect()
}

/// Share of the larger view's area that lies in the other.
fn overlap(set: &Set, i: usize, j: usize) -> f64 {
    let to = product(
        &inverse(&set.views[j].to_original),
        &set.views[i].to_original,
    );
    let (a, b) = (&set.views[i], &set.views[j]);
    let (mut inside, mut count) = (0.0, 0.0);
    for y in (0..a.height).step_by(16) {
        for x in (0..a.width).step_by(16) {
            let (u, v) = apply(&to, (x as f64, y as f64));
            let hit = (0.0..b.width as f64).contains(&u) && (0.0..b.height as f64).contains(&v);
            inside += f64::from(u8::from(hit));
            count += 1.0;
        }
    }
    inside / count
}

#[test]
fn there_are_enough_and_they_hang_together() {
    assert!(names().len() >= 12);
    for name in names() {
        let set = make(name);
        assert!((2..=6).contains(&set.views.len()), "{name}");
        for (i, view) in set.views.iter().enumerate() {
            let pixels = view.width * view.height;
            assert!((450_000..=2_100_000).contains(&pixels), "{name}: {pixels}");
            assert_eq!(view.rgb.len(), pixels * 3);
            for corner in view.corners() {
                let (x, y) = apply(&view.to_original, corner);
                assert!(x >= 2.0 && x <= set.original.width as f64 - 3.0, "{name}");
                assert!(y >= 2.0 && y <= set.original.height as f64 - 3.0, "{name}");
            }
            let best = (0..set.views.len())
                .filter(|&j| j != i)
                .map(|j| overlap(&set, i, j))
                .fold(0.0, f64::max);
            assert!((0.15..0.9).contains(&best), "{name}, view {i}: {best}");
        }
    }
}

#[test]
fn the_truth_has_no_error_and_a_shift_has_its_length() {
    let set = make("retina-6");
    let mut found = truths(&set, 2);
    assert!(corner_error(&set, 2, &found) < 1e-9);
    for (i, matrix) in found.iter_mut().enumerate() {
        if i != 2 {
            let shift = [1.0, 0.0, 3.0, 0.0, 1.0, 4.0, 0.0, 0.0, 1.0];
            *matrix = product(&shift, matrix);
        }
    }
    assert!((corner_error(&set, 2, &found) - 5.0).abs() < 1e-9);
}

#[test]
fn one_view_alone_is_as_good_as_its_noise_and_covers_a_part() {
    let set = make("canyon-2");
    let view = &set.views[0];
    let pixel = |x: usize, y: usize| {
        let at = (y * view.width + x) * 3;
        Some([view.rgb[at], view.rgb[at + 1], view.rgb[at + 2]])
    };
    let size = (view.width, view.height);
    let good = quality(&set, 0, size, pixel, |x, y| Some((x, y)));
    // Noise of deviation 2, lightened by at most 1.4: 39.2 dB or better, less what clipping takes.
    assert!(good.psnr > 38.0, "{good:?}");
    assert!((0.5..0.9).contains(&good.covered), "{good:?}");
    for (found, truth) in good.gain.into_iter().zip(view.gain) {
        assert!((found * truth - 1.0).abs() < 0.02, "{good:?}");
    }
    let shifted = quality(&set, 0, size, pixel, |x, y| Some((x + 3.0, y)));
    assert!(shifted.psnr < good.psnr - 6.0, "{shifted:?}");
}
