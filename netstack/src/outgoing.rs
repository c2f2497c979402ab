//! Frames to send: where they are built, and what the card shall do to each.
//!
//! With segmentation by the card a segment is as large as what there is to send, and lies in a
//! buffer of several pages. Where no such buffer is to be had, the segment is built in private
//! memory and cut here into frames that each fit a page: one copy more. smoltcp counts it as
//! sent by then, so pieces that find no room wait there, and nothing else is sent before them.

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
    /// Where a segment is built that is to be cut here; kept while pieces of it wait.
    scratch: Vec<u8>,
    rest: Option<Rest>,
    /// Where a frame is built that is for nobody.
    nowhere: Vec<u8>,
    lean_until: Micros,
    pub now: Micros,
    /// Bytes that the connection which sends now has not sent yet.
    pub unsent: usize,
    /// TCP payload bytes copied since `take_copied`.
    copied: usize,
    /// Frames built for nobody.
    pub lost: u64,
}

/// Pieces of the segment in `scratch` that wait for room: from number `next` on.
struct Rest {
    len: usize,
    segment: u16,
    next: usize,
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
            rest: None,
            nowhere: alloc::vec![0; MAX_FRAME],
            lean_until: 0,
            now: 0,
            unsent: 0,
            copied: 0,
            lost: 0,
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
        if !self.resume(pool) {
            return false;
        }
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
        if reserved && let Some(segment) = segment {
            if self.scratch.len() < len {
                self.scratch.resize(len, 0);
            }
            let result = write(&mut self.scratch[..len]);
            self.sent(payload(&self.scratch[..len]));
            let next = 0;
            self.rest = Some(Rest { len, segment, next });
            self.resume(pool);
            return result;
        }
        self.lost += 1;
        if self.nowhere.len() < len {
            self.nowhere.resize(len, 0);
        }
        write(&mut self.nowhere[..len])
    }

    /// Pieces wait for room.
    pub fn waits(&self) -> bool {
        self.rest.is_some()
    }

    /// Makes frames of the pieces that wait, as far as there is room; `true` when none waits any
    /// more.
    pub fn resume(&mut self, pool: &mut impl Pool<Page = P>) -> bool {
        let Some(mut rest) = self.rest.take() else {
            return true;
        };
        let Some(pieces) = Pieces::of(&self.scratch[..rest.len], rest.segment) else {
            self.lost += 1;
            return true;
        };
        while rest.next < pieces.count() {
            let len = pieces.len(rest.next);
            if len > MAX_FRAME {
                self.lost += 1;
                return true;
            }
            let room = self.pack.reserve(len, pool);
            let Some(frame) = room.then(|| self.pack.run(len)).flatten() else {
                self.rest = Some(rest);
                return false;
            };
            pieces.write(rest.next, frame);
            let offload: Offload = complete(frame, self.offers, None);
            self.copied += payload(frame);
            self.pack.note(offload);
            rest.next += 1;
        }
        true
    }

    fn sent(&mut self, payload: usize) {
        self.copied += payload;
        self.unsent = self.unsent.saturating_sub(payload);
    }
}
