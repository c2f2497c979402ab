//! Small texts packed into one page: all heads that one round answers, all paths that it asks
//! for. A page a round, not a page a text.

use crate::platform::{PAGE_BYTES, Platform};

/// A page being filled.
pub struct Arena<P: Platform> {
    page: Option<P::Page>,
    used: usize,
}

/// Where a text lies in the page that was open when it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub start: u32,
    pub bytes: u32,
}

impl Span {
    pub fn range(self) -> core::ops::Range<usize> {
        self.start as usize..self.start as usize + self.bytes as usize
    }
}

impl<P: Platform> Default for Arena<P> {
    fn default() -> Self {
        Self {
            page: None,
            used: 0,
        }
    }
}

impl<P: Platform> Arena<P> {
    /// Whether a text of so many bytes fits into the open page. `false` when none is open.
    pub fn fits(&self, bytes: usize) -> bool {
        self.page.is_some() && self.used + bytes <= PAGE_BYTES
    }

    /// Opens a page unless one is open: `false` when there is none to have.
    pub fn open(&mut self, platform: &mut P) -> bool {
        if self.page.is_none() {
            self.page = platform.page();
            self.used = 0;
        }
        self.page.is_some()
    }

    /// Lets `write` fill what is left of the page; it answers how much it wrote.
    pub fn write(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> Option<Span> {
        let room = self.page.as_mut()?.get_mut(self.used..)?;
        let bytes = write(room).min(room.len());
        let start = self.used;
        self.used += bytes;
        Some(Span {
            start: start as u32,
            bytes: bytes as u32,
        })
    }

    /// Ends the page: what was written, immutable.
    pub fn seal(&mut self, platform: &mut P) -> Option<P::Buffer> {
        let page = self.page.take()?;
        Some(platform.freeze(page, self.used))
    }
}
