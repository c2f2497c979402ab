//! Sets of real photographs with known truth, through all three stages.

mod common;

use cistern_image::{Matrix3, Model, Projection, record};
use cistern_panorama_testset::{Model as Truth, Photo, Set, corner_error, make};
use cistern_register::Error;
use common::{Gray8, gray, register};

fn grays(set: &Set) -> Vec<Gray8> {
    let views = set.views.iter();
    views.map(|v| gray(v.width, v.height, &v.rgb)).collect()
}

/// Mean corner error of a set in pixels, and whether the model is what made the set.
fn check(name: &str) {
    let set = make(name);
    let (plan, placements) = register(&grays(&set)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let planes: Vec<[f64; 9]> = placements
        .iter()
        .map(|p| p.plane)
        .map(|Matrix3(m)| m)
        .collect();
    let error = corner_error(&set, plan.reference as usize, &planes);
    assert!(error <= 0.5, "{name}: corners are off by {error} pixels");
    match set.model {
        Truth::Plane => assert_eq!(plan.model(), Model::Homography, "{name}"),
        Truth::Camera { focal } => {
            assert_eq!(plan.model(), Model::Rotation, "{name}");
            let off = (plan.focal / focal - 1.0).abs();
            assert!(
                off < 0.01,
                "{name}: focal length {} for {focal}",
                plan.focal
            );
        }
    }
    assert_eq!(plan.projection(), Projection::Planar, "{name}");
}

#[test]
fn two_flat_views() {
    check("canyon-2");
}

#[test]
fn two_views_that_overlap_little() {
    check("wall-2");
}

#[test]
fn three_views_of_a_turned_camera() {
    check("hubble-3");
}

#[test]
fn six_flat_views_of_little_texture() {
    check("retina-6");
}

#[test]
fn a_stranger_among_the_images_is_named() {
    let mut images = grays(&make("raccoon-2"));
    images.insert(1, grays(&make("hubble-2")).remove(0));
    assert_eq!(
        register(&images).err(),
        Some(Error::Apart { images: 0b010 })
    );
    images.remove(0);
    // Of two groups of one, that of the first image counts.
    assert_eq!(
        register(&images).err(),
        Some(Error::Apart { images: 0b010 })
    );
}

#[test]
fn images_without_content_overlap_nothing() {
    let plain = |value: u8| Gray8::filled(300, 200, |_, _| value);
    let ramp = Gray8::filled(300, 200, |x, y| (x / 2 + y / 4) as u8);
    let stripes = Gray8::filled(300, 200, |x, _| if x / 8 % 2 == 0 { 0 } else { 255 });
    let board = Gray8::filled(
        300,
        200,
        |x, y| if (x / 16 + y / 16) % 2 == 0 { 0 } else { 255 },
    );
    for image in [plain(0), plain(255), ramp, stripes] {
        let result = register(&[image.clone(), image]);
        assert_eq!(result.err(), Some(Error::Apart { images: 0b10 }));
    }
    // A chessboard on itself matches anywhere or nowhere, but gives finite numbers if it does.
    if let Ok((plan, placements)) = register(&[board.clone(), board]) {
        assert!(plan.error.is_finite() && placements.iter().all(|p| p.plane.is_finite()));
    }
}

#[test]
fn one_image_and_tiny_images_are_refused() {
    let images = grays(&make("canyon-2"));
    assert_eq!(register(&images[..1]).err(), Some(Error::TooFew));
    assert_eq!(register(&[]).err(), Some(Error::TooFew));
    let tiny = Gray8::filled(1, 1, |_, _| 7);
    let all = [tiny.clone(), tiny];
    assert_eq!(register(&all).err(), Some(Error::Apart { images: 0b10 }));
}

#[test]
fn an_image_matches_itself_and_the_same_input_gives_the_same_bytes() {
    let image = grays(&make("canyon-2")).remove(0);
    let twice = [image.clone(), image];
    let (plan, placements) = register(&twice).unwrap();
    for (a, b) in placements[0].plane.0.iter().zip(&placements[1].plane.0) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    assert_eq!(register(&twice).unwrap(), (plan, placements));
}

/// Images of one place, noise too, say nothing about a field of view: what all of them show is a plane's.
#[test]
fn the_same_image_again_and_again_is_drawn_as_it_is() {
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(640 * 480)
    .collect();
    let noise = Gray8::filled(640, 480, |x, y| noise[y * 640 + x]);
    let photo = grays(&make("hubble-2")).remove(0);
    for (image, times) in [(noise, 2), (photo, 6)] {
        let (plan, placements) = register(&vec![image; times]).unwrap();
        assert_eq!(plan.projection(), Projection::Planar);
        for placement in placements {
            for corner in placement.size().unwrap().corners() {
                let at = placement.plane.point(corner).unwrap();
                assert!(at.distance(corner) < 0.05, "{corner:?} at {at:?}");
            }
        }
    }
}

/// A change of a method changes this number and may; a change of compiler, options or machine may not.
#[test]
fn results_are_the_same_everywhere() {
    let photo = Photo::read("astronaut.png");
    let whole = gray(photo.width, photo.height, &photo.rgb);
    let width = whole.size.width();
    let part = |left: usize, top: usize| {
        Gray8::filled(300, 320, |x, y| whole.pixels[(top + y) * width + left + x])
    };
    let (plan, placements) = register(&[part(20, 60), part(110, 90)]).unwrap();
    let all = [record::bytes(&[plan]), record::bytes(&placements)].concat();
    let hash = all.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(
        hash, 0xfbf5_9605_d6f5_8e0c,
        "{hash:#x} {plan:?} {placements:?}"
    );
}
