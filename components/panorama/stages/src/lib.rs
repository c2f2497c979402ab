//! The image pipeline: its stages as functions from parts to parts, and the order they run in.
//!
//! A [`Part`] is bytes with a width and a height, an image or records, in memory that is shared
//! by reference. Whoever runs the pipeline is a [`Runner`]: in one component it calls the stages, with a
//! component a stage it invokes them; what runs in which order is [`conduct`] in both cases, and what a
//! stage does with its parts is the same function.
//!
//! Guarantees: what a stage makes is written once, where the next one reads it; every part is given
//! back as soon as no later stage needs it; whatever the parts hold, a stage answers with parts or
//! with a status and one sentence.
//! Trusts: nothing in a part. Records are checked when they are read; bytes that somebody
//! else changes meanwhile are at worst a wrong picture or a panic of the stage that reads them.
//! Never does: copy a part, or know where it runs.
//!
//! Source: CBUFs, section 5.2.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
mod conduct;
mod failure;
mod heap;
mod join;
mod part;
mod picture;
mod scheme;

pub use conduct::{Made, Runner, Spent, conduct};
pub use failure::Failure;
pub use heap::{Finished, Heap, Room};
pub use join::{estimate, pairs};
pub use part::Part;
pub use picture::{blend, decode, encode, exposure, features, seams, warp};
pub use scheme::Scheme;

use alloc::vec::Vec;
use cistern_image::Memory;

/// Most bytes of a photograph's file.
pub const FILE_MAX: usize = 16 << 20;
/// Most pixels of a photograph: as colours they fit in a CBUF of 16 MiB.
pub const PHOTO_MAX: usize = 5 << 20;
/// Most pixels of a panorama: with coverage they fit in the largest CBUF.
pub const PANORAMA_MAX: usize = 16 << 20;

/// The stages, in the order that they run in. A stage's parts, in and out:
///
/// | stage | in | out |
/// |---|---|---|
/// | decode | a file | colours, brightness |
/// | features | brightness | features |
/// | pairs | brightness and features, of each photograph | pairs, matches |
/// | estimate | pairs, matches, then the size of each photograph | the scheme |
/// | warp | the scheme, then the colours of the photograph that `index` tells | that on the panorama |
/// | exposure | the scheme, all photographs on the panorama | gains |
/// | seams | the same | labels |
/// | blend | the scheme, gains, labels, all photographs on the panorama | the panorama |
/// | encode | the panorama | a PNG file |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    Decode,
    Features,
    Pairs,
    Estimate,
    Warp,
    Exposure,
    Seams,
    Blend,
    Encode,
}

impl Stage {
    pub const ALL: [Self; 9] = [
        Self::Decode,
        Self::Features,
        Self::Pairs,
        Self::Estimate,
        Self::Warp,
        Self::Exposure,
        Self::Seams,
        Self::Blend,
        Self::Encode,
    ];

    /// Its name, which is its component's too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Features => "features",
            Self::Pairs => "pairs",
            Self::Estimate => "estimate",
            Self::Warp => "warp",
            Self::Exposure => "exposure",
            Self::Seams => "seams",
            Self::Blend => "blend",
            Self::Encode => "encode",
        }
    }

    /// Runs this stage here.
    pub fn run<M: Memory>(
        self,
        memory: &M,
        parts: &[Part<M::Bytes>],
    ) -> Result<Vec<Part<M::Bytes>>, Failure> {
        match self {
            Self::Decode => decode(memory, parts),
            Self::Features => features(memory, parts),
            Self::Pairs => pairs(memory, parts),
            Self::Estimate => estimate(memory, parts),
            Self::Warp => warp(memory, parts),
            Self::Exposure => exposure(memory, parts),
            Self::Seams => seams(memory, parts),
            Self::Blend => blend(memory, parts),
            Self::Encode => encode(memory, parts),
        }
    }
}
