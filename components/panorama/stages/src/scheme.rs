//! The scheme of a panorama, as one part: the plan, the panorama's size and place, then where each
//! photograph goes and the rectangle that it covers.

use core::mem::{size_of, size_of_val};
use core::ops::Deref;

use cistern_compose::layout::{Region, layout};
use cistern_image::record::{self, Record};
use cistern_image::{Memory, Placement, Plan};

use crate::{Failure, PANORAMA_MAX, Part};

/// See the top of this file: views of a part's records, each checked.
pub struct Scheme<'p> {
    pub plan: &'p Plan,
    /// Its first pixel in the coordinates of the projection, and its size.
    pub canvas: &'p Region,
    pub placements: &'p [Placement],
    pub regions: &'p [Region],
}

const HEAD: usize = size_of::<Plan>() + size_of::<Region>();
const EACH: usize = size_of::<Placement>() + size_of::<Region>();

fn one<T: Record>(bytes: &[u8]) -> Result<&T, Failure> {
    record::read::<T>(bytes)?.first().ok_or_else(Failure::parts)
}

impl<'p> Scheme<'p> {
    /// The scheme that a part is.
    pub fn read<B: Deref<Target = [u8]>>(part: &'p Part<B>) -> Result<Self, Failure> {
        let bytes = part.bytes();
        let photos = bytes.len().saturating_sub(HEAD) / EACH;
        if bytes.len() != HEAD + photos * EACH {
            return Err(Failure::parts());
        }
        let (plan, rest) = bytes.split_at(size_of::<Plan>());
        let (canvas, rest) = rest.split_at(size_of::<Region>());
        let (placements, regions) = rest.split_at(photos * size_of::<Placement>());
        Ok(Self {
            plan: one(plan)?,
            canvas: one(canvas)?,
            placements: record::read(placements)?,
            regions: record::read(regions)?,
        })
    }

    /// Lays photographs out whose places were estimated.
    pub fn make<M: Memory>(
        memory: &M,
        plan: &Plan,
        placed: &[Placement],
    ) -> Result<Part<M::Bytes>, Failure> {
        let photos = placed.len();
        let length = HEAD + photos * EACH;
        let mut room = memory.room(length)?;
        let (first, rest) = room[..length].split_at_mut(size_of::<Plan>());
        let (second, rest) = rest.split_at_mut(size_of::<Region>());
        let (third, fourth) = rest.split_at_mut(size_of_val(placed));
        let canvas = layout(plan, placed, PANORAMA_MAX, record::room(fourth)?)?;
        first.copy_from_slice(record::bytes(core::slice::from_ref(plan)));
        second.copy_from_slice(record::bytes(core::slice::from_ref(&canvas)));
        third.copy_from_slice(record::bytes(placed));
        Ok(Part::records(memory.finish(room, length)))
    }
}
