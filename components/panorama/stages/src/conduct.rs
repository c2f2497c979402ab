//! The order that stages run in, and what each of them is given.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Deref;
use core::slice;

use crate::{Failure, Part, Stage};

/// Whoever can run stages.
pub trait Runner {
    type Bytes: Deref<Target = [u8]> + Clone;

    /// Runs a stage to its end. The parts are shared, not given away.
    fn run(
        &mut self,
        stage: Stage,
        parts: &[Part<Self::Bytes>],
    ) -> Result<Vec<Part<Self::Bytes>>, Failure>;
    /// A clock, in whatever unit.
    fn now(&mut self) -> u64;
    /// Whether anybody still wants the panorama.
    fn is_wanted(&mut self) -> bool {
        true
    }
}

/// How long each stage took, in the runner's unit, over all photographs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent(pub [u64; Stage::ALL.len()]);

impl Spent {
    /// The value of a field `Server-Timing`, in milliseconds of so many units each.
    pub fn timing(&self, per_ms: u64) -> String {
        let mut text = String::new();
        let per_ms = per_ms.max(1);
        let total: u64 = self.0.iter().sum();
        let named = Stage::ALL.iter().map(|stage| stage.name()).zip(self.0);
        for (name, spent) in named.chain([("all", total)]) {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{name};dur={}", spent / per_ms);
        }
        text
    }
}

/// What came of it.
pub struct Made<B> {
    /// A PNG file, or why there is none.
    pub panorama: Result<B, Failure>,
    pub spent: Spent,
}

struct Conductor<'r, R> {
    runner: &'r mut R,
    spent: Spent,
}

/// Makes a panorama of photographs' files.
pub fn conduct<R: Runner>(files: Vec<R::Bytes>, runner: &mut R) -> Made<R::Bytes> {
    let mut conductor = Conductor {
        runner,
        spent: Spent::default(),
    };
    let panorama = conductor.panorama(files);
    Made {
        panorama,
        spent: conductor.spent,
    }
}

impl<R: Runner> Conductor<'_, R> {
    /// Runs a stage that makes `N` parts.
    fn run<const N: usize>(
        &mut self,
        stage: Stage,
        parts: &[Part<R::Bytes>],
    ) -> Result<[Part<R::Bytes>; N], Failure> {
        if !self.runner.is_wanted() {
            return Err(Failure::new(503, "nobody waits for the panorama any more"));
        }
        let start = self.runner.now();
        let made = self.runner.run(stage, parts);
        self.spent.0[stage as usize] += self.runner.now().saturating_sub(start);
        made?.try_into().map_err(|_| Failure::parts())
    }

    fn panorama(&mut self, files: Vec<R::Bytes>) -> Result<R::Bytes, Failure> {
        let mut colours = Vec::with_capacity(files.len());
        // Of each photograph, its brightness and then its features.
        let mut seen = Vec::with_capacity(2 * files.len());
        for (n, file) in files.into_iter().enumerate() {
            let decoded = self.run(Stage::Decode, &[Part::records(file)]);
            let [colour, brightness] = decoded.map_err(|why| why.of_photo(n))?;
            let [features] = self.run(Stage::Features, slice::from_ref(&brightness))?;
            colours.push(colour);
            seen.extend([brightness, features]);
        }
        let [pairs, matches] = self.run(Stage::Pairs, &seen)?;
        drop(seen);
        let sizes = colours.iter().map(|colour| Part {
            data: None,
            ..colour.clone()
        });
        let parts: Vec<_> = [pairs, matches].into_iter().chain(sizes).collect();
        let [scheme] = self.run(Stage::Estimate, &parts)?;
        drop(parts);
        let mut parts = vec![scheme.clone()];
        for (n, colour) in colours.into_iter().enumerate() {
            let [photo] = self.run(Stage::Warp, &[scheme.clone(), colour.with_index(n)])?;
            parts.push(photo);
        }
        let [gains] = self.run(Stage::Exposure, &parts)?;
        let [labels] = self.run(Stage::Seams, &parts)?;
        parts.splice(1..1, [gains, labels]);
        let [panorama] = self.run(Stage::Blend, &parts)?;
        drop(parts);
        let [file] = self.run(Stage::Encode, &[panorama])?;
        file.data.ok_or_else(Failure::parts)
    }
}
