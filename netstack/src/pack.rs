//! Packing many runs of bytes into few pages: outgoing frames, and received payload.
//!
//! A page is a buffer of one page or more that only we can write. It is frozen when the batch leaves, and each run
//! becomes a slice of it: one allocation, one page of address translation and one reclaim for
//! many frames.

use crate::offload::Offload;
use alloc::vec::Vec;
use core::ops::DerefMut;

/// Where pages come from. `page` never waits; `None` while the pool has none of that size.
pub trait Pool {
    type Page: DerefMut<Target = [u8]>;
    fn page(&mut self, bytes: usize) -> Option<Self::Page>;
}

/// One run of bytes: `len` bytes at `offset` of page number `page` of its pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub page: usize,
    pub offset: usize,
    pub len: usize,
    /// What the card shall do to it, where it is a frame.
    pub offload: Offload,
}

/// Pages being filled, and the runs in them, in order.
pub struct Pack<P> {
    pages: Vec<P>,
    /// Reserved for what comes next; kept until it is used.
    spare: Vec<P>,
    used: usize,
    runs: Vec<Run>,
    most: usize,
}

/// Runs begin on cache lines.
const ALIGN: usize = 64;

impl<P: DerefMut<Target = [u8]>> Pack<P> {
    /// At most `most` runs.
    pub fn new(most: usize) -> Pack<P> {
        Pack {
            pages: Vec::new(),
            spare: Vec::new(),
            used: 0,
            runs: Vec::new(),
            most,
        }
    }

    /// Makes sure that a run of `len` bytes will fit; `false` if it will not.
    pub fn reserve(&mut self, len: usize, pool: &mut impl Pool<Page = P>) -> bool {
        if self.is_full() {
            return false;
        }
        if self.fits(len) {
            return true;
        }
        let spare = self.spare.pop_if(|p| p.len() >= len);
        match spare.or_else(|| pool.page(len)) {
            Some(page) if page.len() >= len => {
                self.pages.push(page);
                self.used = 0;
                true
            }
            _ => false,
        }
    }

    /// Makes sure that `count` runs of `len` bytes will fit.
    pub fn reserve_many(
        &mut self,
        count: usize,
        len: usize,
        pool: &mut impl Pool<Page = P>,
    ) -> bool {
        if self.runs.len() + count > self.most {
            return false;
        }
        let each = |p: &P| p.len() / len.next_multiple_of(ALIGN);
        let mut room: usize = self.spare.iter().map(each).sum();
        while room < count {
            match pool.page(len).filter(|p| each(p) > 0) {
                Some(page) => {
                    room += each(&page);
                    self.spare.push(page);
                }
                None => return false,
            }
        }
        true
    }

    /// A run of `len` bytes fits without another page.
    pub fn fits(&self, len: usize) -> bool {
        let last = self.pages.last();
        !self.is_full() && last.is_some_and(|p| self.used + len <= p.len())
    }

    /// There is no place for another run, whatever its length.
    pub fn is_full(&self) -> bool {
        self.runs.len() >= self.most
    }

    /// The next `len` bytes, after a `reserve` of at least as many that said yes.
    pub fn run(&mut self, len: usize) -> Option<&mut [u8]> {
        let page = self.pages.len().checked_sub(1)?;
        let offset = self.used;
        let room = self.pages[page].get_mut(offset..offset + len)?;
        self.used = (offset + len).next_multiple_of(ALIGN);
        self.runs.push(Run {
            page,
            offset,
            len,
            offload: Offload::default(),
        });
        Some(room)
    }

    /// Says what the card shall do to the run made last.
    pub fn note(&mut self, offload: Offload) {
        if let Some(run) = self.runs.last_mut() {
            run.offload = offload;
        }
    }

    pub fn len(&self) -> usize {
        self.runs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes everything out: `page` once for each page (what it returns stands for the frozen
    /// page), `run` for each run in order.
    pub fn drain<F>(&mut self, mut page: impl FnMut(P) -> F, mut run: impl FnMut(&F, Run)) {
        let mut runs = self.runs.drain(..).peekable();
        for (number, p) in self.pages.drain(..).enumerate() {
            let frozen = page(p);
            while let Some(r) = runs.next_if(|r| r.page == number) {
                run(&frozen, r);
            }
        }
        self.used = 0;
    }
}
