//! Warps beside those of another library, and against what must hold for any.

use cistern_compose::layout::{Region, layout};
use cistern_compose::warp::{WarpedMut, warp};
use cistern_image::{Matrix3, Model, Placement, Plan, Projection, Rgb, Size};
use image::{Rgb as Colour, Rgb32FImage, RgbImage};
use imageproc::geometric_transformations as other;
use proptest::prelude::*;

fn photo() -> RgbImage {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testset/photos");
    let photo = image::open(format!("{folder}/rocket.jpg")).unwrap();
    photo.crop_imm(250, 150, 200, 160).to_rgb8()
}

fn size(image: &RgbImage) -> Size {
    Size::new(image.width(), image.height()).unwrap()
}

/// Ours on the region that ours says.
fn ours(image: &RgbImage, plan: &Plan, placement: &Placement) -> Option<(Region, Vec<u8>)> {
    let mut regions = [Region::default()];
    layout(plan, &[*placement], 1 << 22, &mut regions).ok()?;
    let out_size = regions[0].size().unwrap();
    let mut out = vec![9; out_size.pixels() * 4];
    let mut view = WarpedMut::packed(&mut out[..], out_size).unwrap();
    let source = Rgb::packed(image.as_raw().as_slice(), size(image)).unwrap();
    warp(plan, placement, &source, &regions[0], &mut view).unwrap();
    Some((regions[0], out))
}

/// In single precision: the other library rounds down between its two directions otherwise.
fn exact(image: &RgbImage) -> Rgb32FImage {
    let values = image.as_raw().iter().map(|byte| f32::from(*byte)).collect();
    Rgb32FImage::from_raw(image.width(), image.height(), values).unwrap()
}

/// Mean difference where both have a colour, and how many pixels that are. `theirs` has black outside.
fn compare(region: &Region, ours: &[u8], theirs: &Rgb32FImage) -> (f64, u32) {
    let (mut sum, mut count) = (0.0, 0);
    for (at, pixel) in ours.as_chunks::<4>().0.iter().enumerate() {
        let (x, y) = (at as u32 % region.width, at as u32 / region.width);
        let other = theirs.get_pixel(x, y).0;
        if pixel[3] != 0 && other != [0.0; 3] {
            for c in 0..3 {
                sum += f64::from((f32::from(pixel[c]) - other[c].clamp(0.0, 255.0)).abs());
            }
            count += 1;
        }
    }
    (sum / f64::from(3 * count.max(1)), count)
}

fn beside(image: &RgbImage, plane: Matrix3) -> (f64, u32, Region) {
    let placement = Placement::new(size(image), plane, Matrix3::IDENTITY, 0.0);
    let plan = Plan::new(Model::Homography, Projection::Planar, 0);
    let (region, mine) = ours(image, &plan, &placement).unwrap();
    let back = plane.inverse().unwrap();
    let black = other::Border::Constant(Colour([0.0; 3]));
    let mut theirs = Rgb32FImage::new(region.width, region.height);
    let mapping = |x: f32, y: f32| {
        let x = f64::from(x) + f64::from(region.x);
        let y = f64::from(y) + f64::from(region.y);
        let from = back.point(cistern_image::Point { x, y }).unwrap();
        (from.x as f32, from.y as f32)
    };
    let cubic = other::Interpolation::Bicubic;
    other::warp_into_with(&exact(image), mapping, cubic, black, &mut theirs);
    let (mean, count) = compare(&region, &mine, &theirs);
    (mean, count, region)
}

#[test]
fn a_homography_draws_what_another_library_draws() {
    let image = photo();
    for plane in [
        Matrix3::IDENTITY,
        Matrix3::translation(10.3, -4.7),
        Matrix3([0.9, -0.3, 40.0, 0.2, 1.1, -30.0, 2e-4, -3e-4, 1.0]),
        Matrix3([-0.8, 0.1, 200.0, -0.1, -0.9, 180.0, -3e-4, 1e-4, 1.0]),
    ] {
        let (mean, count, region) = beside(&image, plane);
        assert!(mean < 0.6, "{plane:?}: {mean}");
        assert!(count > 20_000, "{plane:?}: {count} of {region:?}");
    }
}

#[test]
fn what_stays_in_its_place_stays_as_it_is() {
    let image = photo();
    let placement = Placement::new(size(&image), Matrix3::IDENTITY, Matrix3::IDENTITY, 0.0);
    let plan = Plan::new(Model::Homography, Projection::Planar, 0);
    let (region, mine) = ours(&image, &plan, &placement).unwrap();
    assert_eq!((region.width, region.height), image.dimensions());
    let pairs = mine.as_chunks::<4>().0.iter().zip(image.pixels());
    for (mine, theirs) in pairs {
        assert_eq!([mine[0], mine[1], mine[2]], theirs.0);
        assert_eq!(mine[3], 255);
    }
}

#[test]
fn a_cylinder_draws_what_another_library_draws_by_the_formula() {
    let image = photo();
    let (focal, radius) = (180.0, 210.0);
    let turn = Matrix3::rotation([0.1, 0.7, -0.05]);
    let placement = Placement::new(size(&image), Matrix3::IDENTITY, turn, focal);
    let mut plan = Plan::new(Model::Rotation, Projection::Cylindrical, 0);
    plan.focal = radius;
    let (region, mine) = ours(&image, &plan, &placement).unwrap();
    let centre = size(&image).centre();
    // The formula once more, by angles: from the cylinder to the camera.
    let mapping = |x: f32, y: f32| {
        let angle = (f64::from(x) + f64::from(region.x)) / radius;
        let height = (f64::from(y) + f64::from(region.y)) / radius;
        let ray = [angle.sin(), height, angle.cos()];
        let [x, y, z] = turn.transposed().vector(ray);
        (
            (focal * x / z + centre.x) as f32,
            (focal * y / z + centre.y) as f32,
        )
    };
    let mut theirs = Rgb32FImage::new(region.width, region.height);
    let black = other::Border::Constant(Colour([0.0; 3]));
    let cubic = other::Interpolation::Bicubic;
    other::warp_into_with(&exact(&image), mapping, cubic, black, &mut theirs);
    let (mean, count) = compare(&region, &mine, &theirs);
    assert!(mean < 0.6, "{mean}");
    assert!(count > 20_000, "{count}");
    // The corners touch the region's sides: it is not larger than needed.
    let rgba = mine.as_chunks::<4>().0;
    let width = region.width as usize;
    let rows = rgba.chunks_exact(width);
    let covered = |row: &[[u8; 4]]| row.iter().any(|p| p[3] != 0);
    let first = rows.clone().take(3).any(covered);
    let last = rows.rev().take(3).any(covered);
    assert!(first && last);
    let column = |x: usize| (0..rgba.len() / width).any(|y| rgba[y * width + x][3] != 0);
    assert!((0..3).any(column) && (width - 3..width).any(column));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_placement_is_drawn_or_refused(
        entries in proptest::collection::vec(prop_oneof![-2.0f64..2.0, -1e-3f64..1e-3, any::<f64>()], 9),
        axis in proptest::array::uniform3(-4.0f64..4.0),
        focal in prop_oneof![1.0f64..500.0, Just(1e6), Just(0.0), Just(f64::NAN)],
        curved in any::<bool>(),
    ) {
        let rgb = [200u8; 30 * 20 * 3];
        let image = RgbImage::from_raw(30, 20, rgb.to_vec()).unwrap();
        let mut plane = [0.0; 9];
        plane.copy_from_slice(&entries);
        let placement = Placement::new(size(&image), Matrix3(plane), Matrix3::rotation(axis), focal);
        let mut plan = if curved {
            Plan::new(Model::Rotation, Projection::Cylindrical, 0)
        } else {
            Plan::new(Model::Homography, Projection::Planar, 0)
        };
        plan.focal = focal;
        let mut regions = [Region::default()];
        if layout(&plan, &[placement], 1 << 16, &mut regions).is_ok() {
            let out_size = regions[0].size().unwrap();
            let mut out = vec![9; out_size.pixels() * 4];
            let mut view = WarpedMut::packed(&mut out[..], out_size).unwrap();
            let source = Rgb::packed(&rgb[..], size(&image)).unwrap();
            if warp(&plan, &placement, &source, &regions[0], &mut view).is_ok() {
                // One colour in, the same colour or nothing out.
                prop_assert!(out.as_chunks::<4>().0.iter().all(|p| *p == [200, 200, 200, 255] || *p == [0; 4]));
            }
        }
    }
}
