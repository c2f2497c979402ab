//! All stages in one function.

use crate::stage::{Error, Stage, Times, Why};
use alloc::vec;
use alloc::vec::Vec;
use cistern_compose::blend::{Sources, blend};
use cistern_compose::exposure::{Gain, gains};
use cistern_compose::layout::{Region, layout};
use cistern_compose::seams::{cells, seams};
use cistern_compose::warp::{Warped, WarpedMut, warp};
use cistern_compose::{decode as decoder, encode as encoder};
use cistern_image::{
    Feature, Gray, GrayMut, Match, Pair, Placement, Plan, Rgb, RgbMut, Size, luma,
};
use cistern_register::{MAX_FEATURES, MAX_MATCHES, Source, estimate, features, pairs};

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of each file.
    pub file: decoder::Limits,
    /// Most pixels of a panorama, and of one photograph drawn on it.
    pub panorama: usize,
}

/// Packed red, green and blue.
#[derive(Clone)]
pub struct Photograph {
    pub size: Size,
    pub rgb: Vec<u8>,
}

impl Photograph {
    fn view(&self) -> Result<Rgb<'_>, cistern_image::Error> {
        Rgb::packed(&self.rgb[..], self.size)
    }
}

/// What came of a set of photographs.
pub struct Panorama {
    pub plan: Plan,
    /// One for each photograph, in their order.
    pub placements: Vec<Placement>,
    /// Where the first pixel lies in the coordinates of the projection, and the size.
    pub canvas: Region,
    /// Four bytes a pixel; 0 in the fourth where there is no photograph.
    pub rgba: Vec<u8>,
    pub times: Times,
}

/// A stage's error with the stage.
trait At<T> {
    fn at(self, stage: Stage) -> Result<T, Error>;
}

impl<T, E: Into<Why>> At<T> for Result<T, E> {
    fn at(self, stage: Stage) -> Result<T, Error> {
        self.map_err(|why| Error {
            stage,
            why: why.into(),
        })
    }
}

/// The first stage: a photograph out of a file.
pub fn decode(
    file: &[u8],
    limits: &Limits,
    times: &mut Times,
    clock: &mut dyn FnMut() -> u64,
) -> Result<Photograph, Error> {
    let decoded = times.measure(Stage::Decode, clock, || {
        let size = decoder::probe(file, limits.file)?.size;
        let mut rgb = vec![0; size.pixels() * 3];
        let mut out = RgbMut::packed(&mut rgb[..], size)?;
        decoder::decode(file, limits.file, &mut out)?;
        Ok::<_, cistern_compose::Error>(Photograph { size, rgb })
    });
    decoded.at(Stage::Decode)
}

/// The last stage: a PNG file with transparency out of a panorama.
pub fn encode(panorama: &mut Panorama, clock: &mut dyn FnMut() -> u64) -> Result<Vec<u8>, Error> {
    let Panorama {
        canvas,
        rgba,
        times,
        ..
    } = panorama;
    let written = times.measure(Stage::Encode, clock, || {
        let size = canvas.size()?;
        let image = Warped::packed(&rgba[..], size)?;
        let mut file = vec![0; encoder::bound(size.width(), size.height(), 4)];
        let length = encoder::png(&image, &mut file)?;
        file.truncate(length);
        Ok::<_, cistern_compose::Error>(file)
    });
    written.at(Stage::Encode)
}

/// All stages between: `photographs`, in any order, become one panorama. `times` may already hold those of
/// decoding and becomes the panorama's; `clock` counts upwards in any unit.
///
/// Photographs are given back one by one as they are drawn, so at its highest this holds the
/// photographs as drawn (four bytes a pixel), the panorama (four bytes a pixel) and some 10 MiB.
pub fn stitch(
    photographs: Vec<Photograph>,
    limits: &Limits,
    mut times: Times,
    clock: &mut dyn FnMut() -> u64,
) -> Result<Panorama, Error> {
    let (plan, placements) = register(&photographs, &mut times, clock)?;
    let mut regions = vec![Region::default(); photographs.len()];
    let canvas = layout(&plan, &placements, limits.panorama, &mut regions).at(Stage::Warp)?;
    let mut drawn = Vec::with_capacity(photographs.len());
    for ((photograph, placement), region) in photographs.into_iter().zip(&placements).zip(&regions)
    {
        let pixels = times.measure(Stage::Warp, clock, || {
            let size = region.size()?;
            let mut out = vec![0; size.pixels() * 4];
            let mut view = WarpedMut::packed(&mut out[..], size)?;
            warp(&plan, placement, &photograph.view()?, region, &mut view)?;
            Ok::<_, cistern_compose::Error>(out)
        });
        drawn.push(pixels.at(Stage::Warp)?);
    }
    let images: Result<Vec<Warped<'_>>, _> = drawn
        .iter()
        .zip(&regions)
        .map(|(pixels, region)| Warped::packed(&pixels[..], region.size()?))
        .collect();
    let images = images.at(Stage::Warp)?;
    let mut found = vec![Gain::default(); images.len()];
    times
        .measure(Stage::Exposure, clock, || {
            gains(&regions, &images, &mut found)
        })
        .at(Stage::Exposure)?;
    let cells = cells(&canvas).at(Stage::Seams)?;
    let mut labels = vec![0; cells.pixels()];
    let mut out = GrayMut::packed(&mut labels[..], cells).at(Stage::Seams)?;
    times
        .measure(Stage::Seams, clock, || {
            seams(&canvas, &regions, &images, &mut out)
        })
        .at(Stage::Seams)?;
    let sources = Sources {
        canvas,
        regions: &regions,
        images: &images,
        gains: &found,
        labels: Gray::packed(&labels[..], cells).at(Stage::Blend)?,
    };
    let rgba = times.measure(Stage::Blend, clock, || {
        let size = canvas.size()?;
        let mut rgba = vec![0; size.pixels() * 4];
        blend(&sources, &mut WarpedMut::packed(&mut rgba[..], size)?)?;
        Ok::<_, cistern_compose::Error>(rgba)
    });
    Ok(Panorama {
        plan,
        placements,
        canvas,
        rgba: rgba.at(Stage::Blend)?,
        times,
    })
}

/// Where each photograph goes.
fn register(
    photographs: &[Photograph],
    times: &mut Times,
    clock: &mut dyn FnMut() -> u64,
) -> Result<(Plan, Vec<Placement>), Error> {
    let mut grays = Vec::with_capacity(photographs.len());
    let mut corners = Vec::with_capacity(photographs.len());
    for photograph in photographs {
        let found = times.measure(Stage::Features, clock, || {
            let mut gray = vec![0; photograph.size.pixels()];
            let mut out = GrayMut::packed(&mut gray[..], photograph.size)?;
            luma(&photograph.view()?, &mut out)?;
            let mut found = vec![Feature::default(); MAX_FEATURES];
            let count = features(&out.view(), &mut found)?;
            found.truncate(count);
            Ok::<_, Why>((gray, found))
        });
        let (gray, found) = found.at(Stage::Features)?;
        grays.push(gray);
        corners.push(found);
    }
    let sources = photographs.iter().zip(&grays).zip(&corners);
    let sources: Result<Vec<Source<'_>>, cistern_image::Error> = sources
        .map(|((photograph, gray), features)| {
            let image = Gray::packed(&gray[..], photograph.size)?;
            Ok(Source { image, features })
        })
        .collect();
    let sources = sources.at(Stage::Match)?;
    let (found, matches) = times
        .measure(Stage::Match, clock, || {
            let n = sources.len();
            let most = n * n.saturating_sub(1) / 2;
            let mut found = vec![Pair::default(); most];
            let mut matches = vec![Match::default(); most * MAX_MATCHES];
            let (pairs, count) = pairs(&sources, &mut found, &mut matches)?;
            found.truncate(pairs);
            matches.truncate(count);
            Ok::<_, cistern_register::Error>((found, matches))
        })
        .at(Stage::Match)?;
    let sizes: Vec<Size> = photographs.iter().map(|p| p.size).collect();
    let mut placements = vec![Placement::default(); sizes.len()];
    let plan = times
        .measure(Stage::Estimate, clock, || {
            estimate(&sizes, &found, &matches, &mut placements)
        })
        .at(Stage::Estimate)?;
    Ok((plan, placements))
}
