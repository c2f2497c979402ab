//! Image descriptions: what an image is made of, who may invoke whom, and what each component
//! may touch.
//!
//! Two forms. A [`source::Description`] is what a person writes (TOML, `components/images`); an
//! [`Image`] is the same with every name resolved to a number, and exists only where [`check`]
//! found nothing wrong or [`Image::decode`] found every number in range.
//! Guarantees: an [`Image`]'s edges, thread numbers and sizes are in range, its invocation graph
//! has no cycle, and every limit of the start information is kept; no input makes it panic.
//! Trusts: whoever packs the archive to have run [`check`]; `decode` repeats only the range checks.
//! Never does: read files, or know what a component does with what it is granted.

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod binary;
mod check;
mod graph;
mod image;
mod limits;
mod problem;
mod resolve;
mod restart;
mod right;
mod size;
pub mod source;

pub use binary::DecodeError;
pub use check::{Checked, Known, check};
pub use image::{Component, Device, Edge, Image, Memory, Pool, Provided, Thread};
pub use problem::{Problem, Warning};
pub use right::Right;
