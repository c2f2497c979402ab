//! The stages that see all photographs at once before there is a panorama.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;

use cistern_image::record::{self, Record};
use cistern_image::{Match, Memory, Pair, Placement};
use cistern_register::{MAX_IMAGES, MAX_MATCHES, Source};

use crate::scheme::Scheme;
use crate::{Failure, Part};

type Parts<M> = Result<Vec<Part<<M as Memory>::Bytes>>, Failure>;

/// Room for `count` records, and the bytes that these are.
fn room<M: Memory, T: Record>(memory: &M, count: usize) -> Result<(M::Room, usize), Failure> {
    let bytes = count * size_of::<T>();
    Ok((memory.room(bytes.max(1))?, bytes))
}

/// See [`crate::Stage`].
pub fn pairs<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let (photos, odd) = parts.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Failure::parts());
    }
    if photos.len() > MAX_IMAGES {
        return Err(cistern_register::Error::TooMany {
            images: photos.len(),
        }
        .into());
    }
    let sources = photos.iter().map(|[image, features]| {
        Ok(Source {
            image: image.raster()?,
            features: features.read()?,
        })
    });
    let sources: Vec<_> = sources.collect::<Result<_, Failure>>()?;
    let most = photos.len() * photos.len().saturating_sub(1) / 2;
    let (mut pairs, pair_bytes) = room::<M, Pair>(memory, most)?;
    let (mut matches, match_bytes) = room::<M, Match>(memory, most * MAX_MATCHES)?;
    let (pair_count, match_count) = cistern_register::pairs(
        &sources,
        record::room(&mut pairs[..pair_bytes])?,
        record::room(&mut matches[..match_bytes])?,
    )?;
    let pairs = memory.finish(pairs, pair_count * size_of::<Pair>());
    let matches = memory.finish(matches, match_count * size_of::<Match>());
    Ok(vec![Part::records(pairs), Part::records(matches)])
}

/// See [`crate::Stage`].
pub fn estimate<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [pairs, matches, photos @ ..] = parts else {
        return Err(Failure::parts());
    };
    let sizes: Vec<_> = photos.iter().map(Part::size).collect::<Result<_, _>>()?;
    let mut placements = vec![Placement::default(); sizes.len()];
    let plan = cistern_register::estimate(&sizes, pairs.read()?, matches.read()?, &mut placements)?;
    Ok(vec![Scheme::make(memory, &plan, &placements)?])
}
