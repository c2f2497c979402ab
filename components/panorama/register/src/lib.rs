//! How overlapping photographs hang together, in three stages: corners with descriptors
//! ([`features`]), pairs of images that overlap and what matches in them ([`pairs`]), and one
//! estimate over the whole set ([`estimate`]).
//!
//! Guarantees: the same input gives the same bytes on every machine: random choices come from
//! fixed seeds, arithmetic is IEEE's and `libm`'s. All loops are bounded by sizes and constants.
//! No input makes it panic, be it of one colour, noise, or records that another component made up;
//! nothing in a result is not a number. Results are written where the caller says.
//! Trusts: the pixels to be pixels, nothing more; records are checked when they are read and every
//! index into another array when it is used.
//! Never does: touch hardware, keep state between calls, or free memory that it did not allocate
//! itself: scratch memory comes from `alloc` and is back when a stage returns.
//!
//! The pipeline is that of the paper on CBUFs, section 5.2; which methods the stages use is said
//! where they are.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bundle;
mod corner;
mod describe;
mod error;
mod estimate;
mod fast;
mod features;
mod graph;
mod hamming;
mod homography;
mod linear;
mod pairs;
mod patch;
mod pyramid;
mod random;
mod ransac;

mod rotation;

pub use error::Error;
pub use estimate::estimate;
pub use features::{MAX_FEATURES, features};
pub use pairs::{MAX_IMAGES, MAX_MATCHES, Source, pairs};
