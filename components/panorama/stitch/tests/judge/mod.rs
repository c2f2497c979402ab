//! Stitches a set and holds the result against the truth.

use cistern_compose::encode;
use cistern_image::{Point, Projection, Raster, Size};
use cistern_panorama_testset::{Homography, Set, View, corner_error, quality};
use cistern_stages::{Failure, Heap};
use cistern_stitch::Stitched;

#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Mean distance of corners from the truth in pixels, in the frame of the reference.
    pub corner_error: f64,
    /// In dB.
    pub psnr: f64,
    /// Share of what the photographs saw that the panorama shows.
    pub covered: f64,
}

/// The set's views as PNG files.
pub fn files(set: &Set) -> Vec<Vec<u8>> {
    let write = |view: &View| {
        let size = Size::new(view.width as u32, view.height as u32).unwrap();
        let mut file = vec![0; encode::bound(view.width, view.height, 3)];
        let image = Raster::<&[u8], 3>::packed(&view.rgb[..], size).unwrap();
        let length = encode::png(&image, &mut file).unwrap();
        file[..length].to_vec()
    };
    set.views.iter().map(write).collect()
}

/// As much memory as the machine of 256 MiB is meant to have for it.
pub fn heap() -> Heap {
    Heap::new(160 << 20)
}

pub fn judge(set: &Set, stitched: &Stitched) -> Result<Verdict, Failure> {
    let scheme = stitched.scheme()?;
    let reference = scheme.plan.reference as usize;
    let anchor = &scheme.placements[reference];
    let back = anchor.plane.inverse().ok_or_else(Failure::parts)?;
    let placements = scheme.placements.iter();
    let to_anchor: Vec<Homography> = placements.map(|p| back.times(&p.plane).0).collect();
    let corner_error = corner_error(set, reference, &to_anchor);

    let canvas = *scheme.canvas;
    let panorama = stitched.panorama()?;
    let pixel = |x: usize, y: usize| {
        let [r, g, b, alpha] = panorama.row(y).as_chunks::<4>().0[x];
        (alpha != 0).then_some([r, g, b])
    };
    let focal = scheme.plan.focal;
    let centre = anchor.size()?.centre();
    let size = (panorama.width(), panorama.height());
    let found = quality(set, reference, size, pixel, |x, y| {
        let (x, y) = (x + f64::from(canvas.x), y + f64::from(canvas.y));
        let place = match scheme.plan.projection() {
            Projection::Planar => back.point(Point { x, y })?,
            Projection::Cylindrical => {
                let (sin, cos) = (x / focal).sin_cos();
                let ray = [sin, y / focal, cos];
                let [x, y, z] = anchor.rotation.transposed().vector(ray);
                (z > 0.0).then(|| Point {
                    x: centre.x + anchor.focal * x / z,
                    y: centre.y + anchor.focal * y / z,
                })?
            }
        };
        Some((place.x, place.y))
    });
    Ok(Verdict {
        corner_error,
        psnr: found.psnr,
        covered: found.covered,
    })
}
