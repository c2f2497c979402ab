//! Packing many short runs of bytes into few pages: outgoing frames, and received payload.
//!
//! A page is a buffer that only we can write. It is frozen when the batch leaves, and each run
//! becomes a slice of it: one allocation, one page of address translation and one reclaim for
//! many frames.

use alloc::vec::Vec;
use core::ops::DerefMut;

/// Where pages come from. `page` never waits; `None` while the pool is empty.
pub trait Pool {
    type Page: DerefMut<Target = [u8]>;
    fn page(&mut self) -> Option<Self::Page>;
}

/// One run of bytes: `len` bytes at `offset` of page number `page` of its pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub page: usize,
    pub offset: usize,
    pub len: usize,
}

/// Pages being filled, and the runs in them, in order.
pub struct Pack<P> {
    pages: Vec<P>,
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
            used: 0,
            runs: Vec::new(),
            most,
        }
    }

    /// Makes sure that a run of `len` bytes will fit; `false` if it will not.
    pub fn reserve(&mut self, len: usize, pool: &mut impl Pool<Page = P>) -> bool {
        if self.runs.len() >= self.most {
            return false;
        }
        if self
            .pages
            .last()
            .is_some_and(|p| self.used + len <= p.len())
        {
            return true;
        }
        match pool.page() {
            Some(page) if page.len() >= len => {
                self.pages.push(page);
                self.used = 0;
                true
            }
            _ => false,
        }
    }

    /// The next `len` bytes, after a `reserve` of at least as many that said yes.
    pub fn run(&mut self, len: usize) -> Option<&mut [u8]> {
        let page = self.pages.len().checked_sub(1)?;
        let offset = self.used;
        let room = self.pages[page].get_mut(offset..offset + len)?;
        self.used = (offset + len).next_multiple_of(ALIGN);
        self.runs.push(Run { page, offset, len });
        Some(room)
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
