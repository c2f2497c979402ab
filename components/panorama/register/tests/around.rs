//! A camera that turns far: photographs on the inside of a cylinder, seen from its middle.

mod common;

use cistern_image::{Matrix3, Model, Projection, Size};
use cistern_panorama_testset::Photo;
use common::{Gray8, gray, register};

/// What a camera in the middle sees of `picture`, which goes around it at `radius` pixels, once or as far
/// as it reaches. Bilinear, with exposure `gain`.
fn seen(picture: &Gray8, radius: f64, size: Size, focal: f64, turn: &Matrix3, gain: f64) -> Gray8 {
    let (width, height) = (picture.size.width(), picture.size.height());
    let middle = picture.size.centre();
    let centre = size.centre();
    Gray8::filled(size.width() as u32, size.height() as u32, |x, y| {
        let [rx, ry, rz] = turn.vector([x as f64 - centre.x, y as f64 - centre.y, focal]);
        let u = middle.x + radius * rx.atan2(rz);
        let u = u.rem_euclid(std::f64::consts::TAU * radius);
        let v = middle.y + radius * ry / rx.hypot(rz);
        let (left, top) = (u.floor(), v.floor());
        let inside = left >= 0.0 && top >= 0.0;
        let (l, t) = (left as usize, top as usize);
        if !inside || l + 1 >= width || t + 1 >= height {
            return 0;
        }
        let at = |x: usize, y: usize| f64::from(picture.pixels[y * width + x]);
        let (fx, fy) = (u - left, v - top);
        let upper = at(l, t) * (1.0 - fx) + at(l + 1, t) * fx;
        let lower = at(l, t + 1) * (1.0 - fx) + at(l + 1, t + 1) * fx;
        ((upper * (1.0 - fy) + lower * fy) * gain + 0.5) as u8
    })
}

#[derive(Debug)]
struct Found {
    /// Mean distance of corners from the truth, in pixels of the reference, by the directions in
    /// which they are seen.
    error: f64,
    projection: Projection,
    /// By how many degrees the cylinder's axis leans from the wall's.
    lean: f64,
}

/// Registers `turns` of (yaw, pitch, roll) in degrees in the middle of a wall that goes around at `radius`
/// pixels.
fn found(radius: f64, turns: &[[f64; 3]], focals: &[f64], size: Size) -> Found {
    let wall = Photo::wall();
    let picture = gray(wall.width, wall.height, &wall.rgb);
    let truth: Vec<Matrix3> = turns
        .iter()
        .map(|t| {
            let [yaw, pitch, roll] = t.map(f64::to_radians);
            let yaw = Matrix3::rotation([0.0, yaw, 0.0]);
            let rest = Matrix3::rotation([pitch, 0.0, 0.0]);
            yaw.times(&rest).times(&Matrix3::rotation([0.0, 0.0, roll]))
        })
        .collect();
    let images: Vec<Gray8> = truth
        .iter()
        .zip(focals)
        .enumerate()
        .map(|(i, (turn, &focal))| {
            let gain = 1.0 - 0.05 * (i % 3) as f64;
            seen(&picture, radius, size, focal, turn, gain)
        })
        .collect();
    let (plan, placements) = register(&images).unwrap();
    assert_eq!(plan.model(), Model::Rotation);
    let reference = plan.reference as usize;
    let unit = |v: [f64; 3]| {
        let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
        v.map(|c| c / length)
    };
    let (mut sum, mut count) = (0.0, 0.0);
    let centre = size.centre();
    for (i, placement) in placements
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != reference)
    {
        for corner in size.corners() {
            // Both as seen by the camera of the reference.
            let true_ray = [corner.x - centre.x, corner.y - centre.y, focals[i]];
            let expected = truth[reference]
                .transposed()
                .times(&truth[i])
                .vector(true_ray);
            let found = placements[reference]
                .rotation
                .transposed()
                .vector(placement.ray(corner));
            let (a, b) = (unit(expected), unit(found));
            let chord: f64 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
            sum += chord.sqrt() * focals[reference];
            count += 1.0;
        }
    }
    let down = truth[reference].transposed().vector([0.0, 1.0, 0.0]);
    let [_, along, _] = placements[reference].rotation.vector(down);
    Found {
        error: sum / count,
        projection: plan.projection(),
        lean: along.clamp(-1.0, 1.0).acos().to_degrees(),
    }
}

#[test]
fn half_a_turn_in_five_images() {
    let size = Size::new(760, 640).unwrap();
    let turns = [
        [33.0, 3.0, 1.0],
        [-34.0, -2.0, 2.0],
        [0.0, 1.0, -2.0],
        [-65.0, 1.0, 0.0],
        [62.0, -1.0, 1.5],
    ];
    let found = found(1000.0, &turns, &[760.0; 5], size);
    assert!(found.error <= 1.0, "{found:?}");
    assert_eq!(found.projection, Projection::Cylindrical);
    assert!(found.lean < 2.0, "{found:?}");
}

/// Cameras that all look down are level all the same: their x axes are.
#[test]
fn a_cylinder_stands_upright_though_no_camera_does() {
    let size = Size::new(760, 640).unwrap();
    let turns = [-30.0, 0.0, 30.0].map(|yaw| [yaw, 14.0, 0.0]);
    let found = found(1000.0, &turns, &[760.0; 3], size);
    assert!(found.error <= 1.0, "{found:?}");
    assert_eq!(found.projection, Projection::Cylindrical);
    assert!(found.lean < 2.0, "{found:?}");
}

#[test]
fn images_of_two_focal_lengths() {
    let size = Size::new(760, 640).unwrap();
    let turns = [[-14.0, 0.0, 1.0], [8.0, 4.0, 0.0], [14.0, -5.0, -2.0]];
    let found = found(1000.0, &turns, &[800.0, 800.0, 940.0], size);
    assert!(found.error <= 1.0, "{found:?}");
}

/// The last overlaps the first: the circle is closed, and the cameras agree on nothing but that they look
/// down a little.
#[test]
fn a_whole_turn_in_twelve_images() {
    let radius = Photo::wall().width as f64 / std::f64::consts::TAU;
    let size = Size::new(480, 520).unwrap();
    let turns: Vec<[f64; 3]> = (0..12u8)
        .map(|i| {
            let aside = f64::from(i % 3) - 1.0;
            [30.0 * f64::from(i), 12.0 + aside, 1.5 * aside]
        })
        .collect();
    let found = found(radius, &turns, &[radius; 12], size);
    assert!(found.error <= 1.0, "{found:?}");
    assert_eq!(found.projection, Projection::Cylindrical);
    assert!(found.lean < 2.0, "{found:?}");
}
