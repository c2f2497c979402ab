//! The stages of the image pipeline on both sides of registration: photographs out of files, and
//! registered photographs into one panorama and its file.
//!
//! In order: [`decode`], then registration elsewhere, [`layout`], [`warp`], [`exposure`], [`seams`],
//! [`blend`], [`crop`], [`encode`]. A stage takes what the ones before it made as slices and writes into
//! memory that the caller gives, so both can lie in CBUFs and no pixel is copied between stages.
//! What goes from stage to stage besides pixels are records in `cistern_image`'s way.
//!
//! Guarantees: the same bytes in give the same bytes out, on every machine; memory that a stage takes for
//! itself is bounded by the sizes it was given and said at each; whatever the input holds, a stage
//! answers with a result or an [`Error`].
//! Trusts: its allocator. Never does: floating point beyond IEEE's operations and `libm`'s, threads,
//! anything unsafe.
//!
//! The pipeline is that of the paper on CBUFs, section 5.2.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod blend;
pub mod crop;
pub mod decode;
pub mod encode;
mod error;
pub mod exposure;
pub mod layout;
mod orientation;
mod pyramid;
pub mod seams;
pub mod warp;

pub use error::{Error, Format};
