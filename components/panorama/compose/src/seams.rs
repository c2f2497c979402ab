//! Which photograph each place of the panorama is taken from.
//!
//! A place belongs to the photograph whose border is farthest away: the seams are as far as can be
//! from where lenses are worst and where a photograph ends, and blending has room on both sides.
//! Decided for cells of [`CELL`] by [`CELL`] pixels; the steps that this leaves in a seam are hidden by
//! blending in bands. A panorama without parallax, the only one that registration accepts, needs no
//! seam that dodges things.

use crate::Error;
use crate::layout::Region;
use crate::warp::Warped;
use alloc::vec;
use cistern_image::{GrayMut, Size};

/// Side of a cell in pixels.
pub const CELL: usize = 8;
/// The label of a place that no photograph covers.
pub const NONE: u8 = u8::MAX;

/// How many cells a panorama has: its sides divided, rounded up.
pub fn cells(canvas: &Region) -> Result<Size, Error> {
    let size = canvas.size()?;
    let side = |n: usize| n.div_ceil(CELL) as u32;
    Ok(Size::new(side(size.width()), side(size.height()))?)
}

/// Writes into `labels`, which has the size of [`cells`], the index of the photograph that each cell is
/// taken from, or [`NONE`]. At most 255 photographs.
///
/// Takes four bytes a cell of memory; cost: some operations a cell of each photograph.
pub fn seams(
    canvas: &Region,
    regions: &[Region],
    images: &[Warped<'_>],
    labels: &mut GrayMut<'_>,
) -> Result<(), Error> {
    let cells = cells(canvas)?;
    let fits = |(r, i): (&Region, &Warped<'_>)| canvas.contains(r) && r.size() == Ok(i.size());
    if regions.len() != images.len()
        || images.len() > usize::from(NONE)
        || labels.size() != cells
        || !regions.iter().zip(images).all(fits)
    {
        return Err(Error::Mismatch);
    }
    for row in labels.rows_mut() {
        row.fill(NONE);
    }
    let (width, height) = (cells.width(), cells.height());
    let mut best = vec![0u16; width * height];
    let mut depth = vec![0u16; width * height];
    for (index, (region, image)) in regions.iter().zip(images).enumerate() {
        cover(canvas, region, image, width, &mut depth);
        distances(width, height, &mut depth);
        for (y, row) in labels.rows_mut().enumerate() {
            let from = y * width;
            let mine = &depth[from..from + width];
            let theirs = &mut best[from..from + width];
            for ((label, mine), theirs) in row.iter_mut().zip(mine).zip(theirs) {
                if mine > theirs {
                    *theirs = *mine;
                    *label = index as u8;
                }
            }
        }
    }
    Ok(())
}

/// The largest value for cells whose middle the photograph covers, 0 for others.
fn cover(canvas: &Region, region: &Region, image: &Warped<'_>, width: usize, depth: &mut [u16]) {
    depth.fill(0);
    let (left, top) = (region.x - canvas.x, region.y - canvas.y);
    let first = |n: i32| (n as usize).div_ceil(CELL);
    for (cell_y, line) in depth
        .chunks_mut(width)
        .enumerate()
        .skip(first(top) - usize::from(top > 0))
    {
        let y = (cell_y * CELL + CELL / 2) as i32 - top;
        if y < 0 {
            continue;
        }
        if y as usize >= image.height() {
            break;
        }
        let row = image.row(y as usize).as_chunks::<4>().0;
        for (cell_x, cell) in line.iter_mut().enumerate() {
            let x = (cell_x * CELL + CELL / 2) as i32 - left;
            let pixel = usize::try_from(x).ok().and_then(|x| row.get(x));
            if pixel.is_some_and(|pixel| pixel[3] != 0) {
                *cell = u16::MAX;
            }
        }
    }
}

/// Replaces what is not 0 by its distance to the nearest 0 or to the outside: steps along rows and
/// columns cost 5, diagonal ones 7 (Borgefors 1986). Two passes.
fn distances(width: usize, height: usize, depth: &mut [u16]) {
    let at = |depth: &[u16], x: usize, y: usize, dx: isize, dy: isize| {
        let (x, y) = (x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
        if x < width && y < height {
            depth[y * width + x]
        } else {
            0
        }
    };
    let near = |depth: &[u16], x: usize, y: usize, sign: isize| {
        let straight = at(depth, x, y, -sign, 0).min(at(depth, x, y, 0, -sign));
        let diagonal = at(depth, x, y, -sign, -sign).min(at(depth, x, y, sign, -sign));
        straight.saturating_add(5).min(diagonal.saturating_add(7))
    };
    for y in 0..height {
        for x in 0..width {
            if depth[y * width + x] != 0 {
                depth[y * width + x] = near(depth, x, y, 1);
            }
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let here = depth[y * width + x];
            if here != 0 {
                depth[y * width + x] = here.min(near(depth, x, y, -1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_distance_is_about_five_times_the_true_one() {
        let (width, height) = (41, 31);
        let mut depth = vec![u16::MAX; width * height];
        depth[15 * width + 20] = 0;
        distances(width, height, &mut depth);
        for y in 0..height {
            for x in 0..width {
                let (dx, dy) = (x as f64 - 20.0, y as f64 - 15.0);
                let edge = (x + 1).min(width - x).min(y + 1).min(height - y) as f64;
                let true_distance = libm::hypot(dx, dy).min(edge);
                let found = f64::from(depth[y * width + x]) / 5.0;
                assert!(
                    (found - true_distance).abs() <= 0.1 * true_distance + 1e-9,
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn a_place_is_taken_from_whoever_ends_farthest_from_it() {
        // Columns 0 to 400, 320 to 800 and, within the second, 480 to 640; one of a few rows less.
        let region = |x, y, width, height| Region {
            x,
            y,
            width,
            height,
        };
        let regions = [
            region(0, 0, 400, 320),
            region(320, 0, 480, 320),
            region(480, 80, 160, 160),
        ];
        let canvas = region(0, 0, 800, 320);
        let pixels: Vec<Vec<u8>> = (regions.iter())
            .map(|r| vec![255; r.size().unwrap().pixels() * 4])
            .collect();
        let images: Vec<Warped<'_>> = (pixels.iter().zip(&regions))
            .map(|(pixels, r)| Warped::packed(&pixels[..], r.size().unwrap()).unwrap())
            .collect();
        let size = cells(&canvas).unwrap();
        let mut labels = vec![7; size.pixels()];
        let mut out = GrayMut::packed(&mut labels[..], size).unwrap();
        seams(&canvas, &regions, &images, &mut out).unwrap();
        for (y, row) in labels.chunks(size.width()).enumerate() {
            // Half way, where both are equally far from their ends; nearer to the rows' ends these decide,
            // and the first of two equal ones is kept.
            assert!(row[..45].iter().all(|label| *label == 0), "{y}");
            assert!(row[50..].iter().all(|label| *label == 1), "{y}: {row:?}");
            if (8..32).contains(&y) {
                assert!(row[45..].iter().all(|label| *label == 1), "{y}: {row:?}");
            }
        }
    }
}
