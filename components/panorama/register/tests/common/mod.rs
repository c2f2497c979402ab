//! Images of one channel, and the three stages in a row.

use cistern_image::{Feature, Gray, GrayMut, Match, Pair, Placement, Plan, Rgb, Size, luma};
use cistern_register::{Error, MAX_FEATURES, MAX_MATCHES, Source, estimate, features, pairs};

#[derive(Clone)]
pub struct Gray8 {
    pub size: Size,
    pub pixels: Vec<u8>,
}

impl Gray8 {
    pub fn filled(width: u32, height: u32, value: impl Fn(usize, usize) -> u8) -> Self {
        let size = Size::new(width, height).unwrap();
        let places = (0..size.height()).flat_map(|y| (0..size.width()).map(move |x| (x, y)));
        let pixels = places.map(|(x, y)| value(x, y)).collect();
        Self { size, pixels }
    }

    fn view(&self) -> Gray<'_> {
        Gray::packed(&self.pixels, self.size).unwrap()
    }
}

pub fn gray(width: usize, height: usize, rgb: &[u8]) -> Gray8 {
    let mut image = Gray8::filled(width as u32, height as u32, |_, _| 0);
    let colours = Rgb::packed(rgb, image.size).unwrap();
    let mut out = GrayMut::packed(&mut image.pixels, image.size).unwrap();
    luma(&colours, &mut out).unwrap();
    image
}

pub fn register(images: &[Gray8]) -> Result<(Plan, Vec<Placement>), Error> {
    let found: Vec<Vec<Feature>> = images
        .iter()
        .map(|image| {
            let mut found = vec![Feature::default(); MAX_FEATURES];
            let count = features(&image.view(), &mut found).unwrap();
            found.truncate(count);
            found
        })
        .collect();
    let sources: Vec<Source<'_>> = images
        .iter()
        .zip(&found)
        .map(|(image, features)| Source {
            image: image.view(),
            features,
        })
        .collect();
    let most = images.len() * images.len().saturating_sub(1) / 2;
    let mut pair_room = vec![Pair::default(); most];
    let mut match_room = vec![Match::default(); most * MAX_MATCHES];
    let (p, m) = pairs(&sources, &mut pair_room, &mut match_room)?;
    let sizes: Vec<Size> = images.iter().map(|image| image.size).collect();
    let mut placements = vec![Placement::default(); images.len()];
    let plan = estimate(&sizes, &pair_room[..p], &match_room[..m], &mut placements)?;
    Ok((plan, placements))
}
