//! The image pipeline in one piece on a host: files in, a panorama out, with what lies between kept
//! for whoever wants to look at it.
//!
//! It runs [`cistern_stages::conduct`] with the stages called where they are, so what is tested and timed
//! here is what components run: the same stages in the same order on the same parts.
//!
//! Guarantees: the same files give the same bytes; memory is what the [`Heap`] allows; a set that has
//! no panorama is a [`Failure`] of one sentence.
//! Trusts: the clock that it is given, for the times alone. Never does: anything unsafe.
//!
//! The pipeline is that of the paper on CBUFs, section 5.2.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use cistern_image::Raster;
use cistern_stages::{Failure, Finished, Heap, Part, Runner, Scheme, Spent, Stage, conduct};

/// What came of a set of photographs.
pub struct Stitched {
    /// A PNG file.
    pub file: Finished,
    /// Of each stage, in the clock's unit.
    pub spent: Spent,
    scheme: Part<Finished>,
    panorama: Part<Finished>,
}

impl Stitched {
    /// Where each photograph went.
    pub fn scheme(&self) -> Result<Scheme<'_>, Failure> {
        Scheme::read(&self.scheme)
    }

    /// The whole panorama before it is cut: the fourth channel is 0 where there is no photograph.
    pub fn panorama(&self) -> Result<Raster<&[u8], 4>, Failure> {
        self.panorama.raster()
    }
}

/// Calls the stages, and keeps two of the parts that they make.
struct Here<'h, C> {
    heap: &'h Heap,
    clock: C,
    scheme: Option<Part<Finished>>,
    panorama: Option<Part<Finished>>,
}

impl<C: FnMut() -> u64> Runner for Here<'_, C> {
    type Bytes = Finished;

    fn run(
        &mut self,
        stage: Stage,
        parts: &[Part<Finished>],
    ) -> Result<Vec<Part<Finished>>, Failure> {
        let made = stage.run(self.heap, parts)?;
        match stage {
            Stage::Estimate => self.scheme = made.first().cloned(),
            Stage::Blend => self.panorama = made.first().cloned(),
            _ => {}
        }
        Ok(made)
    }

    fn now(&mut self) -> u64 {
        (self.clock)()
    }
}

/// Makes a panorama of `files` in any order, with memory from `heap`; `clock` counts upwards in any unit.
pub fn stitch(
    files: &[Vec<u8>],
    heap: &Heap,
    clock: impl FnMut() -> u64,
) -> Result<Stitched, Failure> {
    let kept: Result<Vec<Finished>, _> = files.iter().map(|file| heap.keep(file)).collect();
    let mut here = Here {
        heap,
        clock,
        scheme: None,
        panorama: None,
    };
    let made = conduct(kept?, &mut here);
    let file = made.panorama?;
    let parts = here.scheme.zip(here.panorama);
    let (scheme, panorama) = parts.ok_or_else(Failure::parts)?;
    Ok(Stitched {
        file,
        spent: made.spent,
        scheme,
        panorama,
    })
}
