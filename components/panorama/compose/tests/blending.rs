//! What a blend must do whatever is blended.

use cistern_compose::Error;
use cistern_compose::blend::{Sources, blend};
use cistern_compose::exposure::Gain;
use cistern_compose::layout::Region;
use cistern_compose::seams::{NONE, cells, seams};
use cistern_compose::warp::{Warped, WarpedMut};
use cistern_image::{Gray, GrayMut};
use proptest::prelude::*;

struct Scene {
    canvas: Region,
    regions: Vec<Region>,
    pixels: Vec<Vec<u8>>,
}

impl Scene {
    /// Photographs on these regions; `colour` says what each shows at a place of the canvas.
    fn new(
        canvas: Region,
        regions: Vec<Region>,
        colour: impl Fn(usize, i32, i32) -> [u8; 4],
    ) -> Self {
        let draw = |(i, r): (usize, &Region)| {
            let places = (r.y..r.bottom()).flat_map(|y| (r.x..r.right()).map(move |x| (x, y)));
            places.flat_map(|(x, y)| colour(i, x, y)).collect()
        };
        let pixels = regions.iter().enumerate().map(draw).collect();
        Self {
            canvas,
            regions,
            pixels,
        }
    }

    fn images(&self) -> Vec<Warped<'_>> {
        let pairs = self.pixels.iter().zip(&self.regions);
        pairs
            .map(|(data, r)| Warped::packed(&data[..], r.size().unwrap()).unwrap())
            .collect()
    }

    fn labels(&self) -> Vec<u8> {
        let cells = cells(&self.canvas).unwrap();
        let mut labels = vec![0; cells.pixels()];
        let mut view = GrayMut::packed(&mut labels[..], cells).unwrap();
        seams(&self.canvas, &self.regions, &self.images(), &mut view).unwrap();
        labels
    }

    fn blend(&self, labels: &[u8], gains: &[Gain]) -> Result<Vec<[u8; 4]>, Error> {
        let size = self.canvas.size().unwrap();
        let mut out = vec![[7; 4]; size.pixels()];
        let sources = Sources {
            canvas: self.canvas,
            regions: &self.regions,
            images: &self.images(),
            gains,
            labels: Gray::packed(labels, cells(&self.canvas).unwrap())?,
        };
        let mut view = WarpedMut::packed(out.as_flattened_mut(), size).unwrap();
        blend(&sources, &mut view)?;
        Ok(out)
    }
}

fn region(x: i32, y: i32, width: u32, height: u32) -> Region {
    Region {
        x,
        y,
        width,
        height,
    }
}

/// Two photographs that overlap in the middle of 900 columns.
fn pair(colour: impl Fn(usize, i32, i32) -> [u8; 4]) -> Scene {
    let regions = vec![region(-100, 50, 500, 300), region(300, 50, 500, 300)];
    Scene::new(region(-100, 50, 900, 300), regions, colour)
}

#[test]
fn a_step_of_brightness_becomes_a_slope() {
    let scene = pair(|i, _, _| [[100, 100, 100, 255], [140, 140, 140, 255]][i]);
    let out = scene.blend(&scene.labels(), &[Gain::default(); 2]).unwrap();
    let row = &out[150 * 900..151 * 900];
    assert_eq!(
        (row[0], row[899]),
        ([100, 100, 100, 255], [140, 140, 140, 255])
    );
    for pair in row.windows(2) {
        let step = i16::from(pair[1][0]) - i16::from(pair[0][0]);
        assert!((0..=2).contains(&step), "{pair:?}");
    }
    let rising = row.iter().filter(|p| (101..140).contains(&p[0])).count();
    assert!(rising > 30, "{rising}");
}

#[test]
fn photographs_that_agree_are_not_changed() {
    let texture = |x: i32, y: i32| ((x * 37 + y * 59 + x * y) % 251) as u8;
    let scene = pair(|_, x, y| [texture(x, y), texture(y, x), 9, 255]);
    let out = scene.blend(&scene.labels(), &[Gain::default(); 2]).unwrap();
    for (at, pixel) in out.iter().enumerate() {
        let (x, y) = (at as i32 % 900 - 100, at as i32 / 900 + 50);
        assert_eq!(*pixel, [texture(x, y), texture(y, x), 9, 255]);
    }
}

#[test]
fn a_gain_is_applied_where_one_photograph_is_alone() {
    let scene = pair(|_, _, _| [100, 50, 200, 255]);
    let gains = [Gain([1.5, 1.0, 0.5]), Gain([1.5, 1.0, 2.0])];
    let out = scene.blend(&scene.labels(), &gains).unwrap();
    assert_eq!(out[0], [150, 50, 100, 255]);
    assert_eq!(out[899], [150, 50, 255, 255]);
}

#[test]
fn what_contradicts_is_refused() {
    let scene = pair(|_, _, _| [1, 2, 3, 255]);
    let labels = scene.labels();
    let gains = [Gain::default(); 2];
    assert!(scene.blend(&labels, &gains).is_ok());
    assert_eq!(
        scene.blend(&labels, &gains[..1]).err(),
        Some(Error::Mismatch)
    );
    let mut wrong = labels.clone();
    wrong[17] = 2;
    assert_eq!(scene.blend(&wrong, &gains).err(), Some(Error::Mismatch));
    let odd = [Gain::default(), Gain([f32::NAN; 3])];
    assert_eq!(scene.blend(&labels, &odd).err(), Some(Error::Mismatch));
    let mut outside = pair(|_, _, _| [1, 2, 3, 255]);
    outside.regions[1].x += 1;
    assert_eq!(outside.blend(&labels, &gains).err(), Some(Error::Mismatch));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Some photographs anywhere, with holes, and any labels: what is covered is covered, and no
    /// colour is far from those that the photographs have.
    #[test]
    fn coverage_is_the_union_and_labels_may_be_anything(
        places in proptest::collection::vec((0i32..500, 0i32..200, 8u32..200, 8u32..150), 1..5),
        seed in any::<u32>(),
        nonsense in any::<bool>(),
    ) {
        let canvas = region(0, 0, 700, 350);
        let regions: Vec<Region> = places.iter().map(|&(x, y, w, h)| region(x, y, w, h)).collect();
        let hole = |i: usize, x: i32, y: i32| (x / 16 + y / 16 + i as i32) % 7 == 0;
        let scene = Scene::new(canvas, regions, |i, x, y| {
            if hole(i, x, y) { [0; 4] } else { [100 + 20 * i as u8, 90, 80, 255] }
        });
        let mut labels = scene.labels();
        if nonsense {
            for (i, label) in labels.iter_mut().enumerate() {
                let pick = (seed.wrapping_mul(i as u32 + 1) >> 20) as usize % (places.len() + 1);
                *label = if pick == places.len() { NONE } else { pick as u8 };
            }
        }
        let gains = vec![Gain::default(); places.len()];
        let out = scene.blend(&labels, &gains).unwrap();
        for (at, pixel) in out.iter().enumerate() {
            let (x, y) = (at as i32 % 700, at as i32 / 700);
            let covered = scene.regions.iter().enumerate().any(|(i, r)| {
                (r.x..r.right()).contains(&x) && (r.y..r.bottom()).contains(&y) && !hole(i, x, y)
            });
            prop_assert_eq!(pixel[3] != 0, covered);
            if covered {
                prop_assert!((90..=190).contains(&pixel[0]) && pixel[1] == 90 && pixel[2] == 80, "{:?}", pixel);
            }
        }
    }
}
