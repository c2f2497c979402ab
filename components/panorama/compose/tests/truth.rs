//! All stages after registration, on photographs whose registration is known to the last digit.

use cistern_compose::blend::{Sources, blend};
use cistern_compose::exposure::{Gain, gains};
use cistern_compose::layout::{Region, layout};
use cistern_compose::seams::{cells, seams};
use cistern_compose::warp::{Warped, WarpedMut, warp};
use cistern_image::{GrayMut, Matrix3, Model, Placement, Plan, Point, Projection, Rgb, Size};
use cistern_panorama_testset::geometry::{inverse, product};
use cistern_panorama_testset::{Quality, Set, make, quality};

struct Panorama {
    canvas: Region,
    gains: Vec<Gain>,
    rgba: Vec<u8>,
}

fn size(width: usize, height: usize) -> Size {
    Size::new(width as u32, height as u32).unwrap()
}

fn compose(plan: &Plan, placements: &[Placement], set: &Set) -> Panorama {
    let n = placements.len();
    let mut regions = vec![Region::default(); n];
    let canvas = layout(plan, placements, 1 << 24, &mut regions).unwrap();
    let warped: Vec<Vec<u8>> = (0..n)
        .map(|i| {
            let view = &set.views[i];
            let source = Rgb::packed(&view.rgb[..], size(view.width, view.height)).unwrap();
            let size = regions[i].size().unwrap();
            let mut out = vec![7; size.pixels() * 4];
            let mut image = WarpedMut::packed(&mut out[..], size).unwrap();
            warp(plan, &placements[i], &source, &regions[i], &mut image).unwrap();
            out
        })
        .collect();
    let images: Vec<Warped> = warped
        .iter()
        .zip(&regions)
        .map(|(data, region)| Warped::packed(&data[..], region.size().unwrap()).unwrap())
        .collect();
    let mut found = vec![Gain::default(); n];
    gains(&regions, &images, &mut found).unwrap();
    let cells = cells(&canvas).unwrap();
    let mut labels = vec![0; cells.pixels()];
    let mut view = GrayMut::packed(&mut labels[..], cells).unwrap();
    seams(&canvas, &regions, &images, &mut view).unwrap();
    let all = canvas.size().unwrap();
    let mut rgba = vec![7; all.pixels() * 4];
    let sources = Sources {
        canvas,
        regions: &regions,
        images: &images,
        gains: &found,
        labels: view.view(),
    };
    let mut out = WarpedMut::packed(&mut rgba[..], all).unwrap();
    blend(&sources, &mut out).unwrap();
    Panorama {
        canvas,
        gains: found,
        rgba,
    }
}

/// Every view placed by the truth, in the first one's plane.
fn flat(set: &Set) -> (Plan, Vec<Placement>) {
    let back = inverse(&set.views[0].to_original);
    let placements = set.views.iter().map(|view| {
        let plane = Matrix3(product(&back, &view.to_original));
        let plane = plane.normalised().unwrap();
        Placement::new(size(view.width, view.height), plane, Matrix3::IDENTITY, 0.0)
    });
    let plan = Plan::new(Model::Homography, Projection::Planar, 0);
    (plan, placements.collect())
}

fn judge(set: &Set, panorama: &Panorama, to_anchor: impl Fn(Point) -> Option<Point>) -> Quality {
    let canvas = panorama.canvas;
    let width = canvas.width as usize;
    let pixel = |x: usize, y: usize| {
        let [r, g, b, a] = panorama.rgba.as_chunks::<4>().0[y * width + x];
        (a != 0).then_some([r, g, b])
    };
    quality(set, 0, (width, canvas.height as usize), pixel, |x, y| {
        let x = x + f64::from(canvas.x);
        let y = y + f64::from(canvas.y);
        to_anchor(Point { x, y }).map(|p| (p.x, p.y))
    })
}

#[test]
fn true_placements_give_the_original() {
    for name in ["canyon-2", "raccoon-2", "hubble-3", "retina-6", "wall-3"] {
        let set = make(name);
        let (plan, placements) = flat(&set);
        let begin = std::time::Instant::now();
        let panorama = compose(&plan, &placements, &set);
        let took = begin.elapsed();
        let found = judge(&set, &panorama, Some);
        println!("{name}: {found:?} in {took:?}");
        for channel in 0..3 {
            let products: Vec<f64> = (set.views.iter().zip(&panorama.gains))
                .map(|(view, gain)| view.gain[channel] * f64::from(gain.0[channel]))
                .collect();
            let mean = products.iter().sum::<f64>() / products.len() as f64;
            let far = products
                .iter()
                .map(|p| (p / mean - 1.0).abs())
                .fold(0.0, f64::max);
            assert!(far < 0.02, "{name}: gains {products:?}");
        }
        assert!(found.psnr > 30.0, "{name}: {found:?}");
        assert!(found.covered > 0.995, "{name}: {found:?}");
    }
}
