//! The image pipeline in one piece: photographs in, a panorama out, every stage of [`cistern_compose`]
//! and [`cistern_register`] called one after the other, with the time that each took.
//!
//! This is what the pipeline of isolated components is compared with, and what runs on the host. It
//! calls the same functions as the components and adds only memory between them.
//!
//! Guarantees: the same photographs give the same bytes; a set that cannot be stitched is an
//! [`Error`] of one sentence that names the stage; memory is bounded by [`Limits`].
//! Trusts: the clock that it is given, for the times alone. Never does: anything unsafe.
//!
//! The pipeline is that of the paper on CBUFs, section 5.2.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod stage;
mod stitch;

pub use stage::{Error, Stage, Times, Why};
pub use stitch::{Limits, Panorama, Photograph, decode, encode, stitch};
