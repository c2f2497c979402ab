//! What the stages of the image pipeline hand to each other: views of pixels, matrices and
//! records in fixed layout, each able to lie in memory that the caller chose, a CBUF for instance.
//!
//! Guarantees: a [`Raster`] that exists has all its pixels, whatever its size and stride, and a
//! [`Size`] that exists is within [`MAX_SIDE`] and [`MAX_PIXELS`], so arithmetic on either does
//! not overflow. Records have the same bytes everywhere ([`record`]) and are taken from bytes
//! without a copy and without trust: [`record::read`] checks length, alignment and each field.
//! Results are the same on every machine: no arithmetic but IEEE's and `libm`'s.
//! Trusts: nothing that it is given; what does not hold is an [`Error`].
//! Never does: allocate, copy pixels that were not asked for, or touch hardware.
//!
//! The pipeline is that of the paper on CBUFs, section 5.2. Its stages see images as slices, so
//! the same code runs on the host, in one component, and in one component a stage.
//!
//! Coordinates: x to the right, y down, in pixels; the centre of the first pixel is (0, 0), so an
//! image covers -0.5 to width - 0.5.

#![no_std]
#![forbid(unsafe_code)]

mod error;
mod geometry;
mod luma;
mod memory;
mod raster;
pub mod record;
mod size;

pub use error::Error;
pub use geometry::{Matrix3, Point};
pub use luma::luma;
pub use memory::{Full, Memory};
pub use raster::{Float, FloatMut, Gray, GrayMut, Raster, Rgb, RgbFloat, RgbFloatMut, RgbMut};
pub use record::{Feature, Match, Model, Pair, Placement, Plan, Projection};
pub use size::{MAX_PIXELS, MAX_SIDE, Size};
