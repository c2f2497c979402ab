//! Frames to send: where they are built, and what the card shall do to each.
//!
//! With segmentation by the card a segment is as large as what there is to send, and lies in a
//! buffer of several pages. Where no such buffer is to be had, the segment is built in private
//! memory and cut here into frames that each fit a page: one copy more, and nothing lost.

use crate::deadlines::Micros;
use crate::frame::{LARGE_FRAME, MAX_FRAME};
use crate::offload::{Offers, Offload, Pieces, complete, payload};
use crate::pack::{Pack, Pool, Run};
use alloc::vec::Vec;
use core::ops::DerefMut;

/// Payload of a full frame.
const PIECE: usize = MAX_FRAME - 54;
/// No large buffer is asked for so long after there was none.
const LEAN: Micros = 10_000;

pub struct Outgoing<P> {
    pack: Pack<P>,
    pub offers: Offers,
    /// Where a segment is built that is to be cut here, or is for nobody.
    scratch: Vec<u8>,
    lean_until: Micros,
    pub now: Micros,
    /// Bytes that the connection which sends now has not sent yet.
    pub unsent: usize,
    /// TCP payload bytes copied since `take_copied`.
    copied: usize,
}

impl<P: DerefMut<Target = [u8]>> Outgoing<P> {
    /// At most `most` frames.
    pub fn new(most: usize, mut offers: Offers) -> Outgoing<P> {
        offers.segmentation &= offers.checksum;
        let scratch = match offers.segmentation {
            true => LARGE_FRAME,
            false => MAX_FRAME,
        };
        Outgoing {
            pack: Pack::new(most),
            offers,
            scratch: alloc::vec![0; scratch],
            lean_until: 0,
            now: 0,
            unsent: 0,
            copied: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.pack.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pack.is_empty()
    }

    /// Takes everything out, as [`Pack::drain`].
    pub fn drain<F>(&mut self, page: impl FnMut(P) -> F, run: impl FnMut(&F, Run)) {
        self.pack.drain(page, run);
    }

    pub fn take_copied(&mut self) -> usize {
        core::mem::take(&mut self.copied)
    }

    /// Makes sure that the next frame of this connection will not be lost for want of memory.
    pub fn reserve(&mut self, pool: &mut impl Pool<Page = P>) -> bool {
        let expected = match self.offers.segmentation {
            true => self.unsent + MAX_FRAME - PIECE,
            false => 0,
        };
        if expected <= MAX_FRAME {
            return self.pack.reserve(MAX_FRAME, pool);
        }
        let expected = expected.min(LARGE_FRAME);
        self.reserve_large(expected, pool)
            || self
                .pack
                .reserve_many(expected.div_ceil(PIECE), MAX_FRAME, pool)
    }

    fn reserve_large(&mut self, len: usize, pool: &mut impl Pool<Page = P>) -> bool {
        if self.pack.fits(len) {
            return true;
        }
        if self.now < self.lean_until {
            return false;
        }
        let room = self.pack.reserve(len, pool);
        if !room && !self.pack.is_full() {
            self.lean_until = self.now + LEAN;
        }
        room
    }

    /// Builds a frame of `len` bytes. `reserved`: what `reserve` said; without it the frame is
    /// written nowhere, as if the link had lost it. `segment`: to be cut into such pieces.
    pub fn build<R>(
        &mut self,
        len: usize,
        segment: Option<u16>,
        reserved: bool,
        pool: &mut impl Pool<Page = P>,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let whole = reserved
            && match len {
                ..=MAX_FRAME => self.pack.reserve(len, pool),
                _ => segment.is_some() && self.reserve_large(len, pool),
            };
        if whole && let Some(frame) = self.pack.run(len) {
            let result = write(frame);
            let offload = complete(frame, self.offers, segment);
            let payload = payload(frame);
            self.pack.note(offload);
            self.sent(payload);
            return result;
        }
        if self.scratch.len() < len {
            self.scratch.resize(len, 0);
        }
        let mut scratch = core::mem::take(&mut self.scratch);
        let result = write(&mut scratch[..len]);
        if reserved && let Some(segment) = segment {
            self.cut(&scratch[..len], segment, pool);
        }
        self.scratch = scratch;
        result
    }

    fn cut(&mut self, whole: &[u8], segment: u16, pool: &mut impl Pool<Page = P>) {
        let Some(pieces) = Pieces::of(whole, segment) else {
            return;
        };
        self.sent(payload(whole));
        for n in 0..pieces.count() {
            let len = pieces.len(n);
            if len > MAX_FRAME || !self.pack.reserve(len, pool) {
                break;
            }
            let Some(frame) = self.pack.run(len) else {
                break;
            };
            pieces.write(n, frame);
            let offload: Offload = complete(frame, self.offers, None);
            self.copied += payload(frame);
            self.pack.note(offload);
        }
    }

    fn sent(&mut self, payload: usize) {
        self.copied += payload;
        self.unsent = self.unsent.saturating_sub(payload);
    }
}
