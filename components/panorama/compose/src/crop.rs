//! The largest upright rectangle of a panorama that is covered throughout.
//!
//! Whoever wants a picture without gaps cuts this out. Nothing else of the panorama is cut: before, it holds
//! all that the photographs show, with 0 in its fourth channel where there is none.

use crate::layout::Region;
use crate::warp::Warped;
use alloc::vec;

/// The largest covered rectangle, in pixels from the panorama's first; nothing if nothing is covered.
///
/// Takes twelve bytes a column of memory; cost: some operations a pixel.
pub fn inscribed(panorama: &Warped<'_>) -> Option<Region> {
    let width = panorama.width();
    // Of each column, how many covered pixels end in this row; one more column always ends them.
    let mut heights = vec![0u32; width + 1];
    // Columns of growing height that may still grow to the right, with where they began.
    let mut open = vec![(0usize, 0u32); width + 1];
    let mut best = (0u64, Region::default());
    for (y, row) in panorama.rows().enumerate() {
        for (height, pixel) in heights.iter_mut().zip(row.as_chunks::<4>().0) {
            *height = if pixel[3] == 0 { 0 } else { *height + 1 };
        }
        let mut depth = 0;
        for (x, &height) in heights.iter().enumerate() {
            let mut begin = x;
            while depth > 0 && open[depth - 1].1 >= height {
                depth -= 1;
                let (from, tall) = open[depth];
                begin = from;
                let area = (x - from) as u64 * u64::from(tall);
                if area > best.0 {
                    let region = Region {
                        x: from as i32,
                        y: (y + 1) as i32 - tall as i32,
                        width: (x - from) as u32,
                        height: tall,
                    };
                    best = (area, region);
                }
            }
            open[depth] = (begin, height);
            depth += 1;
        }
    }
    (best.0 > 0).then_some(best.1)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use cistern_image::Size;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn panorama(covered: &[bool], width: u32) -> Vec<u8> {
        assert_eq!(covered.len() % width as usize, 0);
        covered
            .iter()
            .flat_map(|c| [u8::from(*c) * 255; 4])
            .collect()
    }

    /// All rectangles, tried.
    fn slow(covered: &[bool], width: usize) -> usize {
        let height = covered.len() / width;
        let mut best = 0;
        for top in 0..height {
            for left in 0..width {
                for bottom in top + 1..=height {
                    for right in left + 1..=width {
                        let full = (top..bottom).all(|y| {
                            covered[y * width + left..y * width + right]
                                .iter()
                                .all(|c| *c)
                        });
                        if full {
                            best = best.max((bottom - top) * (right - left));
                        }
                    }
                }
            }
        }
        best
    }

    proptest! {
        #[test]
        fn it_is_covered_and_none_is_larger(width in 1u32..8, covered in proptest::collection::vec(proptest::bool::weighted(0.8), 1..48)) {
            let height = covered.len() as u32 / width;
            prop_assume!(height > 0);
            let covered = &covered[..(width * height) as usize];
            let pixels = panorama(covered, width);
            let view = Warped::packed(&pixels, Size::new(width, height).unwrap()).unwrap();
            let found = inscribed(&view);
            let area = found.map_or(0, |r| (r.width * r.height) as usize);
            prop_assert_eq!(area, slow(covered, width as usize));
            if let Some(r) = found {
                for y in r.y..r.bottom() {
                    for x in r.x..r.right() {
                        prop_assert!(covered[(y * width as i32 + x) as usize]);
                    }
                }
            }
        }
    }
}
