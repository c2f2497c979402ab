//! The stages that make pictures, or look at one picture alone.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;
use core::ops::Deref;

use cistern_compose::blend::{self, Sources};
use cistern_compose::decode::{self, Limits};
use cistern_compose::exposure::{self, Gain};
use cistern_compose::warp::{self, Warped};
use cistern_compose::{crop, encode, seams};
use cistern_image::{Feature, Memory, Raster, luma, record};
use cistern_register::MAX_FEATURES;

use crate::scheme::Scheme;
use crate::{FILE_MAX, Failure, PHOTO_MAX, Part};

type Parts<M> = Result<Vec<Part<<M as Memory>::Bytes>>, Failure>;

const LIMITS: Limits = Limits {
    bytes: FILE_MAX,
    pixels: PHOTO_MAX,
};

/// See [`crate::Stage`].
pub fn decode<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [file] = parts else {
        return Err(Failure::parts());
    };
    let size = decode::probe(file.bytes(), LIMITS)?.size;
    let (pixels, bytes) = (size.pixels(), size.pixels() * 3);
    let mut colours = memory.room(bytes)?;
    let mut out = Raster::packed(&mut colours[..bytes], size)?;
    decode::decode(file.bytes(), LIMITS, &mut out)?;
    let colours = memory.finish(colours, bytes);
    let mut brightness = memory.room(pixels)?;
    let mut out = Raster::packed(&mut brightness[..pixels], size)?;
    luma(&Raster::packed(&colours[..], size)?, &mut out)?;
    let brightness = memory.finish(brightness, pixels);
    Ok(vec![
        Part::image(size, colours),
        Part::image(size, brightness),
    ])
}

/// See [`crate::Stage`].
pub fn features<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [brightness] = parts else {
        return Err(Failure::parts());
    };
    let most = MAX_FEATURES * size_of::<Feature>();
    let mut room = memory.room(most)?;
    let out = record::room(&mut room[..most])?;
    let count = cistern_register::features(&brightness.raster()?, out)?;
    let found = memory.finish(room, count * size_of::<Feature>());
    Ok(vec![Part::records(found)])
}

/// See [`crate::Stage`].
pub fn warp<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [scheme, colours] = parts else {
        return Err(Failure::parts());
    };
    let scheme = Scheme::read(scheme)?;
    let index = colours.index as usize;
    let (placement, region) = scheme
        .placements
        .get(index)
        .zip(scheme.regions.get(index))
        .ok_or_else(Failure::parts)?;
    let size = region.size()?;
    let bytes = size.pixels() * 4;
    let mut room = memory.room(bytes)?;
    let mut out = Raster::packed(&mut room[..bytes], size)?;
    let source = colours.raster()?;
    warp::warp(scheme.plan, placement, &source, region, &mut out)?;
    Ok(vec![Part::image(size, memory.finish(room, bytes))])
}

/// The photographs on the panorama that parts are.
fn warped<B: Deref<Target = [u8]>>(parts: &[Part<B>]) -> Result<Vec<Warped<'_>>, Failure> {
    parts.iter().map(Part::raster).collect()
}

/// See [`crate::Stage`].
pub fn exposure<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [scheme, photos @ ..] = parts else {
        return Err(Failure::parts());
    };
    let scheme = Scheme::read(scheme)?;
    let bytes = photos.len() * size_of::<Gain>();
    let mut room = memory.room(bytes.max(1))?;
    let out = record::room(&mut room[..bytes])?;
    exposure::gains(scheme.regions, &warped(photos)?, out)?;
    Ok(vec![Part::records(memory.finish(room, bytes))])
}

/// See [`crate::Stage`].
pub fn seams<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [scheme, photos @ ..] = parts else {
        return Err(Failure::parts());
    };
    let scheme = Scheme::read(scheme)?;
    let size = seams::cells(scheme.canvas)?;
    let mut room = memory.room(size.pixels())?;
    let mut out = Raster::packed(&mut room[..size.pixels()], size)?;
    seams::seams(scheme.canvas, scheme.regions, &warped(photos)?, &mut out)?;
    let labels = memory.finish(room, size.pixels());
    Ok(vec![Part::image(size, labels)])
}

/// See [`crate::Stage`].
pub fn blend<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [scheme, gains, labels, photos @ ..] = parts else {
        return Err(Failure::parts());
    };
    let scheme = Scheme::read(scheme)?;
    let size = scheme.canvas.size()?;
    let bytes = size.pixels() * 4;
    let mut room = memory.room(bytes)?;
    let mut out = Raster::packed(&mut room[..bytes], size)?;
    let sources = Sources {
        canvas: *scheme.canvas,
        regions: scheme.regions,
        images: &warped(photos)?,
        gains: gains.read()?,
        labels: labels.raster()?,
    };
    blend::blend(&sources, &mut out)?;
    Ok(vec![Part::image(size, memory.finish(room, bytes))])
}

/// See [`crate::Stage`]. The file has the largest rectangle without a hole.
pub fn encode<M: Memory>(memory: &M, parts: &[Part<M::Bytes>]) -> Parts<M> {
    let [panorama] = parts else {
        return Err(Failure::parts());
    };
    let all = panorama.raster::<4>()?;
    let region = crop::inscribed(&all).ok_or_else(Failure::parts)?;
    let (x, y) = (region.x as usize, region.y as usize);
    let whole = all.part(x, y, region.size()?).ok_or_else(Failure::parts)?;
    let mut room = memory.room(encode::bound(whole.width(), whole.height(), 3))?;
    let length = encode::opaque(&whole, &mut room)?;
    Ok(vec![Part::records(memory.finish(room, length))])
}
