//! Stitches a set and holds the result against the truth.

#[path = "../common/mod.rs"]
mod common;

use cistern_image::{Point, Projection};
use cistern_panorama_testset::{Homography, Set, corner_error, quality};
use cistern_stitch::{Panorama, Times, stitch};
use common::{LIMITS, photographs};

#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Mean distance of corners from the truth in pixels, in the frame of the reference.
    pub corner_error: f64,
    /// In dB.
    pub psnr: f64,
    /// Share of what the photographs saw that the panorama shows.
    pub covered: f64,
}

/// The verdict, and the panorama with its times as `clock` says.
pub fn judge(set: &Set, clock: &mut dyn FnMut() -> u64) -> Result<(Verdict, Panorama), String> {
    let panorama = stitch(photographs(set), &LIMITS, Times::default(), clock);
    let panorama = panorama.map_err(|error| error.to_string())?;
    let reference = panorama.plan.reference as usize;
    let anchor = &panorama.placements[reference];
    let back = anchor.plane.inverse().ok_or("the reference is flat")?;
    let placements = panorama.placements.iter();
    let to_anchor: Vec<Homography> = placements.map(|p| back.times(&p.plane).0).collect();
    let corner_error = corner_error(set, reference, &to_anchor);

    let canvas = panorama.canvas;
    let size = (canvas.width as usize, canvas.height as usize);
    let pixels = panorama.rgba.as_chunks::<4>().0;
    let pixel = |x: usize, y: usize| {
        let [r, g, b, alpha] = pixels[y * size.0 + x];
        (alpha != 0).then_some([r, g, b])
    };
    let focal = panorama.plan.focal;
    let centre = anchor.size().map_err(|e| e.to_string())?.centre();
    let found = quality(set, reference, size, pixel, |x, y| {
        let (x, y) = (x + f64::from(canvas.x), y + f64::from(canvas.y));
        let place = match panorama.plan.projection() {
            Projection::Planar => back.point(Point { x, y })?,
            Projection::Cylindrical => {
                let (sin, cos) = (x / focal).sin_cos();
                let ray = anchor.rotation.transposed().vector([sin, y / focal, cos]);
                let [x, y, z] = ray;
                (z > 0.0).then(|| Point {
                    x: centre.x + anchor.focal * x / z,
                    y: centre.y + anchor.focal * y / z,
                })?
            }
        };
        Some((place.x, place.y))
    });
    let verdict = Verdict {
        corner_error,
        psnr: found.psnr,
        covered: found.covered,
    };
    Ok((verdict, panorama))
}
