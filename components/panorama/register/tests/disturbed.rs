//! Two views of one photograph that differ in more than place: turned, scaled, dark, noisy.

mod common;

use cistern_image::{Matrix3, Point, Projection};
use cistern_panorama_testset::Photo;
use common::{Gray8, gray, register};

/// Part of a photograph seen by a camera that `to_photo` describes; brightness times `gain`, and noise of
/// a deviation of about `noise`.
fn view(photo: &Gray8, to_photo: &Matrix3, gain: f64, noise: f64, seed: u64) -> Gray8 {
    let (width, height) = (photo.size.width(), photo.size.height());
    let mut state = seed;
    let noises: Vec<f64> = (0..4096)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                sum += (state >> 40) as f64 / f64::from(1 << 24);
            }
            (sum - 6.0) * noise
        })
        .collect();
    Gray8::filled(560, 480, |x, y| {
        let (x, y) = (x as f64, y as f64);
        let Some(p) = to_photo.point(Point { x, y }) else {
            return 0;
        };
        let (left, top) = (p.x.floor(), p.y.floor());
        if left < 0.0 || top < 0.0 || left + 1.0 >= width as f64 || top + 1.0 >= height as f64 {
            return 0;
        }
        let at = |dx: usize, dy: usize| {
            f64::from(photo.pixels[(top as usize + dy) * width + left as usize + dx])
        };
        let (fx, fy) = (p.x - left, p.y - top);
        let upper = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
        let lower = at(0, 1) * (1.0 - fx) + at(1, 1) * fx;
        let grain = noises[(x as usize * 7_919 + y as usize * 104_729) % 4096];
        ((upper * (1.0 - fy) + lower * fy) * gain + grain + 0.5) as u8
    })
}

/// A camera over (x, y) of the photograph, turned by `degrees`; one of its pixels is `scale` of the
/// photograph's.
fn camera(x: f64, y: f64, degrees: f64, scale: f64) -> Matrix3 {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let (c, s) = (scale * cosine, scale * sine);
    let turn = Matrix3([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
    let middle = Matrix3::translation(-279.5, -239.5);
    Matrix3::translation(x, y).times(&turn).times(&middle)
}

/// Registers two views and gives the mean error of the corners of the second in pixels of the first.
fn error_of(second: &Matrix3, gain: f64, noise: f64) -> f64 {
    let raccoon = Photo::read("raccoon.jpg");
    let photo = gray(raccoon.width, raccoon.height, &raccoon.rgb);
    let first = camera(440.0, 400.0, 0.0, 1.0);
    let images = [
        view(&photo, &first, 1.0, noise, 1),
        view(&photo, second, gain, noise, 2),
    ];
    let (plan, placements) = register(&images).unwrap();
    // Neither turning a camera about its axis nor moving it makes a panorama wide.
    assert_eq!(plan.projection(), Projection::Planar);
    let truth = first.inverse().unwrap().times(second);
    let to_first = placements[0].plane.inverse().unwrap();
    let found = to_first.times(&placements[1].plane);
    let corners = images[1].size.corners();
    let errors = corners.map(|c| found.point(c).unwrap().distance(truth.point(c).unwrap()));
    errors.iter().sum::<f64>() / 4.0
}

#[test]
fn a_camera_may_be_turned_any_way() {
    for degrees in [30.0, 90.0, 135.0, 180.0, -77.0] {
        let error = error_of(&camera(560.0, 380.0, degrees, 1.0), 1.0, 1.0);
        assert!(error < 0.5, "{degrees} degrees: {error} pixels");
    }
}

/// Parts of one photograph, one of them as from a camera held on its side: nothing tells a field of view.
#[test]
fn a_photograph_may_lie_on_its_side() {
    let raccoon = Photo::read("raccoon.jpg");
    let photo = gray(raccoon.width, raccoon.height, &raccoon.rgb);
    let at = |x: usize, y: usize| photo.pixels[y * raccoon.width + x];
    let upright = Gray8::filled(500, 700, at);
    let (width, height) = (470, 720);
    let part = |x: usize, y: usize| at(330 + x, 40 + y);
    let clockwise = Gray8::filled(720, 470, |x, y| part(y, height - 1 - x));
    let over = Gray8::filled(470, 720, |x, y| part(width - 1 - x, height - 1 - y));
    let back = Gray8::filled(720, 470, |x, y| part(width - 1 - y, x));
    for turned in [clockwise, over, back] {
        let centre = turned.size.centre();
        let (plan, placements) = register(&[upright.clone(), turned]).unwrap();
        assert_eq!(plan.projection(), Projection::Planar);
        let to_first = placements[0].plane.inverse().unwrap();
        let found = to_first.times(&placements[1].plane).point(centre).unwrap();
        let (x, y) = (330.0 + 469.0 / 2.0, 40.0 + 719.0 / 2.0);
        assert!(found.distance(Point { x, y }) < 0.2, "{found:?}");
    }
}

#[test]
fn a_camera_may_be_nearer_or_farther() {
    for scale in [0.6, 0.75, 1.25, 1.5] {
        let error = error_of(&camera(520.0, 390.0, 10.0, scale), 1.0, 1.0);
        assert!(error < 0.5, "scale {scale}: {error} pixels");
    }
}

#[test]
fn a_camera_may_see_badly() {
    for (gain, noise) in [(0.5, 2.0), (1.4, 2.0), (0.8, 8.0), (0.4, 5.0)] {
        let error = error_of(&camera(620.0, 400.0, 3.0, 1.0), gain, noise);
        assert!(error < 0.5, "gain {gain}, noise {noise}: {error} pixels");
    }
}

#[test]
fn a_camera_may_look_askance() {
    let tilted = Matrix3([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 6e-4, 3e-4, 1.0]);
    let second = camera(560.0, 400.0, 5.0, 1.1).times(&tilted);
    let error = error_of(&second, 0.9, 2.0);
    assert!(error < 0.5, "{error} pixels");
}
