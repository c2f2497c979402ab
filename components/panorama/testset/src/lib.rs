//! Sets of overlapping photographs whose truth is known to the last digit, and the judges of what a
//! stitcher makes of them. Host only; nothing here runs in a component.
//!
//! **How a set is made.** An original (a real photograph, or several hung side by side on a wall)
//! is looked at by two to six cameras. A view's pixel is the original sampled with a Lanczos kernel of
//! three lobes where the view's homography points, then darkened by the view's exposure (a gain a
//! channel), then given Gaussian noise, rounded and clipped. The scale stays within a tenth of the
//! original's for flat sets, and near it for turned ones but at the ends of the widest, so a view holds
//! as much detail as its pixels promise; no photograph is enlarged first. Views are listed in a shuffled order. Every view lies inside its original.
//!
//! **Truth.** [`View::to_original`] takes a view's pixel to the original's. Coordinates are (x, y), the
//! centre of the top left pixel is (0, 0), matrices are row-major and act on columns (x, y, 1).
//!
//! **Judges.** [`corner_error`] and [`Quality`]: both in the frame of one view, the anchor, with no
//! alignment fitted to the result, so an error of registration far from the anchor counts in full.
//!
//! The same name always gives the same bytes on one machine.

pub mod geometry;
mod judge;
mod photo;
mod recipe;
mod render;

pub use geometry::{Homography, Model};
pub use judge::{Quality, corner_error, quality};
pub use photo::Photo;
pub use recipe::{make, names};

/// What one camera saw.
#[derive(Clone, Debug)]
pub struct View {
    pub width: usize,
    pub height: usize,
    /// Three bytes a pixel, red first, rows without padding.
    pub rgb: Vec<u8>,
    /// Takes this view's pixels to the original's.
    pub to_original: Homography,
    /// What each channel was multiplied by.
    pub gain: [f64; 3],
}

impl View {
    /// The centres of the four corner pixels, in reading order.
    pub fn corners(&self) -> [(f64, f64); 4] {
        let (right, bottom) = ((self.width - 1) as f64, (self.height - 1) as f64);
        [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)]
    }
}

/// Views of one original.
#[derive(Clone, Debug)]
pub struct Set {
    pub name: &'static str,
    /// How the views came about: any homographies, or one camera that turned.
    pub model: Model,
    pub original: Photo,
    pub views: Vec<View>,
}
