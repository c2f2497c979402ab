//! Photographs into one panorama, without a visible seam: blending in bands (Burt and Adelson 1983).
//!
//! Near a seam each octave of detail passes from one photograph to the next over a width of its own:
//! fine detail at once, brightness slowly. Away from seams nothing needs to pass, so the panorama is made
//! tile by tile: a tile that, with a margin as wide as the widest passage, is taken from one photograph
//! is copied; only the others are taken apart into bands. Working memory is that of one tile, however
//! large the panorama.
//!
//! What is blended are differences: the result is the first photograph of the tile plus, for each other
//! one, the bands of its difference from the first, each band weighed by that photograph's share, itself
//! reduced as often. Where a photograph ends, the others stand in for it.

use crate::Error;
use crate::exposure::Gain;
use crate::layout::Region;
use crate::pyramid::{expand, reduce};
use crate::seams::{self, CELL, NONE};
use crate::warp::{Warped, WarpedMut};
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::Gray;

/// Side of a tile in pixels.
const TILE: usize = 256;
/// Pixels around a tile that are blended with it: four times the largest band's pixel.
const MARGIN: usize = 64;
const SIDE: usize = TILE + 2 * MARGIN;
/// Times that a tile is halved.
const LEVELS: usize = 4;

/// What all photographs of a panorama have in common for the blender.
pub struct Sources<'a> {
    pub canvas: Region,
    pub regions: &'a [Region],
    pub images: &'a [Warped<'a>],
    pub gains: &'a [Gain],
    /// From [`seams::seams`].
    pub labels: Gray<'a>,
}

/// Blends into `out`, which has the size of the canvas: red, green, blue, and 255 where there is a
/// panorama, else all 0.
///
/// Takes 6 MiB of memory. Cost: some 5 ns a pixel away from seams, 100 ns near them.
pub fn blend(sources: &Sources<'_>, out: &mut WarpedMut<'_>) -> Result<(), Error> {
    sources.check()?;
    if sources.canvas.size()? != out.size() {
        return Err(Error::Mismatch);
    }
    let mut bench = Bench::new();
    for top in (0..out.height()).step_by(TILE) {
        for left in (0..out.width()).step_by(TILE) {
            bench.tile(sources, left, top, out);
        }
    }
    Ok(())
}

impl Sources<'_> {
    fn check(&self) -> Result<(), Error> {
        let n = self.images.len();
        let fits =
            |(r, i): (&Region, &Warped<'_>)| self.canvas.contains(r) && r.size() == Ok(i.size());
        let counts = self.regions.len() == n && self.gains.len() == n && n < usize::from(NONE);
        let sound = self
            .gains
            .iter()
            .all(cistern_image::record::Record::is_sound);
        let labels = |label: &u8| usize::from(*label) < n || *label == NONE;
        if !counts
            || !sound
            || !self.regions.iter().zip(self.images).all(fits)
            || self.labels.size() != seams::cells(&self.canvas)?
            || !self.labels.rows().flatten().all(labels)
        {
            return Err(Error::Mismatch);
        }
        Ok(())
    }

    /// The pixels of photograph `index` in a row of the canvas, and the column of the first of them.
    fn line(&self, index: usize, y: i32) -> Option<(i32, &[[u8; 4]])> {
        let region = &self.regions[index];
        let row = usize::try_from(y - (region.y - self.canvas.y)).ok()?;
        let image = &self.images[index];
        (row < image.height()).then(|| {
            let pixels = image.row(row).as_chunks::<4>().0;
            (region.x - self.canvas.x, pixels)
        })
    }

    /// The labels of the cells that columns and rows touch, and of those around.
    fn around(&self, columns: core::ops::Range<i32>, rows: core::ops::Range<i32>) -> Present {
        let cells = |range: core::ops::Range<i32>, count: usize| {
            let cell = CELL as i32;
            let first = (range.start.div_euclid(cell) - 1).max(0) as usize;
            let last = (range.end.div_euclid(cell) + 2).max(0) as usize;
            first.min(count)..last.min(count)
        };
        let columns = cells(columns, self.labels.width());
        let mut present = Present::default();
        for y in cells(rows, self.labels.height()) {
            for label in &self.labels.row(y)[columns.clone()] {
                present.add(*label);
            }
        }
        present
    }
}

/// A set of labels.
#[derive(Clone, Copy, Default)]
struct Present([u64; 4]);

impl Present {
    fn add(&mut self, label: u8) {
        if label != NONE {
            self.0[usize::from(label / 64)] |= 1 << (label % 64);
        }
    }
    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
    fn labels(self) -> impl Iterator<Item = usize> + Clone {
        (0..usize::from(NONE)).filter(move |i| self.0[i / 64] >> (i % 64) & 1 == 1)
    }
}

/// One channel at all sizes.
struct Pyramid(Vec<Vec<f32>>);

impl Pyramid {
    fn new() -> Self {
        let level = |k: usize| vec![0.0; (SIDE >> k) * (SIDE >> k)];
        Self((0..=LEVELS).map(level).collect())
    }

    /// Fills the smaller sizes from the full one.
    fn fill(&mut self, line: &mut [f32]) {
        for k in 0..LEVELS {
            let (large, small) = self.0.split_at_mut(k + 1);
            reduce(&large[k], SIDE >> k, &mut small[0], line);
        }
    }
}

/// The memory for one tile.
struct Bench {
    /// Whose each pixel is.
    owner: Vec<u8>,
    /// The hard-edged panorama: what stands in for a photograph where it does not reach.
    composite: Vec<[f32; 3]>,
    /// The tile's first photograph.
    base: Vec<[f32; 3]>,
    /// Another one's difference from it.
    difference: [Pyramid; 3],
    /// Where that other one is the owner.
    share: Pyramid,
    /// Weighed bands, added up.
    sum: [Pyramid; 3],
    line: Vec<f32>,
    wide: Vec<f32>,
}

impl Bench {
    fn new() -> Self {
        Self {
            owner: vec![NONE; SIDE * SIDE],
            composite: vec![[0.0; 3]; SIDE * SIDE],
            base: vec![[0.0; 3]; SIDE * SIDE],
            difference: [(); 3].map(|()| Pyramid::new()),
            share: Pyramid::new(),
            sum: [(); 3].map(|()| Pyramid::new()),
            line: vec![0.0; SIDE + 4],
            wide: vec![0.0; SIDE],
        }
    }

    fn tile(&mut self, sources: &Sources<'_>, left: usize, top: usize, out: &mut WarpedMut<'_>) {
        let (x, y) = (left as i32 - MARGIN as i32, top as i32 - MARGIN as i32);
        let side = SIDE as i32;
        let near = sources.around(x..x + side, y..y + side);
        if near.count() >= 2 {
            let owners = self.compose(sources, x, y);
            if owners.count() >= 2 {
                self.bands(sources, x, y, &owners);
                self.write(left, top, out);
                return;
            }
        }
        self.copy(sources, &near, left, top, out);
    }

    /// A tile of one photograph; others only where that one ends short of its cells.
    fn copy(
        &self,
        sources: &Sources<'_>,
        near: &Present,
        left: usize,
        top: usize,
        out: &mut WarpedMut<'_>,
    ) {
        let right = out.width().min(left + TILE);
        let all = near.labels().chain(0..sources.images.len());
        for y in top..out.height().min(top + TILE) {
            let row = &mut out.row_mut(y).as_chunks_mut::<4>().0[left..right];
            row.fill([0; 4]);
            let mut missing = row.len();
            for index in all.clone() {
                if missing == 0 {
                    break;
                }
                let Some((first, pixels)) = sources.line(index, y as i32) else {
                    continue;
                };
                let gain = sources.gains[index].0;
                each(first, pixels, left as i32, row.len(), |at, pixel| {
                    if row[at][3] == 0 {
                        let [r, g, b] = scaled(pixel, gain).map(to_byte);
                        row[at] = [r, g, b, 255];
                        missing -= 1;
                    }
                });
            }
        }
    }

    /// Finds the owner of each pixel and makes the composite; says who owns any.
    fn compose(&mut self, sources: &Sources<'_>, x: i32, y: i32) -> Present {
        self.owner.fill(NONE);
        self.composite.fill([0.0; 3]);
        let mut owners = Present::default();
        let (width, height) = (sources.canvas.width as i32, sources.canvas.height as i32);
        let lines = self
            .owner
            .chunks_exact_mut(SIDE)
            .zip(self.composite.chunks_exact_mut(SIDE));
        for ((owner, composite), y) in lines.zip(y..) {
            if !(0..height).contains(&y) {
                continue;
            }
            let labels = sources.labels.row(y as usize / CELL);
            let columns = x.max(0)..(x + SIDE as i32).min(width);
            let mut missing = columns.len();
            // First what the labels say, then whatever covers the rest.
            for strict in [true, false] {
                for (index, gain) in sources.gains.iter().enumerate() {
                    let Some((first, pixels)) = sources.line(index, y) else {
                        continue;
                    };
                    if missing == 0 {
                        break;
                    }
                    each(first, pixels, x, SIDE, |at, pixel| {
                        let free = owner[at] == NONE;
                        let label = labels[(x as usize).wrapping_add(at) / CELL];
                        if free && (!strict || usize::from(label) == index) {
                            owner[at] = index as u8;
                            composite[at] = scaled(pixel, gain.0);
                            missing -= 1;
                            owners.add(index as u8);
                        }
                    });
                }
            }
        }
        owners
    }

    /// Blends the tile with its margin into `base` and `sum`.
    fn bands(&mut self, sources: &Sources<'_>, x: i32, y: i32, owners: &Present) {
        let mut owners = owners.labels();
        self.base.copy_from_slice(&self.composite);
        if let Some(first) = owners.next() {
            let gain = sources.gains[first].0;
            for (line, y) in self.base.chunks_exact_mut(SIDE).zip(y..) {
                if let Some((column, pixels)) = sources.line(first, y) {
                    each(column, pixels, x, SIDE, |at, pixel| {
                        line[at] = scaled(pixel, gain)
                    });
                }
            }
        }
        for pyramid in &mut self.sum {
            pyramid.0.iter_mut().for_each(|level| level.fill(0.0));
        }
        for index in owners {
            self.differ(sources, x, y, index);
            self.add();
        }
        for pyramid in &mut self.sum {
            for k in (0..LEVELS).rev() {
                let (large, small) = pyramid.0.split_at_mut(k + 1);
                let side = SIDE >> k;
                let large = &mut large[k];
                expand(
                    &small[0],
                    side / 2,
                    &mut self.line,
                    &mut self.wide,
                    |y, row| {
                        let line = &mut large[y * side..(y + 1) * side];
                        line.iter_mut().zip(row).for_each(|(a, b)| *a += b);
                    },
                );
            }
        }
    }

    /// The difference of photograph `index` from the base, and its share.
    fn differ(&mut self, sources: &Sources<'_>, x: i32, y: i32, index: usize) {
        let gain = sources.gains[index].0;
        let [red, green, blue] = &mut self.difference;
        let mut line = vec![[0.0; 3]; SIDE];
        for (row, y) in (0..SIDE).zip(y..) {
            let range = row * SIDE..(row + 1) * SIDE;
            line.copy_from_slice(&self.composite[range.clone()]);
            if let Some((column, pixels)) = sources.line(index, y) {
                each(column, pixels, x, SIDE, |at, pixel| {
                    line[at] = scaled(pixel, gain)
                });
            }
            let pairs = line.iter().zip(&self.base[range.clone()]);
            let channels = red.0[0][range.clone()]
                .iter_mut()
                .zip(&mut green.0[0][range.clone()])
                .zip(&mut blue.0[0][range.clone()]);
            for (((r, g), b), (theirs, base)) in channels.zip(pairs) {
                *r = theirs[0] - base[0];
                *g = theirs[1] - base[1];
                *b = theirs[2] - base[2];
            }
            let owner = &self.owner[range.clone()];
            for (share, owner) in self.share.0[0][range].iter_mut().zip(owner) {
                *share = f32::from(u8::from(usize::from(*owner) == index));
            }
        }
        self.share.fill(&mut self.line);
        for pyramid in &mut self.difference {
            pyramid.fill(&mut self.line);
        }
    }

    /// Adds the bands of the difference, weighed by the share, to the sum.
    fn add(&mut self) {
        for (difference, sum) in self.difference.iter().zip(&mut self.sum) {
            for k in 0..=LEVELS {
                let side = SIDE >> k;
                let (share, level) = (&self.share.0[k], &difference.0[k]);
                let sum = &mut sum.0[k];
                let Some(smaller) = difference.0.get(k + 1) else {
                    let all = sum.iter_mut().zip(level).zip(share);
                    all.for_each(|((sum, level), share)| *sum += level * share);
                    continue;
                };
                expand(
                    smaller,
                    side / 2,
                    &mut self.line,
                    &mut self.wide,
                    |y, row| {
                        let range = y * side..(y + 1) * side;
                        let all = sum[range.clone()].iter_mut().zip(&level[range.clone()]);
                        for (((sum, level), share), low) in all.zip(&share[range]).zip(row) {
                            *sum += (level - low) * share;
                        }
                    },
                );
            }
        }
    }

    /// The tile without its margin.
    fn write(&self, left: usize, top: usize, out: &mut WarpedMut<'_>) {
        let right = out.width().min(left + TILE);
        for y in top..out.height().min(top + TILE) {
            let from = (y - top + MARGIN) * SIDE + MARGIN;
            let row = &mut out.row_mut(y).as_chunks_mut::<4>().0[left..right];
            for (i, pixel) in (from..).zip(row) {
                *pixel = if self.owner[i] == NONE {
                    [0; 4]
                } else {
                    let [r, g, b] =
                        [0, 1, 2].map(|c| to_byte(self.base[i][c] + self.sum[c].0[0][i]));
                    [r, g, b, 255]
                };
            }
        }
    }
}

/// Calls `act` with each covered pixel of a row that begins at `first`, and its place in the window of
/// `length` columns that begins at `left`.
#[inline]
fn each(
    first: i32,
    pixels: &[[u8; 4]],
    left: i32,
    length: usize,
    mut act: impl FnMut(usize, &[u8; 4]),
) {
    let shift = first - left;
    let skip = usize::try_from(-shift).unwrap_or(0).min(pixels.len());
    let place = usize::try_from(shift).unwrap_or(0);
    for (at, pixel) in (place..length).zip(&pixels[skip..]) {
        if pixel[3] != 0 {
            act(at, pixel);
        }
    }
}

#[inline]
fn scaled(pixel: &[u8; 4], gain: [f32; 3]) -> [f32; 3] {
    [0, 1, 2].map(|c| f32::from(pixel[c]) * gain[c])
}

/// Rounded and clipped: the cast does the latter.
#[inline]
fn to_byte(value: f32) -> u8 {
    (value + 0.5) as u8
}
